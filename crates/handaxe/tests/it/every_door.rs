//! The same word at every door: what a person did not approve, what was exchanged behind the
//! journal, what was taken out of use and what the policy takes no more runs at none of them, and
//! that it was tried is on record. What asks for work without end ends. (GOV01, GOV02, GOV06, PROT02,
//! PROT03, PROT04)

use serde_json::{Value, json};

use crate::door::Client;
use crate::lab::Lab;
use crate::script::{Tool, count_words, integer, text};
use crate::server::Server;

const SHORT: &str = "[trial]\nfuzz_inputs = 24\nmutants = 0\nshadow_percent = 0\n";
/// As [`tried`] knows them.
const DOORS: usize = 7;

/// What each door gives for a call of the tool on a text.
fn tried(lab: &Lab, tool: &str, text: &str) -> Vec<(&'static str, String)> {
    let input = json!({"text": text});
    let ran = lab.run(&["run", tool, "--input", &input.to_string(), "--json"]);
    let mut found = vec![("the command line", ran.stdout + &ran.stderr)];
    let wrapped = json!({"name": tool, "input": input});
    let mut client = Client::initialized(lab, &[]);
    found.push(("MCP, its name", client.call(tool, &input).to_string()));
    found.push((
        "MCP, run_tool",
        client.call("run_tool", &wrapped).to_string(),
    ));
    drop(client);
    let server = Server::start(lab, &[]);
    for (door, name, arguments) in [
        ("MCP over HTTP, its name", tool, &input),
        ("MCP over HTTP, run_tool", "run_tool", &wrapped),
    ] {
        let params = json!({"name": name, "arguments": arguments});
        found.push((door, server.mcp("tools/call", params).to_string()));
    }
    let body = json!({"input": input}).to_string();
    let reply = server.ask("POST", &format!("/api/v1/tools/{tool}/calls"), Some(&body));
    found.push(("the API", reply.body));
    let person = server.sign_in();
    let head = format!(
        "Host: {}\r\nCookie: {}\r\nContent-Type: multipart/form-data; boundary=b\r\n",
        server.addr, person.cookie
    );
    let field = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = format!(
        "{}{}--b--\r\n",
        field("csrf", &person.csrf),
        field("in.text", text)
    );
    let reply = server.raw(
        "POST",
        &format!("/tools/{tool}/1/try"),
        &head,
        form.as_bytes(),
    );
    found.push(("a page", reply.body));
    server.stop();
    assert_eq!(found.len(), DOORS);
    found
}

/// Whether the door gave the tool's result.
fn ran(door: &str, gave: &str, name: &str, value: u32) -> bool {
    if door == "a page" {
        return gave.contains("<h3>Result</h3><span class=\"status good\">ok</span>");
    }
    let text = gave.replace("\\\"", "\"").replace(": ", ":");
    text.contains(&format!("\"{name}\":{value}"))
}

fn denials(lab: &Lab) -> usize {
    let log = lab.json(&["audit", "log"]);
    let events = log["events"].as_array().unwrap();
    events.iter().filter(|e| e["kind"] == "run_denied").count()
}

fn calls(lab: &Lab) -> usize {
    let log = lab.json(&["audit", "log"]);
    let events = log["events"].as_array().unwrap();
    events
        .iter()
        .filter(|e| e["kind"] == "tool_invoked")
        .count()
}

/// No door gives the count, each says why, and each try is on record.
#[track_caller]
fn denied(lab: &Lab, says: &str, words: &str) {
    let (before, called) = (denials(lab), calls(lab));
    for (door, gave) in tried(lab, "count_words", "a b c") {
        // A page is for people, and the API has kinds of its own.
        let says = if door == "a page" || door == "the API" {
            words
        } else {
            says
        };
        assert!(gave.contains(says), "{door}: {gave}");
        assert!(!ran(door, &gave, "count", 3), "{door}: {gave}");
    }
    assert_eq!(calls(lab), called, "{says}: something ran");
    assert_eq!(
        denials(lab),
        before + DOORS,
        "{says}: not every try is on record"
    );
}

