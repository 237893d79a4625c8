//! One use before a yes: who may have it, once, and what it never becomes.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use handaxe_registry::{LoadError, LogFilter, Provisional, ProvisionalError, Registry};
use handaxe_types::{
    ApprovalMethod, ApprovalPolicy, ApprovalRequest, Capability, Digest, EventKind, Isolation,
    Layer, Profile, RunId, ToolDigest,
};
use serde_json::Map;

use crate::common::{HOUR, Home, draft, profile, proved, result, task, tool};

const MINUTES: u32 = 30;

fn allowing(registry: &Registry) -> Registry {
    registry.under(ApprovalPolicy {
        while_waiting_minutes: MINUTES,
        ..ApprovalPolicy::default()
    })
}

/// A tool that waits, and the run that made it.
fn waiting(home: &Home, name: &str) -> (ApprovalRequest, RunId) {
    let run = home.registry.start_run(&task(name)).unwrap();
    let request = home.propose(&draft(name, "why"), Some(run.id()));
    (request, run.id().clone())
}

fn mint(
    registry: &Registry,
    request: &ApprovalRequest,
    run: &RunId,
) -> Result<Provisional, ProvisionalError> {
    registry.mint_provisional(request.id, request.subject, run, "alice", &profile())
}

fn kind(refused: Result<Provisional, ProvisionalError>) -> &'static str {
    refused.map(drop).unwrap_err().kind()
}

fn denied(home: &Home) -> usize {
    let filter = LogFilter {
        kind: Some(EventKind::RunDenied),
        ..LogFilter::default()
    };
    home.registry.log(&filter).unwrap().len()
}

#[test]
fn the_run_that_made_it_has_one_use_and_it_is_no_approval() {
    let home = Home::new();
    let registry = allowing(&home.registry);
    let (request, run) = waiting(&home, "letter_counter");
    assert!(
        registry
            .may_use_while_waiting(request.id, &run, &profile())
            .unwrap()
    );
    let minted = mint(&registry, &request, &run).unwrap();
    assert_eq!(
        minted.record().until_ms - minted.record().at_ms,
        i64::from(MINUTES) * 60_000
    );
    assert!(minted.code().contains("len(text)"));
    registry.still_provisional(&minted).unwrap();
    registry
        .record_provisional_invocation(&minted, &Map::new(), &result())
        .unwrap();
    // Shown where people look, and journalled so that a change shows.
    let detail = registry.approval(request.id).unwrap().unwrap();
    assert_eq!(detail.provisional.as_ref(), Some(minted.record()));
    let shown = registry.run(&run).unwrap().unwrap().rests_on;
    assert_eq!(shown.len(), 1);
    assert!(shown[0].provisional && !shown[0].tainted);
    assert!(shown[0].caution().unwrap().contains("not approved yet"));
    assert!(registry.run_invocations(&run).unwrap()[0].provisional);
    assert!(registry.verify().unwrap().ok);
    // It became nothing else: not runnable, not found, not listed.
    let load = registry.load_approved(&tool("letter_counter"), &profile());
    assert!(
        matches!(load, Err(LoadError::NotApproved { .. })),
        "{load:?}"
    );
    assert!(registry.offers().unwrap().is_empty());
    assert!(registry.search("letter counter", 5).unwrap().is_empty());
    // A second use is none, whoever asks.
    assert_eq!(kind(mint(&registry, &request, &run)), "used_already");
    assert!(
        !registry
            .may_use_while_waiting(request.id, &run, &profile())
            .unwrap()
    );
    // Approved later, the answer no longer rests on a guess.
    registry
        .approve_and_register(request.id, request.subject, "bob", ApprovalMethod::Command)
        .unwrap();
    assert_eq!(kind(mint(&registry, &request, &run)), "already_decided");
    assert!(
        registry.run(&run).unwrap().unwrap().rests_on[0]
            .caution()
            .is_none()
    );
    assert!(matches!(
        registry.still_provisional(&minted),
        Err(ProvisionalError::Decided { .. })
    ));
}

