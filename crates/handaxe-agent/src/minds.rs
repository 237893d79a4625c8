//! Who thinks: the composer, or a model in its roles. Here, and nowhere else, an asynchronous
//! model call is awaited.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use handaxe_types::{
    Candidate, Case, Draft, Finding, Need, Plan, Review, Route, Spec, Task, ToolName, Version,
};
use serde_json::Value;

use crate::model::{Budget, Budgeted, Memo, Model, ModelError, Observed, RoleName};
use crate::pipeline::candidates::Considered;
use crate::pipeline::data::Data;
use crate::pipeline::external::Accepted;
use crate::pipeline::make::{Attempt, Job, Mind};
use crate::pipeline::{Context, Halt, Memory, PipelineError, Stop, Turn};
use crate::roles::{
    Answered, AuthorBrief, Exchange, ExternalOffer, Offer, PlanBrief, Repair, RoleError,
    RoleFailure, Roles, Templates,
};

/// How often the cancel flag is looked at while a model thinks.
const CANCEL_TICK: Duration = Duration::from_millis(50);

/// One reply of a role, in tokens.
pub const MAX_REPLY_TOKENS: u32 = 8_192;

/// Of the author where several drafts are drawn.
const DRAW_TEMPERATURE: f32 = 0.7;

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

/// A model and what it is held to, with other models for single roles where the settings say so.
#[derive(Clone)]
pub struct ModelMind {
    pub model: Arc<dyn Model>,
    /// Roles with a seat of their own; the others sit on `model`.
    pub seats: BTreeMap<RoleName, Seat>,
    pub templates: Arc<Templates>,
    pub budget: Arc<Budget>,
    /// For one call, its retries included.
    pub call_timeout: Duration,
    pub runtime: tokio::runtime::Handle,
}

/// Who plays a role, and within what bounds.
#[derive(Clone)]
pub struct Seat {
    pub model: Arc<dyn Model>,
    pub temperature: f32,
    /// Of one reply, in tokens.
    pub max_tokens: u32,
    /// The role's own, inside the run's.
    pub budget: Arc<Budget>,
}

impl ModelMind {
    fn seat(&self, role: RoleName) -> Seat {
        self.seats.get(&role).cloned().unwrap_or_else(|| Seat {
            model: Arc::clone(&self.model),
            temperature: 0.0,
            max_tokens: MAX_REPLY_TOKENS,
            budget: Arc::new(Budget::unbounded()),
        })
    }

    /// Asks the planner, and checks what it may not decide for itself.
    pub(crate) fn plan(
        &self,
        ctx: &Context,
        memory: &Memory,
        about: &PlanAbout<'_>,
        known_needs: Vec<Need>,
    ) -> Result<Plan, Halt> {
        let PlanAbout { task, data, .. } = about;
        let files = file_names(task);
        let preview = data.preview(task.preview);
        let offers: Vec<Offer> = about.considered.iter().map(offer).collect();
        let externals: Vec<ExternalOffer> = about.externals.iter().map(external_offer).collect();
        let brief = PlanBrief {
            question: &task.question,
            history: about.history,
            files: &files,
            preview: &preview,
            offers: &offers,
            names: about.names,
            externals: &externals,
            domains: &ctx.policy.domains.allow,
            denied: &ctx.policy.domains.deny,
        };
        let talk = self.talk(ctx, memory, RoleName::Planner, 0);
        let planned = talk.ask(|roles| async move { roles.plan(&brief).await })?;
        let mut route = planned.route;
        if let Route::Make { request } | Route::Extend { request, .. } = &mut route {
            // What the job plainly needs cannot be talked away by the planner.
            for need in known_needs {
                if !request.needs.contains(&need) {
                    request.needs.push(need);
                }
            }
        }
        let chosen = chosen(&route);
        let candidates = about
            .considered
            .iter()
            .map(|c| candidate(c, &chosen, &planned.considered))
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
        job: &'a Job<'a>,
        data: &Data<'_>,
    ) -> impl Mind + 'a {
        Thinking {
            mind: self,
            ctx,
            memory,
            job,
            files: file_names(job.task),
            preview: data.preview(job.task.preview),
        }
    }

    fn talk<'a>(
        &'a self,
        ctx: &'a Context,
        memory: &'a Memory,
        role: RoleName,
        sample: u32,
    ) -> Talk<'a> {
        let seat = self.seat(role);
        let within = Budgeted::new(Arc::clone(&seat.model), Arc::clone(&seat.budget));
        let budgeted = Budgeted::new(within, Arc::clone(&self.budget));
        let observed = Observed::new(budgeted, Arc::clone(ctx.registry.redactor()));
        Talk {
            mind: self,
            ctx,
            memory,
            seat,
            sample,
            model: Memo::new(observed, memory.clone()),
        }
    }

    /// Waits for what models say, unless the run is cancelled.
    fn wait<T>(&self, ctx: &Context, said: impl Future<Output = T>) -> Result<T, Halt> {
        let cancelled = async {
            while !ctx.cancel.is_cancelled() {
                tokio::time::sleep(CANCEL_TICK).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                said = said => Ok(said),
                () = cancelled => Err(PipelineError::Cancelled.into()),
            }
        })
    }
}

