//! Tools for providers' APIs, each checked against the subset that its documentation gives.

use std::fmt::Write as _;

use handaxe_registry::Files;
use serde_json::{Value, json};

use crate::formats::{Format, FormatError, pretty};
use crate::outside;
use crate::python::{call, clipped};
use crate::subject::Subject;
use crate::subset::{Inexpressible, Provider, loose, strict};

/// What `OpenAI`'s API reference allows of a function's description, and enough for the other.
const MAX_DESCRIPTION: usize = 1024;

/// The folder: the tool as the API takes it, a program that answers its calls, the signed tool.
pub(crate) fn folder(
    subject: &Subject,
    provider: Provider,
    without_strict: bool,
) -> Result<Files, FormatError> {
    let input = &subject.draft.spec.input_schema;
    let found = strict(provider, input);
    let (schema, lost) = match found {
        Ok(schema) => (schema, None),
        Err(why) if without_strict => (loose(provider, input)?, Some(why)),
        Err(why) => return Err(why.into()),
    };
    let mut files = subject.under("tool/");
    files.insert("call.py".to_owned(), call("HERE / \"tool\""));
    let format = match provider {
        Provider::OpenAi => Format::OpenAi,
        Provider::Anthropic => Format::Anthropic,
    };
    let is_strict = lost.is_none();
    for (file, value) in wire(subject, provider, &schema, is_strict) {
        files.insert(file.to_owned(), pretty(file, &value)?);
    }
    files.insert(
        "README.md".to_owned(),
        readme(subject, provider, format, lost.as_ref()),
    );
    Ok(files)
}

/// The JSON that the API takes.
fn wire(
    subject: &Subject,
    provider: Provider,
    schema: &Value,
    strict: bool,
) -> Vec<(&'static str, Value)> {
    let name = subject.name();
    let description = clipped(&subject.line(), MAX_DESCRIPTION);
    match provider {
        // The two APIs nest the same function differently.
        Provider::OpenAi => vec![
            (
                "tool.chat.json",
                json!({"type": "function", "function": {
                    "name": name, "description": description,
                    "parameters": schema, "strict": strict,
                }}),
            ),
            (
                "tool.responses.json",
                json!({
                    "type": "function", "name": name, "description": description,
                    "parameters": schema, "strict": strict,
                }),
            ),
        ],
        Provider::Anthropic => {
            let mut tool = json!({
                "name": name, "description": description, "input_schema": schema,
            });
            if strict {
                tool["strict"] = json!(true);
            }
            vec![("tool.json", tool)]
        }
    }
}

fn readme(
    subject: &Subject,
    provider: Provider,
    format: Format,
    lost: Option<&Inexpressible>,
) -> Vec<u8> {
    let mut out = outside::head(subject);
    out += match provider {
        Provider::OpenAi => {
            "`tool.chat.json` goes into `tools` of a Chat Completions request, \
             `tool.responses.json` into that of a Responses request.\n\n"
        }
        Provider::Anthropic => "`tool.json` goes into `tools` of a Messages request.\n\n",
    };
    out += "Answer the model's call with the arguments that it sent:\n\n\
            ```\npython3 call.py \"$ARGUMENTS\"\n```\n\n\
            The result is JSON on standard output. Arguments that are optional and come as `null` \
            are left out before the tool is called.\n\n";
    if let Some(why) = lost {
        let _ = write!(
            out,
            "**Without `strict`:** {}. The model may send arguments that do not fit the schema; \
             `tool/spec.json` has it for checking them.\n\n",
            outside::markdown(&why.to_string())
        );
    }
    out += "## Arguments\n\n";
    out += &outside::arguments(subject);
    out.push('\n');
    out += &outside::section(subject, format);
    out.into_bytes()
}
