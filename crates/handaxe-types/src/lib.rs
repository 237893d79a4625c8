//! The words every other part of Handaxe speaks. Data only: nothing in here runs, reads a file,
//! an environment or a clock, and no other `handaxe` crate may be imported.
//!
//! The way of the data, and the module that holds each step's type:
//! [`Task`] → [`Plan`] → [`Draft`] → [`Trial`] → [`Verdict`] → [`Approval`] → tool →
//! [`SandboxResult`] → answer.

#![forbid(unsafe_code)]

pub mod json;
pub mod text;

mod approval;
mod card;
mod case;
mod confusable;
mod digest;
mod draft;
mod event;
mod external;
mod finding;
mod flow;
mod isolation;
mod limits;
mod measured;
pub mod measures;
mod name;
mod outcome;
mod plan;
mod policy;
mod progress;
mod redact;
mod relation;
mod review;
mod run;
mod spec;
mod task;
mod tool;
mod verdict;

pub use approval::{
    Approval, ApprovalId, ApprovalMethod, ApprovalRequest, ApprovalSignature, ApprovalState,
    ProvisionalUse,
};
pub use card::{Bound, ScoreRow, ScoreStatus, Threshold};
pub use case::{Case, CaseFile, Check, Origin, Raises, Tolerance};
pub use confusable::Confusion;
pub use digest::{Digest, DigestError, canonical_json};
pub use draft::{Asset, Author, Draft, Provenance, ToolDigest};
pub use event::{Event, EventKind};
pub use external::{ExternalListing, ExternalTool, ExternalUse};
pub use finding::{Finding, Severity};
pub use flow::{Binding, BindingError, Each, Flow, FlowStep, Reference};
pub use isolation::{Isolation, Profile};
pub use limits::Limits;
pub use measured::{
    CapabilityUse, CostReport, Coverage, FuzzFailure, FuzzKind, FuzzReport, Growth, MutationReport,
    Stage, StageTime, Survivor,
};
pub use name::{NameError, ToolName, ToolRef, Version};
pub use outcome::{
    Artifact, Layer, LayerStatus, LimitHit, Outcome, RunError, SandboxResult, Usage,
};
pub use plan::{Candidate, Need, Plan, Route, ToolRequest};
pub use policy::{
    ApprovalHow, ApprovalPolicy, DomainPolicy, IsolationPolicy, Policy, StaticPolicy, TrialPolicy,
};
pub use progress::{Progress, Reporter, Silent};
pub use redact::{MIN_SECRET_CHARS, REDACTED, Redactor};
pub use relation::{Change, Comparison, Relation};
pub use review::{Objection, Review};
pub use run::{RunId, RunState};
pub use spec::{Capability, FILE_FORMAT, Spec};
pub use task::{DataFile, Preview, Task};
pub use tool::ToolState;
pub use verdict::{CaseResult, Scores, Trial, Verdict};
