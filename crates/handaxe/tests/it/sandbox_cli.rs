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
    }
    // Python itself is always there, and no sandbox starts one faster than a warm call answers.
    assert_eq!(peers[0]["name"], "python");
    assert!(peers[0]["spread"].is_object(), "{peers:?}");
    let svg = std::fs::read_to_string(lab.dir().join("b.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("warm call"));
}
