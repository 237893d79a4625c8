//! FS01 to FS10: files of the host, and what comes out of the scratch.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use handaxe_sandbox::{Mount, Sandbox, SessionSpec};
use handaxe_types::{Digest, Layer, Outcome};
use serde_json::json;

use crate::drill::Drill;
use crate::support::{
    call, config, in_time, output, outside, outside_code, probe, run, sandbox_of, session,
    session_without,
};

fn digest(path: &str) -> Digest {
    Digest::of(&std::fs::read(path).unwrap())
}

#[test]
fn host_files_are_neither_read_nor_written() {
    let drill = Drill::of(&["FS01", "FS02", "FS09", "FS10"]);
    let scratch = tempfile::tempdir().unwrap();
    // Readable by everybody: not the modes are on trial.
    std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let plant = |name: &str| {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "the planted secret").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let planted = [
        "secret",
        "home/.bashrc",
        "tools/other/1/tool.py",
        "repo/.git/config",
    ]
    .map(plant);
    let absent = [
        "made",
        "repo/.git/hooks-pre-commit",
        "home/sitecustomize.py",
        "home/x.pth",
    ];
    let absent = absent.map(|name| scratch.path().join(name).to_str().unwrap().to_owned());
    let open = [
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/exe",
        "/sys/kernel/notes",
        "/dev/zero",
    ];
    let mut read: Vec<String> = open.map(str::to_owned).to_vec();
    read.extend(planted.clone());
    let input = json!({"read": read, "write": planted, "make": absent});
    let control = outside("files", &input, scratch.path());
    for (kind, paths) in [("read", &read[..]), ("write", &planted), ("make", &absent)] {
        for path in paths {
            drill.control(
                path,
                control[kind][path].as_str().unwrap().starts_with("OK"),
            );
        }
    }
    for path in &absent {
        std::fs::remove_file(path).unwrap();
    }
    let before = planted.clone().map(|path| digest(&path));

    // More that no control may touch.
    let mut write = planted.to_vec();
    write.extend(
        [
            "/etc/passwd",
            "/usr/lib/python3.11/os.py",
            "/handaxe/server.py",
            "/usr/bin/python3.11",
            "/proc/self/exe",
            "/proc/1/exe",
            "/proc/sys/kernel/core_pattern",
        ]
        .map(str::to_owned),
    );
    let mut make = absent.to_vec();
    make.extend(
        [
            "/x",
            "/usr/x",
            "/etc/x",
            "/tmp/x",
            "/handaxe/x",
            "/data/x",
            "/assets/x",
            "/dev/shm/x",
            "/scratch/../x",
            "/usr/lib/python3.11/usercustomize.py",
            "/usr/lib/python3.11/handaxe.pth",
            "sitecustomize.py",
        ]
        .map(str::to_owned),
    );
    read.extend(
        [
            "/root/.bashrc",
            "/proc/1/environ",
            "/etc/shadow",
            "/home",
            "/handaxe/server.py",
            "/scratch/../etc/passwd",
        ]
        .map(str::to_owned),
    );
    let input = json!({"read": read, "write": write, "make": make});
    let bare = session_without(&[Layer::Landlock, Layer::Seccomp]);
    for (session, full) in [(session(), true), (bare, false)] {
        drill.attack(&session, |_| {
            let result = run(&session, &call(probe("files"), input.clone()));
            let inside = output(&result);
            for kind in ["read", "write", "make"] {
                let tried = input[kind].as_array().unwrap().len();
                assert_eq!(inside[kind].as_object().unwrap().len(), tried);
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
            }
            assert_eq!(planted.clone().map(|path| digest(&path)), before);
            assert!(
                absent
                    .iter()
                    .all(|path| !std::path::Path::new(path).exists())
            );
        });
    }
}

/// What is planted in the scratch for somebody outside to fall over. `give` says what of it the
/// tool names as its output.
const OUTPUTS: &str = r#"
import os, threading

def run(secret):
    found = {}
    os.symlink(secret, "s")
    found["symlink"] = open("s").read()
    os.link(secret, "h")
    found["link"] = os.stat("h").st_nlink
    os.mkfifo("p")
    reader = threading.Thread(target=lambda: open("p").read(), daemon=True)
    reader.start()
    reader.join(0.3)
    found["fifo"] = "hangs" if reader.is_alive() else "read"
    open("../up", "w").close()
    found["up"] = os.path.exists("../up")
    os.unlink("../up")
    os.unlink("s"); os.unlink("h"); os.unlink("p")
    return found
"#;

