//! What a line of a conversation means, and what of a result the next one can be about.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// A path as people type it and as terminals paste it: between quotes, with a backslash before a
/// blank, from the home directory. What is there under the very name is meant.
pub(super) fn typed_path(text: &str, home: Option<PathBuf>) -> PathBuf {
    if Path::new(text).exists() {
        return PathBuf::from(text);
    }
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|q| text.strip_prefix(q)?.strip_suffix(q));
    let plain = match quoted {
        Some(inside) => inside.to_owned(),
        None => text.replace("\\ ", " "),
    };
    match (plain.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(plain),
    }
}

/// Whether a question speaks of what was answered before, and not of what is attached: "these logs"
/// are attached, "those" were answered.
pub(super) fn refers_back(question: &str) -> bool {
    const WORDS: [&str; 3] = ["those", "them", "previous"];
    const PHRASES: [&str; 4] = ["the result", "that result", "last answer", "last result"];
    let said = question.to_lowercase();
    let words = said.split(|c: char| !c.is_alphanumeric());
    words.into_iter().any(|word| WORDS.contains(&word)) || PHRASES.iter().any(|p| said.contains(p))
}

/// What of a result can be asked about: a list as it is, an object's one list, else the object.
pub(super) fn table(result: &Value) -> Option<Value> {
    match result {
        Value::Array(rows) => Some(flat(rows)),
        Value::Object(map) => {
            let mut lists = map.values().filter_map(Value::as_array);
            match (lists.next(), lists.next()) {
                (Some(list), None) => Some(flat(list)),
                _ => Some(result.clone()),
            }
        }
        _ => None,
    }
}

/// Rows in which `{"group": {"region": …}, "values": {…}}` has its columns side by side, so that the
/// next question can name them as the answer did. As they are, where two would have one name.
fn flat(rows: &[Value]) -> Value {
    let one = |row: &Value| {
        let mut columns = Map::new();
        for (name, value) in row.as_object()? {
            let inner = match value {
                Value::Object(inner) => inner.clone(),
                _ => Map::from_iter([(name.clone(), value.clone())]),
            };
            for (name, value) in inner {
                if columns.insert(name, value).is_some() {
                    return None;
                }
            }
        }
        Some(Value::Object(columns))
    };
    let flat: Option<Vec<Value>> = rows.iter().map(one).collect();
    Value::Array(flat.unwrap_or_else(|| rows.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_speaks_of_before() {
        for (question, back) in [
            ("Which of those is the largest?", true),
            ("Sort them by count", true),
            ("How many orders are from Europe?", false),
            ("What is the mean in the result?", true),
            ("Analyze the sentiment of these logs", false),
        ] {
            assert_eq!(refers_back(question), back, "{question}");
        }
    }

    #[test]
    fn paths_as_they_are_typed() {
        for (text, path) in [
            ("a.csv", "a.csv"),
            ("my orders.csv", "my orders.csv"),
            ("\"my orders.csv\"", "my orders.csv"),
            ("'my orders.csv'", "my orders.csv"),
            ("my\\ orders.csv", "my orders.csv"),
            ("~/a.csv", "/home/ada/a.csv"),
            ("\"~/a b.csv\"", "/home/ada/a b.csv"),
            ("\"", "\""),
        ] {
            let home = Some(PathBuf::from("/home/ada"));
            assert_eq!(typed_path(text, home), PathBuf::from(path), "{text}");
        }
    }

    #[test]
    fn tables() {
        let rows = json!([{"a": 1}]);
        let nested = json!([{"group": {"region": "x"}, "values": {"mean(price)": 2.5}}]);
        let twice = json!([{"group": {"a": "x"}, "a": 2}]);
        for (result, want) in [
            (json!({"rows": rows, "n": 1}), Some(rows.clone())),
            (rows.clone(), Some(rows)),
            (json!(3), None),
            (
                json!({"a": [1], "b": [2]}),
                Some(json!({"a": [1], "b": [2]})),
            ),
            (nested, Some(json!([{"region": "x", "mean(price)": 2.5}]))),
            (twice.clone(), Some(twice)),
            (json!([1, {"a": 1}]), Some(json!([1, {"a": 1}]))),
        ] {
            assert_eq!(table(&result), want, "{result}");
        }
    }
}
