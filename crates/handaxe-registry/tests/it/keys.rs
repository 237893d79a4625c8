//! Whose yes counts where the policy asks for a key (GOV03), and what a home's own key may do.

use std::sync::atomic::Ordering;

use handaxe_registry::{
    ApproveError, KeyError, KeyState, LoadError, LogFilter, RegisteredTool, Registry, SealedKey,
    StateChange, Unfit,
};
use handaxe_types::{
    ApprovalHow, ApprovalMethod, ApprovalPolicy, ApprovalRequest, ApprovalSignature, Author,
    EventKind, ToolState,
};

use crate::common::{HOUR, Home, PASSPHRASE, approver, draft, profile, tool};

fn by_key() -> ApprovalPolicy {
    ApprovalPolicy {
        how: ApprovalHow::Key,
        ..ApprovalPolicy::default()
    }
}

fn strict(home: &Home) -> Registry {
    home.registry.under(by_key())
}

fn signed(
    registry: &Registry,
    request: &ApprovalRequest,
    signature: &ApprovalSignature,
) -> Result<RegisteredTool, ApproveError> {
    registry.approve_signed(request.id, request.subject, signature)
}

#[track_caller]
fn unfit<T: std::fmt::Debug>(refused: Result<T, ApproveError>, expected: fn(&Unfit) -> bool) {
    match refused {
        Err(ApproveError::Unfit { why, .. }) if expected(&why) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn under_key_only_a_signature_is_a_yes() {
    let home = Home::new();
    let registry = strict(&home);
    let request = home.propose(&draft("count_text", "why"), None);
    for method in [
        ApprovalMethod::Terminal,
        ApprovalMethod::YesFlag,
        ApprovalMethod::Command,
    ] {
        let said = registry.approve_and_register(request.id, request.subject, "alice", method);
        unfit(said, |why| matches!(why, Unfit::NotSigned { .. }));
    }
    // Claiming the method is not signing.
    let claimed =
        registry.approve_and_register(request.id, request.subject, "alice", ApprovalMethod::Key);
    unfit(claimed, |why| *why == Unfit::Signature);
    // A key that nobody enrolled.
    let (_, stranger) = SealedKey::create("mallory", PASSPHRASE).unwrap();
    let signature = stranger.sign_approval(registry.home_id(), &request);
    unfit(signed(&registry, &request, &signature), |why| {
        matches!(why, Unfit::UnknownKey { .. })
    });
    let alice = approver(&home, "alice", None);
    let signature = alice.sign_approval(registry.home_id(), &request);
    let registered = signed(&registry, &request, &signature).unwrap();
    assert_eq!(registered.approval().approver, "alice");
    assert_eq!(registered.approval().method, ApprovalMethod::Key);
    registry
        .load_approved(&tool("count_text"), &profile())
        .unwrap();
    let refused = LogFilter {
        kind: Some(EventKind::ApprovalRefused),
        ..LogFilter::default()
    };
    assert_eq!(registry.log(&refused).unwrap().len(), 5);
    assert!(registry.verify().unwrap().ok);
}

/// A signature is for one request of one home and one digest.
#[test]
fn gov03_a_signature_is_not_replayed() {
    let home = Home::new();
    let registry = strict(&home);
    let alice = approver(&home, "alice", None);
    let first = home.propose(&draft("count_text", "a"), None);
    let mut changed = draft("count_text", "a");
    changed.code.push_str("# changed\n");
    let next = home.propose(&changed, None);
    let other = home.propose(&draft("other_tool", "b"), None);
    let elsewhere = Home::new();
    let there = elsewhere.propose(&draft("count_text", "a"), None);
    assert_eq!((there.id, there.subject), (first.id, first.subject));
    let home_id = registry.home_id();
    for (what, signature) in [
        ("another version", alice.sign_approval(home_id, &next)),
        ("another tool", alice.sign_approval(home_id, &other)),
        (
            "another home",
            alice.sign_approval(elsewhere.registry.home_id(), &first),
        ),
        (
            "another digest",
            alice.sign_approval(
                home_id,
                &ApprovalRequest {
                    subject: next.subject,
                    ..first.clone()
                },
            ),
        ),
        (
            "a longer time",
            alice.sign_approval(
                home_id,
                &ApprovalRequest {
                    expires_ms: first.expires_ms + 1,
                    ..first.clone()
                },
            ),
        ),
    ] {
        match signed(&registry, &first, &signature) {
            Err(ApproveError::Unfit {
                why: Unfit::Signature,
                ..
            }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    let signature = alice.sign_approval(home_id, &first);
    // The digest on the card is still asked for beside the signature.
    assert!(matches!(
        registry.approve_signed(first.id, other.subject, &signature),
        Err(ApproveError::DigestChanged { .. })
    ));
    home.clock.fetch_add(2 * HOUR, Ordering::Relaxed);
    assert!(matches!(
        signed(&registry, &first, &signature),
        Err(ApproveError::Expired { .. })
    ));
    home.clock.fetch_sub(2 * HOUR, Ordering::Relaxed);
    let signature = alice.sign_approval(home_id, &next);
    signed(&registry, &next, &signature).unwrap();
    assert!(matches!(
        signed(&registry, &next, &signature),
        Err(ApproveError::AlreadyDecided { .. })
    ));
}

/// The policy is asked again before every run: what it does not take any more does not run, until
/// a person says yes in the way that it takes.
#[test]
fn gov06_a_stricter_policy_holds_what_was_approved_before() {
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    let registry = strict(&home);
    let load = |r: &Registry| r.load_approved(&tool("count_text"), &profile());
    load(&home.registry).unwrap();
    let error = load(&registry).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::Unfit {
                why: Unfit::NotSigned { .. },
                ..
            }
        ),
        "{error}"
    );
    let alice = approver(&home, "alice", None);
    let id = handaxe_types::ApprovalId(1);
    // Where it still counts there is nothing to open again.
    assert!(matches!(
        home.registry.renew_approval(id),
        Err(ApproveError::AlreadyDecided { .. })
    ));
    let request = registry.renew_approval(id).unwrap();
    assert!(matches!(
        load(&registry),
        Err(LoadError::NotApproved { .. })
    ));
    assert!(registry.search("count", 5).unwrap().is_empty());
    assert!(registry.verify().unwrap().ok);
    let signature = alice.sign_approval(registry.home_id(), &request);
    signed(&registry, &request, &signature).unwrap();
    load(&registry).unwrap();
    assert_eq!(registry.search("count", 5).unwrap().len(), 1);
    assert!(registry.verify().unwrap().ok);
}

#[test]
fn a_revoked_key_takes_its_approvals_with_it() {
    let home = Home::new();
    let registry = strict(&home);
    let alice = approver(&home, "alice", None);
    let bob = approver(&home, "bob", Some(alice));
    let request = home.propose(&draft("count_text", "why"), None);
    let signature = bob.sign_approval(registry.home_id(), &request);
    signed(&registry, &request, &signature).unwrap();
    let load = || registry.load_approved(&tool("count_text"), &profile());
    let bobs = bob.public().id().to_string();
    // Retired, it signs no more and its yes stands.
    registry
        .end_key(&bobs[..12], KeyState::Retired, "left the team")
        .unwrap();
    load().unwrap();
    let next = home.propose(&draft("other_tool", "why"), None);
    let late = bob.sign_approval(registry.home_id(), &next);
    unfit(signed(&registry, &next, &late), |why| {
        matches!(why, Unfit::RevokedKey { .. })
    });
    registry
        .end_key(&bobs, KeyState::Revoked, "lost the machine")
        .unwrap();
    assert!(matches!(
        load(),
        Err(LoadError::Unfit {
            why: Unfit::RevokedKey { .. },
            ..
        })
    ));
    let request = registry.renew_approval(request.id).unwrap();
    let signature = alice.sign_approval(registry.home_id(), &request);
    signed(&registry, &request, &signature).unwrap();
    load().unwrap();
    assert!(matches!(
        registry.end_key(&bobs, KeyState::Retired, "again"),
        Err(KeyError::Ended { .. })
    ));
    assert!(registry.verify().unwrap().ok);
}

/// A program with a shell cannot make itself an approver where there is one already.
#[test]
fn approvers_are_vouched_for() {
    let home = Home::new();
    let registry = strict(&home);
    let alice = approver(&home, "alice", None);
    let (_, mallory) = SealedKey::create("mallory", PASSPHRASE).unwrap();
    let enrol = |voucher| registry.enrol_approver(&mallory.public(), "mallory", voucher);
    assert!(matches!(enrol(None), Err(KeyError::NeedsVoucher)));
    assert!(matches!(
        enrol(Some(&mallory)),
        Err(KeyError::NotAnApprover(_))
    ));
    // Not by taking the approver away first either.
    let alices = alice.public().id().to_string();
    registry
        .end_key(&alices, KeyState::Revoked, "in the way")
        .unwrap();
    assert!(matches!(enrol(None), Err(KeyError::NeedsVoucher)));
    assert!(matches!(
        enrol(Some(alice)),
        Err(KeyError::NotAnApprover(_))
    ));
    // Nor by writing the row by hand: no event records it.
    let (id, public) = (mallory.public().id(), mallory.public().to_hex());
    home.sql(&format!(
        "INSERT INTO signing_key (key, public, kind, name, state, created_ms)
         VALUES ('{id}', '{public}', 'approver', 'mallory', 'current', 1)"
    ));
    let request = home.propose(&draft("count_text", "why"), None);
    let signature = mallory.sign_approval(registry.home_id(), &request);
    unfit(signed(&registry, &request, &signature), |why| {
        matches!(why, Unfit::UnknownKey { .. })
    });
    assert!(!registry.verify().unwrap().ok);
    // The owner of the policy file can always name a key.
    let home = Home::new();
    approver(&home, "alice", None);
    let named = home.registry.under(ApprovalPolicy {
        approvers: vec![id],
        ..by_key()
    });
    named
        .enrol_approver(&mallory.public(), "mallory", None)
        .unwrap();
    let request = home.propose(&draft("count_text", "why"), None);
    let signature = mallory.sign_approval(named.home_id(), &request);
    signed(&named, &request, &signature).unwrap();
}

#[test]
fn the_policy_may_name_its_approvers() {
    let home = Home::new();
    let alice = approver(&home, "alice", None);
    let bob = approver(&home, "bob", Some(alice));
    let named = home.registry.under(ApprovalPolicy {
        approvers: vec![alice.public().id()],
        ..by_key()
    });
    let request = home.propose(&draft("count_text", "why"), None);
    let signature = bob.sign_approval(named.home_id(), &request);
    unfit(signed(&named, &request, &signature), |why| {
        matches!(why, Unfit::NotNamed { .. })
    });
    let signature = alice.sign_approval(named.home_id(), &request);
    signed(&named, &request, &signature).unwrap();
}

/// A stored yes is held to its signature, whatever the policy asks for now.
#[test]
fn a_stored_signature_that_was_touched_does_not_run() {
    for attack in [
        "UPDATE approval_signature SET signature = replace(signature, 'a', 'b')",
        "DELETE FROM approval_signature",
        "UPDATE signing_key SET public = replace(public, '1', '2') WHERE kind = 'approver'",
        "UPDATE signing_key SET name = 'bob' WHERE kind = 'approver'",
        "UPDATE approval SET approver = 'bob'",
        "UPDATE approval SET expires_ms = expires_ms + 1",
    ] {
        let home = Home::new();
        let alice = approver(&home, "alice", None);
        let request = home.propose(&draft("count_text", "why"), None);
        let signature = alice.sign_approval(home.registry.home_id(), &request);
        signed(&home.registry, &request, &signature).unwrap();
        home.registry
            .load_approved(&tool("count_text"), &profile())
            .unwrap();
        home.sql(attack);
        let error = home
            .registry
            .load_approved(&tool("count_text"), &profile())
            .unwrap_err();
        assert_eq!(error.kind(), "unfit_approval", "{attack}: {error}");
    }
}

#[test]
fn gov03_a_person_alone_is_not_two() {
    let home = Home::new();
    let alice = approver(&home, "alice", None);
    let mut own = draft("own_tool", "mine");
    own.provenance.author = Author::Person {
        name: "alice".into(),
    };
    let request = home.propose(&own, None);
    let two = home.registry.under(ApprovalPolicy {
        two_person: true,
        ..by_key()
    });
    let signature = alice.sign_approval(two.home_id(), &request);
    assert!(matches!(
        signed(&two, &request, &signature),
        Err(ApproveError::SelfApproval { .. })
    ));
    // Approved while the policy allowed it, and held to the policy of today.
    let registered = signed(&strict(&home), &request, &signature).unwrap();
    assert!(registered.approval().self_approved);
    assert!(matches!(
        two.load_approved(&tool("own_tool"), &profile()),
        Err(LoadError::Unfit {
            why: Unfit::SelfApproval { .. },
            ..
        })
    ));
    let bob = approver(&home, "bob", Some(alice));
    let request = two.renew_approval(request.id).unwrap();
    let signature = bob.sign_approval(two.home_id(), &request);
    signed(&two, &request, &signature).unwrap();
    two.load_approved(&tool("own_tool"), &profile()).unwrap();
}

/// What a person took out of use does not come back by a second yes.
#[test]
fn a_renewal_brings_nothing_back() {
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    let id = handaxe_types::ApprovalId(1);
    home.registry
        .change_state(&tool("count_text"), &StateChange::Revoke, "bad")
        .unwrap();
    assert!(matches!(
        strict(&home).renew_approval(id),
        Err(ApproveError::AlreadyDecided { .. })
    ));
    let home = Home::new();
    home.register(&draft("old_tool", "why"));
    home.register(&draft("new_tool", "why"));
    home.registry
        .change_state(
            &tool("old_tool"),
            &StateChange::Deprecate {
                successor: Some(tool("new_tool")),
            },
            "",
        )
        .unwrap();
    let alice = approver(&home, "alice", None);
    let request = strict(&home).renew_approval(id).unwrap();
    let signature = alice.sign_approval(home.registry.home_id(), &request);
    signed(&strict(&home), &request, &signature).unwrap();
    let loaded = strict(&home)
        .load_approved(&tool("old_tool"), &profile())
        .unwrap();
    assert_eq!(loaded.state(), ToolState::Deprecated);
}

#[test]
fn a_key_is_made_once_and_kept_from_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    assert!(home.registry.keys().unwrap().is_empty());
    let made = home.registry.home_key().unwrap();
    assert_eq!(home.registry.home_key().unwrap(), made);
    let path = home.registry.keys_dir().join(format!("{}.pem", made.key));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let rotated = home.registry.rotate_key().unwrap();
    assert!(!path.exists(), "the old private half is gone");
    assert_ne!(rotated.new.key, made.key);
    let states: Vec<KeyState> = home
        .registry
        .keys()
        .unwrap()
        .iter()
        .map(|k| k.state)
        .collect();
    assert_eq!(states, [KeyState::Retired, KeyState::Current]);
    assert!(matches!(
        home.registry
            .end_key(&rotated.new.key.to_string(), KeyState::Revoked, ""),
        Err(KeyError::InUse(_))
    ));
    for name in ["", "abc", "zzzzzzzz", &"0".repeat(64)] {
        assert!(matches!(
            home.registry.key(name),
            Err(KeyError::NotFound(_))
        ));
    }
    assert!(home.registry.verify().unwrap().ok);
}
