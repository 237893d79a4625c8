//! `handaxe runs`: what was asked, how it went, and going on from where it stopped.

use std::path::Path;

use handaxe_agent::Cost;
use handaxe_registry::{Attempt, Foundation};
use handaxe_types::{Route, RunId, RunState};
use serde_json::json;

use super::ask;
use crate::cli::RunsCommand;
use crate::failure::{Exit, Failure, Outcome};
use crate::models;
use crate::render::text::{Lines, Shown, clip};
use crate::render::{bad, caution, cost_table, faint, good, strong, table, when};
use crate::workshop::{Workshop, registry_failure};

pub(crate) fn run(shop: &Workshop, command: RunsCommand) -> Outcome {
    match command {
        RunsCommand::List { limit } => list(shop, limit),
        RunsCommand::Show { id, full } => show(shop, &id, full),
        RunsCommand::Resume {
            id,
            yes,
            while_waiting,
            out,
        } => {
            let word = ask::Word::given(shop, yes, while_waiting)?;
            resume(shop, &id, word, &out)
        }
    }
}

fn run_id(text: &str) -> Result<RunId, Failure> {
    RunId::parse(text).ok_or_else(|| {
        Failure::usage(format!("`{}` is not a run", Shown(&clip(text, 40))))
            .hint("handaxe runs list")
    })
}

fn list(shop: &Workshop, limit: u32) -> Outcome {
    let runs = shop
        .registry()?
        .runs(limit)
        .map_err(|e| registry_failure(&e))?;
    shop.out.document(&json!({ "runs": runs }))?;
    if runs.is_empty() {
        shop.out
            .say("No runs yet. Ask something: handaxe ask \"…\" --data FILE");
        return Ok(Exit::Done);
    }
    let rows = runs
        .iter()
        .map(|r| {
            let state = match (r.state, r.live) {
                (RunState::Running, false) => "interrupted".to_owned(),
                (state, _) => state.as_str().to_owned(),
            };
            vec![
                r.id.to_string(),
                when(r.created_ms),
                state,
                r.route.clone().unwrap_or_default(),
                r.stopped_by.clone().unwrap_or_default(),
                clip(&r.question, 50),
            ]
        })
        .collect();
    shop.out.say(table(
        &["run", "begun", "state", "route", "stopped by", "question"],
        rows,
    ));
    Ok(Exit::Done)
}

