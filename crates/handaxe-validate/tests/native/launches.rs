//! A tool cannot tell its trial from production, and production is looked at again.

use std::sync::Arc;

use handaxe_sandbox::{Cancel, Sandbox, SessionSpec};
use handaxe_types::{Case, Silent};
use handaxe_validate::{Arguments, Contract, Shadow, Validator, invoke, shadow};
use serde_json::{Value, json};

use super::draft;
use super::tamper::without_vetting;

/// Everything that a process can see of itself and of where it is, but what differs between any two
/// calls (addresses, times, mount numbers).
const OBSERVER: &str = r#"
import gc, os, resource, signal, socket, sys, threading, time

def quietly(look):
    try:
        return look()
    except OSError as error:
        return f"errno {error.errno}"

def callers():
    f, names = sys._getframe(), []
    while f:
        names.append([f.f_code.co_filename, f.f_code.co_name, f.f_lineno])
        f = f.f_back
    return names

WANTED = "Uid Gid Groups Umask Seccomp Seccomp_filters NoNewPrivs CapInh CapPrm CapEff CapBnd CapAmb Threads SigBlk SigIgn SigCgt".split()

LOOKS = {
    "environment": lambda: dict(os.environ),
    "arguments": lambda: sys.argv,
    "original": lambda: sys.orig_argv,
    "flags": lambda: str(sys.flags),
    "options": lambda: str(sys._xoptions),
    "path": lambda: sys.path,
    "executable": lambda: [sys.executable, sys.prefix, sys.version],
    "modules": lambda: sorted(sys.modules),
    "hooks": lambda: [str(type(h)) for h in sys.meta_path],
    "names": lambda: sorted(globals()),
    "name": lambda: __name__,
    "main": lambda: sorted(vars(sys.modules["__main__"])),
    "cwd": os.getcwd,
    "scratch": lambda: os.listdir("."),
    "root": lambda: sorted(os.listdir("/")),
    "data": lambda: os.listdir("/data"),
    "assets": lambda: os.listdir("/assets"),
    "tmp": lambda: os.listdir("/tmp"),
    "dev": lambda: os.listdir("/dev"),
    "own": lambda: os.listdir("/handaxe"),
    "processes": lambda: [p for p in os.listdir("/proc") if p.isdigit()],
    "pid": os.getpid,
    "parent": os.getppid,
    "group": lambda: os.getpgid(0),
    "session": lambda: os.getsid(0),
    "users": os.getresuid,
    "groups": lambda: [os.getresgid(), os.getgroups()],
    "status": lambda: [l for l in open("/proc/self/status") if l.split(":")[0] in WANTED],
    "command": lambda: open("/proc/self/cmdline").read(),
    "comm": lambda: open("/proc/self/comm").read(),
    "control": lambda: open("/proc/self/cgroup").read(),
    "descriptors": lambda: [[fd, seen] for fd in range(128) for seen in [quietly(lambda: os.fstat(fd).st_mode)]],
    "limits": lambda: {k: resource.getrlimit(getattr(resource, k)) for k in dir(resource) if k.startswith("RLIMIT")},
    "umask": lambda: os.umask(0o22),
    "nice": lambda: os.nice(0),
    "processors": os.cpu_count,
    "allowed": lambda: len(os.sched_getaffinity(0)),
    "signals": lambda: [str(signal.getsignal(s)) for s in signal.valid_signals()],
    "timer": lambda: signal.getitimer(signal.ITIMER_REAL),
    "host": socket.gethostname,
    "threads": threading.active_count,
    "trace": lambda: [str(sys.gettrace()), str(sys.getprofile())],
    "collector": lambda: [gc.isenabled(), gc.get_threshold()],
    "random": lambda: __import__("random").random(),
    "hash": lambda: hash("x"),
    "order": lambda: list({"a", "b", "c", "d"}),
    "recursion": sys.getrecursionlimit,
    "switch": sys.getswitchinterval,
    "clock": lambda: [str(time.get_clock_info(c)) for c in ("time", "monotonic", "perf_counter", "process_time")],
    "zone": lambda: time.tzname,
    "streams": lambda: [sys.stdin.encoding, sys.stdout.encoding, sys.stdout.line_buffering, sys.stdin.read()],
    "mounts": lambda: sorted(" ".join(l.split()[4:6]) for l in open("/proc/self/mountinfo")),
    "space": lambda: [os.statvfs(".").f_blocks, os.statvfs(".").f_files, os.statvfs(".").f_bavail],
    "stack": callers,
    "source": lambda: [run.__module__, run.__code__.co_filename, run.__code__.co_firstlineno],
}

