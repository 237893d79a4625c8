//! Whoever stops waiting stops the work: however it was cancelled, no process of it is left.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::door::{Client, modern};
use crate::lab::Lab;
use crate::mcp_crash::{busy, stat};
use crate::script::{Tool, text};
use crate::server::Server;

/// It would go on for this long by itself; what ends before was ended.
const SPIN_MS: u64 = 120_000;
const CEILING: Duration = Duration::from_secs(30);

/// Spins where it is told to, and answers anything else at once.
fn spinner() -> Tool {
    let mut tool = Tool::new(
        "spin_round",
        "Spins for as long as it may where it is told to spin.",
        ("text", text()),
        ("said", json!({"type": "string"})),
    )
    .code(
        "\"\"\"Spins.\"\"\"\n\n\ndef run(*, text: str) -> dict[str, str]:\n    \"\"\"Spin or answer.\"\"\"\n    while text == \"spin on and on\":\n        pass\n    return {\"said\": text}\n",
    )
    .case(json!({"text": "a"}), json!({"said": "a"}))
    .case(json!({"text": ""}), json!({"said": ""}));
    tool.spec["limits"] = json!({"wall_ms": SPIN_MS, "cpu_ms": SPIN_MS});
    tool
}

fn spin() -> Value {
    json!({"text": "spin on and on"})
}

