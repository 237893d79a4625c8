//! The question that is put to a person, and the answer.

use handaxe_types::{ApprovalMethod, ApprovalRequest, CaseResult, Draft, Verdict};
use serde::Serialize;

/// Everything that a person needs to say yes or no. What it shows is what the approval binds.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    pub request: ApprovalRequest,
    pub draft: Draft,
    pub verdict: Verdict,
    /// Case results, held-out ones without their expectations.
    pub cases: Vec<CaseResult>,
    /// Which attempt was accepted, from 1.
    pub attempt: u32,
    /// To the attempt before, as a unified diff; empty for the first.
    pub diff: String,
    /// The plan in words, for judging whether it is what was meant.
    pub plan: Vec<String>,
    pub interpreter: String,
    /// Whose yes would count as approving one's own work.
    pub self_approval: bool,
}

#[derive(Clone, Debug)]
pub enum Decision {
    Approve {
        approver: String,
        method: ApprovalMethod,
    },
    Reject {
        approver: String,
        reason: String,
    },
    /// No one is here to ask; it stays waiting.
    Wait,
    /// The person changed the code: a new attempt, proved like any other.
    Edit {
        editor: String,
        code: String,
    },
}

/// Puts the card to a person. May block for as long as the person thinks.
pub trait Approver: Send + Sync {
    fn decide(&self, card: &Card) -> Decision;
}

/// No one is here.
pub struct NoOne;

impl Approver for NoOne {
    fn decide(&self, _: &Card) -> Decision {
        Decision::Wait
    }
}
