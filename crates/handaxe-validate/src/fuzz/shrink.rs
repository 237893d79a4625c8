//! A failing input made small: parts are taken away, largest first, as long as the tool still fails
//! in the same way (after Zeller and Hildebrandt, *Simplifying and isolating failure-inducing
//! input*, TSE 2002). Every step that is kept was seen to fail in a fresh process.

use std::sync::Arc;

use handaxe_sandbox::InlineFile;
use serde_json::{Map, Value, json};

use crate::invoke::Arguments;
use crate::trial::ValidateError;

/// Bytes of an input: JSON and files.
pub(crate) fn weight(arguments: &Arguments) -> u64 {
    let files: usize = arguments.files.iter().map(|f| f.bytes.len()).sum();
    (json!(arguments.input).to_string().len() + files) as u64
}

/// The smallest input found within `runs` runs of `fails`.
pub(crate) fn shrink(
    found: Arguments,
    runs: usize,
    fails: &dyn Fn(&Arguments) -> Result<bool, ValidateError>,
) -> Result<Arguments, ValidateError> {
    let mut best = found;
    let mut left = runs;
    'again: while left > 0 {
        for smaller in candidates(&best) {
            if left == 0 {
                break 'again;
            }
            left -= 1;
            if fails(&smaller)? {
                best = smaller;
                continue 'again;
            }
        }
        break;
    }
    Ok(best)
}

/// Simpler inputs, the boldest first.
fn candidates(from: &Arguments) -> Vec<Arguments> {
    let mut out = Vec::new();
    for (i, file) in from.files.iter().enumerate() {
        for bytes in smaller_file(&file.bytes) {
            let mut next = from.clone();
            next.files[i] = InlineFile {
                name: file.name.clone(),
                bytes: Arc::from(bytes),
            };
            out.push(next);
        }
    }
    for input in smaller_map(&from.input) {
        // A file that nothing names any more goes too.
        let named = |f: &&InlineFile| input.values().any(|v| v == &json!(f.name));
        let files = from.files.iter().filter(named).cloned().collect();
        out.push(Arguments {
            input,
            files,
            ..from.clone()
        });
    }
    out
}

fn smaller_map(map: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let mut out = Vec::new();
    for name in map.keys() {
        let mut next = map.clone();
        next.remove(name);
        out.push(next);
    }
    for (name, value) in map {
        for smaller in smaller_value(value) {
            let mut next = map.clone();
            next.insert(name.clone(), smaller);
            out.push(next);
        }
    }
    out
}

fn smaller_value(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Bool(b) => {
            if *b {
                vec![json!(false)]
            } else {
                Vec::new()
            }
        }
        Value::Number(n) => {
            let mut out = Vec::new();
            if let Some(i) = n.as_i64() {
                out.extend(
                    [0, 1, i / 2, i - i.signum()]
                        .iter()
                        .filter(|s| s.unsigned_abs() < i.unsigned_abs())
                        .map(|s| json!(s)),
                );
            } else if let Some(f) = n.as_f64() {
                out.extend(
                    [0.0, 1.0, f.trunc(), (f / 2.0).trunc()]
                        .iter()
                        .filter(|s| s.abs() < f.abs())
                        .map(|s| json!(s)),
                );
            }
            out
        }
        Value::String(text) => {
            let chars: Vec<char> = text.chars().collect();
            let mut out: Vec<Value> = without_parts(&chars)
                .into_iter()
                .map(|c| json!(c.into_iter().collect::<String>()))
                .collect();
            // As plain as can be, where what it says does not matter.
            let plain = "a".repeat(chars.len());
            if !text.is_empty() && *text != plain {
                out.push(json!(plain));
            }
            out
        }
        Value::Array(items) => {
            let mut out: Vec<Value> = without_parts(items).into_iter().map(Value::Array).collect();
            for (i, item) in items.iter().enumerate().take(8) {
                for smaller in smaller_value(item) {
                    let mut next = items.clone();
                    next[i] = smaller;
                    out.push(Value::Array(next));
                }
            }
            out
        }
        Value::Object(map) => smaller_map(map).into_iter().map(Value::Object).collect(),
    }
}

fn smaller_file(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let mut out: Vec<Vec<u8>> = without_parts(&lines)
        .into_iter()
        .map(|l| l.concat())
        .collect();
    if lines.len() <= 3 {
        out.extend(without_parts(bytes));
    }
    out
}

/// Nothing at all; then without each half, quarter, … down to single items while these are few.
fn without_parts<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let mut out = Vec::new();
    if items.is_empty() {
        return out;
    }
    out.push(Vec::new());
    let mut size = items.len().div_ceil(2);
    let mut made = 0;
    while size > 0 && size < items.len() && made < 64 {
        for start in (0..items.len()).step_by(size) {
            let end = (start + size).min(items.len());
            out.push([&items[..start], &items[end..]].concat());
            made += 1;
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn arguments(input: &Value, files: &[(&str, &[u8])]) -> Arguments {
        Arguments {
            input: input.as_object().cloned().unwrap_or_default(),
            files: files
                .iter()
                .map(|(name, bytes)| InlineFile {
                    name: (*name).to_owned(),
                    bytes: Arc::from(*bytes),
                })
                .collect(),
            ..Arguments::default()
        }
    }

    #[track_caller]
    fn check(
        found: &Arguments,
        fails: impl Fn(&Arguments) -> bool,
        least: &Value,
        files: &[&[u8]],
    ) {
        let runs = Cell::new(0);
        let small = shrink(found.clone(), 400, &|a| {
            runs.set(runs.get() + 1);
            Ok(fails(a))
        })
        .unwrap();
        assert_eq!(&json!(small.input), least, "after {} runs", runs.get());
        let left: Vec<&[u8]> = small.files.iter().map(|f| &*f.bytes).collect();
        assert_eq!(left, files);
        assert!(weight(&small) <= weight(found));
    }

    #[test]
    fn down_to_what_matters() {
        let xs: Vec<i64> = (1..=40).collect();
        check(
            &arguments(&json!({"xs": xs, "title": "long title", "flag": true}), &[]),
            |a| {
                a.input
                    .get("xs")
                    .and_then(Value::as_array)
                    .is_some_and(|xs| xs.contains(&json!(13)))
            },
            &json!({"xs": [13]}),
            &[],
        );
        check(
            &arguments(&json!({"t": "abc,def;ghi,jkl"}), &[]),
            |a| {
                a.input
                    .get("t")
                    .and_then(Value::as_str)
                    .is_some_and(|t| t.contains(';'))
            },
            &json!({"t": ";"}),
            &[],
        );
        check(
            &arguments(
                &json!({"data": "f.csv", "n": 12}),
                &[("f.csv", b"h\na,1\nb,\nc,3\nd,4\n")],
            ),
            |a| {
                a.files
                    .iter()
                    .any(|f| f.bytes.windows(2).any(|w| w == b",\n"))
            },
            &json!({"data": "f.csv"}),
            &[b",\n"],
        );
    }

    #[test]
    fn it_is_bounded() {
        let runs = Cell::new(0);
        let found = arguments(&json!({"t": "x".repeat(5000)}), &[]);
        shrink(found, 25, &|_| {
            runs.set(runs.get() + 1);
            Ok(false)
        })
        .unwrap();
        assert_eq!(runs.get(), 25);
    }
}
