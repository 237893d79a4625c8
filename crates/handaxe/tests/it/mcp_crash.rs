//! PERS01 at the door for agents: a server killed with SIGKILL while it is busy comes back with
//! everything that it had acknowledged.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use handaxe_types::Digest;
use serde_json::{Value, json};

use crate::door::{PATIENCE, answer};
use crate::lab::Lab;
use crate::script::{Tool, count_words, integer, text};
use crate::server::Server;

const CALLERS: usize = 16;
/// Calls that are answered before the server is killed, and approvals that are given.
const CALLS: usize = 200;
const APPROVALS: usize = 2;

/// Every input that the database has a call of.
fn recorded(lab: &Lab) -> BTreeSet<String> {
    let code = "import sqlite3, sys\n\
        rows = sqlite3.connect(sys.argv[1]).execute('SELECT input FROM invocation')\n\
        print('\\n'.join(r[0] for r in rows))";
    let out = Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", code])
        .arg(lab.home().join("handaxe.db"))
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A process and all that came of it, by number and time of start: a number alone comes again.
fn family(root: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut look = vec![root];
    let all: Vec<(u32, u32, String)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let (parent, start) = stat(pid)?;
            Some((pid, parent, start))
        })
        .collect();
    while let Some(parent) = look.pop() {
        for (pid, of, start) in &all {
            if *of == parent {
                found.push((*pid, start.clone()));
                look.push(*pid);
            }
        }
    }
    found
}

/// The parent and the time of start, of a process that is alive.
pub(crate) fn stat(pid: u32) -> Option<(u32, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    if matches!(fields[0], "Z" | "X") {
        return None;
    }
    Some((fields[1].parse().ok()?, fields[19].to_owned()))
}

/// Descendants that have had the processor for a fifth of a second or more, and want it now.
pub(crate) fn busy(root: u32) -> Vec<(u32, String)> {
    let mut found = family(root);
    found.retain(|(pid, _)| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.split(' ').collect())
            .unwrap_or_default();
        let ticks = fields.get(11).and_then(|t| t.parse::<u64>().ok());
        fields.first() == Some(&"R") && ticks >= Some(20)
    });
    found
}

fn nth(n: usize) -> Tool {
    let name = format!(
        "times_{}",
        ["two", "three", "four", "five", "six", "seven"][n]
    );
    let by = n + 2;
    Tool::new(&name, &format!("Multiplies a number by {by}."), ("number", json!({"type": "integer", "minimum": -1000, "maximum": 1000})), ("product", integer()))
        .code(&format!("\"\"\"Multiplies.\"\"\"\n\n\ndef run(*, number: int) -> dict[str, int]:\n    \"\"\"Multiply.\"\"\"\n    return {{\"product\": number * {by}}}\n"))
        .case(json!({"number": 3}), json!({"product": 3 * by}))
        .case(json!({"number": -7}), json!({"product": -7 * by as i64}))
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_under_load() {
    let lab = Lab::new();
    count_words().import(&lab);
    for n in 0..6 {
        let name = nth(n).spec["name"].as_str().unwrap().to_owned();
        let golden = json!({"input": {"number": 11}, "expect": {"product": 11 * (n + 2)}});
        lab.file(&format!("home/goldens/{name}.jsonl"), golden.to_string());
    }
    let _ = text();
    let mut serving = Server::start(&lab, &[]);
    let (acknowledged, killed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let approved = AtomicUsize::new(0);
    let (inputs, family) = std::thread::scope(|scope| {
        let (serving_ref, acknowledged, killed, approved) =
            (&serving, &acknowledged, &killed, &approved);
        let callers: Vec<_> = (0..CALLERS)
            .map(|me| {
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    for n in 0.. {
                        let input = json!({"text": format!("caller {me} call {n}")});
                        let params = json!({"name": "count_words", "arguments": input});
                        let reply = ask(serving_ref, params);
                        let Some(reply) = reply else { break };
                        assert_eq!(reply["result"]["structuredContent"]["count"], 4, "{reply}");
                        mine.push(input);
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    mine
                })
            })
            .collect();
        let maker = {
            let lab = &lab;
            scope.spawn(move || {
                for n in 0..6 {
                    if killed.load(Ordering::SeqCst) {
                        return;
                    }
                    let tool = nth(n);
                    let draft = json!({"spec": tool.spec, "code": tool.code, "cases": tool.cases, "why": "sums"});
                    let params = json!({"name": "propose_tool", "arguments": draft});
                    let Some(reply) = ask(serving_ref, params) else { return };
                    let state = &reply["result"]["structuredContent"];
                    assert_eq!(state["state"], "waiting", "{reply}");
                    let id = state["approval"].to_string();
                    lab.run(&["approvals", "approve", &id]).exits(0);
                    approved.store(n + 1, Ordering::SeqCst);
                }
            })
        };
        let until = Instant::now() + 2 * PATIENCE;
        while acknowledged.load(Ordering::SeqCst) < CALLS
            || approved.load(Ordering::SeqCst) < APPROVALS
        {
            assert!(
                Instant::now() < until,
                "too slow: {acknowledged:?} {approved:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = serving_ref.child.id();
        let family = self::family(pid);
        let server = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
        killed.store(true, Ordering::SeqCst);
        maker.join().unwrap();
        let inputs: Vec<Value> = callers
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect();
        (inputs, family)
    });
    let _ = serving.child.wait();
    assert!(inputs.len() >= CALLS);
    assert!(!family.is_empty(), "the server had a jail");
    // Its jails go with it.
    let until = Instant::now() + PATIENCE;
    loop {
        let left: Vec<_> = family
            .iter()
            .filter(|(pid, start)| stat(*pid).is_some_and(|(_, s)| s == *start))
            .collect();
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "left over: {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Every answer that was given is on record, in a journal that holds together.
    let recorded = recorded(&lab);
    for input in &inputs {
        assert!(
            recorded.contains(&Digest::of_json(input).to_string()),
            "{input} was lost"
        );
    }
    let verified = lab.json(&["audit", "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
    // It comes back, and what was approved is.
    let serving = Server::start(&lab, &[]);
    for n in 0..approved.load(Ordering::SeqCst) {
        let name = nth(n).spec["name"].clone();
        let reply = serving.mcp(
            "tools/call",
            json!({"name": name, "arguments": {"number": 5}}),
        );
        assert_eq!(
            reply["result"]["structuredContent"]["product"],
            5 * (n + 2),
            "{reply}"
        );
    }
    let reply = serving.mcp(
        "tools/call",
        json!({"name": "count_words", "arguments": {"text": "a b"}}),
    );
    assert_eq!(reply["result"]["structuredContent"]["count"], 2, "{reply}");
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

/// The reply, or none where the server is gone.
fn ask(serving: &Server, params: Value) -> Option<Value> {
    let (status, reply) = serving.reach_mcp("tools/call", params)?;
    let answer = answer(&reply)?;
    assert_eq!(status, 200, "{reply}");
    Some(answer)
}
