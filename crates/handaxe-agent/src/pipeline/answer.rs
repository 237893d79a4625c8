//! From what the tools gave to words that a reader can check.

use handaxe_composer::Composed;
use handaxe_types::ToolRef;
use serde_json::Value;

use super::report::Invocation;

/// Rows of a table that are shown; the rest is counted.
const MAX_ROWS: usize = 20;

/// What stands behind the tool that an answer rests on.
#[derive(Clone, Copy)]
pub(super) enum Standing {
    Approved,
    /// It waits for a person still.
    Waiting,
}

/// The answer in words, and the result as data: the one output, or one an invocation.
pub(super) fn answer(
    tool: &ToolRef,
    standing: Standing,
    composed: &[Composed],
    invocations: &[Invocation],
) -> (String, Value) {
    let mut texts = Vec::new();
    let mut results = Vec::new();
    for (n, invocation) in invocations.iter().enumerate() {
        let output = invocation.result.output.clone().unwrap_or(Value::Null);
        let text = composed
            .get(n)
            .map_or_else(|| plain(&output), |c| c.answer(&output));
        if invocations.len() > 1 {
            texts.push(format!("{}:\n{text}", invocation.data.join(", ")));
        } else {
            texts.push(text);
        }
        results.push(output);
    }
    let files: Vec<&str> = invocations
        .iter()
        .flat_map(|i| &i.data)
        .map(String::as_str)
        .collect();
    let over = if files.is_empty() {
        String::new()
    } else {
        format!(" over {}", files.join(", "))
    };
    texts.push(match standing {
        Standing::Approved => format!("This rests on {tool}{over}."),
        Standing::Waiting if over.is_empty() => {
            format!("This rests on {tool}, not approved yet.")
        }
        Standing::Waiting => format!("This rests on {tool}, not approved yet,{over}."),
    });
    let result = if results.len() == 1 {
        results.remove(0)
    } else {
        Value::Array(results)
    };
    (texts.join("\n\n"), result)
}

/// A JSON value for a reader: scalars as they are, objects as lines, lists of objects as a table.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| match value {
                Value::Array(_) | Value::Object(_) => format!("{key}:\n{}", indent(&plain(value))),
                scalar => format!("{key}: {}", plain(scalar)),
            })
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Array(items) => list(items),
        scalar => scalar.to_string(),
    }
}

fn list(items: &[Value]) -> String {
    let mut lines: Vec<String> = match columns(items) {
        Some(columns) => table(&columns, &items[..items.len().min(MAX_ROWS)]),
        None => items
            .iter()
            .take(MAX_ROWS)
            .map(|i| format!("- {}", one_line(i)))
            .collect(),
    };
    if items.is_empty() {
        lines.push("(none)".to_owned());
    }
    if items.len() > MAX_ROWS {
        lines.push(format!("… and {} more", items.len() - MAX_ROWS));
    }
    lines.join("\n")
}

/// The keys that every item has, where all are flat objects with the same ones.
fn columns(items: &[Value]) -> Option<Vec<&String>> {
    let first: Vec<&String> = items.first()?.as_object()?.keys().collect();
    let flat = |item: &Value| {
        item.as_object().is_some_and(|o| {
            o.len() == first.len()
                && first
                    .iter()
                    .all(|k| o.get(*k).is_some_and(|v| !v.is_object() && !v.is_array()))
        })
    };
    items.iter().all(flat).then_some(first)
}

fn table(columns: &[&String], rows: &[Value]) -> Vec<String> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|c| one_line(&row[c.as_str()])).collect())
        .collect();
    let width = |i: usize| {
        let body = cells
            .iter()
            .map(|row| row[i].chars().count())
            .max()
            .unwrap_or(0);
        body.max(columns[i].chars().count())
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(c, w)| format!("{c:<w$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut out = vec![line(columns.iter().map(|c| c.as_str()).collect())];
    out.extend(
        cells
            .iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    out
}

fn one_line(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.replace(['\n', '\r', '\t'], " "),
        other => other.to_string(),
    };
    if text.chars().count() > 80 {
        text.chars().take(79).chain(['…']).collect()
    } else {
        text
    }
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|l| format!("  {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_words() {
        assert_eq!(plain(&json!(3)), "3");
        assert_eq!(plain(&json!("x")), "x");
        assert_eq!(plain(&json!([])), "(none)");
        assert_eq!(
            plain(&json!({"n": 2, "rows": [{"a": "x", "b": 1}, {"a": "yy", "b": 20}]})),
            "n: 2\nrows:\n  a   b\n  x   1\n  yy  20"
        );
        assert_eq!(
            plain(&json!([{"a": 1}, {"b": 2}])),
            "- {\"a\":1}\n- {\"b\":2}"
        );
    }
}
