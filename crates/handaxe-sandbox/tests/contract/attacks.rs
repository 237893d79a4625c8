//! What a hostile tool may not do. Each attack says what it tried, so that one which did nothing
//! fails; what it reaches for is seen to be reachable outside first.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use handaxe_types::Outcome;
use serde_json::{Value, json};

use crate::backends::{Backend, call};

/// Finds the harness's nonce in the frames above, as a hostile tool would.
const FORGE: &str = r#"
import os, struct, sys, time


def frame(output=b"1", meta=b'{"status":"ok","files":[]}', nonce=None, magic=b"HXRS"):
    if nonce is None:
        step = sys._getframe()
        while "nonce" not in step.f_locals or step.f_code.co_name != "answer":
            step = step.f_back
        nonce = step.f_locals["nonce"]
    return magic + nonce + struct.pack("<II", len(meta), len(output)) + meta + output
"#;

pub(crate) fn frames(b: &Backend) {
    for (body, outcome, output) in [
        // The control: a well-made one is a result like any other, if it is the only one.
        (
            "os.write(3, frame(b'42')); os.close(3); time.sleep(9)",
            Outcome::Ok,
            Some(json!(42)),
        ),
        ("os.write(3, frame())", Outcome::Protocol, None),
        (
            "os.write(3, frame() + frame()); os._exit(0)",
            Outcome::Protocol,
            None,
        ),
        (
            "os.write(3, frame()[:-1]); os._exit(0)",
            Outcome::Protocol,
            None,
        ),
        (
            "os.write(3, frame(nonce=bytes(16)))",
            Outcome::Protocol,
            None,
        ),
        (
            "os.write(3, b'HXGO' + frame()); os._exit(0)",
            Outcome::Protocol,
            None,
        ),
        (
            "os.write(3, frame(meta=b'{\"status\":\"accepted\",\"files\":[]}'))",
            Outcome::Protocol,
            None,
        ),
        ("os.write(1, frame()); os._exit(0)", Outcome::Crash, None),
        // Frames of the container's first process, where a tool might hope to reach its reader.
        (
            "os.write(1, b'3' + struct.pack('<I', 9) + b'123456789'); return 7",
            Outcome::Ok,
            Some(json!(7)),
        ),
    ] {
        let code = format!("{FORGE}\n\ndef run():\n    {body}\n");
        let result = b.code(&code);
        assert_eq!(result.outcome, outcome, "{}: {body}: {result:?}", b.name);
        assert_eq!(result.output, output, "{body}");
    }
    b.benign();
}

/// The control: the same code by the same Python, without any sandbox.
#[expect(
    clippy::disallowed_methods,
    reason = "the control runs our own probe outside"
)]
fn outside(code: &str, input: &Value) -> Value {
    let script = "import json, sys\nns = {'__name__': 'tool'}\nexec(sys.argv[1], ns)\n\
                  print(json.dumps(ns['run'](**json.loads(sys.argv[2]))))";
    let done = std::process::Command::new("/usr/bin/python3")
        .args(["-c", script, code, &input.to_string()])
        .output()
        .unwrap();
    serde_json::from_slice(&done.stdout).unwrap()
}

#[track_caller]
fn inside(b: &Backend, code: &str, input: &Value) -> Value {
    let result = b.run(&call(code, input.clone()));
    result
        .output
        .clone()
        .unwrap_or_else(|| panic!("{}: {result:?}", b.name))
}

