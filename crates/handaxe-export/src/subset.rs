//! The parts of JSON Schema that providers' strict tools take, as tables, and the check against
//! them.
//!
//! Sources: `OpenAI`, *Structured model outputs*, "Supported schemas"
//! (<https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>): types string,
//! number, boolean, integer, object, array, enum, anyOf; `pattern` and nine formats; numbers'
//! bounds and `multipleOf`; `minItems`, `maxItems`; every property required, objects closed; 5000
//! properties, 10 levels, 120 000 characters of names and values, 1000 enum values.
//!
//! Anthropic, *Structured outputs*, "JSON Schema limitations"
//! (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations>):
//! basic types, enum of plain values, const, anyOf, allOf without `$ref` in it, internal `$ref`,
//! `default`, `required`, closed objects, ten formats, `minItems` of 0 or 1, simple patterns; no
//! bounds of numbers, no lengths; 24 optional parameters and 16 with a union.

use std::fmt;

use serde_json::{Map, Value, json};

/// Whose API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    OpenAi,
    Anthropic,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAi => "OpenAI",
            Self::Anthropic => "Anthropic",
        })
    }
}

/// What of a schema a provider's tool cannot express, and where: a JSON pointer into the input
/// schema, empty for the whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{provider}'s strict tools cannot express `{keyword}` at {}: {why}", if at.is_empty() { "the top" } else { at })]
pub struct Inexpressible {
    pub provider: Provider,
    pub keyword: String,
    pub at: String,
    pub why: &'static str,
}

/// A provider's subset, as its documentation gives it.
struct Subset {
    provider: Provider,
    keywords: &'static [&'static str],
    formats: &'static [&'static str],
    /// Every property must be required; an optional one becomes nullable.
    all_required: bool,
    least_items: Option<u64>,
    plain_enums: bool,
    keeps_default: bool,
    most: Most,
}

/// Bounds over the whole schema.
struct Most {
    properties: usize,
    levels: usize,
    characters: usize,
    enum_values: usize,
    /// Of one enum of strings with more than [`LARGE_ENUM`] values.
    large_enum_characters: usize,
    optional: usize,
    unions: usize,
}

const LARGE_ENUM: usize = 250;

const OPENAI: Subset = Subset {
    provider: Provider::OpenAi,
    keywords: &[
        "$defs",
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "definitions",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    ],
    formats: &[
        "date",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "time",
        "uuid",
    ],
    all_required: true,
    least_items: None,
    plain_enums: false,
    keeps_default: false,
    most: Most {
        properties: 5000,
        levels: 10,
        characters: 120_000,
        enum_values: 1000,
        large_enum_characters: 15_000,
        optional: usize::MAX,
        unions: usize::MAX,
    },
};

const ANTHROPIC: Subset = Subset {
    provider: Provider::Anthropic,
    keywords: &[
        "$defs",
        "$ref",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "default",
        "definitions",
        "description",
        "enum",
        "format",
        "items",
        "minItems",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    ],
    formats: &[
        "date",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "time",
        "uri",
        "uuid",
    ],
    all_required: false,
    least_items: Some(1),
    plain_enums: true,
    keeps_default: true,
    most: Most {
        properties: usize::MAX,
        levels: usize::MAX,
        characters: usize::MAX,
        enum_values: usize::MAX,
        large_enum_characters: usize::MAX,
        optional: 24,
        unions: 16,
    },
};

/// Keywords that say nothing of which values fit; they are left out.
const REMARKS: &[&str] = &[
    "$comment",
    "$schema",
    "deprecated",
    "examples",
    "readOnly",
    "writeOnly",
];

const NOT_DOCUMENTED: &str = "it is not among the keywords that the documentation lists";

