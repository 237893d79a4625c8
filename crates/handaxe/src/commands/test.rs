//! `handaxe tools test`: the whole proof of a tool, and its score card, with nothing registered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use handaxe_agent::{RiskyLine, risks, split};
use handaxe_types::{Author, Case, Draft, Silent, Trial, Verdict};
use handaxe_validate::Validator;
use serde_json::json;

use super::{junit, validate_failure};
use crate::cli::TestArgs;
use crate::failure::{Exit, Failure, Outcome};
use crate::folder::read_folder;
use crate::inputs;
use crate::render::text::{Lines, Shown, clip};
use crate::render::{Watcher, bad, caution, faint, good, score_card, strong};
use crate::workshop::{Workshop, registry_failure, tool_ref};

/// Failing cases and inputs that are told one by one.
const TOLD: usize = 12;
/// Of the lines worth reading first.
const RISKS: usize = 5;

/// What is tested, and what to do with it next.
struct Subject {
    name: String,
    draft: Draft,
    held_out: Vec<Case>,
    /// The folder, where it is one.
    dir: Option<PathBuf>,
}

pub(crate) fn run(shop: &Workshop, args: &TestArgs) -> Outcome {
    let goldens = inputs::goldens(&args.golden)?;
    let mut subject = subject(shop, &args.tool)?;
    subject.held_out.extend(goldens);
    let mut policy = shop.home()?.policy.clone();
    if matches!(subject.draft.provenance.author, Author::Person { .. }) {
        // A person's own cases are all there are; the card and the record say whose they are.
        policy.trial.min_independent_cases = 0;
    }
    let mut validator = Validator::new(Arc::clone(shop.sandbox()?), policy.clone());
    if let Some(seed) = args.seed {
        validator = validator.seeded(seed);
    }
    let cancel = handaxe_sandbox::Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let watcher = Watcher::new(&shop.out);
    let reporter: &dyn handaxe_types::Reporter = if shop.out.quiet { &Silent } else { &watcher };
    let trial = validator.trial(&subject.draft, &subject.held_out, reporter, &cancel);
    watcher.clear();
    let trial = trial.map_err(|e| validate_failure(&e))?;
    let verdict = handaxe_validate::judge(&trial, &policy);
    let risks = risks(&subject.draft.code, &trial);
    if let Some(path) = &args.junit {
        junit::write(path, &subject.name, &trial, &verdict)?;
    }
    shop.out.document(&json!({
        "accepted": verdict.accepted,
        "reasons": verdict.reasons,
        "scores": verdict.scores,
        "card": verdict.card,
        "findings": verdict.findings,
        "cases": trial.cases,
        "fuzz": trial.fuzz,
        "mutation": trial.mutation,
        "coverage": trial.coverage,
        "cost": trial.cost,
        "capabilities": trial.capabilities,
        "stages": trial.stages,
        "risks": risks,
        "interpreter": trial.interpreter,
        "layers": trial.layers,
        "digest": trial.subject,
        "approval": null,
    }))?;
    tell(shop, &subject, &trial, &verdict, &risks);
    Ok(if verdict.accepted {
        Exit::Done
    } else {
        Exit::Refused
    })
}

/// A folder where there is one of that name or where it is written like a path; a registered tool
/// otherwise.
fn subject(shop: &Workshop, named: &str) -> Result<Subject, Failure> {
    let dir = Path::new(named);
    if named.contains('/') || named.starts_with('.') || dir.is_dir() {
        let draft = read_folder(dir, None)?;
        return Ok(Subject {
            name: draft.spec.name.to_string(),
            draft,
            held_out: Vec::new(),
            dir: Some(dir.to_owned()),
        });
    }
    let tool = tool_ref(named)?;
    let detail = shop
        .registry()?
        .tool(&tool)
        .map_err(|e| registry_failure(&e))?
        .ok_or_else(|| {
            Failure::failed(
                "not_found",
                format!("there is no folder and no tool `{tool}`"),
            )
            .hint("`handaxe tools list` shows the tools; a folder has tool.py and spec.json")
        })?;
    let request = detail.approvals.first().map(|a| a.request.id);
    let whole = match request {
        Some(id) => shop
            .registry()?
            .proposal(id)
            .map_err(|e| registry_failure(&e))?,
        None => None,
    }
    .ok_or_else(|| Failure::failed("not_found", format!("`{tool}` was never proposed")))?;
    let (draft, held_out) = split(&whole.draft);
    Ok(Subject {
        name: format!("{}@{}", detail.summary.name, detail.summary.version),
        draft,
        held_out,
        dir: None,
    })
}

