//! How good the gate is: drafts that are known to be right and drafts with one seeded bug each, put
//! through the very proof that a tool passes before a person sees it. And what each check buys: the
//! same drafts with one check switched off.
//!
//! The drafts are drawn by `suites/gate_drafts.py`; whether one is right was decided there, by
//! tests that no part of the gate has seen.

mod score;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{Case, Draft, Policy};
use serde::{Deserialize, Serialize};

pub use score::{GateReport, Half, Operator, Without};

use crate::error::{SuiteError, items};
use crate::pool::{self, Tick};
use crate::store::Store;

/// One draft of the suite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GateItem {
    pub id: String,
    pub task: String,
    /// Whether the draft is right.
    pub good: bool,
    /// What was changed, in a word; empty for right ones.
    pub operator: String,
    /// Line of the task's source that was changed; 0 for right ones.
    pub line: u32,
    /// How the tests ended that decide it: `ok`, `assertion`, `timeout`, an exception's name.
    pub seen: String,
    pub draft: Draft,
    pub held_out: Vec<Case>,
}

/// The drafts of one suite file.
pub fn gate_items(path: &Path) -> Result<Vec<GateItem>, SuiteError> {
    items(path)
}

/// What can stop a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The static policy and the template, before anything runs.
    Reading,
    AuthorCases,
    HeldOutCases,
    /// Generated inputs: a crash, an output that does not conform, two answers to one input.
    Generated,
    /// Too few of the tool's mutants are noticed by the cases.
    Mutants,
    Growth,
    Capabilities,
    /// None of these: the trial ran out of its time, or something is not counted yet.
    Other,
}

impl Check {
    pub const SWITCHED: [Self; 6] = [
        Self::HeldOutCases,
        Self::AuthorCases,
        Self::Generated,
        Self::Mutants,
        Self::Growth,
        Self::Capabilities,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading the code",
            Self::AuthorCases => "the author's cases",
            Self::HeldOutCases => "held-out cases",
            Self::Generated => "generated inputs",
            Self::Mutants => "mutants",
            Self::Growth => "growth",
            Self::Capabilities => "capabilities",
            Self::Other => "anything else",
        }
    }
}

/// One trial of a draft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub accepted: bool,
    /// Every check that speaks against it, of those that ran.
    pub stopped_by: BTreeSet<Check>,
    pub reasons: Vec<String>,
    /// The machine's fault and not the draft's: nothing was decided.
    pub failed: Option<String>,
    pub ms: f64,
    pub sandbox_runs: u64,
}

/// One draft, with every check and with some of them switched off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    pub id: String,
    pub task: String,
    pub good: bool,
    pub operator: String,
    pub seen: String,
    pub full: Tried,
    /// Only what had to be run: see [`GateResult::without`].
    pub off: BTreeMap<Check, Tried>,
}

impl GateResult {
    /// Whether the draft is accepted when `check` is switched off; `None` where that was not run.
    ///
    /// A draft that a case or its reader stops is stopped with the later checks off as well. The
    /// checks after the generated inputs do not bear on one another, so that the whole trial says
    /// what comes of leaving one out. Everything else is a trial of its own.
    pub fn without(&self, check: Check) -> Option<bool> {
        self.settled(check)
            .or_else(|| Some(self.off.get(&check)?.accepted))
    }

    fn settled(&self, check: Check) -> Option<bool> {
        use Check::{AuthorCases, Capabilities, Growth, HeldOutCases, Mutants, Reading};
        let early = [Reading, AuthorCases, HeldOutCases];
        let by = &self.full.stopped_by;
        if early.iter().any(|c| *c != check && by.contains(c)) {
            return Some(false);
        }
        matches!(check, Mutants | Growth | Capabilities)
            .then(|| by.is_empty() || (by.len() == 1 && by.contains(&check)))
    }

    /// Whether all the author's own cases pass: what there is without a gate.
    pub fn author_alone(&self) -> bool {
        let by = &self.full.stopped_by;
        !by.contains(&Check::AuthorCases) && !by.contains(&Check::Reading)
    }
}

/// What drafts are put through.
pub struct Gate {
    pub sandbox: Arc<dyn Sandbox>,
    pub policy: Policy,
    /// Trials side by side.
    pub jobs: usize,
    /// Where each trial's folder is kept.
    pub store: Store,
    pub cancel: Cancel,
    /// Whether checks are switched off in turn too.
    pub switch_off: bool,
}

/// Puts every draft through the gate.
pub fn run_gate(
    gate: &Gate,
    suite: &str,
    items: &[GateItem],
    tick: Tick<'_>,
) -> Result<GateReport, SuiteError> {
    let each = |item: &GateItem| trial::of(gate, item);
    let results = pool::each(items, gate.jobs, tick, each)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    Ok(GateReport::new(suite, &gate.policy, results))
}
