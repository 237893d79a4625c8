//! The limits hold, and those without an outcome of their own reach the tool as an errno.

use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_sandbox::Session;

use handaxe_types::Outcome;
use serde_json::json;

use crate::drill::Drill;
use crate::proc::forking;
use crate::support::{benign, call, in_time, output, run, session};

/// RES01 and RES02: spinning, in one thread and in eight; sleeping, stopping itself, waiting for
/// input. The first number is the wall clock's limit, the second the processor's.
#[test]
fn an_infinite_loop_is_killed_in_time() {
    let drill = Drill::of(&["RES01", "RES02"]);
    let threads = "import threading\ndef run():\n    def spin():\n        while True: sum(range(1000))\n    for _ in range(7): threading.Thread(target=spin, daemon=True).start()\n    spin()\n";
    let stopped = "import os, signal, time\ndef run():\n    pid = os.fork()\n    if pid == 0:\n        signal.raise_signal(signal.SIGSTOP)\n        os._exit(0)\n    os.waitpid(pid, 0)\n";
    let cases = [
        ("def run():\n    while True: pass\n", (400, 60_000)),
        (
            "import time\ndef run():\n    time.sleep(60)\n",
            (400, 60_000),
        ),
        (
            "import select\ndef run():\n    select.select([], [], [], 60)\n",
            (400, 60_000),
        ),
        (
            "import signal, time\ndef run():\n    signal.raise_signal(signal.SIGSTOP)\n    time.sleep(60)\n",
            (400, 60_000),
        ),
        ("while True: pass\n", (60_000, 400)),
        (
            "import signal\ndef run():\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while True: pass\n",
            (400, 60_000),
        ),
        (
            "def run():\n    import re\n    return bool(re.match(r'(a+)+$', 'a' * 60 + 'b'))\n",
            (60_000, 400),
        ),
        (
            "def run():\n    return len(str(7 ** 10_000_000))\n",
            (60_000, 400),
        ),
        (threads, (60_000, 400)),
    ];
    // Without limits that it meets, the same goes on for as long as it is let.
    let (session, forks) = (session(), forking(&[], &[]));
    let mut long = call(
        "import time\ndef run():\n    time.sleep(1.5)\n    return 1\n",
        json!({}),
    );
    drill.control(
        "a longer limit is a longer run",
        run(&session, &long).runtime_ms >= 1500.0,
    );
    long.limits.wall_ms = 400;
    drill.control(
        "a shorter one is not",
        run(&session, &long).runtime_ms < 1500.0,
    );
    let mut worst = [Duration::ZERO; 2];
    let mut check = |session: &Arc<dyn Session>, code: &str, (wall, cpu): (u64, u64)| {
        let mut call = call(code, json!({}));
        (call.limits.wall_ms, call.limits.cpu_ms) = (wall, cpu);
        let result = run(session, &call);
        assert_eq!(result.outcome, Outcome::Timeout, "{code}: {result:?}");
        // The child's own clock stops while others have the processor; the wall's does not.
        if wall == 400 {
            assert!(result.runtime_ms >= 400.0, "{code}");
            let over = Duration::from_secs_f64((result.runtime_ms - 400.0) / 1e3);
            in_time(over, Duration::from_millis(500));
            worst[0] = worst[0].max(over);
        } else {
            let spent = result.usage.cpu_ms;
            assert!((400.0..900.0).contains(&spent), "{code}: {spent} ms");
            worst[1] = worst[1].max(Duration::from_secs_f64((spent - 400.0) / 1e3));
        }
    };
    drill.attack(&session, |_| {
        for (code, limits) in cases {
            check(&session, code, limits);
        }
    });
    // A process of its own can be stopped, where one may be made at all.
    drill.attack(&forks, |_| check(&forks, stopped, (400, 60_000)));
    println!("over the limit of 400 ms, at worst: {worst:?} (wall, processor)");
}

