//! What a long step tells whoever watches. Libraries report; only the edges print.

use crate::{Candidate, Finding, Stage, ToolName, ToolRef, Version};

#[derive(Clone, Debug)]
pub enum Progress {
    /// A step began, in a few words ("writing the tool").
    Step(String),
    /// The plan, for display.
    Plan {
        steps: Vec<String>,
        candidates: Vec<Candidate>,
        because: String,
    },
    /// Attempt `n` of at most `of`.
    Attempt {
        n: u32,
        of: u32,
        tool: ToolName,
    },
    Findings(Vec<Finding>),
    /// `done` of `of` runs of one stage of a trial; `failed` so far (of `Stage::Mutants`: survivors).
    /// The last report of a stage has `done == of`.
    Trial {
        stage: Stage,
        done: u32,
        of: u32,
        failed: u32,
    },
    /// A model call began (`role`, `model`), or a part of its reply came.
    Model {
        role: String,
        model: String,
        tokens: u64,
    },
    /// A further piece of the reply of the model call that is under way. Told only to a reporter
    /// that hears words; what it says counts for nothing before the whole was read.
    Words {
        text: String,
    },
    Registered {
        tool: ToolName,
        version: Version,
    },
    Invoking(ToolRef),
    Note(String),
}

/// Takes progress; must not block.
pub trait Reporter: Send + Sync {
    fn report(&self, progress: Progress);

    /// Whether anyone sees a model's words as they arrive. Where nobody does, a reply is asked for
    /// in one.
    fn hears_words(&self) -> bool {
        false
    }
}

/// Tells no one.
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Progress) {}
}
