//! `handaxe eval`: what the built-in author gets right, wrong, and refuses.

use std::path::Path;

use handaxe_eval::{Report, Score, SuiteError, questions, run_data, run_examples, tasks};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::cli::{EvalArgs, PartArg, SuiteArg};
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::render::{faint, strong, table};
use crate::workshop::Workshop;

pub(crate) fn run(shop: &Workshop, args: &EvalArgs) -> Outcome {
    let bar = ProgressBar::with_draw_target(
        None,
        if shop.out.quiet || shop.out.json {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        },
    );
    let mut tick = |done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let measured = match &args.from {
        Some(dir) => measured(args, dir, &mut tick),
        None => built_in(args.suite, &mut tick),
    };
    bar.finish_and_clear();
    let report = measured.map_err(|e| {
        Failure::new(Exit::Failed, "eval", chain(&e))
            .hint("scripts/eval-data DIR makes the whole suites; without --from the small ones run")
    })?;
    if shop.out.json {
        shop.out.document(&report)?;
    } else {
        show(shop, &report);
    }
    Ok(Exit::Done)
}

fn measured(
    args: &EvalArgs,
    dir: &Path,
    tick: &mut dyn FnMut(usize, usize),
) -> Result<Report, SuiteError> {
    let suite = dir.join(format!("seed-{}", args.seed));
    match (args.suite, args.part) {
        (SuiteArg::Data, part) => {
            let file = match part {
                PartArg::Open => "questions.jsonl",
                PartArg::Frozen => "frozen_style.jsonl",
                PartArg::FrozenSets => "frozen_sets.jsonl",
            };
            run_data(
                "data",
                &questions(&suite.join(file))?,
                &dir.join("data"),
                tick,
            )
        }
        (SuiteArg::Example, PartArg::Open) => Ok(run_examples(
            "example",
            &tasks(&suite.join("tasks.jsonl"))?,
            tick,
        )),
        (SuiteArg::Example, PartArg::Frozen | PartArg::FrozenSets) => {
            let hidden = tasks(&suite.join("hidden_tasks.jsonl"))?;
            Ok(run_examples("example", &hidden, tick))
        }
    }
}

fn built_in(suite: SuiteArg, tick: &mut dyn FnMut(usize, usize)) -> Result<Report, SuiteError> {
    let dir = std::env::temp_dir().join(format!("handaxe-eval-{}", std::process::id()));
    handaxe_eval::unpack(&dir)?;
    let report = match suite {
        SuiteArg::Data => {
            questions(&dir.join("questions.jsonl")).and_then(|q| run_data("data", &q, &dir, tick))
        }
        SuiteArg::Example => {
            tasks(&dir.join("tasks.jsonl")).map(|t| run_examples("example", &t, tick))
        }
    };
    // A folder left in the temporary directory harms nobody.
    let _ = std::fs::remove_dir_all(&dir);
    report
}

fn percent((share, low, high): (f64, f64, f64)) -> String {
    format!(
        "{:.1} % ({:.1} to {:.1})",
        100.0 * share,
        100.0 * low,
        100.0 * high
    )
}

fn row(name: &str, score: &Score) -> Vec<String> {
    vec![
        name.to_owned(),
        score.items.to_string(),
        score.right.to_string(),
        score.wrong.to_string(),
        score.refused.to_string(),
        score.failed.to_string(),
        percent(score.right_rate()),
    ]
}

fn show(shop: &Workshop, report: &Report) {
    let header = [
        "",
        "items",
        "right",
        "wrong",
        "refused",
        "failed",
        "right, 95 % interval",
    ];
    for (label, scores) in &report.by {
        let rows = scores
            .iter()
            .map(|(name, score)| row(name, score))
            .collect();
        shop.out.say(strong().apply_to(format!("by {label}")));
        shop.out.say(table(&header, rows));
        shop.out.say("");
    }
    shop.out
        .say(table(&header, vec![row("all", &report.total)]));
    shop.out.say(format!(
        "right {}, wrong {}; {:.0} ms in the middle, {:.0} ms at most",
        percent(report.total.right_rate()),
        percent(report.total.wrong_rate()),
        report.median_ms,
        report.slowest_ms
    ));
    shop.out
        .say(faint().apply_to("a wrong answer is worse than a refusal: both are counted apart"));
}
