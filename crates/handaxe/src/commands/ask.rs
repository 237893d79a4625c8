//! `handaxe ask` and `handaxe make`, and what `runs resume` and `tools import` share with them:
//! one run, walked to its end with a person at hand or without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use handaxe_agent::{Approver, Begun, Context, Goal, NoOne, PipelineError, Report, Stop, walk};
use handaxe_registry::{ActiveRun, ProvisionalError, RunEnd};
use handaxe_sandbox::Cancel;
use handaxe_types::{Author, Preview, RunId, RunState, Task};
use serde_json::json;

use crate::asking::{Asking, OnceFlag, YesFlag};
use crate::cli::{AskArgs, ModelArgs, PreviewArg};
use crate::failure::{Exit, Failure, Outcome};
use crate::inputs;
use crate::models::{self, Chosen};
use crate::render::text::{Lines, Shown, bytes};
use crate::render::{Watcher, bad, caution, cost_line, faint, strong};
use crate::workshop::{Workshop, pipeline_failure, run_failure};

/// Bounds of a run where neither the command nor `config.toml` says otherwise.
const DEFAULT_MAX_TOKENS: u64 = 200_000;
const DEFAULT_MAX_SECONDS: u64 = 600;

/// What the command line says of the yes beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Nothing: whoever is at the terminal is asked.
    None,
    /// `--yes`
    Yes,
    /// `--while-waiting`
    UseOnce,
}

impl Word {
    /// `--while-waiting` is refused before anything is done where the policy allows no such use.
    pub(crate) fn given(shop: &Workshop, yes: bool, while_waiting: bool) -> Result<Self, Failure> {
        if !while_waiting {
            return Ok(if yes { Self::Yes } else { Self::None });
        }
        let home = shop.home()?;
        if home.policy.approval.while_waiting_minutes == 0 {
            let off = ProvisionalError::Off;
            let policy = home.dir().join("policy.toml");
            return Err(
                Failure::new(Exit::Refused, off.kind(), off.to_string()).hint(format!(
                    "{}: {}",
                    policy.display(),
                    off.hint()
                )),
            );
        }
        Ok(Self::UseOnce)
    }
}

pub(crate) fn run(shop: &Workshop, args: AskArgs, goal: Goal) -> Outcome {
    if args.task.trim().is_empty() {
        return Err(Failure::usage("the task is empty").hint("say what you want to know"));
    }
    if args.while_waiting && goal == Goal::Make {
        return Err(Failure::usage(
            "`make` answers nothing, so there is nothing to use a waiting tool for",
        )
        .hint("handaxe ask TASK --while-waiting"));
    }
    let word = Word::given(shop, args.yes, args.while_waiting)?;
    // Goldens first: they are taken before any code exists.
    let goldens = inputs::goldens(&args.golden)?;
    let data = inputs::attach(&args.data)?;
    let preview = preview(shop, &args.model)?;
    let task = Task {
        question: inputs::as_of(&args.task, args.as_of.as_deref())?,
        data,
        goldens,
        examples: inputs::examples(&args.example)?,
        preview,
    };
    let goal = if args.plan { Goal::Plan } else { goal };
    let chosen = models::choose(shop, &args.model)?;
    let begun = begun(shop, task, goal, &args.model, &chosen)?;
    shop.out.note(faint().for_stderr().apply_to(format!(
        "{} ({})",
        Shown(&chosen.spec),
        Shown(&chosen.why)
    )));
    begin(shop, &begun, &chosen, word, &args.out)
}

/// A question of a conversation: as `ask`, but stopped by `cancel`, and the report is given back.
pub(crate) fn started(
    shop: &Workshop,
    begun: &Begun,
    chosen: &Chosen,
    cancel: &Cancel,
) -> Result<Report, Failure> {
    let active = start(shop, begun)?;
    let (report, files) = walked(
        shop,
        &active,
        begun,
        chosen,
        Word::None,
        Path::new("."),
        cancel,
    )?;
    tell(shop, &report, &files)?;
    Ok(report)
}

