//! The memo, the ends of runs, attempts, exchanges, calls.

use handaxe_registry::{Attempt, Exchange, Registry, RunEnd, RunError};
use handaxe_types::{Plan, Route, RunState};
use serde_json::json;

use crate::common::{Home, draft, profile, proved, result, task, tool};

#[test]
fn a_step_is_finished_once() {
    let home = Home::new();
    let run = home.registry.start_run(&task("q")).unwrap();
    let get = |key: &str| home.registry.step_get(run.id(), key).unwrap();
    assert_eq!(get("reply"), None);
    let value = json!({ "text": "é\u{0}\r\n", "n": 0.1, "big": u64::MAX });
    home.registry.step_put(run.id(), "reply", &value).unwrap();
    home.registry.step_put(run.id(), "reply", &value).unwrap();
    assert_eq!(get("reply"), Some(value.clone()));
    assert!(matches!(
        home.registry.step_put(run.id(), "reply", &json!(2)),
        Err(RunError::StepConflict { .. })
    ));
    assert_eq!(get("reply"), Some(value));
    let nobody = handaxe_types::RunId::new(0, [0; 3]);
    assert!(matches!(
        home.registry.step_put(&nobody, "k", &json!(1)),
        Err(RunError::NotFound(_))
    ));
    let large = json!("x\n".repeat(6 << 20));
    home.registry.step_put(run.id(), "large", &large).unwrap();
    assert_eq!(get("large"), Some(large));
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    assert!(home.registry.step_put(run.id(), "deep", &deep).is_err());
    assert_eq!(get("deep"), None);
    home.sql("UPDATE blob SET bytes = CAST('3' AS BLOB) WHERE digest = (SELECT value FROM step)");
    assert!(matches!(
        home.registry.step_get(run.id(), "reply"),
        Err(RunError::StepDamaged { .. })
    ));
}

#[test]
fn from_start_to_end() {
    let home = Home::new();
    let registry = &home.registry;
    let run = registry.start_run(&task("how long?")).unwrap();
    let id = run.id().clone();
    let plan = Plan {
        route: Route::Direct {
            answer: "42".into(),
        },
        steps: vec!["answer".into()],
        candidates: vec![],
    };
    registry.record_plan(&id, &plan).unwrap();
    let events = registry.verify().unwrap().events;
    registry.record_plan(&id, &plan).unwrap();
    assert_eq!(registry.verify().unwrap().events, events);
    let waiting = RunEnd {
        state: RunState::Waiting,
        answer: Some(json!({ "approval": 1 })),
        stopped_by: None,
    };
    registry.end_run(&id, &waiting).unwrap();
    drop(run);
    let run = registry.resume_run(&id).unwrap();
    let done = RunEnd {
        state: RunState::Done,
        answer: Some(json!({ "answer": 42 })),
        stopped_by: None,
    };
    registry.end_run(&id, &done).unwrap();
    registry.end_run(&id, &done).unwrap();
    assert!(matches!(
        registry.end_run(&id, &waiting),
        Err(RunError::Over { .. })
    ));
    drop(run);
    assert!(matches!(
        registry.resume_run(&id),
        Err(RunError::Over { .. })
    ));
    let shown = registry.run(&id).unwrap().unwrap();
    assert_eq!(shown.task, task("how long?"));
    assert_eq!(shown.plan, Some(plan));
    assert_eq!(shown.answer, Some(json!({ "answer": 42 })));
    assert_eq!(shown.summary.route.as_deref(), Some("direct"));
    assert!(registry.verify().unwrap().ok);
}

