//! RES03 to RES09: what a call may take of the machine. The clocks are in `limits`.

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_sandbox::{InlineFile, Mount, NativeSandbox, Sandbox, Session, SessionSpec};
use handaxe_types::{Layer, Outcome, SandboxResult};
use serde_json::json;

use crate::drill::{Drill, status_of};
use crate::lifecycle::run_alone;
use crate::proc::forking;
use crate::support::{
    call, config, in_time, output, outside, outside_code, probe, run, sandbox_of, session,
    session_without,
};

/// Everything that holds memory, one kind a call: each takes `pieces` of a MiB and says how many it
/// got.
const HOLD: &str = r#"
import ctypes, mmap, os, platform

def run(kind, pieces):
    libc = ctypes.CDLL(None, use_errno=True)
    arm = platform.machine() == "aarch64"
    kept, piece, got = [], b"x" * (1 << 20), 0
    try:
        for n in range(pieces):
            if kind == "heap":
                kept.append(bytearray(piece))
            elif kind == "map":
                m = mmap.mmap(-1, 1 << 20)
                m.write(piece)
                kept.append(m)
            elif kind == "file":
                with open(f"f{n}", "wb") as file:
                    file.write(piece)
            elif kind == "memfd":
                fd = libc.syscall(ctypes.c_long(279 if arm else 319), b"m", ctypes.c_long(0))
                if fd < 0:
                    raise OSError(ctypes.get_errno(), "memfd")
                kept.append(fd)
                os.write(fd, piece)
            elif kind == "shm":
                ident = libc.syscall(ctypes.c_long(194 if arm else 29), ctypes.c_long(0), ctypes.c_long(1 << 20), ctypes.c_long(0o1600))
                if ident < 0:
                    raise OSError(ctypes.get_errno(), "shm")
                libc.shmat.restype = ctypes.c_void_p
                at = libc.shmat(ident, None, 0)
                if at in (None, ctypes.c_void_p(-1).value):
                    raise OSError(ctypes.get_errno(), "shmat")
                libc.shmctl(ident, 0, None)
                ctypes.memset(at, 120, 1 << 20)
            got += 1
    except (MemoryError, OSError):
        pass
    return got
"#;

const KINDS: [&str; 5] = ["heap", "map", "file", "memfd", "shm"];

fn died_of_memory(result: &SandboxResult) -> bool {
    result.outcome == Outcome::Memory
}

/// One process, every road to memory, with the filter and with one that opens the roads.
#[test]
fn memory_of_every_kind_is_bounded() {
    let drill = Drill::of(&["RES03"]);
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let got = outside_code(HOLD, &json!({"kind": kind, "pieces": 150}), dir.path());
        drill.control(kind, got == json!(150));
    }
    let open = forking(&[], &["memfd_create", "shmget", "shmat"]);
    for (session, open) in [(crate::kern::with_ctypes(), false), (open, true)] {
        drill.attack(&session, |_| {
            for kind in KINDS {
                let mut call = call(HOLD, json!({"kind": kind, "pieces": 400}));
                call.limits.memory_bytes = 64 << 20;
                call.limits.scratch_bytes = 16 << 20;
                let result = run(&session, &call);
                let got = result.output.as_ref().and_then(serde_json::Value::as_u64);
                // Together: what the call may add, the scratch, and what the interpreter is given.
                let most = if kind == "memfd" && open { 128 } else { 64 };
                let bounded = got.is_some_and(|got| got <= most) || died_of_memory(&result);
                // Pages of a memory file belong to no address space: only a control group counts.
                let uncounted = kind == "memfd" && !result.layers.contains(&Layer::Cgroup);
                assert!(bounded || (open && uncounted), "{kind}: {result:?}");
                if matches!(kind, "memfd" | "shm") && !open {
                    assert_eq!(got, Some(0), "the filter refuses {kind}");
                }
            }
        });
    }
}

