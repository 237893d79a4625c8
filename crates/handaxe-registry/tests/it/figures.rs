//! What a library's use and worth are judged by, and the lists that are read a page at a time.

use std::sync::atomic::Ordering;

use handaxe_registry::{Attempt, Exchange, LogFilter, RunFilter};
use handaxe_types::{ApprovalMethod, Outcome, RunState};

use crate::common::{HOUR, Home, START, draft, profile, proved, result, task, tool};

const DAY: i64 = 24 * HOUR;

/// The run that made a tool does not count as an occasion that it saved, and a busy day counts once.
#[test]
fn worth_is_counted_by_occasions() {
    let home = Home::new();
    let registry = &home.registry;
    let made_in = registry.start_run(&task("count it")).unwrap();
    let made = draft("count_text", "count it");
    let (trial, verdict) = proved(&made);
    let exchange = Exchange {
        role: "author".into(),
        model: "m:x".into(),
        prompt: "p".into(),
        reply: "r".into(),
        tokens_in: 900,
        tokens_out: 100,
        seconds: 7.0,
    };
    registry
        .record_exchange(made_in.id(), "k", &exchange)
        .unwrap();
    let attempt = Attempt {
        n: 1,
        draft: Some(made.clone()),
        trial: Some(trial),
        verdict: Some(verdict),
        ..Attempt::default()
    };
    registry.record_attempt(made_in.id(), &attempt).unwrap();
    let request = home.propose(&made, Some(made_in.id()));
    registry
        .approve_and_register(request.id, request.subject, "al", ApprovalMethod::Command)
        .unwrap();
    home.register(&draft("never_used", "nobody"));

    let approved = registry
        .load_approved(&tool("count_text"), &profile())
        .unwrap();
    let call = |run: Option<&handaxe_types::RunId>, outcome: Outcome| {
        let mut call = result();
        call.outcome = outcome;
        registry
            .record_invocation(&approved, run, &serde_json::Map::new(), &call)
            .unwrap();
    };
    call(Some(made_in.id()), Outcome::Ok);
    let other = registry.start_run(&task("again")).unwrap();
    call(Some(other.id()), Outcome::Ok);
    call(Some(other.id()), Outcome::Ok);
    for _ in 0..3 {
        call(None, Outcome::Ok);
    }
    call(None, Outcome::Timeout);
    home.clock.fetch_add(2 * DAY, Ordering::Relaxed);
    call(None, Outcome::ToolError);
    call(None, Outcome::Ok);

    let figures = registry.figures().unwrap();
    let [used, unused] = &figures[..] else {
        panic!("{figures:?}")
    };
    assert_eq!((used.usage.calls, used.usage.ok), (9, 7));
    // The other run, and two days; the run that made it is no occasion.
    assert_eq!(used.occasions, 3);
    assert!((used.seconds - 6.0 * 0.0015).abs() < 1e-9, "{used:?}");
    assert_eq!((used.build.tokens, used.build.attempts), (1000, 1));
    assert!((used.build.seconds() - 7.0031).abs() < 1e-9, "{used:?}");
    assert_eq!((used.p50_ms, used.p95_ms), (Some(1.5), Some(1.5)));
    assert_eq!((unused.usage.calls, unused.occasions), (0, 0));
    assert_eq!((unused.p50_ms, unused.build.tokens), (None, 0));
    assert!((unused.build.proof_seconds - 0.0031).abs() < 1e-9);

    let days = registry.usage_over_time(None, START, DAY).unwrap();
    let drawn: Vec<(i64, u64, u64)> = days
        .iter()
        .map(|d| ((d.from_ms - START) / DAY, d.calls, d.ok))
        .collect();
    assert_eq!(drawn, [(0, 7, 6), (2, 2, 1)]);
    let none = registry
        .usage_over_time(Some(&tool("never_used")), START, DAY)
        .unwrap();
    assert!(none.is_empty());
    let name = handaxe_types::ToolName::new("count_text").unwrap();
    let proof = registry.proof_of(&name, handaxe_types::Version(1)).unwrap();
    assert!(proof.is_some_and(|(_, verdict)| verdict.accepted));
}

#[test]
fn lists_are_read_a_page_at_a_time() {
    let home = Home::new();
    let registry = &home.registry;
    let mut begun = Vec::new();
    for n in 0..5 {
        let run = registry.start_run(&task(&format!("Question {n}"))).unwrap();
        begun.push(run.id().clone());
    }
    begun.reverse();
    let ids = |filter: &RunFilter, limit| -> Vec<_> {
        let runs = registry.runs_that(filter, limit).unwrap();
        runs.into_iter().map(|r| r.id).collect()
    };
    let mut filter = RunFilter::default();
    assert_eq!(ids(&filter, 2), begun[..2]);
    filter.before = Some(begun[1].clone());
    assert_eq!(ids(&filter, 9), begun[2..]);
    filter = RunFilter {
        question: Some("question 3".into()),
        ..RunFilter::default()
    };
    assert_eq!(ids(&filter, 9), begun[1..2]);
    filter.state = Some(RunState::Done);
    assert!(ids(&filter, 9).is_empty());

    assert_eq!(registry.last_event().unwrap(), 5);
    let newest = LogFilter {
        newest_first: true,
        before: Some(5),
        limit: Some(2),
        ..LogFilter::default()
    };
    let seqs: Vec<i64> = registry
        .log(&newest)
        .unwrap()
        .iter()
        .map(|e| e.seq)
        .collect();
    assert_eq!(seqs, [4, 3]);
}
