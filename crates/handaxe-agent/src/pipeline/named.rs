//! Tools that a question names, one after the other: what can be planned with no model beyond what
//! the composer writes itself. "split_lines of "…", then count the words of each, then sum counts".
//!
//! A part of the question means a tool where its words *are* the words of the tool's name; a word
//! more, and nobody guesses. What is not said comes from the step before by its type, or the plan is
//! refused with what was missing.

use std::collections::BTreeSet;

use handaxe_registry::ApprovedTool;
use handaxe_types::{
    Binding, Candidate, Each, Flow, FlowStep, Plan, Route, Task, ToolName, ToolRef,
};
use serde_json::{Map, Value, json};

use super::data::Data;
use super::external::typed;
use super::{Context, Halt, PipelineError};
use crate::flow::{Before, Interface, MAX_STEPS, Wired, check, list_of, wire};

/// Words around the names that say nothing of what is wanted.
const FILLERS: &[&str] = &[
    "a", "all", "an", "and", "apply", "are", "at", "by", "call", "do", "every", "each", "feed",
    "file", "finally", "first", "for", "from", "get", "give", "in", "into", "is", "it", "its",
    "me", "next", "of", "on", "one", "output", "over", "please", "result", "results", "run",
    "show", "that", "the", "their", "them", "these", "this", "those", "to", "tool", "use", "using",
    "what", "with",
];
/// Of these, the ones that mean a run for every element.
const EACH: &[&str] = &["each", "every"];

/// What a question of named tools came to.
pub(super) enum Named {
    /// It does not name them.
    No,
    Plan(Plan),
    /// It does, and something is missing.
    Lacking {
        reason: String,
        hint: String,
    },
}

/// A piece of a question, in its order.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// Lower case.
    Word(String),
    /// In double quotes.
    Quoted(String),
    /// `name=VALUE`.
    Given(String, String),
    /// An attached file.
    File(String),
}

/// What stands between two "then"s.
#[derive(Debug, Default)]
struct Part {
    pieces: Vec<Piece>,
    /// As it was written.
    text: String,
}

/// Reads a question as tools that are run one after the other. `one` takes a single tool too, where
/// nothing else was made of the question.
pub(super) fn named(ctx: &Context, task: &Task, data: &Data<'_>, one: bool) -> Result<Named, Halt> {
    // Examples say what is wanted better than names do, and of one tool.
    let shown = !task.examples.is_empty() || !task.goldens.is_empty();
    let parts = parts(&task.question, task);
    if shown || parts.len() > MAX_STEPS || (parts.len() < 2 && !one) {
        return Ok(Named::No);
    }
    let names = ctx.registry.names().map_err(PipelineError::Registry)?;
    let mut tools = Vec::with_capacity(parts.len());
    for part in &parts {
        tools.push(meant(ctx, part, &names)?);
    }
    let later = tools.iter().skip(1).all(Option::is_some);
    match tools.first() {
        Some(Some(_)) if later => {}
        // The first may be a question to the data, which a tool of the composer's answers.
        Some(None) if later && parts.len() > 1 => {
            return composed_first(ctx, task, data, &parts, tools);
        }
        _ => return Ok(Named::No),
    }
    let tools: Vec<ApprovedTool> = tools.into_iter().flatten().collect();
    Ok(planned(task, &parts, &tools, None))
}

/// As above, where the first part is a question about the one attached file.
fn composed_first(
    ctx: &Context,
    task: &Task,
    data: &Data<'_>,
    parts: &[Part],
    tools: Vec<Option<ApprovedTool>>,
) -> Result<Named, Halt> {
    let (Some(first), [profile]) = (parts.first(), data.profiles.as_slice()) else {
        return Ok(Named::No);
    };
    let profile = std::slice::from_ref(profile);
    let Ok(composed) = handaxe_composer::compose(&first.text, profile) else {
        return Ok(Named::No);
    };
    let recipe = handaxe_types::Digest::of_json(&composed.recipe);
    let found = ctx
        .registry
        .find_by_recipe(recipe)
        .map_err(PipelineError::Registry)?;
    let Some(tool) = found.and_then(|found| load(ctx, &found)) else {
        return Ok(Named::Lacking {
            reason: format!("no tool does the first part yet: {}", first.text),
            hint: format!(
                "make it, then ask again: handaxe make \"{}\" --data FILE",
                first.text
            ),
        });
    };
    let mut all = vec![tool];
    all.extend(tools.into_iter().flatten());
    Ok(planned(task, parts, &all, Some(&composed.invocation)))
}

