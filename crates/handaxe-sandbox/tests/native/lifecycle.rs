//! Jails come, serve, and leave nothing behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_sandbox::{Cancel, NativeSandbox, Sandbox, SessionSpec};
use serde_json::json;

use crate::drill::Drill;
use crate::landlock::bare;
use crate::support::{
    LAUNCHER_VARIABLE, benign, call, config, launcher, output, run, sandbox_of, session,
};

#[test]
fn every_interpreter_of_this_machine_works() {
    let mut seen = BTreeSet::new();
    for place in ["/usr/bin", "/usr/local/bin", "/opt/python/bin"] {
        for minor in 9..=14 {
            let python = Path::new(place).join(format!("python3.{minor}"));
            if !python.exists() {
                continue;
            }
            let mut config = config();
            config.python = Some(python);
            let sandbox = NativeSandbox::new(config).unwrap();
            seen.insert(sandbox.interpreter().version.clone());
            let session = sandbox.open(SessionSpec::default()).unwrap();
            let code = "import decimal, hashlib, zlib, uuid, zoneinfo, datetime, statistics, csv, unicodedata, sqlite3 as _no\n";
            let code = code.replace(", sqlite3 as _no", "");
            let code = format!(
                "{code}\ndef run():\n    return [hashlib.sha256(b'x').hexdigest()[:8], str(decimal.Decimal(1) / 3), zlib.crc32(b'x')]\n"
            );
            let result = run(&session, &call(&code, json!({})));
            let want = json!([
                "2d711642",
                "0.3333333333333333333333333333",
                2_363_233_923_u32
            ]);
            assert_eq!(output(&result), &want);
        }
    }
    assert!(!seen.is_empty());
}

#[test]
fn the_hash_seed_is_the_sessions() {
    let code = "def run():\n    return [hash('a'), list({'b', 'a', 'c', 'd'})]\n";
    let with = |hash_seed| {
        let spec = SessionSpec {
            mounts: Vec::new(),
            hash_seed,
        };
        let session = sandbox_of(config()).open(spec).unwrap();
        run(&session, &call(code, json!({}))).output.unwrap()
    };
    assert_eq!(with(0), with(0));
    assert_ne!(with(0), with(1));
}

#[test]
fn calls_from_many_threads_all_get_their_own_answer() {
    let session = session();
    let threads: Vec<_> = (0..12)
        .map(|n| {
            let session = Arc::clone(&session);
            std::thread::spawn(move || {
                for i in 0..5 {
                    let code = "def run(n, i):\n    return [n, i]\n";
                    let result = run(&session, &call(code, json!({"n": n, "i": i})));
                    assert_eq!(output(&result), &json!([n, i]));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Descendants of a process, by the kernel's own list.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(pid) = next.pop() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children =
                std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|c| c.parse().ok()) {
                found.push(child);
                next.push(child);
            }
        }
    }
    found
}

fn exists(pid: u32) -> bool {
    // A zombie whose new parent has not looked yet is dead all the same.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|s| !s.is_empty() && !s.starts_with(['Z', 'X']))
}

/// The other half of the next test: opens a jail, spins in it, is killed.
#[test]
#[ignore = "started by `killing_the_host_kills_everything` alone"]
fn host_that_will_be_killed() {
    let session = session();
    let spin = call("def run():\n    while True: pass\n", json!({}));
    let _ = session.call(&spin, &Cancel::default());
}

/// The same without namespaces.
#[test]
#[ignore = "started by `killing_the_host_kills_everything` alone"]
fn bare_host_that_will_be_killed() {
    let session = sandbox_of(bare(config()));
    let session = session.open(SessionSpec::default()).unwrap();
    let spin = call("def run():\n    while True: pass\n", json!({}));
    let _ = session.call(&spin, &Cancel::default());
}

#[test]
fn killing_the_host_kills_everything() {
    let places = |pid: u32| {
        let name = format!("handaxe-place-{pid}-");
        let found = std::fs::read_dir("/tmp").unwrap().flatten();
        found
            .filter(|e| e.file_name().to_string_lossy().starts_with(&name))
            .count()
    };
    let drill = Drill::of(&["PROC02"]);
    #[expect(
        clippy::disallowed_methods,
        reason = "the control: a process whose parent is killed"
    )]
    let mut parent = Command::new("/bin/sh")
        .args(["-c", "sleep 77.7 & wait"])
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let orphan = loop {
        assert!(Instant::now() < until, "it has no child");
        if let Some(orphan) = descendants(parent.id()).first() {
            break *orphan;
        }
    };
    parent.kill().unwrap();
    parent.wait().unwrap();
    drill.control("outside a child outlives its parent", exists(orphan));
    let orphan = rustix::process::Pid::from_raw(orphan.cast_signed()).unwrap();
    rustix::process::kill_process(orphan, rustix::process::Signal::KILL).unwrap();

    let session = session();
    drill.attack(&session, |_| {
        kill_host("host_that_will_be_killed");
    });
    let killed = kill_host("bare_host_that_will_be_killed");
    assert_eq!(places(killed), 1);
    // What it left of its directories goes when the next such session opens.
    let next = sandbox_of(bare(config())).open(SessionSpec::default());
    assert_eq!(places(killed), 0);
    drop(next);
}

