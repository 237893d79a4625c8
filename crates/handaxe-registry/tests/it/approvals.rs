//! Nothing runs that was not approved, and nothing is approved that was not proved.

use std::sync::atomic::Ordering;

use handaxe_registry::{ApproveError, LoadError, LogFilter, ProposeError, StateChange, StateError};
use handaxe_types::{
    ApprovalId, ApprovalMethod, ApprovalPolicy, ApprovalRequest, ApprovalState, Asset, Author,
    Digest, EventKind, Isolation, Layer, Origin, Profile, ToolDigest, ToolState,
};
use serde_json::json;

use crate::common::{HOUR, Home, draft, profile, proved, task, tool};

fn approve(
    home: &Home,
    request: &ApprovalRequest,
    subject: ToolDigest,
    approver: &str,
    two_person: bool,
) -> Result<handaxe_registry::RegisteredTool, ApproveError> {
    let policy = ApprovalPolicy {
        two_person,
        ..ApprovalPolicy::default()
    };
    home.registry.under(policy).approve_and_register(
        request.id,
        subject,
        approver,
        ApprovalMethod::Terminal,
    )
}

fn events(home: &Home, kind: EventKind) -> usize {
    let filter = LogFilter {
        kind: Some(kind),
        ..LogFilter::default()
    };
    home.registry.log(&filter).unwrap().len()
}

#[track_caller]
fn denied(home: &Home, name: &str, kind: &str) -> LoadError {
    let before = events(home, EventKind::RunDenied);
    let error = home
        .registry
        .load_approved(&tool(name), &profile())
        .unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(!error.hint().is_empty());
    assert_eq!(
        events(home, EventKind::RunDenied),
        before + 1,
        "not journalled"
    );
    error
}

#[test]
fn what_was_proved_and_approved_runs() {
    let home = Home::new();
    let mut draft = draft("count_text", "how long is it?");
    draft
        .assets
        .insert("lexicon.txt".into(), Asset(vec![0, 255, 10]));
    let registered = home.register(&draft);
    assert_eq!(registered.tool_ref().to_string(), "count_text@1");
    assert!(registered.view_problem().is_none());
    let loaded = home
        .registry
        .load_approved(&tool("count_text"), &profile())
        .unwrap();
    assert_eq!(loaded.code(), draft.code);
    assert_eq!(loaded.spec(), &draft.spec);
    assert_eq!(loaded.assets(), &draft.assets);
    assert_eq!(loaded.digest(), draft.digest(profile().digest()));
    assert!(!loaded.approval().self_approved);
    assert_eq!(
        home.registry
            .find_by_recipe(draft.recipe_digest().unwrap())
            .unwrap(),
        Some(tool("count_text@1"))
    );
    let detail = home.registry.tool(&tool("count_text")).unwrap().unwrap();
    assert_eq!(detail.summary.why, "how long is it?");
    assert_eq!(detail.trial.cases.len(), 2);
    assert_eq!(detail.cases, draft.cases);
    assert!(home.registry.verify().unwrap().ok);
    assert!(matches!(
        home.registry
            .load_approved(&tool("no_such_tool"), &profile()),
        Err(LoadError::NotFound { .. })
    ));
}

#[test]
fn gov01_pending_and_stopped_tools_do_not_run() {
    let home = Home::new();
    let request = home.propose(&draft("count_text", "why"), None);
    for name in ["count_text", "count_text@1"] {
        let error = denied(&home, name, "not_approved");
        assert!(
            matches!(error, LoadError::NotApproved { waiting: Some(id), .. } if id == request.id)
        );
    }
    approve(&home, &request, request.subject, "alice", false).unwrap();
    let change = |change: StateChange| {
        home.registry
            .change_state(&tool("count_text@1"), &change, "because")
    };
    for stop in [StateChange::Retire, StateChange::Quarantine] {
        change(stop).unwrap();
        denied(&home, "count_text@1", "state");
        change(StateChange::Restore).unwrap();
        home.registry
            .load_approved(&tool("count_text@1"), &profile())
            .unwrap();
    }
    change(StateChange::Deprecate { successor: None }).unwrap();
    let deprecated = home
        .registry
        .load_approved(&tool("count_text"), &profile())
        .unwrap();
    assert_eq!(deprecated.state(), ToolState::Deprecated);
    change(StateChange::Revoke).unwrap();
    denied(&home, "count_text@1", "state");
    assert!(matches!(
        change(StateChange::Restore),
        Err(StateError::Illegal { .. })
    ));
    assert!(home.registry.verify().unwrap().ok);
}

