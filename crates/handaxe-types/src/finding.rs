//! What the static policy found in a tool's code.

use serde::{Deserialize, Serialize};

/// `Refuse` ends the draft; `Warn` is shown on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Warn,
    Refuse,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable rule name, e.g. `import.not_allowed`.
    pub rule: String,
    pub severity: Severity,
    /// 1-based; 0 where the finding is about the whole file.
    pub line: u32,
    pub column: u32,
    pub reason: String,
}
