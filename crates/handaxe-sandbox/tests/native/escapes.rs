//! What a call sees around it, what one call leaves for the next, and the kernel's surface as listed.

use handaxe_types::Layer;
use serde_json::json;

use crate::support::{call, output, outside, probe, run, session};

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
    // Nobody: a user without a name.
    assert_eq!(seen["ids"], json!([65534, 65534, 65534, 65534]));
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

/// The processes of this machine that have this name.
pub(crate) fn named(mark: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_named(*pid, mark)).collect()
}

pub(crate) fn is_named(pid: u32, mark: &str) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name.trim() == mark)
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

/// Children of one session share an address-space layout; two sessions do not.
#[test]
fn a_new_session_has_a_new_layout() {
    let address = "def run():\n    return id(len)\n";
    let of = |session: &std::sync::Arc<dyn handaxe_sandbox::Session>| {
        output(&run(session, &call(address, json!({}))))
            .as_u64()
            .unwrap()
    };
    let (one, other) = (session(), session());
    assert_eq!(of(&one), of(&one));
    assert_ne!(of(&one), of(&other));
}
