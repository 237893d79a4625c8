//! The HTTP API as programs, people's pages and attackers meet it.

use std::time::Instant;

use serde_json::{Value, json};

use crate::lab::{Lab, example};
use crate::server::Server;

const READS: &[&str] = &[
    "/api/v1/tools",
    "/api/v1/tools/nothing_here",
    "/api/v1/runs",
    "/api/v1/approvals",
    "/api/v1/approvals/1",
    "/api/v1/insight",
    "/api/v1/journal",
    "/api/v1/journal/verification",
    "/api/v1/journal/export",
];

fn orders() -> Value {
    let text = std::fs::read_to_string(example("orders.csv")).unwrap();
    json!({"name": "orders.csv", "text": text})
}

#[test]
fn a_question_becomes_a_tool_that_a_person_approves_and_a_program_calls() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let question = json!({"question": "total quantity by region", "files": [orders()]});
    let started = server.post("/api/v1/runs", &question, 202);
    let run = started["run"].as_str().unwrap().to_owned();

    // The stream ends by itself, with everything that the journal got.
    let stream = server
        .ask("GET", &format!("/api/v1/runs/{run}/events"), None)
        .is(200);
    assert!(stream.head.contains("text/event-stream"), "{}", stream.head);
    for word in ["run_started", "plan_made", "attempt_recorded", "run_ended"] {
        assert!(stream.body.contains(word), "{word}: {}", stream.body);
    }
    assert!(stream.body.contains("event: progress"), "{}", stream.body);
    assert!(
        stream
            .body
            .trim_end()
            .ends_with(r#"data: {"state":"waiting"}"#)
    );
    let last = stream
        .body
        .lines()
        .rfind(|l| l.starts_with("id: "))
        .unwrap();
    let after = format!("/api/v1/runs/{run}/events?after={}", &last[4..]);
    let rest = server.ask("GET", &after, None).is(200).body;
    assert!(
        !rest.contains("run_started") && rest.contains("event: ended"),
        "{rest}"
    );

    let document = server.get(&format!("/api/v1/runs/{run}"));
    assert_eq!(document["state"], "waiting");
    assert_eq!(document["resumable"], true);
    let attempt = &document["attempts"][0];
    assert_eq!(attempt["accepted"], true);
    // What the trial's runs said may quote cases that are held out: for people alone.
    assert_eq!(attempt["stderr"], Value::Null);
    let tool = document["approvals"][0]["tool"]
        .as_str()
        .unwrap()
        .to_owned();

    // GOV01: proved and not approved does not run, and that it was tried is on record.
    let call = json!({"input": {"path": "orders.csv"}});
    let calls = format!("/api/v1/tools/{tool}/calls");
    let body = call.to_string();
    server
        .ask("POST", &calls, Some(&body))
        .problem(409, "not_approved");
    let denied = server.get("/api/v1/journal?kind=run_denied");
    assert_eq!(denied["events"][0]["actor"], "api:tester", "{denied}");

    // The token sees that something waits, and can do nothing about it.
    let waiting = server.get("/api/v1/approvals?state=waiting")["approvals"][0].clone();
    let digest = waiting["digest"].as_str().unwrap();
    server
        .ask("GET", "/api/v1/approvals/1", None)
        .problem(403, "person_needed");
    for (path, body) in [
        ("/api/v1/approvals/1/approve", json!({"digest": digest})),
        (
            "/api/v1/approvals/1/reject",
            json!({"digest": digest, "reason": "no"}),
        ),
    ] {
        let reply = server.ask("POST", path, Some(&body.to_string()));
        reply.problem(403, "person_needed");
    }

    // A person does, in the same API, with the digest that was shown.
    let person = server.sign_in();
    let own = format!(
        "Host: {}\r\nCookie: {}\r\nContent-Type: application/json\r\n",
        server.addr, person.cookie
    );
    let signed = format!("{own}x-csrf-token: {}\r\n", person.csrf);
    let yes = json!({"digest": digest}).to_string();
    let approve = |head: &str, body: &str| {
        server.raw("POST", "/api/v1/approvals/1/approve", head, body.as_bytes())
    };
    approve(&own, &yes).problem(403, "cross_site");
    let from_elsewhere = format!("{signed}Origin: http://evil.example\r\n");
    approve(&from_elsewhere, &yes).problem(403, "cross_site");
    let from_a_frame = format!("{signed}Sec-Fetch-Site: cross-site\r\n");
    approve(&from_a_frame, &yes).problem(403, "cross_site");
    // A token beside the session makes it a program's.
    let both = format!("{signed}Authorization: Bearer {}\r\n", server.token);
    approve(&both, &yes).problem(403, "person_needed");
    for wrong in ["Bearer x", "Bearer", "Basic eDp5", "x", ""] {
        let head = format!("{signed}Authorization: {wrong}\r\n");
        approve(&head, &yes).problem(401, "unauthenticated");
    }
    let other = json!({"digest": "0".repeat(64)}).to_string();
    approve(&signed, &other).problem(409, "stale");
    let card = server
        .raw("GET", "/api/v1/approvals/1", &own, b"")
        .is(200)
        .json();
    assert!(
        card["card"]["draft"]["code"]
            .as_str()
            .unwrap()
            .contains("def run")
    );
    let approved = approve(&signed, &yes).is(200).json();
    assert_eq!(approved["state"], "approved", "{approved}");
    // Sent twice, it is one yes.
    assert_eq!(
        approve(&signed, &yes).is(200).json()["decided_ms"],
        approved["decided_ms"]
    );
    let seen = server
        .raw("GET", &format!("/api/v1/runs/{run}"), &own, b"")
        .is(200)
        .json();
    assert!(seen["attempts"][0]["stderr"].is_string());

    // The run goes on where it waited, and answers.
    server.post(&format!("/api/v1/runs/{run}/resume"), &json!({}), 202);
    let done = server.ended(&run);
    assert_eq!(done["state"], "done", "{done}");
    assert!(
        done["answer"].as_str().unwrap().contains("Africa"),
        "{done}"
    );
    server
        .ask("POST", &format!("/api/v1/runs/{run}/resume"), None)
        .problem(409, "run_state");

    // Anyone with the token calls it now, with a file that comes along.
    let input = &lab.json(&["runs", "show", &run])["run"]["answer"]["invocations"][0]["input"];
    let schema = server.get(&format!("/api/v1/tools/{tool}"))["input_schema"].clone();
    let properties = schema["properties"].as_object().unwrap();
    let (file, _) = properties
        .iter()
        .find(|(_, p)| p["format"] == "file")
        .unwrap();
    let mut input = input.as_object().unwrap().clone();
    input.remove(file);
    let call = json!({"input": input, "files": {file: orders()}});
    let result = server.post(&calls, &call, 200);
    assert_eq!(result["outcome"], "ok", "{result}");
    assert!(result["layers"].as_array().unwrap().len() > 5, "{result}");
    let wrong = json!({"input": {"nonsense": 1}, "files": {}}).to_string();
    server
        .ask("POST", &calls, Some(&wrong))
        .problem(422, "input");
    let nowhere = json!({"input": {}, "files": {"nonsense": orders()}}).to_string();
    server
        .ask("POST", &calls, Some(&nowhere))
        .problem(422, "file");

    let worth = &server.get("/api/v1/insight")["tools"][0];
    assert_eq!(
        (worth["calls"].clone(), worth["occasions"].clone()),
        (json!(2), json!(1))
    );
    let code = server
        .ask("GET", &format!("/api/v1/tools/{tool}/code"), None)
        .is(200);
    assert!(code.body.contains("def run("));
    let evidence = server.get(&format!("/api/v1/tools/{tool}/evidence"));
    assert_eq!(evidence["accepted"], true);
    assert!(
        !evidence["cases"].to_string().contains("expect"),
        "{evidence}"
    );
    let lines = server
        .ask("GET", "/api/v1/journal/export", None)
        .is(200)
        .body;
    let exported = lines.lines().count() as u64;
    let verified = server.get("/api/v1/journal/verification");
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(verified["events"], exported);
    server.stop();
}

