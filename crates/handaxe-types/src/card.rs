//! The score card: what a person is shown of a trial, with the policy's thresholds beside it.

use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// A stable name, e.g. `mutants`.
    pub name: String,
    /// The figure as shown, e.g. `31 of 34 killed`.
    pub value: String,
    /// The figure that is held against the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    pub status: ScoreStatus,
    /// Why it is not a pass; or what the figure leaves open. May be empty.
    #[serde(default)]
    pub why: String,
}

/// A bound of `policy.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The key under `[trial]`, e.g. `kill_floor`.
    pub key: String,
    pub bound: Bound,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast,
    AtMost,
}

impl std::fmt::Display for Threshold {
    /// `at least 0.7`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.bound {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        };
        write!(f, "{word} {}", self.value)
    }
}

impl Threshold {
    pub fn at_least(key: &str, value: f64) -> Self {
        Self::new(key, Bound::AtLeast, value)
    }

    pub fn at_most(key: &str, value: f64) -> Self {
        Self::new(key, Bound::AtMost, value)
    }

    fn new(key: &str, bound: Bound, value: f64) -> Self {
        Self {
            key: key.to_owned(),
            bound,
            value,
        }
    }

    pub fn holds(&self, measured: f64) -> bool {
        match self.bound {
            Bound::AtLeast => measured >= self.value,
            Bound::AtMost => measured <= self.value,
        }
    }
}

/// A row that fails is a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreStatus {
    Pass,
    Warn,
    Fail,
    NotMeasured,
}

impl ScoreStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::NotMeasured => "not measured",
        }
    }
}