#[test]
fn nobody_else_has_it() {
    let home = Home::new();
    let registry = allowing(&home.registry);
    let (request, run) = waiting(&home, "letter_counter");
    let other = home.registry.start_run(&task("other")).unwrap();
    let before = denied(&home);
    assert_eq!(kind(mint(&registry, &request, other.id())), "other_run");
    // Off unless the policy says so.
    assert_eq!(
        kind(mint(&home.registry, &request, &run)),
        "while_waiting_off"
    );
    let another = ToolDigest(Digest::of(b"another"));
    let changed = registry.mint_provisional(request.id, another, &run, "alice", &profile());
    assert_eq!(kind(changed), "digest_changed");
    let nobody = registry.mint_provisional(request.id, request.subject, &run, " ", &profile());
    assert_eq!(kind(nobody), "no_approver");
    let weaker = Profile::new(
        "weak",
        Isolation::Container,
        &[Layer::Seccomp],
        Digest::of(b"w"),
    );
    let weak = registry.mint_provisional(request.id, request.subject, &run, "alice", &weaker);
    assert_eq!(kind(weak), "profile_mismatch");
    assert_eq!(denied(&home), before + 5, "every refusal is journalled");
    // A tool that hands files back asks for more than to read.
    let mut writes = draft("file_writer", "why");
    writes.spec.capabilities = vec![Capability::ReadFiles, Capability::WriteFiles];
    let writer = home.propose(&writes, Some(other.id()));
    assert_eq!(kind(mint(&registry, &writer, other.id())), "capability");
    let mut reads = draft("file_reader", "why");
    reads.spec.capabilities = vec![Capability::ReadFiles];
    let reader = home.registry.start_run(&task("reads")).unwrap();
    let request = home.propose(&reads, Some(reader.id()));
    mint(&registry, &request, reader.id()).unwrap();
}

#[test]
fn its_time_is_short() {
    let home = Home::new();
    let registry = allowing(&home.registry);
    let (request, run) = waiting(&home, "letter_counter");
    let minted = mint(&registry, &request, &run).unwrap();
    home.clock
        .fetch_add(i64::from(MINUTES) * 60_000 - 60, Ordering::Relaxed);
    registry.still_provisional(&minted).unwrap();
    home.clock.fetch_add(100, Ordering::Relaxed);
    assert!(matches!(
        registry.still_provisional(&minted),
        Err(ProvisionalError::Late { minutes: 30 })
    ));
    // What expired is not used at all, and a use never outlasts its request.
    let (request, run) = waiting(&home, "word_counter");
    home.clock.fetch_add(HOUR - 1_000, Ordering::Relaxed);
    let minted = mint(&registry, &request, &run).unwrap();
    assert_eq!(minted.record().until_ms, request.expires_ms);
    let (request, run) = waiting(&home, "line_counter");
    home.clock.fetch_add(HOUR + 1_000, Ordering::Relaxed);
    assert_eq!(kind(mint(&registry, &request, &run)), "expired");
}

#[test]
fn what_was_rejected_is_not_used_and_taints_what_rested_on_it() {
    let home = Home::new();
    let registry = allowing(&home.registry);
    let (request, run) = waiting(&home, "letter_counter");
    let minted = mint(&registry, &request, &run).unwrap();
    registry
        .record_provisional_invocation(&minted, &Map::new(), &result())
        .unwrap();
    registry.reject(request.id, "bob", "not this way").unwrap();
    assert!(matches!(
        registry.still_provisional(&minted),
        Err(ProvisionalError::Decided { .. })
    ));
    assert_eq!(kind(mint(&registry, &request, &run)), "already_decided");
    let shown = &registry.run(&run).unwrap().unwrap().rests_on[0];
    assert!(
        shown.tainted && shown.caution().unwrap().contains("rejected"),
        "{shown:?}"
    );
    // The same bytes asked for anew, by a run of their own: neither used nor rejected bytes come again.
    let (again, other) = waiting(&home, "letter_counter");
    assert_eq!(again.subject, request.subject);
    assert_eq!(kind(mint(&registry, &again, &other)), "used_already");
    let (unused, run) = waiting(&home, "word_counter");
    registry.reject(unused.id, "bob", "no").unwrap();
    let (again, other) = waiting(&home, "word_counter");
    assert_ne!(run, other);
    assert_eq!(kind(mint(&registry, &again, &other)), "rejected_before");
}

