//! Vetting in a process apart, so that a source which ends its reader ends nothing else.
//!
//! A program that calls [`main_if_asked`] in its `main` and then [`vet_in`] with its own path reads
//! every source in a helper (see `handaxe_sandbox::Helper`); the caller takes only findings from
//! it. What a helper has read to the end, the caller may parse again (for the template, mutants,
//! coverage): the same parser, the same stack, the same source. A test or another library's user
//! that has no such program reads in its own process.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use handaxe_sandbox::{Helper, HelperError, HelperLimits, serve_helper};
use handaxe_types::json::{self, Bounds, JsonError};
use handaxe_types::{Capability, Finding, StaticPolicy};
use serde::{Deserialize, Serialize};

use crate::vet::{CRASHED, finding, vet_here};

/// The private first argument.
const ARGUMENT: &str = "--handaxe-vet";

const LIMITS: HelperLimits = HelperLimits {
    memory_bytes: 512 << 20,
    cpu: Duration::from_mins(1),
    frame_bytes: 8 << 20,
    requests: 2_000,
};

/// Reading 64 KiB takes a few milliseconds; a busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(10);

static HELPER: OnceLock<Helper> = OnceLock::new();

#[derive(Serialize)]
struct Request<'a> {
    code: &'a str,
    policy: &'a StaticPolicy,
    capabilities: &'a [Capability],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Received {
    code: String,
    policy: StaticPolicy,
    capabilities: Vec<Capability>,
}

/// Becomes the process that reads, and never returns, where the first argument asks for it. To be
/// called first in `main`, before any thread exists.
pub fn main_if_asked() {
    if let Some(code) = serve_helper(ARGUMENT, answer) {
        std::process::exit(code);
    }
}

/// From now on sources are read by `program`, which must call [`main_if_asked`]. The first caller
/// decides.
pub fn vet_in(program: PathBuf) {
    let _ = HELPER.set(Helper::new(program, ARGUMENT, LIMITS));
}

/// The process that reads sources now, if one is warm.
pub fn vetting_process() -> Option<u32> {
    HELPER.get().and_then(Helper::process)
}

/// Our own words, so only a bug in them gives an empty answer, which is taken for a crash.
fn answer(request: &[u8]) -> Vec<u8> {
    serde_json::from_slice::<Received>(request)
        .ok()
        .map(|r| vet_here(&r.code, &r.policy, &r.capabilities))
        .and_then(|found| serde_json::to_vec(&found).ok())
        .unwrap_or_default()
}

#[derive(Debug, thiserror::Error)]
enum VetterError {
    #[error("{0}")]
    Helper(#[from] HelperError),
    #[error("its request cannot be written: {0}")]
    Request(#[from] serde_json::Error),
    #[error("its answer was not understood: {0}")]
    Answer(#[from] JsonError),
}

/// Reads a source against the policy and the capabilities that its spec asks for. Runs nothing.
/// A source that its reader does not survive is refused by `vet.crashed`.
pub fn vet(code: &str, policy: &StaticPolicy, capabilities: &[Capability]) -> Vec<Finding> {
    match HELPER.get() {
        // What is too large is not worth the way.
        Some(helper) if code.len() <= policy.max_bytes => ask(helper, code, policy, capabilities)
            .unwrap_or_else(|e| {
                let reason = format!("no reading of it came to an end: {e}");
                vec![finding(policy, CRASHED, (0, 0), reason)]
            }),
        _ => vet_here(code, policy, capabilities),
    }
}

fn ask(
    helper: &Helper,
    code: &str,
    policy: &StaticPolicy,
    capabilities: &[Capability],
) -> Result<Vec<Finding>, VetterError> {
    let request = serde_json::to_vec(&Request {
        code,
        policy,
        capabilities,
    })?;
    let answer = helper.ask(&request, PATIENCE)?;
    let bounds = Bounds {
        bytes: LIMITS.frame_bytes,
        ..Bounds::DEFAULT
    };
    Ok(json::parse_as(&answer, bounds)?)
}
