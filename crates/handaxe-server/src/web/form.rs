//! An input schema as a form, and the form as an input again. What the form cannot say is written
//! as JSON; whether the whole fits is the schema's to say, where the tool is called.

use handaxe_types::FILE_FORMAT;
use handaxe_types::json::{Bounds, parse};
use serde_json::{Map, Value};

/// Before the property's name in a field's name, so that no property is taken for our own.
const PREFIX: &str = "in.";

const VALUE_BOUNDS: Bounds = Bounds {
    bytes: 1 << 20,
    depth: 64,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// One of the given values, as JSON.
    Choice,
    File,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The property.
    pub(crate) property: String,
    /// The field's name in the form.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// What the schema says of it.
    pub(crate) help: String,
    /// As it was sent, or the default.
    pub(crate) value: String,
    /// JSON, and what is shown.
    pub(crate) choices: Vec<(String, String)>,
    pub(crate) problem: Option<String>,
}

/// The fields of a schema, the required first, as the schema lists them.
pub(crate) fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema["properties"].as_object();
    let mut fields: Vec<Field> = properties
        .into_iter()
        .flatten()
        .map(|(property, of)| field(property, of, required.contains(&property.as_str())))
        .collect();
    fields.sort_by_key(|f| !f.required);
    fields
}

fn field(property: &str, schema: &Value, required: bool) -> Field {
    let kind = kind(schema);
    let mut choices: Vec<(String, String)> = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| (v.to_string(), words(v)))
        .collect();
    if kind == Kind::Choice && choices.is_empty() {
        choices = [true, false].map(|b| (b.to_string(), b.to_string())).into();
    }
    let default = schema.get("default");
    let value = match (kind, default) {
        (_, None) | (Kind::File, _) => String::new(),
        (Kind::Text, Some(v)) => words(v),
        (_, Some(v)) => v.to_string(),
    };
    Field {
        name: format!("{PREFIX}{property}"),
        property: property.to_owned(),
        kind,
        required,
        help: help(schema, kind),
        value,
        choices,
        problem: None,
    }
}

fn kind(schema: &Value) -> Kind {
    if schema["enum"].is_array() {
        return Kind::Choice;
    }
    if schema["format"] == FILE_FORMAT {
        return Kind::File;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types[..] {
        ["string"] => Kind::Text,
        ["integer" | "number"] => Kind::Number,
        ["boolean"] => Kind::Choice,
        _ => Kind::Json,
    }
}

fn help(schema: &Value, kind: Kind) -> String {
    let mut parts = Vec::new();
    if let Some(text) = schema["description"].as_str() {
        parts.push(text.trim_end_matches('.').to_owned());
    }
    for (key, word) in [
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
        ("minLength", "characters, at least"),
        ("maxLength", "characters, at most"),
        ("pattern", "matching"),
        ("minItems", "items, at least"),
        ("maxItems", "items, at most"),
    ] {
        if let Some(bound) = schema.get(key) {
            parts.push(format!("{word} {}", words(bound)));
        }
    }
    match kind {
        Kind::Json => parts.push(format!("JSON{}", type_words(schema))),
        Kind::Number if schema["type"] == "integer" => parts.push("a whole number".to_owned()),
        _ => {}
    }
    parts.join("; ")
}

fn type_words(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(one) => format!(": {one}"),
        Value::Array(several) => {
            let words: Vec<&str> = several.iter().filter_map(Value::as_str).collect();
            format!(": {}", words.join(" or "))
        }
        _ => String::new(),
    }
}

