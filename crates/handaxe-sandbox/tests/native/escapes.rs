//! Attacks on what is outside, each seen to succeed there first.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use handaxe_sandbox::{Sandbox, SessionSpec};
use handaxe_types::{Digest, Layer, Outcome};
use serde_json::{Value, json};

use crate::support::{
    benign, call, config_with_ctypes, in_time, output, outside, probe, run, sandbox_of, session,
    session_without,
};

/// What the kernel probe may reach, each with its reason; nothing else.
const REACHABLE: [(&str, &str); 0] = [];

fn table(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn the_kernels_surface_is_shut() {
    let scratch = tempfile::tempdir().unwrap();
    let control = table(&outside(
        "kernel",
        &json!({"privileged": false}),
        scratch.path(),
    ));
    let open = control.values().filter(|said| *said == "OK").count();
    assert!(open >= 20, "the control reached only {open}: {control:?}");

    let session = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let result = run(
        &session,
        &call(probe("kernel"), json!({"privileged": true})),
    );
    let inside = table(output(&result));
    assert_eq!(inside.len(), control.len() + 12);
    for (name, said) in &inside {
        let reason = REACHABLE.iter().find(|(n, _)| n == name);
        assert!(
            matches!(said.as_str(), "EPERM" | "ENOSYS") || reason.is_some(),
            "{name}: {said} inside, {:?} outside",
            control.get(name)
        );
    }
    benign(&session);

    // Without the filter the attempts get further: it is what shut them.
    let session = session_without(&[Layer::Seccomp]);
    let result = run(
        &session,
        &call(probe("kernel"), json!({"privileged": true})),
    );
    let unfiltered = table(output(&result));
    let open = unfiltered.values().filter(|said| *said == "OK").count();
    assert!(open >= 10, "{unfiltered:?}");
    // And these hold without it.
    for name in ["mount", "chroot", "pivot_root", "mknodat_fifo", "symlinkat"] {
        assert!(
            matches!(unfiltered[name].as_str(), "EPERM" | "EACCES"),
            "{name}: {}",
            unfiltered[name]
        );
    }
    assert_eq!(unfiltered["unshare_newuser"], "ENOSPC");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn foreign_system_calls_kill() {
    let session = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let x32 = "import ctypes\ndef run():\n    return ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))\n";
    let reboot = "import ctypes\ndef run():\n    return ctypes.CDLL(None).syscall(ctypes.c_long(169), 0, 0, 0, 0)\n";
    for code in [x32, reboot] {
        let result = run(&session, &call(code, json!({})));
        assert_eq!(result.outcome, Outcome::Policy, "{result:?}");
    }
    let session = session_without(&[Layer::Seccomp]);
    let result = run(&session, &call(x32, json!({})));
    assert_eq!(result.outcome, Outcome::Ok, "it ran: {result:?}");
    benign(&session);
}

#[test]
fn no_road_leads_to_the_network() {
    let hits = Arc::new(AtomicU32::new(0));
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    udp.set_nonblocking(true).unwrap();
    let name = format!("handaxe-test-{}", std::process::id());
    let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    unix.set_nonblocking(true).unwrap();
    let counted = Arc::clone(&hits);
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(200)));
            let _ = stream.read(&mut request);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nhi");
        }
    });
    let input = json!({"port": port, "abstract": name});
    let roads = ["fetch", "tcp", "udp", "unix", "resolve"];

    let scratch = tempfile::tempdir().unwrap();
    let control = table(&outside("network", &input, scratch.path()));
    for road in roads {
        assert_eq!(control[road], "OK", "control: {road}");
    }
    assert_eq!(hits.swap(0, Ordering::SeqCst), 2);
    let mut datagram = [0; 8];
    assert!(udp.recv(&mut datagram).is_ok() && unix.accept().is_ok());

    // With every layer, and then with the filter and Landlock gone: the namespace alone holds.
    let whole = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let bare = session_without(&[Layer::Seccomp, Layer::Landlock]);
    for session in [whole, bare] {
        let result = run(&session, &call(probe("network"), input.clone()));
        let inside = table(output(&result));
        for road in roads {
            // Resolving a name needs no packet without the filter; it is told by files.
            assert!(
                road == "resolve" || inside[road] != "OK",
                "{road}: {inside:?}"
            );
        }
        assert_eq!(hits.load(Ordering::SeqCst), 0);
        assert!(udp.recv(&mut datagram).is_err() && unix.accept().is_err());
        benign(&session);
    }
}

