//! One contract for every backend: the same table of cases, each backend that this machine offers.
//! One that it does not offer is reported as not run, with the reason. Native always runs.
//!
//! What a backend may do otherwise is in `backends::DIFFERENCES`, each with its reason.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and say which backends ran"
)]

mod attacks;
mod backends;
mod behaviour;
mod limits;
mod walls;

use backends::{Backend, offered};

type Case = fn(&Backend);

/// Every case; a backend runs them all.
const CASES: &[(&str, Case)] = &[
    ("echo", behaviour::echo),
    ("tool_error", behaviour::tool_error),
    ("streams", behaviour::streams),
    ("endings", behaviour::endings),
    ("files_in", behaviour::files_in),
    ("files_out", behaviour::files_out),
    ("fresh", behaviour::fresh),
    ("hash_seed", behaviour::hash_seed),
    ("environment", behaviour::environment),
    ("required_layers", behaviour::required_layers),
    ("wall", limits::wall),
    ("cpu", limits::cpu),
    ("memory", limits::memory),
    ("output", limits::output),
    ("floods", limits::floods),
    ("scratch", limits::scratch),
    ("threads", limits::threads),
    ("cancel", limits::cancel),
    ("frames", attacks::frames),
    ("network", attacks::network),
    ("host_files", attacks::host_files),
    ("read_only", attacks::read_only),
    ("privileges", attacks::privileges),
    ("processes", attacks::processes),
    ("nothing_left", attacks::nothing_left),
];

fn contract(name: &str) {
    let backend = match offered(name) {
        Ok(backend) => backend,
        Err(reason) => {
            println!("not run: {name}: because {reason}");
            return;
        }
    };
    for (case, run) in CASES {
        let started = std::time::Instant::now();
        run(&backend);
        println!("{name}: {case}: held ({:.1?})", started.elapsed());
    }
}

#[test]
fn native_keeps_the_contract() {
    assert!(offered("native").is_ok(), "native runs everywhere");
    contract("native");
}

#[test]
fn oci_crun_keeps_the_contract() {
    contract("oci:crun");
}

#[test]
fn oci_runc_keeps_the_contract() {
    contract("oci:runc");
}

#[test]
fn oci_runsc_keeps_the_contract() {
    contract("oci:runsc");
}

#[test]
fn docker_keeps_the_contract() {
    contract("docker");
}