/// GOV02: the bytes change after the yes, or between the card and the yes.
#[test]
fn gov02_swapped_bytes_do_not_run() {
    for attack in [
        "UPDATE blob SET bytes = CAST('def run(): evil()' AS BLOB)
         WHERE digest = (SELECT code FROM tool_version)",
        "UPDATE blob SET bytes = CAST(replace(CAST(bytes AS TEXT), '10000', '99999') AS BLOB)
         WHERE digest = (SELECT spec FROM tool_version)",
        "UPDATE blob SET bytes = x'00' WHERE digest =
         (SELECT json_extract(assets, '$.\"data.bin\"') FROM tool_version)",
        "UPDATE tool_version SET assets = '{}'",
        "UPDATE tool_version SET code = cases",
        "DELETE FROM blob WHERE digest = (SELECT code FROM tool_version)",
    ] {
        let home = Home::new();
        let mut draft = draft("count_text", "why");
        draft.assets.insert("data.bin".into(), Asset(vec![1, 2, 3]));
        let request = home.propose(&draft, None);
        if attack.starts_with("UPDATE blob") {
            let waiting = Home::new();
            let request = waiting.propose(&draft, None);
            waiting.sql(attack);
            let error = approve(&waiting, &request, request.subject, "alice", false).unwrap_err();
            assert!(matches!(error, ApproveError::Tampered { .. }), "{error}");
        }
        approve(&home, &request, request.subject, "alice", false).unwrap();
        home.sql(attack);
        denied(&home, "count_text", "digest_mismatch");
        assert!(!home.registry.verify().unwrap().ok, "{attack}");
    }
}

/// The bytes and their digests were swapped together: the approval still names the old digest.
#[test]
fn gov02_swapped_bytes_with_their_digests_do_not_run() {
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    let evil = b"def run(**_): return 1\n";
    let digest = Digest::of(evil).to_string();
    home.raw()
        .execute("INSERT INTO blob VALUES (?1, ?2)", (&digest, &evil[..]))
        .unwrap();
    home.sql(&format!("UPDATE tool_version SET code = '{digest}'"));
    denied(&home, "count_text", "digest_mismatch");
    let mut swapped = draft("count_text", "why");
    swapped.code = String::from_utf8(evil.to_vec()).unwrap();
    let subject = swapped.digest(profile().digest());
    home.sql(&format!("UPDATE tool_version SET subject = '{subject}'"));
    denied(&home, "count_text", "digest_mismatch");
    home.sql(&format!("UPDATE approval SET subject = '{subject}'"));
    denied(&home, "count_text", "tampered");
    assert!(!home.registry.verify().unwrap().ok);
}

#[test]
fn gov01_a_state_or_a_yes_written_by_hand_does_not_run() {
    let home = Home::new();
    home.propose(&draft("count_text", "why"), None);
    home.sql("UPDATE tool_version SET state = 'active'");
    denied(&home, "count_text", "not_approved");
    home.sql(
        "UPDATE approval SET state = 'approved', approver = 'eve', method = 'command',
         self_approved = 0, decided_ms = created_ms",
    );
    denied(&home, "count_text", "tampered");
    let bad = home.registry.verify().unwrap().first_bad.unwrap();
    assert_eq!(bad.place, "tool_version/1");

    let home = Home::new();
    home.register(&draft("count_text", "why"));
    home.registry
        .change_state(&tool("count_text"), &StateChange::Revoke, "bad")
        .unwrap();
    home.sql("UPDATE tool_version SET state = 'active'");
    denied(&home, "count_text", "tampered");
    assert!(!home.registry.verify().unwrap().ok);
}

