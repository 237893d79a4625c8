//! What a run ends with.

use handaxe_types::{
    ApprovalId, ExternalUse, Plan, ProvisionalUse, RunId, RunState, SandboxResult, ToolName,
    Verdict, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cost::Cost;

/// One JSON document for `ask` and `make`; its names are a promise to programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub state: RunState,
    /// `reuse`, `compose`, `extend`, `make`, `external`, `direct` or `refuse`.
    pub route: String,
    pub answer: Option<String>,
    /// The tool's output; one element a file where several were given.
    pub result: Option<Value>,
    pub tools: Vec<ToolUsed>,
    pub run: RunId,
    pub approval: Option<ApprovalId>,
    pub verdict: Option<Verdict>,
    pub invocations: Vec<Invocation>,
    /// The answer rests on a tool that nobody approved yet, and this is its one use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisional: Option<ProvisionalUse>,
    /// Calls of other programs' tools that the answer rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalUse>,
    /// `composer` or `provider:name`.
    pub model: String,
    /// Which bound ended it, or why it was refused.
    pub stopped_by: Option<Stop>,
    /// Of each step; `None` in reports of earlier versions.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// With the candidates and why each was not enough; `None` where nothing was planned.
    #[serde(default)]
    pub plan: Option<Plan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolUsed {
    pub name: ToolName,
    pub version: Version,
}

/// One use of a tool, as the answer rests on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    pub tool: ToolName,
    pub version: Version,
    /// The data files, by name.
    pub data: Vec<String>,
    pub input: Value,
    #[serde(flatten)]
    pub result: SandboxResult,
}

/// Why a run did not end with an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// `repairs`, `tokens`, `wall_time`, `fan_out`, `rejected`, `domain`, `not_understood`,
    /// `verdict`, `invocation`, `flow`, `model`, `while_waiting`.
    pub kind: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Stop {
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether a bound of the run, and not a judgement, ended it.
    pub fn is_bound(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "repairs" | "tokens" | "wall_time" | "fan_out"
        )
    }
}
