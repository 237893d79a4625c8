//! Input and output schemas (JSON Schema 2020-12).

use serde_json::{Map, Value, json};

use super::params::Param;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The properties of a result beside the counts that every result carries.
#[derive(Default)]
pub(super) struct Output(Vec<(&'static str, Value)>);

pub(super) fn input(params: &[Param]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for param in params {
        let mut schema = param.schema.clone();
        match (&param.default, schema.as_object_mut()) {
            (Some(default), Some(map)) => {
                map.insert("default".to_owned(), default.clone());
            }
            _ => required.push(param.name),
        }
        properties.insert(param.name.to_owned(), schema);
    }
    json!({
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

pub(super) fn output(output: Output, joined: bool) -> Value {
    let mut fields = output.0;
    for (name, what) in [
        ("read", "Records read."),
        (
            "unmatched",
            "Records of the file without a counterpart in the other.",
        ),
        ("matched", "Records that passed the filter."),
        ("skipped", "Lines, rows or items that are no record."),
        (
            "unreadable",
            "Characters that stand for bytes that are not UTF-8.",
        ),
    ] {
        if name == "unmatched" && !joined {
            continue;
        }
        fields.push((
            name,
            json!({ "type": "integer", "minimum": 0, "description": what }),
        ));
    }
    let mut schema = object(fields);
    if let Some(map) = schema.as_object_mut() {
        map.insert("$schema".to_owned(), json!(DIALECT));
    }
    schema
}

/// An object with exactly these properties.
fn object(fields: Vec<(&str, Value)>) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = (fields.iter())
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    })
}

fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn natural() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn maybe_text() -> Value {
    json!({ "type": ["string", "null"] })
}

fn maybe_number() -> Value {
    json!({ "type": ["number", "null"] })
}

/// A measure's value: a number, the ISO text of a time, or nothing.
fn measured() -> Value {
    json!({ "type": ["number", "string", "null"] })
}

fn ignored() -> (&'static str, Value) {
    (
        "ignored",
        json!({ "type": "integer", "minimum": 0,
            "description": "Values that were there but are no numbers." }),
    )
}

fn counted(name: &'static str) -> Value {
    let least_one = json!({ "type": "integer", "minimum": 1 });
    array(object(vec![(name, text()), ("count", least_one)]))
}

pub(super) fn count() -> Output {
    Output(vec![("count", natural())])
}

pub(super) fn groups() -> Output {
    let row = object(vec![
        (
            "group",
            json!({ "type": "object", "additionalProperties": maybe_text() }),
        ),
        (
            "values",
            json!({ "type": "object", "additionalProperties": measured() }),
        ),
    ]);
    Output(vec![
        ("groups", array(row)),
        ("groups_total", natural()),
        ignored(),
    ])
}

pub(super) fn rows() -> Output {
    let value = json!({ "type": ["string", "number", "boolean", "null"] });
    let row = json!({ "type": "object", "additionalProperties": value });
    Output(vec![("rows", array(row))])
}

pub(super) fn distinct() -> Output {
    Output(vec![
        ("values", array(text())),
        ("distinct", natural()),
        ("blank", natural()),
    ])
}

pub(super) fn frequencies() -> Output {
    Output(vec![
        ("values", counted("value")),
        ("distinct", natural()),
        ("blank", natural()),
    ])
}

pub(super) fn words() -> Output {
    Output(vec![
        ("words", counted("word")),
        ("distinct", natural()),
        ("total", natural()),
    ])
}

pub(super) fn histogram() -> Output {
    let row = object(vec![
        ("bucket", text()),
        ("value", measured()),
        ("records", natural()),
    ]);
    Output(vec![
        ("buckets", array(row)),
        ("undated", natural()),
        ignored(),
    ])
}

pub(super) fn extract() -> Output {
    Output(vec![
        ("items", counted("value")),
        ("found", natural()),
        ("distinct", natural()),
        ("records_with_any", natural()),
    ])
}

pub(super) fn sentiment() -> Output {
    let classes = || {
        vec![
            ("positive", natural()),
            ("neutral", natural()),
            ("negative", natural()),
        ]
    };
    let example = object(vec![
        ("line", json!({ "type": "integer", "minimum": 1 })),
        ("score", json!({ "type": "number" })),
        ("text", json!({ "type": "string", "maxLength": 300 })),
    ]);
    let mut group = vec![("group", maybe_text()), ("mean_score", maybe_number())];
    group.extend(classes());
    Output(vec![
        ("totals", object(classes())),
        ("mean_score", maybe_number()),
        ("most_negative", array(example.clone())),
        ("most_positive", array(example)),
        ("groups", array(object(group))),
    ])
}

pub(super) fn share() -> Output {
    Output(vec![
        ("value", maybe_number()),
        ("count", natural()),
        ("of", natural()),
    ])
}

pub(super) fn compared() -> Output {
    Output(vec![
        ("value", maybe_number()),
        ("left", measured()),
        ("right", measured()),
        ignored(),
    ])
}

pub(super) fn duplicates() -> Output {
    Output(vec![("count", natural()), ("distinct", natural())])
}

pub(super) fn converted() -> Output {
    Output(vec![
        ("file", json!({ "type": "string", "format": "file" })),
        (
            "crc32",
            json!({ "type": "integer", "description": "Checksum of the file written." }),
        ),
        ("records", natural()),
    ])
}

pub(super) fn pivoted(times: bool) -> Output {
    let row = object(vec![("row", maybe_text()), ("values", array(measured()))]);
    let mut all = vec![("columns", array(maybe_text())), ("rows", array(row))];
    if times {
        all.push(("undated", natural()));
    }
    all.push(ignored());
    Output(all)
}

pub(super) fn cleaned() -> Output {
    let count = |what: &str| json!({ "type": "integer", "minimum": 0, "description": what });
    let Output(mut all) = converted();
    all.retain(|(name, _)| *name != "records");
    all.extend([
        ("written", count("Records written.")),
        ("changed", count("Values that were changed.")),
        (
            "odd",
            count("Values left as they are: they are no such thing."),
        ),
        ("removed", count("Records left out as duplicates.")),
    ]);
    Output(all)
}

pub(super) fn described() -> Output {
    let kinds = json!({ "type": "string",
        "enum": ["integer", "number", "boolean", "time", "text", "empty"] });
    let row = object(vec![
        ("name", text()),
        ("type", kinds),
        ("filled", natural()),
        ("blank", natural()),
        (
            "distinct",
            json!({ "type": ["integer", "null"], "minimum": 0 }),
        ),
        ("min", measured()),
        ("max", measured()),
        ("mean", maybe_number()),
    ]);
    Output(vec![("fields", array(row))])
}
