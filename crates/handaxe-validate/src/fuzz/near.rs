//! Inputs just outside the schema: each breaks it in one way that is plain from the schema's text,
//! so that the compiled schema is held against something other than itself.

use handaxe_types::Spec;
use serde_json::{Map, Value, json};

use crate::invoke::Arguments;

/// What a host must refuse before any run.
pub(crate) enum NearValid {
    /// Parsed, but not an input of this tool.
    Input(Arguments),
    /// Not even JSON.
    Text(String),
}

pub(crate) struct Near {
    /// How it differs from a valid one.
    pub(crate) what: String,
    pub(crate) given: NearValid,
}

/// Near-valid inputs around one valid one.
pub(crate) fn near_valid(spec: &Spec, valid: &Arguments) -> Vec<Near> {
    let mut out = Vec::new();
    let none = Map::new();
    let schema = &spec.input_schema;
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let files = spec.input_files();
    let mut with = |what: String, change: &dyn Fn(&mut Map<String, Value>)| {
        let mut arguments = valid.clone();
        change(&mut arguments.input);
        out.push(Near {
            what,
            given: NearValid::Input(arguments),
        });
    };
    let mut extra = "extra_property".to_owned();
    while properties.contains_key(&extra) {
        extra.push('_');
    }
    with("a property that is not known".to_owned(), &|input| {
        input.insert(extra.clone(), json!(1));
    });
    for name in names(schema.get("required")) {
        with(format!("`{name}` is missing"), &|input| {
            input.remove(name);
        });
    }
    for (name, property) in properties {
        let set = |value: Value| {
            move |input: &mut Map<String, Value>| {
                input.insert(name.clone(), value.clone());
            }
        };
        for (what, value) in outside(property) {
            with(format!("`{name}` {what}"), &set(value));
        }
        if files.contains(name) {
            for (what, file) in [
                ("names a file that is not attached", "not_attached.csv"),
                ("is a path", "../etc/passwd"),
                ("is empty", ""),
            ] {
                with(format!("`{name}` {what}"), &set(json!(file)));
            }
        }
    }
    for (name, value) in properties.keys().flat_map(|name| {
        ["NaN", "Infinity", "-Infinity", "1e999", "\"\\ud800\""].map(|v| (name, v))
    }) {
        out.push(Near {
            what: format!("`{name}` is {value}, which is not JSON"),
            given: NearValid::Text(format!("{{{}: {value}}}", json!(name))),
        });
    }
    if let Some(name) = properties.keys().next() {
        out.push(Near {
            what: format!("`{name}` is given twice"),
            given: NearValid::Text(format!("{{{n}: 1, {n}: 2}}", n = json!(name))),
        });
    }
    out
}

/// Values outside a property's schema, where its own keywords say so plainly.
fn outside(property: &Value) -> Vec<(String, Value)> {
    let Some(map) = property.as_object() else {
        return Vec::new();
    };
    if ["$ref", "anyOf", "oneOf", "allOf", "if", "not"]
        .iter()
        .any(|k| map.contains_key(*k))
    {
        return Vec::new();
    }
    let mut out = Vec::new();
    if let Some(Value::Array(choices)) = map.get("enum") {
        let value = json!("none of the choices");
        if !choices.contains(&value) {
            out.push(("is none of the choices".to_owned(), value));
        }
    }
    let kinds: Vec<&str> = match map.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(list) => names(Some(list)),
        None => return out,
    };
    let has = |kind: &str| kinds.contains(&kind);
    let samples = [
        ("null", json!(null)),
        ("boolean", json!(true)),
        ("integer", json!(7)),
        ("number", json!(7.5)),
        ("string", json!("7")),
        ("array", json!([])),
        ("object", json!({})),
    ];
    for (kind, value) in samples {
        let covered = has(kind) || (kind == "integer" && has("number"));
        if !covered {
            out.push((format!("is of type {kind}"), value));
        }
    }
    let bound = |keyword: &str| map.get(keyword).and_then(Value::as_f64);
    if has("integer") || has("number") {
        for (keyword, by) in [
            ("minimum", -1.0),
            ("maximum", 1.0),
            ("exclusiveMinimum", 0.0),
            ("exclusiveMaximum", 0.0),
        ] {
            // Past 2^50 a step of one is lost in a float.
            if let Some(bound) = bound(keyword).filter(|b| b.abs() < 1e15) {
                let value = bound + by;
                let value = if value.fract() == 0.0 {
                    json!(value as i64)
                } else {
                    json!(value)
                };
                out.push((format!("is past its {keyword}"), value));
            }
        }
    }
    if has("string") {
        if let Some(least) = bound("minLength").filter(|l| *l >= 1.0) {
            out.push((
                "is too short".to_owned(),
                json!("x".repeat(least as usize - 1)),
            ));
        }
        if let Some(most) = bound("maxLength").filter(|m| *m < 1e5) {
            out.push((
                "is too long".to_owned(),
                json!("x".repeat(most as usize + 1)),
            ));
        }
        if map.get("format").and_then(Value::as_str).is_some_and(|f| {
            ["date", "date-time", "time", "email", "uuid", "ipv4", "ipv6"].contains(&f)
        }) {
            out.push(("is not of its format".to_owned(), json!("not that format")));
        }
    }
    if has("array")
        && let Some(least) = bound("minItems").filter(|l| *l >= 1.0)
    {
        let _ = least;
        out.push(("has too few items".to_owned(), json!([])));
    }
    out
}

fn names(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
