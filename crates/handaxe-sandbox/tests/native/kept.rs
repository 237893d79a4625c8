//! A scratch and an ipc namespace in which nothing was done serve the next call; one in which
//! anything was done, even what leaves no trace to see, does not.

use std::sync::Arc;

use handaxe_sandbox::{Sandbox, Session, SessionSpec};
use serde_json::{Value, json};

use crate::support::{call, config, config_with_ctypes, output, run, sandbox_of};

/// Does something in the scratch, or looks at all that could show what others did there: it makes a
/// file, whose number counts those made before.
const CODE: &str = r#"
import os

def run(touch: str) -> dict:
    at = os.stat("/scratch")
    if touch == "stat":
        return {"made": at.st_mtime_ns}
    if touch != "look":
        try:
            exec(touch)
        except OSError as error:
            return {"failed": str(error)}
        return {"failed": None}
    seen = {
        "mode": at.st_mode,
        "links": at.st_nlink,
        "size": at.st_size,
        "used_since": len({at.st_mtime_ns, at.st_ctime_ns, at.st_atime_ns}) > 1,
        "files": os.listdir("/scratch"),
    }
    with open("/scratch/new", "w") as out:
        seen["number"] = os.fstat(out.fileno()).st_ino
    return seen
"#;

/// Each leaves something; and whether it may be refused.
const TOUCHES: [(&str, &str); 12] = [
    ("a file", "open('/scratch/a', 'w').close()"),
    (
        "a file, come and gone",
        "open('/scratch/a', 'w').close(); os.unlink('/scratch/a')",
    ),
    ("a directory", "os.mkdir('/scratch/d')"),
    ("a directory, come and gone", "os.mkdir('d'); os.rmdir('d')"),
    (
        "a file within a directory",
        "os.mkdir('d'); open('d/x', 'w').write('secret')",
    ),
    ("a look into it", "os.listdir('/scratch')"),
    (
        "a file without a name",
        "os.close(os.open('/scratch', os.O_TMPFILE | os.O_RDWR))",
    ),
    ("its mode", "os.chmod('/scratch', 0o755)"),
    (
        "its mode, by descriptor",
        "os.fchmod(os.open('/scratch', os.O_RDONLY), 0o711)",
    ),
    ("its times", "os.utime('/scratch', (5, 5))"),
    (
        "an attribute",
        "os.setxattr('/scratch', 'user.note', b'secret')",
    ),
    ("a file by another call", "os.mknod('/scratch/n')"),
];

fn ask(session: &Arc<dyn Session>, touch: &str) -> Value {
    output(&run(session, &call(CODE, json!({ "touch": touch })))).clone()
}

#[test]
fn what_one_call_does_in_its_scratch_the_next_does_not_see() {
    let mut config = config();
    // With nothing but what is under trial in the way.
    let calls = [
        "chmod",
        "fchmod",
        "fchmodat",
        "utimensat",
        "setxattr",
        "mknod",
        "mknodat",
    ];
    config.knobs.allow = calls.map(str::to_owned).to_vec();
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let fresh = ask(&session, "look");
    assert_eq!(fresh["files"], json!([]));
    assert_eq!(fresh["used_since"], false);
    let mut done = 0;
    for (what, touch) in TOUCHES {
        let said = ask(&session, touch);
        done += usize::from(said["failed"].is_null());
        for _ in 0..4 {
            assert_eq!(ask(&session, "look"), fresh, "after {what}: {said}");
        }
    }
    assert!(done >= 8, "only {done} of the touches could be done at all");
    // And one that is left alone is kept, or all of this showed nothing.
    let made: std::collections::BTreeSet<_> = (0..12)
        .map(|_| {
            // Those that are made one after another have other times, however coarse the clock.
            std::thread::sleep(std::time::Duration::from_millis(20));
            ask(&session, "stat")["made"].as_i64()
        })
        .collect();
    assert!(made.len() <= 6, "{} scratches for 12 calls", made.len());
}

/// Beside calls that touch theirs, and one that never stops touching.
#[test]
fn calls_beside_each_other_do_not_see_what_others_do_in_theirs() {
    let mut config = config();
    config.knobs.allow = vec!["utimensat".to_owned()];
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let fresh = ask(&session, "look");
    let flood = "import time\nend = time.monotonic() + 2\nn = 0\n\
                 while time.monotonic() < end:\n    n += 1\n    \
                 os.utime('/scratch', (n, n))\n    os.listdir('/scratch')";
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(ask(&session, flood)["failed"], Value::Null));
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..30 {
                    let (_, touch) = TOUCHES[n % 6];
                    assert_eq!(ask(&session, touch)["failed"], Value::Null);
                    assert_eq!(ask(&session, "look"), fresh);
                }
            });
        }
    });
}

/// The filter refuses all of it in the first place; here it does not.
const IPC: &str = r#"
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
CREATE = 0o1000 | 0o600

def run(make: str) -> dict:
    if make:
        made = {
            "shm": lambda: libc.shmget(7, 4096, CREATE),
            "sem": lambda: libc.semget(7, 1, CREATE),
            "msg": lambda: libc.msgget(7, CREATE),
        }[make]()
        return {"made": made >= 0, "errno": ctypes.get_errno()}
    return {"found": [libc.shmget(7, 0, 0) >= 0, libc.semget(7, 0, 0) >= 0, libc.msgget(7, 0) >= 0]}
"#;

#[test]
fn what_one_call_makes_in_its_ipc_namespace_the_next_does_not_find() {
    let mut config = config_with_ctypes();
    config.knobs.allow = ["shmget", "semget", "msgget"].map(str::to_owned).to_vec();
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let ask = |make: &str| output(&run(&session, &call(IPC, json!({ "make": make })))).clone();
    for make in ["shm", "sem", "msg"] {
        let made = ask(make);
        assert_eq!(
            made["made"], true,
            "{make} could not be made at all: {made}"
        );
        for _ in 0..4 {
            assert_eq!(ask("")["found"], json!([false, false, false]), "{make}");
        }
    }
}