/// Each process keeps within its own address space; together only the control group bounds them.
#[test]
fn memory_split_over_processes_is_still_bounded() {
    let drill = Drill::of(&["RES03"]);
    let code = "import os, time\ndef run(life):\n    pids = []\n    for _ in range(32):\n        pid = os.fork()\n        if pid == 0:\n            kept = bytearray(b'x' * (20 << 20))\n            time.sleep(life)\n            os._exit(0)\n        pids.append(pid)\n    return [os.waitpid(p, 0)[1] for p in pids]\n";
    let dir = tempfile::tempdir().unwrap();
    let all = outside_code(code, &json!({"life": 0.1}), dir.path());
    drill.control("outside 640 MiB are had", all == json!(vec![0; 32]));
    for session in [session_without(&[Layer::Seccomp]), forking(&[], &[])] {
        drill.attack(&session, |_| {
            let mut call = call(code, json!({"life": 0.5}));
            call.limits.memory_bytes = 64 << 20;
            call.limits.scratch_bytes = 1 << 20;
            call.limits.processes = 64;
            let result = run(&session, &call);
            let killed = match &result.output {
                Some(statuses) => statuses.as_array().unwrap().iter().any(|s| s == 9),
                None => died_of_memory(&result) || result.outcome == Outcome::ToolError,
            };
            assert_eq!(killed, result.layers.contains(&Layer::Cgroup), "{result:?}");
        });
    }
}

#[test]
fn bombs_of_processes_and_threads_stop_at_the_cap() {
    let drill = Drill::of(&["RES04"]);
    let scratch = tempfile::tempdir().unwrap();
    let input = json!({"most": 40});
    let control = outside("bombs", &input, scratch.path());
    let unbound = json!({"forks": [40, "bound"], "threads": [40, "bound"]});
    drill.control("outside nothing stops them", control == unbound);

    let whole = session();
    drill.attack(&whole, |_| {
        let result = run(&whole, &call(probe("bombs"), input.clone()));
        let inside = output(&result);
        assert_eq!(inside["forks"], json!([0, "EPERM"]));
        assert_eq!(
            inside["threads"][0],
            json!(15),
            "16 with the first: {inside}"
        );
        assert!(inside["threads"][1].as_str().unwrap().contains("start"));
    });

    // The layers behind the filter hold alone, and the host can still fork.
    for session in [session_without(&[Layer::Seccomp]), forking(&[], &[])] {
        drill.attack(&session, |_| {
            let result = run(&session, &call(probe("bombs"), input.clone()));
            assert_eq!(output(&result)["forks"], json!([15, "EAGAIN"]));
            #[expect(clippy::disallowed_methods, reason = "whether the host can still fork")]
            let done = Command::new("/bin/true").status();
            assert!(done.unwrap().success());
        });
    }
    // And what they hold is not the probe's own weakness.
    let session = session_without(&[Layer::Seccomp, Layer::Rlimits]);
    let mut call = call(probe("bombs"), input);
    call.limits.processes = 1000;
    assert_eq!(output(&run(&session, &call))["forks"], json!([40, "bound"]));
}

/// RES05: every kind of descriptor, refused by the filter and capped behind it.
#[test]
fn descriptors_of_every_kind_end_at_the_cap() {
    let drill = Drill::of(&["RES05"]);
    let code = "import ctypes, os, platform, resource, select, socket\n\
                def run(raise_to):\n    libc = ctypes.CDLL(None, use_errno=True)\n    arm = platform.machine() == 'aarch64'\n    if raise_to:\n        resource.setrlimit(resource.RLIMIT_NOFILE, (raise_to, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n    found = {}\n\
                \x20   def own(x86_64, aarch64, *arguments):\n        fd = libc.syscall(ctypes.c_long(aarch64 if arm else x86_64), *[ctypes.c_long(a) for a in arguments])\n        if fd < 0: raise OSError(ctypes.get_errno(), 'descriptor')\n        return fd\n\
                \x20   kinds = {'files': lambda: os.open('.', os.O_RDONLY), 'pipes': os.pipe, 'polls': select.epoll, 'events': lambda: own(290, 19, 0, 0), 'timers': lambda: own(283, 85, 1, 0), 'watches': lambda: own(294, 26, 0), 'sockets': socket.socketpair}\n\
                \x20   for name, make in kinds.items():\n        kept = []\n        try:\n            while len(kept) < 1500: kept.append(make())\n            found[name] = 'bound'\n        except OSError as e:\n            found[name] = e.errno\n\
                \x20       count = len(kept)\n        for k in kept:\n            for fd in (k if isinstance(k, tuple) else (k,)):\n                os.close(fd) if isinstance(fd, int) else fd.close()\n\
                \x20       found[name] = [found[name], count]\n    return found\n";
    let dir = tempfile::tempdir().unwrap();
    let control = outside_code(code, &json!({"raise_to": 4000}), dir.path());
    for (kind, said) in control.as_object().unwrap() {
        // A user may have few of these by a setting of the kernel's own, but more than the cap.
        let many = said[1].as_u64() > Some(64);
        drill.control(kind, said[0] == "bound" || many);
    }
    let (emfile, eperm) = (24, 1);
    let mut config = crate::support::config_with_ctypes();
    config.modules.push("resource".to_owned());
    let session = |skip: &[Layer]| {
        let mut config = config.clone();
        config.knobs.skip = skip.to_vec();
        sandbox_of(config).open(SessionSpec::default()).unwrap()
    };
    let whole = session(&[]);
    drill.attack(&whole, |_| {
        let result = run(&whole, &call(code, json!({"raise_to": 0})));
        let found = output(&result);
        assert_eq!(found["files"][0], emfile, "{found}");
        for kind in ["pipes", "polls", "events", "timers", "watches", "sockets"] {
            assert_eq!(found[kind], json!([eperm, 0]), "{kind}: {found}");
        }
    });
    let bare = session(&[Layer::Seccomp]);
    drill.attack(&bare, |_| {
        let result = run(&bare, &call(code, json!({"raise_to": 0})));
        for (kind, said) in output(&result).as_object().unwrap() {
            assert_eq!(said[0], emfile, "{kind}: {said}");
            assert!(said[1].as_u64() < Some(64), "{kind}: {said}");
        }
    });
}

