//! One run, walked from its task to its answer. Walked again, it finds what it did before.

use std::path::PathBuf;

use handaxe_composer::Composed;
use handaxe_registry::{ApproveError, ApprovedTool};
use handaxe_types::{
    ApprovalId, ApprovalRequest, ApprovalState, Author, Case, Draft, Progress, RunId, RunState, Spec, Task,
    ToolRef, ToolRequest, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::answer;
use super::approve::{Approver, Card, Decision};
use super::data::Data;
use super::invoke::{Use, UseError, use_tool};
use super::make::{Attempt, Mind, make, try_draft};
use super::memo::Memory;
use super::plan::{Planned, plan};
use super::report::{Invocation, Report, Stop, ToolUsed};
use super::{Context, Halt, PipelineError};
use crate::minds::Minds;

/// How often a person may edit a draft in one sitting.
const MAX_EDITS: u32 = 10;

/// What a run was begun with; all that is needed to walk it again.
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
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Goal {
    Answer,
    /// Make the tool and stop.
    Make,
    /// A draft that a person wrote, with its own cases.
    Import {
        draft: Box<Draft>,
    },
}

/// Walks a run to its end, or as far as it goes today.
pub fn walk(
    ctx: &Context,
    run: &RunId,
    begun: &Begun,
    approver: &dyn Approver,
    artifacts: PathBuf,
) -> Result<Report, PipelineError> {
    let memory = Memory::new(ctx.registry.clone(), run.clone());
    let report = Report {
        state: RunState::Running,
        route: "make".to_owned(),
        answer: None,
        result: None,
        tools: Vec::new(),
        run: run.clone(),
        approval: None,
        verdict: None,
        invocations: Vec::new(),
        model: ctx.minds.id(),
        stopped_by: None,
    };
    let mut walk = Walk {
        ctx,
        memory,
        task: &begun.task,
        approver,
        artifacts,
        report,
    };
    let end = match &begun.goal {
        Goal::Answer => walk.ask(true),
        Goal::Make => walk.ask(false),
        Goal::Import { draft } => walk.import(draft),
    };
    match end {
        Ok(state) => walk.report.state = state,
        Err(Halt::Stop(stop)) => {
            walk.report.state = if stop.kind == "invocation" {
                RunState::Failed
            } else {
                RunState::Refused
            };
            walk.report.stopped_by = Some(stop);
            // The verdict that refused it is the answer's better half.
            if walk.report.verdict.is_none() {
                let attempts = ctx
                    .registry
                    .attempts(run)
                    .map_err(PipelineError::Registry)?;
                walk.report.verdict = attempts.into_iter().rev().find_map(|a| a.verdict);
            }
        }
        Err(Halt::Error(error)) => return Err(error),
    }
    Ok(walk.report)
}

struct Walk<'a> {
    ctx: &'a Context,
    memory: Memory,
    task: &'a Task,
    approver: &'a dyn Approver,
    artifacts: PathBuf,
    report: Report,
}