/// The schema as the provider's strict tools take it; the first thing that they cannot express is
/// the error.
pub(crate) fn strict(provider: Provider, schema: &Value) -> Result<Value, Inexpressible> {
    let subset = match provider {
        Provider::OpenAi => &OPENAI,
        Provider::Anthropic => &ANTHROPIC,
    };
    let mut walk = Walk {
        subset,
        seen: Seen::default(),
    };
    let out = walk.schema(schema, "", 1)?;
    if out["type"] != "object" {
        return Err(walk.refuse("type", "", "the top is an object"));
    }
    if out.get("anyOf").is_some() {
        return Err(walk.refuse("anyOf", "", "the top is a plain object"));
    }
    walk.within()?;
    Ok(out)
}

/// The whole schema for a tool without `strict`. Both APIs take JSON Schema there, with an object
/// at the top that is no union.
pub(crate) fn loose(provider: Provider, schema: &Value) -> Result<Value, Inexpressible> {
    for keyword in ["oneOf", "allOf", "anyOf"] {
        if schema.get(keyword).is_some() {
            return Err(Inexpressible {
                provider,
                keyword: keyword.to_owned(),
                at: String::new(),
                why: "the top is a plain object, with `strict` and without",
            });
        }
    }
    let mut out = schema.clone();
    let properties = out.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        if let Some(map) = property.as_object_mut() {
            *map = file_as_path(map);
        }
    }
    Ok(out)
}

#[derive(Default)]
struct Seen {
    properties: usize,
    characters: usize,
    enum_values: usize,
    optional: usize,
    unions: usize,
}

struct Walk {
    subset: &'static Subset,
    seen: Seen,
}

impl Walk {
    fn refuse(&self, keyword: &str, at: &str, why: &'static str) -> Inexpressible {
        Inexpressible {
            provider: self.subset.provider,
            keyword: keyword.to_owned(),
            at: at.to_owned(),
            why,
        }
    }

    /// One schema and all beneath it. The depth is bounded by the schema's own check.
    fn schema(&mut self, schema: &Value, at: &str, level: usize) -> Result<Value, Inexpressible> {
        let Value::Object(given) = schema else {
            return Err(self.refuse("true", at, "a schema is an object that says its type"));
        };
        let given = file_as_path(given);
        if level > self.subset.most.levels {
            return Err(self.refuse("properties", at, "it nests deeper than is taken"));
        }
        let says = ["type", "enum", "const", "anyOf", "$ref", "allOf"];
        if !says.iter().any(|k| given.contains_key(*k)) {
            return Err(self.refuse("type", at, "every part says its type"));
        }
        let mut out = Map::new();
        for (keyword, value) in &given {
            let here = format!("{at}/{}", keyword.replace('~', "~0").replace('/', "~1"));
            if REMARKS.contains(&keyword.as_str()) {
                continue;
            }
            if keyword == "default" && !self.subset.keeps_default {
                continue;
            }
            if !self.subset.keywords.contains(&keyword.as_str()) {
                return Err(self.refuse(keyword, at, NOT_DOCUMENTED));
            }
            let value = match keyword.as_str() {
                "properties" | "required" => continue,
                "$defs" | "definitions" => self.map(value, &here, level)?,
                "items" => self.schema(value, &here, level + 1)?,
                "anyOf" | "allOf" => self.list(keyword, value, &here, level)?,
                "additionalProperties" if *value != json!(false) => {
                    return Err(self.refuse(keyword, at, "objects are closed, with `false`"));
                }
                "format" if !self.format(value) => {
                    return Err(self.refuse(keyword, at, "this format is not among those listed"));
                }
                "minItems" => self.least(value, at)?,
                "enum" => self.values(value, at)?,
                _ => value.clone(),
            };
            out.insert(keyword.clone(), value);
        }
        if let Some(default) = given.get("default").filter(|_| !self.subset.keeps_default) {
            tell(&mut out, &format!("Default: {default}."));
        }
        if has_type(&given, "object") {
            if given.get("additionalProperties") != Some(&json!(false)) {
                let why = "an object names all its properties and is closed with `false`";
                return Err(self.refuse("additionalProperties", at, why));
            }
            self.object(&given, &mut out, at, level)?;
        }
        self.seen.unions += usize::from(
            given.contains_key("anyOf") || given.get("type").is_some_and(Value::is_array),
        );
        Ok(Value::Object(out))
    }

