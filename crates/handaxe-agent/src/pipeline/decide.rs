//! From an accepted draft to a tool that may be used: a second look at what there is, a person's
//! yes, and the registry's.

use handaxe_composer::Composed;
use handaxe_registry::ApproveError;
use handaxe_types::{
    ApprovalId, ApprovalMethod, ApprovalRequest, ApprovalSignature, ApprovalState, Author, Case,
    Plan, Progress, Review, Route, ScoreRow, ScoreStatus, ToolRef, ToolRequest, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::approve::{Card, Decision};
use super::candidates::same_already;
use super::data::Data;
use super::make::{Attempt, Job, Mind, make, regression, try_draft};
use super::report::Stop;
use super::run::Walk;
use super::waiting::Once;
use super::writers::Composing;
use super::{Halt, PipelineError};
use crate::minds::Minds;
use crate::roles::Base;

/// How often a person may edit a draft in one sitting.
const MAX_EDITS: u32 = 10;

impl<'a> Walk<'a> {
    /// The tool and the arguments that answer the question; `None` while a person has not decided.
    pub(super) fn make(
        &mut self,
        request: &ToolRequest,
        plan: &Plan,
        composed: &[Composed],
        data: &Data<'_>,
    ) -> Result<Option<Ready>, Halt> {
        // An earlier walk may have come as far as a person's decision; then nothing is made anew.
        if let Some(made) = self.memory.last::<Made>("made")?
            && let Some(ready) = self.decided(&made)?
        {
            return Ok(Some(ready));
        }
        let job = self.job_of(request, &plan.route)?;
        match (&self.ctx.minds, composed.first()) {
            (Minds::Model(mind), _) => {
                let memory = self.memory.clone();
                let mind = mind.for_run(self.ctx, &memory, &job, data);
                let attempt = make(self.ctx, &self.memory, &job, &mind)?;
                self.approve(attempt, &job, &mind)
            }
            (Minds::Composer, Some(first)) => {
                let mind = Composing { composed: first };
                let attempt = make(self.ctx, &self.memory, &job, &mind)?;
                self.approve(attempt, &job, &mind)
            }
            (Minds::Composer, None) => Err(Halt::Stop(Stop::new(
                "not_understood",
                "the plan asks for a tool that the composer cannot write for this data now",
            ))),
        }
    }

    /// The request, and for an extension what it starts from and must go on giving.
    fn job_of<'j>(&self, request: &'j ToolRequest, route: &Route) -> Result<Job<'j>, Halt>
    where
        'a: 'j,
    {
        let mut job = self.job(request);
        if let Route::Extend { tool, version, .. } = route {
            let base = ToolRef {
                name: tool.clone(),
                version: Some(*version),
            };
            // Only what is approved is built upon.
            self.load(&base)?;
            let detail = self
                .ctx
                .registry
                .tool(&base)
                .map_err(PipelineError::Registry)?;
            if let Some(detail) = detail {
                job.base = Some(Base {
                    spec: detail.spec,
                    code: detail.code,
                });
                job.regression = regression(detail.cases);
            }
        }
        Ok(job)
    }

    /// What became of a request that an earlier walk left with a person.
    fn decided(&mut self, made: &Made) -> Result<Option<Ready>, Halt> {
        self.report.approval = Some(made.approval);
        self.decided_as(made)
    }

    fn decided_as(&self, made: &Made) -> Result<Option<Ready>, Halt> {
        let detail = self
            .ctx
            .registry
            .approval(made.approval)
            .map_err(PipelineError::Registry)?;
        let Some(detail) = detail else {
            return Ok(None);
        };
        match detail.request.state {
            ApprovalState::Approved => {
                let tool = ToolRef {
                    name: detail.request.tool.clone(),
                    version: Some(detail.request.version),
                };
                Ok(Some(Ready {
                    tool,
                    invocation: made.invocation.clone(),
                }))
            }
            ApprovalState::Rejected if detail.superseded_by.is_none() => {
                let by = detail.approver.unwrap_or_default();
                let why = detail.reason.unwrap_or_default();
                Err(Halt::Stop(Stop::new(
                    "rejected",
                    format!("{by} rejected the tool: {why}"),
                )))
            }
            ApprovalState::Rejected | ApprovalState::Waiting | ApprovalState::Expired => Ok(None),
        }
    }

    /// Puts an accepted attempt before a person, and registers it on a yes.
    #[tracing::instrument(name = "approval", skip_all)]
    pub(super) fn approve(
        &mut self,
        mut attempt: Attempt,
        job: &Job<'_>,
        mind: &dyn Mind,
    ) -> Result<Option<Ready>, Halt> {
        if let Some(tool) = self.there_already(&attempt)? {
            return Ok(Some(Ready {
                tool,
                invocation: attempt.draft.provenance.invocation,
            }));
        }
        review(&mut attempt, mind)?;
        for _ in 0..=MAX_EDITS {
            let request = self.propose(&attempt)?;
            self.report.approval = Some(request.id);
            self.report.verdict = Some(attempt.verdict.clone());
            let card = Card::of(&self.ctx.registry, request.id)
                .map_err(PipelineError::Registry)?
                .ok_or_else(|| PipelineError::Approve(ApproveError::NotFound(request.id)))?;
            match self.approver.decide(&card) {
                Decision::Approve { approver, method } => {
                    let yes = Yes::Said { approver, method };
                    return self.register(&request, &attempt, &yes).map(Some);
                }
                Decision::Sign(signature) => {
                    let yes = Yes::Signed(signature);
                    return self.register(&request, &attempt, &yes).map(Some);
                }
                Decision::Reject { approver, reason } => {
                    self.ctx
                        .registry
                        .reject(request.id, &approver, &reason)
                        .map_err(PipelineError::Approve)?;
                    let text = format!("{approver} rejected the tool: {reason}");
                    return Err(Halt::Stop(Stop::new("rejected", text)));
                }
                Decision::Wait => return Ok(None),
                Decision::UseOnce { asked_by } => {
                    self.once = Some(Once {
                        asked_by,
                        invocation: attempt.draft.provenance.invocation.clone(),
                        request,
                    });
                    return Ok(None);
                }
                Decision::Edit { editor, code } => {
                    attempt = self.edited(attempt, job, mind, editor, code)?;
                }
            }
        }
        Err(Halt::Stop(Stop::new(
            "repairs",
            format!("{MAX_EDITS} edits and no decision"),
        )))
    }

    /// Registers what a person said yes to, unless it was registered while the person thought: by
    /// another run that asked the same, or under the same request.
    fn register(
        &self,
        request: &ApprovalRequest,
        attempt: &Attempt,
        yes: &Yes,
    ) -> Result<Ready, Halt> {
        let registry = &self.ctx.registry;
        let _one_at_a_time = registry.registering().map_err(PipelineError::Registering)?;
        let invocation = attempt.draft.provenance.invocation.clone();
        let made = Made {
            approval: request.id,
            version: request.version,
            invocation: invocation.clone(),
        };
        if let Some(ready) = self.decided_as(&made)? {
            return Ok(ready);
        }
        if let Some(tool) = self.there_already(attempt)? {
            let reason = format!("{tool} was registered meanwhile and does the same");
            registry
                .reject(request.id, registry.actor(), &reason)
                .map_err(PipelineError::Approve)?;
            return Ok(Ready { tool, invocation });
        }
        let (id, subject) = (request.id, request.subject);
        let registered = match yes {
            Yes::Said { approver, method } => {
                registry.approve_and_register(id, subject, approver, *method)
            }
            Yes::Signed(signature) => registry.approve_signed(id, subject, signature),
        }
        .map_err(PipelineError::Approve)?;
        self.ctx.report(Progress::Registered {
            tool: registered.name().clone(),
            version: registered.version(),
        });
        Ok(Ready {
            tool: registered.tool_ref(),
            invocation,
        })
    }

    /// The same tool, where the library has it by now: made by the same recipe, or giving the same
    /// on every case under the same interface. A library holds one of a kind.
    fn there_already(&self, attempt: &Attempt) -> Result<Option<ToolRef>, Halt> {
        let registry = &self.ctx.registry;
        let found = match (
            &attempt.draft.provenance.author,
            attempt.draft.recipe_digest(),
        ) {
            (_, Some(recipe)) => registry
                .find_by_recipe(recipe)
                .map_err(PipelineError::Registry)?
                .filter(|tool| self.load(tool).is_ok()),
            (Author::Model { .. }, None) => {
                let cases: Vec<&Case> = attempt
                    .draft
                    .cases
                    .iter()
                    .chain(&attempt.held_out)
                    .collect();
                same_already(self.ctx, &attempt.draft, &cases)?
            }
            // What a person brings is registered as that person's.
            _ => None,
        };
        if let Some(tool) = &found {
            let note =
                format!("{tool} is there by now and gives the same; using it, and making none");
            self.ctx.report(Progress::Note(note));
        }
        Ok(found)
    }

    /// A person's edit is a new attempt, proved like any other; refused, the one before stands.
    fn edited(
        &self,
        attempt: Attempt,
        job: &Job<'_>,
        mind: &dyn Mind,
        editor: String,
        code: String,
    ) -> Result<Attempt, Halt> {
        let mut draft = attempt.draft.clone();
        draft.code = code;
        draft.provenance.author = Author::Person { name: editor };
        let n = attempt.n + 1;
        let edited = try_draft(self.ctx, &self.memory, job, mind, n, draft, Some(&attempt))?;
        if edited.verdict.accepted {
            return Ok(edited);
        }
        let reasons = edited.verdict.reasons.join("; ");
        self.ctx.report(Progress::Note(format!(
            "the edited code was refused: {reasons}"
        )));
        Ok(Attempt { n, ..attempt })
    }

    /// Puts the attempt among what waits for a person. The very same bytes that wait already, for
    /// another run, wait once.
    fn propose(&self, attempt: &Attempt) -> Result<ApprovalRequest, Halt> {
        let registry = &self.ctx.registry;
        let mut draft = attempt.draft.clone();
        draft.cases.extend(attempt.held_out.iter().cloned());
        let hours = i64::from(self.ctx.policy.approval.expires_hours);
        let expires_ms = registry.now_ms() + hours * 3_600_000;
        let _one_at_a_time = registry.registering().map_err(PipelineError::Registering)?;
        let waiting = registry
            .waiting_for(attempt.verdict.subject)
            .map_err(PipelineError::Registry)?;
        let request = match waiting {
            Some(request) => request,
            None => registry
                .propose(
                    &draft,
                    &attempt.trial,
                    &attempt.verdict,
                    Some(self.memory.run()),
                    expires_ms,
                )
                .map_err(PipelineError::Propose)?,
        };
        let made = Made {
            approval: request.id,
            version: request.version,
            invocation: attempt.draft.provenance.invocation.clone(),
        };
        self.memory.push("made", &made)?;
        Ok(request)
    }
}

