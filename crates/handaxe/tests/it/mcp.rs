//! The door for agents, spoken to in raw lines: what any client would send.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::door::{Client, PATIENCE, text};
use crate::lab::{Lab, example};
use crate::server::Server;

#[test]
fn an_agent_makes_a_tool_a_person_approves_and_it_is_there() {
    let lab = Lab::new();
    let logs = std::fs::read(example("logs.jsonl")).unwrap();
    lab.file("root/logs.jsonl", &logs);
    lab.file("secret.jsonl", &logs);
    let mut client = Client::initialized(&lab, &["--root", "root"]);
    let fixed = client.names();
    assert!(fixed.iter().any(|n| n == "make_tool"), "{fixed:?}");
    assert!(!fixed.iter().any(|n| n.contains("approve_")), "{fixed:?}");

    let task = "Analyze the sentiment of these logs";
    let made = client.call("make_tool", &json!({"task": task, "data": ["logs.jsonl"]}));
    let state = &made["result"]["structuredContent"];
    assert_eq!(state["state"], "waiting", "{made}");
    assert!(
        client
            .notes
            .iter()
            .any(|n| n["method"] == "notifications/progress"),
        "no progress came"
    );
    let name = state["tool"]["name"].as_str().unwrap().to_owned();
    let approval = state["approval"].to_string();

    // Unapproved, it runs at no way in, and nothing here approves.
    assert_eq!(client.names(), fixed);
    for (tool, arguments) in [
        (name.as_str(), json!({"data": "logs.jsonl"})),
        (
            "run_tool",
            json!({"name": name, "input": {"data": "logs.jsonl"}}),
        ),
        (
            "run_tool",
            json!({"name": name, "version": 1, "input": {"data": "logs.jsonl"}}),
        ),
    ] {
        let refused = client.call(tool, &arguments);
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        assert!(text(&refused).contains("not_approved"), "{refused}");
    }
    let none = client.call("approve", &json!({"id": 1}));
    assert!(
        none["error"]["message"]
            .as_str()
            .unwrap()
            .contains("Unknown tool"),
        "{none}"
    );

    // A person approves in another process; the list changes and says so.
    lab.run(&["approvals", "approve", &approval]).exits(0);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !client
        .notes
        .iter()
        .any(|n| n["method"] == "notifications/tools/list_changed")
    {
        assert!(
            std::time::Instant::now() < deadline,
            "the change was not told"
        );
        client.request("ping", &json!({}));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(client.names().contains(&name));

    let ran = client.call(&name, &json!({"data": "logs.jsonl"}));
    assert_eq!(ran["result"]["structuredContent"]["matched"], 500, "{ran}");
    // Files outside the root are no files, by whatever road.
    let outside = lab.dir().join("secret.jsonl");
    for path in ["../secret.jsonl", outside.to_str().unwrap(), "nothing"] {
        let refused = client.call(&name, &json!({"data": path}));
        assert!(text(&refused).contains("not beneath a root"), "{refused}");
    }
    // Whatever the client calls itself, the journal names a client, in plain characters.
    let log = lab.json(&["audit", "log"]).to_string();
    assert!(log.contains("mcp:tester[31m"), "{log}");
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_clients_own_tool_needs_more_than_its_own_word() {
    let lab = Lab::new();
    let mut client = Client::initialized(&lab, &[]);
    let proposed = client.call(
        "propose_tool",
        &json!({
            "why": "doubling",
            "code": "\"\"\"Doubles.\"\"\"\n\n\ndef run(n: int) -> int:\n    \"\"\"Doubles a number.\"\"\"\n    return n * 2\n",
            "spec": {
                "name": "doubler", "description": "Doubles a number.", "domain": "maths",
                "input_schema": {"type": "object", "additionalProperties": false, "required": ["n"],
                    "properties": {"n": {"type": "integer", "minimum": -1000, "maximum": 1000}}},
                "output_schema": {"type": "integer"},
            },
            "cases": [{"name": "two", "input": {"n": 2}, "expect": 4, "origin": "user", "held_out": true}],
        }),
    );
    let state = &proposed["result"]["structuredContent"];
    assert_eq!(state["state"], "refused", "{proposed}");
    // Its cases are its own, whatever it says of them.
    assert!(
        state.to_string().contains("min_independent_cases"),
        "{state}"
    );
    assert_eq!(
        client.call("list_approvals", &json!({}))["result"]["structuredContent"]["waiting"],
        json!([])
    );
}

#[test]
fn hostile_lines_get_an_error_and_the_door_stays_open() {
    let lab = Lab::new();
    let mut client = Client::initialized(&lab, &[]);
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    for line in [
        "not json".to_owned(),
        "{\"jsonrpc\": \"2.0\"".to_owned(),
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{{\"name\":\"search_tools\",\"arguments\":{{\"query\":{deep}}}}}}}"
        ),
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/unheard\"}".to_owned(),
    ] {
        writeln!(client.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
    for (name, arguments) in [
        ("search_tools", json!({"query": 5})),
        ("search_tools", json!({"query": "x", "more": 1})),
        ("describe_tool", json!({"name": "../../etc"})),
        ("describe_tool", json!({"name": "nothing_here"})),
        ("tool_status", json!({"run": "../../x"})),
        ("run_tool", json!({"name": "nothing_here", "input": {}})),
    ] {
        let reply = client.call(name, &arguments);
        assert_eq!(
            reply["result"]["isError"], true,
            "{name} {arguments}: {reply}"
        );
        assert!(text(&reply).contains("hint: "), "{reply}");
    }
}

#[test]
fn http_asks_for_the_token_the_host_and_the_origin() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let bearer = format!("Authorization: Bearer {}\r\n", server.token);
    let host = format!("Host: {}\r\n", server.addr);
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
    .to_string();
    let http = |head: &str, body: &str| {
        let plain =
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
        server.raw("POST", "/mcp", &format!("{plain}{head}"), body.as_bytes())
    };
    let reply = http(&format!("{host}{bearer}"), &hello).is(200);
    assert!(reply.body.contains("2025-11-25"), "{}", reply.body);
    http(
        &format!("{host}{bearer}Origin: http://{}\r\n", server.addr),
        &hello,
    )
    .is(200);
    for (what, head, expected) in [
        ("no token", host.clone(), 401),
        (
            "another token",
            format!("{host}Authorization: Bearer {}\r\n", "0".repeat(64)),
            401,
        ),
        (
            "the token in another scheme",
            format!("{host}Authorization: Basic {}\r\n", server.token),
            401,
        ),
        (
            "a rebound name",
            format!("Host: evil.example:80\r\n{bearer}"),
            403,
        ),
        (
            "another page",
            format!("{host}{bearer}Origin: http://evil.example\r\n"),
            403,
        ),
    ] {
        let reply = http(&head, &hello);
        assert_eq!(reply.status, expected, "{what}: {}", reply.body);
    }
    let reply = http(&format!("{host}{bearer}"), &" ".repeat(5 << 20));
    assert!(matches!(reply.status, 413 | 0), "{}", reply.status);
    server.stop();
}
