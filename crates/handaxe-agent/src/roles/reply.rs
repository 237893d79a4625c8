//! Reads what a model wrote: JSON or fenced blocks, with whatever prose it put around them.
//!
//! The rules: a reasoning preamble is dropped; of two blocks that could be meant, the later one
//! is (models correct themselves downwards); what is broken is not repaired but named, so that
//! it can be sent back. Every loop is bounded by the reply, whose size is bounded by
//! [`super::MAX_REPLY`].

use handaxe_types::json::JsonError;
use handaxe_types::{Case, Origin};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::MAX_REPLY;
use super::documents::Documents;
use crate::model::Finish;

pub(super) const MAX_CASES: usize = 100;

/// Why a reply cannot be used. Its text is what the model is told.
#[derive(Debug, thiserror::Error)]
pub enum ReplyFault {
    #[error("the reply is empty")]
    Empty,
    #[error("the reply is {bytes} bytes; at most {MAX_REPLY} are read")]
    TooLarge { bytes: usize },
    #[error("the reply ends before it is complete; write a shorter one")]
    Truncated,
    #[error("the reply declines")]
    Refusal { said: String },
    #[error("{missing} is missing")]
    Missing { missing: &'static str },
    #[error("{place} is not valid JSON: {source}")]
    NotJson { place: String, source: JsonError },
    #[error("{place} has the wrong shape: {source}")]
    Shape { place: String, source: JsonError },
    #[error("the code must be Python, in a block that starts with ```python; found {found}")]
    WrongLanguage { found: String },
    #[error("the reply calls `{name}`, but nothing can be called; give the answer itself")]
    ToolCall { name: String },
    #[error("there is no tool `{name}`; only those listed can be reused")]
    UnknownTool { name: String },
    #[error("`{field}` cannot be used: {reason}")]
    Field { field: &'static str, reason: String },
    #[error("case {number} cannot be used: {reason}")]
    Case { number: usize, reason: String },
}

/// At most `chars` characters, without control characters but line breaks and tabs.
pub(crate) fn clip(text: &str, chars: usize) -> String {
    text.trim()
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .take(chars)
        .collect()
}

/// The part of a reply that is meant, or why there is none.
pub(super) fn check(text: &str, finish: Finish) -> Result<&str, ReplyFault> {
    if text.len() > MAX_REPLY {
        return Err(ReplyFault::TooLarge { bytes: text.len() });
    }
    if finish == Finish::Refusal {
        return Err(ReplyFault::Refusal {
            said: clip(text, 300),
        });
    }
    let text = match text.split_once("</think>") {
        Some((before, after)) if before.trim_start().starts_with("<think>") => after,
        // Some chat templates swallow the opening tag.
        Some((before, after)) if !before.contains("```") => after,
        None if text.trim_start().starts_with("<think>") => return Err(ReplyFault::Truncated),
        _ => text,
    };
    if text.trim().is_empty() {
        return Err(match finish {
            Finish::Length => ReplyFault::Truncated,
            _ => ReplyFault::Empty,
        });
    }
    Ok(text)
}

/// The last JSON object in the reply that has the key.
pub(super) fn object<T: DeserializeOwned>(text: &str, key: &'static str) -> Result<T, ReplyFault> {
    let mut found = Documents::of(text);
    match found.last_with(key).cloned() {
        Some(value) => shape(value, "the reply"),
        None => Err(found.explain(text, "the JSON object")),
    }
}

/// Strict types; unknown fields are tolerated by the types that model replies are read into.
pub(super) fn shape<T: DeserializeOwned>(value: Value, place: &str) -> Result<T, ReplyFault> {
    serde_json::from_value(value).map_err(|e| ReplyFault::Shape {
        place: place.to_owned(),
        source: JsonError::Shape(e),
    })
}

/// The cases in a reply: under `cases`, as JSON Lines, or one by one.
pub(super) fn cases(text: &str, origin: Origin) -> Result<Vec<Case>, ReplyFault> {
    let mut found = Documents::of(text);
    let values = found.cases();
    if values.is_empty() {
        return Err(found.explain(text, "a case"));
    }
    typed_cases(values, origin)
}

/// What an author's reply holds, untyped.
pub(super) struct Parts {
    pub(super) spec: Value,
    pub(super) code: String,
    pub(super) cases: Vec<Value>,
    pub(super) invocation: Option<Value>,
}

pub(super) fn authored(text: &str) -> Result<Parts, ReplyFault> {
    let mut found = Documents::of(text);
    let whole = found.last_with("spec");
    let spec = whole.and_then(|v| v.get("spec"));
    let spec = spec.or(found.last_with("input_schema")).cloned();
    let code = whole.and_then(|v| v.get("code")).and_then(Value::as_str);
    let code = code.map(str::to_owned);
    let Some(spec) = spec else {
        return Err(found.explain(text, "the spec (a ```json block)"));
    };
    let code = match code {
        Some(code) => code,
        None => found.code()?,
    };
    let cases = found.cases();
    if cases.is_empty() {
        return Err(found.explain(
            text,
            "the list of cases (a ```jsonl block, one case a line)",
        ));
    }
    Ok(Parts {
        spec,
        code,
        cases,
        invocation: found
            .last_with("invocation")
            .map(|v| v["invocation"].clone()),
    })
}

/// Types the cases. Names are made unique; whose they are is not the model's to say.
pub(super) fn typed_cases(values: Vec<Value>, origin: Origin) -> Result<Vec<Case>, ReplyFault> {
    let mut cases: Vec<Case> = Vec::new();
    for (i, value) in values.into_iter().take(MAX_CASES).enumerate() {
        let number = i + 1;
        let wrong = |reason: String| ReplyFault::Case { number, reason };
        let Value::Object(mut given) = value else {
            return Err(wrong("it is not an object".to_owned()));
        };
        let mut kept = Map::new();
        for key in ["raises", "holds", "tolerance", "files", "name"] {
            // Structured output fills what does not apply with null.
            if let Some(value) = given.remove(key).filter(|v| !v.is_null()) {
                kept.insert(key.to_owned(), value);
            }
        }
        let other_check = kept.contains_key("raises") || kept.contains_key("holds");
        for key in ["input", "expect"] {
            let idle = |v: &Value| key == "expect" && other_check && v.is_null();
            if let Some(value) = given.remove(key).filter(|v| !idle(v)) {
                kept.insert(key.to_owned(), value);
            }
        }
        let name = clip(kept.get("name").and_then(Value::as_str).unwrap_or(""), 80);
        let name = if name.is_empty() {
            format!("case_{number}")
        } else {
            name.replace(['\n', '\t'], " ")
        };
        let taken = cases.iter().any(|c| c.name == name);
        let name = if taken {
            format!("{name} ({number})")
        } else {
            name
        };
        kept.insert("name".to_owned(), json!(name));
        kept.insert("origin".to_owned(), json!(origin));
        kept.insert("held_out".to_owned(), json!(origin == Origin::Tester));
        let raises = kept.get("raises").map(|r| r.get("kind").unwrap_or(r));
        if raises.is_some_and(|r| !is_class_name(r)) {
            return Err(wrong("`raises` is an exception's class name".to_owned()));
        }
        let case = serde_json::from_value(Value::Object(kept)).map_err(|e| wrong(e.to_string()))?;
        cases.push(case);
    }
    Ok(cases)
}

fn is_class_name(value: &Value) -> bool {
    let word = |s: &str| {
        !s.is_empty()
            && s.len() <= 80
            && s.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
    };
    value.as_str().is_some_and(word)
}

/// Of one case in structured output.
pub(super) fn case_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "input": {"type": "object"},
            "files": {"type": "object", "additionalProperties": {"type": "string"}},
            "expect": {},
            "raises": {"type": "string"},
            "holds": {"type": "string"},
            "tolerance": {
                "type": "object",
                "properties": {"abs": {"type": "number"}, "rel": {"type": "number"}},
            },
        },
        "required": ["name", "input"],
    })
}