#[test]
fn what_is_no_plain_file_of_the_scratch_is_not_handed_back() {
    let drill = Drill::of(&["FS03", "FS05", "FS06", "FS07"]);
    let host = tempfile::tempdir().unwrap();
    std::fs::set_permissions(host.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let secret = host.path().join("secret");
    std::fs::write(&secret, "planted").unwrap();
    let secret = secret.to_str().unwrap();
    let work = host.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let control = outside_code(OUTPUTS, &json!({ "secret": secret }), &work);
    let want = json!({"symlink": "planted", "link": 2, "fifo": "hangs", "up": true});
    drill.control("outside all of it works", control == want);

    // The filter and Landlock would refuse to make these at all: they are taken away.
    let mounts = vec![Mount {
        name: "secret".to_owned(),
        path: secret.into(),
    }];
    let spec = SessionSpec {
        mounts,
        hash_seed: 0,
    };
    let mut config = config();
    config.knobs.skip = vec![Layer::Seccomp, Layer::Landlock];
    let session = sandbox_of(config).open(spec).unwrap();
    let long = "x".repeat(4096);
    let cases = [
        ("os.symlink('/data/secret', 'f')", "f", "symbolic link"),
        ("os.symlink('/data', 'f')", "f", "symbolic link"),
        (
            "open('a', 'w').close(); os.link('a', 'f')",
            "f",
            "more than one name",
        ),
        // The mount is another file system, whatever is under it.
        ("os.link('/data/secret', 'f')", "f", "cross-device"),
        ("os.link('/usr/bin/python3.11', 'f')", "f", "cross-device"),
        ("os.mkfifo('f')", "f", "not a regular file"),
        ("os.mkdir('f')", "f", "not a regular file"),
        (
            "import socket; socket.socket(1).bind('/scratch/f')",
            "f",
            "handed back",
        ),
        (
            "os.mkdir('d'); open('d/f', 'w').close()",
            "d/f",
            "plain file name",
        ),
        ("pass", "../etc/passwd", "plain file name"),
        ("pass", "/etc/passwd", "plain file name"),
        ("pass", "/data/secret", "plain file name"),
        ("pass", "a\\0b", "plain file name"),
        ("pass", "..", "plain file name"),
        ("pass", "", "plain file name"),
        ("pass", "...", "No such file"),
        ("pass", "absent", "No such file"),
        ("pass", long.as_str(), "name too long"),
        ("pass", "\\udcff", "plain file name"),
        ("open('\\udcff', 'w').close()", "\\udcff", "plain file name"),
        ("open('f', 'w').truncate(1 << 30)", "f", "more than"),
    ];
    drill.attack(&session, |_| {
        for (make, name, needle) in cases {
            let dir = tempfile::tempdir().unwrap();
            let code =
                format!("import os\ndef run():\n    {make}\n    return {{'f': \"{name}\"}}\n");
            let mut call = call(&code, json!({}));
            call.limits.file_bytes = 2 << 30;
            call.file_outputs = vec!["f".to_owned()];
            call.artifacts = Some(dir.path().to_owned());
            let result = run(&session, &call);
            assert_eq!(
                result.outcome,
                Outcome::ToolError,
                "{make} {name}: {result:?}"
            );
            in_time(
                Duration::from_secs_f64(result.runtime_ms / 1e3),
                Duration::from_secs(1),
            );
            let error = result.error.unwrap();
            let message = error.message.to_lowercase();
            assert!(
                message.contains(&needle.to_lowercase()),
                "{make} {name}: {message}"
            );
            // Nothing of the host's own paths is told.
            let told = format!("{message}{}", result.stderr);
            assert!(!told.contains(host.path().to_str().unwrap()), "{told}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    });
}

/// FS04: a name that is a file at one moment and a link to something else at the next.
#[test]
fn a_swapped_name_never_hands_back_what_it_points_to() {
    let drill = Drill::of(&["FS04"]);
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
                def run(look, swaps):\n    sys.setswitchinterval(1e-6)\n    open('f', 'w').write('own')\n    turns = [0]\n\
                \x20   def swap():\n        while True:\n            os.symlink('/data/secret', 't'); os.rename('t', 'f')\n\
                \x20           with open('t', 'w') as t: t.write('own')\n            os.rename('t', 'f'); turns[0] += 1\n\
                \x20   threading.Thread(target=swap, daemon=True).start()\n    hits = 0\n\
                \x20   for _ in range(look):\n        with open('f') as f: hits += 'planted' in f.read()\n\
                \x20   while turns[0] < swaps: time.sleep(0)\n\
                \x20   return {'f': 'f', 'hits': hits}\n";
    let control = run(&session, &call(code, json!({"look": 3000, "swaps": 300})));
    let hits = output(&control)["hits"].as_u64();
    drill.control(
        "an opener that follows links meets the secret",
        hits > Some(0),
    );

    let (mut taken, mut refused) = (0, 0);
    // All rounds together are 10^5 swaps where they are all made, with three collections a round.
    let swaps = if drill.rounds() >= 20 { 1700 } else { 300 };
    drill.attack(&session, |round| {
        for n in 0..3 {
            let out = dir.path().join(format!("out{round}-{n}"));
            std::fs::create_dir(&out).unwrap();
            let mut call = call(code, json!({"look": 0, "swaps": swaps}));
            call.limits.cpu_ms = 60_000;
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
    });
    println!("{taken} handed back their own, {refused} were refused");
    assert_eq!(taken + refused, 3 * drill.rounds());
}

/// Descriptors that the host forgot to mark, of a directory, a database and a file.
#[test]
fn no_descriptor_comes_along() {
    let drill = Drill::of(&["FS08"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret.db"), "planted").unwrap();
    let file = std::fs::File::open(dir.path().join("secret.db")).unwrap();
    let directory = std::fs::File::open(dir.path()).unwrap();
    for leak in [&file, &directory] {
        rustix::io::fcntl_setfd(leak.as_fd(), rustix::io::FdFlags::empty()).unwrap();
    }
    let code = "import os\ndef run():\n    seen, read = [], []\n    for fd in range(1024):\n        try:\n            os.fstat(fd); seen.append(fd)\n        except OSError:\n            continue\n        try:\n            inside = os.open('secret.db', os.O_RDONLY, dir_fd=fd); read.append(os.read(inside, 7).decode())\n        except OSError:\n            pass\n    return [seen, read]\n";
    let control = outside_code(code, &json!({}), dir.path());
    drill.control(
        "outside they come along, and lead somewhere",
        control[1] == json!(["planted"]),
    );
    for session in [
        session(),
        session_without(&[Layer::Seccomp, Layer::Landlock]),
    ] {
        drill.attack(&session, |_| {
            let result = run(&session, &call(code, json!({})));
            assert_eq!(output(&result), &json!([[0, 1, 2, 3], []]));
        });
    }
    drop((file, directory));
}