#[test]
fn a_memory_bomb_stays_inside() {
    let session = session();
    for code in [
        "def run():\n    return len('x' * (4 << 30))\n",
        "def run():\n    kept = []\n    while True: kept.append(bytearray(1 << 20))\n",
        "def run():\n    kept = []\n    while True: kept.append([0] * 1000)\n",
        "import mmap\ndef run():\n    kept = []\n    while True:\n        m = mmap.mmap(-1, 16 << 20)\n        m.write(b'x' * (16 << 20))\n        kept.append(m)\n",
    ] {
        let mut call = call(code, json!({}));
        call.limits.memory_bytes = 64 << 20;
        let result = run(&session, &call);
        // An anonymous map says ENOMEM as an OSError; everything else is a MemoryError.
        let denied = result.error.as_ref().and_then(|e| e.errno.as_deref()) == Some("ENOMEM");
        assert!(
            result.outcome == Outcome::Memory || denied,
            "{code}: {result:?}"
        );
        assert!(
            result.usage.max_rss_kib < 110 << 10,
            "{code}: {:?}",
            result.usage
        );
    }
    // What is allowed can be used.
    let code = "def run():\n    return len(bytearray(48 << 20))\n";
    let mut call = call(code, json!({}));
    call.limits.memory_bytes = 64 << 20;
    assert_eq!(output(&run(&session, &call)), &json!(48 << 20));
}

/// What the warm interpreter has to spare comes on top, and is little.
#[test]
fn a_small_limit_on_memory_is_held() {
    let session = session();
    let most = "def run():\n    low, high = 0, 64 << 10\n    while low < high:\n        middle = (low + high + 1) // 2\n        try:\n            b = bytearray(middle << 10)\n            del b\n            low = middle\n        except MemoryError:\n            high = middle - 1\n    return low\n";
    for limit in [1, 512, 1024, 4096, 16_384_u64] {
        let mut call = call(most, json!({}));
        call.limits.memory_bytes = limit << 10;
        let got = run(&session, &call);
        let got = output(&got).as_u64().unwrap();
        assert!(got <= limit + 256, "{got} KiB under a limit of {limit}");
    }
}

#[test]
fn limits_on_files_reach_the_tool_as_an_errno() {
    let session = session();
    let write = "def run():\n    with open('f', 'wb') as f:\n        for _ in range(200): f.write(b'x' * 65536)\n";
    let many = "def run():\n    for i in range(100000): open(f'f{i}', 'w').close()\n";
    let open = "def run():\n    kept = []\n    while True: kept.append(open('/scratch/f', 'w'))\n";
    let sparse = "def run():\n    with open('f', 'wb') as f: f.truncate(1 << 40)\n";
    let deep = "import os\ndef run():\n    for i in range(100000):\n        os.mkdir('d')\n        os.chdir('d')\n";
    for (code, errno) in [
        (write, "ENOSPC"),
        (many, "ENOSPC"),
        (open, "EMFILE"),
        (sparse, "EFBIG"),
        (deep, "ENOSPC"),
    ] {
        let mut call = call(code, json!({}));
        call.limits.scratch_bytes = 4 << 20;
        call.limits.scratch_inodes = 128;
        let result = run(&session, &call);
        assert_eq!(result.outcome, Outcome::ToolError, "{code}: {result:?}");
        assert_eq!(
            result.error.unwrap().errno.as_deref(),
            Some(errno),
            "{code}"
        );
    }
    let mut call = call(write, json!({}));
    call.limits.file_bytes = 1 << 20;
    assert_eq!(
        run(&session, &call).error.unwrap().errno.as_deref(),
        Some("EFBIG")
    );
    benign(&session);
}

#[test]
fn cancelling_kills_at_once() {
    let session = session();
    let cancel = handaxe_sandbox::Cancel::default();
    let other = cancel.clone();
    let started = Instant::now();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        other.cancel();
    });
    let spin = call("def run():\n    while True: pass\n", json!({}));
    let error = session.call(&spin, &cancel).unwrap_err();
    assert!(matches!(error, handaxe_sandbox::SandboxError::Cancelled));
    assert!(started.elapsed() < Duration::from_secs(5));
    canceller.join().unwrap();
    benign(&session);
}

/// Children are made ahead under the usual limits; a call may ask for more or for less of each.
#[test]
fn limits_go_up_and_down_within_a_session() {
    let session = session();
    for factor in [1, 8, 2, 16, 1] {
        let mut call = call("def run():\n    return 1\n", json!({}));
        call.limits.memory_bytes = factor * (64 << 20);
        call.limits.scratch_bytes = factor * (32 << 20);
        call.limits.file_bytes = factor * (32 << 20);
        assert_eq!(output(&run(&session, &call)), 1, "factor {factor}");
    }
}