/// Free bytes where a scratch that is not its own would take them.
fn free() -> Vec<u64> {
    let temporary = std::env::temp_dir();
    let places = ["/", "/tmp", "/dev/shm"].map(std::path::Path::new);
    let places = places.into_iter().chain([temporary.as_path()]);
    let seen = places.filter_map(|place| rustix::fs::statvfs(place).ok());
    seen.map(|seen| seen.f_bavail * seen.f_frsize).collect()
}

/// The least by which the free room shrank in any round: others use the disk too, but not by this
/// much in each round, as a scratch on the host's disk would.
#[test]
fn a_full_scratch_takes_nothing_of_the_hosts_disk() {
    let drill = Drill::of(&["RES06", "RES07"]);
    const FILL: &str = "def run(bytes_, where):\n    with open(where, 'wb') as f:\n        try:\n            for _ in range(bytes_ >> 20): f.write(bytes(1 << 20))\n        except OSError as e:\n            return e.errno\n    return 0\n";
    let size: u64 = 192 << 20;
    let shrunk = |act: &dyn Fn()| {
        let before = free();
        act();
        let after = free();
        before
            .iter()
            .zip(&after)
            .map(|(b, a)| b.saturating_sub(*a))
            .max()
            .unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fill");
    // Others may give room back meanwhile.
    let outside = (0..10).map(|_| {
        let _ = std::fs::remove_file(&file);
        shrunk(&|| {
            let done = outside_code(FILL, &json!({"bytes_": size, "where": file}), dir.path());
            assert_eq!(done, json!(0));
        })
    });
    let less = outside.into_iter().any(|shrunk| shrunk >= size / 2);
    drill.control("outside the disk has less room", less);
    drop(dir);

    let session = session();
    let mut least = u64::MAX;
    drill.attack(&session, |_| {
        let shrunk = shrunk(&|| {
            let mut call = call(FILL, json!({"bytes_": 4 * size, "where": "f"}));
            call.limits.scratch_bytes = size;
            call.limits.file_bytes = 4 * size;
            call.limits.memory_bytes = 512 << 20;
            let (enospc, result) = (28, run(&session, &call));
            assert_eq!(output(&result), &json!(enospc));
        });
        least = least.min(shrunk);
    });
    assert!(least < size / 4, "{least} bytes less in every round");

    // Sparse and reserved room, and as many names as there may be, deep and wide; then all of it is
    // gone with its call, and soon.
    let many = "import os\ndef run(deep):\n    n = 0\n    try:\n        while True:\n            if n < deep:\n                os.mkdir('d'); os.chdir('d')\n            else:\n                open(str(n), 'w').close()\n            n += 1\n    except OSError as e:\n        return [n, e.errno]\n";
    let big = "import os\ndef run():\n    found = []\n    for act in (lambda f: f.truncate(1 << 40), lambda f: os.posix_fallocate(f.fileno(), 0, 1 << 40)):\n        with open('f', 'wb') as f:\n            try:\n                act(f); found.append(0)\n            except OSError as e:\n                found.append(e.errno)\n    return found\n";
    let mut slowest = Duration::ZERO;
    drill.attack(&session, |round| {
        // Every step in it costs as much as it is deep: once is enough, and little where it is quick.
        let deep = if round == 0 && drill.rounds() >= 20 {
            10_000
        } else {
            1000
        };
        let mut call_many = call(many, json!({ "deep": deep }));
        call_many.limits.scratch_inodes = 20_000;
        call_many.limits.cpu_ms = 300_000;
        call_many.limits.wall_ms = 900_000;
        let result = run(&session, &call_many);
        let cleaning = Instant::now();
        let (n, errno) = (&output(&result)[0], &output(&result)[1]);
        assert!(
            n.as_u64() > Some(19_000) && *errno == json!(28),
            "{n} {errno}"
        );
        settle(&session);
        slowest = slowest.max(cleaning.elapsed());
        in_time(cleaning.elapsed(), Duration::from_secs(5));
        let said = run(&session, &call(big, json!({})));
        // EFBIG, and EFBIG or a refusal.
        let said = output(&said).as_array().unwrap();
        let refused =
            |errno: &serde_json::Value| [27, 28, 1, 95].contains(&errno.as_i64().unwrap());
        assert!(said.len() == 2 && said.iter().all(refused), "{said:?}");
    });
    println!("20,000 names, deep and wide, were gone after {slowest:?}, at worst");
}

/// Waits until nothing but the children that wait for a call is left.
fn settle(session: &Arc<dyn Session>) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let stats = session.stats();
        if stats.live == stats.ready + stats.coming {
            break;
        }
        assert!(Instant::now() < until, "{stats:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn peak_kib() -> u64 {
    let line = status_of(std::process::id(), "VmHWM:").unwrap();
    line.trim_end_matches(" kB").trim().parse().unwrap()
}

const FLOODS: [&str; 5] = [
    "def run():\n    while True: print('x' * 65536)\n",
    "import sys\ndef run():\n    while True: sys.stdout.write('no newline ')\n",
    "import os\ndef run():\n    while True: os.write(2, b'\\x00\\xff\\x1b[2J' * 9999)\n",
    "import os\ndef run():\n    while True: os.write(3, b'A' * 65536)\n",
    "def run():\n    return 'x' * (64 << 20)\n",
];

/// The other half of the next test: its peak is its own.
#[test]
#[ignore = "started by `a_flood_of_output_ends_the_run_and_costs_the_host_little` alone"]
fn host_that_is_flooded() {
    let session = session();
    crate::support::benign(&session);
    // The peak so far is forgotten: what follows is measured from what is held now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak_kib();
    for code in FLOODS {
        let result = run(&session, &call(code, json!({})));
        let ended = matches!(result.outcome, Outcome::OutputLimit | Outcome::Protocol);
        assert!(ended, "{code}: {:?} {:?}", result.outcome, result.error);
        assert!(result.stdout.len() <= 256 << 10 && result.stderr.len() <= 3 * (256 << 10));
    }
    let grown = peak_kib() - before;
    println!("the host's peak grew by {grown} KiB");
    assert!(grown < 64 << 10, "{grown} KiB");
}

#[test]
fn a_flood_of_output_ends_the_run_and_costs_the_host_little() {
    let drill = Drill::of(&["RES08"]);
    let dir = tempfile::tempdir().unwrap();
    let finite = "import sys\ndef run():\n    for _ in range(640): sys.stderr.write('x' * 65536)\n    return 1\n";
    let said = outside_code(finite, &json!({}), dir.path());
    drill.control("outside 40 MiB are written", said == json!(1));
    let session = session();
    drill.attack(&session, |_| {
        #[expect(clippy::disallowed_methods, reason = "this test binary, alone")]
        let mut command = Command::new(std::env::current_exe().unwrap());
        run_alone(&mut command, "res::host_that_is_flooded");
    });
}

/// RES09: what is small outside and large inside, unpacked by the tool.
#[test]
fn a_bomb_in_a_file_goes_off_inside() {
    let drill = Drill::of(&["RES09"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    // Made outside, by the same libraries: a member of zeros a thousand times smaller packed, and a
    // page of entities that name one another.
    let pack = "import bz2, lzma, zlib\ndef run():\n    for name, c in (('zlib', zlib.compressobj(9)), ('xz', lzma.LZMACompressor()), ('bz2', bz2.BZ2Compressor())):\n        with open(name, 'wb') as f:\n            for _ in range(96): f.write(c.compress(bytes(1 << 20)))\n            f.write(c.flush())\n    laughs = '<!DOCTYPE l [<!ENTITY l0 \"lol\">' + ''.join(f'<!ENTITY l{n} \"{f\"&l{n - 1};\" * 10}\">' for n in range(1, 10)) + ']><l>&l9;</l>'\n    open('xml', 'w').write(laughs)\n    return 1\n";
    outside_code(pack, &json!({}), dir.path());
    let unpack = "def run(f, kind):\n    if kind == 'xml':\n        import xml.etree.ElementTree as e\n        return len(e.fromstring(open(f).read()).text)\n    if kind == 'zip':\n        import zipfile\n        return len(zipfile.ZipFile(f).namelist())\n    import bz2, lzma, zlib\n    made = {'zlib': zlib.decompress, 'xz': lzma.decompress, 'bz2': bz2.decompress}[kind]\n    return len(made(open(f, 'rb').read()))\n";
    zip_of(&dir.path().join("zip"), 1_000_000);
    for kind in ["zlib", "xz", "bz2"] {
        let input = json!({"f": dir.path().join(kind), "kind": kind});
        let whole = outside_code(unpack, &input, dir.path());
        drill.control(kind, whole == json!(96 << 20));
        let packed = std::fs::metadata(dir.path().join(kind)).unwrap().len();
        assert!(packed < 1 << 20, "{kind}: 96 MiB in {packed} bytes");
    }
    let small = dir.path().join("small.zip");
    zip_of(&small, 10);
    let few = outside_code(unpack, &json!({"f": small, "kind": "zip"}), dir.path());
    drill.control("zip: what is made is one", few == json!(10));

    let kinds = ["zlib", "xz", "bz2", "xml", "zip"];
    let mounts = kinds.map(|kind| Mount {
        name: kind.to_owned(),
        path: dir.path().join(kind),
    });
    let spec = SessionSpec {
        mounts: mounts.to_vec(),
        hash_seed: 0,
    };
    let mut config = config();
    config.modules.extend(["bz2", "lzma"].map(str::to_owned));
    let session = NativeSandbox::new(config).unwrap().open(spec).unwrap();
    drill.attack(&session, |_| {
        for kind in kinds {
            let mut call = call(unpack, json!({"f": kind, "kind": kind}));
            call.file_inputs = vec!["f".to_owned()];
            call.limits.memory_bytes = 32 << 20;
            call.limits.scratch_bytes = 8 << 20;
            let result = run(&session, &call);
            // The parser may see the bomb for what it is; everything else meets a bound.
            let seen = kind == "xml" && result.outcome == Outcome::ToolError;
            assert!(seen || died_of_memory(&result), "{kind}: {result:?}");
        }
        let to_disk = "import zlib\ndef run(f):\n    d, data = zlib.decompressobj(), open(f, 'rb').read()\n    with open('out', 'wb') as out:\n        while data:\n            out.write(d.decompress(data, 1 << 16))\n            data = d.unconsumed_tail\n    return 1\n";
        let mut call = call(to_disk, json!({"f": "zlib"}));
        call.file_inputs = vec!["f".to_owned()];
        call.limits.scratch_bytes = 8 << 20;
        let errno = run(&session, &call).error.and_then(|e| e.errno);
        assert_eq!(errno.as_deref(), Some("ENOSPC"));
    });
    // With room, it does unpack inside too, also where it comes with the call.
    let mut roomy = call(unpack, json!({"f": "small", "kind": "zip"}));
    roomy.files = vec![InlineFile {
        name: "small".to_owned(),
        bytes: std::fs::read(&small).unwrap().into(),
    }];
    roomy.file_inputs = vec!["f".to_owned()];
    assert_eq!(output(&run(&session, &roomy)), &json!(10));
}

/// An archive of empty members: one local header for all, and a directory entry each.
fn zip_of(path: &std::path::Path, members: u32) {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let name = b"a";
    let mut local = b"PK\x03\x04".to_vec();
    local.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    local.extend([0; 12]);
    local.extend([1, 0, 0, 0]);
    local.extend(name);
    out.write_all(&local).unwrap();
    let mut entry = b"PK\x01\x02".to_vec();
    entry.extend([20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    entry.extend([0; 12]);
    entry.extend([8, 0]);
    entry.extend([0; 16]);
    for n in 0..members {
        out.write_all(&entry).unwrap();
        out.write_all(format!("{n:08}").as_bytes()).unwrap();
    }
    let size = u64::from(members) * (entry.len() as u64 + 8);
    let start = local.len() as u64;
    // With more members than sixteen bits count, the newer record speaks.
    let mut end = b"PK\x06\x06".to_vec();
    end.extend(44_u64.to_le_bytes());
    end.extend([45, 0, 45, 0]);
    end.extend([0; 8]);
    for word in [u64::from(members), u64::from(members), size, start] {
        end.extend(word.to_le_bytes());
    }
    end.extend(b"PK\x06\x07\0\0\0\0");
    end.extend((start + size).to_le_bytes());
    end.extend(1_u32.to_le_bytes());
    end.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    out.write_all(&end).unwrap();
}
