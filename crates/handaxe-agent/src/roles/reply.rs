//! Reads what a model wrote: JSON or fenced blocks, with whatever prose it put around them.
//!
//! The rules: a reasoning preamble is dropped; of two blocks that could be meant, the later one
//! is (models correct themselves downwards); what is broken is not repaired but named, so that
//! it can be sent back. Every loop is bounded by the reply, whose size is bounded by
//! [`super::MAX_REPLY`].

use handaxe_types::json::{self, Bounds, JsonError};
use handaxe_types::{Case, Origin};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::MAX_REPLY;
use crate::model::Finish;

const MAX_BLOCKS: usize = 64;
const MAX_CASES: usize = 100;
/// How many `{` in prose are tried as the start of an object.
const MAX_STARTS: usize = 64;
const BOUNDS: Bounds = Bounds {
    bytes: MAX_REPLY,
    depth: 64,
};

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
pub(super) fn clip(text: &str, chars: usize) -> String {
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

/// The blocks and JSON documents of a reply, in order, and the first thing wrong with them.
struct Documents<'a> {
    blocks: Vec<Block<'a>>,
    values: Vec<Value>,
    fault: Option<ReplyFault>,
}

/// A fenced block.
struct Block<'a> {
    /// Lower case; empty where none was named.
    language: String,
    text: &'a str,
    closed: bool,
}

impl Block<'_> {
    fn is_python(&self) -> bool {
        let named = ["python", "py", "python3"].contains(&self.language.as_str());
        named || (self.language.is_empty() && self.defines_run())
    }

    fn defines_run(&self) -> bool {
        self.text.lines().any(|l| l.starts_with("def run("))
    }

    fn is_json(&self) -> bool {
        match self.language.as_str() {
            "json" | "jsonl" | "ndjson" | "jsonlines" | "json5" | "jsonc" => true,
            "" => self.text.trim_start().starts_with(['{', '[']),
            _ => false,
        }
    }
}

impl<'a> Documents<'a> {
    fn of(text: &'a str) -> Self {
        let mut found = Self {
            blocks: blocks(text),
            values: Vec::new(),
            fault: None,
        };
        if let Ok(value) = json::parse(text.trim().as_bytes(), BOUNDS) {
            found.values.push(value);
            return found;
        }
        for (i, block) in found.blocks.iter().enumerate().filter(|(_, b)| b.is_json()) {
            match json_or_lines(block.text) {
                Ok(values) => found.values.extend(values),
                Err(_) if !block.closed => found.fault = Some(ReplyFault::Truncated),
                Err((line, source)) => {
                    let place = match line {
                        None => format!("block {} of the reply", i + 1),
                        Some(line) => format!("line {line} of block {} of the reply", i + 1),
                    };
                    found.fault = Some(ReplyFault::NotJson { place, source });
                }
            }
        }
        if found.values.is_empty() && found.blocks.is_empty() {
            found.scan_prose(text);
        }
        found
    }

    /// Objects that stand in prose, without fences.
    fn scan_prose(&mut self, text: &str) {
        let (mut from, mut starts) = (0, 0);
        while let Some(at) = text[from..].find('{').map(|at| from + at) {
            starts += 1;
            if starts > MAX_STARTS {
                return;
            }
            from = at + 1;
            let Some(span) = balanced(&text[at..]) else {
                self.fault = Some(ReplyFault::Truncated);
                continue;
            };
            match json::parse(span.as_bytes(), BOUNDS) {
                Ok(value) => {
                    self.values.push(value);
                    from = at + span.len();
                }
                Err(source) => {
                    // Only the outermost is worth telling: its parts fail for the same reason.
                    if !matches!(self.fault, Some(ReplyFault::NotJson { .. })) {
                        let place = "the JSON in the reply".to_owned();
                        self.fault = Some(ReplyFault::NotJson { place, source });
                    }
                }
            }
        }
    }

    fn last_with(&self, key: &str) -> Option<&Value> {
        self.values.iter().rev().find(|v| v.get(key).is_some())
    }

    /// Under `cases` where there is such a list; else every object with an input and a check. A
    /// later one replaces an earlier one of the same name.
    fn cases(&self) -> Vec<Value> {
        if let Some(list) = self.last_with("cases").and_then(|v| v["cases"].as_array()) {
            return list.clone();
        }
        let is_case = |v: &&Value| {
            v.get("input").is_some_and(Value::is_object)
                && ["expect", "raises", "holds"]
                    .iter()
                    .any(|k| v.get(k).is_some())
        };
        let mut cases: Vec<Value> = Vec::new();
        let flat = self.values.iter().flat_map(|v| match v {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        });
        for value in flat.filter(is_case).take(MAX_CASES) {
            let named = value.get("name").filter(|n| n.is_string());
            cases.retain(|c| named.is_none() || c.get("name") != named);
            cases.push(value.clone());
        }
        cases
    }

