//! `handaxe tools`: the library.

use std::path::{Path, PathBuf};

use handaxe_agent::{Begun, Goal, Making};
use handaxe_registry::{StateChange, ToolDetail, ToolSummary};
use handaxe_types::{Preview, Task, ToolState};
use serde_json::json;

use super::ask;
use crate::cli::ToolsCommand;
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::folder::read_folder;
use crate::inputs;
use crate::models::Chosen;
use crate::render::text::{Lines, Shown, clip};
use crate::render::{bad, good, highlight, score_card, strong, table, when};
use crate::workshop::{Workshop, registry_failure, tool_ref};

pub(crate) fn run(shop: &Workshop, command: ToolsCommand) -> Outcome {
    match command {
        ToolsCommand::List { all } => list(shop, all),
        ToolsCommand::Show { tool, code } => show(shop, &tool, code),
        ToolsCommand::Search { query, limit } => search(shop, &query, limit),
        ToolsCommand::Reindex => reindex(shop),
        ToolsCommand::Test(args) => super::test::run(shop, &args),
        ToolsCommand::Verify(args) => super::verify::verify(shop, &args),
        ToolsCommand::Export(args) => super::export::export(shop, &args),
        ToolsCommand::Docs { site, force } => super::export::docs(shop, &site, force),
        ToolsCommand::Import {
            dir,
            golden,
            why,
            yes,
        } => import(shop, &dir, &golden, why, yes),
        ToolsCommand::Deprecate { tool, successor } => {
            let successor = Some(tool_ref(&successor)?);
            change(shop, &tool, &StateChange::Deprecate { successor }, "")
        }
        ToolsCommand::Retire { tool } => change(shop, &tool, &StateChange::Retire, ""),
        ToolsCommand::Restore { tool } => change(shop, &tool, &StateChange::Restore, ""),
        ToolsCommand::Revoke { tool, reason } => change(shop, &tool, &StateChange::Revoke, &reason),
    }
}

fn list(shop: &Workshop, all: bool) -> Outcome {
    let states: &[ToolState] = if all {
        &[]
    } else {
        &[ToolState::Active, ToolState::Deprecated]
    };
    let tools = shop
        .registry()?
        .tools(states)
        .map_err(|e| registry_failure(&e))?;
    shop.out.document(&json!({ "tools": tools }))?;
    if tools.is_empty() {
        shop.out
            .say("The library is empty. `handaxe ask` makes tools as they are needed.");
        return Ok(Exit::Done);
    }
    let rows = tools.iter().map(row).collect();
    shop.out.say(table(
        &["tool", "state", "calls", "ok", "author", "does"],
        rows,
    ));
    Ok(Exit::Done)
}

fn row(tool: &ToolSummary) -> Vec<String> {
    vec![
        format!("{}@{}", tool.name, tool.version),
        tool.state.as_str().to_owned(),
        tool.usage.calls.to_string(),
        tool.usage.ok.to_string(),
        tool.author.clone(),
        clip(&tool.description, 60),
    ]
}

/// For a home whose tools were registered before what they are found by last changed.
fn reindex(shop: &Workshop) -> Outcome {
    let registry = shop.registry()?;
    let tools = registry.reindex().map_err(|e| registry_failure(&e))?;
    shop.out.document(&json!({ "indexed": tools }))?;
    let are = if tools == 1 { "tool is" } else { "tools are" };
    shop.out.say(format!("{tools} {are} in the index."));
    Ok(Exit::Done)
}

fn search(shop: &Workshop, query: &str, limit: u32) -> Outcome {
    let hits = shop
        .registry()?
        .search(query, limit)
        .map_err(|e| registry_failure(&e))?;
    shop.out.document(&json!({ "hits": hits }))?;
    if hits.is_empty() {
        shop.out
            .say("No tool has these words. `handaxe tools list` shows all of them.");
        return Ok(Exit::Done);
    }
    let rows = hits
        .iter()
        .map(|h| {
            vec![
                format!("{}@{}", h.tool, h.version),
                h.domain.clone(),
                clip(&h.description, 70),
            ]
        })
        .collect();
    shop.out.say(table(&["tool", "domain", "does"], rows));
    Ok(Exit::Done)
}

fn show(shop: &Workshop, name: &str, code_only: bool) -> Outcome {
    let tool = tool_ref(name)?;
    let detail = shop
        .registry()?
        .tool(&tool)
        .map_err(|e| registry_failure(&e))?
        .ok_or_else(|| {
            Failure::failed("not_found", format!("there is no tool `{tool}`"))
                .hint(format!("handaxe tools search {}", tool.name))
        })?;
    shop.out.document(&detail)?;
    if code_only {
        // Bare, so that it can be saved to a file.
        shop.out.say(Lines(detail.code.trim_end()));
        return Ok(Exit::Done);
    }
    shop.out.say(page(shop, &detail).trim_end());
    Ok(Exit::Done)
}

