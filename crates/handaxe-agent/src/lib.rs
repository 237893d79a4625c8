//! The pipeline from a task to an answer, the roles that models play in it, and the models.
//!
//! Nothing in here can approve: an [`Approver`] is given by the edge, and the registry checks what
//! it says. Nothing in here prints, and nothing reads an environment or a home directory.

#![forbid(unsafe_code)]

mod external;
mod flow;
mod minds;
pub mod model;
mod pipeline;
pub mod roles;

pub use external::{ExternalError, ExternalReply, Externals, NoExternals};
pub use flow::FlowFault;
pub use minds::{MAX_REPLY_TOKENS, Minds, ModelMind, Seat};
pub use pipeline::{
    Approver, Begun, Binds, Card, CardDiff, Concern, Context, Cost, Decision, Difference,
    FailingExample, Goal, Invocation, Making, MakingCost, NoOne, PipelineError, Price, Report,
    Reproof, RiskyLine, RoleSettings, StepCost, Stop, ToolUsed, Turn, Use, UseError, limit_words,
    may_use, proof_words, reprove, risks, split, text_diff, use_tool, walk,
};
