//! The pipeline from a task to an answer, the roles that models play in it, and the models.
//!
//! Nothing in here can approve: an [`Approver`] is given by the edge, and the registry checks what
//! it says. Nothing in here prints, and nothing reads an environment or a home directory.

#![forbid(unsafe_code)]

mod minds;
pub mod model;
mod pipeline;
pub mod roles;

pub use minds::{Minds, ModelMind};
pub use pipeline::{
    Approver, Begun, Binds, Card, CardDiff, Context, Decision, Difference, FailingExample, Goal,
    Invocation, MakingCost, NoOne, PipelineError, Report, Reproof, RiskyLine, Stop,
    ToolUsed, Use, UseError, reprove, risks, split, use_tool, walk,
};
