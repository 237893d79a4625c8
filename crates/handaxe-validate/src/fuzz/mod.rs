//! Schema-driven fuzz: a tool must take every input that its schema allows, and the host must
//! refuse what it does not.
//!
//! Each valid input runs in a process of its own, like any call. A sample runs again under another
//! hash seed. What fails is made small and becomes a case of origin `fuzz`. Nothing here knows a
//! right output; what is wrong on its face is in [`errors`].

mod errors;
mod files;
mod generate;
mod inputs;
mod near;
mod pattern;
mod shrink;
mod source;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use handaxe_sandbox::{Call, Cancel, SandboxError, Session};
use handaxe_types::json::{self, Bounds};
use handaxe_types::{
    Case, CaseFile, CaseResult, Check, FuzzFailure, FuzzKind, FuzzReport, Limits, Origin, Outcome,
    Relation, SandboxResult, Spec, Stage,
};
use serde_json::Value;

use crate::cases::STDERR_CHARS;
use crate::compare::compare;
use crate::invoke::{Arguments, InvokeError, invoke};
use crate::runner::{Runner, in_parallel};
use crate::trial::ValidateError;

pub(crate) use errors::{Answer, Answers, Failed};
pub(crate) use generate::Generator;
pub(crate) use shrink::weight;
pub(crate) use source::Source;

/// The generator's name and version on record: another version may give other inputs for a seed.
pub const GENERATOR: &str = "handaxe-fuzz/1";

/// Runs repeated under another hash seed.
const REPEATED: usize = 100;
/// Different failures that are made small and shown; more are counted.
const SHOWN: usize = 5;
/// Failing runs after which it is plain.
const ENOUGH: u32 = 60;
/// The same for runs that cost their whole limit.
const ENOUGH_SLOW: u32 = 2;
/// Runs to make one failure small, and for one that takes its whole limit.
const SHRINK_RUNS: usize = 150;
const SHRINK_RUNS_SLOW: usize = 8;
/// Limit of one such slow run, so that a hang need not be waited for to its end again and again.
const SHRINK_WALL_MS: u64 = 1_500;
const PROGRESS_EVERY: u32 = 10;

/// What the later stages draw on.
pub(crate) struct Fuzzed {
    pub(crate) report: FuzzReport,
    /// Inputs that gave an output, with it.
    pub(crate) answered: Vec<(Arguments, Value)>,
    /// Milliseconds of each run.
    pub(crate) times: Vec<f64>,
}

/// One run of one input.
struct Ran {
    answer: Answer,
    ms: f64,
}

