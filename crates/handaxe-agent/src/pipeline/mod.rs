//! From a task to an answer. [`walk`] reads like the table in ARCHITECTURE.md: one function a
//! step, each in a file of its own, each taking the type that the step before it gave.
//!
//! Synchronous: the sandbox and the database block, and a model call is awaited at one place.
//! Whoever serves many runs puts each on a blocking thread.

mod answer;
mod approve;
mod begun;
pub(crate) mod candidates;
mod compose;
mod cost;
pub(crate) mod data;
mod decide;
mod error;
pub(crate) mod external;
mod invoke;
pub(crate) mod make;
mod memo;
mod named;
mod plan;
mod report;
mod reprove;
mod risks;
mod run;
mod waiting;
mod words;
mod writers;

use std::sync::Arc;

use handaxe_registry::Registry;
use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{Policy, Progress, Reporter};
use handaxe_validate::Validator;

pub use approve::{
    Approver, Binds, Card, CardDiff, Decision, FailingExample, MakingCost, NoOne, text_diff,
};
pub use begun::{Begun, Goal, Making, RoleSettings, Turn};
pub use cost::{Cost, Price, StepCost};
pub use error::PipelineError;
pub use invoke::{Use, UseError, use_tool};
pub(crate) use memo::Memory;
pub use report::{Invocation, Report, Stop, ToolUsed};
pub use reprove::{Difference, Reproof, reprove, split};
pub use risks::{RiskyLine, risks};
pub use run::walk;
pub use words::{Concern, limit_words, may_use, proof_words};

use crate::external::Externals;
use crate::minds::Minds;

/// What a run works with. Everything in it is shared; nothing in it is global.
pub struct Context {
    pub registry: Registry,
    pub sandbox: Arc<dyn Sandbox>,
    pub policy: Policy,
    pub minds: Minds,
    /// Other programs whose tools a plan may use.
    pub externals: Arc<dyn Externals>,
    pub reporter: Arc<dyn Reporter>,
    pub cancel: Cancel,
    /// How often a refused draft goes back to its author.
    pub max_repairs: u32,
}

impl Context {
    pub(crate) fn report(&self, progress: Progress) {
        self.reporter.report(progress);
    }

    pub(crate) fn validator(&self) -> Validator {
        Validator::new(Arc::clone(&self.sandbox), self.policy.clone())
    }

    pub(crate) fn check_cancel(&self) -> Result<(), PipelineError> {
        if self.cancel.is_cancelled() {
            Err(PipelineError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Why a step did not give its result: the run is over in good order, or it broke off.
pub(crate) enum Halt {
    Stop(Stop),
    Error(PipelineError),
}

impl From<PipelineError> for Halt {
    fn from(error: PipelineError) -> Self {
        Self::Error(error)
    }
}