    /// The last Python block that defines `run`.
    fn code(&self) -> Result<String, ReplyFault> {
        let python = || self.blocks.iter().filter(|b| b.is_python());
        if python().any(|b| !b.closed) {
            return Err(ReplyFault::Truncated);
        }
        if let Some(block) = python().rfind(|b| b.defines_run()) {
            return Ok(block.text.to_owned());
        }
        if python().next().is_some() {
            return Err(ReplyFault::Missing {
                missing: "the function `def run(` in the Python block",
            });
        }
        let other = self.blocks.iter().find(|b| !b.is_json());
        Err(match other {
            Some(block) => ReplyFault::WrongLanguage {
                found: match block.language.as_str() {
                    "" => "a block without a language".to_owned(),
                    language => clip(language, 20),
                },
            },
            None => ReplyFault::Missing {
                missing: "the code (a ```python block)",
            },
        })
    }

    /// Why what was looked for is not there.
    fn explain(&mut self, text: &str, missing: &'static str) -> ReplyFault {
        if let Some(name) = called_tool(text, &self.values) {
            return ReplyFault::ToolCall { name };
        }
        if let Some(fault) = self.fault.take() {
            return fault;
        }
        if self.blocks.is_empty() && self.values.is_empty() && declines(text) {
            return ReplyFault::Refusal {
                said: clip(text, 300),
            };
        }
        ReplyFault::Missing { missing }
    }
}

/// One JSON document, or one a line. The error's line is 1-based, `None` for the whole.
fn json_or_lines(text: &str) -> Result<Vec<Value>, (Option<usize>, JsonError)> {
    let whole = match json::parse(text.trim().as_bytes(), BOUNDS) {
        Ok(value) => return Ok(vec![value]),
        Err(e) => e,
    };
    let lines = || {
        let lines = text.lines().enumerate();
        lines.filter(|(_, l)| !l.trim().is_empty())
    };
    // A document laid out over several lines does not begin its second line with an object.
    if lines()
        .take(2)
        .filter(|(_, l)| l.starts_with('{') && l.len() > 2)
        .count()
        < 2
    {
        return Err((None, whole));
    }
    lines()
        .map(|(i, line)| json::parse(line.trim().as_bytes(), BOUNDS).map_err(|e| (Some(i + 1), e)))
        .collect()
}

/// Fenced blocks; the last may be cut off. A fence is closed by one at least as long.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim();
        let fence = trimmed.len() - trimmed.trim_start_matches('`').len();
        match &open {
            Some((marks, language, begun)) if fence >= marks.len() && trimmed.len() == fence => {
                blocks.push(Block {
                    language: language.clone(),
                    text: &text[*begun..start],
                    closed: true,
                });
                open = None;
            }
            None if fence >= 3 && !trimmed[fence..].contains('`') => {
                let info = trimmed[fence..].split([' ', ',', '{', ':']);
                let language = info.map(str::trim).find(|w| !w.is_empty());
                let language = language.unwrap_or_default().to_lowercase();
                open = Some((&trimmed[..fence], language, at));
            }
            _ => {}
        }
        if blocks.len() == MAX_BLOCKS {
            return blocks;
        }
    }
    if let Some((_, language, begun)) = open {
        blocks.push(Block {
            language,
            text: &text[begun..],
            closed: false,
        });
    }
    blocks
}

/// The object that starts at the text's first byte; `None` where it does not end.
fn balanced(text: &str) -> Option<&str> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (i, b) in text.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[..=i]);
                }
            }
            _ => {}
        }
    }
    None
}

/// Models that were trained to call tools do so unasked, in JSON or in tags.
fn called_tool(text: &str, values: &[Value]) -> Option<String> {
    let name_of = |v: &Value| -> Option<String> {
        let call = v
            .pointer("/tool_calls/0")
            .or(v.get("function_call"))
            .unwrap_or(v);
        let call = call.get("function").unwrap_or(call);
        let arguments = ["arguments", "parameters"];
        let is_call = arguments.iter().any(|a| call.get(a).is_some());
        let name = call.get("name").and_then(Value::as_str);
        name.filter(|_| is_call).map(|n| clip(n, 60))
    };
    values.iter().find_map(name_of).or_else(|| {
        let tags = ["<tool_call", "<function_call", "<invoke name"];
        tags.iter()
            .any(|t| text.contains(t))
            .then(|| "a tool".to_owned())
    })
}

/// Whether prose without any block or JSON is a refusal.
fn declines(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(200).collect();
    let start = start.to_lowercase().replace('\u{2019}', "'");
    [
        "i can't",
        "i cannot",
        "i'm sorry",
        "i am sorry",
        "i'm unable",
        "i am unable",
        "i'm not able",
        "i won't",
        "i will not",
        "i must decline",
    ]
    .iter()
    .any(|sign| start.contains(sign))
}