#[test]
fn attempts_and_exchanges_are_kept_whole() {
    let home = Home::new();
    let registry = &home.registry;
    let run = registry.start_run(&task("q")).unwrap();
    let draft = draft("count_text", "q");
    let (trial, verdict) = proved(&draft);
    let prose = Attempt {
        n: 1,
        stderr: "the reply held no code\u{1b}[31m".into(),
        ..Attempt::default()
    };
    let whole = Attempt {
        n: 2,
        draft: Some(draft),
        trial: Some(trial),
        verdict: Some(verdict),
        stderr: String::new(),
        diff: "--- a\n+++ b\n".into(),
    };
    for attempt in [&prose, &whole, &whole] {
        registry.record_attempt(run.id(), attempt).unwrap();
    }
    let mut other = whole.clone();
    other.diff.push('x');
    assert!(matches!(
        registry.record_attempt(run.id(), &other),
        Err(RunError::AttemptConflict { n: 2, .. })
    ));
    assert_eq!(registry.attempts(run.id()).unwrap(), [prose, whole]);
    let dir = registry.attempt_dir(run.id(), 2);
    let names = |dir: &std::path::Path| {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&dir),
        [
            "cases.jsonl",
            "diff.patch",
            "held_out.jsonl",
            "spec.json",
            "stderr.txt",
            "tool.py",
            "trial.json",
            "verdict.json"
        ]
    );
    let open = std::fs::read_to_string(dir.join("cases.jsonl")).unwrap();
    assert!(open.contains("three letters") && !open.contains("held_out"));

    let exchange = Exchange {
        role: "author".into(),
        model: "replay:x".into(),
        prompt: "write".into(),
        reply: "no".into(),
        tokens_in: 10,
        tokens_out: 2,
        seconds: 1.25,
    };
    let (prompt, reply) = registry
        .record_exchange(run.id(), "author/1", &exchange)
        .unwrap();
    registry
        .record_exchange(run.id(), "author/1", &exchange)
        .unwrap();
    assert_eq!(registry.text(prompt).unwrap(), "write");
    assert_eq!(registry.text(reply).unwrap(), "no");
    assert_eq!(registry.exchanges(run.id()).unwrap().len(), 1);
    assert!(registry.verify().unwrap().ok);
}

#[test]
fn calls_are_counted() {
    let home = Home::new();
    home.register(&draft("count_text", "q"));
    let run = home.registry.start_run(&task("q")).unwrap();
    let approved = home
        .registry
        .load_approved(&tool("count_text"), &profile())
        .unwrap();
    let mut failed = result();
    failed.outcome = handaxe_types::Outcome::Timeout;
    failed.output = None;
    for outcome in [&result(), &failed] {
        home.registry
            .record_invocation(&approved, Some(run.id()), &serde_json::Map::new(), outcome)
            .unwrap();
    }
    let usage = home.registry.tools(&[]).unwrap()[0].usage;
    assert_eq!((usage.calls, usage.ok), (2, 1));
    let calls = home.registry.run_invocations(run.id()).unwrap();
    assert_eq!(calls[0].layers, result().layers);
    assert_eq!(calls[1].outcome, handaxe_types::Outcome::Timeout);
    let newest = home
        .registry
        .tool_invocations(&tool("count_text"), 1)
        .unwrap();
    assert_eq!(newest[0].id, calls[1].id);
}

#[test]
fn the_registry_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Registry>();
}

/// Calls that end together share a transaction, and each is still its own: numbered, named after
/// who made it, on disk before its caller goes on.
#[test]
fn calls_that_end_together_are_all_kept() {
    const THREADS: usize = 16;
    const EACH: usize = 25;
    let home = Home::new();
    home.register(&draft("count_text", "q"));
    let approved = home
        .registry
        .load_approved(&tool("count_text"), &profile())
        .unwrap();
    // A second process that holds the database makes them wait, and so meet.
    let other = home.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ids = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|n| {
                let registry = home.registry.acting_as(&format!("caller:{n}"));
                let approved = &approved;
                scope.spawn(move || {
                    (0..EACH)
                        .map(|_| {
                            let id = registry
                                .record_invocation(
                                    approved,
                                    None,
                                    &serde_json::Map::new(),
                                    &result(),
                                )
                                .unwrap();
                            // Acknowledged is durable: another connection sees it.
                            assert_eq!(registry.tools(&[]).unwrap().len(), 1);
                            id
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        // Reading goes on beside a write that waits.
        assert_eq!(home.registry.tools(&[]).unwrap()[0].usage.calls, 0);
        std::thread::sleep(std::time::Duration::from_millis(100));
        other.execute_batch("ROLLBACK").unwrap();
        workers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(ids.len(), THREADS * EACH);
    assert_eq!(
        home.registry.tools(&[]).unwrap()[0].usage.calls,
        (THREADS * EACH) as u64
    );
    let actors: std::collections::BTreeSet<String> = home
        .registry
        .log(&handaxe_registry::LogFilter {
            kind: Some(handaxe_types::EventKind::ToolInvoked),
            ..handaxe_registry::LogFilter::default()
        })
        .unwrap()
        .into_iter()
        .map(|e| e.actor)
        .collect();
    assert_eq!(actors.len(), THREADS);
    assert!(home.registry.verify().unwrap().ok);
}
