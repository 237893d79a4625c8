//! Existing tools put together: a chain, or a fan-out. A flow holds references and literals; the
//! data that goes along its edges is never part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{ToolName, ToolRef, Version};

/// Steps in the order of their running; the last one's output is the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    pub steps: Vec<FlowStep>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowStep {
    /// What later steps call it; unique in the flow.
    pub id: String,
    pub tool: ToolName,
    pub version: Version,
    pub input: BTreeMap<String, Binding>,
    /// Runs once for each element; the step's output is then the list of the outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
}

impl FlowStep {
    pub fn tool_ref(&self) -> ToolRef {
        ToolRef {
            name: self.tool.clone(),
            version: Some(self.version),
        }
    }
}

/// Where an argument comes from.
///
/// In JSON: `{"$from": "step", "path": "/rows/0"}` (the path may be left out), `{"$item": "/name"}`
/// inside a step with `each`, anything else as it stands. A literal object has no key that begins
/// with `$`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Binding {
    Literal(Value),
    From(Reference),
    /// A part of the element that `each` is at: a JSON pointer, empty for the whole.
    Item(String),
}

/// A part of an earlier step's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub step: String,
    /// A JSON pointer; empty for the whole output.
    pub path: String,
}

/// What a step is repeated over. In JSON: a reference as above, or `{"$files": ["a.csv", …]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Each {
    Of(Reference),
    /// Attached files, by name.
    Files(Vec<String>),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    #[error("`{key}` is none of $from, $item and $files here")]
    UnknownKey { key: String },
    #[error("`{key}` takes {wanted}")]
    Shape {
        key: &'static str,
        wanted: &'static str,
    },
    #[error("a path is empty or begins with `/`")]
    Path,
}

/// The members of an object that has a key with `$`, which makes it more than a literal.
fn special(value: &Value) -> Option<&Map<String, Value>> {
    value
        .as_object()
        .filter(|map| map.keys().any(|k| k.starts_with('$')))
}

fn only(map: &Map<String, Value>, allowed: &[&str]) -> Result<(), BindingError> {
    match map.keys().find(|k| !allowed.contains(&k.as_str())) {
        Some(key) => Err(BindingError::UnknownKey {
            key: key.chars().take(40).collect(),
        }),
        None => Ok(()),
    }
}

fn pointer(value: Option<&Value>, key: &'static str) -> Result<String, BindingError> {
    let path = match value {
        None => "",
        Some(Value::String(path)) => path,
        Some(_) => {
            return Err(BindingError::Shape {
                key,
                wanted: "a path",
            });
        }
    };
    if path.is_empty() || path.starts_with('/') {
        Ok(path.to_owned())
    } else {
        Err(BindingError::Path)
    }
}

fn reference(map: &Map<String, Value>) -> Result<Option<Reference>, BindingError> {
    let Some(from) = map.get("$from") else {
        return Ok(None);
    };
    only(map, &["$from", "path"])?;
    let step = from.as_str().ok_or(BindingError::Shape {
        key: "$from",
        wanted: "the id of an earlier step",
    })?;
    Ok(Some(Reference {
        step: step.to_owned(),
        path: pointer(map.get("path"), "path")?,
    }))
}

impl TryFrom<Value> for Binding {
    type Error = BindingError;
    fn try_from(value: Value) -> Result<Self, BindingError> {
        let Some(map) = special(&value) else {
            return Ok(Self::Literal(value));
        };
        if let Some(reference) = reference(map)? {
            return Ok(Self::From(reference));
        }
        only(map, &["$item"])?;
        pointer(map.get("$item"), "$item").map(Self::Item)
    }
}

impl From<Binding> for Value {
    fn from(binding: Binding) -> Self {
        match binding {
            Binding::Literal(value) => value,
            Binding::From(reference) => reference.into(),
            Binding::Item(path) => json!({ "$item": path }),
        }
    }
}

impl From<Reference> for Value {
    fn from(Reference { step, path }: Reference) -> Self {
        if path.is_empty() {
            json!({ "$from": step })
        } else {
            json!({ "$from": step, "path": path })
        }
    }
}

impl TryFrom<Value> for Each {
    type Error = BindingError;
    fn try_from(value: Value) -> Result<Self, BindingError> {
        const FILES: BindingError = BindingError::Shape {
            key: "$files",
            wanted: "a list of attached files",
        };
        let Some(map) = special(&value) else {
            return Err(BindingError::Shape {
                key: "each",
                wanted: "{\"$from\": …} or {\"$files\": […]}",
            });
        };
        if let Some(reference) = reference(map)? {
            return Ok(Self::Of(reference));
        }
        only(map, &["$files"])?;
        let files = map.get("$files").and_then(Value::as_array).ok_or(FILES)?;
        let names: Option<Vec<String>> = files
            .iter()
            .map(|f| f.as_str().map(str::to_owned))
            .collect();
        names.map(Self::Files).ok_or(FILES)
    }
}

impl From<Each> for Value {
    fn from(each: Each) -> Self {
        match each {
            Each::Of(reference) => reference.into(),
            Each::Files(files) => json!({ "$files": files }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refusals() {
        for text in [
            json!({"$from": "a"}),
            json!({"$from": "a", "path": "/rows/0"}),
            json!({"$item": ""}),
            json!({"$item": "/name"}),
            json!({"a": {"b": 1}}),
            json!([1, {"$from": "inside a list it is a literal"}]),
            json!(null),
        ] {
            let binding = Binding::try_from(text.clone()).unwrap();
            assert_eq!(Value::from(binding), text);
        }
        for bad in [
            json!({"$from": 1}),
            json!({"$from": "a", "path": "rows"}),
            json!({"$from": "a", "extra": 1}),
            json!({"$item": 2}),
            json!({"$files": ["a"]}),
            json!({"$eval": "x"}),
        ] {
            assert!(Binding::try_from(bad.clone()).is_err(), "{bad}");
        }
        let files = json!({"$files": ["a.csv", "b.csv"]});
        assert_eq!(Value::from(Each::try_from(files.clone()).unwrap()), files);
        for bad in [json!([1]), json!({"$files": [1]}), json!({"$item": ""})] {
            assert!(Each::try_from(bad.clone()).is_err(), "{bad}");
        }
    }
}