/// A string as it is, anything else as JSON.
fn words(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The input of a form, and the form as it was sent.
pub(crate) type Filled = (Map<String, Value>, Vec<Field>);

/// The input that a sent form means. `file` gives the name under which a field's file was
/// attached. Where a field cannot be read, every field comes back as it was sent, with what is
/// wrong.
pub(crate) fn input(
    schema: &Value,
    sent: &[(String, String)],
    file: impl Fn(&str) -> Option<String>,
) -> Result<Filled, Vec<Field>> {
    let mut fields = fields(schema);
    let mut input = Map::new();
    let mut wrong = false;
    for field in &mut fields {
        if field.kind == Kind::File {
            if let Some(name) = file(&field.name) {
                input.insert(field.property.clone(), Value::String(name));
            }
            continue;
        }
        let Some((_, text)) = sent.iter().find(|(name, _)| *name == field.name) else {
            continue;
        };
        // Browsers send every line break as two characters.
        field.value = text.replace("\r\n", "\n");
        match value(field) {
            Ok(Some(value)) => {
                input.insert(field.property.clone(), value);
            }
            Ok(None) => {}
            Err(problem) => {
                field.problem = Some(problem);
                wrong = true;
            }
        }
    }
    if wrong {
        Err(fields)
    } else {
        Ok((input, fields))
    }
}

/// What was left empty is absent, but for a text that is asked for.
fn value(field: &Field) -> Result<Option<Value>, String> {
    let text = field.value.as_str();
    if field.kind == Kind::Text {
        let absent = text.is_empty() && !field.required;
        return Ok((!absent).then(|| Value::String(text.to_owned())));
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    let text = text.trim();
    let value = parse(text.as_bytes(), VALUE_BOUNDS).map_err(|e| match field.kind {
        Kind::Number => "not a number".to_owned(),
        _ => format!("not JSON: {e}"),
    })?;
    match field.kind {
        Kind::Number if !value.is_number() => Err("not a number".to_owned()),
        Kind::Choice if !field.choices.iter().any(|(json, _)| *json == text) => {
            Err("none of the values".to_owned())
        }
        _ => Ok(Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({"type": "object", "required": ["text", "n", "path"], "properties": {
            "n": {"type": "integer", "minimum": 1, "default": 3},
            "text": {"type": "string", "description": "Some words."},
            "flag": {"type": "boolean"},
            "way": {"enum": ["up", "down", 3, null]},
            "rows": {"type": "array", "items": {"type": "number"}},
            "maybe": {"type": ["string", "null"]},
            "path": {"type": "string", "format": "file"},
        }})
    }

    #[test]
    fn a_schema_is_a_form() {
        let fields = fields(&schema());
        let kinds: Vec<_> = fields
            .iter()
            .map(|f| (f.property.as_str(), f.kind, f.required))
            .collect();
        assert!(kinds[..3].iter().all(|(_, _, required)| *required));
        let of = |name: &str| fields.iter().find(|f| f.property == name).unwrap();
        assert_eq!(of("n").kind, Kind::Number);
        assert_eq!(of("n").value, "3");
        assert_eq!(of("n").help, "at least 1; a whole number");
        assert_eq!(of("text").help, "Some words");
        assert_eq!(of("flag").choices.len(), 2);
        assert_eq!(of("way").choices[0], ("\"up\"".into(), "up".into()));
        assert_eq!(of("maybe").help, "JSON: string or null");
        assert_eq!(of("path").kind, Kind::File);
        for odd in [
            json!(null),
            json!({"properties": 3}),
            json!({"required": "x"}),
        ] {
            assert!(super::fields(&odd).is_empty());
        }
    }

    #[test]
    fn a_form_is_an_input() {
        let sent = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(n, v)| (format!("in.{n}"), (*v).to_owned()))
                .collect()
        };
        let file = |name: &str| (name == "in.path").then(|| "data.csv".to_owned());
        let full = sent(&[
            ("text", "a\r\nb"),
            ("n", " 12 "),
            ("flag", "true"),
            ("way", "null"),
            ("rows", "[1, 2.5]"),
            ("maybe", ""),
            ("unknown", "x"),
        ]);
        let (input, _) = super::input(&schema(), &full, file).unwrap();
        assert_eq!(
            Value::Object(input),
            json!({"text": "a\nb", "n": 12, "flag": true, "way": null, "rows": [1, 2.5], "path": "data.csv"})
        );
        for (name, text, problem) in [
            ("n", "twelve", "not a number"),
            ("n", "NaN", "not a number"),
            ("n", "\"1\"", "not a number"),
            ("way", "\"sideways\"", "none of the values"),
            ("rows", "[1, 1", "not JSON"),
            ("rows", "{\"a\": 1, \"a\": 2}", "not JSON"),
        ] {
            let fields = super::input(&schema(), &sent(&[(name, text)]), file).unwrap_err();
            let field = fields.iter().find(|f| f.property == name).unwrap();
            assert!(field.problem.as_ref().unwrap().contains(problem), "{text}");
            assert_eq!(field.value, text);
        }
    }
}
