//! The states of a registered version.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// Proved, not approved: cannot run.
    Pending,
    Active,
    /// Runs, but names a successor and is not offered.
    Deprecated,
    Retired,
    /// Failed a re-proof: cannot run until a person says so.
    Quarantined,
    Revoked,
}

impl ToolState {
    /// Every one, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Active,
        Self::Deprecated,
        Self::Retired,
        Self::Quarantined,
        Self::Revoked,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Retired => "retired",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
        }
    }

    /// Whether an approved version in this state may be called.
    pub fn runs(self) -> bool {
        matches!(self, Self::Active | Self::Deprecated)
    }
}
