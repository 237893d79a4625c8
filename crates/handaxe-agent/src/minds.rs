//! Who thinks: the composer, or a model in its roles. Here, and nowhere else, an asynchronous
//! model call is awaited.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use handaxe_registry::Hit;
use handaxe_types::{Case, Draft, Need, Plan, Policy, Route, Spec, Task, ToolRef, ToolRequest};
use serde_json::Value;

use crate::model::{Budget, Budgeted, Memo, Model, ModelError};
use crate::pipeline::data::Data;
use crate::pipeline::make::{Attempt, Mind};
use crate::pipeline::{Context, Halt, Memory, PipelineError, Stop};
use crate::roles::{
    Answered, AuthorBrief, Exchange, Offer, PlanBrief, Repair, RoleError, RoleFailure, Roles,
    Templates,
};

/// How often the cancel flag is looked at while a model thinks.
const CANCEL_TICK: Duration = Duration::from_millis(50);

/// One reply of a role, in tokens.
const MAX_REPLY_TOKENS: u32 = 8_192;

/// Who plans and writes in a run.
#[derive(Clone)]
pub enum Minds {
    /// Built in: no model, no network.
    Composer,
    Model(ModelMind),
}

impl Minds {
    /// `composer`, or `provider:name`.
    pub fn id(&self) -> String {
        match self {
            Self::Composer => "composer".to_owned(),
            Self::Model(mind) => mind.model.id().to_string(),
        }
    }
}

/// A model and what it is held to.
#[derive(Clone)]
pub struct ModelMind {
    pub model: Arc<dyn Model>,
    pub templates: Arc<Templates>,
    pub budget: Arc<Budget>,
    /// For one call, its retries included.
    pub call_timeout: Duration,
    pub runtime: tokio::runtime::Handle,
}

impl ModelMind {
    /// Asks the planner, and checks what it may not decide for itself.
    pub(crate) fn plan(
        &self,
        ctx: &Context,
        memory: &Memory,
        task: &Task,
        data: &Data<'_>,
        hits: &[Hit],
        known_needs: Vec<Need>,
    ) -> Result<Plan, Halt> {
        let files = file_names(task);
        let preview = data.preview(task.preview);
        let offers = offers(ctx, hits)?;
        let brief = PlanBrief {
            question: &task.question,
            files: &files,
            preview: &preview,
            offers: &offers,
            domains: &ctx.policy.domains.allow,
            denied: &ctx.policy.domains.deny,
        };
        let talk = self.talk(ctx, memory);
        let planned = talk.ask(|roles| async move { roles.plan(&brief).await })?;
        let mut route = planned.route;
        if let Route::Make { request } = &mut route {
            // What the job plainly needs cannot be talked away by the planner.
            for need in known_needs {
                if !request.needs.contains(&need) {
                    request.needs.push(need);
                }
            }
        }
        let reused = match &route {
            Route::Reuse { tool, version, .. } => Some((tool, version)),
            _ => None,
        };
        let candidates = hits
            .iter()
            .map(|hit| handaxe_types::Candidate {
                tool: hit.tool.clone(),
                version: hit.version,
                why: if reused == Some((&hit.tool, &hit.version)) {
                    "chosen by the planner".to_owned()
                } else {
                    format!("not chosen by the planner: {}", hit.description)
                },
            })
            .collect();
        Ok(Plan {
            route,
            steps: planned.steps,
            candidates,
        })
    }

    /// This mind, at work on one request of one run.
    pub(crate) fn for_run<'a>(
        &'a self,
        ctx: &'a Context,
        memory: &'a Memory,
        task: &'a Task,
        request: &'a ToolRequest,
        data: &Data<'_>,
    ) -> impl Mind + 'a {
        Thinking {
            talk: self.talk(ctx, memory),
            policy: &ctx.policy,
            task,
            request,
            files: file_names(task),
            preview: data.preview(task.preview),
        }
    }

    fn talk<'a>(&'a self, ctx: &'a Context, memory: &'a Memory) -> Talk<'a> {
        let budgeted = Budgeted::new(Arc::clone(&self.model), Arc::clone(&self.budget));
        Talk {
            mind: self,
            ctx,
            memory,
            model: Memo::new(budgeted, memory.clone()),
        }
    }
}

fn file_names(task: &Task) -> Vec<String> {
    task.data.iter().map(|f| f.name.clone()).collect()
}

