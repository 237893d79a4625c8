//! `handaxe tools`: the library.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use handaxe_agent::{Begun, Goal, Making};
use handaxe_registry::{StateChange, ToolDetail, ToolSummary};
use handaxe_types::json::{self, Bounds};
use handaxe_types::{
    Asset, Author, Case, Draft, Preview, Provenance, Silent, Spec, Task, ToolState,
};
use serde_json::{Map, json};

use super::ask;
use crate::cli::ToolsCommand;
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::home::login;
use crate::inputs;
use crate::models::Chosen;
use crate::render::text::{Lines, Shown, clip};
use crate::render::{Watcher, bad, faint, good, highlight, proof, strong, table, when};
use crate::workshop::{Workshop, registry_failure, tool_ref};

const MAX_SPEC_BYTES: u64 = 1 << 20;
const MAX_CASES_BYTES: u64 = 16 << 20;
const MAX_ASSET_BYTES: u64 = 1 << 20;
const MAX_ASSETS: usize = 32;

pub(crate) fn run(shop: &Workshop, command: ToolsCommand) -> Outcome {
    match command {
        ToolsCommand::List { all } => list(shop, all),
        ToolsCommand::Show { tool, code } => show(shop, &tool, code),
        ToolsCommand::Search { query, limit } => search(shop, &query, limit),
        ToolsCommand::Test { dir, golden } => test(shop, &dir, &golden),
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
    let _ = writeln!(out, "  proof        {}", proof(&detail.verdict));
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

fn test(shop: &Workshop, dir: &Path, golden: &[PathBuf]) -> Outcome {
    let goldens = inputs::goldens(golden)?;
    let draft = read_folder(dir, None)?;
    let sandbox = std::sync::Arc::clone(shop.sandbox()?);
    let mut policy = shop.home()?.policy.clone();
    // A person's own cases are all there are; independence is judged when it is imported too.
    policy.trial.min_independent_cases = 0;
    let validator = handaxe_validate::Validator::new(sandbox, policy.clone());
    let cancel = handaxe_sandbox::Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let watcher = Watcher::new(&shop.out);
    let reporter: &dyn handaxe_types::Reporter = if shop.out.quiet { &Silent } else { &watcher };
    let trial = validator
        .trial(&draft, &goldens, reporter, &cancel)
        .map_err(|e| super::validate_failure(&e))?;
    watcher.clear();
    let verdict = handaxe_validate::judge(&trial, &policy);
    shop.out.document(&json!({
        "accepted": verdict.accepted,
        "reasons": verdict.reasons,
        "scores": verdict.scores,
        "findings": verdict.findings,
        "cases": trial.cases,
        "approval": null,
    }))?;
    for result in &trial.cases {
        let (mark, word) = if result.passed {
            (good(), "passed")
        } else {
            (bad(), "failed")
        };
        let failure = result
            .failure
            .as_ref()
            .map(|f| format!(": {}", Shown(f)))
            .unwrap_or_default();
        shop.out.say(format!(
            "  {} {}{failure}",
            mark.apply_to(word),
            Shown(&result.name)
        ));
    }
    for finding in &verdict.findings {
        shop.out.say(format!(
            "  line {}: {} ({})",
            finding.line,
            Shown(&finding.reason),
            finding.rule
        ));
    }
    if verdict.accepted {
        shop.out.say(format!(
            "{} {}",
            good().apply_to("Accepted."),
            proof(&verdict)
        ));
        shop.out
            .say(faint().apply_to(format!("Next: handaxe tools import {}", dir.display())));
        Ok(Exit::Done)
    } else {
        for reason in &verdict.reasons {
            shop.out
                .say(format!("{} {}", bad().apply_to("Refused:"), Lines(reason)));
        }
        Ok(Exit::Refused)
    }
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
    ask::begin(shop, &begun, &chosen, yes, Path::new("."))
}

/// Reads a tool folder as a person wrote it.
fn read_folder(dir: &Path, why: Option<String>) -> Result<Draft, Failure> {
    let code = String::from_utf8(read(&dir.join("tool.py"), MAX_SPEC_BYTES)?)
        .map_err(|_| Failure::usage(format!("{}: not UTF-8", dir.join("tool.py").display())))?;
    let spec_path = dir.join("spec.json");
    let spec: Spec = {
        let bounds = Bounds {
            bytes: MAX_SPEC_BYTES as usize,
            ..Bounds::DEFAULT
        };
        let mut value = json::parse(&read(&spec_path, MAX_SPEC_BYTES)?, bounds)
            .map_err(|e| Failure::usage(format!("{}: {}", spec_path.display(), chain(&e))))?;
        // The views of registered tools carry these; a folder is a tool whoever wrote it.
        if let Some(map) = value.as_object_mut() {
            for generated in ["version", "digest", "state"] {
                map.remove(generated);
            }
        }
        serde_json::from_value(value)
            .map_err(|e| Failure::usage(format!("{}: {e}", spec_path.display())).hint(SPEC_HINT))?
    };
    let cases = read_cases(&dir.join("cases.jsonl"))?;
    let provenance = Provenance {
        author: Author::Person { name: login() },
        why: why.unwrap_or_else(|| "written by hand".to_owned()),
        recipe: None,
        invocation: Map::new(),
    };
    Ok(Draft {
        spec,
        code,
        cases,
        assets: read_assets(&dir.join("assets"))?,
        provenance,
    })
}

const SPEC_HINT: &str = "it needs name, description, input_schema, output_schema and domain; `handaxe tools show` prints one";

fn read_cases(path: &Path) -> Result<Vec<Case>, Failure> {
    let bytes = match read(path, MAX_CASES_BYTES) {
        Ok(bytes) => bytes,
        // Without cases there is nothing to prove, and the verdict says so.
        Err(_) if !path.exists() => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    // An empty file is no case either.
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let cases = handaxe_validate::parse_goldens(&bytes)
        .map_err(|e| Failure::usage(format!("{}: {}", path.display(), chain(&e))))?;
    Ok(cases
        .into_iter()
        .map(|case| Case {
            origin: handaxe_types::Origin::Author,
            held_out: false,
            ..case
        })
        .collect())
}

fn read_assets(dir: &Path) -> Result<BTreeMap<String, Asset>, Failure> {
    let mut assets = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Ok(assets);
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        if !entry.file_type().is_ok_and(|t| t.is_file()) {
            return Err(Failure::usage(format!(
                "{}: an asset is a plain file",
                path.display()
            )));
        }
        if assets.len() == MAX_ASSETS {
            return Err(Failure::usage(format!(
                "{}: at most {MAX_ASSETS} assets",
                dir.display()
            )));
        }
        assets.insert(name, Asset(read(&path, MAX_ASSET_BYTES)?));
    }
    Ok(assets)
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let fail = |e: std::io::Error| {
        Failure::usage(format!("cannot read {}: {e}", path.display()))
            .hint("a tool folder has tool.py, spec.json and cases.jsonl")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::usage(format!(
            "{} is larger than {limit} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}
