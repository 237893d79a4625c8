//! The chain as a Python tool: code, schemas, recipe, and the arguments that answer this chain.
//!
//! The Python lives in `emit/parts/*.py`, one small idea a file; a tool is the parts that it
//! needs, in order, and a `run` whose signature comes from the same table as its input schema, so
//! that the two cannot differ. Nothing of the chain is a constant in the body: fields, bounds and
//! filters are parameters, and two chains with the same recipe give tools that do the same work.

mod params;
mod python;
mod schema;
mod tools;

pub(crate) use python::{literal, marked, mentions, shaken, unplaced};

use std::collections::BTreeMap;

use handaxe_types::{Asset, Capability, ToolName};
use serde_json::{Map, Value, json};

use crate::eval::{EvalError, translate};
use crate::{Chain, Extractable, Func, Join, Measure, Terminal};

/// A tool before any trial: everything of a draft but its cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    pub name: ToolName,
    pub description: String,
    pub domain: &'static str,
    pub code: String,
    pub input_schema: Value,
    pub output_schema: Value,
    pub capabilities: Vec<Capability>,
    pub assets: BTreeMap<String, Asset>,
    /// What is left of the chain when every parameter is taken out.
    pub recipe: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    #[error("`{0}` is not a tool name")]
    Name(#[from] handaxe_types::NameError),
    #[error(transparent)]
    Chain(#[from] EvalError),
}

/// Whether an aggregation only counts records.
pub(crate) fn is_plain_count(measures: &[Measure], group_by: &[String]) -> bool {
    let plain = Measure {
        func: Func::Count,
        field: None,
    };
    group_by.is_empty() && measures == [plain]
}

/// Whether the chain's tool reads files of every layout. Most read what the question was asked of;
/// what judges text is wanted again for text wherever it stands.
pub(crate) fn reads_any(chain: &Chain) -> bool {
    let table = |format| matches!(format, crate::Format::Csv | crate::Format::Tsv);
    // Two files of two layouts: either may be the other's the next time.
    let differ =
        |join: &Join| join.format != chain.format && !(table(join.format) && table(chain.format));
    matches!(chain.terminal, Terminal::Sentiment { .. }) || chain.join.as_ref().is_some_and(differ)
}

/// Whether a cleaning holds its records to order them.
pub(crate) fn orders(terminal: &Terminal) -> bool {
    python::Cleaning::of(terminal).order
}

/// Whether a cleaning has several steps, so that its tool has them all.
pub(crate) fn cleans_whole(terminal: &Terminal) -> bool {
    python::Cleaning::of(terminal) == python::Cleaning::WHOLE
}

/// Writes the tool. Refuses what `evaluate` refuses without looking at any data.
pub fn emit(chain: &Chain) -> Result<Emitted, EmitError> {
    if let Terminal::Extract {
        what: Extractable::Pattern(pattern),
        ..
    } = &chain.terminal
    {
        translate(pattern).map_err(EvalError::from)?;
    }
    if matches!(
        chain.terminal,
        Terminal::Convert {
            to: crate::Format::Text
        } | Terminal::Clean {
            to: crate::Format::Text,
            ..
        }
    ) {
        return Err(EvalError::TextOutput.into());
    }
    if chain.join.is_some() && matches!(chain.terminal, Terminal::Sentiment { .. }) {
        return Err(EvalError::NotJoined.into());
    }
    let tool = tools::tool(chain);
    let features = python::Features {
        format: chain.format,
        times: chain.times,
        window: chain.shape.window,
        any: reads_any(chain),
        placed: matches!(chain.terminal, Terminal::Sentiment { .. }),
        joined: chain.join.is_some(),
        keys: chain.join.as_ref().is_some_and(Join::has_several),
        by: matches!(&chain.terminal, Terminal::Duplicates { fields } if !fields.is_empty()),
        clean: python::Cleaning::of(&chain.terminal),
    };
    Ok(Emitted {
        name: ToolName::new(tool.name.as_str())?,
        description: tool.description.clone(),
        domain: tool.domain,
        code: python::module(&tool, &features),
        input_schema: schema::input(&tool.params),
        output_schema: schema::output(tool.output, chain.join.is_some()),
        capabilities: tool.capabilities,
        assets: tool.assets,
        recipe: json!({ "author": "composer", "edition": 3, "tool": tool.name }),
    })
}

/// The arguments with which the chain's tool answers the chain over the file `data`, and `other`
/// where the chain joins one.
pub fn invocation(chain: &Chain, data: &str, other: Option<&str>) -> Map<String, Value> {
    let mut arguments = Map::new();
    arguments.insert("data".to_owned(), json!(data));
    if let Some(other) = other.filter(|_| chain.join.is_some()) {
        arguments.insert("other".to_owned(), json!(other));
    }
    for param in tools::tool(chain).params {
        if let Some(value) = param.value {
            arguments.insert(param.name.to_owned(), value);
        }
    }
    arguments
}