#[test]
fn nothing_is_answered_without_a_token_or_by_another_name() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let host = format!("Host: {}\r\n", server.addr);
    let bearer = format!("Authorization: Bearer {}\r\n", server.token);
    for path in READS {
        server
            .raw("GET", path, &host, b"")
            .problem(401, "unauthenticated");
        let wrong = format!("{host}Authorization: Bearer {}\r\n", "0".repeat(64));
        server
            .raw("GET", path, &wrong, b"")
            .problem(401, "unauthenticated");
        let basic = format!("{host}Authorization: Basic {}\r\n", server.token);
        server
            .raw("GET", path, &basic, b"")
            .problem(401, "unauthenticated");
        let rebound = format!("Host: evil.example\r\n{bearer}");
        server.raw("GET", path, &rebound, b"").problem(403, "host");
        let elsewhere = format!("{host}{bearer}Origin: http://evil.example\r\n");
        server
            .raw("GET", path, &elsewhere, b"")
            .problem(403, "cross_site");
        let made_up = format!("{host}Cookie: handaxe={}\r\n", "0".repeat(64));
        server
            .raw("GET", path, &made_up, b"")
            .problem(401, "unauthenticated");
    }
    // Its documents hold nothing of the home.
    let document = server
        .raw("GET", "/api/openapi.json", &host, b"")
        .is(200)
        .json();
    assert_eq!(document["openapi"], "3.1.0");
    let page = server.raw("GET", "/api/docs", &host, b"").is(200).body;
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "{page}"
    );
    let printed = lab.json(&["serve", "openapi"]);
    assert_eq!(printed, document);
}