impl Walk<'_> {
    fn ask(&mut self, then_answer: bool) -> Result<RunState, Halt> {
        let data = Data::open(&self.task.data)?;
        let Planned { plan, composed } = plan(self.ctx, &self.memory, self.task, &data)?;
        plan.route.as_str().clone_into(&mut self.report.route);
        let (tool, inputs) = match &plan.route {
            handaxe_types::Route::Refuse { reason, hint } => {
                return Err(Halt::Stop(Stop::new("not_understood", reason).hint(hint)));
            }
            handaxe_types::Route::Direct { answer } => {
                self.report.answer = Some(answer.clone());
                return Ok(RunState::Done);
            }
            handaxe_types::Route::Reuse {
                tool,
                version,
                input,
            } => {
                let tool = ToolRef {
                    name: tool.clone(),
                    version: Some(*version),
                };
                (tool, inputs_for(&composed, input))
            }
            handaxe_types::Route::Make { request } => {
                match self.make(request, &composed, &data)? {
                    Some(ready) => (ready.tool, inputs_for(&composed, &ready.invocation)),
                    None => return Ok(RunState::Waiting),
                }
            }
        };
        let approved = self.load(&tool)?;
        self.report.tools = vec![ToolUsed {
            name: approved.name().clone(),
            version: approved.version(),
        }];
        if !then_answer {
            return Ok(RunState::Done);
        }
        for (n, input) in inputs.into_iter().enumerate() {
            let invocation = self.invoke(&approved, n, input)?;
            self.report.invocations.push(invocation);
        }
        let (text, result) = answer(&approved, &composed, &self.report.invocations);
        self.report.answer = Some(text);
        self.report.result = Some(result);
        Ok(RunState::Done)
    }

    fn import(&mut self, draft: &Draft) -> Result<RunState, Halt> {
        let mind = Handwritten { draft };
        let request = ToolRequest {
            name: draft.spec.name.clone(),
            purpose: draft.spec.description.clone(),
            domain: draft.spec.domain.clone(),
            needs: Vec::new(),
        };
        let attempt = make(self.ctx, &self.memory, self.task, &request, &mind)?;
        match self.approve(attempt, &mind)? {
            Some(ready) => {
                let approved = self.load(&ready.tool)?;
                self.report.tools = vec![ToolUsed {
                    name: approved.name().clone(),
                    version: approved.version(),
                }];
                Ok(RunState::Done)
            }
            None => Ok(RunState::Waiting),
        }
    }

    /// The tool and the arguments that answer the question; `None` while a person has not decided.
    fn make(
        &mut self,
        request: &ToolRequest,
        composed: &[Composed],
        data: &Data<'_>,
    ) -> Result<Option<Ready>, Halt> {
        // An earlier walk may have come as far as a person's decision; then nothing is made anew.
        if let Some(made) = self.memory.last::<Made>("made")?
            && let Some(ready) = self.decided(&made)?
        {
            return Ok(Some(ready));
        }
        match (&self.ctx.minds, composed.first()) {
            (Minds::Model(mind), _) => {
                let memory = self.memory.clone();
                let mind = mind.for_run(self.ctx, &memory, self.task, request, data);
                let attempt = make(self.ctx, &self.memory, self.task, request, &mind)?;
                self.approve(attempt, &mind)
            }
            (Minds::Composer, Some(first)) => {
                let mind = Composing { composed: first };
                let attempt = make(self.ctx, &self.memory, self.task, request, &mind)?;
                self.approve(attempt, &mind)
            }
            (Minds::Composer, None) => Err(Halt::Stop(Stop::new(
                "not_understood",
                "the plan asks for a tool that the composer cannot write for this data now",
            ))),
        }
    }

    /// What became of a request that an earlier walk left with a person.
    fn decided(&mut self, made: &Made) -> Result<Option<Ready>, Halt> {
        let detail = self
            .ctx
            .registry
            .approval(made.approval)
            .map_err(PipelineError::Registry)?;
        let Some(detail) = detail else {
            return Ok(None);
        };
        self.report.approval = Some(made.approval);
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
    fn approve(
        &mut self,
        mut attempt: Attempt,
        mind: &dyn Mind,
    ) -> Result<Option<Ready>, Halt> {
        if let Some(tool) = self.made_meanwhile(&attempt)? {
            return Ok(Some(Ready {
                tool,
                invocation: attempt.draft.provenance.invocation,
            }));
        }
        for _ in 0..=MAX_EDITS {
            let request = self.propose(&attempt)?;
            self.report.approval = Some(request.id);
            self.report.verdict = Some(attempt.verdict.clone());
            let card = Card::of(&self.ctx.registry, request.id)
                .map_err(PipelineError::Registry)?
                .ok_or_else(|| PipelineError::Approve(ApproveError::NotFound(request.id)))?;
            match self.approver.decide(&card) {
                decision @ (Decision::Approve { .. } | Decision::Sign(_)) => {
                    let registered = self.register(&request, decision)?;
                    let invocation = attempt.draft.provenance.invocation;
                    return Ok(Some(Ready {
                        tool: registered,
                        invocation,
                    }));
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
                Decision::Edit { editor, code } => {
                    attempt = self.edited(attempt, mind, editor, code)?;
                }
            }
        }
        Err(Halt::Stop(Stop::new(
            "repairs",
            format!("{MAX_EDITS} edits and no decision"),
        )))
    }

    /// The yes, as it was said or signed, to exactly what the card showed.
    fn register(
        &self,
        request: &ApprovalRequest,
        decision: Decision,
    ) -> Result<ToolRef, Halt> {
        let (id, subject) = (request.id, request.subject);
        let registered = match decision {
            Decision::Approve { approver, method } => self
                .ctx
                .registry
                .approve_and_register(id, subject, &approver, method),
            Decision::Sign(signature) => {
                self.ctx.registry.approve_signed(id, subject, &signature)
            }
            Decision::Reject { .. } | Decision::Wait | Decision::Edit { .. } => {
                Err(ApproveError::NoApprover)
            }
        }
        .map_err(PipelineError::Approve)?;
        self.ctx.report(Progress::Registered {
            tool: registered.name().clone(),
            version: registered.version(),
        });
        Ok(registered.tool_ref())
    }

    /// The same tool, where another run made it while this one worked: a library holds one.
    fn made_meanwhile(&self, attempt: &Attempt) -> Result<Option<ToolRef>, Halt> {
        let Some(recipe) = attempt.draft.recipe_digest() else {
            return Ok(None);
        };
        let registry = &self.ctx.registry;
        let found = registry
            .find_by_recipe(recipe)
            .map_err(PipelineError::Registry)?;
        let Some(tool) = found else { return Ok(None) };
        if registry
            .load_approved(&tool, self.ctx.sandbox.profile().digest)
            .is_err()
        {
            return Ok(None);
        }
        let note = format!("{tool} was made meanwhile by another run; using it");
        self.ctx.report(Progress::Note(note));
        Ok(Some(tool))
    }

    /// A person's edit is a new attempt, proved like any other; refused, the one before stands.
    fn edited(
        &self,
        attempt: Attempt,
        mind: &dyn Mind,
        editor: String,
        code: String,
    ) -> Result<Attempt, Halt> {
        let mut draft = attempt.draft.clone();
        draft.code = code;
        draft.provenance.author = Author::Person { name: editor };
        let n = attempt.n + 1;
        let edited = try_draft(
            self.ctx,
            &self.memory,
            self.task,
            mind,
            n,
            draft,
            Some(&attempt),
        )?;
        if edited.verdict.accepted {
            return Ok(edited);
        }
        let reasons = edited.verdict.reasons.join("; ");
        self.ctx.report(Progress::Note(format!(
            "the edited code was refused: {reasons}"
        )));
        Ok(Attempt { n, ..attempt })
    }

    fn propose(&self, attempt: &Attempt) -> Result<ApprovalRequest, Halt> {
        let mut draft = attempt.draft.clone();
        draft.cases.extend(attempt.held_out.iter().cloned());
        let hours = i64::from(self.ctx.policy.approval.expires_hours);
        let expires_ms = self.ctx.registry.now_ms() + hours * 3_600_000;
        let request = self
            .ctx
            .registry
            .propose(
                &draft,
                &attempt.trial,
                &attempt.verdict,
                Some(self.memory.run()),
                expires_ms,
            )
            .map_err(PipelineError::Propose)?;
        let made = Made {
            approval: request.id,
            version: request.version,
            invocation: attempt.draft.provenance.invocation.clone(),
        };
        self.memory.push("made", &made)?;
        Ok(request)
    }

    fn load(&self, tool: &ToolRef) -> Result<ApprovedTool, Halt> {
        let profile = self.ctx.sandbox.profile().digest;
        Ok(self
            .ctx
            .registry
            .load_approved(tool, profile)
            .map_err(PipelineError::Load)?)
    }

    fn invoke(
        &self,
        tool: &ApprovedTool,
        n: usize,
        input: Map<String, Value>,
    ) -> Result<Invocation, Halt> {
        self.ctx.check_cancel()?;
        let key = format!("invocation/{n}");
        if let Some(done) = self.memory.get::<Invocation>(&key)? {
            return Ok(done);
        }
        let named: Vec<&str> = tool
            .spec()
            .input_files()
            .iter()
            .filter_map(|property| input.get(property).and_then(Value::as_str))
            .collect();
        let files = self
            .task
            .data
            .iter()
            .filter(|f| named.contains(&f.name.as_str()))
            .collect();
        let what = Use {
            input,
            files,
            artifacts: self.artifacts.clone(),
            run: Some(self.memory.run().clone()),
            ceiling: None,
        };
        let invocation = match use_tool(self.ctx, tool, &what) {
            Ok(invocation) => invocation,
            Err(UseError::Pipeline(error)) => return Err(Halt::Error(error)),
            Err(refused) => {
                return Err(Halt::Stop(Stop::new("invocation", refused.to_string())));
            }
        };
        if invocation.result.output.is_none() {
            let how = invocation.result.outcome.as_str();
            let detail = invocation
                .result
                .error
                .as_ref()
                .map(|e| format!(": {}: {}", e.kind, e.message))
                .unwrap_or_default();
            let stop = Stop::new(
                "invocation",
                format!("{} ended with {how}{detail}", tool.tool_ref()),
            )
            .hint(format!("handaxe tools show {}", tool.tool_ref()));
            return Err(Halt::Stop(stop));
        }
        self.memory.put(&key, &invocation)?;
        Ok(invocation)
    }
}

/// A registered tool and the arguments that answer the question.
struct Ready {
    tool: ToolRef,
    invocation: Map<String, Value>,
}

/// A draft that was put before a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    approval: ApprovalId,
    version: Version,
    invocation: Map<String, Value>,
}