fn load(ctx: &Context, tool: &ToolRef) -> Option<ApprovedTool> {
    ctx.registry.load_approved(tool, ctx.sandbox.profile()).ok()
}

/// The question in its parts, in the words and values that they are made of.
fn parts(question: &str, task: &Task) -> Vec<Part> {
    let mut parts = vec![Part::default()];
    let mut rest = question.trim_start();
    while !rest.is_empty() {
        let (piece, taken) = piece(rest, task);
        let text = &rest[..taken];
        rest = rest[taken..].trim_start();
        match (piece, parts.last_mut()) {
            (Some(Piece::Word(word)), _) if word == "then" => parts.push(Part::default()),
            (piece, Some(part)) => {
                part.pieces.extend(piece);
                part.text.push_str(text);
                part.text.push(' ');
            }
            (_, None) => {}
        }
    }
    for part in &mut parts {
        let text = part
            .text
            .trim_end_matches(|c: char| c == ',' || c.is_whitespace());
        let text = text.strip_suffix(" and").unwrap_or(text);
        part.text = text.trim_end_matches([',', ' ']).to_owned();
    }
    parts
}

/// The piece at the head of a text, and how much of the text it is.
fn piece(text: &str, task: &Task) -> (Option<Piece>, usize) {
    if let Some((inside, _)) = text.strip_prefix('"').and_then(|t| t.split_once('"')) {
        return (Some(Piece::Quoted(inside.to_owned())), inside.len() + 2);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let word = &text[..end];
    if let Some((name, value)) = word.split_once('=')
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        let after = &text[name.len() + 1..];
        let quoted = after.strip_prefix('"').and_then(|t| t.split_once('"'));
        let (value, taken) = match quoted {
            Some((inside, _)) => (inside, name.len() + inside.len() + 3),
            None => (value.trim_end_matches([',', ';']), end),
        };
        return (Some(Piece::Given(name.to_owned(), value.to_owned())), taken);
    }
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    if let Some(file) = task.data.iter().find(|f| f.name == bare || f.name == word) {
        return (Some(Piece::File(file.name.clone())), end);
    }
    let word = Some(bare).filter(|w| !w.is_empty());
    (word.map(|w| Piece::Word(w.to_lowercase())), end)
}

/// The one approved tool whose name a part is.
fn meant(ctx: &Context, part: &Part, names: &[ToolName]) -> Result<Option<ApprovedTool>, Halt> {
    let said: BTreeSet<String> = part
        .pieces
        .iter()
        .filter_map(|p| match p {
            Piece::Word(word) => Some(word.as_str()),
            _ => None,
        })
        .flat_map(telling)
        .collect();
    if said.is_empty() {
        return Ok(None);
    }
    ctx.check_cancel()?;
    let mut meant = names
        .iter()
        .filter(|name| telling(name.as_str()).collect::<BTreeSet<_>>() == said)
        .filter_map(|name| {
            let newest = ToolRef {
                name: name.clone(),
                version: None,
            };
            load(ctx, &newest)
        });
    // Of two that are named alike, neither is meant plainly.
    Ok(meant.next().filter(|_| meant.next().is_none()))
}

/// The words of a text that say something, without their endings.
fn telling(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty() && !FILLERS.contains(w))
        .map(stem)
}

fn stem(word: &str) -> String {
    let ending = ["ing", "ed", "es", "s", "e"]
        .iter()
        .find_map(|e| word.strip_suffix(e).filter(|stem| stem.len() >= 3));
    ending.unwrap_or(word).to_owned()
}

