//! KERN01 to KERN07, NET04 to NET06: the kernel's surface.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use handaxe_sandbox::{InlineFile, Sandbox, Session, SessionSpec};
use handaxe_types::{Layer, Outcome};
use serde_json::{Value, json};

use crate::drill::Drill;
use crate::lifecycle::run_alone;
use crate::support::{
    PYTHON, SCRIPT, call, config_with_ctypes, output, outside, outside_code, probe, run,
    sandbox_of, session, session_without,
};

pub(crate) fn with_ctypes() -> Arc<dyn Session> {
    sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap()
}

/// A session whose filter lets these calls through.
fn allowing(calls: &[&str]) -> Arc<dyn Session> {
    let mut config = config_with_ctypes();
    config.knobs.allow = calls.iter().map(|c| (*c).to_owned()).collect();
    sandbox_of(config).open(SessionSpec::default()).unwrap()
}

fn table(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap()
}

/// The kernel looked at the attempt, whatever it then said of its arguments.
fn looked_at(said: &str) -> bool {
    !matches!(said, "EPERM" | "EACCES" | "ENOSYS" | "EAFNOSUPPORT")
}

/// The privileged attempts as somebody who may: root in mounts of its own, or an ordinary user in a
/// user namespace of its own. Their arguments are such that nothing can come of them.
fn privileged(directory: &Path) -> BTreeMap<String, String> {
    let own = ["--mount", "--propagation", "private"];
    let root = rustix::process::geteuid().is_root();
    let more: &[&str] = if root {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the control: our own probe, outside"
    )]
    let done = Command::new("unshare")
        .args(own)
        .args(more)
        .arg(PYTHON)
        .args(["-c", SCRIPT, probe("kernel"), r#"{"privileged": true}"#])
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

#[test]
fn the_kernels_surface_is_shut() {
    let drill = Drill::of(&["KERN01", "KERN02", "NET04", "NET05", "NET06"]);
    let scratch = tempfile::tempdir().unwrap();
    let plain = table(&outside(
        "kernel",
        &json!({"privileged": false}),
        scratch.path(),
    ));
    let control = privileged(scratch.path());
    let open = plain.values().filter(|said| *said == "OK").count();
    drill.control("an ordinary process reaches most of it", open >= 20);
    let lacking: Vec<_> = control
        .iter()
        .filter(|(_, said)| !looked_at(said))
        .collect();
    println!("not reached by the control either: {lacking:?}");
    let root = rustix::process::geteuid().is_root();
    // In a user namespace only what acts on namespaces may be done.
    let must: &[&str] = if root {
        &[
            "mount",
            "fsopen",
            "chroot",
            "setns",
            "pivot_root",
            "unshare_newuser",
            "bpf",
            "perf_event_open",
            "fanotify_init",
            "open_by_handle_at",
            "swapon",
            "quotactl",
            "userfaultfd",
            "io_uring_setup",
            "socket_vsock",
            "socket_netlink",
            "socket_packet",
            "socket_raw",
        ]
    } else {
        &[
            "mount",
            "fsopen",
            "chroot",
            "setns",
            "pivot_root",
            "io_uring_setup",
            "socket_netlink",
        ]
    };
    for name in must {
        // What the kernel was built without cannot be attacked on this machine.
        let absent = matches!(control[*name].as_str(), "ENOSYS" | "EAFNOSUPPORT");
        drill.control(name, absent || looked_at(&control[*name]));
    }

    let session = with_ctypes();
    drill.attack(&session, |_| {
        let result = run(
            &session,
            &call(probe("kernel"), json!({"privileged": true})),
        );
        let inside = table(output(&result));
        assert_eq!(inside.len(), control.len());
        for (name, said) in &inside {
            let shut = matches!(said.as_str(), "EPERM" | "ENOSYS");
            assert!(shut, "{name}: {said} inside, {} outside", control[name]);
        }
    });

    // Without the filter the attempts get further: it is what shut them. And these hold without.
    let session = session_without(&[Layer::Seccomp]);
    drill.attack(&session, |_| {
        let result = run(
            &session,
            &call(probe("kernel"), json!({"privileged": true})),
        );
        let unfiltered = table(output(&result));
        let open = unfiltered.values().filter(|said| *said == "OK").count();
        assert!(open >= 10, "{unfiltered:?}");
        for name in [
            "mount",
            "fsopen",
            "chroot",
            "pivot_root",
            "mknodat_fifo",
            "symlinkat",
        ] {
            let said = unfiltered[name].as_str();
            assert!(matches!(said, "EPERM" | "EACCES"), "{name}: {said}");
        }
        // Nobody may not, and who has a name to make files with may make none.
        assert_eq!(unfiltered["unshare_newuser"], "EPERM");
        let mut with_files = call(probe("kernel"), json!({"privileged": true}));
        with_files.files = vec![InlineFile {
            name: "s.txt".to_owned(),
            bytes: Arc::from(b"small".as_slice()),
        }];
        let result = run(&session, &with_files);
        assert_eq!(table(output(&result))["unshare_newuser"], "ENOSPC");
    });
}

/// Whether a user namespace can be made within one, whose maker has a name there or none.
fn one_within_another(named: &[&str]) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "the control: namespaces of our own, outside"
    )]
    let mut command = Command::new("unshare");
    command.arg("--user").args(named);
    command.args(["unshare", "--user", "true"]);
    command.output().unwrap().status.success()
}

