//! The profile without namespaces: what it holds, and what it does not, each seen.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use handaxe_sandbox::{
    Cancel, InlineFile, Mount, NativeConfig, NativeSandbox, Reach, Sandbox, SandboxError, Session,
    SessionSpec, Shape, probe_surface, reachable,
};
use handaxe_types::{Layer, Outcome};
use serde_json::{Value, json};

use crate::support::{
    benign, call, config, config_with_ctypes, output, outside, probe, run, sandbox_of,
};

const ABSENT: [Layer; 9] = [
    Layer::UserNamespace,
    Layer::PidNamespace,
    Layer::MountNamespace,
    Layer::NetNamespace,
    Layer::IpcNamespace,
    Layer::UtsNamespace,
    Layer::CgroupNamespace,
    Layer::ReadOnlyRoot,
    Layer::PrivateScratch,
];

pub(crate) fn bare(mut config: NativeConfig) -> NativeConfig {
    config.shape = Shape::Landlock;
    config
}

fn sandbox() -> NativeSandbox {
    sandbox_of(bare(config()))
}

fn session() -> Arc<dyn Session> {
    sandbox().open(SessionSpec::default()).unwrap()
}

#[test]
fn its_layers_are_listed_as_they_are() {
    let (weak, whole) = (sandbox(), sandbox_of(config()));
    assert_eq!((weak.name(), whole.name()), ("landlock", "native"));
    assert_ne!(weak.profile().digest(), whole.profile().digest());
    assert_eq!(NativeConfig::new("x".into()).shape, Shape::Namespaces);
    assert_eq!(NativeConfig::landlock("x".into()).shape, Shape::Landlock);
    for status in weak.layers() {
        let absent = ABSENT.contains(&status.layer);
        assert_eq!(status.required, !absent && status.layer != Layer::Cgroup);
        assert!(
            status.in_force != absent || status.layer == Layer::Cgroup,
            "{status:?}"
        );
        assert!(!absent || status.note == "not a part of this profile");
    }
    let result = run(&session(), &call("def run():\n    return 1\n", json!({})));
    for layer in ABSENT {
        assert!(!result.layers.contains(&layer), "{layer:?}");
    }
    assert!(result.layers.len() >= 9, "{:?}", result.layers);
}

#[test]
fn what_it_stands_on_is_required() {
    for layer in [
        Layer::Landlock,
        Layer::Seccomp,
        Layer::NoCapabilities,
        Layer::NoNewPrivileges,
        Layer::Rlimits,
        Layer::ClosedDescriptors,
    ] {
        let mut config = bare(config());
        config.knobs.missing = vec![layer];
        let refused = sandbox_of(config)
            .open(SessionSpec::default())
            .and_then(|session| {
                session.call(
                    &call("def run():\n    return 1\n", json!({})),
                    &Cancel::default(),
                )
            });
        assert!(
            matches!(&refused, Err(SandboxError::MissingLayer { layer: named, .. }) if *named == layer),
            "{layer:?}: {refused:?}"
        );
    }
}

