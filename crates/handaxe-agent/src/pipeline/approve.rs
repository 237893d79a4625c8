//! The question that is put to a person, and the answer.

use std::collections::BTreeMap;

use handaxe_registry::{Registry, RegistryError};
use handaxe_types::{
    ApprovalId, ApprovalMethod, ApprovalRequest, ApprovalSignature, Author, CaseResult, Digest,
    Draft, FuzzFailure, Layer, ProvisionalUse, ToolDigest, ToolRef, Verdict,
};
use serde::Serialize;
use similar::TextDiff;

use super::risks::{RiskyLine, risks};

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
    /// Against the version before, and against the attempt before; empty for the first of both.
    pub diffs: Vec<CardDiff>,
    /// The plan in words, for judging whether it is what was meant.
    pub plan: Vec<String>,
    pub interpreter: String,
    /// In force for every run of the trial.
    pub layers: Vec<Layer>,
    /// The lines to read first, the riskiest first.
    pub risks: Vec<RiskyLine>,
    /// What failed on the way here.
    pub failing: Vec<FailingExample>,
    pub cost: MakingCost,
    /// What exactly a yes covers.
    pub binds: Binds,
    /// Whose yes would count as approving one's own work.
    pub self_approval: bool,
    /// The one use that was made of it while it waited.
    pub provisional: Option<ProvisionalUse>,
}

/// The code against what it would take the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CardDiff {
    /// `csv_stats@1` or `attempt 1`.
    pub against: String,
    /// Unified; empty where nothing of the code changed.
    pub text: String,
}

/// An input that an earlier attempt, or this draft, failed on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailingExample {
    /// `attempt 1` or `this draft`.
    pub of: String,
    pub name: String,
    pub what: String,
    /// As JSON; absent where the case was not kept.
    pub input: Option<serde_json::Value>,
    pub stderr: String,
}

/// What making it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MakingCost {
    pub model_calls: u32,
    pub tokens_in: u64,
    pub tokens_out: u64,
    /// Of all attempts.
    pub sandbox_runs: u32,
    pub attempts: u32,
}

/// The digests that a yes covers, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Binds {
    /// Over all of the following.
    pub tool: ToolDigest,
    pub code: Digest,
    /// Schemas, limits, capabilities.
    pub spec: Digest,
    pub assets: BTreeMap<String, Digest>,
    pub profile: Digest,
}

impl Card {
    /// The card of a request, from what the registry holds of it; `None` where there is none.
    pub fn of(registry: &Registry, id: ApprovalId) -> Result<Option<Self>, RegistryError> {
        let Some(proposal) = registry.proposal(id)? else {
            return Ok(None);
        };
        let (draft, trial) = (proposal.draft, proposal.trial);
        let request = proposal.approval.request;
        let mut card = Self {
            self_approval: matches!(draft.provenance.author, Author::Person { .. }),
            risks: risks(&draft.code, &trial),
            failing: trial
                .fuzz
                .iter()
                .flat_map(|f| &f.failures)
                .map(|f| FailingExample::of_fuzz("this draft", f))
                .collect(),
            cost: MakingCost {
                sandbox_runs: trial.sandbox_runs,
                attempts: 1,
                ..MakingCost::default()
            },
            binds: Binds {
                tool: request.subject,
                code: Digest::of(draft.code.as_bytes()),
                spec: Digest::of_json(&serde_json::json!(draft.spec)),
                assets: draft
                    .assets
                    .iter()
                    .map(|(name, asset)| (name.clone(), Digest::of(&asset.0)))
                    .collect(),
                profile: trial.profile,
            },
            diffs: Vec::new(),
            attempt: 1,
            plan: Vec::new(),
            cases: trial.cases,
            interpreter: trial.interpreter,
            layers: trial.layers,
            verdict: proposal.verdict,
            provisional: proposal.approval.provisional,
            request,
            draft,
        };
        card.add_version(registry)?;
        card.add_run(registry)?;
        Ok(Some(card))
    }