/// Gives every step what it needs; `first` is what the first one is run on, where that is known.
fn planned(
    task: &Task,
    parts: &[Part],
    tools: &[ApprovedTool],
    first: Option<&Map<String, Value>>,
) -> Named {
    let mut steps: Vec<FlowStep> = Vec::with_capacity(tools.len());
    let mut gives: Option<Value> = None;
    for (n, (part, tool)) in parts.iter().zip(tools).enumerate() {
        let before = steps
            .last()
            .zip(gives.as_ref())
            .map(|(step, gives)| Before {
                id: &step.id,
                gives,
            });
        let wired = match first {
            Some(input) if n == 0 => Ok(literals(input)),
            _ => inputs(task, part, tool, before),
        };
        let wired = match wired {
            Ok(wired) => wired,
            Err(reason) => {
                return Named::Lacking {
                    reason: format!("{} is named, and cannot be run: {reason}", tool.tool_ref()),
                    hint: format!(
                        "say what it needs as NAME=VALUE; handaxe tools show {} lists its inputs",
                        tool.name()
                    ),
                };
            }
        };
        let mut output = tool.spec().output_schema.clone();
        if wired.each.is_some() {
            output = list_of(output);
        }
        gives = Some(output);
        steps.push(FlowStep {
            id: format!("{}_{}", tool.name(), n + 1),
            tool: tool.name().clone(),
            version: tool.version(),
            input: wired.input,
            each: wired.each,
        });
    }
    let words = steps.iter().map(|s| {
        let each = if s.each.is_some() {
            ", once for each"
        } else {
            ""
        };
        format!("Run {}{each}", s.tool_ref())
    });
    let words = words.collect();
    let candidates = tools
        .iter()
        .map(|t| Candidate {
            tool: t.name().clone(),
            version: t.version(),
            why: "named in the question".to_owned(),
        })
        .collect();
    let route = match steps.as_slice() {
        [step] if step.each.is_none() => Route::Reuse {
            tool: step.tool.clone(),
            version: step.version,
            input: step
                .input
                .iter()
                .filter_map(|(name, binding)| match binding {
                    Binding::Literal(value) => Some((name.clone(), value.clone())),
                    Binding::From(_) | Binding::Item(_) => None,
                })
                .collect(),
        },
        _ => {
            let flow = Flow { steps };
            let interfaces: Vec<Interface<'_>> = tools
                .iter()
                .map(|t| Interface {
                    input: &t.spec().input_schema,
                    output: &t.spec().output_schema,
                })
                .collect();
            let files: Vec<String> = task.data.iter().map(|f| f.name.clone()).collect();
            if let Err(fault) = check(&flow, &interfaces, &files) {
                return Named::Lacking {
                    reason: fault.to_string(),
                    hint: "say it in other words, or connect a model: --model openai:NAME"
                        .to_owned(),
                };
            }
            Route::Compose { flow }
        }
    };
    Named::Plan(Plan {
        route,
        steps: words,
        candidates,
    })
}

fn literals(input: &Map<String, Value>) -> Wired {
    let literal =
        |(name, value): (&String, &Value)| (name.clone(), Binding::Literal(value.clone()));
    Wired {
        input: input.iter().map(literal).collect(),
        each: None,
    }
}