/// The same for a run that waited.
pub(crate) fn resumed(
    shop: &Workshop,
    id: &RunId,
    word: Word,
    cancel: &Cancel,
) -> Result<Report, Failure> {
    let (active, begun) = taken_up(shop, id)?;
    let chosen = models::again(&begun);
    let (report, files) = walked(shop, &active, &begun, &chosen, word, Path::new("."), cancel)?;
    tell(shop, &report, &files)?;
    Ok(report)
}

pub(crate) fn preview(shop: &Workshop, args: &ModelArgs) -> Result<Preview, Failure> {
    Ok(match args.preview {
        Some(PreviewArg::None) => Preview::None,
        Some(PreviewArg::Schema) => Preview::Schema,
        Some(PreviewArg::Sample) => Preview::Sample,
        None => shop.home()?.config.preview.unwrap_or_default(),
    })
}

/// What a run begins with: the command's word before the settings', the settings' before ours.
pub(crate) fn begun(
    shop: &Workshop,
    task: Task,
    goal: Goal,
    args: &ModelArgs,
    chosen: &Chosen,
) -> Result<Begun, Failure> {
    let home = shop.home()?;
    let config = &home.config;
    Ok(Begun {
        task,
        goal,
        model: chosen.spec.clone(),
        base_url: chosen.base_url.clone(),
        max_repairs: args
            .max_repairs
            .or(config.max_repairs)
            .unwrap_or(home.policy.trial.max_repairs),
        max_tokens: args
            .max_tokens
            .or(config.max_tokens)
            .unwrap_or(DEFAULT_MAX_TOKENS),
        max_seconds: args
            .max_seconds
            .or(config.max_seconds)
            .unwrap_or(DEFAULT_MAX_SECONDS),
        making: models::making(shop, args)?,
    })
}

/// Starts a run and walks it.
pub(crate) fn begin(
    shop: &Workshop,
    begun: &Begun,
    chosen: &Chosen,
    word: Word,
    out: &Path,
) -> Outcome {
    // The sandbox before the run: a machine that cannot isolate starts nothing.
    shop.sandbox()?;
    let active = start(shop, begun)?;
    follow(shop, &active, begun, chosen, word, out)
}

fn start(shop: &Workshop, begun: &Begun) -> Result<ActiveRun, Failure> {
    let registry = shop.registry()?;
    let active = registry
        .start_run(&begun.task)
        .map_err(|e| run_failure(&e))?;
    registry
        .step_put(active.id(), "begun", &json!(begun))
        .map_err(|e| run_failure(&e))?;
    Ok(active)
}

/// A run that stopped somewhere, and what it was begun with.
pub(crate) fn taken_up(shop: &Workshop, id: &RunId) -> Result<(ActiveRun, Begun), Failure> {
    let registry = shop.registry()?;
    let begun = registry
        .step_get(id, "begun")
        .map_err(|e| run_failure(&e))?;
    let active = registry.resume_run(id).map_err(|e| run_failure(&e))?;
    let Some(begun) = begun else {
        return Err(
            Failure::failed("not_begun", format!("run {id} ended before it had begun"))
                .hint("ask again; nothing was paid for"),
        );
    };
    let begun = serde_json::from_value(begun)
        .map_err(|e| Failure::failed("record", format!("run {id} cannot be read back: {e}")))?;
    Ok((active, begun))
}

/// Walks a run, new or taken up again, and tells how it ended.
pub(crate) fn follow(
    shop: &Workshop,
    active: &ActiveRun,
    begun: &Begun,
    chosen: &Chosen,
    word: Word,
    out: &Path,
) -> Outcome {
    let cancel = Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let (report, files) = walked(shop, active, begun, chosen, word, out, &cancel)?;
    tell(shop, &report, &files)
}

