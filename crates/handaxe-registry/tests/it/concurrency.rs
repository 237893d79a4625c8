//! Several writers on one home: threads with a registry each, which SQLite treats as processes.

use handaxe_registry::{Registry, RunError};
use serde_json::json;

use crate::common::{draft, proved, task};

#[test]
fn many_open_and_write_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("new/home");
    let barrier = std::sync::Barrier::new(6);
    std::thread::scope(|scope| {
        for t in 0..6 {
            let (home, barrier) = (&home, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let registry = Registry::open(home).unwrap();
                let run = registry.start_run(&task("q")).unwrap();
                for i in 0..15 {
                    registry
                        .step_put(run.id(), &format!("s{i}"), &json!([t, i]))
                        .unwrap();
                    let mut draft = draft("shared_name", "q");
                    draft.code = format!("{}# {t} {i}\n", draft.code);
                    let (trial, verdict) = proved(&draft);
                    registry
                        .propose(&draft, &trial, &verdict, None, i64::MAX)
                        .unwrap();
                }
                registry.checkpoint().unwrap();
            });
        }
    });
    let registry = Registry::open(&home).unwrap();
    let found = registry.verify().unwrap();
    assert!(found.ok, "{found:?}");
    // One more: the key that all of them sign with is made once.
    assert_eq!(found.events, 6 * (1 + 15 + 1) + 1);
    let versions: Vec<u32> = registry
        .tools(&[])
        .unwrap()
        .iter()
        .map(|t| t.version.0)
        .collect();
    assert_eq!(versions, (1..=90).rev().collect::<Vec<_>>());
    assert_eq!(registry.runs(100).unwrap().len(), 6);
}

#[test]
fn two_do_not_work_on_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let one = Registry::open(dir.path()).unwrap();
    let two = Registry::open(dir.path()).unwrap();
    let run = one.start_run(&task("q")).unwrap();
    let id = run.id().clone();
    assert!(matches!(two.resume_run(&id), Err(RunError::Live(_))));
    assert!(two.run(&id).unwrap().unwrap().summary.live);
    drop(run);
    assert!(!two.run(&id).unwrap().unwrap().summary.live);
    let resumed = two.resume_run(&id).unwrap();
    assert!(matches!(one.resume_run(&id), Err(RunError::Live(_))));
    drop(resumed);
}
