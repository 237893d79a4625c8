//! What an answer is expected to be, and whether a tool's output says so.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Relative difference that arithmetic in another order may make.
const TOLERANCE: f64 = 1e-6;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Expected {
    /// The one number; `sign: any` where either way round is meant.
    Number {
        value: f64,
        #[serde(default)]
        sign: Option<String>,
    },
    /// A number for each group, groups of two fields joined by `|`; groups without a name are left
    /// out of the comparison.
    Map {
        value: BTreeMap<String, f64>,
    },
    /// The first of an order, and not more of them than were asked for.
    Names {
        field: String,
        value: Vec<String>,
    },
    Set {
        value: BTreeSet<String>,
    },
    /// The file that was written, by its checksum (ISO 3309).
    File {
        crc32: u32,
    },
    /// For each group the label of its record.
    Labels {
        group: String,
        field: String,
        value: BTreeMap<String, String>,
    },
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1e-9)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(s) => match s.parse::<f64>() {
            Ok(n) if n.fract() == 0.0 && n.abs() < 1e15 && s.contains('.') => format!("{n}"),
            _ => s.clone(),
        },
        Value::Number(n) => n.as_f64().map_or(n.to_string(), |f| format!("{f}")),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn absent(key: &str) -> bool {
    key.split('|').any(|part| part.is_empty() || part == "NA")
}

fn rows<'a>(output: &'a Value, name: &str) -> Option<&'a Vec<Value>> {
    output.get(name)?.as_array()
}

/// Key and number of each row of an output, in order. The number is the last one of the row.
fn table(output: &Value) -> Option<Vec<(String, Option<f64>)>> {
    if let Some(groups) = rows(output, "groups") {
        return groups
            .iter()
            .map(|row| {
                let key: Vec<String> = row.get("group")?.as_object()?.values().map(text).collect();
                let values = row.get("values")?.as_object()?;
                Some((
                    key.join("|"),
                    values.values().next_back().and_then(Value::as_f64),
                ))
            })
            .collect();
    }
    if let Some(columns) = rows(output, "columns") {
        let mut cells = Vec::new();
        for row in rows(output, "rows")? {
            let values = row.get("values")?.as_array()?;
            for (column, value) in columns.iter().zip(values) {
                let key = format!("{}|{}", text(row.get("row")?), text(column));
                cells.push((key, value.as_f64()));
            }
        }
        return Some(cells);
    }
    for (list, key, value) in [("buckets", "bucket", "value"), ("values", "value", "count")] {
        if let Some(rows) = rows(output, list)
            && rows.iter().all(Value::is_object)
        {
            return rows
                .iter()
                .map(|row| Some((text(row.get(key)?), row.get(value).and_then(Value::as_f64))))
                .collect();
        }
    }
    None
}

/// The one number that an output is.
fn single(output: &Value) -> Option<f64> {
    if let Some(n) = output.get("value").or_else(|| output.get("count")) {
        return n.as_f64();
    }
    if let Some(table) = table(output) {
        return match table.as_slice() {
            [(_, value)] => *value,
            _ => None,
        };
    }
    output.get("distinct").and_then(Value::as_f64)
}

/// Whether the output says what is expected.
pub fn agrees(expected: &Expected, output: &Value) -> bool {
    says(expected, output).unwrap_or(false)
}

fn says(expected: &Expected, output: &Value) -> Option<bool> {
    Some(match expected {
        Expected::Number { value, sign } => {
            let got = single(output)?;
            close(got, *value) || (sign.is_some() && close(got, -*value))
        }
        Expected::Map { value } => {
            // Two group fields may come in either order.
            let table = table(output)?;
            let turned = |key: &str| key.split('|').rev().collect::<Vec<_>>().join("|");
            let got: BTreeMap<String, f64> = table
                .into_iter()
                .filter(|(k, _)| !absent(k))
                .filter_map(|(k, v)| Some((k, v?)))
                .collect();
            got.len() == value.len()
                && (got.iter()).all(|(k, v)| {
                    value
                        .get(k)
                        .or_else(|| value.get(&turned(k)))
                        .is_some_and(|e| close(*v, *e))
                })
        }
        Expected::Names { field, value } => {
            let got: Vec<String> = match rows(output, "rows") {
                Some(rows) => rows
                    .iter()
                    .map(|r| r.get(field).map(text))
                    .collect::<Option<_>>()?,
                None => table(output)?
                    .into_iter()
                    .map(|(k, _)| k)
                    .filter(|k| !absent(k))
                    .collect(),
            };
            got == *value
        }
        Expected::Set { value } => {
            let got: BTreeSet<String> = match rows(output, "values") {
                Some(values) if values.iter().all(|v| !v.is_object()) => {
                    values.iter().map(text).collect()
                }
                _ => table(output)?.into_iter().map(|(k, _)| k).collect(),
            };
            got.into_iter()
                .filter(|k| !absent(k))
                .collect::<BTreeSet<_>>()
                == *value
        }
        Expected::File { crc32 } => output.get("crc32")?.as_u64() == Some(u64::from(*crc32)),
        Expected::Labels {
            group,
            field,
            value,
        } => {
            let got: BTreeMap<String, String> = rows(output, "rows")?
                .iter()
                .map(|r| Some((text(r.get(group)?), text(r.get(field)?))))
                .collect::<Option<_>>()?;
            let got: BTreeMap<_, _> = got.into_iter().filter(|(k, _)| !absent(k)).collect();
            got == *value
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outputs_are_compared() {
        let number = |value| Expected::Number { value, sign: None };
        let map = |pairs: &[(&str, f64)]| Expected::Map {
            value: pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
        };
        let groups = json!({"groups": [
            {"group": {"k": "a"}, "values": {"mean(x)": 1.5}},
            {"group": {"k": null}, "values": {"mean(x)": 9}},
        ]});
        let names = |value: &[&str]| Expected::Names {
            field: "k".to_owned(),
            value: value.iter().map(|v| (*v).to_owned()).collect(),
        };
        for (expected, output, same) in [
            (number(3.0), json!({"count": 3}), true),
            (number(3.0), json!({"count": 4}), false),
            (number(3.0), json!({"text": 3}), false),
            (
                number(40.0),
                json!({"value": 40.0, "count": 2, "of": 5}),
                true,
            ),
            (map(&[("a", 1.5)]), groups.clone(), true),
            (map(&[("a", 1.6)]), groups.clone(), false),
            (map(&[("a", 1.5), ("b", 2.0)]), groups.clone(), false),
            (names(&["a"]), groups, true),
            (names(&["x"]), json!({"rows": [{"k": "x", "n": 3}]}), true),
            // More than was asked for is not the answer.
            (
                names(&["x"]),
                json!({"rows": [{"k": "x"}, {"k": "y"}]}),
                false,
            ),
        ] {
            assert_eq!(agrees(&expected, &output), same, "{expected:?} {output}");
        }
    }
}
