//! The sandbox by itself: its doors tried, its speed measured.

use serde_json::json;

use crate::lab::Lab;

#[test]
fn the_probe_prints_every_door_and_none_is_open_without_a_reason() {
    let lab = Lab::new();
    let said = lab.json(&["sandbox", "probe"]);
    assert_eq!(said["ok"], true, "{said}");
    let probes = said["probes"].as_array().unwrap();
    assert_eq!(probes.len(), 61);
    assert!(said["reachable"].as_u64() <= Some(8));
    for name in ["io_uring_setup", "sock_AF_UNIX", "unshare_NEWUSER"] {
        let probe = probes.iter().find(|p| p["name"] == name).unwrap();
        assert_eq!(probe["reach"], "denied", "{probe}");
    }
    lab.run(&["sandbox", "probe"])
        .exits(0)
        .says("io_uring_setup");
}

#[test]
fn the_bench_measures_what_is_there_and_says_what_is_not() {
    let lab = Lab::new();
    let said = lab.json(&[
        "sandbox", "bench", "--quick", "--calls", "40", "--svg", "b.svg",
    ]);
    let native = &said["native"];
    for path in [
        "/warm/p50_ms",
        "/cold/p50_ms",
        "/sustained/0/calls_per_second",
    ] {
        let value = native.pointer(path).and_then(serde_json::Value::as_f64);
        assert!(value > Some(0.0), "{path}: {said}");
    }
    assert_eq!(native["growth"]["calls"], json!(40));
    let peers = said["peers"].as_array().unwrap();
    assert!(peers.len() >= 7);
    for peer in peers {
        let ran = peer["spread"].is_object();
        assert_ne!(ran, peer["not_run"].is_string(), "{peer}");
        assert_ne!(peer["isolation"], "", "{peer}");
    }
    assert_eq!(native["filter"].as_str().map(str::len), Some(64), "{said}");
    // More callers than children: some had to wait, and all were served.
    let loaded = &native["loaded"];
    assert!(loaded["deepest_queue"].as_u64() > Some(0), "{loaded}");
    assert!(loaded["most_children"].as_u64() <= Some(8), "{loaded}");
    // Nothing may be left that was not there before: what may come is groups, kept for use again.
    let growth = &native["growth"];
    for kind in ["processes", "mounts", "namespaces"] {
        assert_eq!(growth["before"][kind], growth["after"][kind], "{growth}");
    }
    // Python itself is always there, and no sandbox starts one faster than a warm call answers.
    assert_eq!(peers[0]["name"], "python, cold");
    assert!(peers[0]["spread"].is_object(), "{peers:?}");
    let svg = std::fs::read_to_string(lab.dir().join("b.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("warm call"));
}

#[test]
fn a_function_runs_by_itself() {
    let lab = Lab::new();
    let (file, bare) = (lab.dir().join("f.py"), lab.dir().join("bare.py"));
    let code = "def run(n: int) -> dict:\n    open('o.txt', 'w').write('x' * n)\n    return {'file': 'o.txt'}\n";
    std::fs::write(&file, code).unwrap();
    std::fs::write(&bare, "x = 1\n").unwrap();
    std::fs::write(lab.dir().join("in.json"), r#"{"n": 3}"#).unwrap();
    let said = lab.json(&[
        "sandbox",
        "run",
        "--code",
        "f.py",
        "--input",
        "@in.json",
        "--collect",
        "file",
        "--out",
        "new/dir",
        "--limit",
        "memory=256M,wall=2s",
    ]);
    assert_eq!(said["outcome"], "ok", "{said}");
    let kept = std::fs::read_to_string(lab.dir().join("new/dir/o.txt"));
    assert_eq!(kept.unwrap(), "xxx");
    // What a person gets wrong is answered with what to do.
    for (arguments, exit, word) in [
        (&["--code", "bare.py"][..], 1, "def run("),
        (&["--code", "f.py"], 1, "--input"),
        (&["--code", "f.py", "--limit", "memory=lots"], 2, "256M"),
        (&["--code", "f.py", "--limit", "memoryy=1M"], 2, "inodes"),
        (&["--code", "f.py", "--limit", "wall=0"], 2, "500ms"),
        (&["--code", "f.py", "--limit", "wall"], 2, "NAME=VALUE"),
        (&["--code", "-", "--input", "-"], 2, "standard input"),
        (&["--code", "f.py", "--input", "[1]"], 2, "object"),
    ] {
        let all = [&["sandbox", "run"], arguments].concat();
        lab.run(&all).exits(exit).says(word);
    }
    let slow = "def run():\n    while True: pass\n";
    std::fs::write(lab.dir().join("slow.py"), slow).unwrap();
    lab.run(&[
        "sandbox",
        "run",
        "--code",
        "slow.py",
        "--limit",
        "wall=200ms",
    ])
    .exits(6);
}

/// The sandbox without namespaces is nobody's fallback: a person writes its name into the policy.
#[test]
fn landlock_alone_is_for_policies_that_name_it() {
    let lab = Lab::new();
    let code = lab.file("f.py", "def run(n):\n    return n + 1\n");
    let run = || {
        lab.run(&[
            "sandbox",
            "run",
            "--sandbox",
            "landlock",
            // Without a mount namespace the interpreter must be where anyone may read it.
            "--python",
            "/usr/bin/python3",
            "--code",
            code.to_str().unwrap(),
            "--input",
            r#"{"n": 1}"#,
            "--json",
        ])
    };
    let refused = run().exits(4);
    refused.says("[isolation] least").says("landlock");
    lab.file("home/policy.toml", "[isolation]\nleast = \"landlock\"\n");
    let ran = run().exits(0).json();
    assert_eq!(ran["output"], 2, "{ran}");
    // It says what it is: no namespace is claimed.
    assert!(!ran["layers"].to_string().contains("namespace"), "{ran}");
}
