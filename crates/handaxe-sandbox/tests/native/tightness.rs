//! Races, channels between calls, bombs in files, and blind fuzz from inside.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use handaxe_sandbox::{Cancel, InlineFile, Mount, Sandbox, SessionSpec};
use handaxe_types::{Layer, Outcome};
use serde_json::{Value, json};

use crate::support::{
    benign, call, config, config_with_ctypes, output, outside, probe, run, sandbox_of, session,
    session_without,
};

/// FS04: a name that is a file at one moment and a link to something else at the next.
#[test]
fn a_swapped_name_never_hands_back_what_it_points_to() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "the planted secret").unwrap();
    let mut config = config();
    // They would refuse to make the link at all.
    config.knobs.skip = vec![Layer::Seccomp, Layer::Landlock];
    let mounts = vec![Mount {
        name: "secret".to_owned(),
        path: secret,
    }];
    let spec = SessionSpec {
        mounts,
        hash_seed: 0,
    };
    let session = sandbox_of(config).open(spec).unwrap();
    let code = "import os, sys, threading, time\n\
                def run(look):\n    sys.setswitchinterval(1e-6)\n    open('f', 'w').write('own')\n    turns = [0]\n\
                \x20   def swap():\n        while True:\n            os.symlink('/data/secret', 't'); os.rename('t', 'f')\n\
                \x20           with open('t', 'w') as t: t.write('own')\n            os.rename('t', 'f'); turns[0] += 1\n\
                \x20   threading.Thread(target=swap, daemon=True).start()\n    hits = 0\n\
                \x20   for _ in range(look):\n        with open('f') as f: hits += 'planted' in f.read()\n\
                \x20   while turns[0] < 300: time.sleep(0)\n\
                \x20   return {'f': 'f', 'hits': hits}\n";
    // The control: an opener that follows links does meet the secret.
    let control = run(&session, &call(code, json!({"look": 3000})));
    assert!(output(&control)["hits"].as_u64() > Some(0), "{control:?}");

    let (mut taken, mut refused) = (0, 0);
    for n in 0..60 {
        let out = dir.path().join(format!("out{n}"));
        std::fs::create_dir(&out).unwrap();
        let mut call = call(code, json!({"look": 0}));
        call.file_outputs = vec!["f".to_owned()];
        call.artifacts = Some(out.clone());
        let result = run(&session, &call);
        match result.outcome {
            Outcome::Ok => {
                let bytes = std::fs::read(out.join("f")).unwrap();
                assert!(b"own".starts_with(&bytes), "{bytes:?}");
                taken += 1;
            }
            Outcome::ToolError | Outcome::Crash | Outcome::Protocol => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken + refused, 60);
    benign(&session);
}

/// KERN03 and KERN04: two calls beside each other, and the ways between them.
#[test]
fn nothing_leads_from_one_call_to_another_beside_it() {
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
    assert!(bits(&control) >= 6, "{control}");

    // With every layer, and then without the filter: the namespaces alone hold, but for locks on
    // files that both may read, which the filter alone refuses.
    let whole = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let bare = session_without(&[Layer::Seccomp]);
    for (session, locks) in [(whole, 0), (bare, 2)] {
        let shared = "/usr/lib/python3.11/os.py";
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
        benign(&session);
    }
}

/// RES09: what is small outside and large inside, unpacked by the tool.
#[test]
fn a_bomb_in_a_file_goes_off_inside() {
    // A member of zeros, a thousand times smaller packed, made where it is unpacked.
    let pack = "import zlib\ndef run():\n    import base64\n    c = zlib.compressobj(9)\n    parts = [c.compress(bytes(1 << 20)) for _ in range(400)]\n    parts.append(c.flush())\n    return base64.b64encode(b''.join(parts)).decode()\n";
    let session = session();
    let mut making = call(pack, json!({}));
    making.limits.output_bytes = 4 << 20;
    let packed = run(&session, &making);
    let packed = output(&packed).as_str().unwrap().to_owned();
    assert!(packed.len() < 600_000, "400 MiB in {} bytes", packed.len());
    let bomb = InlineFile {
        name: "bomb".to_owned(),
        bytes: Arc::from(packed.as_bytes()),
    };
    let whole = "import base64, zlib\ndef run(f):\n    return len(zlib.decompress(base64.b64decode(open(f).read())))\n";
    let to_disk = "import base64, zlib\ndef run(f):\n    d = zlib.decompressobj()\n    data = base64.b64decode(open(f).read())\n    with open('out', 'wb') as out:\n        while data:\n            out.write(d.decompress(data, 1 << 16))\n            data = d.unconsumed_tail\n    return 1\n";
    for (code, limit) in [(whole, 64 << 20), (to_disk, 64 << 20)] {
        let mut call = call(code, json!({"f": "bomb"}));
        call.files = vec![bomb.clone()];
        call.file_inputs = vec!["f".to_owned()];
        call.limits.memory_bytes = limit;
        call.limits.scratch_bytes = 8 << 20;
        let result = run(&session, &call);
        let errno = result.error.as_ref().and_then(|e| e.errno.as_deref());
        assert!(
            result.outcome == Outcome::Memory || errno == Some("ENOSPC"),
            "{result:?}"
        );
    }
    // The control: with room, it does unpack.
    let mut call = call(whole, json!({"f": "bomb"}));
    call.files = vec![bomb];
    call.file_inputs = vec!["f".to_owned()];
    call.limits.memory_bytes = 1 << 30;
    assert_eq!(output(&run(&session, &call)), &json!(400 << 20));
    benign(&session);
}

