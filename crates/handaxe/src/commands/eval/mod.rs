//! `handaxe eval`: what the maker gets right, wrong and refuses, and what its proof lets through.

mod arms;
mod gate;
mod scored;

use std::path::{Path, PathBuf};

use handaxe_eval::{ProblemSuite, SuiteError, document, unpack};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::cli::{EvalArgs, SuiteArg};
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::render::text::Shown;
use crate::render::{faint, strong, table};
use crate::workshop::{Workshop, cancelled};

pub(crate) fn run(shop: &Workshop, args: &EvalArgs) -> Outcome {
    if !args.suite.takes_a_model() {
        without_model(shop, args)?;
    }
    match args.suite {
        SuiteArg::Data | SuiteArg::Example => scored::run(shop, args),
        SuiteArg::Gap => arms::gap(shop, args),
        SuiteArg::Gate => gate::run(shop, args),
        SuiteArg::Formats => arms::run(shop, args, ProblemSuite::Formats),
        SuiteArg::Latm => arms::run(shop, args, ProblemSuite::Latm),
    }
}

/// A suite that no model takes part in: one that was named for it is refused, and one that stands in
/// the environment for everything else is left aside, in words.
fn without_model(shop: &Workshop, args: &EvalArgs) -> Result<(), Failure> {
    let model = args.model.model.as_deref().filter(|m| *m != "composer");
    let standing = std::env::var("HANDAXE_MODEL").ok();
    let named = [
        model.filter(|m| standing.as_deref() != Some(*m)),
        args.model.base_url.as_deref(),
        args.model.record.as_ref().map(|_| "--record"),
    ];
    let suite = args.suite.as_str();
    let alone = match args.suite {
        SuiteArg::Gate => "it measures the proof, over drafts that are there",
        _ => "it measures the built-in composer",
    };
    if let Some(named) = named.into_iter().flatten().next() {
        return Err(Failure::usage(format!(
            "no model takes part in the suite {suite} ({alone}), so `{named}` would change nothing"
        ))
        .hint(
            "the suites gap, formats and latm are measured with a model; leave it out for this one",
        ));
    }
    if let Some(model) = model {
        shop.out.note(faint().for_stderr().apply_to(format!(
            "{} of HANDAXE_MODEL takes no part: {alone}.",
            Shown(model)
        )));
    }
    Ok(())
}

/// A bar on a terminal; nothing elsewhere.
fn bar(shop: &Workshop) -> ProgressBar {
    ProgressBar::with_draw_target(
        None,
        if shop.out.quiet || shop.out.json {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        },
    )
}

fn tick(bar: &ProgressBar, done: usize, of: usize) {
    bar.set_length(of as u64);
    bar.set_position(done as u64);
}

fn failure(error: &SuiteError) -> Failure {
    if matches!(error, SuiteError::Cancelled) {
        return cancelled().hint("the same command goes on from what is kept");
    }
    Failure::new(Exit::Failed, "eval", chain(error))
        .hint("scripts/eval-data DIR and scripts/eval-gate DIR make the whole suites; without --from the small ones run")
}

/// Where the trials of a suite are kept.
fn folder(shop: &Workshop, args: &EvalArgs, suite: &str) -> Result<PathBuf, Failure> {
    Ok(match &args.out {
        Some(dir) => dir.clone(),
        None => shop.home()?.dir().join("eval").join(suite),
    })
}

/// Reads a suite of those that travel with the binary, laid out in a folder for as long as it takes.
fn built_in<T>(read: impl FnOnce(&Path) -> Result<T, SuiteError>) -> Result<T, SuiteError> {
    let dir = std::env::temp_dir().join(format!("handaxe-eval-{}", std::process::id()));
    let read = unpack(&dir).and_then(|()| read(&dir));
    // A folder left in the temporary directory harms nobody.
    let _ = std::fs::remove_dir_all(&dir);
    read
}

/// Every item, or so many of them, evenly over the list.
fn taken<T>(items: Vec<T>, take: Option<usize>) -> Vec<T> {
    let of = items.len();
    let take = take.unwrap_or(of).min(of);
    let drawn = |at: usize| (at + 1) * take / of > at * take / of;
    items
        .into_iter()
        .enumerate()
        .filter(|(at, _)| drawn(*at))
        .map(|(_, item)| item)
        .collect()
}

/// The report: one JSON document, or tables; and the page, where one is asked for.
fn tell(
    shop: &Workshop,
    args: &EvalArgs,
    json: &impl serde::Serialize,
    report: &document::Document,
) -> Result<(), Failure> {
    if let Some(path) = &args.html {
        std::fs::write(path, document::html(report)).map_err(|e| {
            Failure::failed("report", format!("cannot write {}: {e}", path.display()))
        })?;
    }
    shop.out.document(json)?;
    if shop.out.json {
        return Ok(());
    }
    for section in &report.sections {
        shop.out.say(strong().apply_to(&section.heading));
        for line in &section.text {
            shop.out.say(line);
        }
        if let Some(of) = &section.table {
            let header: Vec<&str> = of.header.iter().map(String::as_str).collect();
            shop.out.say(table(&header, of.rows.clone()));
        }
        shop.out.say("");
    }
    for note in &report.notes {
        shop.out.say(faint().apply_to(note));
    }
    if let Some(path) = &args.html {
        shop.out.note(format!("Wrote {}.", path.display()));
    }
    Ok(())
}