#[test]
fn gov03_replayed_late_and_wrong_yeses_are_refused() {
    let home = Home::new();
    let first = home.propose(&draft("count_text", "a"), None);
    let other = home.propose(&draft("other_tool", "b"), None);
    // The digest of another tool, of nothing, and an approval that is not there.
    for subject in [other.subject, ToolDigest(Digest::of(b"x"))] {
        let error = approve(&home, &first, subject, "alice", false).unwrap_err();
        assert!(matches!(error, ApproveError::DigestChanged { .. }));
    }
    let missing = ApprovalRequest {
        id: ApprovalId(99),
        ..first.clone()
    };
    let error = approve(&home, &missing, first.subject, "alice", false).unwrap_err();
    assert!(matches!(error, ApproveError::NotFound(_)));
    for nobody in ["", "  "] {
        let error = approve(&home, &first, first.subject, nobody, false).unwrap_err();
        assert!(matches!(error, ApproveError::NoApprover));
    }
    denied(&home, "count_text", "not_approved");
    // Twice.
    approve(&home, &first, first.subject, "alice", false).unwrap();
    let error = approve(&home, &first, first.subject, "bob", false).unwrap_err();
    assert!(matches!(
        error,
        ApproveError::AlreadyDecided {
            state: ApprovalState::Approved,
            ..
        }
    ));
    // After a no.
    home.registry
        .reject(other.id, "alice", "not needed")
        .unwrap();
    let error = approve(&home, &other, other.subject, "bob", false).unwrap_err();
    assert!(matches!(
        error,
        ApproveError::AlreadyDecided {
            state: ApprovalState::Rejected,
            ..
        }
    ));
    denied(&home, "other_tool", "state");
    let restore = home
        .registry
        .change_state(&tool("other_tool"), &StateChange::Restore, "please");
    assert!(matches!(restore, Err(StateError::NeverApproved(_))));
    // The yes of one version is no yes to the next, though the digest is the same.
    let again = home.propose(&draft("count_text", "a"), None);
    assert_eq!(again.subject, first.subject);
    denied(&home, "count_text@2", "not_approved");
    assert_eq!(events(&home, EventKind::ApprovalRefused), 7);
    assert!(home.registry.verify().unwrap().ok);
}

#[test]
fn gov03_an_expired_request_stays_expired() {
    let home = Home::new();
    let request = home.propose(&draft("count_text", "why"), None);
    home.clock.fetch_add(2 * HOUR, Ordering::Relaxed);
    let state = |id| home.registry.approval(id).unwrap().unwrap().request.state;
    assert_eq!(state(request.id), ApprovalState::Expired);
    let error = approve(&home, &request, request.subject, "alice", false).unwrap_err();
    assert!(matches!(error, ApproveError::Expired { .. }));
    // Turning the clock back does not help.
    home.clock.fetch_sub(2 * HOUR, Ordering::Relaxed);
    let error = approve(&home, &request, request.subject, "alice", false).unwrap_err();
    assert!(matches!(error, ApproveError::Expired { .. }));
    denied(&home, "count_text", "state");
    assert!(home.registry.verify().unwrap().ok);
}

#[test]
fn gov03_two_persons() {
    let by_alice = || {
        let mut own = draft("own_tool", "mine");
        own.provenance.author = Author::Person {
            name: "alice".into(),
        };
        own
    };
    let home = Home::new();
    let request = home.propose(&by_alice(), None);
    for name in ["alice", " Alice "] {
        let error = approve(&home, &request, request.subject, name, true).unwrap_err();
        assert!(matches!(error, ApproveError::SelfApproval { .. }));
    }
    denied(&home, "own_tool", "not_approved");
    let registered = approve(&home, &request, request.subject, "bob", true).unwrap();
    assert!(!registered.approval().self_approved);

    let home = Home::new();
    let request = home.propose(&by_alice(), None);
    let registered = approve(&home, &request, request.subject, "alice", false).unwrap();
    assert!(registered.approval().self_approved);
    let detail = home.registry.approval(request.id).unwrap().unwrap();
    assert!(detail.self_approved);
}