#[test]
fn host_files_are_neither_read_nor_written() {
    let scratch = tempfile::tempdir().unwrap();
    let secret = scratch.path().join("secret");
    std::fs::write(&secret, "the planted secret").unwrap();
    let secret = secret.to_str().unwrap();
    let made = scratch.path().join("made");
    let read = [
        secret,
        "/etc/passwd",
        "/proc/self/environ",
        "/sys/kernel/notes",
        "/dev/zero",
    ];
    let input = json!({"read": read, "write": [secret], "make": [made]});
    let control = outside("files", &input, scratch.path());
    for path in read {
        assert!(
            control["read"][path].as_str().unwrap().starts_with("OK"),
            "control: {path}"
        );
    }
    assert_eq!(control["write"][secret], "OK");
    assert!(made.exists());
    std::fs::remove_file(&made).unwrap();
    std::fs::write(secret, "the planted secret").unwrap();

    let before = digest(secret);
    // More that no control may touch.
    let write = [
        secret,
        "/etc/passwd",
        "/usr/lib/python3.11/os.py",
        "/handaxe/server.py",
        "/usr/bin/python3.11",
        "/proc/self/exe",
        "/proc/sys/kernel/core_pattern",
    ];
    let make = [
        made.to_str().unwrap(),
        "/x",
        "/usr/x",
        "/etc/x",
        "/tmp/x",
        "/handaxe/x",
        "/data/x",
        "/assets/x",
        "/dev/shm/x",
        "/scratch/../x",
        "sitecustomize.py",
    ];
    let mut read = read.to_vec();
    read.extend([
        "/root/.bashrc",
        "/proc/1/environ",
        "/etc/shadow",
        "/home",
        "/handaxe/server.py",
        "/scratch/../etc/passwd",
    ]);
    let input = json!({"read": read, "write": write, "make": make});
    let python = digest("/usr/bin/python3.11");
    let whole = session();
    let bare = session_without(&[Layer::Landlock, Layer::Seccomp]);
    for (session, full) in [(whole, true), (bare, false)] {
        let result = run(&session, &call(probe("files"), input.clone()));
        let inside = output(&result);
        for kind in ["read", "write", "make"] {
            for (path, said) in inside[kind].as_object().unwrap() {
                let said = said.as_str().unwrap();
                let own = path == "sitecustomize.py"
                    || (!full && path == "/handaxe/server.py" && kind == "read");
                let denied = matches!(
                    said,
                    "ENOENT" | "EACCES" | "EROFS" | "EPERM" | "EISDIR" | "ETXTBSY"
                );
                assert!(
                    own == said.starts_with("OK") && (own || denied),
                    "{kind} {path}: {said}"
                );
            }
            let tried = input[kind].as_array().unwrap().len();
            assert_eq!(inside[kind].as_object().unwrap().len(), tried);
        }
        assert_eq!(
            (digest(secret), digest("/usr/bin/python3.11")),
            (before, python)
        );
        assert!(!made.exists());
        benign(&session);
    }
}

fn digest(path: &str) -> Digest {
    Digest::of(&std::fs::read(path).unwrap())
}