fn page(shop: &Workshop, detail: &ToolDetail) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let s = &detail.summary;
    let title = |text: &str| strong().apply_to(text.to_owned()).to_string();
    let _ = writeln!(
        out,
        "{}  {}",
        title(&format!("{}@{}", s.name, s.version)),
        s.state.as_str()
    );
    let _ = writeln!(out, "{}\n", Shown(&s.description));
    let _ = writeln!(out, "  made by      {}", Shown(&s.author));
    let _ = writeln!(out, "  made for     {}", Shown(&s.why));
    let _ = writeln!(out, "  made at      {} UTC", when(s.created_ms));
    for approval in &detail.approvals {
        let by = approval.approver.as_deref().unwrap_or("nobody yet");
        let how = approval.method.as_deref().unwrap_or("-");
        let own = if approval.self_approved {
            ", self-approved"
        } else {
            ""
        };
        let state = approval.request.state.as_str();
        let _ = writeln!(
            out,
            "  approval {:<3} {state} by {} ({how}{own})",
            approval.request.id,
            Shown(by)
        );
    }
    let u = &s.usage;
    let last = u
        .last_used_ms
        .map_or_else(|| "never".to_owned(), |ms| format!("{} UTC", when(ms)));
    let _ = writeln!(
        out,
        "  used         {} times, {} ok, last {last}",
        u.calls, u.ok
    );
    let _ = writeln!(out, "  digest       {}", detail.digest);
    if let Some(evidence) = &detail.evidence {
        let key = evidence.key.short();
        let _ = writeln!(
            out,
            "  evidence     signed with key {key}  (handaxe tools verify {}@{})",
            s.name, s.version
        );
    }
    if let Some(run) = &detail.run {
        let _ = writeln!(out, "  run          {run}  (handaxe runs show {run})");
    }
    for (name, schema) in [
        ("Input", &detail.spec.input_schema),
        ("Output", &detail.spec.output_schema),
    ] {
        let _ = writeln!(out, "\n{}", title(name));
        let rows = properties(schema);
        if rows.is_empty() {
            let text = serde_json::to_string_pretty(schema).unwrap_or_default();
            let _ = writeln!(out, "{}", Lines(&text));
        } else {
            let _ = writeln!(
                out,
                "{}",
                table(&["name", "type", "default", "meaning"], rows)
            );
        }
    }
    let _ = writeln!(
        out,
        "\n{}\n{}",
        title("Proof"),
        score_card(&detail.verdict).trim_end()
    );
    let _ = writeln!(out, "\n{}", title("Cases"));
    for result in &detail.trial.cases {
        let mark = if result.passed { good() } else { bad() };
        let held = if result.held_out { ", held out" } else { "" };
        let _ = writeln!(
            out,
            "  {} {} ({}{held})",
            mark.apply_to(if result.passed { "passed" } else { "failed" }),
            Shown(&result.name),
            result.origin.as_str()
        );
    }
    let _ = writeln!(
        out,
        "\n{}\n{}",
        title("Code"),
        highlight(&detail.code, shop.out.color())
    );
    out
}

fn properties(schema: &serde_json::Value) -> Vec<Vec<String>> {
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let kind = |p: &serde_json::Value| match (&p["type"], p["format"].as_str()) {
        (_, Some("file")) => "file".to_owned(),
        (serde_json::Value::String(t), _) => t.clone(),
        (serde_json::Value::Array(types), _) => types
            .iter()
            .filter_map(|t| t.as_str())
            .collect::<Vec<_>>()
            .join(" or "),
        _ => String::new(),
    };
    properties
        .iter()
        .map(|(name, p)| {
            let default = p
                .get("default")
                .map(ToString::to_string)
                .unwrap_or_default();
            let meaning = clip(p["description"].as_str().unwrap_or_default(), 70);
            vec![name.clone(), kind(p), clip(&default, 24), meaning]
        })
        .collect()
}

fn change(shop: &Workshop, name: &str, change: &StateChange, reason: &str) -> Outcome {
    let changed = shop
        .registry()?
        .change_state(&tool_ref(name)?, change, reason)
        .map_err(|e| Failure::failed("state", chain(&e)).hint(e.hint()))?;
    shop.out.document(&json!({ "tool": changed.to_string() }))?;
    shop.out.say(format!("Done: {changed}."));
    Ok(Exit::Done)
}

fn import(
    shop: &Workshop,
    dir: &Path,
    golden: &[PathBuf],
    why: Option<String>,
    yes: bool,
) -> Outcome {
    let goldens = inputs::goldens(golden)?;
    let draft = read_folder(dir, why)?;
    let task = Task {
        question: format!("import {}", draft.spec.name),
        data: Vec::new(),
        goldens,
        examples: Vec::new(),
        preview: Preview::None,
    };
    let chosen = Chosen {
        spec: "composer".to_owned(),
        why: "an import needs no model".to_owned(),
        base_url: None,
        record: None,
    };
    let begun = Begun {
        task,
        goal: Goal::Import {
            draft: Box::new(draft),
        },
        model: chosen.spec.clone(),
        base_url: None,
        max_repairs: 0,
        max_tokens: 0,
        max_seconds: 3600,
        making: Making::default(),
    };
    let word = if yes { ask::Word::Yes } else { ask::Word::None };
    ask::begin(shop, &begun, &chosen, word, Path::new("."))
}