pub(crate) fn network(b: &Backend) {
    let hits = Arc::new(AtomicU32::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let counted = Arc::clone(&hits);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let code = "import socket\ndef run(port):\n    said = []\n    for family, kind, to in ((2, 1, ('127.0.0.1', port)), (2, 2, ('127.0.0.1', port)), (1, 1, '/run/x'), (16, 3, (0, 0)), (40, 1, (2, port))):\n        try:\n            s = socket.socket(family, kind)\n            s.settimeout(1)\n            s.connect(to)\n            said.append('OK')\n        except OSError as e:\n            said.append(e.errno)\n    return said\n";
    let input = json!({ "port": port });
    assert_eq!(outside(code, &input)[0], "OK");
    let seen = inside(b, code, &input);
    let seen = seen.as_array().unwrap();
    assert_eq!(seen.len(), 5);
    assert!(
        seen.iter().all(|s| s == 1),
        "every socket is EPERM: {seen:?}"
    );
    assert_eq!(hits.load(Ordering::SeqCst), 1, "only the control came");
    b.benign();
}

pub(crate) fn host_files(b: &Backend) {
    let canary = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(canary.path(), "planted").unwrap();
    let code = "import os\ndef run(paths):\n    said = []\n    for path in paths:\n        try:\n            said.append(open(path).read(7))\n        except OSError as e:\n            said.append(e.errno)\n    return said\n";
    let paths = [
        canary.path().to_str().unwrap(),
        "/etc/passwd",
        "/etc/hostname",
        "/proc/1/environ",
        "/proc/1/mem",
        "/proc/self/mem",
        "/handaxe/../etc/shadow",
        "/sys/kernel/uevent_seqnum",
        "/proc/sys/kernel/core_pattern",
    ];
    let input = json!({ "paths": paths });
    assert_eq!(outside(code, &input)[0], "planted");
    let seen = inside(b, code, &input);
    for (path, said) in paths.iter().zip(seen.as_array().unwrap()) {
        // gVisor's /proc is its own kernel's, about this one container.
        let own = b.name == "oci:runsc" && path.starts_with("/proc/");
        assert!(said.is_number() || own, "{}: {path}: {said}", b.name);
    }
    assert!(seen[0].is_number() && seen[1].is_number());
}

pub(crate) fn read_only(b: &Backend) {
    let code = "import os, sys\ndef run():\n    said = {}\n    for path in ('/new', '/usr/lib/new', '/data/new', '/assets/new', '/handaxe/program.py', '/handaxe/server.py', sys.executable or '/usr/bin/python3', os.__file__, '/scratch/new'):\n        try:\n            open(path, 'w').close()\n            said[path] = 'OPEN'\n        except OSError as e:\n            said[path] = e.errno\n    return said\n";
    let seen = inside(b, code, &json!({}));
    let seen = seen.as_object().unwrap();
    assert_eq!(seen.len(), 9);
    for (path, said) in seen {
        let own = path == "/scratch/new";
        let excused = b.name == "oci:runsc" && (path == "/data/new" || path == "/assets/new");
        // Before files are attached, native's /data and a container's own are the call's alone.
        let private = b.name != "native" && (path == "/data/new" || path == "/assets/new");
        assert!(
            (said == "OPEN") == own || excused || private,
            "{}: {path}: {said}",
            b.name
        );
    }
    b.benign();
}

pub(crate) fn privileges(b: &Backend) {
    let code = "import os\ndef run():\n    said = {}\n    for name, attempt in (('setuid', lambda: os.setuid(0)), ('chroot', lambda: os.chroot('/')), ('chown', lambda: os.chown('/scratch', 0, 0)), ('nice', lambda: os.nice(-5)), ('kill', lambda: os.kill(1, 9)), ('exec', lambda: os.execv('/usr/bin/python3', ['python3'])), ('mknod', lambda: os.mknod('n', 0o60600, 0x801))):\n        try:\n            attempt()\n            said[name] = 'OK'\n        except OSError as e:\n            said[name] = e.errno\n    said['uid'] = os.getuid()\n    return said\n";
    let seen = inside(b, code, &json!({}));
    let seen = seen.as_object().unwrap();
    assert_eq!(seen.len(), 8);
    assert_ne!(seen["uid"], 0);
    for (name, said) in seen {
        assert!(said.is_number(), "{}: {name}: {said}", b.name);
    }
    b.benign();
}

pub(crate) fn processes(b: &Backend) {
    let code = "import os, subprocess\ndef run():\n    said = []\n    for attempt in (os.fork, lambda: os.posix_spawn('/bin/true', ['true'], {}), lambda: subprocess.run(['/usr/bin/python3', '-c', '1'])):\n        try:\n            attempt()\n            said.append('OK')\n        except OSError as e:\n            said.append(e.errno)\n    return said\n";
    let seen = inside(b, code, &json!({}));
    let seen = seen.as_array().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(Value::is_number), "{seen:?}");
    b.benign();
}

/// Nothing of a session outlives it: no directory, no control group, no process of ours.
pub(crate) fn nothing_left(b: &Backend) {
    let session = b.open(handaxe_sandbox::SessionSpec::default());
    let spin = "import threading\ndef run():\n    threading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()\n    while True: pass\n";
    let mut call = call(spin, json!({}));
    call.limits.wall_ms = 300;
    let result = session.call(&call, &handaxe_sandbox::Cancel::default());
    assert_eq!(result.unwrap().outcome, Outcome::Timeout);
    let before = ours();
    drop(session);
    let after = ours();
    assert!(before.len() >= after.len(), "{after:?}");
    // What is left is the suite's own session.
    assert!(after.len() <= 1, "{after:?}");
    assert!(b.place.starts_with(std::env::temp_dir()));
    let groups = sessions_with_groups();
    assert!(groups.len() <= 1, "{groups:?}");
}

/// Sessions of this process that have control groups at the top of a hierarchy: a group is named as
/// its session is, and numbered.
fn sessions_with_groups() -> std::collections::BTreeSet<String> {
    let mine = format!("handaxe-oci-{}-", std::process::id());
    let top = std::path::PathBuf::from("/sys/fs/cgroup");
    let list = |of: &std::path::PathBuf| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
        entries.map(|e| e.path()).collect()
    };
    let mut tops = list(&top);
    tops.push(top);
    let groups = tops.iter().flat_map(list);
    let names = groups.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned()));
    let mine = names.filter(|n| n.starts_with(&mine));
    mine.filter_map(|n| Some(n.rsplit_once('-')?.0.to_owned()))
        .collect()
}

/// Directories of this process's sessions.
fn ours() -> Vec<String> {
    let mine = format!("handaxe-oci-{}-", std::process::id());
    let entries = std::fs::read_dir("/tmp").unwrap().flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|n| n.starts_with(&mine)).collect()
}
