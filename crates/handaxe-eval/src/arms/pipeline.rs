//! The third arm: the whole pipeline in a home of its own, and what it made against the hidden
//! inputs.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use handaxe_agent::{
    Begun, Context, Goal, Making, Minds, NoExternals, PipelineError, Report, walk,
};
use handaxe_registry::{Registry, RunEnd};
use handaxe_types::{Case, Check, Origin, Preview, RunState, Silent, Task, ToolRef, ToolState};
use serde_json::{Map, Value, json};

use super::hidden::{self, Tool};
use super::{Arm, ArmTrial, Bench, Ended, Made, Thinker};
use crate::error::SuiteError;
use crate::problem::{Problem, Solved};
use crate::store::Store;

pub(super) fn rounds(
    bench: &Bench,
    problem: &Problem,
    dir: &Path,
) -> Result<Vec<ArmTrial>, SuiteError> {
    let home = dir.join("home");
    let registry = fresh(&home)?;
    let mut trials = Vec::with_capacity(problem.asked.len());
    for (n, asked) in problem.asked.iter().enumerate() {
        let begun = Instant::now();
        let mut trial = ArmTrial::begun(problem, Arm::Handaxe, n + 1);
        let before = newest(&registry)?;
        match ask(bench, &registry, &home, problem, asked)? {
            Ok(report) => {
                trial.seconds = begun.elapsed().as_secs_f64();
                Store::write(dir, &format!("report-{}.json", n + 1), &report)?;
                let given = given(bench, &registry, asked, &report)?;
                told(&mut trial, asked, given, &report);
                made(bench, &registry, problem, &before, &report, &mut trial)?;
            }
            Err(PipelineError::Cancelled) => return Err(SuiteError::Cancelled),
            Err(error) => {
                trial.seconds = begun.elapsed().as_secs_f64();
                trial.detail = chain(&error);
            }
        }
        trials.push(trial);
    }
    Ok(trials)
}

