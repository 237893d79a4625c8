//! `handaxe eval --suite data` and `--suite example`: the built-in author alone.

use std::path::Path;

use handaxe_eval::{Report, SuiteError, document, questions, run_data, run_examples, tasks};

use super::{bar, built_in, failure, taken, tell, tick};
use crate::cli::{EvalArgs, PartArg, SuiteArg};
use crate::failure::{Exit, Outcome};
use crate::workshop::Workshop;

pub(super) fn run(shop: &Workshop, args: &EvalArgs) -> Outcome {
    let bar = bar(shop);
    let mut tick = |done: usize, of: usize| tick(&bar, done, of);
    let measured = match &args.from {
        Some(dir) => measured(args, dir, &mut tick),
        None => built_in(|dir| {
            if args.suite == SuiteArg::Example {
                by_example(args, &dir.join("tasks.jsonl"), &mut tick)
            } else {
                data(args, &dir.join("questions.jsonl"), dir, &mut tick)
            }
        }),
    };
    bar.finish_and_clear();
    let report = measured.map_err(|e| failure(&e))?;
    tell(shop, args, &report, &document::of_scored(&report))?;
    Ok(Exit::Done)
}

fn measured(
    args: &EvalArgs,
    dir: &Path,
    tick: &mut dyn FnMut(usize, usize),
) -> Result<Report, SuiteError> {
    let suite = dir.join(format!("seed-{}", args.seed));
    match (args.suite, args.part) {
        (SuiteArg::Example, part) => {
            let file = match part {
                PartArg::Open | PartArg::Steps => "tasks.jsonl",
                PartArg::Frozen | PartArg::FrozenSets => "hidden_tasks.jsonl",
            };
            by_example(args, &suite.join(file), tick)
        }
        (_, part) => {
            let file = match part {
                PartArg::Open => "questions.jsonl",
                PartArg::Frozen => "frozen_style.jsonl",
                PartArg::FrozenSets => "frozen_sets.jsonl",
                PartArg::Steps => "steps.jsonl",
            };
            data(args, &suite.join(file), &dir.join("data"), tick)
        }
    }
}

fn data(
    args: &EvalArgs,
    file: &Path,
    data: &Path,
    tick: &mut dyn FnMut(usize, usize),
) -> Result<Report, SuiteError> {
    run_data("data", &taken(questions(file)?, args.take), data, tick)
}

fn by_example(
    args: &EvalArgs,
    file: &Path,
    tick: &mut dyn FnMut(usize, usize),
) -> Result<Report, SuiteError> {
    Ok(run_examples(
        "example",
        &taken(tasks(file)?, args.take),
        tick,
    ))
}