/// The approved tools that a planner may choose from.
fn offers(ctx: &Context, hits: &[Hit]) -> Result<Vec<Offer>, PipelineError> {
    let mut offers = Vec::with_capacity(hits.len());
    for hit in hits {
        let tool = ToolRef {
            name: hit.tool.clone(),
            version: Some(hit.version),
        };
        if let Some(detail) = ctx.registry.tool(&tool).map_err(PipelineError::Registry)? {
            offers.push(Offer {
                name: hit.tool.clone(),
                version: hit.version,
                description: detail.spec.description,
                input_schema: detail.spec.input_schema,
            });
        }
    }
    Ok(offers)
}

/// A conversation of one run: remembered, within the budget, cancellable.
struct Talk<'a> {
    mind: &'a ModelMind,
    ctx: &'a Context,
    memory: &'a Memory,
    model: Memo<Budgeted<Arc<dyn Model>>, Memory>,
}

impl Talk<'_> {
    fn ask<'s, T, F>(&'s self, role: impl FnOnce(Roles<'s>) -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<Answered<T>, RoleError>>,
    {
        let roles = Roles {
            model: &self.model,
            templates: &self.mind.templates,
            reporter: self.ctx.reporter.as_ref(),
            call_timeout: self.mind.call_timeout,
            max_tokens: MAX_REPLY_TOKENS,
        };
        let cancel = &self.ctx.cancel;
        let cancelled = async {
            while !cancel.is_cancelled() {
                tokio::time::sleep(CANCEL_TICK).await;
            }
        };
        let answered = self.mind.runtime.block_on(async {
            tokio::select! {
                answered = role(roles) => Some(answered),
                () = cancelled => None,
            }
        });
        match answered {
            None => Err(PipelineError::Cancelled.into()),
            Some(Ok(answered)) => {
                self.keep(&answered.exchanges)?;
                Ok(answered.reply)
            }
            Some(Err(error)) => {
                self.keep(&error.exchanges)?;
                Err(halt(error))
            }
        }
    }

    fn keep(&self, exchanges: &[Exchange]) -> Result<(), PipelineError> {
        for exchange in exchanges {
            self.memory.keep_exchange(exchange)?;
        }
        Ok(())
    }
}

/// A bound or a useless reply ends the run in good order; anything else breaks it off.
fn halt(error: RoleError) -> Halt {
    let role = error.role.as_str();
    match &error.failure {
        RoleFailure::Model(ModelError::Budget(spent)) => Halt::Stop(
            Stop::new(spent.bound.as_str(), spent.to_string())
                .hint("--max-tokens and --max-seconds raise the bounds"),
        ),
        RoleFailure::Refused { said } => {
            Halt::Stop(Stop::new("model", format!("the {role} declined: {said}")))
        }
        RoleFailure::Unreadable { .. } => Halt::Stop(
            Stop::new(
                "model",
                format!("the {role}'s reply cannot be used: {}", error.failure),
            )
            .hint("try a stronger model, or --model composer"),
        ),
        RoleFailure::Model(_) | RoleFailure::Template(_) => PipelineError::Model(error).into(),
    }
}

/// A model as author, tester and arbiter.
struct Thinking<'a> {
    talk: Talk<'a>,
    policy: &'a Policy,
    task: &'a Task,
    request: &'a ToolRequest,
    files: Vec<String>,
    preview: Value,
}

impl Mind for Thinking<'_> {
    fn repairs(&self) -> bool {
        true
    }

    fn write(&self, n: u32, before: Option<&Attempt>) -> Result<Draft, Halt> {
        let brief = AuthorBrief {
            question: &self.task.question,
            request: self.request,
            files: &self.files,
            preview: &self.preview,
            examples: &self.task.examples,
            code_policy: &self.policy.code,
            repair: before.map(|a| Repair::of(&a.draft, n, &a.trial, &self.task.examples)),
        };
        let mut draft = self
            .talk
            .ask(|roles| async move { roles.author(&brief).await })?;
        // The plan was gated under this domain; an author does not change it.
        draft.spec.domain.clone_from(&self.request.domain);
        draft.spec.name = self.request.name.clone();
        Ok(draft)
    }

    fn held_out(&self, spec: &Spec) -> Result<Vec<Case>, Halt> {
        self.talk.ask(|roles| async move { roles.test(spec).await })
    }

    fn arbitrate(&self, spec: &Spec, case: &Case) -> Result<Option<String>, Halt> {
        let ruling = self
            .talk
            .ask(|roles| async move { roles.arbitrate(spec, case).await })?;
        Ok(ruling.withdraw.then_some(ruling.reason))
    }
}