/// An empty home: half of an earlier try would be a library that this one did not make.
pub(crate) fn fresh(home: &Path) -> Result<Registry, SuiteError> {
    if home.exists() {
        std::fs::remove_dir_all(home).map_err(|source| SuiteError::Write {
            path: home.to_owned(),
            source,
        })?;
    }
    Registry::open(home).map_err(failed)
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> SuiteError {
    SuiteError::Home {
        source: Box::new(error),
    }
}

fn ask(
    bench: &Bench,
    registry: &Registry,
    home: &Path,
    problem: &Problem,
    asked: &Solved,
) -> Result<Result<Report, PipelineError>, SuiteError> {
    let minds = bench.minds(bench.bounds.budget());
    let composer = matches!(minds, Minds::Composer);
    let task = Task {
        question: problem.question(asked),
        data: Vec::new(),
        goldens: Vec::new(),
        examples: problem
            .examples
            .iter()
            .enumerate()
            .map(|(n, e)| example(n, e, composer))
            .collect(),
        preview: Preview::Schema,
    };
    walked(bench, registry, home, minds, (task, Goal::Answer))
}

/// One run in a home of the evaluation's own, where every card gets a yes.
pub(crate) fn walked(
    bench: &Bench,
    registry: &Registry,
    home: &Path,
    minds: Minds,
    (task, goal): (Task, Goal),
) -> Result<Result<Report, PipelineError>, SuiteError> {
    let begun = Begun {
        task,
        goal,
        model: minds.id(),
        base_url: None,
        max_repairs: bench.bounds.repairs,
        max_tokens: bench.bounds.tokens,
        max_seconds: bench.bounds.seconds,
        making: Making {
            candidates: bench.bounds.candidates,
            ..Making::default()
        },
    };
    let active = registry.start_run(&begun.task).map_err(failed)?;
    registry
        .step_put(active.id(), "begun", &json!(begun))
        .map_err(failed)?;
    let ctx = Context {
        registry: registry.acting_as(&minds.id()),
        sandbox: Arc::clone(&bench.sandbox),
        policy: bench.policy.clone(),
        minds,
        externals: Arc::new(NoExternals),
        reporter: Arc::new(Silent),
        cancel: bench.cancel.clone(),
        max_repairs: bench.bounds.repairs,
    };
    let artifacts = home.join("artifacts");
    let walked = walk(
        &ctx,
        active.id(),
        &begun,
        bench.approver.as_ref(),
        artifacts,
    );
    let end = RunEnd {
        state: walked.as_ref().map_or(RunState::Failed, |r| r.state),
        answer: walked.as_ref().ok().map(|r| json!(r)),
        stopped_by: None,
    };
    registry.end_run(active.id(), &end).map_err(failed)?;
    Ok(walked)
}

/// An example as the problem has it; the composer's tools take a list of values.
fn example(n: usize, of: &Solved, composer: bool) -> Case {
    let (input, value) = if composer {
        (
            ("items", json!([of.text])),
            json!({"results": [of.result], "failed": 0}),
        )
    } else {
        (("text", json!(of.text)), json!({"result": of.result}))
    };
    Case {
        name: format!("example_{}", n + 1),
        origin: Origin::User,
        input: Map::from_iter([(input.0.to_owned(), input.1)]),
        files: std::collections::BTreeMap::new(),
        check: Check::Expect {
            value,
            tolerance: None,
        },
        held_out: false,
    }
}

/// What the ask was answered with. The composer reads no text out of a question: its tool, made from
/// the examples, is handed the text that was asked about, as whoever asks it with examples does.
fn given(
    bench: &Bench,
    registry: &Registry,
    asked: &Solved,
    report: &Report,
) -> Result<Option<Value>, SuiteError> {
    if let (Thinker::Composer, Some(used)) = (&bench.thinker, report.tools.first()) {
        let tool = load(bench, registry, used.name.as_str(), used.version.0);
        return match tool {
            Some(tool) => Ok(tool.run(bench, &asked.text)?.result),
            None => Ok(None),
        };
    }
    let result = report.result.as_ref().map(hidden::result);
    Ok(result.or_else(|| report.answer.as_ref().map(|a| json!(a))))
}

/// A version that runs here.
fn load(bench: &Bench, registry: &Registry, name: &str, version: u32) -> Option<Tool> {
    let reference = format!("{name}@{version}").parse::<ToolRef>().ok()?;
    let loaded = registry.load_approved(&reference, bench.sandbox.profile());
    let tool = loaded.ok()?;
    Some(Tool::new(tool.spec(), tool.code(), tool.assets()))
}

/// What the run's report says.
fn told(trial: &mut ArmTrial, asked: &Solved, given: Option<Value>, report: &Report) {
    trial.route = Some(report.route.clone());
    if let Some(cost) = &report.cost {
        trial.tokens = cost.tokens_in + cost.tokens_out;
    }
    match (report.state, given, &report.stopped_by) {
        (RunState::Done, Some(given), _) => {
            trial.reused = matches!(report.route.as_str(), "reuse" | "compose");
            trial.ended = if hidden::same(&asked.result, &given) {
                Ended::Right
            } else {
                Ended::Wrong
            };
            trial.answer = given;
        }
        (RunState::Failed, ..) => trial.ended = Ended::Failed,
        (_, _, Some(stop)) if matches!(stop.kind.as_str(), "tokens" | "wall_time" | "fan_out") => {
            trial.ended = Ended::Bound;
        }
        // All repairs used up is a refusal of the gate.
        _ => trial.ended = Ended::Refused,
    }
    if let Some(stop) = &report.stopped_by {
        trial.detail = format!("{}: {}", stop.kind, stop.message);
    }
}

/// Every version that runs, by name.
fn newest(registry: &Registry) -> Result<Vec<(String, u32)>, SuiteError> {
    let tools = registry
        .tools(&[ToolState::Active, ToolState::Deprecated])
        .map_err(failed)?;
    Ok(tools
        .into_iter()
        .map(|t| (t.name.to_string(), t.version.0))
        .collect())
}

/// Holds what the ask made, or had refused, against the hidden inputs.
fn made(
    bench: &Bench,
    registry: &Registry,
    problem: &Problem,
    before: &[(String, u32)],
    report: &Report,
    trial: &mut ArmTrial,
) -> Result<(), SuiteError> {
    let fresh = newest(registry)?
        .into_iter()
        .find(|tool| !before.contains(tool));
    if let Some((name, version)) = fresh {
        let Some(tool) = load(bench, registry, &name, version) else {
            return Ok(());
        };
        let right = tool.right(bench, &problem.hidden)?;
        let mut flips = 0;
        if let Some(older) = before
            .iter()
            .filter(|(n, v)| *n == name && *v < version)
            .max()
            && let Some(older) = load(bench, registry, &older.0, older.1)
        {
            let was = older.right(bench, &problem.hidden)?;
            flips = was
                .iter()
                .zip(&right)
                .filter(|(was, is)| **was && !**is)
                .count();
        }
        trial.made = Some(Made {
            name,
            version,
            right: right.iter().filter(|r| **r).count(),
            of: right.len(),
            flips,
        });
        return Ok(());
    }
    let attempts = registry.attempts(&report.run).map_err(failed)?;
    if trial.ended == Ended::Refused
        && let Some(draft) = attempts.last().and_then(|a| a.draft.as_ref())
    {
        let right =
            Tool::new(&draft.spec, &draft.code, &draft.assets).right(bench, &problem.hidden)?;
        trial.refused_right = !right.is_empty() && right.iter().all(|r| *r);
    }
    Ok(())
}
