//! The tools that there are, looked at before one is made: what they say, and what they give on
//! the examples of this very request.

use std::collections::BTreeSet;

use handaxe_registry::{ApprovedTool, Hit};
use handaxe_sandbox::{InlineFile, SandboxError, SessionSpec};
use handaxe_types::{Case, Check, Draft, Outcome, Spec, ToolRef};
use handaxe_validate::{Arguments, Contract, InvokeError, compare, invoke};
use serde_json::{Map, Value};

use super::{Context, Halt, PipelineError};
use crate::roles::Met;

/// How many existing tools are considered.
const CONSIDERED: u32 = 5;
/// Cases that a candidate is run on, at most.
const MAX_CASES: usize = 30;

/// An existing tool that the request's words fit.
pub(crate) struct Considered {
    pub(crate) hit: Hit,
    pub(crate) spec: Spec,
    /// What came of running it on the request's examples; `None` where there are none, or where
    /// they are not inputs of this tool.
    pub(crate) met: Option<Met>,
}

/// The best candidates for a question, each run on the examples.
pub(crate) fn consider(
    ctx: &Context,
    question: &str,
    examples: &[&Case],
) -> Result<Vec<Considered>, Halt> {
    let hits = ctx
        .registry
        .search(question, CONSIDERED)
        .map_err(PipelineError::Registry)?;
    let mut considered = Vec::with_capacity(hits.len());
    for hit in hits {
        let tool = ToolRef {
            name: hit.tool.clone(),
            version: Some(hit.version),
        };
        // One that does not run, here and now, is no candidate.
        let Ok(approved) = load(ctx, &tool) else {
            continue;
        };
        considered.push(Considered {
            met: met(ctx, &approved, examples)?,
            hit,
            spec: approved.spec().clone(),
        });
    }
    Ok(considered)
}

fn load(ctx: &Context, tool: &ToolRef) -> Result<ApprovedTool, handaxe_registry::LoadError> {
    ctx.registry.load_approved(tool, ctx.sandbox.profile())
}

/// An active tool with the draft's interface that passes every case of the draft: the same tool
/// under whatever name.
pub(crate) fn same_already(
    ctx: &Context,
    draft: &Draft,
    cases: &[&Case],
) -> Result<Option<ToolRef>, Halt> {
    let words = format!(
        "{} {}",
        draft.spec.name.as_str().replace('_', " "),
        draft.spec.description
    );
    let hits = ctx
        .registry
        .search(&words, CONSIDERED)
        .map_err(PipelineError::Registry)?;
    for hit in hits {
        let tool = ToolRef {
            name: hit.tool,
            version: Some(hit.version),
        };
        let Ok(approved) = load(ctx, &tool) else {
            continue;
        };
        let alike = interface(approved.spec()) == interface(&draft.spec);
        let enough = |met: &Met| met.of >= 2 && met.all();
        if alike && met(ctx, &approved, cases)?.as_ref().is_some_and(enough) {
            return Ok(Some(tool));
        }
    }
    Ok(None)
}

/// The names of what goes in and out, with the kind of each.
fn interface(spec: &Spec) -> [BTreeSet<(&str, String)>; 2] {
    [&spec.input_schema, &spec.output_schema].map(|schema| {
        let properties = schema.get("properties").and_then(Value::as_object);
        let kind = |p: &Value| {
            let format = p.get("format").filter(|f| *f == handaxe_types::FILE_FORMAT);
            format!("{:?} {format:?}", p.get("type"))
        };
        properties
            .into_iter()
            .flatten()
            .map(|(name, property)| (name.as_str(), kind(property)))
            .collect()
    })
}

/// Runs a tool on cases that say what is expected; `None` where they are not its inputs.
fn met(ctx: &Context, tool: &ApprovedTool, cases: &[&Case]) -> Result<Option<Met>, Halt> {
    let cases: Vec<&&Case> = cases
        .iter()
        .filter(|c| !matches!(c.check, Check::Holds(_)))
        .take(MAX_CASES)
        .collect();
    let Ok(contract) = Contract::new(tool.spec(), tool.code(), tool.assets()) else {
        return Ok(None);
    };
    let mut calls = Vec::with_capacity(cases.len());
    for case in &cases {
        let Some(arguments) = arguments(tool.spec(), case) else {
            return Ok(None);
        };
        if contract.check_input(&arguments).is_err() {
            return Ok(None);
        }
        calls.push(arguments);
    }
    if calls.is_empty() {
        return Ok(None);
    }
    let session = ctx
        .sandbox
        .open(SessionSpec::default())
        .map_err(PipelineError::Sandbox)?;
    let mut count = 0;
    for (case, arguments) in cases.iter().zip(&calls) {
        match invoke(session.as_ref(), &contract, arguments, &ctx.cancel) {
            Ok(result) => count += usize::from(holds(&case.check, &result)),
            Err(InvokeError::Sandbox(SandboxError::Cancelled)) => {
                return Err(PipelineError::Cancelled.into());
            }
            Err(InvokeError::Sandbox(error)) => {
                return Err(PipelineError::Sandbox(error).into());
            }
            Err(_) => {}
        }
    }
    Ok(Some(Met {
        met: count,
        of: calls.len(),
    }))
}

fn holds(check: &Check, result: &handaxe_types::SandboxResult) -> bool {
    match (check, &result.output, &result.error) {
        (Check::Expect { value, tolerance }, Some(got), _) => {
            compare(value, got, *tolerance).is_ok()
                || only_value(got).is_some_and(|got| compare(value, got, *tolerance).is_ok())
        }
        (Check::Raises(raises), _, Some(error)) => {
            result.outcome == Outcome::ToolError && error.kind == raises.kind()
        }
        _ => false,
    }
}

/// An example `IN => OUT` does not know under which key a tool gives its one result.
fn only_value(output: &Value) -> Option<&Value> {
    let mut values = output.as_object()?.values();
    values.next().filter(|_| values.next().is_none())
}

/// A case's input as this tool takes it: as it is, or under the one name that the tool knows where
/// both have just one.
fn arguments(spec: &Spec, case: &Case) -> Option<Arguments> {
    let properties = spec.input_schema.get("properties")?.as_object()?;
    let mut input = case.input.clone();
    let stranger = input.keys().find(|k| !properties.contains_key(*k)).cloned();
    if let (Some(theirs), 1) = (stranger, input.len()) {
        let required = spec.input_schema.get("required")?.as_array()?;
        let [Value::String(ours)] = required.as_slice() else {
            return None;
        };
        let value = input.remove(&theirs)?;
        input = Map::from_iter([(ours.clone(), value)]);
    }
    let files = case.files.iter().map(|(name, file)| {
        Some(InlineFile {
            name: name.clone(),
            bytes: file.bytes()?.into(),
        })
    });
    Some(Arguments {
        input,
        files: files.collect::<Option<_>>()?,
        ..Arguments::default()
    })
}