def run(n: int) -> Any:
    return {name: quietly(look) for name, look in LOOKS.items()}
"#;

pub(crate) fn alike(sandbox: &Arc<dyn Sandbox>) {
    let draft = draft(OBSERVER);
    let policy = without_vetting();
    let validator = Validator::new(Arc::clone(sandbox), policy);
    let mut case: Case =
        serde_json::from_value(json!({"origin": "author", "input": {"n": 1}, "expect": 0}))
            .unwrap();
    case.held_out = false;
    let trial = validator
        .trial(&draft, &[case], &Silent, &Cancel::default())
        .unwrap();
    let tried = trial.cases[0].got.clone();
    let tried = tried.unwrap_or_else(|| panic!("{:#?}", trial.cases));

    // As production calls it (`handaxe_agent::use_tool`).
    let contract = Contract::new(&draft.spec, &draft.code, &draft.assets).unwrap();
    let session = sandbox.open(SessionSpec::default()).unwrap();
    let arguments = Arguments {
        input: json!({"n": 1}).as_object().unwrap().clone(),
        limits: Some(draft.spec.limits.for_data(0, false)),
        ..Arguments::default()
    };
    let call = || {
        let result = invoke(&*session, &contract, &arguments, &Cancel::default()).unwrap();
        result
            .output
            .unwrap_or_else(|| panic!("{:?}", result.error))
    };
    let (first, second) = (call(), call());
    let seen = |a: &Value, b: &Value| -> Vec<String> {
        a.as_object()
            .unwrap()
            .iter()
            .filter(|(key, value)| b[key.as_str()] != **value)
            .map(|(key, value)| format!("{key}: {value} or {}", b[key.as_str()]))
            .collect()
    };
    assert!(tried.as_object().unwrap().len() > 50);
    assert_eq!(seen(&first, &second), [""; 0], "two calls of one session");
    assert_eq!(seen(&tried, &first), [""; 0], "trial or production");
    // The control: what does differ is seen.
    let other = sandbox
        .open(SessionSpec {
            hash_seed: 5,
            ..SessionSpec::default()
        })
        .unwrap();
    let result = invoke(&*other, &contract, &arguments, &Cancel::default()).unwrap();
    let different = seen(&first, &result.output.unwrap());
    assert!(
        different.iter().any(|d| d.starts_with("hash:")),
        "{different:?}"
    );
}

pub(crate) fn shadows(sandbox: &Arc<dyn Sandbox>) {
    let look = |code: &str| {
        let draft = draft(code);
        let contract = Contract::new(&draft.spec, &draft.code, &draft.assets).unwrap();
        let session = sandbox.open(SessionSpec::default()).unwrap();
        let arguments = Arguments {
            input: json!({"n": 4}).as_object().unwrap().clone(),
            ..Arguments::default()
        };
        let first = invoke(&*session, &contract, &arguments, &Cancel::default()).unwrap();
        shadow(
            &**sandbox,
            &[],
            &contract,
            &arguments,
            &first,
            &Cancel::default(),
        )
        .unwrap()
    };
    assert_eq!(
        look("def run(n: int) -> Any:\n    return n * 2\n"),
        Shadow::Same
    );
    assert_eq!(
        look("def run(n: int) -> Any:\n    raise ValueError(n)\n"),
        Shadow::Same
    );
    for code in [
        // Behaves by the clock, and by the hash seed.
        "import time\ndef run(n: int) -> Any:\n    return time.perf_counter_ns()\n",
        "def run(n: int) -> Any:\n    return hash('x') % 1000003\n",
    ] {
        let seen = look(code);
        assert!(matches!(seen, Shadow::Differs(_)), "{code}: {seen:?}");
        assert!(seen.difference().is_some());
    }
}