    fn object(
        &mut self,
        given: &Map<String, Value>,
        out: &mut Map<String, Value>,
        at: &str,
        level: usize,
    ) -> Result<(), Inexpressible> {
        let empty = Map::new();
        let properties = given
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let required: Vec<&str> = given
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut made = Map::new();
        for (name, property) in properties {
            let here = format!("{at}/properties/{name}");
            let mut schema = self.schema(property, &here, level + 1)?;
            self.seen.properties += 1;
            self.seen.characters += name.chars().count();
            if !required.contains(&name.as_str()) {
                self.seen.optional += 1;
                if self.subset.all_required {
                    if accepts_null(property) && property.get("default") != Some(&Value::Null) {
                        let why = "an optional property is sent as null, and null means something else here";
                        return Err(self.refuse("required", &here, why));
                    }
                    schema = nullable(schema);
                }
            }
            made.insert(name.clone(), schema);
        }
        let names: Vec<Value> = if self.subset.all_required {
            made.keys().map(|k| json!(k)).collect()
        } else {
            required.iter().map(|r| json!(r)).collect()
        };
        out.insert("properties".to_owned(), Value::Object(made));
        out.insert("required".to_owned(), Value::Array(names));
        Ok(())
    }

    fn map(&mut self, value: &Value, at: &str, level: usize) -> Result<Value, Inexpressible> {
        let mut out = Map::new();
        for (name, schema) in value.as_object().into_iter().flatten() {
            self.seen.characters += name.chars().count();
            let made = self.schema(schema, &format!("{at}/{name}"), level)?;
            out.insert(name.clone(), made);
        }
        Ok(Value::Object(out))
    }

    fn list(
        &mut self,
        keyword: &str,
        value: &Value,
        at: &str,
        level: usize,
    ) -> Result<Value, Inexpressible> {
        let mut out = Vec::new();
        for (n, schema) in value.as_array().into_iter().flatten().enumerate() {
            let here = format!("{at}/{n}");
            if keyword == "allOf" && schema.get("$ref").is_some() {
                return Err(self.refuse("allOf", &here, "`allOf` with a `$ref` is not taken"));
            }
            out.push(self.schema(schema, &here, level)?);
        }
        Ok(Value::Array(out))
    }

    fn format(&self, value: &Value) -> bool {
        value
            .as_str()
            .is_some_and(|f| self.subset.formats.contains(&f))
    }

    fn least(&self, value: &Value, at: &str) -> Result<Value, Inexpressible> {
        match (self.subset.least_items, value.as_u64()) {
            (Some(most), Some(n)) if n > most => {
                Err(self.refuse("minItems", at, "only 0 and 1 are taken"))
            }
            _ => Ok(value.clone()),
        }
    }

    fn values(&mut self, value: &Value, at: &str) -> Result<Value, Inexpressible> {
        let values = value.as_array().map_or(&[][..], Vec::as_slice);
        self.seen.enum_values += values.len();
        let characters: usize = values
            .iter()
            .filter_map(Value::as_str)
            .map(|s| s.chars().count())
            .sum();
        self.seen.characters += characters;
        if values.len() > LARGE_ENUM && characters > self.subset.most.large_enum_characters {
            let why = "the values of so large an enum are too long together";
            return Err(self.refuse("enum", at, why));
        }
        if self.subset.plain_enums && values.iter().any(|v| v.is_array() || v.is_object()) {
            return Err(self.refuse("enum", at, "only plain values are taken"));
        }
        Ok(value.clone())
    }

