//! Every limit ends the run with its outcome, and an honest tool works after it.

use std::time::Duration;

use handaxe_sandbox::{Cancel, SandboxError};
use handaxe_types::{LimitHit, Outcome};
use serde_json::json;

use crate::backends::{Backend, call};

pub(crate) fn wall(b: &Backend) {
    let code = "import time\ndef run():\n    time.sleep(60)\n";
    let result = b.limited(code, |l| l.wall_ms = 400);
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::Timeout, Some(LimitHit::Wall)),
        "{result:?}"
    );
    assert!(result.runtime_ms >= 400.0);
    // The module's own body is bounded like the call.
    let result = b.limited("import time\ntime.sleep(60)\n", |l| l.wall_ms = 400);
    assert_eq!(result.outcome, Outcome::Timeout);
}

pub(crate) fn cpu(b: &Backend) {
    let result = b.limited("def run():\n    while True: pass\n", |l| l.cpu_ms = 300);
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::Timeout, Some(LimitHit::Cpu)),
        "{result:?}"
    );
    assert!(result.usage.cpu_ms >= 300.0, "{:?}", result.usage);
    b.benign();
}

pub(crate) fn memory(b: &Backend) {
    for code in [
        "def run():\n    return len('x' * (4 << 30))\n",
        "def run():\n    kept = []\n    while True: kept.append(bytearray(1 << 20))\n",
    ] {
        let result = b.limited(code, |l| l.memory_bytes = 64 << 20);
        assert_eq!(result.outcome, Outcome::Memory, "{code}: {result:?}");
    }
    // What is allowed can be used.
    let code = "def run():\n    return len(bytearray(48 << 20))\n";
    let result = b.limited(code, |l| l.memory_bytes = 64 << 20);
    assert_eq!(result.output, Some(json!(48 << 20)), "{result:?}");
}

pub(crate) fn output(b: &Backend) {
    let code = "def run():\n    return 'x' * 5000\n";
    let result = b.limited(code, |l| l.output_bytes = 4000);
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::OutputLimit, Some(LimitHit::Output)),
        "{result:?}"
    );
}

pub(crate) fn floods(b: &Backend) {
    for code in [
        "def run():\n    while True: print('x' * 65536)\n",
        "import os\ndef run():\n    while True: os.write(2, b'\\x00\\xff\\x1b[2J' * 9999)\n",
        "import os\ndef run():\n    while True: os.write(3, b'A' * 65536)\n",
    ] {
        let result = b.code(code);
        let ended = matches!(result.outcome, Outcome::OutputLimit | Outcome::Protocol);
        assert!(ended, "{code}: {:?} {:?}", result.outcome, result.error);
        assert!(result.stdout.len() <= 256 << 10 && result.stderr.len() <= 3 * (256 << 10));
    }
    b.benign();
}

pub(crate) fn scratch(b: &Backend) {
    let write = "def run():\n    with open('f', 'wb') as f:\n        for _ in range(200): f.write(b'x' * 65536)\n";
    let many = "def run():\n    for i in range(5000): open(f'f{i}', 'w').close()\n";
    let open = "def run():\n    kept = []\n    while True: kept.append(open('/scratch/f', 'w'))\n";
    let sparse = "def run():\n    with open('f', 'wb') as f: f.truncate(1 << 40)\n";
    for (code, errno) in [
        (write, "ENOSPC"),
        (many, "ENOSPC"),
        (open, "EMFILE"),
        (sparse, "EFBIG"),
    ] {
        if code == many && b.differs("inodes") {
            continue;
        }
        let result = b.limited(code, |l| {
            l.scratch_bytes = 4 << 20;
            l.scratch_inodes = 128;
        });
        assert_eq!(result.outcome, Outcome::ToolError, "{code}: {result:?}");
        assert_eq!(
            result.error.unwrap().errno.as_deref(),
            Some(errno),
            "{code}"
        );
    }
}

pub(crate) fn threads(b: &Backend) {
    if b.differs("threads") {
        return;
    }
    let code = "import threading, time\ndef run():\n    n = 0\n    try:\n        for _ in range(500):\n            threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n            n += 1\n    except RuntimeError:\n        pass\n    return n\n";
    let result = b.limited(code, |l| {
        l.processes = 16;
        l.memory_bytes = 2 << 30;
    });
    let made = result.output.as_ref().and_then(serde_json::Value::as_u64);
    assert!(made.is_some_and(|n| (1..=16).contains(&n)), "{result:?}");
    b.benign();
}

pub(crate) fn cancel(b: &Backend) {
    let cancel = Cancel::default();
    let other = cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        other.cancel();
    });
    let spin = call("def run():\n    while True: pass\n", json!({}));
    let error = b.session.call(&spin, &cancel).unwrap_err();
    assert!(matches!(error, SandboxError::Cancelled), "{error}");
    canceller.join().unwrap();
    b.benign();
}