/// What a part says of its tool's inputs, and for the rest the attached files or the step before.
fn inputs(
    task: &Task,
    part: &Part,
    tool: &ApprovedTool,
    before: Option<Before<'_>>,
) -> Result<Wired, String> {
    let takes = &tool.spec().input_schema;
    let empty = Map::new();
    let properties = takes.get("properties").and_then(Value::as_object);
    let properties = properties.unwrap_or(&empty);
    let is_file = |name: &str| {
        let format = properties.get(name).and_then(|p| p.get("format"));
        format.is_some_and(|f| f == handaxe_types::FILE_FORMAT)
    };
    let required = takes.get("required").and_then(Value::as_array);
    let required: Vec<&str> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut said = Map::new();
    for piece in &part.pieces {
        match piece {
            Piece::Word(_) => {}
            Piece::Given(name, value) => {
                let property = properties.get(name);
                let property = property.ok_or_else(|| format!("it has no input `{name}`"))?;
                said.insert(name.clone(), typed(value, property));
            }
            Piece::Quoted(value) => {
                let open: Vec<&&str> = required
                    .iter()
                    .filter(|r| !said.contains_key(**r) && !is_file(r) && is_text(&properties[**r]))
                    .collect();
                let [name] = open.as_slice() else {
                    return Err(format!("which of its inputs is \"{value}\"?"));
                };
                said.insert((**name).to_owned(), json!(value));
            }
            Piece::File(file) => {
                let open = required
                    .iter()
                    .find(|r| !said.contains_key(**r) && is_file(r));
                let name = open.ok_or_else(|| format!("it takes no file such as {file}"))?;
                said.insert((*name).to_owned(), json!(file));
            }
        }
    }
    let mut wired = literals(&said);
    let lacking: Vec<&str> = required
        .into_iter()
        .filter(|r| !said.contains_key(*r))
        .collect();
    let Some(one) = lacking.first().copied() else {
        return Ok(wired);
    };
    if let Some(before) = before {
        let each = part
            .pieces
            .iter()
            .any(|p| matches!(p, Piece::Word(w) if EACH.contains(&w.as_str())));
        let from_before = wire(before, takes, &lacking, each).map_err(|why| why.to_string())?;
        wired.input.extend(from_before.input);
        wired.each = from_before.each;
        return Ok(wired);
    }
    match task.data.as_slice() {
        [file] if lacking.len() == 1 && is_file(one) => {
            let value = Binding::Literal(json!(file.name));
            wired.input.insert(one.to_owned(), value);
        }
        files if files.len() > 1 && lacking.len() == 1 && is_file(one) => {
            let names = files.iter().map(|f| f.name.clone()).collect();
            wired.each = Some(Each::Files(names));
            wired
                .input
                .insert(one.to_owned(), Binding::Item(String::new()));
        }
        _ => return Err(format!("it needs `{}`", lacking.join("`, `"))),
    }
    Ok(wired)
}

fn is_text(property: &Value) -> bool {
    property.get("type").and_then(Value::as_str) == Some("string")
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::{DataFile, Digest, Preview};

    fn task(question: &str) -> Task {
        Task {
            question: question.to_owned(),
            data: vec![DataFile {
                name: "a.csv".to_owned(),
                path: "a.csv".into(),
                bytes: 0,
                digest: Digest::of(b""),
            }],
            goldens: Vec::new(),
            examples: Vec::new(),
            preview: Preview::None,
        }
    }

    #[test]
    fn questions_in_parts() {
        let word = |w: &str| Piece::Word(w.to_owned());
        let question =
            "split_lines of \"a, then b\" text=\"x y\", and then n=3, (A.csv) then a.csv!";
        let parts = parts(question, &task(question));
        let pieces: Vec<&[Piece]> = parts.iter().map(|p| p.pieces.as_slice()).collect();
        let given = |n: &str, v: &str| Piece::Given(n.to_owned(), v.to_owned());
        assert_eq!(
            pieces,
            [
                &[
                    word("split_lines"),
                    word("of"),
                    Piece::Quoted("a, then b".to_owned()),
                    given("text", "x y"),
                    word("and"),
                ][..],
                &[given("n", "3"), word("a.csv")],
                &[Piece::File("a.csv".to_owned())],
            ]
        );
        assert_eq!(parts[0].text, "split_lines of \"a, then b\" text=\"x y\"");
        for odd in [
            "",
            "\"",
            "then",
            "= =\"",
            "x=\"",
            "then then",
            "日本\u{0}語",
        ] {
            super::parts(odd, &task(odd));
        }
    }

    #[test]
    fn words_that_tell() {
        let set = |text: &str| telling(text).collect::<BTreeSet<_>>();
        assert_eq!(set("count the words of each"), set("count_words"));
        assert_eq!(set("counting words"), set("word_count"));
        assert_ne!(set("count the long words"), set("count_words"));
        assert_ne!(set("do not count words"), set("count_words"));
    }
}