/// Has a second reader look, whose words go onto the card and change nothing else.
fn review(attempt: &mut Attempt, mind: &dyn Mind) -> Result<(), Halt> {
    let review = mind.review(&attempt.draft, &attempt.verdict.findings)?;
    if let Some(review) = &review {
        attempt.verdict.card.push(review_row(review));
    }
    attempt.verdict.review = review;
    Ok(())
}

/// The review as a line of the score card: a warning at most.
fn review_row(review: &Review) -> ScoreRow {
    let (value, status, why) = match (&review.absent, review.objections.as_slice()) {
        (Some(why), _) => (
            "none came".to_owned(),
            ScoreStatus::NotMeasured,
            why.clone(),
        ),
        (None, []) => (
            "no objection".to_owned(),
            ScoreStatus::Pass,
            review.summary.clone(),
        ),
        (None, some) => {
            let plural = if some.len() == 1 { "" } else { "s" };
            let reasons: Vec<String> = some
                .iter()
                .map(|o| match o.line {
                    0 => o.reason.clone(),
                    line => format!("line {line}: {}", o.reason),
                })
                .collect();
            (
                format!("{} objection{plural}", some.len()),
                ScoreStatus::Warn,
                reasons.join("; "),
            )
        }
    };
    ScoreRow {
        name: "reviewer".to_owned(),
        value,
        measured: None,
        threshold: None,
        status,
        why,
    }
}

/// A person's yes, as the door gave it.
enum Yes {
    Said {
        approver: String,
        method: ApprovalMethod,
    },
    Signed(ApprovalSignature),
}

/// A registered tool and the arguments that answer the question.
pub(super) struct Ready {
    pub(super) tool: ToolRef,
    pub(super) invocation: Map<String, Value>,
}

/// A draft that was put before a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    approval: ApprovalId,
    version: Version,
    invocation: Map<String, Value>,
}
