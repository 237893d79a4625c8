//! One line of the journal.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;

/// What happened. Stored by name; a name is never reused for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    RunStarted,
    RunResumed,
    RunEnded,
    PlanMade,
    ModelCalled,
    AttemptRecorded,
    DomainRefused,
    ApprovalRequested,
    ApprovalGranted,
    ApprovalRejected,
    ApprovalRefused,
    ToolRegistered,
    ToolStateChanged,
    ToolInvoked,
    RunDenied,
    /// One use of a tool by the run that made it, before a person decided.
    ProvisionalGranted,
    CheckpointSigned,
    KeyAdded,
    KeyRetired,
    KeyRevoked,
    /// Of another program's tools: accepted by a person, called, answered.
    ExternalAccepted,
    ExternalCalled,
    ExternalAnswered,
}

impl EventKind {
    /// Every one, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::RunStarted,
        Self::RunResumed,
        Self::RunEnded,
        Self::PlanMade,
        Self::ModelCalled,
        Self::AttemptRecorded,
        Self::DomainRefused,
        Self::ApprovalRequested,
        Self::ApprovalGranted,
        Self::ApprovalRejected,
        Self::ApprovalRefused,
        Self::ToolRegistered,
        Self::ToolStateChanged,
        Self::ToolInvoked,
        Self::RunDenied,
        Self::ProvisionalGranted,
        Self::CheckpointSigned,
        Self::KeyAdded,
        Self::KeyRetired,
        Self::KeyRevoked,
        Self::ExternalAccepted,
        Self::ExternalCalled,
        Self::ExternalAnswered,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunStarted => "run_started",
            Self::RunResumed => "run_resumed",
            Self::RunEnded => "run_ended",
            Self::PlanMade => "plan_made",
            Self::ModelCalled => "model_called",
            Self::AttemptRecorded => "attempt_recorded",
            Self::DomainRefused => "domain_refused",
            Self::ApprovalRequested => "approval_requested",
            Self::ApprovalGranted => "approval_granted",
            Self::ApprovalRejected => "approval_rejected",
            Self::ApprovalRefused => "approval_refused",
            Self::ToolRegistered => "tool_registered",
            Self::ToolStateChanged => "tool_state_changed",
            Self::ToolInvoked => "tool_invoked",
            Self::RunDenied => "run_denied",
            Self::ProvisionalGranted => "provisional_granted",
            Self::CheckpointSigned => "checkpoint_signed",
            Self::KeyAdded => "key_added",
            Self::KeyRetired => "key_retired",
            Self::KeyRevoked => "key_revoked",
            Self::ExternalAccepted => "external_accepted",
            Self::ExternalCalled => "external_called",
            Self::ExternalAnswered => "external_answered",
        }
    }
}

/// `hash` covers every other field, `prev` among them, so each event vouches for all before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1, 2, 3 … without gaps.
    pub seq: i64,
    pub at_ms: i64,
    /// [`EventKind::as_str`]; kept as text so that a newer journal stays readable.
    pub kind: String,
    /// Who acted: `composer`, `openai:…`, a login name.
    pub actor: String,
    /// What it was about: a run, `name@version`, an approval.
    pub subject: String,
    pub detail: Value,
    pub prev: Digest,
    pub hash: Digest,
}