/// What a plan is made about.
pub(crate) struct PlanAbout<'a> {
    pub(crate) task: &'a Task,
    /// Earlier questions and answers of the same conversation, oldest first.
    pub(crate) history: &'a [Turn],
    pub(crate) data: &'a Data<'a>,
    pub(crate) considered: &'a [Considered],
    pub(crate) names: &'a [ToolName],
    /// Of other programs.
    pub(crate) externals: &'a [Accepted],
}

/// The approved tools that a planner may choose from.
fn offer(considered: &Considered) -> Offer {
    Offer {
        name: considered.hit.tool.clone(),
        version: considered.hit.version,
        description: considered.spec.description.clone(),
        input_schema: considered.spec.input_schema.clone(),
        output_schema: considered.spec.output_schema.clone(),
        examples: considered.met,
    }
}

/// A tool of another program that a planner may choose.
fn external_offer(accepted: &Accepted) -> ExternalOffer<'_> {
    ExternalOffer {
        server: &accepted.server,
        tool: &accepted.tool,
    }
}

/// The tools that a route rests on.
fn chosen(route: &Route) -> Vec<(ToolName, Version)> {
    match route {
        Route::Reuse { tool, version, .. } | Route::Extend { tool, version, .. } => {
            vec![(tool.clone(), *version)]
        }
        Route::Compose { flow } => {
            let tools = flow.steps.iter();
            tools.map(|s| (s.tool.clone(), s.version)).collect()
        }
        Route::Make { .. }
        | Route::External { .. }
        | Route::Direct { .. }
        | Route::Refuse { .. } => Vec::new(),
    }
}

/// Why a candidate was enough or not: what its runs showed, then the planner's words, then ours.
fn candidate(
    considered: &Considered,
    chosen: &[(ToolName, Version)],
    said: &[Candidate],
) -> Candidate {
    let (tool, version) = (considered.hit.tool.clone(), considered.hit.version);
    let words = said
        .iter()
        .find(|c| c.tool == tool && c.version == version)
        .map(|c| c.why.clone());
    let why = words.unwrap_or_else(|| {
        if chosen.contains(&(tool.clone(), version)) {
            "chosen by the planner".to_owned()
        } else {
            format!("not chosen by the planner: {}", considered.hit.description)
        }
    });
    let why = match considered.met {
        Some(met) => format!("meets {} of {} examples; {why}", met.met, met.of),
        None => why,
    };
    Candidate { tool, version, why }
}

fn file_names(task: &Task) -> Vec<String> {
    task.data.iter().map(|f| f.name.clone()).collect()
}

/// A role's own budget within the run's.
type Twice = Budgeted<Budgeted<Arc<dyn Model>>>;

/// A conversation of one role in a run: remembered, within its budgets, cancellable.
struct Talk<'a> {
    mind: &'a ModelMind,
    ctx: &'a Context,
    memory: &'a Memory,
    seat: Seat,
    sample: u32,
    model: Memo<Observed<Twice>, Memory>,
}

