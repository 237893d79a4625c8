//! What a trial measures beyond the cases. Every report is a part of [`crate::Trial`], absent where
//! its stage did not run: absent is not zero.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Capability, Case, Digest, RunError};

/// The stages of a trial, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Vet,
    Cases,
    Fuzz,
    /// Making the failing inputs small.
    Shrink,
    Mutants,
    Coverage,
    Cost,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vet => "vet",
            Self::Cases => "cases",
            Self::Fuzz => "fuzz",
            Self::Shrink => "shrink",
            Self::Mutants => "mutants",
            Self::Coverage => "coverage",
            Self::Cost => "cost",
        }
    }
}

/// How long one stage took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    pub stage: Stage,
    pub ms: f64,
}

/// Generated inputs: valid ones that ran, near-valid ones that must not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FuzzReport {
    /// The same seed, generator, schema and author's cases give the same inputs.
    pub seed: u64,
    /// The generator and its version.
    pub generator: String,
    /// Valid inputs that the policy asked for.
    pub asked: u32,
    /// Different valid inputs that could be made, where a small schema has no more.
    pub generated: u32,
    /// Valid inputs that ran, each in a process of its own.
    pub runs: u32,
    /// Of these, run again under another hash seed.
    pub repeated: u32,
    /// Of the generated inputs as JSON lines.
    pub inputs: Option<Digest>,
    /// Kind → runs that ended in an error that is an answer (see the validator's `fuzz`).
    pub documented: BTreeMap<String, u32>,
    /// Runs that failed; `failures` tells the different ones.
    pub failed: u32,
    pub failures: Vec<FuzzFailure>,
    /// Inputs just outside the schema, and how many of these the host refused before any run.
    pub near_valid: u32,
    pub near_valid_refused: u32,
    /// How some of those differed that the host let through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub let_through: Vec<String>,
    /// Which bound ended it early, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
}

/// How a generated input failed the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FuzzKind {
    Raised,
    Timeout,
    Memory,
    OutputLimit,
    Policy,
    Crash,
    Protocol,
    /// The output does not fit the output schema.
    Output,
    NotDeterministic,
}

impl FuzzKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::OutputLimit => "output_limit",
            Self::Policy => "policy",
            Self::Crash => "crash",
            Self::Protocol => "protocol",
            Self::Output => "output",
            Self::NotDeterministic => "not_deterministic",
        }
    }
}

/// One kind of failure at one place, with the smallest input found for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FuzzFailure {
    pub kind: FuzzKind,
    /// In words, e.g. `it raised IndexError`.
    pub what: String,
    /// The input made small, as a case of origin `fuzz`. Nothing of a held-out case is in it, so an
    /// author may see it.
    pub case: Case,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    #[serde(default)]
    pub stderr: String,
    /// Runs that failed in this way.
    pub seen: u32,
    /// The first failing input and the one shown, in bytes of JSON and files.
    pub found_bytes: u64,
    pub shrunk_bytes: u64,
}

/// Mutants of the tool under the cases: how strong the cases are.
///
/// `generated` is the sum of all other counts and the survivors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MutationReport {
    pub seed: u64,
    /// Mutants that the source has room for.
    pub possible: u32,
    /// Mutants chosen of these.
    pub generated: u32,
    /// A case saw another output, another kind of error, or an error where none belonged.
    pub killed_by_output: u32,
    pub killed_by_timeout: u32,
    /// Every run that noticed ended in an exception that the tool itself never raises: that says
    /// little of the cases, and counts neither for nor against.
    pub killed_by_crash: u32,
    /// The same output on every generated input: no case could tell.
    pub equivalent: u32,
    /// No time was left for these.
    pub not_run: u32,
    pub survivors: Vec<Survivor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
}

impl MutationReport {
    pub fn killed(&self) -> u32 {
        self.killed_by_output + self.killed_by_timeout
    }

    /// Mutants that the kill rate is taken over.
    pub fn judged(&self) -> u32 {
        self.killed() + self.survivors.len() as u32
    }

    /// Killed of judged, 0 to 1; `None` where none was judged.
    pub fn rate(&self) -> Option<f64> {
        let judged = self.judged();
        (judged > 0).then(|| f64::from(self.killed()) / f64::from(judged))
    }
}

/// A change of the tool that no case noticed. It quotes the tool's code: for the tester and the
/// person, never a reason to weaken a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// Line of `tool.py`, from 1.
    pub line: u32,
    /// The kind of change, e.g. `comparison`.
    pub operator: String,
    pub original: String,
    pub mutated: String,
    /// What is not noticed, in words.
    pub description: String,
}

/// Lines and branches that the cases reached, as the process under test reported them: shown, never
/// a threshold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    pub lines: u32,
    pub lines_hit: u32,
    /// Ways out of a line that decides.
    pub branches: u32,
    pub branches_hit: u32,
    pub missed_lines: Vec<u32>,
    /// From line, to line; 0 is the way out of the function.
    pub missed_branches: Vec<(u32, u32)>,
}

/// Time and memory over the fuzz runs (over the cases where there were none), and how time grows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CostReport {
    pub runs: u32,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub peak_kib: u64,
    /// One for each part of the input that can be made larger.
    pub growth: Vec<Growth>,
}

impl CostReport {
    /// The steepest growth that could be measured.
    pub fn steepest(&self) -> Option<&Growth> {
        let steep = |g: &&Growth| g.exponent.unwrap_or(f64::NEG_INFINITY);
        self.growth
            .iter()
            .filter(|g| g.exponent.is_some())
            .max_by(|a, b| steep(a).total_cmp(&steep(b)))
    }
}

/// Time against the size of one part of the input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Growth {
    /// A JSON pointer to the part that was made larger.
    pub of: String,
    /// What `sizes` counts: `items`, `characters`, `lines`, `value`.
    pub unit: String,
    pub sizes: Vec<u64>,
    /// Milliseconds at each size: the least of a few repeats.
    pub ms: Vec<f64>,
    /// Of time ~ size^exponent; `None` where it took too little time to say.
    pub exponent: Option<f64>,
    /// Why there is no exponent, or what ended it.
    pub note: String,
}

/// What the spec declares against what the host observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CapabilityUse {
    pub asked: BTreeSet<Capability>,
    pub used: BTreeSet<Capability>,
    /// Used without having been asked for, or past what was asked for, one line each: a refusal.
    pub undeclared: Vec<String>,
    /// Largest of all runs.
    pub peak_kib: u64,
    pub longest_ms: f64,
    pub artifacts: u32,
}
