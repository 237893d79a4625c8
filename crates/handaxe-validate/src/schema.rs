//! JSON Schemas from outside: bounded before they are compiled, bounded again when they check.
//!
//! Draft 2020-12 without what reaches elsewhere (`$id`, anchors, remote `$ref`) and without
//! recursion: what a schema costs is then known from its text. Patterns run on a linear-time
//! engine. A keyword that is not known is refused, because a misspelt one promises nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use handaxe_types::FILE_FORMAT;
use jsonschema::PatternOptions;
use serde_json::{Map, Value};

const MAX_BYTES: usize = 64 << 10;
const MAX_DEPTH: usize = 32;
const MAX_REFS: usize = 64;
const MAX_PATTERN: usize = 512;
/// Subschemas, counting one behind a `$ref` once for every way to it.
const MAX_EXPANDED: usize = 2_000;
/// Subschemas times the size of an instance.
const MAX_WORK: usize = 1 << 28;
const REGEX_BYTES: usize = 1 << 20;

/// A compiled schema; cheap to clone.
#[derive(Clone, Debug)]
pub struct Schema {
    validator: Arc<jsonschema::Validator>,
    cost: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the schema is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the schema nests deeper than {MAX_DEPTH} levels at {at}")]
    TooDeep { at: String },
    #[error("the schema expands to more than {MAX_EXPANDED} subschemas")]
    TooMany,
    #[error("the schema has more than {MAX_REFS} `$ref`s")]
    TooManyRefs,
    #[error("`$ref` at {at} points to `{to}`: only `#/…` inside the same schema is followed")]
    RemoteRef { at: String, to: String },
    #[error("`$ref` at {at} points to nothing")]
    DanglingRef { at: String },
    #[error("`$ref` at {at} leads back to itself; a recursive schema is not supported")]
    RecursiveRef { at: String },
    #[error("`{keyword}` at {at} is not a keyword that is supported")]
    UnknownKeyword { at: String, keyword: String },
    #[error("`$schema` is not draft 2020-12")]
    Draft,
    #[error("the format `{format}` at {at} is not supported")]
    UnknownFormat { at: String, format: String },
    #[error("`format: file` at {at}: only a top-level string property can name a file")]
    NestedFile { at: String },
    #[error("the pattern at {at} is longer than {MAX_PATTERN} characters")]
    LongPattern { at: String },
    #[error("expected {expected} at {at}")]
    Shape { at: String, expected: &'static str },
    #[error("the schema is not valid: {0}")]
    Invalid(String),
    #[error("an input schema is an object: `\"type\": \"object\"`")]
    InputNotObject,
    #[error("an input schema has `\"additionalProperties\": false`")]
    InputOpen,
    #[error("the input property `{0}` is not a Python identifier, or is a keyword")]
    InputName(String),
    #[error("`required` names `{0}`, which is not a property")]
    RequiredUnknown(String),
    #[error("the default of `{property}` does not fit its own schema: {violation}")]
    BadDefault {
        property: String,
        violation: SchemaViolation,
    },
}

/// Where an instance breaks a schema, and how. Bounded and escaped: it quotes hostile text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() { String::new() } else { format!("at {path}: ") })]
pub struct SchemaViolation {
    /// A JSON pointer; empty for the whole instance.
    pub path: String,
    /// The keyword that was broken; `work` where the instance is too large to check.
    pub keyword: String,
    pub message: String,
}

/// What a keyword's value holds.
#[derive(Clone, Copy)]
enum Holds {
    Schema,
    Schemas,
    SchemaMap,
    /// Keys are patterns.
    PatternMap,
    Definitions,
    Data,
    Pattern,
    Format,
    Ref,
    Draft,
}

const KEYWORDS: &[(&str, Holds)] = &[
    ("$comment", Holds::Data),
    ("$defs", Holds::Definitions),
    ("$ref", Holds::Ref),
    ("$schema", Holds::Draft),
    ("additionalProperties", Holds::Schema),
    ("allOf", Holds::Schemas),
    ("anyOf", Holds::Schemas),
    ("const", Holds::Data),
    ("contains", Holds::Schema),
    ("default", Holds::Data),
    ("definitions", Holds::Definitions),
    ("dependentRequired", Holds::Data),
    ("dependentSchemas", Holds::SchemaMap),
    ("deprecated", Holds::Data),
    ("description", Holds::Data),
    ("else", Holds::Schema),
    ("enum", Holds::Data),
    ("examples", Holds::Data),
    ("exclusiveMaximum", Holds::Data),
    ("exclusiveMinimum", Holds::Data),
    ("format", Holds::Format),
    ("if", Holds::Schema),
    ("items", Holds::Schema),
    ("maxContains", Holds::Data),
    ("maxItems", Holds::Data),
    ("maxLength", Holds::Data),
    ("maxProperties", Holds::Data),
    ("maximum", Holds::Data),
    ("minContains", Holds::Data),
    ("minItems", Holds::Data),
    ("minLength", Holds::Data),
    ("minProperties", Holds::Data),
    ("minimum", Holds::Data),
    ("multipleOf", Holds::Data),
    ("not", Holds::Schema),
    ("oneOf", Holds::Schemas),
    ("pattern", Holds::Pattern),
    ("patternProperties", Holds::PatternMap),
    ("prefixItems", Holds::Schemas),
    ("properties", Holds::SchemaMap),
    ("propertyNames", Holds::Schema),
    ("readOnly", Holds::Data),
    ("required", Holds::Data),
    ("then", Holds::Schema),
    ("title", Holds::Data),
    ("type", Holds::Data),
    ("unevaluatedItems", Holds::Schema),
    ("unevaluatedProperties", Holds::Schema),
    ("uniqueItems", Holds::Data),
    ("writeOnly", Holds::Data),
];

/// Checked as assertions; `file` is ours.
const FORMATS: &[&str] = &[
    FILE_FORMAT,
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uuid",
];

const PYTHON_KEYWORDS: &str = "False None True and as assert async await break class continue def del elif \
    else except finally for from global if import in is lambda nonlocal not or pass raise return try \
    while with yield";

impl Schema {
    /// Compiles a schema that may come from anyone.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        if schema.to_string().len() > MAX_BYTES {
            return Err(SchemaError::TooLarge);
        }
        let mut walk = Walk {
            root: schema,
            refs: 0,
            costs: BTreeMap::new(),
            under_way: Vec::new(),
        };
        // Definitions that nothing refers to are checked too: the validator compiles them.
        walk.schema(schema, "#", 0)?;
        let cost = walk.cost("#", schema)?;
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(
                PatternOptions::regex()
                    .size_limit(REGEX_BYTES)
                    .dfa_size_limit(REGEX_BYTES),
            )
            .should_validate_formats(true)
            .with_format(FILE_FORMAT, is_plain_name)
            .offline()
            .build(schema)
            .map_err(|e| SchemaError::Invalid(bounded(&e.to_string())))?;
        Ok(Self {
            validator: Arc::new(validator),
            cost,
        })
    }

    /// Compiles a tool's input schema: a closed object whose properties can be arguments.
    pub fn compile_input(schema: &Value) -> Result<Self, SchemaError> {
        let compiled = Self::compile(schema)?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(SchemaError::InputNotObject);
        }
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(SchemaError::InputOpen);
        }
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        for (name, property) in properties {
            if !is_argument_name(name) {
                return Err(SchemaError::InputName(bounded(name)));
            }
            let Some(default) = property.get("default") else {
                continue;
            };
            // In the whole schema's setting, so that the property's `$ref`s resolve.
            let mut alone = schema.clone();
            alone["required"] = Value::Array(Vec::new());
            let instance = Map::from_iter([(name.clone(), default.clone())]);
            Self::compile(&alone)?
                .check_object(&instance)
                .map_err(|violation| SchemaError::BadDefault {
                    property: name.clone(),
                    violation,
                })?;
        }
        for name in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !properties.contains_key(name) {
                return Err(SchemaError::RequiredUnknown(bounded(name)));
            }
        }
        Ok(compiled)
    }

    /// Checks an instance that came through the strict parser (which bounds its depth).
    pub fn check(&self, instance: &Value) -> Result<(), SchemaViolation> {
        if self.cost.saturating_mul(weight(instance)) > MAX_WORK {
            return Err(SchemaViolation {
                path: String::new(),
                keyword: "work".to_owned(),
                message: "is too large to be checked against its schema".to_owned(),
            });
        }
        self.validator
            .validate(instance)
            .map_err(|e| SchemaViolation {
                path: bounded(e.instance_path().as_str()),
                keyword: e.kind().keyword().to_owned(),
                message: bounded(&e.to_string()),
            })
    }

    pub fn check_object(&self, instance: &Map<String, Value>) -> Result<(), SchemaViolation> {
        self.check(&Value::Object(instance.clone()))
    }
}

