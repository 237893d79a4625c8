//! `handaxe run`: one approved tool, once.

use std::sync::Arc;

use handaxe_agent::{Context, Minds, NoExternals, Use, UseError, use_tool};
use handaxe_registry::ApprovedTool;
use handaxe_sandbox::Cancel;
use handaxe_types::{Silent, ToolState};
use handaxe_validate::InvokeError;
use serde_json::{Value, json};

use super::sandbox::{exit_for, show};
use crate::cli::RunArgs;
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::inputs;
use crate::render::caution;
use crate::workshop::{Workshop, pipeline_failure, sandbox_failure, tool_ref};

pub(crate) fn run(shop: &Workshop, args: RunArgs) -> Outcome {
    let tool = tool_ref(&args.tool)?;
    let mut input = inputs::input_object(args.input.as_deref())?;
    let (properties, paths): (Vec<_>, Vec<_>) = args
        .data
        .iter()
        .map(|text| inputs::property_and_path(text))
        .unzip();
    let files = inputs::attach(&paths)?;
    let sandbox = Arc::clone(shop.sandbox()?);
    let registry = shop.registry()?.clone();
    let approved = registry
        .load_approved(&tool, sandbox.profile())
        .map_err(|e| Failure::new(refusal_exit(&e), e.kind(), chain(&e)).hint(e.hint()))?;
    if approved.state() == ToolState::Deprecated {
        let instead = approved
            .successor()
            .map(|s| format!("; use {s}"))
            .unwrap_or_default();
        shop.out.note(
            caution()
                .for_stderr()
                .apply_to(format!("{tool} is deprecated{instead}")),
        );
    }
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    name_files(&approved, &mut input, &properties, &names)?;
    let ceiling = if args.limits.limit.is_empty() {
        None
    } else {
        let bytes: u64 = files.iter().map(|f| f.bytes).sum();
        let whole = approved.spec().limits.for_data(bytes, true);
        Some(inputs::limits(whole, &args.limits.limit)?)
    };
    let cancel = Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let ctx = Context {
        registry,
        sandbox,
        policy: shop.home()?.policy.clone(),
        minds: Minds::Composer,
        externals: Arc::new(NoExternals),
        reporter: Arc::new(Silent),
        cancel,
        max_repairs: 0,
    };
    let what = Use {
        input,
        files: files.iter().collect(),
        artifacts: args.out.clone(),
        run: None,
        ceiling,
    };
    let used = match use_tool(&ctx, &approved, &what) {
        Ok(used) => used,
        Err(UseError::Pipeline(e)) => return Err(pipeline_failure(e)),
        // Not the input's fault: the machine's, or a file that is in the way.
        Err(UseError::Invoke(InvokeError::Sandbox(e))) => return Err(sandbox_failure(&e)),
        Err(refused) => {
            return Err(Failure::new(Exit::Refused, "input", chain(&refused))
                .hint(format!("handaxe tools show {}", approved.tool_ref())));
        }
    };
    let result = &used.result;
    let mut document = json!(result);
    if let Some(map) = document.as_object_mut() {
        map.insert("tool".to_owned(), json!(used.tool));
        map.insert("version".to_owned(), json!(used.version));
    }
    shop.out.document(&document)?;
    show(shop, result);
    Ok(exit_for(result))
}

/// An unapproved tool waits for a person; every other refusal is one.
fn refusal_exit(error: &handaxe_registry::LoadError) -> Exit {
    match error.kind() {
        "not_found" | "registry" => Exit::Failed,
        "not_approved" => Exit::Waiting,
        _ => Exit::Refused,
    }
}

/// Puts the attached files' names where the tool wants them: as `PROPERTY=FILE` says, else the
/// file properties in order.
fn name_files(
    tool: &ApprovedTool,
    input: &mut serde_json::Map<String, Value>,
    properties: &[Option<&str>],
    names: &[&str],
) -> Result<(), Failure> {
    let wanted = tool.spec().input_files();
    for (property, name) in properties.iter().zip(names) {
        let property = match property {
            Some(property) if wanted.iter().any(|w| w == property) => (*property).to_owned(),
            Some(property) => {
                return Err(Failure::usage(format!(
                    "{} has no file input `{property}`",
                    tool.name()
                ))
                .hint(format!("its file inputs: {}", wanted.join(", "))));
            }
            None => {
                // A file that the input names already needs no place.
                if wanted
                    .iter()
                    .any(|w| input.get(w).and_then(Value::as_str) == Some(name))
                {
                    continue;
                }
                let free = wanted.iter().find(|w| !input.contains_key(*w));
                free.cloned().ok_or_else(|| {
                    let takes = match wanted.len() {
                        0 => "no file".to_owned(),
                        1 => "one file".to_owned(),
                        n => format!("{n} files"),
                    };
                    Failure::usage(format!("{} takes {takes}; more are attached", tool.name()))
                        .hint(format!(
                            "handaxe tools show {} lists its inputs",
                            tool.name()
                        ))
                })?
            }
        };
        input.insert(property, Value::String((*name).to_owned()));
    }
    Ok(())
}
