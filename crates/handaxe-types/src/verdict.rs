//! What a trial measured and what was concluded from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Digest, Finding, Origin, Outcome, RunError, ToolDigest};

/// One case's result, computed on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    pub name: String,
    pub origin: Origin,
    pub held_out: bool,
    pub passed: bool,
    pub outcome: Outcome,
    /// What kind of failure, without what was expected: safe to show an author of a held-out case.
    pub failure: Option<String>,
    /// What came back, for cases that are not held out.
    pub got: Option<Value>,
    pub error: Option<RunError>,
    pub stderr: String,
    pub runtime_ms: f64,
    pub max_rss_kib: u64,
    /// Why the arbiter, who saw the spec alone, withdrew this case. A withdrawn case stays in the
    /// evidence and counts neither for nor against; goldens are never withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// Every run's outcome for one draft under one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The digest of what was tried.
    pub subject: ToolDigest,
    pub profile: Digest,
    pub interpreter: String,
    pub findings: Vec<Finding>,
    /// Disagreements of signature, schema and template; empty when they agree.
    pub template: Vec<String>,
    pub cases: Vec<CaseResult>,
    pub wall_ms: f64,
    pub sandbox_runs: u32,
}

/// The figures that the card shows. More is measured by the deeper proof; absent is not zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Origin → (passed, run).
    pub cases: BTreeMap<Origin, (u32, u32)>,
    pub runtime_p50_ms: f64,
    pub runtime_p95_ms: f64,
    pub max_rss_kib: u64,
    pub sandbox_runs: u32,
    pub warnings: u32,
}

/// Accepted or refused, bound to the digest of what was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub subject: ToolDigest,
    pub accepted: bool,
    /// Why not, one line each; empty when accepted.
    pub reasons: Vec<String>,
    pub scores: Scores,
    pub findings: Vec<Finding>,
}