fn sql(lab: &Lab, statements: &str) {
    let script =
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2])";
    let mut python = lab.command_of("python3");
    let db = lab.home().join("handaxe.db");
    python.args(["-c", script, db.to_str().unwrap(), statements]);
    let out = python.output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn what_is_not_approved_as_it_stands_runs_at_no_door() {
    let lab = Lab::new();
    lab.file("home/policy.toml", SHORT);
    // Proved and not approved. (GOV01)
    let folder = count_words().folder(&lab);
    lab.run(&["tools", "import", folder.to_str().unwrap()])
        .exits(3);
    denied(&lab, "not_approved", "no approved version");
    lab.run(&["approvals", "approve", "1"]).exits(0);
    // The control: it runs at every door.
    for (door, gave) in tried(&lab, "count_words", "a b c") {
        assert!(ran(door, &gave, "count", 3), "{door}: {gave}");
    }
    // The policy takes no yes that nobody signed, from now on. (GOV06)
    lab.file(
        "home/policy.toml",
        format!("{SHORT}[approval]\nhow = \"key\"\n"),
    );
    denied(&lab, "unfit_approval", "does not count");
    lab.file("home/policy.toml", SHORT);
    // Other bytes in its place, under digests that were made to fit. (GOV02)
    let mut sly = count_words();
    sly.spec["name"] = json!("sly_words");
    sly.code = sly
        .code
        .replace("len(text.split())", "len(text.split()) * 1");
    let other = sly.folder(&lab);
    lab.run(&["tools", "import", other.to_str().unwrap()])
        .exits(3);
    let code = "(SELECT code FROM tool_version WHERE name = 'sly_words')";
    sql(
        &lab,
        &format!(
            "CREATE TABLE kept AS SELECT code FROM tool_version WHERE name = 'count_words';
             UPDATE tool_version SET code = {code} WHERE name = 'count_words';"
        ),
    );
    denied(
        &lab,
        "digest_mismatch",
        "are not the ones that were approved",
    );
    sql(
        &lab,
        "UPDATE tool_version SET code = (SELECT code FROM kept) WHERE name = 'count_words';
         DROP TABLE kept;",
    );
    // A row that decides whether it runs, changed behind the journal. (GOV02)
    sql(
        &lab,
        "UPDATE approval SET approver = 'mallory' WHERE id = 1;",
    );
    denied(&lab, "tampered", "changed behind the journal");
    sql(
        &lab,
        "UPDATE approval SET approver = 'tester' WHERE id = 1;",
    );
    // Taken out of use.
    lab.run(&["tools", "revoke", "count_words@1", "--reason", "wrong"])
        .exits(0);
    denied(&lab, "revoked", "revoked");
    assert_eq!(lab.json(&["audit", "verify"])["ok"], Value::Bool(true));
}

/// PROT04: an argument that asks for work without end costs its caller an answer, and nobody else.
#[test]
fn work_without_end_ends_at_every_door() {
    let lab = Lab::new();
    lab.file("home/policy.toml", SHORT);
    let mut tool = Tool::new(
        "power_up",
        "Says how long a power is where it is told to; else how long the text is.",
        ("text", text()),
        ("length", integer()),
    )
    .code(
        "\"\"\"Powers.\"\"\"\n\n\ndef run(*, text: str) -> dict[str, int]:\n    \"\"\"Raise or count.\"\"\"\n    if text == \"to the power of a billion\":\n        return {\"length\": (7 ** 10**9).bit_length()}\n    return {\"length\": len(text)}\n",
    )
    .case(json!({"text": "abc"}), json!({"length": 3}))
    .case(json!({"text": ""}), json!({"length": 0}));
    tool.spec["limits"] = json!({"wall_ms": 700, "cpu_ms": 700});
    tool.import(&lab);
    for (door, gave) in tried(&lab, "power_up", "to the power of a billion") {
        assert!(gave.contains("timeout"), "{door}: {gave}");
    }
    for (door, gave) in tried(&lab, "power_up", "abcd") {
        assert!(ran(door, &gave, "length", 4), "{door}: {gave}");
    }
}

/// PROT02 and PROT03 on the command line: an input that is not strict JSON is refused before a tool
/// runs, whether it is an argument or a file.
#[test]
fn bombs_on_the_command_line() {
    let lab = Lab::new();
    count_words().import(&lab);
    let deep = |n: usize| format!("{{\"text\":{}1{}}}", "[".repeat(n), "]".repeat(n));
    let keys: Vec<String> = (0..200_000).map(|n| format!("\"k{n}\":0")).collect();
    for (n, bomb) in [
        r#"{"text":"a","text":"b"}"#.to_owned(),
        r#"{"text":NaN}"#.to_owned(),
        r#"{"text":1e400}"#.to_owned(),
        r#"{"text":"\ud800"}"#.to_owned(),
        format!("{{\"text\":{}}}", "9".repeat(100_000)),
        deep(128),
        deep(100_000),
        format!("{{{},\"k7\":1}}", keys.join(",")),
        " ".repeat(100 << 20),
    ]
    .into_iter()
    .enumerate()
    {
        let file = lab.file(&format!("bomb{n}.json"), &bomb);
        let named = format!("@{}", file.display());
        let before = calls(&lab);
        let mut inputs = vec![named.as_str()];
        // One argument holds 128 KiB at the most.
        inputs.extend((bomb.len() < 100_000).then_some(bomb.as_str()));
        for input in inputs {
            let ran = lab.run(&["run", "count_words", "--input", input]);
            assert!(
                matches!(ran.code, 1 | 2),
                "{n}: {}\n{}",
                ran.code,
                ran.stderr
            );
            assert!(
                ran.stderr.contains("hint: ") && ran.stderr.len() < 2_000,
                "{}",
                ran.stderr
            );
        }
        assert_eq!(calls(&lab), before, "{n}: it ran");
    }
}
