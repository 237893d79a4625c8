//! What every test here needs: a sandbox, a call, and the same probe run without any jail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use handaxe_sandbox::{
    Call, Cancel, NativeConfig, NativeSandbox, Runtime, Sandbox, Session, SessionSpec,
};
use handaxe_types::{Layer, Limits, SandboxResult};
use serde_json::{Value, json};

pub(crate) const PROBES: [(&str, &str); 7] = [
    ("kernel", include_str!("../probes/kernel.py")),
    ("files", include_str!("../probes/files.py")),
    ("network", include_str!("../probes/network.py")),
    ("surroundings", include_str!("../probes/surroundings.py")),
    ("bombs", include_str!("../probes/bombs.py")),
    ("channels", include_str!("../probes/channels.py")),
    ("fuzz", include_str!("../probes/fuzz.py")),
];

pub(crate) fn probe(name: &str) -> &'static str {
    PROBES.iter().find(|(n, _)| *n == name).unwrap().1
}

/// Where an ordinary user's copy of these tests finds its launcher.
pub(crate) const LAUNCHER_VARIABLE: &str = "HANDAXE_TEST_LAUNCHER";

pub(crate) fn launcher() -> PathBuf {
    std::env::var_os(LAUNCHER_VARIABLE).map_or_else(
        || env!("CARGO_BIN_EXE_handaxe-jail-launcher").into(),
        PathBuf::from,
    )
}

pub(crate) fn config() -> NativeConfig {
    let mut config = NativeConfig::new(launcher());
    config.python = Some(PYTHON.into());
    config.idle = 1;
    config
}

/// Probes of the kernel need `ctypes`, which production never loads.
pub(crate) fn config_with_ctypes() -> NativeConfig {
    let mut config = config();
    config
        .modules
        .extend(["ctypes", "socket", "urllib.request", "fcntl", "platform"].map(str::to_owned));
    config
}

pub(crate) fn sandbox_of(config: NativeConfig) -> NativeSandbox {
    static RUNTIMES: [OnceLock<Runtime>; 2] = [OnceLock::new(), OnceLock::new()];
    let more = config.modules.iter().any(|m| m == "ctypes");
    let runtime = RUNTIMES[usize::from(more)].get_or_init(|| {
        NativeSandbox::new(config.clone())
            .unwrap()
            .runtime()
            .clone()
    });
    NativeSandbox::with_runtime(config, runtime.clone())
}

pub(crate) fn session() -> Arc<dyn Session> {
    sandbox_of(config()).open(SessionSpec::default()).unwrap()
}

/// A session without some layers, to see that what remains holds, or that nothing does.
pub(crate) fn session_without(layers: &[Layer]) -> Arc<dyn Session> {
    let mut config = config_with_ctypes();
    config.knobs.skip = layers.to_vec();
    sandbox_of(config).open(SessionSpec::default()).unwrap()
}

/// A call under the usual limits, but for a wall clock that a busy machine does not reach.
pub(crate) fn call(code: &str, input: Value) -> Call {
    let mut call = Call::new(code, input.as_object().unwrap().clone());
    call.limits.wall_ms = 120_000;
    call
}

#[track_caller]
pub(crate) fn run(session: &Arc<dyn Session>, call: &Call) -> SandboxResult {
    session.call(call, &Cancel::default()).unwrap()
}

/// Runs code without input under limits.
#[track_caller]
pub(crate) fn run_with(code: &str, change: impl FnOnce(&mut Limits)) -> SandboxResult {
    let mut call = call(code, json!({}));
    change(&mut call.limits);
    run(&session(), &call)
}

#[track_caller]
pub(crate) fn output(result: &SandboxResult) -> &Value {
    result
        .output
        .as_ref()
        .unwrap_or_else(|| panic!("{result:?}"))
}

/// The liveness control: an honest tool still works beside the attack.
#[track_caller]
pub(crate) fn benign(session: &Arc<dyn Session>) {
    let result = run(
        session,
        &call(
            "def run(a: int) -> int:\n    return a + 1\n",
            json!({"a": 1}),
        ),
    );
    assert_eq!(output(&result), &json!(2));
}

/// The interpreter, inside and outside.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Calls `run` of the code in the first argument with the input in the second.
pub(crate) const SCRIPT: &str = "import json, sys\nns = {'__name__': 'tool'}\nexec(sys.argv[1], ns)\n\
                                 print(json.dumps(ns['run'](**json.loads(sys.argv[2]))))";

/// The positive control: the same probe, no jail.
#[track_caller]
pub(crate) fn outside(name: &str, input: &Value, directory: &Path) -> Value {
    outside_code(probe(name), input, directory)
}

/// Any code of ours without a jail.
#[track_caller]
pub(crate) fn outside_code(code: &str, input: &Value, directory: &Path) -> Value {
    #[expect(
        clippy::disallowed_methods,
        reason = "the control runs our own probe outside"
    )]
    let done = Command::new(PYTHON)
        .args(["-c", SCRIPT, code, &input.to_string()])
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// A promise about the wall clock. Held to on a machine that does nothing else, which
/// `HANDAXE_TIMED` says; elsewhere the scheduler would be on trial.
#[track_caller]
pub(crate) fn in_time(took: std::time::Duration, most: std::time::Duration) {
    let timed = std::env::var_os("HANDAXE_TIMED").is_some();
    assert!(
        !timed || took <= most,
        "{took:?}, and {most:?} were promised"
    );
}