    /// The bounds over the whole.
    fn within(&self) -> Result<(), Inexpressible> {
        let (seen, most) = (&self.seen, &self.subset.most);
        for (keyword, has, may, why) in [
            (
                "properties",
                seen.properties,
                most.properties,
                "too many properties",
            ),
            (
                "properties",
                seen.characters,
                most.characters,
                "its names and values are too long together",
            ),
            (
                "enum",
                seen.enum_values,
                most.enum_values,
                "too many enum values",
            ),
            (
                "required",
                seen.optional,
                most.optional,
                "too many optional properties",
            ),
            (
                "anyOf",
                seen.unions,
                most.unions,
                "too many properties of more than one type",
            ),
        ] {
            if has > may {
                return Err(self.refuse(keyword, "", why));
            }
        }
        Ok(())
    }
}

/// `format: file` is Handaxe's own; outside, the argument is a path.
fn file_as_path(given: &Map<String, Value>) -> Map<String, Value> {
    let mut out = given.clone();
    if given.get("format") == Some(&json!("file")) {
        out.remove("format");
        tell(
            &mut out,
            "The path of a file on the machine that runs the tool.",
        );
    }
    out
}

fn tell(schema: &mut Map<String, Value>, more: &str) {
    let said = schema.get("description").and_then(Value::as_str);
    let text = match said.filter(|s| !s.is_empty()) {
        Some(said) => format!("{} {more}", said.trim_end()),
        None => more.to_owned(),
    };
    schema.insert("description".to_owned(), Value::String(text));
}

fn has_type(schema: &Map<String, Value>, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(t)) => t == wanted,
        Some(Value::Array(types)) => types.iter().any(|t| t == wanted),
        _ => false,
    }
}

fn accepts_null(schema: &Value) -> bool {
    schema.as_object().is_some_and(|map| {
        has_type(map, "null")
            || map.get("const") == Some(&Value::Null)
            || [("enum", true), ("anyOf", false)].iter().any(|(k, plain)| {
                map.get(*k).and_then(Value::as_array).is_some_and(|vs| {
                    vs.iter()
                        .any(|v| if *plain { v.is_null() } else { accepts_null(v) })
                })
            })
    })
}