/// PROT02 and PROT03 at this door; what gets past the token gets no further.
#[test]
fn bodies_are_strict_json_of_the_documented_shape() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let begun = Instant::now();
    let deep = |n: usize| format!("{{\"question\":{}1{}}}", "[".repeat(n), "]".repeat(n));
    let keys = (0..100_000).map(|n| format!("\"k{n}\":1"));
    let many = keys.collect::<Vec<_>>().join(",");
    for (what, body) in [
        ("nothing", String::new()),
        ("not JSON", "question=x".to_owned()),
        (
            "a duplicate key",
            r#"{"question":"a","question":"b"}"#.to_owned(),
        ),
        (
            "the same key, escaped",
            r#"{"question":"a","\u0071uestion":"b"}"#.to_owned(),
        ),
        ("NaN", r#"{"question":NaN}"#.to_owned()),
        ("Infinity", r#"{"question":-Infinity}"#.to_owned()),
        ("1e400", r#"{"question":1e400}"#.to_owned()),
        ("a lone surrogate", r#"{"question":"\ud800"}"#.to_owned()),
        (
            "a long integer",
            format!("{{\"question\":{}}}", "9".repeat(100_000)),
        ),
        ("a depth of 128", deep(128)),
        ("a depth of 5 000", deep(5_000)),
        ("a depth of 100 000", deep(100_000)),
        ("many keys", format!("{{{many}}}")),
        (
            "two documents",
            r#"{"question":"a"}{"question":"b"}"#.to_owned(),
        ),
        ("a list", r#"["question"]"#.to_owned()),
        (
            "a list for a file",
            r#"{"question":"a","files":[["a","b",null]]}"#.to_owned(),
        ),
        (
            "an unknown field",
            r#"{"question":"a","yes":true}"#.to_owned(),
        ),
        ("another type", r#"{"question":7}"#.to_owned()),
    ] {
        let reply = server.ask("POST", "/api/v1/runs", Some(&body));
        assert_eq!(reply.status, 400, "{what}: {}", reply.body);
        reply.problem(400, "json");
    }
    for (body, kind) in [
        (json!({"question": " "}), "request"),
        (json!({"question": "x".repeat(20_001)}), "request"),
        (
            json!({"question": "x", "files": [{"name": "a"}]}),
            "request",
        ),
        (
            json!({"question": "x", "files": [{"name": "a", "base64": "%"}]}),
            "request",
        ),
        (
            json!({"question": "x", "files": [{"name": "", "text": ""}]}),
            "request",
        ),
    ] {
        let reply = server.ask("POST", "/api/v1/runs", Some(&body.to_string()));
        reply.problem(400, kind);
    }
    for mib in [5, 100] {
        let large = format!("{{\"question\":\"{}\"}}", "x".repeat(mib << 20));
        let reply = server.ask("POST", "/api/v1/runs", Some(&large));
        assert!(matches!(reply.status, 413 | 0), "{}", reply.status);
    }
    server.stayed_small(begun);
    let head = format!(
        "Host: {}\r\nAuthorization: Bearer {}\r\nContent-Type: text/plain\r\n",
        server.addr, server.token
    );
    server
        .raw("POST", "/api/v1/runs", &head, br#"{"question":"x"}"#)
        .problem(415, "media_type");
    let json = head.replace("text/plain", "application/json");
    server
        .raw("POST", "/api/v1/runs", &json, b"{\"question\":\"\xff\"}")
        .problem(400, "json");
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=1&limit=2",
        "nonsense=1",
        "state=nonsense",
        "offset=-1",
        "sort=best&sort=name",
    ] {
        let path = format!("/api/v1/tools?{query}");
        server.ask("GET", &path, None).problem(400, "request");
    }
    // None of it began anything.
    assert_eq!(server.get("/api/v1/runs")["runs"], json!([]));
    assert_eq!(server.get("/api/v1/journal")["events"], json!([]));
}

#[test]
fn no_path_leads_out() {
    let lab = Lab::new();
    lab.file("root/orders.csv", "a\n1\n");
    lab.file("secret.csv", "a\n1\n");
    std::os::unix::fs::symlink("../secret.csv", lab.dir().join("root/link.csv")).unwrap();
    let server = Server::start(&lab, &["--root", "root"]);
    for path in [
        "../secret.csv",
        "link.csv",
        "/etc/passwd",
        "root/../../secret.csv",
        "nothing",
        "",
        ".",
        "a\u{0}b",
    ] {
        let body = json!({"question": "how many rows", "paths": [path]}).to_string();
        let reply = server.ask("POST", "/api/v1/runs", Some(&body));
        reply.problem(422, "file");
    }
    for path in [
        "/api/v1/tools/..%2f..%2fetc%2fpasswd",
        "/api/v1/tools/%00",
        "/api/v1/tools/%ff",
        "/api/v1/tools/a@b@c",
        "/api/v1/tools/abc@0",
        "/api/v1/tools/abc@99999999999",
        "/api/v1/runs/..%2f..%2fkeys",
        "/api/v1/runs/r0000000000000000",
        "/api/v1/runs/r0000000000000000/events",
        "/api/v1/tools/../../keys/server-token",
        "/api/../keys/server-token",
        "/api/v2/tools",
        "/api",
        "/api/v1//tools",
    ] {
        let reply = server.ask("GET", path, None);
        assert_eq!(reply.status, 404, "{path}: {}", reply.body);
        assert!(!reply.body.contains(&server.token), "{path}");
    }
    let reply = server.ask("DELETE", "/api/v1/tools", None);
    reply.problem(405, "method");
    assert!(reply.head.contains("allow: get"), "{}", reply.head);
}

/// PROT05: stored as it came, shown escaped, and no line of anything is forged.
#[test]
fn naughty_strings_are_kept_and_shown_for_what_they_are() {
    const NAUGHTY: &[&str] = &[
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{7*7}} {% raw %} ${jndi:ldap://x}",
        "'; DROP TABLE run; --",
        "line\r\nSet-Cookie: a=b\r\n\r\nbody",
        "\u{1b}[31mred\u{1b}[0m \u{7}",
        "\u{202e}gnp.exe \u{200b}\u{feff}",
        "\u{0}nul",
        "﷽ 👩‍👩‍👧 Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦͟o̶̙̰̠kè͚̮̺̪̹̱̤ 田中さん",
        "%00%0d%0a../../etc/passwd",
        "javascript:alert(1)",
        "NULL undefined true 1E400 -0",
    ];
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let person = server.sign_in();
    let own = format!("Host: {}\r\nCookie: {}\r\n", server.addr, person.cookie);
    for text in NAUGHTY {
        // Nothing is understood of it, so the run ends at once.
        let body =
            json!({"question": text, "want": "plan", "files": [{"name": text, "text": text}]});
        let run = server.post("/api/v1/runs", &body, 202)["run"].clone();
        let run = run.as_str().unwrap();
        let document = server.ended(run);
        assert_eq!(document["question"], *text);
        let name = document["data"][0]["name"].as_str().unwrap();
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
            "{name}"
        );
        for path in [
            format!("/runs/{run}"),
            "/runs".to_owned(),
            format!("/journal?subject={run}"),
        ] {
            let page = server.raw("GET", &path, &own, b"").is(200).body;
            assert!(
                !page.contains("<script>alert") && !page.contains("<img src=x"),
                "{path}"
            );
            let hidden = ['\u{1b}', '\u{202e}', '\u{0}', '\u{7}'];
            assert!(!page.contains(hidden), "{path}: {text:?}");
        }
        let bytes: Vec<String> = text.bytes().map(|b| format!("%{b:02x}")).collect();
        let encoded = bytes.concat();
        for path in [
            format!("/api/v1/tools?q={encoded}"),
            format!("/api/v1/tools?domain={encoded}"),
            format!("/api/v1/runs?q={encoded}"),
            format!("/api/v1/journal?actor={encoded}"),
            format!("/api/v1/journal?subject={encoded}"),
        ] {
            let status = server.ask("GET", &path, None).status;
            assert_eq!(status, 200, "{path}");
        }
        for path in [
            format!("/?q={encoded}"),
            format!("/runs?q={encoded}&state={encoded}&before={encoded}"),
            format!(
                "/journal?actor={encoded}&subject={encoded}&kind={encoded}&since={encoded}&before={encoded}"
            ),
            format!("/insight?days={encoded}"),
        ] {
            let page = server.raw("GET", &path, &own, b"").is(200);
            assert!(!page.body.contains("<script>alert"), "{path}");
            assert!(!page.head.contains("set-cookie: a=b"), "{path}");
        }
        let status = server
            .ask("GET", &format!("/api/v1/tools/{encoded}"), None)
            .status;
        assert_eq!(status, 404);
    }
    assert_eq!(server.get("/api/v1/journal/verification")["ok"], true);
}

#[test]
fn a_run_is_stopped_and_goes_on() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let question = json!({"question": "total quantity by region", "files": [orders()]});
    let run = server.post("/api/v1/runs", &question, 202)["run"].clone();
    let run = run.as_str().unwrap();
    let cancel = format!("/api/v1/runs/{run}/cancel");
    server.post(&cancel, &json!({}), 202);
    let stopped = server.ended(run);
    assert_eq!(stopped["state"], "failed", "{stopped}");
    assert_eq!(stopped["stopped_by"], "cancelled");
    assert_eq!(stopped["stopped"]["message"], "cancelled");
    assert_eq!(stopped["resumable"], true);
    server.ask("POST", &cancel, None).problem(409, "run_state");
    // Its file is read again: it was kept with the run.
    server.post(&format!("/api/v1/runs/{run}/resume"), &json!({}), 202);
    assert_eq!(server.ended(run)["state"], "waiting");
    let nobody = "/api/v1/runs/r0000000000000000";
    for what in ["cancel", "resume"] {
        let path = format!("{nobody}/{what}");
        server.ask("POST", &path, None).problem(404, "not_found");
    }
}