#[test]
fn files_go_in_and_come_out() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let host = dir.path().join("big.csv");
    std::fs::write(&host, "a,b\n").unwrap();
    let mounts = vec![Mount {
        name: "big.csv".to_owned(),
        path: host.clone(),
    }];
    let spec = SessionSpec {
        mounts,
        hash_seed: 0,
    };
    let session = sandbox().open(spec).unwrap();
    let code = "def run(f, g):\n    found = []\n    for p in (f, g):\n        try:\n            open(p, 'a'); found.append('OK')\n        except OSError as e:\n            found.append(e.errno)\n    open('out', 'w').write(open(f).read() + open(g).read())\n    return {'o': 'out', 'found': found}\n";
    let mut given = call(code, json!({"f": "big.csv", "g": "small"}));
    given.file_inputs = vec!["f".to_owned(), "g".to_owned()];
    given.files = vec![InlineFile {
        name: "small".to_owned(),
        bytes: Arc::from(&b"c,d\n"[..]),
    }];
    given.file_outputs = vec!["o".to_owned()];
    given.artifacts = Some(dir.path().to_owned());
    for round in 0..3 {
        let result = run(&session, &given);
        let eacces = 13;
        assert_eq!(
            output(&result)["found"],
            json!([eacces, eacces]),
            "round {round}"
        );
        let out = dir.path().join("out");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "a,b\nc,d\n");
        std::fs::remove_file(out).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&host).unwrap(), "a,b\n");
    // A fixed path is what only a root of the jail's own has.
    let mut with_asset = call("def run():\n    return 1\n", json!({}));
    with_asset.assets.clone_from(&given.files);
    let refused = session.call(&with_asset, &Cancel::default());
    assert!(
        matches!(refused, Err(SandboxError::File { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_calls_directories_go_with_the_session() {
    let root = tempfile::tempdir().unwrap();
    std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut config = bare(config());
    config.scratch_root = root.path().to_owned();
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let leave = "import os\ndef run():\n    for n in range(50):\n        os.mkdir('d'); os.chdir('d'); open('f', 'w').write('x')\n    return os.getcwd()\n";
    let inside = run(&session, &call(leave, json!({})));
    let inside = output(&inside).as_str().unwrap().to_owned();
    assert!(
        inside.starts_with(root.path().to_str().unwrap()),
        "{inside}"
    );
    // Two calls share no directory, and the one before is gone or shut.
    let look = "import os\ndef run(path):\n    try:\n        return os.listdir(path)\n    except OSError as e:\n        return e.errno\n";
    let seen = run(&session, &call(look, json!({ "path": inside })));
    assert!(matches!(output(&seen).as_i64(), Some(2 | 13)), "{seen:?}");
    drop(session);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn host_files_are_neither_read_nor_changed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "the planted secret").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o666)).unwrap();
    let made = dir.path().join("made");
    let (secret, made) = (secret.to_str().unwrap(), made.to_str().unwrap());
    let input = json!({
        "read": [secret, "/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/dev/zero"],
        "write": [secret, "/proc/self/comm", "/dev/null"], "make": [made, "/tmp/handaxe-made", "/dev/shm/handaxe-made"],
    });
    let control = outside(
        "files",
        &json!({"read": [secret], "write": [secret], "make": [made]}),
        dir.path(),
    );
    for (kind, path) in [("read", secret), ("write", secret), ("make", made)] {
        assert!(
            control[kind][path].as_str().unwrap().starts_with("OK"),
            "control: {control}"
        );
    }
    std::fs::remove_file(made).unwrap();
    std::fs::write(secret, "the planted secret").unwrap();

    let session = session();
    let found = run(&session, &call(probe("files"), input.clone()));
    let found = output(&found);
    for kind in ["read", "write", "make"] {
        assert_eq!(
            found[kind].as_object().unwrap().len(),
            input[kind].as_array().unwrap().len()
        );
        for (path, said) in found[kind].as_object().unwrap() {
            assert!(
                matches!(said.as_str(), Some("EACCES" | "ENOENT")),
                "{kind} {path}: {said}"
            );
        }
    }
    // What Landlock does not speak of, the filter does: modes, times, links, cutting.
    let change = "import errno, os\ndef run(path):\n    found = {}\n    ways = {'chmod': lambda: os.chmod(path, 0o777), 'utime': lambda: os.utime(path), 'truncate': lambda: os.truncate(path, 0), 'cut': lambda: os.open(path, os.O_TRUNC), 'link': lambda: os.link(path, 'l'), 'symlink': lambda: os.symlink(path, 's'), 'rename': lambda: os.rename(path, path + 'x'), 'unlink': lambda: os.unlink(path), 'chown': lambda: os.chown(path, os.getuid(), os.getgid()), 'setxattr': lambda: os.setxattr(path, 'user.x', b'1')}\n    for name, way in ways.items():\n        try:\n            way(); found[name] = 'OK'\n        except OSError as e:\n            found[name] = errno.errorcode[e.errno]\n    return found\n";
    // A file of the jail's own user, where these tests are an ordinary user's.
    let changed = run(&session, &call(change, json!({ "path": secret })));
    let ways = output(&changed).as_object().unwrap();
    assert_eq!(ways.len(), 10);
    for (way, said) in ways {
        assert!(
            matches!(said.as_str(), Some("EACCES" | "EPERM" | "EXDEV")),
            "{way}: {said}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(secret).unwrap(),
        "the planted secret"
    );
    assert!(!std::path::Path::new(made).exists());
    benign(&session);
    if !rustix::process::geteuid().is_root() {
        // The filter's doing: with the calls let through, Landlock says nothing of them.
        let mut open = bare(config());
        open.knobs.allow = ["chmod", "fchmodat", "utimensat"]
            .map(str::to_owned)
            .to_vec();
        let session = sandbox_of(open).open(SessionSpec::default()).unwrap();
        let changed = run(&session, &call(change, json!({ "path": secret })));
        assert_eq!(output(&changed)["chmod"], json!("OK"));
        assert_eq!(output(&changed)["utime"], json!("OK"));
    }
}

#[test]
fn the_network_and_the_kernels_surface_are_shut() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let session = sandbox_of(bare(config_with_ctypes()))
        .open(SessionSpec::default())
        .unwrap();
    let input = json!({"port": port, "abstract": "handaxe-none"});
    let found = run(&session, &call(probe("network"), input.clone()));
    for road in ["fetch", "tcp", "udp", "unix"] {
        let said = output(&found)[road].as_str().unwrap();
        assert!(said.contains("not permitted"), "{road}: {said}");
    }
    assert!(listener.accept().is_err());
    // Without the filter Landlock alone holds TCP.
    let mut open = bare(config_with_ctypes());
    open.knobs.skip = vec![Layer::Seccomp];
    let session = sandbox_of(open).open(SessionSpec::default()).unwrap();
    let found = run(&session, &call(probe("network"), input));
    assert!(
        output(&found)["tcp"]
            .as_str()
            .unwrap()
            .contains("Permission denied"),
        "{found:?}"
    );
    assert!(listener.accept().is_err());

    let found = probe_surface(&bare(config())).unwrap();
    for probe in &found {
        assert!(
            probe.reach != Reach::Reachable || probe.reason.is_some(),
            "{probe:?}"
        );
    }
    assert_eq!(reachable(&found), 0);
}

#[test]
fn other_processes_are_out_of_reach() {
    // Process 1 and the host itself: neither a signal nor a look inside, nor a process of its own.
    let code = "import errno, os, signal\ndef run(pids):\n    found = {}\n    ways = {'fork': os.fork, 'abort': lambda: signal.raise_signal(0)}\n    for pid in pids:\n        ways[f'kill {pid}'] = lambda pid=pid: os.kill(pid, 0)\n        ways[f'environ {pid}'] = lambda pid=pid: open(f'/proc/{pid}/environ')\n        ways[f'mem {pid}'] = lambda pid=pid: open(f'/proc/{pid}/mem', 'r+b')\n    for name, way in ways.items():\n        try:\n            way(); found[name] = 'OK'\n        except OSError as e:\n            found[name] = errno.errorcode[e.errno]\n    return found\n";
    let session = session();
    let input = json!({"pids": [1, std::process::id()]});
    let result = run(&session, &call(code, input));
    let found = output(&result).as_object().unwrap();
    assert_eq!(found.len(), 8);
    for (way, said) in found {
        assert!(
            matches!(said.as_str(), Some("EACCES" | "EPERM")),
            "{way}: {said}"
        );
    }
}

#[test]
fn limits_hold_without_namespaces() {
    let session = session();
    for (code, outcome) in [
        ("def run():\n    while True: pass\n", Outcome::Timeout),
        (
            "def run():\n    return len(bytes(1 << 30))\n",
            Outcome::Memory,
        ),
        (
            "def run():\n    while True: print('x' * 65536)\n",
            Outcome::OutputLimit,
        ),
        ("import os\ndef run():\n    os.abort()\n", Outcome::Crash),
        ("import os\nos._exit(0)\n", Outcome::Crash),
    ] {
        let mut call = call(code, json!({}));
        call.limits.wall_ms = 500;
        let result = run(&session, &call);
        assert_eq!(result.outcome, outcome, "{code}: {result:?}");
    }
    let threads = "import threading\ndef run():\n    done, n = threading.Event(), 0\n    try:\n        while n < 5000:\n            threading.Thread(target=done.wait, daemon=True).start(); n += 1\n    except (RuntimeError, MemoryError):\n        pass\n    done.set()\n    return n\n";
    // Not by number, which would count everyone's of this user, but by what their stacks take.
    let found = run(&session, &call(threads, json!({})));
    assert!(output(&found).as_u64() < Some(100), "{found:?}");
    benign(&session);
}

/// What SECURITY.md says that this profile does not hold, so that the page stays true.
#[test]
fn what_it_does_not_hold_is_known() {
    let session = session();
    let code = "import os\ndef run():\n    big = 0\n    for n in range(10):\n        with open(f'f{n}', 'wb') as f: big += f.write(bytes(8 << 20))\n    return {'stat': os.stat('/etc/passwd').st_size > 0, 'host': os.uname().nodename, 'chdir': os.chdir('/etc'), 'pid': os.getpid(), 'scratch': big}\n";
    let result = run(&session, &call(code, json!({})));
    let found = output(&result);
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    assert_eq!(
        found["stat"],
        json!(true),
        "names and sizes of host files are seen"
    );
    assert_eq!(found["host"], json!(name), "the host's name is seen");
    assert_eq!(
        found["chdir"],
        Value::Null,
        "directories can be entered, not listed"
    );
    assert_ne!(found["pid"], json!(1), "process numbers are the host's");
    assert_eq!(
        found["scratch"],
        json!(80 << 20),
        "past 64 MiB: bounded a file at a time only"
    );
}