/// GOV02: what waits is exchanged behind the journal, before the use and under it.
#[test]
fn what_was_changed_behind_the_journal_is_not_used() {
    let home = Home::new();
    let registry = allowing(&home.registry);
    let (request, run) = waiting(&home, "letter_counter");
    let (other, _) = waiting(&home, "other_counter");
    let mut evil = draft("letter_counter", "why");
    evil.code = "def run(*, text, threshold=0.1):\n    return 0\n".into();
    let (trial, verdict) = proved(&evil);
    let planted = home
        .registry
        .propose(&evil, &trial, &verdict, None, i64::MAX)
        .unwrap();
    let code = format!(
        "SELECT code FROM tool_version WHERE subject = '{}'",
        planted.subject
    );
    home.sql(&format!(
        "UPDATE tool_version SET code = ({code}) WHERE subject = '{}'",
        request.subject
    ));
    assert_eq!(kind(mint(&registry, &request, &run)), "tampered");
    home.sql(&format!(
        "UPDATE approval SET run = '{run}' WHERE id = {}",
        other.id
    ));
    assert_eq!(kind(mint(&registry, &other, &run)), "tampered");
    let (request, run) = waiting(&home, "line_counter");
    let minted = mint(&registry, &request, &run).unwrap();
    home.sql("UPDATE provisional_use SET until_ms = until_ms + 1");
    assert!(matches!(
        registry.still_provisional(&minted),
        Err(ProvisionalError::Tampered { .. })
    ));
}

const HOME: &str = "HANDAXE_TEST_PROVISIONAL_HOME";

/// Not a test by itself: the process that is killed between the grant and the call.
#[test]
fn child() {
    let Some(home) = std::env::var_os(HOME) else {
        return;
    };
    let registry = allowing(&Registry::open(home.as_ref()).unwrap());
    let run = registry.start_run(&task("killed")).unwrap();
    let draft = draft("letter_counter", "why");
    let (trial, verdict) = proved(&draft);
    let request = registry
        .propose(&draft, &trial, &verdict, Some(run.id()), i64::MAX)
        .unwrap();
    let _minted = mint(&registry, &request, run.id()).unwrap();
    println!("minted {} {}", request.id, run.id());
    std::thread::sleep(std::time::Duration::from_mins(1));
}

#[test]
fn a_kill_between_grant_and_call_gives_no_second_use() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    #[expect(
        clippy::disallowed_methods,
        reason = "starts this test binary itself, to kill it"
    )]
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "provisional::child", "--nocapture"])
        .env(HOME, &home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("minted ").map(str::to_owned));
    child.kill().unwrap();
    child.wait().unwrap();
    let said = said.expect("the child minted one");
    let (id, run) = said.split_once(' ').unwrap();
    let registry = allowing(&Registry::open(&home).unwrap());
    let id = handaxe_types::ApprovalId(id.parse().unwrap());
    let request = registry.approval(id).unwrap().unwrap().request;
    let run = registry.resume_run(&RunId::parse(run).unwrap()).unwrap();
    assert!(registry.run_invocations(run.id()).unwrap().is_empty());
    assert_eq!(kind(mint(&registry, &request, run.id())), "used_already");
    assert!(registry.verify().unwrap().ok);
}