fn tell(shop: &Workshop, subject: &Subject, trial: &Trial, verdict: &Verdict, risks: &[RiskyLine]) {
    let out = &shop.out;
    out.say(strong().apply_to(Shown(&subject.name)));
    out.say(score_card(verdict).trim_end());
    let failed: Vec<_> = trial
        .cases
        .iter()
        .filter(|c| !c.passed && c.withdrawn.is_none())
        .collect();
    for case in failed.iter().take(TOLD) {
        let why = case.failure.as_deref().unwrap_or("failed");
        out.say(format!(
            "  {} {} ({}): {}",
            bad().apply_to("failed"),
            Shown(&case.name),
            case.origin.as_str(),
            Shown(&clip(why, 300))
        ));
        if let Some(line) = case.stderr.lines().last() {
            out.say(faint().apply_to(format!("    {}", Shown(&clip(line, 200)))));
        }
    }
    if failed.len() > TOLD {
        let more = failed.len() - TOLD;
        out.say(format!("  … and {more} more; --json has all of them"));
    }
    for failure in trial.fuzz.iter().flat_map(|f| &f.failures).take(TOLD) {
        let input = serde_json::Value::Object(failure.case.input.clone()).to_string();
        out.say(format!(
            "  {} {} on {} ({} times)",
            bad().apply_to("fuzz"),
            Shown(&failure.what),
            Shown(&clip(&input, 200)),
            failure.seen
        ));
    }
    for finding in &verdict.findings {
        out.say(format!(
            "  {} line {}: {} ({})",
            caution().apply_to("finding"),
            finding.line,
            Shown(&finding.reason),
            finding.rule
        ));
    }
    for risk in risks.iter().take(RISKS) {
        out.say(format!(
            "  {} line {}: {}",
            caution().apply_to("read"),
            risk.line,
            Shown(&risk.why.join("; "))
        ));
    }
    if verdict.accepted {
        out.say(good().apply_to("Accepted."));
        if let Some(dir) = &subject.dir {
            out.say(faint().apply_to(format!("Next: handaxe tools import {}", dir.display())));
        }
        return;
    }
    for reason in &verdict.reasons {
        out.say(format!("{} {}", bad().apply_to("Refused:"), Lines(reason)));
    }
    if let Some(next) = next(subject, trial, verdict) {
        out.say(format!("{} {next}", strong().apply_to("Next:")));
    }
}

/// The next thing to do about the first thing that is wrong.
fn next(subject: &Subject, trial: &Trial, verdict: &Verdict) -> Option<String> {
    let dir = subject.dir.as_ref()?.display();
    let refused = handaxe_types::Severity::Refuse;
    let again = format!("handaxe tools test {dir}");
    Some(
        if let Some(f) = verdict.findings.iter().find(|f| f.severity == refused) {
            format!(
                "change line {} of {dir}/tool.py, or allow it in policy.toml ({}); then {again}",
                f.line, f.rule
            )
        } else if !trial.template.is_empty() {
            format!("make {dir}/tool.py and {dir}/spec.json agree; then {again}")
        } else if trial.cases.is_empty() {
            format!(
                r#"write cases to {dir}/cases.jsonl, one a line: {{"name": "…", "input": {{…}}, "expect": …}}; then {again}"#
            )
        } else if trial.cases.iter().any(|c| !c.passed) {
            format!("correct {dir}/tool.py, or the case; then {again}")
        } else if let Some(failure) = trial.fuzz.iter().flat_map(|f| &f.failures).next() {
            let case = serde_json::to_string(&failure.case).unwrap_or_default();
            format!(
                "handle that input, or narrow the input schema; add the case to {dir}/cases.jsonl: {}",
                Shown(&clip(&case, 400))
            )
        } else {
            format!("see the card above; then {again}")
        },
    )
}
