//! The second input of a relation, made from the first. Pure: values and bytes in, the same out.

use std::sync::Arc;

use handaxe_sandbox::InlineFile;
use handaxe_types::Change;
use serde_json::{Number, Value, json};

use crate::fuzz::Source;
use crate::invoke::{Arguments, Contract};

/// Seed of every shuffle: a case must mean the same each time.
const SHUFFLE: u64 = 0x5eed;

/// The part of the input at a pointer; a file's is the list of its lines.
pub(crate) fn value_at(arguments: &Arguments, contract: &Contract, at: &str) -> Option<Value> {
    if let Some(file) = file_at(arguments, contract, at) {
        let (lines, _) = lines(&arguments.files[file].bytes);
        return Some(json!(
            lines
                .iter()
                .map(|l| String::from_utf8_lossy(l))
                .collect::<Vec<_>>()
        ));
    }
    json!(arguments.input).pointer(at).cloned()
}

/// The input with `value` in it at `into`: a text becomes a file's content where that is one.
pub(crate) fn fed(
    arguments: &Arguments,
    contract: &Contract,
    into: &str,
    value: &Value,
) -> Result<Arguments, String> {
    let mut next = arguments.clone();
    if let Some(file) = file_at(arguments, contract, into) {
        let Value::String(text) = value else {
            return Err(format!("what is fed into the file `{into}` is not a text"));
        };
        next.files[file].bytes = Arc::from(text.as_bytes());
        return Ok(next);
    }
    let mut input = Value::Object(next.input);
    let slot = input
        .pointer_mut(into)
        .ok_or_else(|| format!("nothing is at `{into}` of the input"))?;
    *slot = value.clone();
    next.input = match input {
        Value::Object(map) => map,
        _ => return Err("an input is an object".to_owned()),
    };
    Ok(next)
}

pub(crate) fn changed(
    change: &Change,
    arguments: &Arguments,
    contract: &Contract,
) -> Result<Arguments, String> {
    let at = match change {
        Change::Same => return Ok(arguments.clone()),
        Change::Reverse { at, .. }
        | Change::Shuffle { at, .. }
        | Change::Repeat { at, .. }
        | Change::Append { at, .. }
        | Change::Set { at, .. }
        | Change::Add { at, .. }
        | Change::Scale { at, .. }
        | Change::Upper { at }
        | Change::Lower { at } => at,
    };
    if let Some(file) = file_at(arguments, contract, at) {
        let mut next = arguments.clone();
        let bytes = changed_file(change, &arguments.files[file].bytes)
            .ok_or_else(|| format!("`{at}` is a file, and cannot be changed in this way"))?;
        next.files[file] = InlineFile {
            name: next.files[file].name.clone(),
            bytes: Arc::from(bytes),
        };
        return Ok(next);
    }
    let value = json!(arguments.input)
        .pointer(at)
        .cloned()
        .ok_or_else(|| format!("nothing is at `{at}` of the input"))?;
    let value = changed_value(change, value)
        .ok_or_else(|| format!("what is at `{at}` cannot be changed in this way"))?;
    fed(arguments, contract, at, &value)
}

/// Which of the files a top-level property names.
fn file_at(arguments: &Arguments, contract: &Contract, at: &str) -> Option<usize> {
    let property = at.strip_prefix('/')?;
    if !contract.file_inputs().iter().any(|f| f == property) {
        return None;
    }
    let name = arguments.input.get(property)?.as_str()?;
    arguments.files.iter().position(|f| f.name == name)
}

/// `None` where the change does not apply to this kind of value.
fn changed_value(change: &Change, value: Value) -> Option<Value> {
    Some(match (change, value) {
        (Change::Set { value, .. }, _) => value.clone(),
        (Change::Reverse { keep, .. }, Value::Array(items)) => Value::Array(reversed(items, *keep)),
        (Change::Shuffle { keep, .. }, Value::Array(items)) => Value::Array(shuffled(items, *keep)),
        (Change::Repeat { keep, .. }, Value::Array(items)) => Value::Array(repeated(items, *keep)),
        (Change::Append { value, .. }, Value::Array(mut items)) => {
            items.push(value.clone());
            Value::Array(items)
        }
        (Change::Reverse { keep, .. }, Value::String(t)) => {
            text(reversed(t.chars().collect(), *keep))
        }
        (Change::Shuffle { keep, .. }, Value::String(t)) => {
            text(shuffled(t.chars().collect(), *keep))
        }
        (Change::Repeat { keep, .. }, Value::String(t)) => {
            text(repeated(t.chars().collect(), *keep))
        }
        (Change::Append { value, .. }, Value::String(t)) => Value::String(t + value.as_str()?),
        (Change::Upper { .. }, Value::String(t)) => Value::String(t.to_uppercase()),
        (Change::Lower { .. }, Value::String(t)) => Value::String(t.to_lowercase()),
        (Change::Add { by, .. }, value) => numbers(value, &|n| n + by)?,
        (Change::Scale { by, .. }, value) => numbers(value, &|n| n * by)?,
        _ => return None,
    })
}

/// A number or every number of a list; whole ones stay whole where the result is.
fn numbers(value: Value, f: &dyn Fn(f64) -> f64) -> Option<Value> {
    match value {
        Value::Number(n) => {
            let new = f(n.as_f64()?);
            if !n.is_f64() && new.fract() == 0.0 && new.abs() < 9e15 {
                return Some(json!(new as i64));
            }
            Number::from_f64(new).map(Value::Number)
        }
        Value::Array(items) => items.into_iter().map(|i| numbers(i, f)).collect(),
        _ => None,
    }
}

