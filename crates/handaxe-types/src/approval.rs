//! A person's yes, bound to the digest of what it was said to.

use serde::{Deserialize, Serialize};

use crate::{Digest, RunId, ToolDigest, ToolName, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalId(pub i64);

impl std::fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    Waiting,
    Approved,
    Rejected,
    Expired,
}

impl ApprovalState {
    /// Every one, in the order of declaration.
    pub const ALL: &[Self] = &[Self::Waiting, Self::Approved, Self::Rejected, Self::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// How the person said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMethod {
    /// Asked at a terminal.
    Terminal,
    /// `--yes` on the command that made the draft.
    YesFlag,
    /// `handaxe approvals approve`.
    Command,
    /// On the card's page, signed in with a one-time link.
    Browser,
    /// Signed with a key that a passphrase unlocks.
    Key,
}

impl ApprovalMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::YesFlag => "yes_flag",
            Self::Command => "command",
            Self::Browser => "browser",
            Self::Key => "key",
        }
    }
}

/// A draft with an accepting verdict, waiting for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    pub id: ApprovalId,
    pub tool: ToolName,
    pub version: Version,
    pub subject: ToolDigest,
    pub run: Option<RunId>,
    pub state: ApprovalState,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    pub expires_ms: i64,
    pub why: String,
}

/// The yes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub id: ApprovalId,
    pub subject: ToolDigest,
    pub approver: String,
    pub method: ApprovalMethod,
    /// The approver also wrote the tool.
    pub self_approved: bool,
    pub at_ms: i64,
    /// Present exactly when `method` is `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<ApprovalSignature>,
}

/// One use of a proved draft by the run that made it, before a person decided on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionalUse {
    pub tool: ToolName,
    pub version: Version,
    pub digest: ToolDigest,
    pub approval: ApprovalId,
    pub run: RunId,
    /// The person who asked for it.
    pub asked_by: String,
    /// When it was granted, milliseconds since the Unix epoch; nothing runs under it after
    /// `until_ms`.
    pub at_ms: i64,
    pub until_ms: i64,
}

/// A signature over what an approval binds, by a key that only its holder can unlock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSignature {
    /// The key's id: the SHA-256 digest of its 32 public bytes.
    pub key: Digest,
    /// Ed25519, 128 hexadecimal digits.
    pub signature: String,
}
