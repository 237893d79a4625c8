//! What a run of this server is at, as it reports it: the newest word on each matter, for whoever
//! looks. What is done for good is in the journal; this is what has not got there yet.

use std::sync::{Arc, Mutex, PoisonError};

use handaxe_types::{Progress, Reporter};
use serde::Serialize;
use utoipa::ToSchema;

/// Characters of a step or a note that are kept.
const MOST_CHARS: usize = 400;

/// What a run is at. Counts grow within a stage; a new stage begins at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Live {
    /// Grows with every report.
    pub(crate) revision: u64,
    /// In a few words; text of ours and of models.
    pub(crate) step: String,
    /// The attempt that is under way, from 1, and the most that there may be.
    pub(crate) attempt: Option<u32>,
    pub(crate) attempts: Option<u32>,
    /// The tool that is written, or run.
    pub(crate) tool: Option<String>,
    pub(crate) stage: Option<LiveStage>,
    /// Tokens of the model call that is under way.
    pub(crate) tokens: Option<u64>,
    pub(crate) note: Option<String>,
}

/// A stage of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LiveStage {
    /// `vet`, `cases`, `fuzz`, `shrink`, `mutants`, `coverage` or `cost`.
    pub(crate) name: String,
    pub(crate) done: u32,
    pub(crate) of: u32,
    /// Of `mutants`, those that no case noticed.
    pub(crate) failed: u32,
}

/// Takes a run's reports and hands each on to the door that began the run.
pub(crate) struct Feed {
    live: Mutex<Live>,
    next: Arc<dyn Reporter>,
}

impl Feed {
    pub(crate) fn new(next: Arc<dyn Reporter>) -> Arc<Self> {
        Arc::new(Self {
            live: Mutex::default(),
            next,
        })
    }

    pub(crate) fn live(&self) -> Live {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Reporter for Feed {
    fn report(&self, progress: Progress) {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(&progress);
        self.next.report(progress);
    }
}

impl Live {
    fn take(&mut self, progress: &Progress) {
        self.revision += 1;
        match progress {
            Progress::Step(text) => {
                self.step = short(text);
                (self.stage, self.tokens, self.note) = (None, None, None);
            }
            Progress::Plan { .. } => "the plan stands".clone_into(&mut self.step),
            Progress::Attempt { n, of, tool } => {
                self.step = format!("writing {tool}");
                (self.attempt, self.attempts) = (Some(*n), Some(*of));
                self.tool = Some(tool.to_string());
                (self.stage, self.tokens) = (None, None);
            }
            Progress::Findings(findings) => {
                self.note = Some(match findings.len() {
                    1 => "1 finding of the static policy".to_owned(),
                    n => format!("{n} findings of the static policy"),
                });
            }
            Progress::Trial {
                stage,
                done,
                of,
                failed,
            } => {
                "proving it".clone_into(&mut self.step);
                self.tokens = None;
                self.stage = Some(LiveStage {
                    name: stage.as_str().to_owned(),
                    done: *done,
                    of: *of,
                    failed: *failed,
                });
            }
            Progress::Model {
                role,
                model,
                tokens,
            } => {
                self.step = short(&format!("asking {model}, {role}"));
                self.tokens = Some(*tokens);
            }
            // For a terminal; here the tokens are enough.
            Progress::Words { .. } => {}
            Progress::Registered { tool, version } => {
                self.step = format!("registered {tool}@{version}");
                self.stage = None;
            }
            Progress::Invoking(tool) => {
                self.step = format!("running {tool}");
                self.tool = Some(tool.to_string());
                self.stage = None;
            }
            Progress::Note(text) => self.note = Some(short(text)),
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::{Silent, Stage, ToolName};

    #[test]
    fn the_newest_word_counts() {
        let feed = Feed::new(Arc::new(Silent));
        let tool = ToolName::new("csv_stats").unwrap();
        feed.report(Progress::Attempt { n: 2, of: 4, tool });
        for done in [3, 9] {
            feed.report(Progress::Trial {
                stage: Stage::Fuzz,
                done,
                of: 24,
                failed: 1,
            });
        }
        let live = feed.live();
        assert_eq!((live.revision, live.attempt), (3, Some(2)));
        assert_eq!(
            live.stage.map(|s| (s.name, s.done)),
            Some(("fuzz".to_owned(), 9))
        );
        feed.report(Progress::Step("x".repeat(1000)));
        assert_eq!(feed.live().step.chars().count(), MOST_CHARS);
        assert_eq!(feed.live().stage, None);
    }
}