fn changed_file(change: &Change, bytes: &[u8]) -> Option<Vec<u8>> {
    let (lines, ended) = lines(bytes);
    let lines: Vec<Vec<u8>> = lines.into_iter().map(<[u8]>::to_vec).collect();
    let lines = match change {
        Change::Reverse { keep, .. } => reversed(lines, *keep),
        Change::Shuffle { keep, .. } => shuffled(lines, *keep),
        Change::Repeat { keep, .. } => repeated(lines, *keep),
        Change::Append { value, .. } => {
            let mut lines = lines;
            lines.push(value.as_str()?.as_bytes().to_vec());
            lines
        }
        Change::Set { value, .. } => return Some(value.as_str()?.as_bytes().to_vec()),
        Change::Upper { .. } => return Some(bytes.to_ascii_uppercase()),
        Change::Lower { .. } => return Some(bytes.to_ascii_lowercase()),
        Change::Same => return Some(bytes.to_vec()),
        Change::Add { .. } | Change::Scale { .. } => return None,
    };
    let mut out = lines.join(&b'\n');
    if ended {
        out.push(b'\n');
    }
    Some(out)
}

/// Lines without their ends, and whether the last one had one.
fn lines(bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let ended = bytes.ends_with(b"\n");
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return (Vec::new(), false);
    }
    (body.split(|b| *b == b'\n').collect(), ended)
}

fn text(chars: Vec<char>) -> Value {
    Value::String(chars.into_iter().collect())
}

fn reversed<T>(mut items: Vec<T>, keep: usize) -> Vec<T> {
    if let Some(rest) = items.get_mut(keep..) {
        rest.reverse();
    }
    items
}

fn shuffled<T>(mut items: Vec<T>, keep: usize) -> Vec<T> {
    if let Some(rest) = items.get_mut(keep..) {
        Source::new(SHUFFLE, rest.len() as u64).shuffle(rest);
    }
    items
}

fn repeated<T: Clone>(mut items: Vec<T>, keep: usize) -> Vec<T> {
    let again = items.get(keep..).map(<[T]>::to_vec).unwrap_or_default();
    items.extend(again);
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn contract() -> Contract {
        let spec = serde_json::from_value(json!({
            "name": "some_tool",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"data": {"type": "string", "format": "file"},
                "xs": {}, "t": {}, "n": {}}, "additionalProperties": false},
            "output_schema": {},
            "domain": "text",
        }))
        .unwrap();
        Contract::new(&spec, "", &BTreeMap::new()).unwrap()
    }

    fn given() -> Arguments {
        Arguments {
            input: json!({"data": "f.csv", "xs": [3, 1, 2.5], "t": "abc", "n": 4})
                .as_object()
                .cloned()
                .unwrap(),
            files: vec![InlineFile {
                name: "f.csv".to_owned(),
                bytes: Arc::from(&b"h\n1\n2\n"[..]),
            }],
            ..Arguments::default()
        }
    }

    #[test]
    fn values_change() {
        for (change, at, after) in [
            (r#"{"reverse":{"at":"/xs"}}"#, "/xs", json!([2.5, 1, 3])),
            (
                r#"{"reverse":{"at":"/xs","keep":1}}"#,
                "/xs",
                json!([3, 2.5, 1]),
            ),
            (r#"{"repeat":{"at":"/t"}}"#, "/t", json!("abcabc")),
            (
                r#"{"append":{"at":"/xs","value":null}}"#,
                "/xs",
                json!([3, 1, 2.5, null]),
            ),
            (r#"{"set":{"at":"/n","value":"x"}}"#, "/n", json!("x")),
            (r#"{"add":{"at":"/n","by":1.5}}"#, "/n", json!(5.5)),
            (
                r#"{"scale":{"at":"/xs","by":2}}"#,
                "/xs",
                json!([6, 2, 5.0]),
            ),
            (r#"{"upper":{"at":"/t"}}"#, "/t", json!("ABC")),
            (
                r#"{"reverse":{"at":"/data","keep":1}}"#,
                "/data",
                json!(["h", "2", "1"]),
            ),
            (
                r#"{"repeat":{"at":"/data","keep":1}}"#,
                "/data",
                json!(["h", "1", "2", "1", "2"]),
            ),
            (
                r#"{"append":{"at":"/data","value":"3"}}"#,
                "/data",
                json!(["h", "1", "2", "3"]),
            ),
            (r#""same""#, "/n", json!(4)),
        ] {
            let change: Change = serde_json::from_str(change).unwrap();
            let next = changed(&change, &given(), &contract()).unwrap();
            assert_eq!(value_at(&next, &contract(), at), Some(after), "{change:?}");
        }
    }

    #[test]
    fn what_cannot_be_changed_is_said() {
        for bad in [
            r#"{"reverse":{"at":"/n"}}"#,
            r#"{"add":{"at":"/t","by":1}}"#,
            r#"{"add":{"at":"/data","by":1}}"#,
            r#"{"upper":{"at":"/nowhere"}}"#,
        ] {
            let change: Change = serde_json::from_str(bad).unwrap();
            assert!(changed(&change, &given(), &contract()).is_err(), "{bad}");
        }
    }
}
