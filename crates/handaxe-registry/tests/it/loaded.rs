//! What was loaded once is loaded again without being read again, and not one call longer than it
//! holds: whoever changes anything, through this handle, another or none, is heard at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use handaxe_registry::{LoadError, Registry, StateChange};
use serde_json::Map;

use crate::common::{Home, draft, profile, result, tool};

type Change = fn(&Home);

/// Each takes the tool away, in its own way; and the kind of the refusal that follows.
const CHANGES: &[(&str, Change, &str)] = &[
    (
        "this handle quarantines it",
        |home| quarantine(&home.registry),
        "state",
    ),
    (
        "another process quarantines it",
        |home| quarantine(&Registry::open(&home.path()).unwrap()),
        "state",
    ),
    (
        "a stranger changes its code",
        |home| {
            home.sql(
                "UPDATE blob SET bytes = CAST('def run(**_): return 1' AS BLOB)
                 WHERE digest = (SELECT code FROM tool_version)",
            );
        },
        "digest_mismatch",
    ),
    (
        "a stranger changes its row",
        |home| {
            home.sql("UPDATE tool_version SET why = 'another reason'");
        },
        "tampered",
    ),
    (
        "a stranger takes the yes back",
        |home| {
            home.sql("UPDATE approval SET state = 'rejected'");
        },
        "not_approved",
    ),
];

fn quarantine(registry: &Registry) {
    registry
        .change_state(&tool("counts"), &StateChange::Quarantine, "it lies")
        .unwrap();
}

/// Callers load, run and record without a pause, so that some of them read beside a write, through
/// the second connection, while it changes.
#[test]
fn a_change_is_heard_by_the_very_next_load() {
    for &(what, change, kind) in CHANGES {
        let home = Home::new();
        home.register(&draft("counts", "why"));
        let (changed, loads) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut refused = 0;
                    while refused < 20 {
                        let late = changed.load(Ordering::Acquire);
                        match home.registry.load_approved(&tool("counts"), &profile()) {
                            Ok(found) => {
                                assert!(!late, "{what}: it still runs");
                                loads.fetch_add(1, Ordering::Relaxed);
                                home.registry
                                    .record_invocation(&found, None, &Map::new(), &result())
                                    .unwrap();
                            }
                            Err(LoadError::Registry(e)) => panic!("{what}: {e}"),
                            Err(denied) => {
                                assert_eq!(denied.kind(), kind, "{what}");
                                refused += 1;
                            }
                        }
                    }
                });
            }
            while loads.load(Ordering::Relaxed) < 40 {
                std::thread::yield_now();
            }
            change(&home);
            changed.store(true, Ordering::Release);
        });
    }
}

/// The verdict depends on who asks as well: on the policy, and on the sandbox.
#[test]
fn what_one_may_run_another_may_not() {
    let home = Home::new();
    home.register(&draft("counts", "why"));
    let load = |registry: &Registry, profile: &handaxe_types::Profile| {
        registry
            .load_approved(&tool("counts"), profile)
            .map(|found| found.digest())
            .map_err(|e| e.kind())
    };
    let strict = home.registry.under(handaxe_types::ApprovalPolicy {
        how: handaxe_types::ApprovalHow::Key,
        ..handaxe_types::ApprovalPolicy::default()
    });
    let mut weaker = profile();
    weaker.required.pop();
    for _ in 0..3 {
        assert!(load(&home.registry, &profile()).is_ok());
        assert_eq!(load(&home.registry, &weaker), Err("profile_mismatch"));
        assert_eq!(load(&strict, &profile()), Err("unfit_approval"));
    }
}