impl Talk<'_> {
    fn roles(&self) -> Roles<'_> {
        Roles {
            model: &self.model,
            templates: &self.mind.templates,
            reporter: self.ctx.reporter.as_ref(),
            call_timeout: self.mind.call_timeout,
            max_tokens: self.seat.max_tokens,
            temperature: self.seat.temperature,
            sample: self.sample,
        }
    }

    fn ask<'s, T, F>(&'s self, role: impl FnOnce(Roles<'s>) -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<Answered<T>, RoleError>>,
    {
        let answered = self.mind.wait(self.ctx, role(self.roles()))?;
        self.settle(answered)
    }

    /// Keeps what was said, and takes what it came to.
    fn settle<T>(&self, answered: Result<Answered<T>, RoleError>) -> Result<T, Halt> {
        match answered {
            Ok(answered) => {
                self.keep(&answered.exchanges)?;
                Ok(answered.reply)
            }
            Err(error) => {
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

/// A model in the roles that make a tool.
struct Thinking<'a> {
    mind: &'a ModelMind,
    ctx: &'a Context,
    memory: &'a Memory,
    job: &'a Job<'a>,
    files: Vec<String>,
    preview: Value,
}

impl Thinking<'_> {
    fn talk(&self, role: RoleName) -> Talk<'_> {
        self.mind.talk(self.ctx, self.memory, role, 0)
    }

    fn brief<'b>(&'b self, repair: Option<Repair<'b>>) -> AuthorBrief<'b> {
        AuthorBrief {
            question: &self.job.task.question,
            request: self.job.request,
            files: &self.files,
            preview: &self.preview,
            examples: &self.job.task.examples,
            code_policy: &self.ctx.policy.code,
            base: self.job.base.as_ref(),
            repair,
        }
    }

    /// The plan was gated under this name and domain; an author changes neither.
    fn as_planned(&self, mut draft: Draft) -> Draft {
        draft.spec.domain.clone_from(&self.job.request.domain);
        draft.spec.name = self.job.request.name.clone();
        draft
    }
}

impl Mind for Thinking<'_> {
    fn repairs(&self) -> bool {
        true
    }

    fn draw(&self, count: u32) -> Result<Vec<Draft>, Halt> {
        let mut talks: Vec<Talk<'_>> = (0..count.max(1))
            .map(|n| self.mind.talk(self.ctx, self.memory, RoleName::Author, n))
            .collect();
        for talk in talks.iter_mut().skip(1) {
            // Drawn cold, every draft is the same one.
            talk.seat.temperature = talk.seat.temperature.max(DRAW_TEMPERATURE);
        }
        let said = join_all(talks.iter().map(|talk| async {
            let brief = self.brief(None);
            talk.roles().author(&brief).await
        }));
        let said = self.mind.wait(self.ctx, said)?;
        let mut drafts = Vec::new();
        let mut first = None;
        for (talk, answered) in talks.iter().zip(said) {
            match talk.settle(answered) {
                Ok(draft) => drafts.push(self.as_planned(draft)),
                // One that does not come leaves the others; the first to fail speaks for all.
                Err(halt @ (Halt::Stop(_) | Halt::Error(PipelineError::Model(_)))) => {
                    first = first.or(Some(halt));
                }
                Err(error) => return Err(error),
            }
        }
        match first {
            Some(halt) if drafts.is_empty() => Err(halt),
            _ => Ok(drafts),
        }
    }

    fn repair(&self, n: u32, before: &Attempt) -> Result<Draft, Halt> {
        let examples = &self.job.task.examples;
        let brief = self.brief(Some(Repair::of(&before.draft, n, &before.trial, examples)));
        let draft = self
            .talk(RoleName::Author)
            .ask(|roles| async move { roles.author(&brief).await })?;
        Ok(self.as_planned(draft))
    }

    fn held_out(&self, spec: &Spec) -> Result<Vec<Case>, Halt> {
        self.talk(RoleName::Tester)
            .ask(|roles| async move { roles.test(spec).await })
    }

    fn sharpen(
        &self,
        spec: &Spec,
        cases: &[Case],
        survivors: &[String],
    ) -> Result<Vec<Case>, Halt> {
        self.talk(RoleName::Tester)
            .ask(|roles| async move { roles.sharpen(spec, cases, survivors).await })
    }

    fn arbitrate(&self, spec: &Spec, case: &Case) -> Result<Option<String>, Halt> {
        let ruling = self
            .talk(RoleName::Arbiter)
            .ask(|roles| async move { roles.arbitrate(spec, case).await })?;
        Ok(ruling.withdraw.then_some(ruling.reason))
    }

    fn review(&self, draft: &Draft, findings: &[Finding]) -> Result<Option<Review>, Halt> {
        let talk = self.talk(RoleName::Reviewer);
        let said = self
            .mind
            .wait(self.ctx, talk.roles().review(draft, findings))?;
        Ok(Some(match said {
            Ok(answered) => {
                talk.keep(&answered.exchanges)?;
                answered.reply
            }
            // A proved tool does not fall with its reviewer; the person is told there was none.
            Err(error) => {
                talk.keep(&error.exchanges)?;
                Review {
                    model: talk.seat.model.id().to_string(),
                    summary: String::new(),
                    objections: Vec::new(),
                    absent: Some(error.failure.to_string()),
                }
            }
        }))
    }
}
