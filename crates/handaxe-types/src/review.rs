//! What a reviewer said of an accepted draft. Words for the person who decides: a review approves
//! nothing and refuses nothing.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// `provider:name`.
    pub model: String,
    pub summary: String,
    /// Empty where the reviewer has none.
    pub objections: Vec<Objection>,
    /// Why there is no review, where one was asked for in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// Of `tool.py`, 1-based; 0 for the whole.
    pub line: u32,
    pub reason: String,
}