    /// The diff to the newest version before this one that was ever registered.
    fn add_version(&mut self, registry: &Registry) -> Result<(), RegistryError> {
        let before = registry
            .versions(&self.request.tool)?
            .into_iter()
            .find(|v| v.version < self.request.version && v.state.runs());
        let Some(before) = before else {
            return Ok(());
        };
        let tool = ToolRef {
            name: before.name,
            version: Some(before.version),
        };
        if let Some(detail) = registry.tool(&tool)? {
            let (old, new) = (tool.to_string(), self.title());
            self.diffs.push(CardDiff {
                text: code_diff(&detail.code, &self.draft.code, &old, &new),
                against: old,
            });
        }
        Ok(())
    }

    /// What the run that made it knows: the plan, the attempts before, what was paid.
    fn add_run(&mut self, registry: &Registry) -> Result<(), RegistryError> {
        let Some(run) = self.request.run.clone() else {
            return Ok(());
        };
        let plan = registry.run(&run)?.and_then(|detail| detail.plan);
        self.plan = plan.map(|p| p.steps).unwrap_or_default();
        let attempts = registry.attempts(&run)?;
        let own = attempts
            .iter()
            .rposition(|a| a.draft.as_ref().is_some_and(|d| d.code == self.draft.code));
        if let Some(own) = own {
            self.attempt = attempts[own].n;
            let before = own.checked_sub(1).and_then(|i| attempts.get(i));
            if let Some(before) = before {
                self.diffs.push(CardDiff {
                    against: format!("attempt {}", before.n),
                    text: attempts[own].diff.clone(),
                });
            }
            for attempt in attempts[..own].iter().rev() {
                let of = format!("attempt {}", attempt.n);
                let trial = attempt.trial.iter();
                let cases = trial.clone().flat_map(|t| &t.cases);
                self.failing.extend(
                    cases
                        .filter(|c| !c.passed)
                        .map(|c| FailingExample::of_case(&of, c, attempt.draft.as_ref())),
                );
                let fuzz = trial.flat_map(|t| &t.fuzz).flat_map(|f| &f.failures);
                self.failing
                    .extend(fuzz.map(|f| FailingExample::of_fuzz(&of, f)));
            }
        }
        self.cost.attempts = attempts.len().max(1) as u32;
        self.cost.sandbox_runs = attempts
            .iter()
            .filter_map(|a| a.trial.as_ref())
            .map(|t| t.sandbox_runs)
            .sum::<u32>()
            .max(self.cost.sandbox_runs);
        for exchange in registry.exchanges(&run)? {
            self.cost.model_calls += 1;
            self.cost.tokens_in += exchange.tokens_in;
            self.cost.tokens_out += exchange.tokens_out;
        }
        Ok(())
    }

    /// `csv_stats@2`.
    pub fn title(&self) -> String {
        format!("{}@{}", self.request.tool, self.request.version)
    }
}

impl FailingExample {
    fn of_fuzz(of: &str, failure: &FuzzFailure) -> Self {
        Self {
            of: of.to_owned(),
            name: failure.case.name.clone(),
            what: failure.what.clone(),
            input: Some(serde_json::Value::Object(failure.case.input.clone())),
            stderr: failure.stderr.clone(),
        }
    }

    fn of_case(of: &str, result: &CaseResult, draft: Option<&Draft>) -> Self {
        let case = draft.and_then(|d| {
            d.cases
                .iter()
                .find(|c| c.name == result.name && c.origin == result.origin)
        });
        Self {
            of: of.to_owned(),
            name: result.name.clone(),
            what: result
                .failure
                .clone()
                .unwrap_or_else(|| result.outcome.as_str().to_owned()),
            input: case.map(|c| serde_json::Value::Object(c.input.clone())),
            stderr: result.stderr.clone(),
        }
    }
}

/// A unified diff of two sources.
pub(crate) fn code_diff(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    let file = |name: &str| format!("{name}/tool.py");
    text_diff(old, new, &file(old_name), &file(new_name))
}

/// A unified diff of two texts, with three lines around each change.
pub fn text_diff(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header(old_name, new_name)
        .to_string()
}

#[derive(Clone, Debug)]
pub enum Decision {
    Approve {
        approver: String,
        method: ApprovalMethod,
    },
    /// Signed with the key of an approver; the key says who.
    Sign(ApprovalSignature),
    Reject {
        approver: String,
        reason: String,
    },
    /// No one is here to ask; it stays waiting.
    Wait,
    /// It stays waiting, and a person wants the one use that the policy may allow meanwhile.
    UseOnce {
        asked_by: String,
    },
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