#[test]
fn the_surroundings_are_the_declared_ones() {
    let directories = [
        "/", "/proc", "/sys", "/dev", "/etc", "/root", "/home", "/tmp", "/data", "/scratch",
    ];
    let input = json!({ "directories": directories });
    let scratch = tempfile::tempdir().unwrap();
    let control = outside("surroundings", &input, scratch.path());
    assert!(control["environment"].as_object().unwrap().len() > 1);
    assert!(control["listings"]["/proc"].as_array().unwrap().len() > 10);

    // A descriptor that is not close-on-exec must not come along either.
    let leak = std::fs::File::open("/etc/passwd").unwrap();
    rustix_clear_cloexec(&leak);
    let session = session();
    let result = run(&session, &call(probe("surroundings"), input));
    let seen = output(&result);
    assert_eq!(seen["descriptors"], json!([0, 1, 2, 3]));
    assert_eq!(
        seen["environment"],
        json!({"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1", "TZ": "UTC", "PYTHONHASHSEED": "0"})
    );
    assert_eq!(seen["ids"], json!([1000, 1000, 1000, 1000]));
    assert_eq!(seen["pids"], json!([1, 0]));
    assert_eq!(
        (&seen["node"], &seen["cwd"]),
        (&json!("handaxe"), &json!("/scratch"))
    );
    assert_eq!(seen["site"], json!([]));
    for path in seen["path"].as_array().unwrap() {
        let path = path.as_str().unwrap();
        assert!(
            path.starts_with("/usr/lib/python3") && !path.contains("packages"),
            "{path}"
        );
    }
    let listings = &seen["listings"];
    assert_eq!(listings["/"], json!("EACCES"));
    for gone in ["/proc", "/sys", "/dev", "/etc", "/root", "/home", "/tmp"] {
        assert!(
            matches!(listings[gone].as_str(), Some("ENOENT" | "EACCES")),
            "{gone}: {listings}"
        );
    }
    assert_eq!(
        (&listings["/data"], &listings["/scratch"]),
        (&json!([]), &json!([]))
    );
}

fn rustix_clear_cloexec(file: &std::fs::File) {
    rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty()).unwrap();
}

#[test]
fn bombs_of_processes_and_threads_stop_at_the_cap() {
    let scratch = tempfile::tempdir().unwrap();
    let input = json!({"most": 40});
    let control = outside("bombs", &input, scratch.path());
    assert_eq!(
        control,
        json!({"forks": [40, "bound"], "threads": [40, "bound"]})
    );

    let session = session();
    let result = run(&session, &call(probe("bombs"), input.clone()));
    let inside = output(&result);
    assert_eq!(inside["forks"], json!([0, "EPERM"]));
    assert_eq!(
        inside["threads"][0],
        json!(15),
        "16 with the first: {inside}"
    );
    assert!(inside["threads"][1].as_str().unwrap().contains("start"));
    benign(&session);

    // The layers behind the filter hold alone.
    let session = session_without(&[Layer::Seccomp]);
    let result = run(&session, &call(probe("bombs"), input.clone()));
    assert_eq!(output(&result)["forks"], json!([15, "EAGAIN"]));
    let session = session_without(&[Layer::Seccomp, Layer::Rlimits]);
    let mut call = call(probe("bombs"), input);
    call.limits.processes = 1000;
    assert_eq!(
        output(&run(&session, &call))["forks"],
        json!([40, "bound"]),
        "the probe can fork"
    );
    benign(&session);
}