#[test]
fn gov06_another_profile_does_not_run() {
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    let made = |name: &str, level, layers: &[Layer]| {
        Profile::new(name, level, layers, Digest::of(name.as_bytes()))
    };
    let whole = &profile().required[..];
    let loads = |profile: &Profile| {
        let loaded = home.registry.load_approved(&tool("count_text"), profile);
        loaded.map(|tool| tool.profile())
    };
    // A stricter one stands in, and what was approved stays what was approved.
    let guest = made("oci:runsc", Isolation::Guest, &[Layer::Seccomp]);
    assert_eq!(loads(&guest).unwrap(), profile().digest());
    // A weaker level, a lost layer, and drift within the level do not.
    for refused in [
        made("oci:crun", Isolation::Container, whole),
        made("native-landlock", Isolation::Landlock, whole),
        made("oci:runsc", Isolation::Guest, &[]),
        made("native", Isolation::Jail, whole),
    ] {
        let error = loads(&refused).unwrap_err();
        assert!(
            matches!(error, LoadError::ProfileMismatch { .. }),
            "{refused:?}: {error}"
        );
        assert!(error.to_string().contains(&refused.name), "{error}");
    }
    let before = events(&home, EventKind::RunDenied);
    assert_eq!(before, 4);
    let weaker = made("native", Isolation::Jail, &[]);
    let error = home
        .registry
        .load_approved(&tool("count_text"), &weaker)
        .unwrap_err();
    assert!(
        matches!(error, LoadError::ProfileMismatch { .. }),
        "{error}"
    );
    assert_eq!(events(&home, EventKind::RunDenied), before + 1);
    // The profile in the row is part of the digest, so it cannot be swapped either.
    home.sql(&format!(
        "UPDATE tool_version SET profile = '{}'",
        weaker.digest()
    ));
    let error = home
        .registry
        .load_approved(&tool("count_text"), &weaker)
        .unwrap_err();
    assert!(matches!(error, LoadError::DigestMismatch { .. }), "{error}");
}

#[test]
fn only_proved_drafts_are_proposed() {
    let home = Home::new();
    let good = draft("count_text", "why");
    let (trial, verdict) = proved(&good);
    let kind = |draft: &_, trial: &_, verdict: &_| {
        let refused = home
            .registry
            .propose(draft, trial, verdict, None, i64::MAX)
            .unwrap_err();
        match refused {
            ProposeError::Refused => "refused".to_owned(),
            ProposeError::NoCases => "no cases".to_owned(),
            ProposeError::Contradicted { case } => format!("contradicted by {case}"),
            ProposeError::SubjectMismatch { what } => format!("{what} mismatch"),
            ProposeError::AssetName(name) => format!("asset {name}"),
            other => panic!("{other}"),
        }
    };
    let mut refusing = verdict.clone();
    refusing.accepted = false;
    assert_eq!(kind(&good, &trial, &refusing), "refused");
    let mut empty = trial.clone();
    empty.cases.clear();
    assert_eq!(kind(&good, &empty, &verdict), "no cases");
    let mut withdrawn = trial.clone();
    for case in &mut withdrawn.cases {
        case.withdrawn = Some("wrong".into());
    }
    assert_eq!(kind(&good, &withdrawn, &verdict), "no cases");
    let mut failing = trial.clone();
    failing.cases[1].passed = false;
    assert_eq!(kind(&good, &failing, &verdict), "contradicted by none");
    let mut golden = trial.clone();
    golden.cases[0].origin = Origin::User;
    golden.cases[0].withdrawn = Some("wrong".into());
    assert_eq!(
        kind(&good, &golden, &verdict),
        "contradicted by three letters"
    );
    let mut changed = good.clone();
    changed.code.push('#');
    assert_eq!(kind(&changed, &trial, &verdict), "trial mismatch");
    let mut wider = good.clone();
    wider.spec.limits.wall_ms += 1;
    assert_eq!(kind(&wider, &trial, &verdict), "trial mismatch");
    let mut other_profile = trial.clone();
    other_profile.profile = Digest::of(b"weak");
    assert_eq!(kind(&good, &other_profile, &verdict), "trial mismatch");
    let mut other_verdict = verdict.clone();
    other_verdict.subject = ToolDigest(Digest::of(b"x"));
    assert_eq!(kind(&good, &trial, &other_verdict), "verdict mismatch");
    for name in ["../up", "a/b", "", ".hidden", "a\nb", "nul\0"] {
        let mut hostile = good.clone();
        hostile.assets.insert(name.into(), Asset(vec![1]));
        let (trial, verdict) = proved(&hostile);
        assert!(kind(&hostile, &trial, &verdict).starts_with("asset "));
    }
    assert!(home.registry.tools(&[]).unwrap().is_empty());
    assert_eq!(home.registry.verify().unwrap().events, 0);
}

