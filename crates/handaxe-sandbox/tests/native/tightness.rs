//! Races, channels between calls, bombs in files, and blind fuzz from inside.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use handaxe_sandbox::{Cancel, Sandbox, Session, SessionSpec};
use handaxe_types::Layer;
use serde_json::{Value, json};

use crate::drill::Drill;
use crate::support::{
    benign, call, config, config_with_ctypes, output, outside, probe, run, sandbox_of, session,
    session_without,
};

/// KERN03 and KERN04: two calls beside each other, and the ways between them.
#[test]
fn nothing_leads_from_one_call_to_another_beside_it() {
    let drill = Drill::of(&["KERN04"]);
    let ways = 8;
    let bits = |said: &Value| {
        let all = said.as_object().unwrap();
        assert_eq!(all.len(), ways, "{said}");
        all.values().filter(|v| *v == "bit").count()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let shared = file.path().to_str().unwrap().to_owned();
    let input = |side: &str, shared: &str| json!({"side": side, "seconds": 1.5, "shared": shared});
    let dir = tempfile::tempdir().unwrap();
    let objects = HOST_OBJECTS.lock().unwrap();
    let control = std::thread::scope(|scope| {
        let leaving = scope.spawn(|| outside("channels", &input("leave", &shared), dir.path()));
        std::thread::sleep(Duration::from_millis(800));
        let seen = outside("channels", &input("look", &shared), dir.path());
        assert!(bits(&leaving.join().unwrap()) >= 6);
        seen
    });
    drop(objects);
    drill.control("outside the bits are seen", bits(&control) >= 6);

    // With every layer, and then without the filter: the namespaces alone hold, but for locks on
    // files that both may read, which the filter alone refuses.
    let whole = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let bare = session_without(&[Layer::Seccomp]);
    for (session, locks) in [(whole, 0), (bare, 2)] {
        let shared = "/usr/lib/python3.11/os.py";
        drill.attack(&session, |_| {
            let (seen, left) = std::thread::scope(|scope| {
                let leaving = scope.spawn(|| {
                    let call = call(probe("channels"), input("leave", shared));
                    run(&session, &call)
                });
                std::thread::sleep(Duration::from_millis(800));
                let call = call(probe("channels"), input("look", shared));
                (run(&session, &call), leaving.join().unwrap())
            });
            let seen = output(&seen);
            assert!(bits(seen) <= locks, "{seen}, of {:?}", left.output);
            for way in ["shared_memory", "semaphores", "posix_queue", "keyring"] {
                assert_ne!(seen[way], "bit", "{seen}");
            }
            for way in ["abstract_socket", "memory_file"] {
                assert_ne!(seen[way], "bit", "{seen}");
            }
        });
    }
}

/// The host's System V objects: one test makes some for its control, another counts them.
static HOST_OBJECTS: Mutex<()> = Mutex::new(());

/// KERN07: random system calls, five seconds or `HANDAXE_FUZZ_SECONDS`: with the filter, and without
/// it, so that the layers behind it meet them too.
#[test]
fn random_system_calls_break_nothing() {
    let drill = Drill::of(&["KERN07"]);
    let seconds = std::env::var("HANDAXE_FUZZ_SECONDS");
    let seconds = seconds.map_or(5.0, |s| s.parse().unwrap());
    let _objects = HOST_OBJECTS.lock().unwrap();
    // The calls are real: made without a filter, many of them succeed.
    let whole = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let bare = session_without(&[Layer::Seccomp]);
    let open = fuzz(&bare, 7, 1.0);
    drill.control("without the filter calls succeed", open.made > open.refused);
    drill.attack(&whole, |_| {
        let seen = fuzz(&whole, 20_261_122, seconds);
        // The game was played: many calls came through, and most were refused.
        let Played {
            runs,
            made,
            refused,
            ..
        } = seen;
        let played = runs >= 5 && made > 200 && refused * 2 > made;
        assert!(played, "{seen:?}");
        println!("with the filter: {seen:?}");
    });
    drill.attack(&bare, |_| {
        println!(
            "without the filter: {:?}",
            fuzz(&bare, 11_222_026, seconds / 4.0)
        );
    });
}

#[derive(Debug, Default)]
struct Played {
    /// Runs that gave an answer.
    runs: u64,
    made: u64,
    refused: u64,
    kinds: std::collections::BTreeSet<&'static str>,
}

fn fuzz(session: &Arc<dyn Session>, mut seed: u64, seconds: f64) -> Played {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut played = Played::default();
    while Instant::now() < until {
        seed += 1;
        let mut call = call(probe("fuzz"), json!({"seed": seed, "calls": 60}));
        call.limits.wall_ms = 300;
        // Every end is one of the kinds; a sandbox that fails is an error, and a failed test.
        let result = session.call(&call, &Cancel::default()).unwrap();
        played.kinds.insert(result.outcome.as_str());
        if let Some(Value::Object(ended)) = &result.output {
            played.runs += 1;
            played.made += ended.values().filter_map(Value::as_u64).sum::<u64>();
            played.refused += ended.get("EPERM").and_then(Value::as_u64).unwrap_or(0);
        }
    }
    played
}

/// A tool that is called again is sent in its compiled form, and nothing can be told from that.
#[test]
fn the_compiled_form_does_what_the_source_does() {
    let session = session();
    let good = "X = {1, 2}\n\nclass A:\n    '''d'''\n    def f(self): return __name__, __file__\n\ndef run(n):\n    return [A().f(), A.__doc__, run.__code__.co_filename, run.__code__.co_firstlineno, sorted(X), n]\n";
    let bad = "def run(n):\n    x = 1\n    raise KeyError('no')\n";
    let syntax = "def run(n):\n    return (\n";
    for (code, want) in [
        (good, None),
        (bad, Some((3, "KeyError"))),
        (syntax, Some((2, "SyntaxError"))),
    ] {
        let mut outputs = Vec::new();
        for n in 0..6 {
            let result = run(&session, &call(code, json!({"n": 7})));
            match want {
                None => outputs.push(output(&result).clone()),
                Some((line, kind)) => {
                    let error = result.error.unwrap();
                    assert_eq!((error.line, error.kind.as_str()), (Some(line), kind));
                    assert!(result.stderr.contains("tool.py"), "{}", result.stderr);
                }
            }
            if n == 2 {
                // The compiling child has its turn.
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        assert!(outputs.windows(2).all(|w| w[0] == w[1]), "{outputs:?}");
    }
}

/// More calls at once than children: they wait in turn, and too long a wait is said.
#[test]
fn calls_beyond_the_children_wait_and_say_when_it_is_too_long() {
    let mut config = config();
    config.most = 2;
    config.patience = Duration::from_secs(1);
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let slow = call("import time\ndef run():\n    time.sleep(3)\n", json!({}));
    // The first child has been made, however busy the machine.
    benign(&session);
    let results: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| session.call(&slow, &Cancel::default())))
            .collect();
        let until = Instant::now() + Duration::from_secs(10);
        while session.stats().waiting == 0 {
            assert!(Instant::now() < until, "the queue was never seen");
            std::thread::sleep(Duration::from_millis(1));
        }
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let busy = results
        .iter()
        .filter(|r| matches!(r, Err(handaxe_sandbox::SandboxError::Busy { .. })));
    assert!(busy.count() >= 2, "{results:?}");
    assert!(results.iter().any(Result::is_ok), "{results:?}");
    benign(&session);
}

/// One child at a time: whoever came first is served first.
#[test]
fn calls_that_wait_are_served_in_the_order_in_which_they_came() {
    let mut config = config();
    config.most = 1;
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let slow = call("import time\ndef run():\n    time.sleep(1)\n", json!({}));
    let quick = call("def run():\n    return 1\n", json!({}));
    let served = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| run(&session, &slow));
        let until = Instant::now() + Duration::from_secs(20);
        let arrived = |calls: u64, waiting: usize| {
            while session.stats().calls < calls || session.stats().waiting < waiting {
                assert!(Instant::now() < until, "{:?}", session.stats());
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        arrived(1, 0);
        for n in 0..5 {
            let (session, quick, served) = (&session, &quick, &served);
            scope.spawn(move || {
                run(session, quick);
                served.lock().unwrap().push(n);
            });
            arrived(n + 2, n as usize + 1);
        }
    });
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4]);
}
