//! The limits hold, and those without an outcome of their own reach the tool as an errno.

use std::time::{Duration, Instant};

use handaxe_types::{Layer, Outcome};
use serde_json::json;

use crate::support::{benign, call, in_time, output, run, run_with, session, session_without};

#[test]
fn an_infinite_loop_is_killed_in_time() {
    let session = session();
    for (code, change) in [
        ("def run():\n    while True: pass\n", (400, 60_000)),
        (
            "import time\ndef run():\n    time.sleep(60)\n",
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
    ] {
        let mut call = call(code, json!({}));
        (call.limits.wall_ms, call.limits.cpu_ms) = change;
        let result = run(&session, &call);
        assert_eq!(result.outcome, Outcome::Timeout, "{code}");
        // The child's own clock stops while others have the processor; the wall's does not.
        if change.0 == 400 {
            assert!(result.runtime_ms >= 400.0, "{code}");
            let over = Duration::from_secs_f64((result.runtime_ms - 400.0) / 1e3);
            in_time(over, Duration::from_millis(500));
        } else {
            let spent = result.usage.cpu_ms;
            assert!((400.0..900.0).contains(&spent), "{code}: {spent} ms");
        }
    }
    benign(&session);
}

#[test]
fn threads_together_have_one_processor_limit() {
    let code = "import threading\ndef run():\n    def spin():\n        while True: sum(range(1000))\n    for _ in range(4): threading.Thread(target=spin, daemon=True).start()\n    spin()\n";
    let result = run_with(code, |l| l.cpu_ms = 300);
    assert_eq!(result.outcome, Outcome::Timeout);
    assert!(result.usage.cpu_ms < 800.0, "{}", result.usage.cpu_ms);
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

/// Each process keeps within its own address space; together only the control group bounds them.
#[test]
fn memory_split_over_processes_is_still_bounded() {
    let code = "import os, time\ndef run():\n    pids = []\n    for _ in range(6):\n        pid = os.fork()\n        if pid == 0:\n            kept = bytearray(56 << 20)\n            time.sleep(1)\n            os._exit(0)\n        pids.append(pid)\n    return [os.waitpid(p, 0)[1] for p in pids]\n";
    let session = session_without(&[Layer::Seccomp]);
    let mut call = call(code, json!({}));
    call.limits.memory_bytes = 64 << 20;
    call.limits.scratch_bytes = 1 << 20;
    let result = run(&session, &call);
    let killed = match &result.output {
        Some(statuses) => statuses.as_array().unwrap().iter().any(|s| s == 9),
        None => result.outcome == Outcome::Memory,
    };
    assert_eq!(killed, result.layers.contains(&Layer::Cgroup), "{result:?}");
    benign(&session);
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
fn a_flood_of_output_ends_the_run_and_costs_the_host_little() {
    let session = session();
    let before = resident_kib();
    for code in [
        "def run():\n    while True: print('x' * 65536)\n",
        "import os\ndef run():\n    while True: os.write(2, b'\\x00\\xff\\x1b[2J' * 9999)\n",
        "import os\ndef run():\n    while True: os.write(3, b'A' * 65536)\n",
        "def run():\n    return 'x' * (64 << 20)\n",
    ] {
        let result = run(&session, &call(code, json!({})));
        let ended = matches!(result.outcome, Outcome::OutputLimit | Outcome::Protocol);
        assert!(ended, "{code}: {:?} {:?}", result.outcome, result.error);
        assert!(result.stdout.len() <= 256 << 10 && result.stderr.len() <= 3 * (256 << 10));
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
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
