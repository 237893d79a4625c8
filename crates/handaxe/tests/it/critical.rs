//! The cases that must never fail, on the built binary. Each attack is first run outside the jail
//! and must succeed there; inside it must be seen to have run, and to have failed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, outside};

fn inside(lab: &Lab, code: &str, input: &Value, limits: &str) -> Value {
    let path = lab.file("probe.py", code);
    let input = input.to_string();
    lab.json(&[
        "sandbox",
        "run",
        "--code",
        path.to_str().unwrap(),
        "--input",
        &input,
        "--limit",
        limits,
    ])
}

/// A benign tool still passes under the same limits.
fn liveness(lab: &Lab, limits: &str) {
    let result = inside(
        lab,
        "def run(*, n):\n    return n * 2\n",
        &json!({"n": 21}),
        limits,
    );
    assert_eq!(
        (&result["outcome"], &result["output"]),
        (&json!("ok"), &json!(42)),
        "{result}"
    );
}

#[test]
fn an_infinite_loop_is_ended_by_the_clock() {
    let lab = Lab::new();
    let begun = Instant::now();
    let result = inside(
        &lab,
        "def run():\n    while True:\n        pass\n",
        &json!({}),
        "wall=1s,cpu=30s",
    );
    assert_eq!(
        (&result["outcome"], &result["limit"]),
        (&json!("timeout"), &json!("wall")),
        "{result}"
    );
    assert!(result["runtime_ms"].as_f64().unwrap() < 1600.0, "{result}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let result = inside(
        &lab,
        "def run():\n    while True:\n        pass\n",
        &json!({}),
        "wall=30s,cpu=1s",
    );
    assert_eq!(
        (&result["outcome"], &result["limit"]),
        (&json!("timeout"), &json!("cpu")),
        "{result}"
    );
    liveness(&lab, "wall=5s");
}

#[test]
fn a_fetch_reaches_nothing() {
    let lab = Lab::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hits = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&hits);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut stream = stream.unwrap();
            // Read first: a connection closed on unread bytes is reset, answer and all.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello");
        }
    });
    let code = r#"
def run(*, port):
    import urllib.request
    try:
        body = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=3).read().decode()
    except OSError as error:
        return {"tried": True, "got": None, "why": str(error)}
    return {"tried": True, "got": body, "why": None}
"#;
    let input = json!({ "port": port });
    let control = outside(&lab.file("control.py", code), &input);
    assert_eq!(
        control["got"], "hello",
        "the control did not reach the listener"
    );
    assert_eq!(hits.swap(0, Ordering::SeqCst), 1);

    let result = inside(&lab, code, &input, "wall=10s");
    assert_eq!(
        result["output"]["tried"], true,
        "the attack did not run: {result}"
    );
    assert_eq!(result["output"]["got"], Value::Null, "{result}");
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    liveness(&lab, "wall=10s");
}

#[test]
fn a_write_outside_the_scratch_fails() {
    let lab = Lab::new();
    let canary = lab.file("canary.txt", "do not touch");
    std::fs::set_permissions(&canary, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let code = r#"
def run(*, paths):
    done = {}
    for path in paths:
        try:
            with open(path, "w") as out:
                out.write("touched")
            done[path] = "written"
        except OSError as error:
            done[path] = type(error).__name__
    return done
"#;
    let control = outside(&lab.file("control.py", code), &json!({"paths": [canary]}));
    assert_eq!(
        control[canary.to_str().unwrap()],
        "written",
        "the control could not write"
    );
    std::fs::write(&canary, "do not touch").unwrap();

    let paths = json!([
        canary,
        "/etc/x",
        "/usr/x",
        "/x",
        "/data/x",
        "/tmp/x",
        "inside.txt"
    ]);
    let result = inside(&lab, code, &json!({ "paths": paths }), "wall=10s");
    let done = result["output"]
        .as_object()
        .unwrap_or_else(|| panic!("{result}"));
    assert_eq!(done.len(), 7, "the attack did not run: {result}");
    for (path, what) in done {
        let expected = path == "inside.txt";
        assert_eq!(what == "written", expected, "{path}: {what}");
    }
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "do not touch");
}

