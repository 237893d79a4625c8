//! The raw matter of a reply: fenced blocks, JSON documents, JSON in prose, and what is wrong with
//! them. What they mean is `reply`'s to say.

use handaxe_types::json::{self, Bounds, JsonError};
use serde_json::Value;

use super::MAX_REPLY;
use super::reply::{MAX_CASES, ReplyFault, clip};

const MAX_BLOCKS: usize = 64;
/// How many `{` in prose are tried as the start of an object.
const MAX_STARTS: usize = 64;
const BOUNDS: Bounds = Bounds {
    bytes: MAX_REPLY,
    depth: 64,
};

/// The blocks and JSON documents of a reply, in order, and the first thing wrong with them.
pub(super) struct Documents<'a> {
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
    pub(super) fn of(text: &'a str) -> Self {
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

    pub(super) fn last_with(&self, key: &str) -> Option<&Value> {
        self.values.iter().rev().find(|v| v.get(key).is_some())
    }

    /// Under `cases` where there is such a list; else every object with an input and a check. A
    /// later one replaces an earlier one of the same name.
    pub(super) fn cases(&self) -> Vec<Value> {
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
    pub(super) fn code(&self) -> Result<String, ReplyFault> {
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
    pub(super) fn explain(&mut self, text: &str, missing: &'static str) -> ReplyFault {
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
