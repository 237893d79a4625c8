//! What to do about a task: reuse a tool, put several together, make one, answer directly, or refuse.

use handaxe_composer::{ComposeError, Composed, Refusal};
use handaxe_types::{
    Candidate, Case, Check, Need, Plan, Progress, Route, Task, ToolName, ToolRequest,
};
use serde_json::{Map, Value};

use super::begun::Turn;
use super::candidates::{Considered, consider};
use super::data::Data;
use super::external::{accepted, named_in};
use super::make::DOMAIN_HINT;
use super::memo::Memory;
use super::named::{Named, named};
use super::{Context, Halt, PipelineError};
use crate::minds::{Minds, PlanAbout};

/// The plan, and for the composer what it composed, one a file.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) composed: Vec<Composed>,
}

#[tracing::instrument(name = "plan", skip_all)]
pub(super) fn plan(
    ctx: &Context,
    memory: &Memory,
    task: &Task,
    history: &[Turn],
    data: &Data<'_>,
) -> Result<Planned, Halt> {
    ctx.report(Progress::Step("Looking for a tool".to_owned()));
    let needs = handaxe_composer::needs(&task.question, !task.data.is_empty());
    if let Err(refusal) = handaxe_validate::gate(&ctx.policy, &as_asked(needs.clone())) {
        let route = Route::Refuse {
            // No tool has a name yet.
            reason: refusal.to_string().replace("`this_job`", "this"),
            hint: DOMAIN_HINT.to_owned(),
        };
        ctx.registry
            .record_domain_refusal(Some(memory.run()), "this job", &refusal.to_string())
            .map_err(PipelineError::Registry)?;
        return keep(ctx, memory, only(bare(route)));
    }
    let planned = match &ctx.minds {
        Minds::Composer => without_model(ctx, task, data)?,
        Minds::Model(mind) => {
            let plan = if let Some(plan) = memory.get("plan")? {
                plan
            } else {
                // Names before tools: what is registered in between is then offered.
                let names = ctx.registry.names().map_err(PipelineError::Registry)?;
                let about = PlanAbout {
                    task,
                    history,
                    data,
                    considered: &consider(ctx, &task.question, &examples(task))?,
                    names: &names,
                    externals: &accepted(ctx)?,
                };
                mind.plan(ctx, memory, &about, needs)?
            };
            only(plan)
        }
    };
    keep(ctx, memory, planned)
}

/// Shows the plan and records it, the first time.
fn keep(ctx: &Context, memory: &Memory, mut planned: Planned) -> Result<Planned, Halt> {
    match memory.get::<Plan>("plan")? {
        // What was decided stands, even where the library has changed since.
        Some(plan) => planned.plan = plan,
        None => memory.put("plan", &planned.plan)?,
    }
    let plan = &planned.plan;
    memory.record_plan(plan)?;
    let because = match &plan.route {
        Route::Reuse { tool, version, .. } => {
            format!("use {tool}@{version}, which does this already")
        }
        Route::Compose { flow } => {
            let tools: Vec<String> = flow
                .steps
                .iter()
                .map(|s| s.tool_ref().to_string())
                .collect();
            format!("put together {}", tools.join(", then "))
        }
        Route::Extend { tool, version, .. } => {
            format!("{tool}@{version} does nearly this: extend it")
        }
        Route::Make { request } if plan.candidates.is_empty() => {
            format!(
                "no tool fits, the library has nothing near it: make {}",
                request.name
            )
        }
        Route::Make { request } => format!("no tool fits: make {}", request.name),
        Route::External { server, tool, .. } => {
            format!("ask {tool} of the server {server}, which was not proved here")
        }
        Route::Direct { .. } => "no tool is needed".to_owned(),
        Route::Refuse { .. } => "none: no tool is made for this".to_owned(),
    };
    ctx.report(Progress::Plan {
        steps: plan.steps.clone(),
        candidates: plan.candidates.clone(),
        because,
    });
    Ok(planned)
}

/// Tools that the question names one after the other, else what the composer makes of it, else one
/// tool that it names, of ours or of another program.
fn without_model(ctx: &Context, task: &Task, data: &Data<'_>) -> Result<Planned, Halt> {
    match named(ctx, task, data, false)? {
        Named::Plan(plan) => return Ok(only(plan)),
        Named::Lacking { reason, hint } => return Ok(only(bare(Route::Refuse { reason, hint }))),
        Named::No => {}
    }
    let planned = with_composer(ctx, task, data)?;
    if !matches!(planned.plan.route, Route::Refuse { .. }) {
        return Ok(planned);
    }
    match named(ctx, task, data, true)? {
        Named::Plan(plan) => Ok(only(plan)),
        Named::Lacking { reason, hint } => Ok(only(bare(Route::Refuse { reason, hint }))),
        Named::No => or_external(ctx, task, planned),
    }
}

/// A plan with nothing composed for it.
fn only(plan: Plan) -> Planned {
    Planned {
        plan,
        composed: Vec::new(),
    }
}

/// What the composer does not understand may name another program's tool, and say all it needs.
fn or_external(ctx: &Context, task: &Task, planned: Planned) -> Result<Planned, Halt> {
    if !matches!(planned.plan.route, Route::Refuse { .. }) || !task.data.is_empty() {
        return Ok(planned);
    }
    Ok(match named_in(&task.question, &accepted(ctx)?) {
        Some(route) => only(bare(route)),
        None => planned,
    })
}