/// Nodes, and a share for long strings.
fn weight(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => {
            1 + map
                .iter()
                .map(|(k, v)| 1 + k.len() / 16 + weight(v))
                .sum::<usize>()
        }
        Value::String(s) => 1 + s.len() / 16,
        _ => 1,
    }
}

/// One path component that means the same everywhere: no separator, no control, not hidden away.
fn is_plain_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

fn is_argument_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with("__")
        && !PYTHON_KEYWORDS.split_whitespace().any(|k| k == name)
}

pub(crate) fn bounded(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(300)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.chars().nth(300).is_some() {
        out.push('…');
    }
    out
}

struct Walk<'a> {
    root: &'a Value,
    refs: usize,
    /// Pointer of a `$ref` target → what checking it costs.
    costs: BTreeMap<String, usize>,
    under_way: Vec<String>,
}

type Parts<'a> = Vec<(String, &'a Value)>;

impl<'a> Walk<'a> {
    /// Checks the keywords of one schema and of all below it.
    fn schema(&mut self, schema: &'a Value, at: &str, depth: usize) -> Result<(), SchemaError> {
        if depth > MAX_DEPTH {
            return Err(SchemaError::TooDeep { at: bounded(at) });
        }
        let map = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(map) => map,
            _ => {
                return Err(SchemaError::Shape {
                    at: bounded(at),
                    expected: "a schema (an object or a boolean)",
                });
            }
        };
        for (keyword, value) in map {
            let here = format!("{at}/{}", escape(keyword));
            let Some((_, holds)) = KEYWORDS.iter().find(|(k, _)| k == keyword) else {
                return Err(SchemaError::UnknownKeyword {
                    at: bounded(at),
                    keyword: bounded(keyword),
                });
            };
            self.keyword(*holds, value, &here)?;
            for (at, part) in parts(*holds, value, &here)? {
                self.schema(part, &at, depth + 1)?;
            }
        }
        Ok(())
    }

    fn keyword(&mut self, holds: Holds, value: &Value, at: &str) -> Result<(), SchemaError> {
        let text = || {
            value.as_str().ok_or_else(|| SchemaError::Shape {
                at: bounded(at),
                expected: "a string",
            })
        };
        match holds {
            Holds::Draft
                if text()?.trim_end_matches('#')
                    != "https://json-schema.org/draft/2020-12/schema" =>
            {
                Err(SchemaError::Draft)
            }
            Holds::Ref => {
                self.refs += 1;
                if self.refs > MAX_REFS {
                    return Err(SchemaError::TooManyRefs);
                }
                let to = text()?;
                if to != "#" && !to.starts_with("#/") || to.contains('%') {
                    return Err(SchemaError::RemoteRef {
                        at: bounded(at),
                        to: bounded(to),
                    });
                }
                Ok(())
            }
            Holds::Pattern => long_pattern(text()?, at),
            Holds::PatternMap => value
                .as_object()
                .into_iter()
                .flat_map(Map::keys)
                .try_for_each(|p| long_pattern(p, at)),
            Holds::Format => {
                let format = text()?;
                if !FORMATS.contains(&format) {
                    return Err(SchemaError::UnknownFormat {
                        at: bounded(at),
                        format: bounded(format),
                    });
                }
                // `#/properties/NAME/format`
                let top = at.matches('/').count() == 3 && at.starts_with("#/properties/");
                if format == FILE_FORMAT && !top {
                    return Err(SchemaError::NestedFile { at: bounded(at) });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Subschemas that a check of `schema` may visit, each `$ref` followed.
    fn cost(&mut self, at: &str, schema: &'a Value) -> Result<usize, SchemaError> {
        let Value::Object(map) = schema else {
            return Ok(1);
        };
        let mut total = 1_usize;
        for (keyword, value) in map {
            let Some((_, holds)) = KEYWORDS.iter().find(|(k, _)| k == keyword) else {
                continue;
            };
            let here = format!("{at}/{}", escape(keyword));
            if let (Holds::Ref, Some(to)) = (holds, value.as_str()) {
                total += self.target(&here, to)?;
            }
            // Definitions cost where they are referred to; lists of constants cost their length.
            match holds {
                Holds::Definitions => {}
                Holds::Data => total += value.as_array().map_or(0, |a| a.len() / 16),
                _ => {
                    for (at, part) in parts(*holds, value, &here)? {
                        total += self.cost(&at, part)?;
                    }
                }
            }
            if total > MAX_EXPANDED {
                return Err(SchemaError::TooMany);
            }
        }
        Ok(total)
    }

    fn target(&mut self, at: &str, to: &str) -> Result<usize, SchemaError> {
        if let Some(known) = self.costs.get(to) {
            return Ok(*known);
        }
        if self.under_way.iter().any(|u| u == to) || to == "#" {
            return Err(SchemaError::RecursiveRef { at: bounded(at) });
        }
        let root = self.root;
        let schema = root
            .pointer(&to[1..])
            .ok_or_else(|| SchemaError::DanglingRef { at: bounded(at) })?;
        self.under_way.push(to.to_owned());
        // A target need not be where a schema is expected: what is in it is checked here.
        let counted = self.refs;
        self.schema(schema, to, self.under_way.len())?;
        self.refs = counted;
        let cost = self.cost(to, schema)?;
        self.under_way.pop();
        self.costs.insert(to.to_owned(), cost);
        Ok(cost)
    }
}

fn parts<'a>(holds: Holds, value: &'a Value, at: &str) -> Result<Parts<'a>, SchemaError> {
    let shape = |expected| {
        Err(SchemaError::Shape {
            at: bounded(at),
            expected,
        })
    };
    match (holds, value) {
        (Holds::Schema, value) => Ok(vec![(at.to_owned(), value)]),
        (Holds::Schemas, Value::Array(items)) => Ok(items
            .iter()
            .enumerate()
            .map(|(i, s)| (format!("{at}/{i}"), s))
            .collect()),
        (Holds::Schemas, _) => shape("a list of schemas"),
        (Holds::SchemaMap | Holds::PatternMap | Holds::Definitions, Value::Object(map)) => Ok(map
            .iter()
            .map(|(k, s)| (format!("{at}/{}", escape(k)), s))
            .collect()),
        (Holds::SchemaMap | Holds::PatternMap | Holds::Definitions, _) => {
            shape("an object of schemas")
        }
        _ => Ok(Vec::new()),
    }
}

fn long_pattern(pattern: &str, at: &str) -> Result<(), SchemaError> {
    if pattern.chars().count() > MAX_PATTERN {
        return Err(SchemaError::LongPattern { at: bounded(at) });
    }
    Ok(())
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn input(properties: Value) -> Value {
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    }

    #[track_caller]
    fn refused(schema: Value, needle: &str) {
        let message = Schema::compile_input(&schema).unwrap_err().to_string();
        assert!(message.contains(needle), "{schema}: {message}");
    }

    #[test]
    fn ordinary_schemas_compile_and_check() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "log": {"type": "string", "format": "file"},
                "top": {"type": "integer", "minimum": 1, "default": 10},
                "kind": {"enum": ["a", "b"]},
                "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}, "uniqueItems": true},
                "when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
                "code": {"type": "string", "pattern": "^[A-Z]{2}\\d+$"}
            },
            "required": ["log"],
            "additionalProperties": false,
            "$defs": {"row": {"type": "object", "patternProperties": {"^x_": {"type": "number"}}}}
        });
        let schema = Schema::compile_input(&schema).unwrap();
        let ok = |v: Value| schema.check(&v).is_ok();
        assert!(ok(
            json!({"log": "a.log", "top": 3, "rows": [{"x_1": 1.5}], "when": null, "code": "AB1"})
        ));
        for bad in [
            json!({}),
            json!({"log": "../a"}),
            json!({"log": "/etc/passwd"}),
            json!({"log": ".."}),
            json!({"log": ""}),
            json!({"log": "a\u{0}b"}),
            json!({"log": "a", "top": 0}),
            json!({"log": "a", "top": "3"}),
            json!({"log": "a", "kind": "c"}),
            json!({"log": "a", "rows": [{"x_1": "s"}]}),
            json!({"log": "a", "rows": [1, 1]}),
            json!({"log": "a", "when": "2024-13-01"}),
            json!({"log": "a", "code": "ab1"}),
            json!({"log": "a", "extra": 1}),
            json!([]),
        ] {
            assert!(!ok(bad.clone()), "{bad}");
        }
    }

    #[test]
    fn an_input_is_a_closed_object_of_arguments() {
        refused(json!({"type": "array"}), "is an object");
        refused(json!({"type": "object"}), "additionalProperties");
        for name in ["class", "a-b", "1a", "", "é", "__x", "a b"] {
            refused(input(json!({name: {"type": "string"}})), "identifier");
        }
        refused(
            json!({"type": "object", "required": ["x"], "additionalProperties": false}),
            "not a property",
        );
        refused(
            input(json!({"n": {"type": "integer", "default": "x"}})),
            "default of `n`",
        );
        refused(
            input(json!({"n": {"$ref": "#/$defs/i", "default": 1}})),
            "points to nothing",
        );
    }

    #[test]
    fn nothing_reaches_elsewhere() {
        for to in [
            "http://127.0.0.1/x",
            "file:///etc/passwd",
            "other.json",
            "#anchor",
            "#/%64efs/a",
        ] {
            refused(input(json!({"a": {"$ref": to}})), "only `#/…`");
        }
        for keyword in [
            "$id",
            "$anchor",
            "$dynamicRef",
            "$recursiveRef",
            "$vocabulary",
            "nullable",
            "minlength",
        ] {
            refused(input(json!({"a": {keyword: "x"}})), "not a keyword");
        }
        refused(
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "2020-12",
        );
        refused(input(json!({"a": {"format": "regex"}})), "not supported");
        refused(
            input(json!({"a": {"items": {"format": "file"}}})),
            "top-level",
        );
    }

    #[test]
    fn hostile_schemas_are_bounded() {
        refused(input(json!({"a": {"$ref": "#"}})), "recursive");
        refused(input(json!({"a": {"$ref": "#/properties/a"}})), "recursive");
        let mut deep = json!({"type": "string"});
        for _ in 0..40 {
            deep = json!({"items": deep});
        }
        refused(input(json!({"a": deep})), "deeper");
        refused(input(json!({"a": {"pattern": "x".repeat(600)}})), "longer");
        refused(
            input(json!({"a": {"pattern": "(a{1000}){1000}"}})),
            "not valid",
        );
        refused(input(json!({"a": {"pattern": "(?=a)b"}})), "not valid");
        refused(
            input(json!({"a": {"description": "x".repeat(70_000)}})),
            "larger",
        );
        let mut defs = Map::new();
        for i in 0..20 {
            let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
            defs.insert(format!("d{i}"), json!({"oneOf": [next.clone(), next]}));
        }
        defs.insert("d20".to_owned(), json!(true));
        let mut doubling = input(json!({"a": {"$ref": "#/$defs/d0"}}));
        doubling["$defs"] = Value::Object(defs);
        refused(doubling, "expands");
    }

    #[test]
    fn patterns_take_linear_time() {
        let schema = Schema::compile(&json!({"type": "string", "pattern": "^(a+)+$"})).unwrap();
        // A backtracking engine would not come back from this one.
        assert!(
            schema
                .check(&json!(format!("{}!", "a".repeat(100_000))))
                .is_err()
        );
    }

    #[test]
    fn violations_are_bounded_and_escaped() {
        let schema = Schema::compile(&json!({"type": "integer"})).unwrap();
        let v = schema
            .check(&json!(format!("\u{1b}[31m{}", "x".repeat(100_000))))
            .unwrap_err();
        assert!(
            v.message.len() < 1000 && !v.message.contains('\u{1b}'),
            "{}",
            v.message
        );
    }
}