/// Walks a run as far as it goes; its report, and the files that it produced.
fn walked(
    shop: &Workshop,
    active: &ActiveRun,
    begun: &Begun,
    chosen: &Chosen,
    word: Word,
    out: &Path,
    cancel: &Cancel,
) -> Result<(Report, Vec<PathBuf>), Failure> {
    let registry = shop.registry()?;
    let watcher = Arc::new(Watcher::new(&shop.out));
    let minds = models::minds(shop, chosen, begun)?;
    let actor = minds.id();
    let mut policy = shop.home()?.policy.clone();
    if let Goal::Import { draft } = &begun.goal
        && matches!(draft.provenance.author, Author::Person { .. })
    {
        // A person's own tool comes with that person's own cases; the card and the record say so.
        // A client's proposal that a person takes up again stays a client's.
        policy.trial.min_independent_cases = 0;
    }
    let ctx = Context {
        registry: registry.acting_as(&actor),
        sandbox: Arc::clone(shop.sandbox()?),
        policy,
        minds,
        externals: super::servers::externals(shop)?,
        reporter: Arc::clone(&watcher) as Arc<dyn handaxe_types::Reporter>,
        cancel: cancel.clone(),
        max_repairs: begun.max_repairs,
    };
    let approver: Box<dyn Approver> = match word {
        Word::Yes => Box::new(YesFlag::new(shop, Arc::clone(&watcher))),
        Word::UseOnce => Box::new(OnceFlag::new(shop, Arc::clone(&watcher))),
        Word::None if Asking::possible(shop) => {
            let asking = Asking::new(shop, Some(Arc::clone(&watcher)))?;
            Box::new(match begun.goal {
                Goal::Answer => asking.for_an_answer(shop)?,
                _ => asking,
            })
        }
        Word::None => Box::new(NoOne),
    };
    let staging = shop.home()?.run_dir(active.id().as_str()).join("artifacts");
    let walked = walk(&ctx, active.id(), begun, approver.as_ref(), staging.clone());
    watcher.clear();
    let report = match walked {
        Ok(report) => report,
        Err(error) => return Err(broke_off(shop, active, error)),
    };
    let end = RunEnd {
        state: report.state,
        answer: Some(json!(report)),
        stopped_by: report.stopped_by.as_ref().map(|s| s.kind.clone()),
    };
    registry
        .end_run(active.id(), &end)
        .map_err(|e| run_failure(&e))?;
    let files = hand_over(&report, &staging, out)?;
    Ok((report, files))
}

/// A run that broke off stays resumable, but for one whose own input can never work.
fn broke_off(shop: &Workshop, active: &ActiveRun, error: PipelineError) -> Failure {
    let resume = format!("handaxe runs resume {}", active.id());
    match error {
        PipelineError::Data { .. } => give_up(shop, active, "data", pipeline_failure(error)),
        PipelineError::Cancelled => {
            pipeline_failure(error).hint(format!("{resume} goes on from here"))
        }
        error => {
            let failure = pipeline_failure(error);
            let hint = failure.hint.clone();
            let then = hint.map_or_else(|| resume.clone(), |hint| format!("{hint}; then {resume}"));
            failure.hint(then)
        }
    }
}

/// Ends a run whose own input can never work.
fn give_up(shop: &Workshop, active: &ActiveRun, by: &str, failure: Failure) -> Failure {
    let end = RunEnd {
        state: RunState::Failed,
        answer: None,
        stopped_by: Some(by.to_owned()),
    };
    if let Ok(registry) = shop.registry() {
        let _ = registry.end_run(active.id(), &end);
    }
    failure
}

/// Copies produced files out of the run's folder, under names that are free.
fn hand_over(report: &Report, staging: &Path, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for artifact in report.invocations.iter().flat_map(|i| &i.result.artifacts) {
        let fail = |e: std::io::Error| {
            Failure::failed(
                "artifact",
                format!("cannot put {} into {}: {e}", artifact.name, out.display()),
            )
            .hint(format!("it is kept in {}", staging.display()))
        };
        std::fs::create_dir_all(out).map_err(fail)?;
        paths.push(
            copy_to_free_name(&staging.join(&artifact.name), out, &artifact.name).map_err(fail)?,
        );
    }
    Ok(paths)
}