fn show(shop: &Workshop, id: &str, full: bool) -> Outcome {
    let id = run_id(id)?;
    let registry = shop.registry()?;
    let run = registry
        .run(&id)
        .map_err(|e| registry_failure(&e))?
        .ok_or_else(|| {
            Failure::failed("not_found", format!("there is no run {id}")).hint("handaxe runs list")
        })?;
    let attempts = registry.attempts(&id).map_err(|e| registry_failure(&e))?;
    let exchanges = registry.exchanges(&id).map_err(|e| registry_failure(&e))?;
    let invocations = registry
        .run_invocations(&id)
        .map_err(|e| registry_failure(&e))?;
    shop.out.document(&json!({
        "run": run, "attempts": attempts, "exchanges": exchanges, "invocations": invocations,
    }))?;
    let out = &shop.out;
    out.say(format!(
        "{} {}",
        strong().apply_to(&id),
        run.summary.state.as_str()
    ));
    out.say(format!("  {}", Lines(&run.summary.question)));
    for file in &run.task.data {
        out.say(format!(
            "  data {} ({} bytes, sha256 {})",
            Shown(&file.name),
            file.bytes,
            file.digest.short()
        ));
    }
    if !run.task.goldens.is_empty() {
        out.say(format!(
            "  {} goldens, taken before any code",
            run.task.goldens.len()
        ));
    }
    if let Some(plan) = &run.plan {
        out.say(format!(
            "\n{} {}",
            strong().apply_to("Plan"),
            plan.route.as_str()
        ));
        for candidate in &plan.candidates {
            let line = format!(
                "  considered {}@{}: {}",
                candidate.tool,
                candidate.version,
                Shown(&candidate.why)
            );
            out.say(faint().apply_to(line));
        }
        if let Route::Compose { flow } = &plan.route {
            for step in &flow.steps {
                let each = if step.each.is_some() {
                    ", for each"
                } else {
                    ""
                };
                out.say(format!("  {}: {}{each}", Shown(&step.id), step.tool_ref()));
            }
        }
        for (i, step) in plan.steps.iter().enumerate() {
            out.say(format!("  {}. {}", i + 1, Shown(step)));
        }
    }
    for attempt in &attempts {
        show_attempt(shop, attempt, full);
    }
    if !exchanges.is_empty() {
        out.say(format!("\n{}", strong().apply_to("Model calls")));
        let rows = exchanges
            .iter()
            .map(|e| {
                vec![
                    e.role.clone(),
                    e.model.clone(),
                    e.tokens_in.to_string(),
                    e.tokens_out.to_string(),
                    e.prompt.short(),
                    e.reply.short(),
                ]
            })
            .collect();
        out.say(table(
            &["role", "model", "tokens in", "out", "prompt", "reply"],
            rows,
        ));
    }
    let cost = run.answer.as_ref().and_then(|a| a.get("cost"));
    if let Some(cost) = cost.and_then(|c| serde_json::from_value::<Cost>(c.clone()).ok()) {
        out.say(format!("\n{}", strong().apply_to("Cost")));
        out.say(cost_table(&cost));
    }
    for call in &invocations {
        out.say(format!(
            "\n{} {}@{} {} in {:.1} ms, {} layers in force{}",
            strong().apply_to("Ran"),
            call.tool,
            call.version,
            call.outcome.as_str(),
            call.runtime_ms,
            call.layers.len(),
            if call.provisional {
                ", while it waited for approval"
            } else {
                ""
            }
        ));
    }
    if let Some(answer) = run.answer.as_ref().and_then(|a| a["answer"].as_str()) {
        out.say(format!(
            "\n{}\n{}",
            strong().apply_to("Answer"),
            Lines(answer)
        ));
        for caution_of in run.rests_on.iter().filter_map(Foundation::caution) {
            out.say(caution().apply_to(format!("  {}", Shown(&caution_of))));
        }
    }
    if let Some(stop) = run
        .answer
        .as_ref()
        .and_then(|a| a["stopped_by"]["message"].as_str())
    {
        out.say(format!("\n{} {}", bad().apply_to("Stopped:"), Lines(stop)));
    }
    if matches!(run.summary.state, RunState::Running | RunState::Waiting) && !run.summary.live {
        out.say(format!("\n  handaxe runs resume {id}"));
    }
    Ok(Exit::Done)
}

fn show_attempt(shop: &Workshop, attempt: &Attempt, full: bool) {
    let out = &shop.out;
    let accepted = attempt.verdict.as_ref().is_some_and(|v| v.accepted);
    let (mark, word) = if accepted {
        (good(), "accepted")
    } else {
        (bad(), "refused")
    };
    out.say(format!(
        "\n{} {}",
        strong().apply_to(format!("Attempt {}", attempt.n)),
        mark.apply_to(word)
    ));
    if let Some(verdict) = &attempt.verdict {
        out.say(format!("  {}", handaxe_agent::proof_words(verdict)));
        for reason in &verdict.reasons {
            out.say(format!("  {}", Lines(reason)));
        }
    }
    if !full {
        return;
    }
    if !attempt.diff.is_empty() {
        out.say(Lines(attempt.diff.trim_end()));
    } else if let Some(draft) = &attempt.draft {
        out.say(crate::render::highlight(&draft.code, out.color()).trim_end());
    }
    if !attempt.stderr.is_empty() {
        out.say(faint().apply_to(Lines(attempt.stderr.trim_end())));
    }
}

fn resume(shop: &Workshop, id: &str, word: ask::Word, out: &Path) -> Outcome {
    let id = run_id(id)?;
    shop.sandbox()?;
    let (active, begun) = ask::taken_up(shop, &id)?;
    shop.out.note(
        faint()
            .for_stderr()
            .apply_to(format!("Resuming {id}: {}", Shown(&begun.task.question))),
    );
    let chosen = models::again(&begun);
    ask::follow(shop, &active, &begun, &chosen, word, out)
}