pub(crate) fn run(
    runner: &Runner<'_>,
    spec: &Spec,
    own: &[Case],
    answers: &Answers,
    seed: u64,
) -> Result<Fuzzed, ValidateError> {
    let asked = runner.policy.trial.fuzz_inputs;
    // The stages after this one need time too.
    let until = Instant::now() + runner.left() / 2;
    let stop = || Instant::now() >= until;
    let inputs = inputs::inputs(spec, &runner.contract, own, asked as usize, seed, &stop);
    let mut report = FuzzReport {
        seed,
        generator: GENERATOR.to_owned(),
        asked,
        generated: inputs.list.len() as u32,
        inputs: Some(inputs.digest),
        ..FuzzReport::default()
    };
    let session = runner.session()?;
    let enough = AtomicBool::new(false);
    let (done, failed, slow) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let of = inputs.list.len() as u32;
    let ran = in_parallel(&inputs.list, |arguments| {
        if enough.load(Ordering::Relaxed) || stop() {
            return Ok(None);
        }
        let ran = one(runner, &*session, answers, arguments)?;
        if let Answer::Failed(failure) = &ran.answer {
            let slow = slow.fetch_add(u32::from(is_slow(failure.kind)), Ordering::Relaxed);
            let failed = failed.fetch_add(1, Ordering::Relaxed) + 1;
            if failed >= ENOUGH || (is_slow(failure.kind) && slow + 1 >= ENOUGH_SLOW) {
                enough.store(true, Ordering::Relaxed);
            }
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(PROGRESS_EVERY) && done < of {
            runner.progress(Stage::Fuzz, done, of, failed.load(Ordering::Relaxed));
        }
        Ok(Some(ran))
    })?;
    let mut failures: Vec<(usize, Failed)> = Vec::new();
    let mut answered = Vec::new();
    let mut times = Vec::new();
    for (i, ran) in ran.into_iter().enumerate() {
        let Some(ran) = ran else { continue };
        report.runs += 1;
        times.push(ran.ms);
        match ran.answer {
            Answer::Output(output) => answered.push((inputs.list[i].clone(), output)),
            Answer::Documented(kind) => *report.documented.entry(kind).or_default() += 1,
            Answer::Failed(failure) => failures.push((i, failure)),
        }
    }
    if runner.deterministic && failures.is_empty() {
        failures = repeat(runner, answers, &answered, &inputs.list, &mut report)?;
    }
    report.failed = failures.len() as u32;
    if report.runs < report.generated {
        report.stopped_by = Some(
            if enough.load(Ordering::Relaxed) {
                "so many failed that more say nothing new"
            } else {
                "the time for one trial was over"
            }
            .to_owned(),
        );
    }
    runner.progress(Stage::Fuzz, report.runs, report.runs, report.failed);
    report.failures = told(runner, answers, &inputs.list, failures)?;
    near_valid(runner, spec, &inputs.list, &mut report);
    Ok(Fuzzed {
        report,
        answered,
        times,
    })
}

fn is_slow(kind: FuzzKind) -> bool {
    matches!(kind, FuzzKind::Timeout | FuzzKind::Memory)
}

fn one(
    runner: &Runner<'_>,
    session: &dyn Session,
    answers: &Answers,
    arguments: &Arguments,
) -> Result<Ran, ValidateError> {
    let (answer, ms) = match runner.invoke(session, &runner.contract, arguments) {
        Ok(run) => {
            let ms = run.runtime_ms;
            (answers.of(run, !arguments.files.is_empty()), ms)
        }
        Err(InvokeError::Output { violation, result }) => {
            let what = format!("its output does not fit the output schema: {violation}");
            let failed = Failed {
                kind: FuzzKind::Output,
                what,
                error: result.error,
                stderr: result.stderr,
            };
            (Answer::Failed(failed), result.runtime_ms)
        }
        Err(InvokeError::Sandbox(e)) => return Err(e.into()),
        // The inputs were checked when they were made.
        Err(e @ (InvokeError::Input(_) | InvokeError::FileNotAttached { .. })) => {
            return Err(ValidateError::Generated {
                reason: e.to_string(),
            });
        }
    };
    Ok(Ran { answer, ms })
}

/// A sample again under another hash seed: the same output is expected.
fn repeat(
    runner: &Runner<'_>,
    answers: &Answers,
    answered: &[(Arguments, Value)],
    list: &[Arguments],
    report: &mut FuzzReport,
) -> Result<Vec<(usize, Failed)>, ValidateError> {
    let step = answered.len().div_ceil(REPEATED).max(1);
    let sample: Vec<&(Arguments, Value)> = answered.iter().step_by(step).collect();
    if sample.is_empty() || runner.is_over() {
        return Ok(Vec::new());
    }
    let session = runner.other_session()?;
    let same = in_parallel(&sample, |(arguments, first)| {
        Ok(match one(runner, &*session, answers, arguments)?.answer {
            Answer::Output(second) => compare(first, &second, None).is_ok(),
            Answer::Documented(_) | Answer::Failed(_) => false,
        })
    })?;
    report.repeated = sample.len() as u32;
    let differ = sample.iter().zip(same).filter(|(_, same)| !same);
    Ok(differ
        .filter_map(|((arguments, _), _)| {
            let digest = inputs::digest(arguments);
            let at = list.iter().position(|a| inputs::digest(a) == digest)?;
            let what = "run again under another hash seed, it gave another result".to_owned();
            let failed = Failed {
                kind: FuzzKind::NotDeterministic,
                what,
                error: None,
                stderr: String::new(),
            };
            Some((at, failed))
        })
        .collect())
}

/// The different failures, each made small.
fn told(
    runner: &Runner<'_>,
    answers: &Answers,
    list: &[Arguments],
    failures: Vec<(usize, Failed)>,
) -> Result<Vec<FuzzFailure>, ValidateError> {
    type Key = (FuzzKind, String, Option<u32>);
    let mut groups: BTreeMap<Key, (usize, Failed, u32)> = BTreeMap::new();
    for (i, failed) in failures {
        let group = groups
            .entry(failed.key())
            .or_insert_with(|| (i, failed.clone(), 0));
        group.2 += 1;
        // The smallest is the nearest to the end.
        if shrink::weight(&list[i]) < shrink::weight(&list[group.0]) {
            (group.0, group.1) = (i, failed);
        }
    }
    let mut groups: Vec<(usize, Failed, u32)> = groups.into_values().collect();
    groups.sort_by_key(|(i, _, seen)| (std::cmp::Reverse(*seen), *i));
    groups.truncate(SHOWN);
    let done = AtomicU32::new(0);
    in_parallel(&groups, |(i, failed, seen)| {
        let found = &list[*i];
        let small = made_small(runner, answers, found, failed)?;
        let of = groups.len() as u32;
        runner.progress(
            Stage::Shrink,
            done.fetch_add(1, Ordering::Relaxed) + 1,
            of,
            0,
        );
        Ok(FuzzFailure {
            kind: failed.kind,
            what: failed.what.clone(),
            case: case(&small, failed.kind),
            error: failed.error.clone(),
            stderr: failed.stderr.chars().take(STDERR_CHARS).collect(),
            seen: *seen,
            found_bytes: shrink::weight(found),
            shrunk_bytes: shrink::weight(&small),
        })
    })
}

fn made_small(
    runner: &Runner<'_>,
    answers: &Answers,
    found: &Arguments,
    failed: &Failed,
) -> Result<Arguments, ValidateError> {
    let key = failed.key();
    let session = runner.session()?;
    let other = match failed.kind {
        FuzzKind::NotDeterministic => Some(runner.other_session()?),
        _ => None,
    };
    let slow = is_slow(failed.kind);
    let limits = runner.contract.limits();
    let short = slow.then(|| Limits {
        wall_ms: limits.wall_ms.min(SHRINK_WALL_MS),
        ..limits.clone()
    });
    let fails = |candidate: &Arguments| {
        if runner.is_over() || runner.contract.check_input(candidate).is_err() {
            return Ok(false);
        }
        let candidate = Arguments {
            limits: short.clone(),
            ..candidate.clone()
        };
        let first = one(runner, &*session, answers, &candidate)?.answer;
        Ok(match (first, &other) {
            (Answer::Failed(again), _) => again.key() == key,
            (Answer::Output(first), Some(other)) => {
                match one(runner, &**other, answers, &candidate)?.answer {
                    Answer::Output(second) => compare(&first, &second, None).is_err(),
                    _ => true,
                }
            }
            _ => false,
        })
    };
    let runs = if slow { SHRINK_RUNS_SLOW } else { SHRINK_RUNS };
    let small = shrink::shrink(found.clone(), runs, &fails)?;
    Ok(Arguments {
        limits: None,
        ..small
    })
}

/// A failing input as a case that the tool must pass from now on.
fn case(arguments: &Arguments, kind: FuzzKind) -> Case {
    // Named by what it holds: the failures of two attempts stand side by side.
    let name: String = inputs::digest(arguments)
        .to_string()
        .chars()
        .take(8)
        .collect();
    let relation = match kind {
        FuzzKind::NotDeterministic => Relation::Deterministic,
        _ => Relation::NeverRaises,
    };
    Case {
        name: format!("fuzz_{name}"),
        origin: Origin::Fuzz,
        input: arguments.input.clone(),
        files: arguments
            .files
            .iter()
            .map(|f| (f.name.clone(), CaseFile::new(f.bytes.to_vec())))
            .collect(),
        check: Check::Relation {
            relation,
            tolerance: None,
        },
        held_out: false,
    }
}

/// The result that a failing input has as a case.
pub(crate) fn case_result(failure: &FuzzFailure) -> CaseResult {
    CaseResult {
        name: failure.case.name.clone(),
        origin: Origin::Fuzz,
        held_out: false,
        passed: false,
        outcome: match failure.kind {
            FuzzKind::Raised => Outcome::ToolError,
            FuzzKind::Timeout => Outcome::Timeout,
            FuzzKind::Memory => Outcome::Memory,
            FuzzKind::OutputLimit => Outcome::OutputLimit,
            FuzzKind::Policy => Outcome::Policy,
            FuzzKind::Crash => Outcome::Crash,
            FuzzKind::Protocol => Outcome::Protocol,
            FuzzKind::Output | FuzzKind::NotDeterministic => Outcome::Ok,
        },
        failure: Some(failure.what.clone()),
        got: None,
        error: failure.error.clone(),
        stderr: failure.stderr.clone(),
        runtime_ms: 0.0,
        max_rss_kib: 0,
        withdrawn: None,
    }
}

/// Gives the host what it must refuse, on the way that every call takes, with a session behind it
/// that would tell if anything came through.
fn near_valid(runner: &Runner<'_>, spec: &Spec, valid: &[Arguments], report: &mut FuzzReport) {
    struct Nothing(AtomicU32);
    impl Session for Nothing {
        fn call(&self, _: &Call, _: &Cancel) -> Result<SandboxResult, SandboxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(SandboxError::Cancelled)
        }
    }
    let nothing = Nothing(AtomicU32::new(0));
    let Some(valid) = valid.first() else { return };
    for near in near::near_valid(spec, valid) {
        report.near_valid += 1;
        let refused = match &near.given {
            near::NearValid::Input(arguments) => {
                let before = nothing.0.load(Ordering::Relaxed);
                let _ = invoke(&nothing, &runner.contract, arguments, runner.cancel);
                nothing.0.load(Ordering::Relaxed) == before
            }
            near::NearValid::Text(text) => json::parse(text.as_bytes(), Bounds::DEFAULT).is_err(),
        };
        if refused {
            report.near_valid_refused += 1;
        } else if report.let_through.len() < SHOWN {
            report.let_through.push(near.what);
        }
    }
}