fn kill_host(name: &str) -> u32 {
    #[expect(clippy::disallowed_methods, reason = "this test binary, to be killed")]
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("lifecycle::{name}"), "--ignored"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    // The launcher, the server, the child that spins, and its successor.
    let mut family = Vec::new();
    while family.len() < 4 {
        assert!(Instant::now() < until, "the jail never stood: {family:?}");
        std::thread::sleep(Duration::from_millis(20));
        family = descendants(host.id());
    }
    assert!(family.iter().all(|pid| exists(*pid)));
    host.kill().unwrap();
    host.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    while family.iter().any(|pid| exists(*pid)) {
        assert!(Instant::now() < until, "survivors: {family:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    host.id()
}

#[test]
fn dropping_a_session_ends_its_jail() {
    let before: BTreeSet<u32> = descendants(std::process::id()).into_iter().collect();
    let session = session();
    benign(&session);
    let family: Vec<u32> = descendants(std::process::id())
        .into_iter()
        .filter(|p| !before.contains(p))
        .collect();
    assert!(family.len() >= 2, "{family:?}");
    drop(session);
    // Other tests' jails may have come in between; they go as well, in their own time.
    let until = Instant::now() + Duration::from_mins(1);
    while family.iter().any(|pid| exists(*pid)) {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A thousand calls, or as many as `HANDAXE_CALLS` says, in a process of their own, so that other tests do not disturb the count.
#[test]
#[ignore = "started by `a_thousand_calls_leave_nothing` alone"]
fn a_thousand_calls() {
    let mut config = config();
    // One child is kept ready, however many are asked for, so that they can be counted.
    config.idle_bytes = 0;
    let session = sandbox_of(config).open(SessionSpec::default()).unwrap();
    let spend = |count: usize| {
        let honest = call("def run(a):\n    return a\n", json!({"a": 1}));
        let mut killed = call("def run():\n    while True: pass\n", json!({}));
        killed.limits.wall_ms = 5;
        let exits = call("import os\nos._exit(1)\n", json!({}));
        for n in 0..count {
            let _ = run(
                &session,
                match n % 20 {
                    0 => &killed,
                    1 => &exits,
                    _ => &honest,
                },
            );
        }
    };
    let settle = || {
        let until = Instant::now() + Duration::from_secs(20);
        while session.stats().live != 1 || session.stats().ready != 1 {
            assert!(Instant::now() < until, "{:?}", session.stats());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    spend(60);
    settle();
    let before = holdings();
    let count = std::env::var("HANDAXE_CALLS").map_or(1000, |n| n.parse().unwrap());
    spend(count);
    settle();
    let after = holdings();
    assert_eq!(before[1..3], after[1..3]);
    // Groups are kept for the next child, as many as children ever were at once, and with each
    // three descriptors at most.
    let more = after[3].saturating_sub(before[3]);
    let kept = after[3] <= 8 && after[0] <= before[0] + 3 * more;
    assert!(kept, "{before:?} before, {after:?} after");
}

/// Descriptors, processes, mounts and control groups of this process and its own.
fn holdings() -> [usize; 4] {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
    [
        count("/proc/self/fd"),
        descendants(std::process::id()).len(),
        jail_mounts(),
        own_groups(),
    ]
}

/// Mounts as only a jail makes them, where the host sees them. Others mount what they like meanwhile.
pub(crate) fn jail_mounts() -> usize {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    let own = ["/scratch", "/data", "/assets", "/handaxe", "/proc"];
    points.filter(|point| own.contains(point)).count()
}

/// Control groups that this process made for children.
pub(crate) fn own_groups() -> usize {
    let own = format!("handaxe-{}-", std::process::id());
    let mut groups = 0;
    let mut next = vec![std::path::PathBuf::from("/sys/fs/cgroup/pids")];
    while let Some(dir) = next.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&own) {
                groups += std::fs::read_dir(entry.path())
                    .map_or(0, |d| d.flatten().filter(|e| e.path().is_dir()).count());
            }
        }
    }
    groups
}

#[track_caller]
pub(crate) fn run_alone(command: &mut Command, name: &str) {
    let done = command
        .args(["--exact", name, "--include-ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let fault = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success() && text.contains("1 passed"),
        "{text}\n{fault}"
    );
}

#[test]
fn a_thousand_calls_leave_nothing() {
    #[expect(clippy::disallowed_methods, reason = "this test binary, alone")]
    let mut command = Command::new(std::env::current_exe().unwrap());
    run_alone(&mut command, "lifecycle::a_thousand_calls");
}

/// The same tests as an ordinary user, who may make no control groups and open no root's files.
#[test]
fn an_ordinary_user_has_the_same_jail() {
    if !rustix::process::geteuid().is_root() {
        // Then every test here was one.
        return;
    }
    let dir = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let (tests, jail) = (dir.path().join("tests"), dir.path().join("launcher"));
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    std::fs::copy(launcher(), &jail).unwrap();
    for name in [
        "outcomes::ends_without_a_result",
        "fs::host_files_are_neither_read_nor_written",
        "res::bombs_of_processes_and_threads_stop_at_the_cap",
        "net::no_road_leads_to_the_network",
        "kern::the_kernels_surface_is_shut",
        "proc::other_processes_are_neither_seen_nor_touched",
        "limits::a_memory_bomb_stays_inside",
        "faults::every_layer_is_in_force_here",
        "landlock::host_files_are_neither_read_nor_changed",
        "landlock::files_go_in_and_come_out",
        "landlock::the_calls_directories_go_with_the_session",
    ] {
        #[expect(
            clippy::disallowed_methods,
            reason = "this test binary as another user"
        )]
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&tests);
        command
            .env(LAUNCHER_VARIABLE, &jail)
            .env("TMPDIR", "/tmp")
            .current_dir("/");
        run_alone(&mut command, name);
    }
}