#[test]
fn a_planted_secret_stays_unread() {
    let lab = Lab::new();
    let secret = lab.file("secret.txt", "s3cret-value");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let code = r#"
def run(*, paths):
    import os
    seen = {}
    for path in paths:
        try:
            with open(path, errors="replace") as source:
                seen[path] = source.read(200)
        except OSError as error:
            seen[path] = None
    seen["environment"] = dict(os.environ)
    return seen
"#;
    let control = outside(&lab.file("control.py", code), &json!({"paths": [secret]}));
    assert_eq!(
        control[secret.to_str().unwrap()],
        "s3cret-value",
        "the control could not read"
    );

    let paths = json!([
        secret,
        "/etc/passwd",
        "/etc/shadow",
        "/proc/1/environ",
        "/proc/self/environ"
    ]);
    let mut command = lab.command(&[]);
    let input = json!({ "paths": paths }).to_string();
    let probe = lab.file("probe.py", code);
    command
        .args(["sandbox", "run", "--json", "--input", &input, "--code"])
        .arg(&probe);
    command
        .env("PLANTED_SECRET", "s3cret-value")
        .env("LD_PRELOAD", "")
        .env("PYTHONPATH", "/x");
    let ran = crate::lab::finish(command).exits(0);
    assert!(!ran.stdout.contains("s3cret-value"), "{}", ran.stdout);
    let seen = ran.json()["output"].clone();
    assert_eq!(
        seen.as_object().unwrap().len(),
        6,
        "the attack did not run: {seen}"
    );
    for path in paths.as_array().unwrap() {
        assert_eq!(
            seen[path.as_str().unwrap()],
            Value::Null,
            "{path} was read: {seen}"
        );
    }
    assert!(seen["environment"].get("PATH").is_none(), "{seen}");
}

#[test]
fn a_fork_bomb_stays_inside() {
    let lab = Lab::new();
    let code = r#"
def run(*, most):
    import os
    pids, why = [], None
    for _ in range(most):
        try:
            pid = os.fork()
        except OSError as error:
            why = error.strerror
            break
        if pid == 0:
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return {"forked": len(pids), "why": why}
"#;
    let control = outside(&lab.file("control.py", code), &json!({"most": 20}));
    assert_eq!(control["forked"], 20, "the control could not fork");
    let result = inside(&lab, code, &json!({"most": 5000}), "wall=10s");
    match result["outcome"].as_str().unwrap() {
        "ok" => assert_eq!(result["output"]["forked"], 0, "{result}"),
        other => assert_eq!(other, "policy", "{result}"),
    }
    // Threads are allowed, up to the cap, and the error is an ordinary one.
    let code = r#"
def run(*, most):
    import threading
    gate = threading.Event()
    threads, why = [], None
    for _ in range(most):
        thread = threading.Thread(target=gate.wait)
        try:
            thread.start()
        except RuntimeError as error:
            why = str(error)
            break
        threads.append(thread)
    gate.set()
    for thread in threads:
        thread.join()
    return {"started": len(threads), "why": why}
"#;
    let result = inside(&lab, code, &json!({"most": 500}), "wall=10s,processes=8");
    let started = result["output"]["started"]
        .as_u64()
        .unwrap_or_else(|| panic!("{result}"));
    assert!((1..8).contains(&started), "{result}");
    liveness(&lab, "wall=10s");
}

#[test]
fn a_memory_bomb_stays_inside() {
    let lab = Lab::new();
    let code = r#"
def run(*, mib):
    held = []
    for _ in range(mib):
        held.append(bytearray(b"x") * (1 << 20))
    return len(held)
"#;
    let control = outside(&lab.file("control.py", code), &json!({"mib": 300}));
    assert_eq!(control, 300, "the control could not allocate");
    let result = inside(&lab, code, &json!({"mib": 4096}), "wall=20s,memory=64M");
    assert_eq!(
        (&result["outcome"], &result["limit"]),
        (&json!("memory"), &json!("memory")),
        "{result}"
    );
    let result = inside(&lab, code, &json!({"mib": 32}), "wall=20s,memory=64M");
    assert_eq!(result["output"], 32, "{result}");
}