#[test]
fn proposing_again_within_a_run() {
    let home = Home::new();
    let run = home.registry.start_run(&task("q")).unwrap();
    let first = draft("count_text", "q");
    let request = home.propose(&first, Some(run.id()));
    assert_eq!(
        home.propose(&first, Some(run.id())),
        request,
        "a resumed run"
    );
    let mut edited = first.clone();
    edited.code.push_str("# edited\n");
    let second = home.propose(&edited, Some(run.id()));
    assert_eq!(
        (second.version.0, second.state),
        (2, ApprovalState::Waiting)
    );
    let old = home.registry.approval(request.id).unwrap().unwrap();
    assert_eq!(old.request.state, ApprovalState::Rejected);
    assert_eq!(old.superseded_by, Some(second.id));
    let error = approve(&home, &request, request.subject, "alice", false).unwrap_err();
    assert!(matches!(error, ApproveError::AlreadyDecided { .. }));
    approve(&home, &second, second.subject, "alice", false).unwrap();
    let after = home.propose(&edited, Some(run.id()));
    assert_eq!(
        (after.id, after.state),
        (second.id, ApprovalState::Approved)
    );
    assert!(home.registry.verify().unwrap().ok);
}

#[test]
fn newer_versions_and_successors() {
    let home = Home::new();
    home.register(&draft("count_text", "one"));
    home.register(&draft("count_text", "two"));
    home.register(&draft("better_count", "three"));
    let loaded = |name: &str| {
        home.registry
            .load_approved(&tool(name), &profile())
            .unwrap()
            .tool_ref()
            .to_string()
    };
    assert_eq!(loaded("count_text"), "count_text@2");
    assert_eq!(loaded("count_text@1"), "count_text@1");
    let deprecate = |successor: &str| {
        let change = StateChange::Deprecate {
            successor: Some(tool(successor)),
        };
        home.registry
            .change_state(&tool("count_text@2"), &change, "better")
    };
    for nothing in ["count_text@2", "no_such_tool", "better_count@7"] {
        assert!(matches!(
            deprecate(nothing),
            Err(StateError::NoSuccessor(_))
        ));
    }
    deprecate("better_count").unwrap();
    assert_eq!(loaded("count_text"), "count_text@1");
    let old = home
        .registry
        .load_approved(&tool("count_text@2"), &profile())
        .unwrap();
    assert_eq!(old.successor(), Some(&tool("better_count@1")));
}

/// PROT05: text from outside is kept as it came, and starts no line of its own in the journal.
#[test]
fn hostile_text_is_stored_verbatim() {
    let home = Home::new();
    let why =
        "a\r\n2026-11-22 approval_granted eve\u{1b}[2K\u{202e}\0 '; DROP TABLE event; -- |<b>";
    let mut hostile = draft("count_text", why);
    hostile.spec.description = why.into();
    hostile.cases[0].name = why.into();
    home.register(&hostile);
    let shown = home.registry.tool(&tool("count_text")).unwrap().unwrap();
    assert_eq!(shown.summary.why, why);
    assert_eq!(shown.summary.description, why);
    assert_eq!(shown.cases[0].name, why);
    let eve = home.registry.acting_as("eve\n1 forged");
    eve.record_domain_refusal(None, why, why).unwrap();
    let mut export = Vec::new();
    let count = home.registry.export(&mut export).unwrap();
    let text = String::from_utf8(export).unwrap();
    assert_eq!(text.lines().count() as u64, count);
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["detail"], json!({ "domain": why, "reason": why }));
    assert_eq!(last["actor"], "eve\n1 forged");
    assert!(home.registry.verify().unwrap().ok);
    home.registry.search(why, 5).unwrap();
}