/// The composer's own arguments for each file; a model's arguments as they are.
fn inputs_for(composed: &[Composed], input: &Map<String, Value>) -> Vec<Map<String, Value>> {
    if composed.is_empty() {
        return vec![input.clone()];
    }
    composed.iter().map(|c| c.invocation.clone()).collect()
}

/// The composer as author: it writes once, and the same each time. Its tester is its own second
/// implementation, which the card says.
struct Composing<'a> {
    composed: &'a Composed,
}

impl Mind for Composing<'_> {
    fn write(&self, n: u32, _: Option<&Attempt>) -> Result<Draft, Halt> {
        debug_assert_eq!(n, 1);
        Ok(self.composed.draft.clone())
    }

    fn held_out(&self, _: &Spec) -> Result<Vec<Case>, Halt> {
        Ok(self.composed.held_out.clone())
    }

    fn arbitrate(&self, _: &Spec, _: &Case) -> Result<Option<String>, Halt> {
        Ok(None)
    }
}

/// A person's own tool: what was given is what is tried.
struct Handwritten<'a> {
    draft: &'a Draft,
}

impl Mind for Handwritten<'_> {
    fn write(&self, n: u32, _: Option<&Attempt>) -> Result<Draft, Halt> {
        debug_assert_eq!(n, 1);
        Ok(self.draft.clone())
    }

    fn held_out(&self, _: &Spec) -> Result<Vec<Case>, Halt> {
        Ok(Vec::new())
    }

    fn arbitrate(&self, _: &Spec, _: &Case) -> Result<Option<String>, Halt> {
        Ok(None)
    }
}
