//! What is sent to the doors for agents is read strictly: refused with the protocol's error, at
//! once, and at no cost to what comes before and after. (PROT02, PROT03; PROT01 is
//! scripts/sdk/json.mjs.)

use std::io::Write as _;
use std::time::Instant;

use serde_json::{Value, json};

use crate::door::{Client, PATIENCE, answer, http};
use crate::lab::Lab;
use crate::server::Server;

fn call(id: u32, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"search_tools","arguments":{arguments}}}}}"#
    )
}

/// What is wrong, the arguments that are, and whether the request can still be told by its number.
fn bombs() -> Vec<(&'static str, String, bool)> {
    let deep = |n: usize| format!("{{\"query\":{}{}}}", "[".repeat(n), "]".repeat(n));
    let many: Vec<String> = (0..200_000).map(|n| format!("\"k{n}\":0")).collect();
    let many = many.join(",");
    vec![
        ("duplicate key", r#"{"query":"a","query":"b"}"#.into(), true),
        (
            "duplicate key",
            r#"{"query":"a","\u0071uery":"b"}"#.into(),
            true,
        ),
        ("not JSON", r#"{"query":"a","limit":NaN}"#.into(), false),
        (
            "not JSON",
            r#"{"query":"a","limit":-Infinity}"#.into(),
            false,
        ),
        ("not JSON", r#"{"query":"a","limit":1e400}"#.into(), true),
        ("not JSON", r#"{"query":"\ud800"}"#.into(), true),
        (
            "64 bits",
            r#"{"query":"a","limit":18446744073709551616}"#.into(),
            true,
        ),
        (
            "64 bits",
            format!(r#"{{"query":"a","limit":{}}}"#, "9".repeat(100_000)),
            true,
        ),
        ("deeper", deep(128), true),
        ("deeper", deep(5_000), true),
        ("deeper", deep(100_000), true),
        ("duplicate key", format!("{{{many},\"k7\":1}}"), true),
    ]
}

#[test]
fn over_stdio() {
    let lab = Lab::new();
    let mut client = Client::initialized(&lab, &[]);
    for (n, (says, arguments, told)) in bombs().into_iter().enumerate() {
        let id = 1000 + n as u32;
        let mut stdin = client.stdin.take().unwrap();
        writeln!(stdin, "{}", call(id, &arguments)).unwrap();
        client.stdin = Some(stdin);
        let refused = client.lines.recv_timeout(PATIENCE).unwrap();
        assert_eq!(refused["error"]["code"], -32700, "{refused}");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{says}: {message}");
        let expected = if told { json!(id) } else { Value::Null };
        assert_eq!(refused["id"], expected, "{says}");
        // The next one is answered as if nothing had been.
        let reply = client.call("search_tools", &json!({"query": "anything"}));
        assert_eq!(reply["result"]["isError"], false, "{reply}");
    }
    // A line without an end is not held in memory, and only refused once.
    let mut stdin = client.stdin.take().unwrap();
    for _ in 0..64 {
        stdin.write_all(&vec![b'['; 1 << 20]).unwrap();
    }
    writeln!(stdin).unwrap();
    client.stdin = Some(stdin);
    let refused = client.lines.recv_timeout(PATIENCE).unwrap();
    assert_eq!(refused["error"]["code"], -32700, "{refused}");
    let names = client.names();
    assert!(names.len() > 3, "{names:?}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", client.child.id())).unwrap();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 256 << 10, "{peak}");
}

#[test]
fn over_http() {
    let lab = Lab::new();
    let serving = Server::start(&lab, &[]);
    let begun = Instant::now();
    for (says, arguments, told) in bombs() {
        let (status, reply) = http(
            &serving.addr,
            &serving.mcp_head(),
            call(7, &arguments).as_bytes(),
        );
        assert_eq!(status, 400, "{reply}");
        let body: Value = serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["error"]["code"], -32700, "{body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{says}: {message}");
        assert_eq!(answer(&reply).is_some(), told, "{says}: {reply}");
    }
    let large = vec![b' '; 100 << 20];
    let (status, _) = http(&serving.addr, &serving.mcp_head(), &large);
    assert!(matches!(status, 413 | 0), "{status}");
    serving.stayed_small(begun);
    let listed = serving.mcp("tools/list", json!({}));
    assert!(
        listed["result"]["tools"].as_array().unwrap().len() > 3,
        "{listed}"
    );
}
