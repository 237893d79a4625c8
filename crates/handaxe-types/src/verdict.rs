//! What a trial measured and what was concluded from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    CapabilityUse, CostReport, Coverage, Digest, Finding, FuzzReport, Layer, MutationReport,
    Origin, Outcome, Profile, Review, RunError, ScoreRow, StageTime, ToolDigest,
};

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
    /// What that digest is of; absent from trials of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Profile>,
    pub interpreter: String,
    pub findings: Vec<Finding>,
    /// Disagreements of signature, schema and template; empty when they agree.
    pub template: Vec<String>,
    pub cases: Vec<CaseResult>,
    pub wall_ms: f64,
    pub sandbox_runs: u32,
    /// The built-in composer made it from examples: a floor of the policy's own judges its mutants.
    #[serde(default)]
    pub by_example: bool,
    /// The isolation layers that every run of it had.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// What the stages after the cases measured; they run only when every case passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuzz: Option<FuzzReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutation: Option<MutationReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<CapabilityUse>,
    /// How long each stage took.
    #[serde(default)]
    pub stages: Vec<StageTime>,
}

impl Trial {
    /// A trial in which nothing has been measured yet.
    pub fn new(subject: ToolDigest, profile: Digest, interpreter: &str) -> Self {
        Self {
            subject,
            profile,
            sandbox: None,
            interpreter: interpreter.to_owned(),
            findings: Vec::new(),
            template: Vec::new(),
            cases: Vec::new(),
            wall_ms: 0.0,
            sandbox_runs: 0,
            by_example: false,
            layers: Vec::new(),
            fuzz: None,
            mutation: None,
            coverage: None,
            cost: None,
            capabilities: None,
            stages: Vec::new(),
        }
    }
}

/// The first figures of a verdict; the whole of it is in [`Verdict::card`].
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
    /// The score card, in the order in which it is shown.
    #[serde(default)]
    pub card: Vec<ScoreRow>,
    pub findings: Vec<Finding>,
    /// What a second reader said, where one was asked. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was stored before the deeper stages existed still reads.
    #[test]
    fn an_older_trial_and_verdict_still_parse() {
        let digest = "0".repeat(64);
        let trial: Trial = serde_json::from_str(&format!(
            r#"{{"subject":"{digest}","profile":"{digest}","interpreter":"CPython 3.11.2",
                "findings":[],"template":[],"cases":[],"wall_ms":1.5,"sandbox_runs":3}}"#
        ))
        .unwrap();
        assert_eq!((trial.sandbox_runs, trial.fuzz), (3, None));
        let verdict: Verdict = serde_json::from_str(&format!(
            r#"{{"subject":"{digest}","accepted":true,"reasons":[],"findings":[],"scores":{{
                "cases":{{"author":[1,1]}},"runtime_p50_ms":1.0,"runtime_p95_ms":1.0,
                "max_rss_kib":1,"sandbox_runs":3,"warnings":0}}}}"#
        ))
        .unwrap();
        assert!(verdict.accepted && verdict.card.is_empty());
    }
}
