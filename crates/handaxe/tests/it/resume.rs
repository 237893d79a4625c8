//! kill -9 at any step, then `runs resume` finishes without paying twice or losing an attempt.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use handaxe_registry::Registry;
use handaxe_types::RunState;
use serde_json::{Value, json};

use crate::lab::{Lab, example, root};

/// An OpenAI-compatible server on loopback that plays a scripted conversation, by role and order,
/// and counts how often each prompt was sent.
struct Provider {
    url: String,
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Provider {
    fn start(conversation: &str) -> Self {
        let path = root()
            .join("crates/handaxe/tests/it/conversations")
            .join(format!("{conversation}.jsonl"));
        let mut replies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::fs::read_to_string(path).unwrap().lines().skip(1) {
            let entry: Value = serde_json::from_str(line).unwrap();
            let text = match &entry["reply"] {
                Value::String(text) => text.clone(),
                Value::Array(lines) => lines
                    .iter()
                    .map(|l| l.as_str().unwrap())
                    .collect::<Vec<_>>()
                    .join("\n"),
                other => other.to_string(),
            };
            replies
                .entry(entry["role"].as_str().unwrap().to_owned())
                .or_default()
                .push(text);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(BTreeMap::new()));
        // The same prompt gets the same reply, as a resumed run must see it.
        let given = Arc::new(Mutex::new(BTreeMap::<String, String>::new()));
        let replies = Arc::new(Mutex::new(replies));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counter, given, replies) = (
                    Arc::clone(&counter),
                    Arc::clone(&given),
                    Arc::clone(&replies),
                );
                std::thread::spawn(move || answer(stream, &counter, &given, &replies));
            }
        });
        Self { url, asked }
    }

    /// `ask` under way against this provider.
    fn ask(&self, lab: &Lab) -> std::process::Child {
        let question = "What is MCMXCIV as a number?";
        let model = ["--model", "openai:scripted", "--base-url", &self.url];
        lab.command(&["ask", question, "--yes"])
            .args(model)
            .spawn()
            .unwrap()
    }

    /// (prompts asked more than once, prompts in all)
    fn repeats(&self) -> (usize, usize) {
        let asked = self.asked.lock().unwrap();
        (asked.values().filter(|n| **n > 1).count(), asked.len())
    }
}

fn answer(
    mut stream: TcpStream,
    asked: &Mutex<BTreeMap<String, u32>>,
    given: &Mutex<BTreeMap<String, String>>,
    replies: &Mutex<BTreeMap<String, Vec<String>>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let prompt = request["messages"].to_string();
    *asked.lock().unwrap().entry(prompt.clone()).or_insert(0) += 1;
    let role = match &prompt {
        p if p.contains("You plan how a question") => "planner",
        p if p.contains("You write one small Python tool") => "author",
        p if p.contains("You write tests for a tool") => "tester",
        p if p.contains("You review a small Python tool") => "reviewer",
        _ => "arbiter",
    };
    let text = {
        let mut given = given.lock().unwrap();
        let mut replies = replies.lock().unwrap();
        given
            .entry(prompt.clone())
            .or_insert_with(|| match role {
                "reviewer" => r#"{"summary": "It does that.", "objections": []}"#.to_owned(),
                role => replies.get_mut(role).unwrap().remove(0),
            })
            .clone()
    };
    // Long enough that a kill between calls hits between calls.
    std::thread::sleep(Duration::from_millis(80));
    let reply = json!({
        "id": "x", "object": "chat.completion", "model": "scripted",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 300, "total_tokens": 1200},
    })
    .to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{reply}",
        reply.len()
    );
}

