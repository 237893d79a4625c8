//! PERS01: a process killed at any moment loses nothing that it acknowledged.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use handaxe_registry::Registry;
use handaxe_types::{RunId, RunState};
use serde_json::json;

use crate::common::{draft, proved, task};

const HOME: &str = "HANDAXE_TEST_CRASH_HOME";
const KILLS: u64 = 60;

/// Not a test by itself: the process that is killed. Acknowledges each step after it returned.
#[test]
fn child() {
    let Some(home) = std::env::var_os(HOME) else {
        return;
    };
    let registry = Registry::open(home.as_ref()).unwrap();
    let run = registry.start_run(&task("killed")).unwrap();
    println!("run {}", run.id());
    for i in 0..100_000 {
        let key = format!("step/{i}");
        registry
            .step_put(
                run.id(),
                &key,
                &json!({ "i": i, "pad": "x".repeat(i % 5000) }),
            )
            .unwrap();
        println!("ack {i}");
        if i % 10 == 3 {
            let draft = draft(&format!("tool_{i}_x"), "why");
            let (trial, verdict) = proved(&draft);
            let request = registry
                .propose(&draft, &trial, &verdict, Some(run.id()), i64::MAX)
                .unwrap();
            println!("approval {}", request.id);
        }
    }
}

#[test]
fn no_acknowledged_step_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        #[expect(
            clippy::disallowed_methods,
            reason = "starts this test binary itself, to kill it"
        )]
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture"])
            .env(HOME, &home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(kill);
        std::thread::sleep(Duration::from_millis(20 + (seed >> 33) % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let (mut run, mut last, mut approvals) = (None, None, Vec::new());
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            // A line that was cut by the kill was not acknowledged in full.
            match line.split_once(' ') {
                Some(("run", id)) => run = RunId::parse(id),
                Some(("ack", i)) => last = i.parse::<u64>().ok(),
                Some(("approval", id)) => approvals.extend(id.parse::<i64>()),
                _ => {}
            }
        }
        let registry = Registry::open(&home).unwrap();
        assert!(registry.verify().unwrap().ok, "kill {kill}");
        let Some(run) = run else { continue };
        let found = registry.run(&run).unwrap().unwrap();
        assert_eq!(
            (found.summary.state, found.summary.live),
            (RunState::Running, false)
        );
        for i in 0..=last.unwrap_or(0) {
            if last.is_none() {
                break;
            }
            let value = registry.step_get(&run, &format!("step/{i}")).unwrap();
            assert_eq!(value.unwrap()["i"], json!(i));
            acknowledged += 1;
        }
        for id in approvals {
            let id = handaxe_types::ApprovalId(id);
            assert!(registry.proposal(id).unwrap().is_some(), "approval {id}");
        }
        let resumed = registry.resume_run(&run).unwrap();
        assert_eq!(resumed.id(), &run);
    }
    assert!(
        acknowledged > KILLS,
        "the child was never killed at work: {acknowledged} acknowledged"
    );
}
