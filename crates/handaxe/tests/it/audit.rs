//! The journal from the command line: what a chain shows, and what only a checkpoint shows.

use serde_json::json;

use crate::lab::{Lab, example};

#[test]
fn a_checkpoint_kept_elsewhere_finds_a_rolled_back_home() {
    let lab = Lab::new();
    let orders = example("orders.csv");
    lab.run(&[
        "ask",
        "How many rows are there?",
        "--data",
        &orders,
        "--yes",
    ])
    .exits(0);
    // The key is made on first use; the thief's copy has it too.
    lab.run(&["audit", "checkpoint"]).exits(0);
    // A copy of the home as it was: what someone would roll back to.
    let copy = lab.dir().join("before");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(lab.home())
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    lab.run(&["ask", "total price by region", "--data", &orders, "--yes"])
        .exits(0);
    let checkpoint = lab.dir().join("checkpoint.json");
    let checkpoint = checkpoint.to_str().unwrap();
    lab.run(&["audit", "checkpoint", "--out", checkpoint])
        .exits(0);

    let now = lab.json(&["audit", "verify", "--checkpoint", checkpoint]);
    assert_eq!(
        (&now["ok"], &now["first_bad"]),
        (&json!(true), &json!(null)),
        "{now}"
    );

    std::fs::remove_dir_all(lab.home()).unwrap();
    std::fs::rename(&copy, lab.home()).unwrap();
    // The chain alone is intact, and says what it cannot rule out.
    let alone = lab.json(&["audit", "verify"]);
    assert_eq!(alone["ok"], true, "{alone}");
    assert!(
        !alone["not_ruled_out"].as_array().unwrap().is_empty(),
        "{alone}"
    );
    let ran = lab
        .run(&["audit", "verify", "--checkpoint", checkpoint, "--json"])
        .exits(1);
    assert_eq!(ran.json()["ok"], false);
}

#[test]
fn the_log_tells_the_story() {
    let lab = Lab::new();
    lab.run(&[
        "ask",
        "How many rows are there?",
        "--data",
        &example("orders.csv"),
        "--yes",
    ])
    .exits(0);
    let events = lab.json(&["audit", "log"]);
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["kind"].as_str().unwrap())
        .collect();
    let order = [
        "run_started",
        "plan_made",
        "attempt_recorded",
        "approval_requested",
        "approval_granted",
        "tool_registered",
        "tool_invoked",
        "run_ended",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|k| {
            kinds
                .iter()
                .position(|e| e == k)
                .unwrap_or_else(|| panic!("{k}: {kinds:?}"))
        })
        .collect();
    assert!(places.is_sorted(), "{kinds:?}");
    let export = lab.run(&["audit", "export"]).exits(0).stdout;
    assert_eq!(export.lines().count(), kinds.len());
}