#[test]
fn nobody_makes_no_namespace() {
    assert!(one_within_another(&["--map-root-user"]), "the control");
    assert!(!one_within_another(&[]), "who has no name makes one");
}

/// Machine code that makes a 32-bit call, and what it takes to have any: memory that is both
/// writable and executable, which the filter refuses (the next test) unless it is told not to.
#[cfg(target_arch = "x86_64")]
#[test]
fn foreign_system_calls_kill() {
    let drill = Drill::of(&["KERN05"]);
    let x32 = "import ctypes\ndef run():\n    return ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))\n";
    let reboot = "import ctypes\ndef run():\n    return ctypes.CDLL(None).syscall(ctypes.c_long(169), 0, 0, 0, 0)\n";
    // mov eax, 20 (getpid); int 0x80; ret
    let int80 = "import ctypes, mmap\ndef run():\n    m = mmap.mmap(-1, 4096, prot=7)\n    m.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n    at = ctypes.addressof(ctypes.c_char.from_buffer(m))\n    return ctypes.CFUNCTYPE(ctypes.c_int)(at)()\n";
    let bare = session_without(&[Layer::Seccomp]);
    for (name, code) in [("x32", x32), ("32-bit", int80)] {
        let result = run(&bare, &call(code, json!({})));
        drill.control(name, result.outcome == Outcome::Ok);
    }
    let session = allowing(&["mmap", "mprotect"]);
    drill.attack(&session, |_| {
        for code in [x32, reboot, int80] {
            let result = run(&session, &call(code, json!({})));
            assert_eq!(result.outcome, Outcome::Policy, "{result:?}");
        }
    });
}

#[test]
fn memory_cannot_be_made_executable() {
    let code = "import mmap, ctypes\ndef run():\n    found = []\n    for prot in (7, 6, 5):\n        try:\n            m = mmap.mmap(-1, 4096, prot=prot); found.append('OK')\n        except OSError as e:\n            found.append(e.errno)\n    m = mmap.mmap(-1, 4096)\n    at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n    libc = ctypes.CDLL(None, use_errno=True)\n    found.append('OK' if libc.mprotect(at, 4096, 5) == 0 else ctypes.get_errno())\n    return found\n";
    let open = run(&allowing(&["mmap", "mprotect"]), &call(code, json!({})));
    assert_eq!(
        output(&open),
        &json!(["OK", "OK", "OK", "OK"]),
        "the control"
    );
    let shut = run(&with_ctypes(), &call(code, json!({})));
    assert_eq!(output(&shut), &json!([1, 1, "OK", 1]));
}

