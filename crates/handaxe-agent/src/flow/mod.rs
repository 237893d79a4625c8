//! Flows before they run: every step a tool that was offered, every reference to a step before it,
//! every edge of fitting types. What runs them is `pipeline/compose.rs`.

mod fit;
mod wire;

use std::collections::BTreeMap;

use handaxe_types::{Binding, Each, Flow, FlowStep, Reference};
use serde_json::{Value, json};

pub(crate) use fit::{Misfit, Typed, fits};
pub(crate) use wire::{Before, Wired, wire};

/// More tools than this in a row are a program, and a program is a tool.
pub(crate) const MAX_STEPS: usize = 8;

/// The two schemas of a step's tool.
#[derive(Clone, Copy)]
pub(crate) struct Interface<'a> {
    pub(crate) input: &'a Value,
    pub(crate) output: &'a Value,
}

/// Why a flow is not run. Its text is what a planner is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowFault {
    #[error("a flow has 2 to {MAX_STEPS} steps (or one with `each`), not {0}")]
    Steps(usize),
    #[error("two steps are called `{0}`")]
    Twice(String),
    #[error("step `{step}`: there is no earlier step `{named}`")]
    NoStep { step: String, named: String },
    #[error("step `{step}`: no file `{file}` is attached")]
    NoFile { step: String, file: String },
    #[error("step `{step}`: `$item` stands only in a step with `each`")]
    NoItem { step: String },
    #[error("step `{step}`: its tool has no input `{input}`")]
    NoInput { step: String, input: String },
    #[error("step `{step}`: its tool needs `{input}`")]
    Lacks { step: String, input: String },
    #[error("step `{step}`, input `{input}`: {misfit}")]
    Edge {
        step: String,
        input: String,
        misfit: Misfit,
    },
    #[error("step `{step}`, each: {misfit}")]
    Each { step: String, misfit: Misfit },
    #[error("step `{step}`, input `{input}`: the value given does not fit its schema: {why}")]
    Literal {
        step: String,
        input: String,
        why: String,
    },
}

/// Checks a flow whose steps' tools have these interfaces (one a step, in order) against the names
/// of the attached files. Nothing is run.
pub(crate) fn check(
    flow: &Flow,
    interfaces: &[Interface<'_>],
    files: &[String],
) -> Result<(), FlowFault> {
    let count = flow.steps.len();
    let alone = count == 1 && flow.steps[0].each.is_some();
    if !(alone || (2..=MAX_STEPS).contains(&count)) {
        return Err(FlowFault::Steps(count));
    }
    let mut before: BTreeMap<&str, Value> = BTreeMap::new();
    for (step, interface) in flow.steps.iter().zip(interfaces) {
        let checker = Checker {
            step,
            before: &before,
            files,
        };
        checker.check(*interface)?;
        let mut given = interface.output.clone();
        if step.each.is_some() {
            given = list_of(given);
        }
        if before.insert(&step.id, given).is_some() {
            return Err(FlowFault::Twice(step.id.clone()));
        }
    }
    Ok(())
}

/// The schema of a list of such outputs; its definitions stay where `$ref`s look for them.
pub(crate) fn list_of(mut item: Value) -> Value {
    let definitions = item
        .as_object_mut()
        .and_then(|o| o.remove("$defs"))
        .unwrap_or_else(|| json!({}));
    json!({"type": "array", "items": item, "$defs": definitions})
}

struct Checker<'a> {
    step: &'a FlowStep,
    before: &'a BTreeMap<&'a str, Value>,
    files: &'a [String],
}

