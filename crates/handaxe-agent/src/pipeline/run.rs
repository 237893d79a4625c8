//! One run, walked from its task to its answer. Walked again, it finds what it did before.

use std::path::{Path, PathBuf};

use handaxe_composer::Composed;
use handaxe_registry::ApprovedTool;
use handaxe_types::{
    Author, DataFile, Draft, Route, RunId, RunState, Spec, Task, ToolRef, ToolRequest,
};
use serde_json::{Map, Value};

use super::answer::{Standing, answer};
use super::approve::Approver;
use super::begun::{Begun, Goal, Making};
use super::cost::Cost;
use super::data::Data;
use super::decide::Ready;
use super::invoke::{Use, UseError, use_tool};
use super::make::{Job, Mind, make};
use super::memo::Memory;
use super::plan::{Planned, plan};
use super::report::{Invocation, Report, Stop, ToolUsed};
use super::waiting::{Once, ended_badly};
use super::writers::{Handwritten, Proposed};
use super::{Context, Halt, PipelineError};
use crate::minds::Minds;

/// Walks a run to its end, or as far as it goes today.
pub fn walk(
    ctx: &Context,
    run: &RunId,
    begun: &Begun,
    approver: &dyn Approver,
    artifacts: PathBuf,
) -> Result<Report, PipelineError> {
    let _span = tracing::info_span!(
        "ask",
        handaxe.run = run.as_str(),
        handaxe.model = ctx.minds.id()
    )
    .entered();
    // What is secret in the question is known to nobody from here on.
    let begun = &begun.without_secrets(ctx.registry.redactor());
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
        provisional: None,
        external: Vec::new(),
        model: ctx.minds.id(),
        stopped_by: None,
        cost: None,
        plan: None,
    };
    let mut walk = Walk {
        ctx,
        memory,
        task: &begun.task,
        making: &begun.making,
        approver,
        artifacts,
        report,
        once: None,
    };
    let end = match &begun.goal {
        Goal::Plan => walk.plan_only(),
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
    walk.report.cost = Some(Cost::of(
        &ctx.registry
            .exchanges(run)
            .map_err(PipelineError::Registry)?,
        &ctx.registry
            .attempts(run)
            .map_err(PipelineError::Registry)?,
        &walk.report.invocations,
        &begun.making.prices,
    ));
    Ok(walk.report)
}

pub(super) struct Walk<'a> {
    pub(super) ctx: &'a Context,
    pub(super) memory: Memory,
    pub(super) task: &'a Task,
    pub(super) making: &'a Making,
    pub(super) approver: &'a dyn Approver,
    pub(super) artifacts: PathBuf,
    pub(super) report: Report,
    /// A person wants the one use that the policy may allow while the tool waits.
    pub(super) once: Option<Once>,
}

