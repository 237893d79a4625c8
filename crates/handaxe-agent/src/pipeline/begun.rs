//! What a run was begun with; all that is needed to walk it again.

use std::collections::BTreeMap;

use handaxe_types::{Draft, Redactor, Task};
use serde::{Deserialize, Serialize};

use super::cost::Price;
use crate::model::RoleName;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    pub task: Task,
    pub goal: Goal,
    /// As the person chose it: `composer`, `openai:…`.
    pub model: String,
    pub base_url: Option<String>,
    pub max_repairs: u32,
    pub max_tokens: u64,
    pub max_seconds: u64,
    #[serde(default)]
    pub making: Making,
}

impl Begun {
    /// The same with the secrets of the question taken out. The files stay as they are: their names
    /// are redacted where they are written down or sent.
    pub(crate) fn without_secrets(&self, redactor: &Redactor) -> Self {
        let mut begun = self.clone();
        if !redactor.is_empty() {
            begun.task.question = redactor.text(&self.task.question).into_owned();
            for turn in &mut begun.making.history {
                turn.question = redactor.text(&turn.question).into_owned();
                turn.answer = redactor.text(&turn.answer).into_owned();
            }
        }
        begun
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Goal {
    Answer,
    /// Plan and stop: nothing is written, nothing runs.
    Plan,
    /// Make the tool and stop.
    Make,
    /// A draft that a person wrote, with its own cases.
    Import {
        draft: Box<Draft>,
    },
}

/// How a tool is made and by whom, beyond the one model. The default is one draft, by that model,
/// in a conversation that begins here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Making {
    /// Drafts that are drawn side by side; 0 means 1.
    pub candidates: u32,
    /// Roles with settings of their own.
    pub roles: BTreeMap<RoleName, RoleSettings>,
    /// `provider:name` → what its tokens cost.
    pub prices: BTreeMap<String, Price>,
    /// Earlier questions and answers of the same conversation, oldest first.
    pub history: Vec<Turn>,
}

/// `[roles.NAME]` of the settings. What is left out is as for every role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleSettings {
    pub model: Option<String>,
    pub base_url: Option<String>,
    pub temperature: Option<f32>,
    /// Of one reply.
    pub max_tokens: Option<u32>,
    /// Of all its calls in one run.
    pub budget_tokens: Option<u64>,
}

/// A question and what was answered, for the questions that follow on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub question: String,
    /// Cut where it is long.
    pub answer: String,
}