/// RES05: every kind of descriptor, refused by the filter and capped behind it.
#[test]
fn descriptors_of_every_kind_end_at_the_cap() {
    let code = "import os, select, socket, tempfile\n\
                def run():\n    found = {}\n    kinds = {'files': lambda: os.open('/scratch', os.O_RDONLY), 'pipes': os.pipe, 'polls': select.epoll, 'events': lambda: os.eventfd(0), 'sockets': socket.socketpair}\n\
                \x20   for name, make in kinds.items():\n        kept = []\n        try:\n            while len(kept) < 5000: kept.append(make())\n            found[name] = 'bound'\n        except OSError as e:\n            found[name] = e.errno\n\
                \x20       count = len(kept)\n        for k in kept:\n            for fd in (k if isinstance(k, tuple) else (k,)):\n                os.close(fd) if isinstance(fd, int) else fd.close()\n\
                \x20       found[name] = [found[name], count]\n    return found\n";
    let (emfile, eperm) = (24, 1);
    let session = session_without(&[]);
    let result = run(&session, &call(code, json!({})));
    let found = output(&result);
    assert_eq!(found["files"][0], emfile, "{found}");
    for kind in ["pipes", "polls", "events", "sockets"] {
        assert_eq!(found[kind], json!([eperm, 0]), "{kind}: {found}");
    }
    let session = session_without(&[Layer::Seccomp]);
    let result = run(&session, &call(code, json!({})));
    for (kind, said) in output(&result).as_object().unwrap() {
        assert_eq!(said[0], emfile, "{kind}: {said}");
        assert!(said[1].as_u64() < Some(1024), "{kind}: {said}");
    }
    benign(&session);
}

/// RES06 and RES07: what a full scratch leaves behind is gone with its call.
#[test]
fn a_full_scratch_is_gone_with_its_call() {
    let session = session();
    let many = "import os\ndef run():\n    n = 0\n    try:\n        while True:\n            os.mkdir('d'); os.chdir('d')\n            for i in range(20): open(str(i), 'w').close()\n            n += 21\n    except OSError as e:\n        return [n, e.errno]\n";
    let big = "import os\ndef run():\n    found = []\n    for act in (lambda f: f.truncate(1 << 40), lambda f: os.posix_fallocate(f.fileno(), 0, 1 << 40), lambda f: [f.write(bytes(1 << 20)) for _ in range(4096)]):\n        with open('f', 'wb') as f:\n            try:\n                act(f); found.append(0)\n            except OSError as e:\n                found.append(e.errno)\n    return found\n";
    let mut call_many = call(many, json!({}));
    call_many.limits.scratch_inodes = 20_000;
    let result = run(&session, &call_many);
    let (n, errno) = (&output(&result)[0], &output(&result)[1]);
    assert!(
        n.as_u64() > Some(15_000) && *errno == json!(28),
        "{n} {errno}"
    );
    let result = run(&session, &call(big, json!({})));
    let said = output(&result).as_array().unwrap().clone();
    // EFBIG, refused outright or EFBIG, and ENOSPC or EFBIG.
    for errno in &said {
        assert!(
            [27, 28, 1, 95].contains(&errno.as_i64().unwrap()),
            "{said:?}"
        );
    }
    // Nothing but the children that wait is left, and soon.
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let stats = session.stats();
        if stats.live == stats.ready + stats.coming {
            break;
        }
        assert!(Instant::now() < until, "{stats:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    benign(&session);
}

/// The host's System V objects: one test makes some for its control, another counts them.
static HOST_OBJECTS: Mutex<()> = Mutex::new(());

fn count(path: &str) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

/// KERN07: five seconds by default; `HANDAXE_FUZZ_SECONDS` asks for more.
#[test]
fn random_system_calls_break_nothing() {
    let seconds = std::env::var("HANDAXE_FUZZ_SECONDS");
    let seconds = seconds.map_or(5, |s| s.parse().unwrap());
    let session = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let own = || {
        [
            count("/proc/self/mountinfo"),
            count("/proc/sysvipc/shm"),
            count("/proc/sysvipc/msg"),
            count("/proc/sysvipc/sem"),
        ]
    };
    let _objects = HOST_OBJECTS.lock().unwrap();
    let before = own();
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut seed, mut answered) = (20_261_122_u64, 0_u64);
    let (mut made, mut refused) = (0_u64, 0_u64);
    let mut kinds = std::collections::BTreeSet::new();
    while Instant::now() < until {
        seed += 1;
        let mut call = call(probe("fuzz"), json!({"seed": seed, "calls": 60}));
        call.limits.wall_ms = 300;
        // Every end is one of the kinds; a sandbox that fails is an error, and a failed test.
        let result = session.call(&call, &Cancel::default()).unwrap();
        kinds.insert(result.outcome.as_str());
        if let Some(Value::Object(ended)) = &result.output {
            answered += 1;
            made += ended.values().filter_map(Value::as_u64).sum::<u64>();
            refused += ended.get("EPERM").and_then(Value::as_u64).unwrap_or(0);
        }
    }
    // The game was played: many calls came through, and most were refused.
    assert!(
        answered >= 5 && made > 200 && refused * 2 > made,
        "{made} calls, {refused} refused, in {answered} runs: {kinds:?}"
    );
    assert_eq!(own(), before);
    benign(&session);
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
    config.patience = Duration::from_millis(300);
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let slow = call("import time\ndef run():\n    time.sleep(1.5)\n", json!({}));
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