impl<'a> Checker<'a> {
    fn check(&self, interface: Interface<'_>) -> Result<(), FlowFault> {
        let id = || self.step.id.clone();
        let item = self.item()?;
        let properties = interface.input.get("properties").and_then(Value::as_object);
        for (input, binding) in &self.step.input {
            let Some(schema) = properties.and_then(|p| p.get(input)) else {
                return Err(FlowFault::NoInput {
                    step: id(),
                    input: input.clone(),
                });
            };
            let to = Typed {
                schema,
                root: interface.input,
            };
            let edge = |misfit| FlowFault::Edge {
                step: id(),
                input: input.clone(),
                misfit,
            };
            match binding {
                Binding::Literal(value) => self.literal(input, value, to)?,
                Binding::From(reference) => {
                    let from = self.output(reference)?.at(&reference.path).map_err(edge)?;
                    fits(from, to).map_err(edge)?;
                }
                Binding::Item(path) => {
                    let Some(item) = item else {
                        return Err(FlowFault::NoItem { step: id() });
                    };
                    fits(item.at(path).map_err(edge)?, to).map_err(edge)?;
                }
            }
        }
        let required = interface.input.get("required").and_then(Value::as_array);
        for input in required.into_iter().flatten().filter_map(Value::as_str) {
            if !self.step.input.contains_key(input) {
                return Err(FlowFault::Lacks {
                    step: id(),
                    input: input.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The schema of what `each` hands the step, where it has one.
    fn item(&self) -> Result<Option<Typed<'a>>, FlowFault> {
        static FILE: std::sync::LazyLock<Value> =
            std::sync::LazyLock::new(|| json!({"type": "string", "format": "file"}));
        match &self.step.each {
            None => Ok(None),
            Some(Each::Files(files)) => {
                for file in files {
                    self.attached(file)?;
                }
                Ok(Some(Typed::of(&FILE)))
            }
            Some(Each::Of(reference)) => {
                let list = self.output(reference)?.at(&reference.path);
                let item = list
                    .and_then(Typed::items)
                    .map_err(|misfit| FlowFault::Each {
                        step: self.step.id.clone(),
                        misfit,
                    })?;
                Ok(Some(item))
            }
        }
    }

    fn output(&self, reference: &Reference) -> Result<Typed<'a>, FlowFault> {
        match self.before.get(reference.step.as_str()) {
            Some(schema) => Ok(Typed::of(schema)),
            None => Err(FlowFault::NoStep {
                step: self.step.id.clone(),
                named: reference.step.clone(),
            }),
        }
    }

    fn attached(&self, file: &str) -> Result<(), FlowFault> {
        if self.files.iter().any(|f| f == file) {
            return Ok(());
        }
        Err(FlowFault::NoFile {
            step: self.step.id.clone(),
            file: file.to_owned(),
        })
    }

    fn literal(&self, input: &str, value: &Value, to: Typed<'_>) -> Result<(), FlowFault> {
        let schema = to.schema;
        if schema.get("format").and_then(Value::as_str) == Some(handaxe_types::FILE_FORMAT)
            && let Some(file) = value.as_str()
        {
            return self.attached(file);
        }
        // A property may refer to its document's definitions.
        let mut whole = schema.clone();
        if let (Some(map), Some(definitions)) = (whole.as_object_mut(), to.root.get("$defs")) {
            map.insert("$defs".to_owned(), definitions.clone());
        }
        let why = match handaxe_validate::Schema::compile(&whole) {
            Ok(schema) => match schema.check(value) {
                Ok(()) => return Ok(()),
                Err(violation) => violation.to_string(),
            },
            Err(error) => error.to_string(),
        };
        Err(FlowFault::Literal {
            step: self.step.id.clone(),
            input: input.to_owned(),
            why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(steps: &Value) -> Flow {
        serde_json::from_value(json!({ "steps": steps })).unwrap()
    }

    /// A parser (file → rows), a scorer (row → score), a summer (list of numbers → total).
    fn interfaces() -> [Value; 6] {
        let object = |properties: Value, required: Value| {
            json!({"type": "object", "properties": properties, "required": required,
                   "additionalProperties": false})
        };
        let row = object(json!({"text": {"type": "string"}}), json!(["text"]));
        [
            object(
                json!({"log": {"type": "string", "format": "file"}}),
                json!(["log"]),
            ),
            object(
                json!({"rows": {"type": "array", "items": row.clone()}}),
                json!(["rows"]),
            ),
            object(
                json!({"text": {"type": "string"}, "scale": {"type": "integer"}}),
                json!(["text"]),
            ),
            object(json!({"score": {"type": "number"}}), json!(["score"])),
            object(
                json!({"scores": {"type": "array", "items":
                object(json!({"score": {"type": "number"}}), json!(["score"]))}}),
                json!(["scores"]),
            ),
            object(json!({"total": {"type": "number"}}), json!(["total"])),
        ]
    }

    #[track_caller]
    fn verdict(steps: &Value, tools: &[usize], fault: Option<&str>) {
        let schemas = interfaces();
        let all: Vec<Interface<'_>> = tools
            .iter()
            .map(|t| Interface {
                input: &schemas[t * 2],
                output: &schemas[t * 2 + 1],
            })
            .collect();
        let found = check(&flow(steps), &all, &["a.log".to_owned()]).err();
        match (fault, &found) {
            (None, None) => {}
            (Some(words), Some(f)) if f.to_string().contains(words) => {}
            _ => panic!("{steps}: {found:?}, wanted {fault:?}"),
        }
    }

    #[test]
    fn flows() {
        let step = |id: &str, input: Value, each: Value| {
            let mut step = json!({"id": id, "tool": "some_tool", "version": 1, "input": input});
            if !each.is_null() {
                step["each"] = each;
            }
            step
        };
        let parse = step("p", json!({"log": "a.log"}), Value::Null);
        let score = step(
            "s",
            json!({"text": {"$item": "/text"}}),
            json!({"$from": "p", "path": "/rows"}),
        );
        let sum = step("t", json!({"scores": {"$from": "s"}}), Value::Null);
        verdict(&json!([parse, score, sum]), &[0, 1, 2], None);
        let each_file = step(
            "p",
            json!({"log": {"$item": ""}}),
            json!({"$files": ["a.log"]}),
        );
        verdict(&json!([each_file]), &[0], None);

        verdict(&json!([parse]), &[0], Some("2 to 8 steps"));
        let many: Vec<Value> = (0..9)
            .map(|i| step(&format!("p{i}"), json!({"log": "a.log"}), Value::Null))
            .collect();
        verdict(&json!(many), &[0; 9], Some("2 to 8 steps"));
        verdict(&json!([parse, parse]), &[0, 0], Some("two steps"));
        verdict(&json!([sum, score]), &[2, 1], Some("no earlier step `s`"));
        let missing = step("p", json!({"log": "b.log"}), Value::Null);
        verdict(&json!([missing, score]), &[0, 1], Some("no file `b.log`"));
        let whole = step(
            "s",
            json!({"text": {"$from": "p", "path": "/rows"}}),
            Value::Null,
        );
        verdict(&json!([parse, whole]), &[0, 1], Some("may be array"));
        let item = step("s", json!({"text": {"$item": ""}}), Value::Null);
        verdict(
            &json!([parse, item]),
            &[0, 1],
            Some("only in a step with `each`"),
        );
        let lacking = step("s", json!({"scale": 1}), Value::Null);
        verdict(&json!([parse, lacking]), &[0, 1], Some("needs `text`"));
        let wrong = step("s", json!({"text": 1}), Value::Null);
        verdict(
            &json!([parse, wrong]),
            &[0, 1],
            Some("does not fit its schema"),
        );
        let unknown = step("s", json!({"text": "x", "y": 1}), Value::Null);
        verdict(&json!([parse, unknown]), &[0, 1], Some("no input `y`"));
        let flat = step("s", json!({"text": {"$item": ""}}), json!({"$from": "p"}));
        verdict(
            &json!([parse, flat]),
            &[0, 1],
            Some("each: it is not a list"),
        );
        let into_file = step(
            "q",
            json!({"log": {"$from": "p", "path": "/rows/0/text"}}),
            Value::Null,
        );
        verdict(
            &json!([parse, into_file]),
            &[0, 0],
            Some("a file is wanted"),
        );
    }
}