impl<'a> Walk<'a> {
    fn ask(&mut self, then_answer: bool) -> Result<RunState, Halt> {
        let data = Data::open(&self.task.data)?;
        let Planned { plan, composed } = plan(
            self.ctx,
            &self.memory,
            self.task,
            &self.making.history,
            &data,
        )?;
        plan.route.as_str().clone_into(&mut self.report.route);
        self.report.plan = Some(plan.clone());
        let (tool, inputs) = match &plan.route {
            Route::Refuse { reason, hint } => {
                return Err(Halt::Stop(Stop::new("not_understood", reason).hint(hint)));
            }
            Route::Direct { answer } => {
                self.report.answer = Some(answer.clone());
                return Ok(RunState::Done);
            }
            Route::External {
                server,
                tool,
                input,
            } => {
                let (text, result) = self.ask_external(server, tool, input)?;
                self.report.answer = Some(text);
                self.report.result = Some(result);
                return Ok(RunState::Done);
            }
            Route::Compose { flow } => {
                let (text, result) = self.run_flow(flow)?;
                self.report.answer = Some(text);
                self.report.result = Some(result);
                return Ok(RunState::Done);
            }
            Route::Reuse {
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
            Route::Extend { request, .. } | Route::Make { request } => {
                let Some(ready) = self.make(request, &plan, &composed, &data)? else {
                    if then_answer {
                        self.answer_while_waiting(&composed)?;
                    }
                    return Ok(RunState::Waiting);
                };
                (ready.tool, inputs_for(&composed, &ready.invocation))
            }
        };
        let approved = self.load(&tool)?;
        self.report.tools = vec![ToolUsed::of(&approved)];
        if !then_answer {
            return Ok(RunState::Done);
        }
        for (n, input) in inputs.into_iter().enumerate() {
            let key = format!("invocation/{n}");
            let invocation = self.invoke(&approved, &key, input, &[], &self.artifacts)?;
            self.report.invocations.push(invocation);
        }
        let (text, result) = answer(
            &approved.tool_ref(),
            Standing::Approved,
            &composed,
            &self.report.invocations,
        );
        self.report.answer = Some(text);
        self.report.result = Some(result);
        Ok(RunState::Done)
    }

    fn plan_only(&mut self) -> Result<RunState, Halt> {
        let data = Data::open(&self.task.data)?;
        let history = &self.making.history;
        let Planned { plan, .. } = plan(self.ctx, &self.memory, self.task, history, &data)?;
        plan.route.as_str().clone_into(&mut self.report.route);
        self.report.plan = Some(plan);
        Ok(RunState::Done)
    }

    fn import(&mut self, draft: &Draft) -> Result<RunState, Halt> {
        let request = ToolRequest {
            name: draft.spec.name.clone(),
            purpose: draft.spec.description.clone(),
            domain: draft.spec.domain.clone(),
            needs: Vec::new(),
        };
        let job = self.job(&request);
        let ready = match (&draft.provenance.author, &self.ctx.minds) {
            (Author::Model { .. }, Minds::Model(mind)) => {
                let memory = self.memory.clone();
                let data = Data::open(&self.task.data)?;
                let others = mind.for_run(self.ctx, &memory, &job, &data);
                let others = &others;
                self.put_through(&job, &Proposed { draft, others })?
            }
            // Nobody is there to test it: its independent cases are the person's goldens.
            _ => self.put_through(&job, &Handwritten { draft })?,
        };
        match ready {
            Some(ready) => {
                let approved = self.load(&ready.tool)?;
                self.report.tools = vec![ToolUsed::of(&approved)];
                Ok(RunState::Done)
            }
            None => Ok(RunState::Waiting),
        }
    }

    fn put_through(&mut self, job: &Job<'_>, mind: &dyn Mind) -> Result<Option<Ready>, Halt> {
        let attempt = make(self.ctx, &self.memory, job, mind)?;
        self.approve(attempt, job, mind)
    }

    /// A request with nothing to start from.
    pub(super) fn job<'j>(&self, request: &'j ToolRequest) -> Job<'j>
    where
        'a: 'j,
    {
        Job {
            task: self.task,
            request,
            candidates: self.making.candidates,
            base: None,
            regression: Vec::new(),
        }
    }

    pub(super) fn load(&self, tool: &ToolRef) -> Result<ApprovedTool, Halt> {
        let profile = self.ctx.sandbox.profile();
        Ok(self
            .ctx
            .registry
            .load_approved(tool, profile)
            .map_err(PipelineError::Load)?)
    }

    /// Runs a tool, once in a run for each `key`, on attached files and on those `made` by steps
    /// before; what it produces goes to `artifacts`.
    pub(super) fn invoke(
        &self,
        tool: &ApprovedTool,
        key: &str,
        input: Map<String, Value>,
        made: &[DataFile],
        artifacts: &Path,
    ) -> Result<Invocation, Halt> {
        self.ctx.check_cancel()?;
        if let Some(done) = self.memory.get::<Invocation>(key)? {
            return Ok(done);
        }
        let what = self.call(tool.spec(), input, made, artifacts);
        let invocation = match use_tool(self.ctx, tool, &what) {
            Ok(invocation) => invocation,
            Err(UseError::Pipeline(error)) => return Err(Halt::Error(error)),
            Err(refused) => {
                return Err(Halt::Stop(Stop::new("invocation", refused.to_string())));
            }
        };
        if let Some(stop) = ended_badly(&tool.tool_ref(), &invocation) {
            return Err(Halt::Stop(stop));
        }
        self.memory.put(key, &invocation)?;
        Ok(invocation)
    }

    /// One call, with the files that its input names: attached ones, and those `made` by steps before.
    pub(super) fn call<'u>(
        &'u self,
        spec: &Spec,
        input: Map<String, Value>,
        made: &'u [DataFile],
        artifacts: &Path,
    ) -> Use<'u> {
        let named: Vec<&str> = spec
            .input_files()
            .iter()
            .filter_map(|property| input.get(property).and_then(Value::as_str))
            .collect();
        let files = self
            .task
            .data
            .iter()
            .chain(made)
            .filter(|f| named.contains(&f.name.as_str()))
            .collect();
        Use {
            input,
            files,
            artifacts: artifacts.to_owned(),
            run: Some(self.memory.run().clone()),
            ceiling: None,
        }
    }
}

/// The composer's own arguments for each file; a model's arguments as they are.
pub(super) fn inputs_for(
    composed: &[Composed],
    input: &Map<String, Value>,
) -> Vec<Map<String, Value>> {
    if composed.is_empty() {
        return vec![input.clone()];
    }
    composed.iter().map(|c| c.invocation.clone()).collect()
}
