//! Secrets planted at every door, and everything searched for them: the home, the logs at their
//! most talkative, what a collector gets, the figures, and what a model is sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, finish};

/// A provider's key, a variable that the policy names, a value that it names; the last would be
/// written in another way by JSON.
const KEY: &str = "sk-planted-0123456789-key";
const PASSWORD: &str = "planted-password-in-a-variable";
const LITERAL: &str = "planted-literal-named-by-policy";
const QUOTED: &str = "planted \"quoted\" value\\";

const POLICY: &str = r#"secrets = ["env:DB_PASSWORD", "planted-literal-named-by-policy", 'planted "quoted" value\']
[trial]
fuzz_inputs = 24
mutants = 0
"#;

const CODE: &str = r#""""Counts words."""


def run(*, text: str) -> int:
    """The words of a text."""
    return len(text.split())
"#;

fn spec() -> Value {
    json!({
        "name": "word_count", "description": "Counts the words of a text.", "domain": "text",
        "input_schema": {
            "type": "object", "additionalProperties": false, "required": ["text"],
            "properties": {"text": {"type": "string"}},
        },
        "output_schema": {"type": "integer"},
    })
}

fn folder(lab: &Lab, code: &str) -> String {
    lab.file("tool/tool.py", code);
    lab.file("tool/spec.json", spec().to_string());
    let cases =
        "{\"input\":{\"text\":\"a b\"},\"expect\":2}\n{\"input\":{\"text\":\"\"},\"expect\":0}\n";
    lab.file("tool/cases.jsonl", cases);
    lab.dir().join("tool").to_str().unwrap().to_owned()
}

/// A request's head and body.
type Request = (String, Vec<u8>);

/// A server of ours that keeps what it was sent.
struct Fake {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Answers every request with what `answer` makes of its head.
    fn start(answer: fn(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, ended) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        stream
                            .set_read_timeout(Some(Duration::from_secs(5)))
                            .unwrap();
                        if let Some(request) = served(stream, answer) {
                            kept.lock().unwrap().push(request);
                        }
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self {
            url,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn served(stream: TcpStream, answer: fn(&str) -> String) -> Option<Request> {
    let mut from = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    let said = answer(&head);
    let mut to = stream;
    write!(
        to,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}",
        said.len()
    )
    .ok()?;
    Some((head, body))
}

/// A model that quotes the key it was given, as providers do in their errors.
fn echo(head: &str) -> String {
    json!({
        "model": "echo", "usage": {"prompt_tokens": 3, "completion_tokens": 5},
        "choices": [{"finish_reason": "stop", "message": {
            "role": "assistant", "content": format!("You sent me {head}"),
        }}],
    })
    .to_string()
}

/// Which of these are in these bytes, as they stand or as JSON writes them.
fn found(bytes: &[u8], secrets: &[&str]) -> Vec<String> {
    secrets
        .iter()
        .filter(|secret| {
            let escaped = json!(secret).to_string();
            let escaped = &escaped[1..escaped.len() - 1];
            [**secret, escaped]
                .iter()
                .any(|form| bytes.windows(form.len()).any(|w| w == form.as_bytes()))
        })
        .map(|s| (*s).to_owned())
        .collect()
}

/// Every file beneath, with what it holds; `keys/` is where a bearer token is kept.
fn searched(dir: &Path, secrets: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut out = Vec::new();
    let mut pending = vec![dir.to_owned()];
    let mut files = 0;
    while let Some(at) = pending.pop() {
        for entry in std::fs::read_dir(&at).unwrap().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                if !path.ends_with("keys") {
                    pending.push(path);
                }
                continue;
            }
            files += 1;
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            // The policy names two of them in so many words.
            if name == "policy.toml" {
                continue;
            }
            let mut held = found(&std::fs::read(&path).unwrap(), secrets);
            held.extend(found(name.as_bytes(), secrets));
            if !held.is_empty() {
                out.push((name, held));
            }
        }
    }
    assert!(files > 2, "there was nothing to search in");
    out
}

const ALL: &[&str] = &[KEY, PASSWORD, LITERAL, QUOTED];

fn planted(lab: &Lab, collector: &Fake, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    command
        .env("OPENAI_API_KEY", KEY)
        .env("DB_PASSWORD", PASSWORD)
        .env("HANDAXE_LOG", "trace")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    command
}