#[test]
fn no_daemon_outlives_its_call() {
    let session = session_without(&[Layer::Seccomp, Layer::Rlimits]);
    // A name that only these processes have, seen from outside.
    let mark = "handaxedaemon";
    let code = format!(
        "import os, signal, time\ndef run():\n    for i in range(400):\n        if os.fork() == 0:\n            \
         os.setsid()\n            if os.fork(): os._exit(0)\n            signal.signal(signal.SIGTERM, signal.SIG_IGN)\n            \
         os.closerange(0, 10)\n            import ctypes; ctypes.CDLL(None).prctl(15, b'{mark}')\n            time.sleep(60)\n    time.sleep(0.5)\n    return 1\n"
    );
    let mut call = call(&code, json!({}));
    call.limits.processes = 1000;
    call.limits.memory_bytes = 2 << 30;
    let cancel = handaxe_sandbox::Cancel::default();
    let other = Arc::clone(&session);
    let running = std::thread::spawn(move || other.call(&call, &cancel).unwrap());
    let until = Instant::now() + Duration::from_secs(30);
    let mut most = 0;
    while !running.is_finished() && Instant::now() < until {
        most = most.max(named(mark));
        std::thread::sleep(Duration::from_millis(5));
    }
    let result = running.join().unwrap();
    let verdict = Instant::now();
    assert_eq!(result.outcome, Outcome::Ok, "{result:?}");
    assert!(most >= 300, "only {most} daemons were ever seen at once");
    while named(mark) > 0 {
        assert!(verdict.elapsed() < Duration::from_secs(5), "survivors");
        std::thread::sleep(Duration::from_millis(5));
    }
    in_time(verdict.elapsed(), Duration::from_millis(250));
    benign(&session);
}

/// How many processes of this machine have this name.
pub(crate) fn named(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|e| {
            let name = std::fs::read_to_string(e.path().join("comm")).unwrap_or_default();
            name.trim() == mark
        })
        .count()
}

#[test]
fn two_calls_share_nothing() {
    let session = session();
    let leave = "import sys, json, builtins, os\ndef run():\n    open('left', 'w').write('x')\n    builtins.left = 1\n    json.left = 1\n    os.environ['LEFT'] = '1'\n    sys.modules['left'] = sys\n    return os.listdir('.')\n";
    let look = "import sys, json, builtins, os\ndef run():\n    return [os.listdir('/scratch'), hasattr(builtins, 'left'), hasattr(json, 'left'), 'LEFT' in os.environ, 'left' in sys.modules]\n";
    assert_eq!(
        output(&run(&session, &call(leave, json!({})))),
        &json!(["left"])
    );
    for _ in 0..4 {
        let result = run(&session, &call(look, json!({})));
        assert_eq!(output(&result), &json!([[], false, false, false, false]));
    }
    // The same draw of `random` in every call, a different one of the system's.
    let draw = "import random, uuid\ndef run():\n    return [random.random(), hash('x'), str(uuid.uuid4())]\n";
    let (a, b) = (
        run(&session, &call(draw, json!({}))),
        run(&session, &call(draw, json!({}))),
    );
    let (a, b) = (output(&a), output(&b));
    assert_eq!((&a[0], &a[1]), (&b[0], &b[1]));
    assert_ne!(a[2], b[2]);
}

#[test]
fn memory_cannot_be_made_executable() {
    let session = session();
    let code = "import mmap\ndef run():\n    found = []\n    for prot in (7, 6, 5):\n        try:\n            mmap.mmap(-1, 4096, prot=prot); found.append('OK')\n        except OSError as e:\n            found.append(e.errno)\n    return found\n";
    assert_eq!(
        output(&run(&session, &call(code, json!({})))),
        &json!([1, 1, "OK"])
    );
}

#[test]
fn at_most_eight_of_the_listed_probes_are_reachable() {
    use handaxe_sandbox::{MOST_REACHABLE, Reach, probe_surface, reachable};
    let found = probe_surface(&crate::support::config()).unwrap();
    assert_eq!(found.len(), 61);
    for probe in &found {
        let excused = probe.reach != Reach::Reachable || probe.reason.is_some();
        assert!(excused, "{probe:?}");
    }
    assert!(reachable(&found) <= MOST_REACHABLE);

    // The same attempts get far where the filter is missing: they are real.
    let mut config = crate::support::config();
    config.knobs.skip = vec![Layer::Seccomp];
    let open = reachable(&probe_surface(&config).unwrap());
    assert!(open >= 20, "only {open} without the filter");
}