fn bare(route: Route) -> Plan {
    Plan {
        route,
        steps: Vec::new(),
        candidates: Vec::new(),
    }
}

/// The request before anyone has named a tool: only its needs are known.
fn as_asked(needs: Vec<Need>) -> ToolRequest {
    #[expect(clippy::unwrap_used, reason = "a constant name that the tests cover")]
    let name = ToolName::new("this_job").unwrap();
    ToolRequest {
        name,
        purpose: String::new(),
        domain: "analysis".to_owned(),
        needs,
    }
}

/// What the person said the tool must give: examples, and goldens, whose expectations stay here.
fn examples(task: &Task) -> Vec<&Case> {
    task.examples.iter().chain(&task.goldens).collect()
}

/// The examples as single inputs with what is wanted of each.
fn shown(task: &Task) -> Vec<handaxe_composer::Example> {
    let one = |case: &Case| {
        let Check::Expect { value, .. } = &case.check else {
            return None;
        };
        Some(handaxe_composer::Example {
            input: case.input.get("items")?.get(0)?.clone(),
            output: value.get("results")?.get(0)?.clone(),
        })
    };
    task.examples.iter().filter_map(one).collect()
}

/// Composes a chain for each file, and they must agree on what is to be done; or one for two files
/// together, where neither says it all.
fn with_composer(ctx: &Context, task: &Task, data: &Data<'_>) -> Result<Planned, Halt> {
    let shown = shown(task);
    let made = match of_each(ctx, task, &shown, data) {
        Err(ComposeError::Refused(_)) if shown.is_empty() && data.profiles.len() == 2 => {
            handaxe_composer::compose(&task.question, &data.profiles).map(|one| vec![one])
        }
        each => each,
    };
    let composed = match made {
        Ok(composed) => composed,
        Err(ComposeError::Refused(refusal)) => return Ok(refused(&refusal)),
        Err(ComposeError::Stopped) => return Err(PipelineError::Cancelled.into()),
        Err(error @ ComposeError::Emit(_)) => {
            let route = Route::Refuse {
                reason: error.to_string(),
                hint: "say it another way, or connect a model: --model openai:NAME".to_owned(),
            };
            return Ok(only(bare(route)));
        }
    };
    let Some(first) = composed.first() else {
        return Ok(refused(&Refusal::NoData));
    };
    if composed.iter().any(|c| c.recipe != first.recipe) {
        let route = Route::Refuse {
            reason: "the files are laid out so differently that one tool cannot serve them all"
                .to_owned(),
            hint: "ask about one file at a time".to_owned(),
        };
        return Ok(only(bare(route)));
    }
    let plan = reuse_or_make(ctx, task, first)?;
    Ok(Planned { plan, composed })
}

fn of_each(
    ctx: &Context,
    task: &Task,
    shown: &[handaxe_composer::Example],
    data: &Data<'_>,
) -> Result<Vec<Composed>, ComposeError> {
    let files: Vec<&[handaxe_composer::Profile]> = if data.profiles.is_empty() {
        vec![&[]]
    } else {
        data.profiles.chunks(1).collect()
    };
    let one = |profiles: &&[handaxe_composer::Profile]| {
        if shown.is_empty() {
            handaxe_composer::compose(&task.question, profiles)
        } else {
            let stop = || ctx.cancel.is_cancelled();
            handaxe_composer::compose_by_example(&task.question, shown, profiles, &stop)
        }
    };
    files.iter().map(one).collect()
}

fn refused(refusal: &Refusal) -> Planned {
    let route = Route::Refuse {
        reason: refusal.reason(),
        hint: refusal.hint(),
    };
    only(bare(route))
}

/// A tool with the same recipe does the same work; anything else is shown with why it will not do.
fn reuse_or_make(ctx: &Context, task: &Task, composed: &Composed) -> Result<Plan, Halt> {
    let mut considered = Vec::new();
    let recipe = handaxe_types::Digest::of_json(&composed.recipe);
    if let Some(found) = ctx
        .registry
        .find_by_recipe(recipe)
        .map_err(PipelineError::Registry)?
    {
        match ctx.registry.load_approved(&found, ctx.sandbox.profile()) {
            Ok(tool) => {
                let (name, version) = (tool.name().clone(), tool.version());
                considered.push(Candidate {
                    tool: name.clone(),
                    version,
                    why: "does exactly this, with other columns and values as its inputs"
                        .to_owned(),
                });
                let input: Map<String, Value> = composed.invocation.clone();
                let route = Route::Reuse {
                    tool: name,
                    version,
                    input,
                };
                return Ok(Plan {
                    route,
                    steps: composed.steps.clone(),
                    candidates: considered,
                });
            }
            Err(why) => {
                if let Some(version) = found.version {
                    considered.push(Candidate {
                        tool: found.name,
                        version,
                        why: why.to_string(),
                    });
                }
            }
        }
    }
    for Considered { hit, met, .. } in consider(ctx, &task.question, &examples(task))? {
        let already = considered
            .iter()
            .any(|c| c.tool == hit.tool && c.version == hit.version);
        if !already {
            let why = format!("does something else: {}", hit.description);
            let why = match met {
                Some(met) => format!("meets {} of {} examples; {why}", met.met, met.of),
                None => why,
            };
            considered.push(Candidate {
                tool: hit.tool,
                version: hit.version,
                why,
            });
        }
    }
    let route = Route::Make {
        request: composed.request.clone(),
    };
    Ok(Plan {
        route,
        steps: composed.steps.clone(),
        candidates: considered,
    })
}