#[test]
fn killed_after_each_paid_reply() {
    // Planner, author, tester, author again, and the reviewer: the fourth kill falls into the
    // second attempt.
    for kill_at in 1..=4 {
        let lab = Lab::new();
        let provider = Provider::start("success_after_one_repair");
        let mut child = provider.ask(&lab);
        let run = wait_for(&mut child, || {
            let registry = Registry::open(&lab.home()).ok()?;
            let run = registry.runs(1).ok()?.into_iter().next()?;
            let steps = registry.run(&run.id).ok()??.steps;
            let paid = steps.iter().filter(|s| s.starts_with("reply/")).count();
            (paid >= kill_at).then_some(run.id)
        });
        let _ = child.kill();
        child.wait().unwrap();
        let registry = Registry::open(&lab.home()).unwrap();
        let before = registry.attempts(&run).unwrap();
        if registry.run(&run).unwrap().unwrap().summary.state != RunState::Done {
            let done = lab
                .run(&["runs", "resume", run.as_str(), "--yes", "--json"])
                .exits(0)
                .json();
            assert_eq!(
                done["result"],
                json!({"value": 1994}),
                "killed at {kill_at}: {done}"
            );
        }
        let after = registry.attempts(&run).unwrap();
        assert_eq!(after.len(), 2);
        assert_eq!(
            before[..],
            after[..before.len()],
            "an attempt was lost or rewritten"
        );
        // The call under way when the process died may be asked again; one that was paid for and
        // kept may not.
        let (repeated, prompts) = provider.repeats();
        assert!(
            repeated <= 1 && prompts == 5,
            "killed at {kill_at}: {repeated} of {prompts}"
        );
        assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
    }
}

/// Waits until `ready` gives something, or the child ends, or patience does.
fn wait_for<T>(child: &mut std::process::Child, mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        if let Some(found) = ready() {
            return found;
        }
        let _ = child.try_wait();
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("it never came");
}

#[test]
fn killed_at_any_moment_with_the_composer() {
    let logs = example("logs.jsonl");
    let mut resumed = 0;
    for delay_ms in [20, 60, 120, 200, 300, 450, 600, 900] {
        let lab = Lab::new();
        let mut child = lab
            .command(&[
                "ask",
                "Analyze the sentiment of these logs",
                "--data",
                &logs,
                "--yes",
            ])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms));
        let _ = child.kill();
        child.wait().unwrap();
        let runs = lab.json(&["runs", "list"]);
        for run in runs["runs"].as_array().unwrap() {
            if run["state"] == "running" {
                let id = run["id"].as_str().unwrap();
                let ran = lab.run(&["runs", "resume", id, "--yes", "--json"]);
                if ran.code == 1 {
                    // Killed before it had begun: says so, and nothing was paid for.
                    ran.says("before it had begun");
                    continue;
                }
                let done = ran.exits(0).json();
                assert_eq!(done["state"], "done", "{done}");
                resumed += 1;
            }
        }
        assert_eq!(
            lab.json(&["audit", "verify"])["ok"],
            true,
            "killed after {delay_ms} ms"
        );
        let versions = lab.json(&["tools", "list"]);
        assert!(
            versions["tools"].as_array().unwrap().len() <= 1,
            "{versions}"
        );
    }
    assert!(resumed >= 2, "only {resumed} kills fell into a run");
}

#[test]
fn ctrl_c_leaves_a_resumable_run() {
    let lab = Lab::new();
    let provider = Provider::start("success_at_once");
    let child = provider.ask(&lab);
    let mut child = child;
    wait_for(&mut child, || {
        let registry = Registry::open(&lab.home()).ok()?;
        let run = registry.runs(1).ok()?.into_iter().next()?;
        let steps = registry.run(&run.id).ok()??.steps;
        steps.iter().any(|s| s.starts_with("reply/")).then_some(())
    });
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let out = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    let resume = stderr
        .split("handaxe runs resume ")
        .nth(1)
        .unwrap_or_else(|| panic!("{stderr}"));
    let id: String = resume
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let done = lab
        .run(&["runs", "resume", &id, "--yes", "--json"])
        .exits(0)
        .json();
    assert_eq!(done["result"], json!({"value": 1994}));
}

#[test]
fn a_live_run_is_not_resumed_beside_itself() {
    let lab = Lab::new();
    let provider = Provider::start("success_at_once");
    let mut child = provider.ask(&lab);
    let run = wait_for(&mut child, || {
        let registry = Registry::open(&lab.home()).ok()?;
        registry.runs(1).ok()?.into_iter().next().map(|r| r.id)
    });
    lab.run(&["runs", "resume", run.as_str()])
        .exits(1)
        .says("under way in another process");
    assert!(child.wait().unwrap().success());
}