/// The process that spins beneath `root`, once it does.
#[track_caller]
fn spinning(root: u32) -> (u32, String) {
    let begun = Instant::now();
    loop {
        if let Some(found) = busy(root).pop() {
            return found;
        }
        assert!(begun.elapsed() < CEILING, "nothing spins");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until it is gone.
#[track_caller]
fn gone(what: &str, (pid, start): &(u32, String)) {
    let begun = Instant::now();
    while stat(*pid).is_some_and(|(_, now)| now == *start) {
        assert!(begun.elapsed() < CEILING, "{what}: process {pid} lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn over_stdio_a_cancelled_call_ends_its_process() {
    let lab = Lab::new();
    spinner().import(&lab);
    let mut client = Client::initialized(&lab, &[]);
    client.send(&json!({"jsonrpc": "2.0", "id": 77, "method": "tools/call",
        "params": {"name": "spin_round", "arguments": spin()}}));
    let child = spinning(client.child.id());
    client.send(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": 77, "reason": "enough"}}),
    );
    gone("cancelled", &child);
    // The door is open, and the next call has a process of its own.
    let reply = client.call("spin_round", &json!({"text": "b"}));
    assert_eq!(reply["result"]["structuredContent"]["said"], "b", "{reply}");
}

#[test]
fn over_http_a_client_that_is_gone_ends_its_process() {
    let lab = Lab::new();
    spinner().import(&lab);
    let server = Server::start(&lab, &[]);
    let person = server.sign_in();
    let Server { addr, token, .. } = &server;
    let bearer = format!("Host: {addr}\r\nAuthorization: Bearer {token}\r\n");
    let json = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
    let mut params = json!({"name": "spin_round", "arguments": spin()});
    params["_meta"] = modern(&json!({}));
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mcp = format!(
        "POST /mcp HTTP/1.1\r\n{bearer}{json}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: spin_round\r\n"
    );
    let api = format!("POST /api/v1/tools/spin_round/calls HTTP/1.1\r\n{bearer}{json}");
    let field = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = format!(
        "{}{}--b--\r\n",
        field("csrf", &person.csrf),
        field("in.text", "spin on and on")
    );
    let page = format!(
        "POST /tools/spin_round/1/try HTTP/1.1\r\nHost: {addr}\r\nCookie: {}\r\nContent-Type: multipart/form-data; boundary=b\r\n",
        person.cookie
    );
    for (what, head, body) in [
        ("MCP", mcp, message.to_string()),
        ("the API", api, json!({"input": spin()}).to_string()),
        ("a page", page, form),
    ] {
        let mut stream = TcpStream::connect(addr).unwrap();
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let child = spinning(server.child.id());
        drop(stream);
        gone(what, &child);
    }
    server.stop();
}

#[test]
fn a_run_that_is_cancelled_ends_its_trial() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let mut tool = spinner();
    tool.cases.insert(
        0,
        json!({"name": "long", "input": spin(), "expect": {"said": ""}}),
    );
    let proposal = json!({
        "spec": tool.spec, "code": tool.code, "cases": tool.cases, "why": "to see it spin",
        "wait_seconds": 0,
    });
    let person = server.sign_in();
    for by in ["the API", "the page"] {
        let begun = server.mcp(
            "tools/call",
            json!({"name": "propose_tool", "arguments": proposal}),
        );
        let state = &begun["result"]["structuredContent"];
        let run = state["run"].as_str().unwrap_or_else(|| panic!("{begun}"));
        let child = spinning(server.child.id());
        if by == "the API" {
            server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({}), 202);
        } else {
            let head = format!(
                "Host: {}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
                server.addr, person.cookie
            );
            let form = format!("csrf={}", person.csrf);
            let path = format!("/runs/{run}/cancel");
            let reply = server.raw("POST", &path, &head, form.as_bytes());
            assert_eq!(reply.status, 303, "{}", reply.body);
        }
        gone(by, &child);
        assert_eq!(server.ended(run)["stopped_by"], "cancelled");
    }
    server.stop();
}

#[test]
fn an_interrupted_command_ends_its_process() {
    let lab = Lab::new();
    spinner().import(&lab);
    let mut running = lab
        .command(&["run", "spin_round", "--input", &spin().to_string()])
        .spawn()
        .unwrap();
    let child = spinning(running.id());
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    gone("Ctrl-C", &child);
    let begun = Instant::now();
    while running.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < CEILING, "the command goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Of four long texts and outputs that have nothing to do with them: the search has no end in the
/// time that a test takes.
fn endless_examples(lab: &Lab) -> std::path::PathBuf {
    let marks = ["-", ";", ": ", ", ", "/", "|", "="];
    let text = |seed: usize| {
        let word = |i: usize| format!("w{}{}", (seed * 31 + i * 17) % 97, marks[(seed + i) % 7]);
        (0..60).map(word).collect::<Vec<String>>().concat()
    };
    let line =
        |i: usize| json!({"input": text(i), "output": format!("{}q{}", text(i * 5 + 9), i * i)});
    let lines: Vec<String> = (1..5).map(|i| line(i).to_string()).collect();
    lab.file("endless.jsonl", lines.join("\n"))
}

/// Waits until the process has computed for so long that it is in the midst of the search.
#[track_caller]
fn searching(pid: u32) {
    let begun = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        // Ticks of a hundredth of a second in the process itself.
        if fields[11].parse::<u64>().unwrap() > 200 {
            return;
        }
        assert!(begun.elapsed() < CEILING, "it does not search");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// At the command line, and of the same run taken up again at another door.
#[test]
fn a_search_by_example_is_stopped() {
    let lab = Lab::new();
    let examples = format!("@{}", endless_examples(&lab).display());
    let args = [
        "ask",
        "mangle the texts",
        "--example",
        &examples,
        "--model",
        "composer",
    ];
    let mut running = lab.command(&args).spawn().unwrap();
    searching(running.id());
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < CEILING, "the command goes on");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(1));
    let run = lab.json(&["runs", "list"])["runs"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let server = Server::start(&lab, &[]);
    server.post(&format!("/api/v1/runs/{run}/resume"), &json!({}), 202);
    searching(server.child.id());
    server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({}), 202);
    assert_eq!(server.ended(&run)["stopped_by"], "cancelled");
    server.stop();
}

/// A client's proposal that stopped half way is still a client's when a person takes it up: of its
/// own cases none is independent, whoever resumes it and with whatever word.
#[test]
fn a_resumed_proposal_needs_independent_cases_still() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    // It takes its time, so that it is stopped half way.
    let mut tool = spinner().code(
        "\"\"\"Takes its time.\"\"\"\n\nimport time\n\n\ndef run(*, text: str) -> dict[str, str]:\n    \"\"\"Answer slowly or at once.\"\"\"\n    end = time.monotonic() + (2.0 if text == \"slowly\" else 0.0)\n    while time.monotonic() < end:\n        pass\n    return {\"said\": text}\n",
    );
    let slow = json!({"name": "slow", "input": {"text": "slowly"}, "expect": {"said": "slowly"}});
    tool.cases.insert(0, slow);
    let proposal = json!({
        "spec": tool.spec, "code": tool.code, "cases": tool.cases, "why": "to be taken up",
        "wait_seconds": 0,
    });
    let begun = server.mcp(
        "tools/call",
        json!({"name": "propose_tool", "arguments": proposal}),
    );
    let run = begun["result"]["structuredContent"]["run"]
        .as_str()
        .unwrap()
        .to_owned();
    server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({}), 202);
    assert_eq!(server.ended(&run)["stopped_by"], "cancelled");
    let resumed = lab
        .run(&["runs", "resume", &run, "--yes", "--json"])
        .exits(4);
    let report = resumed.json();
    let verdict = report["verdict"].to_string();
    assert!(verdict.contains("min_independent_cases"), "{report}");
    assert_eq!(
        lab.json(&["approvals", "list", "--all"])["approvals"],
        json!([])
    );
    server.stop();
}