#[test]
fn nothing_of_a_question_or_a_key_is_written_down() {
    let lab = Lab::new();
    lab.file("home/policy.toml", POLICY);
    let collector = Fake::start(|_| String::new());
    let model = Fake::start(echo);
    let data = lab.file(
        &format!("orders-{LITERAL}.csv"),
        "user,amount\nann,3\nbob,4\n",
    );
    let question = format!("Sum the amount of {PASSWORD}, {LITERAL} and {QUOTED}");
    let base = format!("{}/v1", model.url);
    let ran = finish(planted(
        &lab,
        &collector,
        &[
            "ask",
            &question,
            "--data",
            data.to_str().unwrap(),
            "--model",
            "openai:echo",
            "--base-url",
            &base,
            "--preview",
            "sample",
            "--yes",
        ],
    ));
    assert_ne!(ran.code, 0, "an echo plans nothing");
    // The probes are live: the model got the key and a prompt with the question.
    let asked = model.seen();
    assert!(
        asked.iter().any(|(head, _)| head.contains(KEY)),
        "no key was sent"
    );
    let prompts: Vec<u8> = asked.iter().flat_map(|(_, body)| body.clone()).collect();
    assert!(String::from_utf8_lossy(&prompts).contains("Sum the amount of [secret]"));
    assert_eq!(found(&prompts, ALL), [""; 0], "a prompt holds it");
    // The log spoke, and of the call.
    assert!(ran.stderr.contains("model_call"), "{}", ran.stderr);
    let log: String = ran.stderr.lines().filter(|l| l.contains("Z ")).collect();
    assert_eq!(found(log.as_bytes(), ALL), [""; 0], "the log holds it");
    assert_eq!(found(ran.stdout.as_bytes(), &[KEY]), [""; 0]);
    let traces: Vec<u8> = collector
        .seen()
        .iter()
        .flat_map(|(_, b)| b.clone())
        .collect();
    let text = String::from_utf8_lossy(&traces);
    for name in ["chat echo", "gen_ai.request.model", "handaxe.run", "plan"] {
        assert!(text.contains(name), "no {name} among the traces");
    }
    assert_eq!(found(&traces, ALL), [""; 0], "the traces hold it");
    assert_eq!(searched(&lab.home(), ALL), []);
    // It was kept, without them.
    let run = lab.json(&["runs", "list"])["runs"][0].clone();
    assert!(
        run["question"].as_str().unwrap().contains("[secret]"),
        "{run}"
    );
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn without_the_protection_the_search_finds_it() {
    let lab = Lab::new();
    let question = format!("Hum the tune of {PASSWORD}");
    lab.run(&["ask", &question, "--model", "composer"]);
    let held = searched(&lab.home(), ALL);
    assert!(
        held.iter().any(|(file, _)| file.starts_with("handaxe.db")),
        "{held:?}"
    );
}

#[test]
fn arguments_are_not_kept_and_a_tool_that_holds_a_secret_is_not_stored() {
    let lab = Lab::new();
    lab.file("home/policy.toml", POLICY);
    let collector = Fake::start(|_| String::new());
    let run = |args: &[&str]| finish(planted(&lab, &collector, args));
    let dir = folder(&lab, CODE);
    run(&["tools", "import", &dir, "--yes"]).exits(0);
    let input = json!({"text": format!("{KEY} {PASSWORD} {LITERAL} {QUOTED}")}).to_string();
    // The tool itself gets them: it was asked to work on them.
    let ran = run(&["run", "word_count", "--input", &input, "--json"]).exits(0);
    assert_eq!(ran.json()["output"], 6);
    assert!(ran.stderr.contains("sandbox_call"), "{}", ran.stderr);
    assert_eq!(found(ran.stderr.as_bytes(), ALL), [""; 0]);
    // Code is bound by its digest: it cannot be redacted, so it is not stored at all.
    let dir = folder(
        &lab,
        &CODE.replace("The words of", &format!("{LITERAL} of")),
    );
    run(&["tools", "import", &dir, "--yes"])
        .exits(1)
        .says("kept secret")
        .says("policy.toml");
    assert_eq!(searched(&lab.home(), ALL), []);
    let traces: Vec<u8> = collector
        .seen()
        .iter()
        .flat_map(|(_, b)| b.clone())
        .collect();
    assert!(String::from_utf8_lossy(&traces).contains("sandbox_call"));
    assert_eq!(found(&traces, ALL), [""; 0]);
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_secret_too_short_to_be_one_is_refused() {
    let lab = Lab::new();
    lab.file("home/policy.toml", "secrets = [\"abc\"]\n");
    let ran = lab.run(&["tools", "list"]).exits(2);
    ran.says("a value of 3 characters").says("6 characters");
    assert!(!ran.stderr.contains("abc"));
}

/// A server under trace, with its streams in files; ended when it goes.
struct Server {
    child: Child,
    said: Value,
    log: std::path::PathBuf,
}

impl Server {
    fn start(lab: &Lab, collector: &Fake) -> Self {
        let (out, log) = (lab.file("said", ""), lab.file("log", ""));
        let mut command = planted(
            lab,
            collector,
            &[
                "serve",
                "--addr",
                "127.0.0.1:0",
                "--metrics",
                "127.0.0.1:0",
                "--model",
                "composer",
                "--json",
            ],
        );
        let child = command
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let said = loop {
            let text = std::fs::read_to_string(&out).unwrap();
            if let Ok(said) = serde_json::from_str::<Value>(&text) {
                break said;
            }
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "{}",
                std::fs::read_to_string(&log).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        Self { child, said, log }
    }

    fn stop(mut self) -> Vec<u8> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap();
        std::fs::read(&self.log).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own; status and body.
fn ask(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut head = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.extend([*name, ": ", *value, "\r\n"]);
    }
    write!(stream, "{head}\r\n{body}").unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said).into_owned();
    let status = said
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    (status, said)
}

#[test]
fn a_server_tells_neither_tokens_nor_what_passes_through_it() {
    let lab = Lab::new();
    lab.file("home/policy.toml", POLICY);
    lab.run(&["tools", "import", &folder(&lab, CODE), "--yes"])
        .exits(0);
    let collector = Fake::start(|_| String::new());
    let server = Server::start(&lab, &collector);
    let token = std::fs::read_to_string(lab.home().join("keys/server-token")).unwrap();
    let token = token.trim();
    let login = server.said["login"].as_str().unwrap().to_owned();
    let one_time = login.rsplit_once('=').unwrap().1.to_owned();
    let mcp = server.said["mcp"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let common = [
        ("authorization", bearer.as_str()),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ];
    let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": LITERAL, "version": "1"},
    }});
    let (status, said) = ask(&mcp, "POST", &common, &begin.to_string());
    assert_eq!(status, 200, "{said}");
    let session = said.lines().find_map(|l| {
        l.to_lowercase()
            .strip_prefix("mcp-session-id: ")
            .map(str::to_owned)
    });
    let session = session.unwrap_or_default();
    let mut more = common.to_vec();
    more.push(("mcp-session-id", session.trim()));
    more.push(("mcp-protocol-version", "2025-06-18"));
    ask(
        &mcp,
        "POST",
        &more,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    );
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "word_count", "arguments": {"text": format!("{PASSWORD} {QUOTED}")},
    }});
    let (status, said) = ask(&mcp, "POST", &more, &call.to_string());
    assert!(status == 200 && said.contains('4'), "{said}");
    // A wrong token that is a secret of another kind, and secrets in an address.
    let (status, _) = ask(
        &mcp,
        "POST",
        &[("authorization", &format!("Bearer {LITERAL}"))],
        "{}",
    );
    assert_eq!(status, 401);
    ask(&format!("{mcp}/{LITERAL}?q={PASSWORD}"), "GET", &common, "");
    let (status, signed_in) = ask(&login, "GET", &[], "");
    assert!(status < 400, "{signed_in}");

    let figures = server.said["metrics"].as_str().unwrap().to_owned();
    let (status, text) = ask(&figures, "GET", &[], "");
    assert_eq!(status, 200);
    for line in [
        "handaxe_calls_total{tool=\"word_count\",outcome=\"ok\"} 1",
        "handaxe_http_requests_total{door=\"mcp\",status=\"401\"} 1",
        "handaxe_approvals_waiting 0",
        "handaxe_tools{state=\"active\"} 1",
        "handaxe_queue_wait_seconds_count",
        "handaxe_pool_ready",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    // The listener of the figures leads nowhere else.
    let (status, _) = ask(&figures.replace("/metrics", "/mcp"), "POST", &common, "{}");
    assert_eq!(status, 404);
    let log = server.stop();
    let secrets = [KEY, PASSWORD, LITERAL, QUOTED, token, &one_time];
    assert!(
        String::from_utf8_lossy(&log).contains("http_request"),
        "the log is silent"
    );
    assert_eq!(found(&log, &secrets), [""; 0], "the log holds it");
    assert_eq!(
        found(text.as_bytes(), &secrets),
        [""; 0],
        "the figures hold it"
    );
    let traces: Vec<u8> = collector
        .seen()
        .iter()
        .flat_map(|(_, b)| b.clone())
        .collect();
    assert!(String::from_utf8_lossy(&traces).contains("http_request"));
    assert_eq!(found(&traces, &secrets), [""; 0], "the traces hold it");
    assert_eq!(searched(&lab.home(), &secrets), []);
}
