//! Whether the maker helps: the same problems, by the same model, within the same bounds, three
//! ways. *No tool*: the model answers. *One shot*: it writes code once, which is run (in the
//! sandbox, as all code is) and not proved. *Handaxe*: the pipeline, with a person who says yes to
//! every card. What is made is then held against inputs that nobody was shown.

mod bare;
mod hidden;
pub(crate) mod pipeline;
mod score;

use std::sync::Arc;
use std::time::Duration;

use handaxe_agent::model::{Budget, Model};
use handaxe_agent::roles::Templates;
use handaxe_agent::{Approver, Minds, ModelMind};
use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{Digest, Policy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use score::{ArmReport, ArmScore};

use crate::error::SuiteError;
use crate::pool::{self, Tick};
use crate::problem::Problem;
use crate::store::Store;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    NoTool,
    OneShot,
    Handaxe,
}

impl Arm {
    pub const ALL: [Self; 3] = [Self::NoTool, Self::OneShot, Self::Handaxe];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoTool => "no tool",
            Self::OneShot => "one shot",
            Self::Handaxe => "handaxe",
        }
    }
}

/// Who thinks in the arms.
#[derive(Clone)]
pub enum Thinker {
    /// Nobody that could: every arm is `not run`.
    Nobody,
    /// Built in. It writes tools and answers nothing by itself: only the third arm runs.
    Composer,
    Model {
        model: Arc<dyn Model>,
        templates: Arc<Templates>,
        runtime: tokio::runtime::Handle,
    },
}

impl Thinker {
    pub fn id(&self) -> String {
        match self {
            Self::Nobody => "none".to_owned(),
            Self::Composer => "composer".to_owned(),
            Self::Model { model, .. } => model.id().to_string(),
        }
    }

    fn runs(&self, arm: Arm) -> bool {
        match self {
            Self::Nobody => false,
            Self::Composer => arm == Arm::Handaxe,
            Self::Model { .. } => true,
        }
    }
}

/// What every ask of every arm may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    pub tokens: u64,
    pub seconds: u64,
    /// How often a refused draft goes back to its author; in the third arm only, from the same
    /// tokens and seconds.
    pub repairs: u32,
    /// Drafts side by side, from the same as well.
    pub candidates: u32,
}

impl Bounds {
    pub(crate) fn budget(self) -> Arc<Budget> {
        Arc::new(Budget::new(self.tokens, Duration::from_secs(self.seconds)))
    }
}

/// What the arms are run with.
pub struct Bench {
    pub sandbox: Arc<dyn Sandbox>,
    pub policy: Policy,
    pub thinker: Thinker,
    pub bounds: Bounds,
    /// Says yes for the third arm, in homes that hold nothing else.
    pub approver: Arc<dyn Approver>,
    /// Problems side by side.
    pub jobs: usize,
    pub store: Store,
    pub cancel: Cancel,
}

impl Bench {
    pub(crate) fn minds(&self, budget: Arc<Budget>) -> Minds {
        match &self.thinker {
            Thinker::Nobody | Thinker::Composer => Minds::Composer,
            Thinker::Model {
                model,
                templates,
                runtime,
            } => Minds::Model(ModelMind {
                model: Arc::clone(model),
                seats: std::collections::BTreeMap::new(),
                templates: Arc::clone(templates),
                budget,
                call_timeout: Duration::from_secs(self.bounds.seconds.max(1)),
                runtime: runtime.clone(),
            }),
        }
    }
}

/// How one ask ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Right,
    Wrong,
    /// Nothing was answered, and it was said why.
    Refused,
    /// A bound of the run was reached.
    Bound,
    /// What was made did not run, or the model could not be used.
    Failed,
}

/// A tool that an ask made, against the hidden inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub name: String,
    pub version: u32,
    pub right: usize,
    pub of: usize,
    /// Hidden inputs on which the version before it was right and this one is not.
    pub flips: usize,
}

/// One ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmTrial {
    pub problem: String,
    pub family: String,
    pub arm: Arm,
    /// From 1; from the second on there may be a tool.
    pub round: usize,
    pub ended: Ended,
    /// `make`, `reuse`, … of the third arm.
    pub route: Option<String>,
    /// An earlier ask's tool gave the answer.
    pub reused: bool,
    pub answer: Value,
    pub detail: String,
    pub tokens: u64,
    pub seconds: f64,
    pub made: Option<Made>,
    /// Refused, though the last draft is right on every hidden input.
    pub refused_right: bool,
}

impl ArmTrial {
    /// Before anything has come of it.
    fn begun(problem: &Problem, arm: Arm, round: usize) -> Self {
        Self {
            problem: problem.id.clone(),
            family: problem.family.clone(),
            arm,
            round,
            ended: Ended::Failed,
            route: None,
            reused: false,
            answer: Value::Null,
            detail: String::new(),
            tokens: 0,
            seconds: 0.0,
            made: None,
            refused_right: false,
        }
    }
}

/// Every problem in every arm that the thinker can play.
pub fn run_arms(
    bench: &Bench,
    suite: &str,
    problems: &[Problem],
    tick: Tick<'_>,
) -> Result<ArmReport, SuiteError> {
    let work: Vec<(Arm, &Problem)> = problems
        .iter()
        .flat_map(|p| Arm::ALL.map(|arm| (arm, p)))
        .filter(|(arm, _)| bench.thinker.runs(*arm))
        .collect();
    let trials = pool::each(&work, bench.jobs, tick, |(arm, problem)| {
        rounds(bench, *arm, problem)
    });
    let trials: Vec<Vec<ArmTrial>> = trials.into_iter().collect::<Result<_, _>>()?;
    Ok(ArmReport::new(
        suite,
        &bench.thinker,
        bench.bounds,
        trials.into_iter().flatten().collect(),
    ))
}

/// The asks of one problem in one arm, one after the other; kept together.
fn rounds(bench: &Bench, arm: Arm, problem: &Problem) -> Result<Vec<ArmTrial>, SuiteError> {
    const NAME: &str = "trials.json";
    let dir = bench
        .store
        .folder(&format!("{} {}", arm.as_str(), problem.id))?;
    let of = Digest::of_json(&json!({
        "problem": problem, "arm": arm, "bounds": bench.bounds, "model": bench.thinker.id(),
        "policy": bench.policy, "profile": bench.sandbox.profile().digest(),
    }));
    if let Some(trials) = Store::get(&dir, NAME, of) {
        return Ok(trials);
    }
    Store::write(&dir, "problem.json", problem)?;
    let trials = match arm {
        Arm::NoTool | Arm::OneShot => bare::rounds(bench, arm, problem, &dir)?,
        Arm::Handaxe => pipeline::rounds(bench, problem, &dir)?,
    };
    if bench.cancel.is_cancelled() {
        return Err(SuiteError::Cancelled);
    }
    Store::put(&dir, NAME, of, &trials)?;
    Ok(trials)
}