/// One call after the other: what the first leaves with the kernel, the second looks for.
#[test]
fn keys_are_not_handed_over() {
    let drill = Drill::of(&["KERN03"]);
    let code = r#"
import ctypes, errno, platform

def run(leave):
    libc = ctypes.CDLL(None, use_errno=True)
    arm = platform.machine() == "aarch64"
    found = {}
    # The user's keyring and the session's.
    for ring in (-4, -3):
        ctypes.set_errno(0)
        name = b"handaxe-key%d" % -ring
        if leave:
            number, arguments = (217 if arm else 248), (b"user", name, b"bit", ctypes.c_long(3), ctypes.c_long(ring))
        else:
            number, arguments = (219 if arm else 250), (ctypes.c_long(10), ctypes.c_long(ring), b"user", name, ctypes.c_long(0))
        result = libc.syscall(ctypes.c_long(number), *arguments)
        found[str(ring)] = "bit" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
        if not leave and result >= 0:
            libc.syscall(ctypes.c_long(219 if arm else 250), ctypes.c_long(21), ctypes.c_long(result))
    return found
"#;
    let dir = tempfile::tempdir().unwrap();
    outside_code(code, &json!({"leave": true}), dir.path());
    let seen = outside_code(code, &json!({"leave": false}), dir.path());
    drill.control(
        "outside the second finds what the first left",
        seen["-4"] == "bit",
    );
    for session in [with_ctypes(), session_without(&[Layer::Seccomp])] {
        drill.attack(&session, |_| {
            let left = run(&session, &call(code, json!({"leave": true})));
            let seen = run(&session, &call(code, json!({"leave": false})));
            assert_eq!(output(&left).as_object().unwrap().len(), 2);
            for (ring, said) in output(&seen).as_object().unwrap() {
                assert_ne!(said, "bit", "{ring}");
            }
        });
    }
}

const TTY: &str = r##"
import errno, fcntl, os, termios

def run(fds):
    found = {}
    def attempt(name, act):
        try:
            act()
            found[name] = "OK"
        except (OSError, termios.error) as error:
            found[name] = errno.errorcode.get(error.args[0], "?")
    attempt("open", lambda: os.close(os.open("/dev/tty", os.O_RDWR)))
    for fd in fds:
        attempt(f"type {fd}", lambda: fcntl.ioctl(fd, 0x5412, b"#"))
        attempt(f"select {fd}", lambda: fcntl.ioctl(fd, 0x541C, b"\3"))
        attempt(f"attributes {fd}", lambda: termios.tcgetattr(fd))
    return found
"##;

/// The other half of the next test: has a terminal, as its own and as an open descriptor.
#[test]
#[ignore = "started by `no_terminal_is_typed_into` alone"]
fn host_with_a_terminal() {
    let terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .unwrap();
    rustix::io::fcntl_setfd(&terminal, rustix::io::FdFlags::empty()).unwrap();
    let fds: Vec<u32> = (0..24).collect();
    let control = outside_code(TTY, &json!({ "fds": fds }), Path::new("/"));
    let typed = control.as_object().unwrap().iter();
    let typed = typed
        .filter(|(what, said)| !what.starts_with("select") && *said == "OK")
        .count();
    assert!(typed >= 2, "the control: {control}");
    let whole = with_ctypes();
    for session in [whole, session_without(&[Layer::Seccomp, Layer::Landlock])] {
        let result = run(&session, &call(TTY, json!({ "fds": fds })));
        for (what, said) in output(&result).as_object().unwrap() {
            assert_ne!(said, "OK", "{what}");
        }
    }
    drop(terminal);
}

#[test]
fn no_terminal_is_typed_into() {
    let drill = Drill::of(&["KERN06"]);
    let exe = std::env::current_exe().unwrap();
    let spawn = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    // Its own control is in the other half, which fails where it does.
    drill.control("the other half is there to be run", exe.exists());
    let session = session();
    drill.attack(&session, |_| {
        #[expect(clippy::disallowed_methods, reason = "this test binary, at a terminal")]
        let mut command = Command::new(PYTHON);
        command.args(["-c", spawn]).arg(&exe);
        run_alone(&mut command, "kern::host_with_a_terminal");
    });
}
