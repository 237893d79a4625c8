//! docs/clients.md: every snippet is what its language takes, and every command starts.

use serde_json::{Value, json};

use crate::door::Client;
use crate::lab::{Lab, root};

/// The fenced blocks of the page: language and text.
fn blocks() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(root().join("docs/clients.md")).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The part of YAML that the page uses: maps by indentation, scalars and JSON.
fn yaml(lines: &mut std::iter::Peekable<std::str::Lines<'_>>, indent: usize) -> Value {
    let mut map = serde_json::Map::new();
    while let Some(line) = lines.peek() {
        let depth = line.len() - line.trim_start().len();
        if depth < indent {
            break;
        }
        assert_eq!(depth, indent, "{line}");
        let (key, value) = line.trim().split_once(':').unwrap();
        let value = value.trim();
        lines.next();
        let value = if value.is_empty() {
            yaml(lines, indent + 2)
        } else {
            serde_json::from_str(value).unwrap_or_else(|_| json!(value))
        };
        assert!(
            map.insert(key.to_owned(), value).is_none(),
            "{key} is there twice"
        );
    }
    Value::Object(map)
}

#[test]
fn every_snippet_parses_and_every_command_starts() {
    let lab = Lab::new();
    lab.file("data/a.csv", "n\n1\n");
    let data = lab.dir().join("data");
    let mut started = 0;
    let mut start = |command: &Value, args: &Value| {
        let command = command.as_str().unwrap();
        assert!(
            command == "handaxe" || command.ends_with("/handaxe"),
            "{command}"
        );
        let args: Vec<&str> = args
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a.as_str().unwrap())
            .collect();
        let args: Vec<&str> = args
            .into_iter()
            .map(|a| {
                if a == "/home/you/data" {
                    data.to_str().unwrap()
                } else {
                    a
                }
            })
            .collect();
        let mut client = Client::open(lab.command(&args));
        let hello = client.request(
            "initialize",
            &json!({"protocolVersion": "2025-06-18",
            "capabilities": {}, "clientInfo": {"name": "snippet", "version": "1"}}),
        );
        assert!(hello["result"]["serverInfo"].is_object(), "{hello}");
        started += 1;
    };
    let mut over_http = 0;
    let mut others = 0;
    for (language, text) in blocks() {
        match language.as_str() {
            "sh" => {
                if let Some((client, ours)) = text.trim().split_once(" -- ") {
                    assert!(
                        ["claude mcp add ", "codex mcp add "]
                            .iter()
                            .any(|c| client.starts_with(c)),
                        "{client}"
                    );
                    let words: Vec<&str> = ours.split_whitespace().collect();
                    start(&json!(words[0]), &json!(words[1..]));
                } else {
                    assert!(
                        text.starts_with("claude mcp add --transport http "),
                        "{text}"
                    );
                    over_http += 1;
                }
            }
            "json" | "toml" | "yaml" => {
                let value: Value = match language.as_str() {
                    "json" => serde_json::from_str(&text).unwrap(),
                    "toml" => toml::from_str(&text).unwrap(),
                    _ => yaml(&mut text.lines().peekable(), 0),
                };
                let servers = value
                    .get("mcpServers")
                    .or(value.get("mcp_servers"))
                    .or(value.get("extensions"));
                let Some(servers) = servers else {
                    // Our own settings: taken as they stand.
                    lab.file("home/config.toml", &text);
                    lab.run(&["config", "show"]).exits(0);
                    lab.file("home/config.toml", "");
                    others += 1;
                    continue;
                };
                let ours = &servers["handaxe"];
                match (ours.get("command").or(ours.get("cmd")), ours.get("url")) {
                    (Some(command), None) => start(command, &ours["args"]),
                    (None, Some(url)) => {
                        assert_eq!(url, "http://127.0.0.1:7333/mcp");
                        over_http += 1;
                    }
                    _ => panic!("{text}"),
                }
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((started, over_http, others), (7, 3, 1));
}