fn copy_to_free_name(from: &Path, dir: &Path, name: &str) -> std::io::Result<PathBuf> {
    let mut source = std::fs::File::open(from)?;
    let (stem, extension) = name.rsplit_once('.').map_or((name, ""), |(s, e)| (s, e));
    for n in 1..10_000_u32 {
        let candidate = match (n, extension) {
            (1, _) => name.to_owned(),
            (n, "") => format!("{stem}-{n}"),
            (n, extension) => format!("{stem}-{n}.{extension}"),
        };
        let path = dir.join(candidate);
        match std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
        {
            Ok(mut target) => {
                std::io::copy(&mut source, &mut target)?;
                return Ok(path);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(std::io::Error::from(std::io::ErrorKind::AlreadyExists))
}

/// Tells how the run ended, in words or as one document.
fn tell(shop: &Workshop, report: &Report, files: &[PathBuf]) -> Outcome {
    let mut document = json!(report);
    if let Some(map) = document.as_object_mut() {
        map.insert("files".to_owned(), json!(files));
        if let Some(verdict) = &report.verdict {
            map.insert("accepted".to_owned(), json!(verdict.accepted));
            map.insert("reasons".to_owned(), json!(verdict.reasons));
            map.insert("scores".to_owned(), json!(verdict.scores));
        }
    }
    shop.out.document(&document)?;
    if let Some(answer) = &report.answer {
        shop.out.say(Lines(answer));
    }
    if let Some(line) = report.cost.as_ref().and_then(cost_line) {
        shop.out
            .note(faint().for_stderr().apply_to(format!("Cost: {line}")));
    }
    for path in files {
        let size = std::fs::metadata(path).map_or(0, |m| m.len());
        shop.out
            .say(format!("Wrote {} ({}).", path.display(), bytes(size)));
    }
    match report.state {
        RunState::Done => {
            if let (None, Some(plan), true) =
                (&report.answer, &report.plan, report.tools.is_empty())
            {
                shop.out
                    .say(format!("The plan is to {}.", plan.route.as_str()));
            } else if report.answer.is_none() {
                for tool in &report.tools {
                    shop.out.say(format!(
                        "{}@{} is ready: handaxe run {}",
                        tool.name, tool.version, tool.name
                    ));
                }
            }
            Ok(Exit::Done)
        }
        RunState::Waiting => {
            if let (Some(stop), false) = (&report.stopped_by, shop.out.json) {
                shop.out
                    .paragraph(&bad().bold(), "Not answered:", &stop.message);
                if let Some(hint) = &stop.hint {
                    shop.out.paragraph(&strong(), "Next:", hint);
                }
            }
            let id = report.approval.map(|id| id.to_string()).unwrap_or_default();
            shop.out.say(format!(
                "{} The tool is proved and waits for a person.\n  handaxe approvals show {id}      what it is and what was proved\n  handaxe approvals approve {id}   say yes\n  handaxe runs resume {}   then: the answer",
                caution().apply_to("Waiting for approval."),
                report.run
            ));
            Ok(Exit::Waiting)
        }
        RunState::Refused | RunState::Failed | RunState::Running => {
            let fallback = Stop::new("unknown", "the run ended without a reason");
            let stop = report.stopped_by.as_ref().unwrap_or(&fallback);
            // Programs have it in the document.
            if !shop.out.json {
                let title = if report.state == RunState::Refused {
                    "Refused:"
                } else {
                    "Failed:"
                };
                shop.out.paragraph(&bad().bold(), title, &stop.message);
                if let Some(hint) = &stop.hint {
                    shop.out.paragraph(&strong(), "Next:", hint);
                }
            }
            Ok(match stop {
                stop if stop.is_bound() => Exit::Bound,
                _ if report.state == RunState::Refused => Exit::Refused,
                _ => Exit::Failed,
            })
        }
    }
}