/// The same, or null.
fn nullable(schema: Value) -> Value {
    let Value::Object(mut map) = schema else {
        return schema;
    };
    let plain = !["anyOf", "$ref", "const", "allOf"]
        .iter()
        .any(|k| map.contains_key(*k));
    match map.get("type").cloned() {
        Some(Value::String(t)) if plain => {
            map.insert("type".to_owned(), json!([t, "null"]));
        }
        Some(Value::Array(mut types)) if plain => {
            if !types.contains(&json!("null")) {
                types.push(json!("null"));
            }
            map.insert("type".to_owned(), Value::Array(types));
        }
        _ => {
            let description = map.remove("description");
            let mut out = Map::from_iter([("anyOf".to_owned(), json!([map, {"type": "null"}]))]);
            if let Some(description) = description {
                out.insert("description".to_owned(), description);
            }
            return Value::Object(out);
        }
    }
    if let Some(Value::Array(values)) = map.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(properties: &Value, required: &Value) -> Value {
        json!({
            "type": "object", "additionalProperties": false,
            "properties": properties, "required": required,
        })
    }

    #[test]
    fn what_each_provider_cannot_express_is_named_with_its_place() {
        let (o, a) = (Provider::OpenAi, Provider::Anthropic);
        let one = |schema: Value| input(&json!({"x": schema}), &json!(["x"]));
        for (provider, schema, keyword, at) in [
            (
                o,
                one(json!({"type": "string", "maxLength": 4})),
                "maxLength",
                "/properties/x",
            ),
            (
                a,
                one(json!({"type": "string", "maxLength": 4})),
                "maxLength",
                "/properties/x",
            ),
            (
                a,
                one(json!({"type": "integer", "minimum": 1})),
                "minimum",
                "/properties/x",
            ),
            (
                o,
                one(json!({"type": "string", "format": "uri"})),
                "format",
                "/properties/x",
            ),
            (
                o,
                one(json!({"allOf": [{"type": "string"}]})),
                "allOf",
                "/properties/x",
            ),
            (
                o,
                one(json!({"oneOf": [{"type": "string"}]})),
                "type",
                "/properties/x",
            ),
            (
                a,
                one(json!({"type": "string", "not": {"const": "a"}})),
                "not",
                "/properties/x",
            ),
            (
                o,
                one(json!({"type": "object"})),
                "additionalProperties",
                "/properties/x",
            ),
            (
                a,
                one(json!({"type": "object", "additionalProperties": {"type": "string"}})),
                "additionalProperties",
                "/properties/x",
            ),
            (
                a,
                one(json!({"type": "array", "items": {"type": "string"}, "minItems": 2})),
                "minItems",
                "/properties/x",
            ),
            (
                a,
                one(json!({"type": "array", "items": {"type": "string"}, "maxItems": 2})),
                "maxItems",
                "/properties/x",
            ),
            (a, one(json!({"enum": [{"a": 1}]})), "enum", "/properties/x"),
            (o, one(json!({})), "type", "/properties/x"),
            (o, one(json!(true)), "true", "/properties/x"),
            (
                a,
                one(json!({"allOf": [{"$ref": "#/$defs/y"}]})),
                "allOf",
                "/properties/x/allOf/0",
            ),
            (
                o,
                one(json!({"type": "array", "items": {"type": "string", "minLength": 1}})),
                "minLength",
                "/properties/x/items",
            ),
            (
                o,
                json!({"type": "object", "properties": {}}),
                "additionalProperties",
                "",
            ),
            (
                o,
                input(&json!({"x": {"type": ["string", "null"]}}), &json!([])),
                "required",
                "/properties/x",
            ),
            (
                o,
                one(json!({"enum": (0..1001).collect::<Vec<_>>()})),
                "enum",
                "",
            ),
        ] {
            let refused = strict(provider, &schema).unwrap_err();
            assert_eq!(
                (refused.keyword.as_str(), refused.at.as_str()),
                (keyword, at),
                "{provider} {schema}"
            );
            let told = refused.to_string();
            assert!(
                told.contains(keyword) && told.contains(&provider.to_string()),
                "{told}"
            );
        }
    }

    #[test]
    fn optional_becomes_nullable_for_one_and_stays_for_the_other() {
        let schema = input(
            &json!({
                "data": {"type": "string", "format": "file", "description": "The log."},
                "top": {"type": "integer", "default": 10, "minimum": 1},
                "mode": {"enum": ["a", "b"], "type": "string"},
                "both": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            }),
            &json!(["data"]),
        );
        let made = strict(Provider::OpenAi, &schema).unwrap();
        assert_eq!(made["required"], json!(["both", "data", "mode", "top"]));
        assert_eq!(
            made["properties"]["top"]["type"],
            json!(["integer", "null"])
        );
        assert_eq!(made["properties"]["top"]["description"], "Default: 10.");
        assert_eq!(made["properties"]["top"]["minimum"], 1);
        assert_eq!(made["properties"]["mode"]["enum"], json!(["a", "b", null]));
        assert_eq!(made["properties"]["both"]["anyOf"][1]["type"], "null");
        assert_eq!(made["properties"]["data"].get("format"), None);
        assert!(
            made["properties"]["data"]["description"]
                .as_str()
                .unwrap()
                .starts_with("The log. The path")
        );

        let mut plain = schema;
        plain["properties"]["top"] = json!({"type": "integer", "default": 10});
        let made = strict(Provider::Anthropic, &plain).unwrap();
        assert_eq!(made["required"], json!(["data"]));
        assert_eq!(made["properties"]["top"], plain["properties"]["top"]);
    }

    #[test]
    fn without_strict_the_whole_schema_is_kept() {
        let schema = input(
            &json!({"x": {"type": "string", "maxLength": 4}}),
            &json!(["x"]),
        );
        assert_eq!(loose(Provider::OpenAi, &schema).unwrap(), schema);
        let mut union = schema;
        union["oneOf"] = json!([{}]);
        assert_eq!(
            loose(Provider::Anthropic, &union).unwrap_err().keyword,
            "oneOf"
        );
    }
}