#[test]
fn a_flood_of_output_is_capped() {
    let lab = Lab::new();
    let code = "def run():\n    while True:\n        print('x' * 100000)\n";
    let result = inside(&lab, code, &json!({}), "wall=20s,stdio=64K");
    assert_eq!(
        (&result["outcome"], &result["limit"]),
        (&json!("output_limit"), &json!("output")),
        "{result}"
    );
    assert!(result["stdout"].as_str().unwrap().len() <= 64 << 10);
}

#[test]
fn the_layers_are_named_with_every_result() {
    let lab = Lab::new();
    let result = inside(&lab, "def run():\n    return 1\n", &json!({}), "wall=10s");
    let layers: Vec<&str> = result["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l.as_str().unwrap())
        .collect();
    for required in [
        "unprivileged_uid",
        "user_namespace",
        "pid_namespace",
        "mount_namespace",
        "net_namespace",
        "ipc_namespace",
        "uts_namespace",
        "cgroup_namespace",
        "read_only_root",
        "private_scratch",
        "landlock",
        "no_capabilities",
        "no_new_privileges",
        "seccomp",
        "rlimits",
        "closed_descriptors",
        "empty_environment",
        "watchdog",
    ] {
        assert!(
            layers.contains(&required),
            "{required} is missing: {layers:?}"
        );
    }
}

/// A machine that gives no user namespaces: one is entered in which no further one may be made.
#[test]
fn a_missing_layer_refuses_and_is_named() {
    let lab = Lab::new();
    let probe = lab.file("probe.py", "def run():\n    return 'ran'\n");
    let inner = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = lab.command_of("unshare");
    command.args([
        "--user",
        "--map-user=1000",
        "--map-group=1000",
        "--keep-caps",
    ]);
    command.args(["sh", "-c", inner, "sh", crate::lab::BIN]);
    command
        .args(["sandbox", "run", "--json", "--code"])
        .arg(&probe);
    let ran = crate::lab::finish(command).exits(5);
    let error = &ran.json()["error"];
    assert_eq!(error["kind"], "missing_layer", "{error}");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("user_namespace"),
        "{error}"
    );
    assert!(
        error["hint"]
            .as_str()
            .unwrap()
            .contains("max_user_namespaces"),
        "{error}"
    );
    assert!(!ran.stdout.contains("'ran'"));
    // The control: the same call without the limit runs.
    liveness(&lab, "wall=10s");
}

/// Where the suite runs as root, the binary must work for an ordinary user too.
#[test]
fn an_ordinary_user_has_the_same_jail() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(lab.dir(), 0o777);
    let binary = lab.dir().join("handaxe");
    std::fs::copy(crate::lab::BIN, &binary).unwrap();
    open(&binary, 0o755);
    let probe = lab.file(
        "probe.py",
        "import os\ndef run():\n    return os.getuid()\n",
    );
    open(&probe, 0o644);
    let root = std::fs::metadata("/proc/self")
        .map(|m| std::os::unix::fs::MetadataExt::uid(&m))
        .unwrap()
        == 0;
    let mut command = if root {
        let mut command = lab.command_of("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary);
        command
    } else {
        lab.command_of(binary.to_str().unwrap())
    };
    // An interpreter that everyone may read; the suite's own may lie under a private home.
    command.env("HANDAXE_PYTHON", "/usr/bin/python3");
    command
        .args(["sandbox", "run", "--json", "--code"])
        .arg(&probe);
    let result = crate::lab::finish(command).exits(0).json();
    assert_eq!(result["outcome"], "ok", "{result}");
    let layers = result["layers"].as_array().unwrap().len();
    assert!(layers >= 18, "{result}");
}
