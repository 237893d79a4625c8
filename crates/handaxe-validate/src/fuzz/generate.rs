//! Values from a schema (JSON Schema 2020-12), drawn toward its bounds. What comes out is a good
//! guess: the caller checks it with the compiled schema and draws again where it does not fit.
//!
//! Where a schema sets no bound, values stay within what an ordinary caller sends (numbers within
//! ±10^4, a few up to 10^6; texts and lists of some hundreds): a tool need not survive what nobody
//! would ask of it, and a schema that promises more says so.

use serde_json::{Map, Number, Value, json};

use super::pattern;
use super::source::Source;
use super::text;

/// Numbers, where the schema has no bound of its own.
const FAR: i64 = 10_000;
const FARTHEST: i64 = 1_000_000;
const LONG_TEXT: usize = 500;
const LONG_LIST: usize = 60;
/// Below this many levels only short lists are made.
const SHALLOW: usize = 2;
/// Draws for one distinct item.
const TRIES: usize = 12;

/// What a schema asks of values, with what the caller has seen to draw from.
pub(crate) struct Generator<'a> {
    root: &'a Value,
    /// Texts of the author's cases.
    seen: Vec<String>,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(root: &'a Value, seen: Vec<String>) -> Self {
        Self { root, seen }
    }

    /// A value for a part of the schema; `None` where nothing can fit.
    pub(crate) fn value(&self, schema: &Value, source: &mut Source, depth: usize) -> Option<Value> {
        let schema = self.effective(schema, source)?;
        if let Some(fixed) = schema.get("const") {
            return Some(fixed.clone());
        }
        if let Some(Value::Array(choices)) = schema.get("enum") {
            return source.pick(choices).cloned();
        }
        let kinds = kinds(&schema);
        match *source.pick(&kinds)? {
            "null" => Some(Value::Null),
            "boolean" => Some(Value::Bool(source.one_in(2))),
            "integer" => integer(&schema, source),
            "number" => number(&schema, source),
            "string" => self.string(&schema, source),
            "array" => self.array(&schema, source, depth),
            "object" => self.object(&schema, source, depth),
            _ => None,
        }
    }

    /// One schema without combinators: references followed, one way of each choice taken.
    pub(crate) fn effective(
        &self,
        schema: &Value,
        source: &mut Source,
    ) -> Option<Map<String, Value>> {
        let map = match schema {
            Value::Bool(true) => return Some(Map::new()),
            Value::Object(map) => map,
            _ => return None,
        };
        let mut own = map.clone();
        let mut parts: Vec<&Value> = Vec::new();
        if let Some(Value::String(to)) = own.remove("$ref") {
            parts.push(self.root.pointer(to.trim_start_matches('#'))?);
        }
        if own.remove("allOf").is_some() {
            parts.extend(map["allOf"].as_array().into_iter().flatten());
        }
        for choice in ["anyOf", "oneOf"] {
            if own.remove(choice).is_some() {
                parts.push(source.pick(map[choice].as_array()?)?);
            }
        }
        if own.remove("if").is_some() {
            let (then, otherwise) = (own.remove("then"), own.remove("else"));
            if source.one_in(2) {
                parts.push(&map["if"]);
                parts.extend(then.is_some().then(|| &map["then"]));
            } else {
                parts.extend(otherwise.is_some().then(|| &map["else"]));
            }
        }
        for part in parts {
            let part = self.effective(part, source)?;
            own = both(own, part)?;
        }
        Some(own)
    }

    fn string(&self, schema: &Map<String, Value>, source: &mut Source) -> Option<Value> {
        let least = size(schema, "minLength").unwrap_or(0);
        let most = size(schema, "maxLength").unwrap_or(least + LONG_TEXT);
        if let Some(Value::String(pattern)) = schema.get("pattern") {
            let mut matching = pattern::matching(pattern, source)?;
            // A pattern without anchors allows anything around it.
            if source.one_in(4) {
                matching.push_str(&text::text(source, 0, 6, &self.seen));
            } else if source.one_in(6) {
                matching.insert_str(0, &text::text(source, 0, 6, &self.seen));
            }
            return Some(Value::String(matching));
        }
        let format = schema.get("format").and_then(Value::as_str);
        let formatted = format.and_then(|f| text::formatted(f, source));
        Some(Value::String(formatted.unwrap_or_else(|| {
            text::text(source, least, most, &self.seen)
        })))
    }

    fn array(
        &self,
        schema: &Map<String, Value>,
        source: &mut Source,
        depth: usize,
    ) -> Option<Value> {
        let first = schema.get("prefixItems").and_then(Value::as_array);
        let first = first.map_or(&[][..], Vec::as_slice);
        let rest = schema.get("items").unwrap_or(&Value::Bool(true));
        let least = size(schema, "minItems").unwrap_or(0);
        let usual = least + if depth < SHALLOW { LONG_LIST } else { 4 };
        let bound = if rest == &Value::Bool(false) {
            first.len()
        } else {
            usize::MAX
        };
        let most = size(schema, "maxItems").unwrap_or(usual).min(bound);
        let length = match source.below(8) {
            0 => least,
            1 => most.min(least + 1),
            2 if most <= usual.max(200) => most,
            3 => most.min(least + source.below(usual - least + 1)),
            _ => most.min(least + source.below(7)),
        };
        let distinct = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut items: Vec<Value> = Vec::with_capacity(length);
        if let Some(contains) = schema.get("contains") {
            let wanted = size(schema, "minContains").unwrap_or(1).min(length);
            for _ in 0..wanted {
                items.push(self.value(contains, source, depth + 1)?);
            }
        }
        // Now and then all the same, or few different ones: ties and duplicates.
        let few = !distinct && source.one_in(5);
        while items.len() < length {
            if few && items.len() >= 2 {
                let again = items.get(source.below(2)).cloned();
                items.extend(again);
                continue;
            }
            let schema = first.get(items.len()).unwrap_or(rest);
            let mut fresh = None;
            for _ in 0..TRIES {
                let item = self.value(schema, source, depth + 1)?;
                if !distinct || !items.contains(&item) {
                    fresh = Some(item);
                    break;
                }
            }
            let Some(fresh) = fresh else { break };
            items.push(fresh);
        }
        if !distinct && first.is_empty() && items.iter().all(Value::is_number) && source.one_in(6) {
            items.sort_by(|a, b| real(a).total_cmp(&real(b)));
            if source.one_in(2) {
                items.reverse();
            }
        }
        Some(Value::Array(items))
    }

    fn object(
        &self,
        schema: &Map<String, Value>,
        source: &mut Source,
        depth: usize,
    ) -> Option<Value> {
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let required: Vec<&str> = names(schema.get("required"));
        // All of the optional ones, none of them, or some.
        let share = *source.pick(&[0, 50, 50, 80, 100])?;
        let mut wanted: Vec<&str> = required;
        for name in properties.keys() {
            if !wanted.contains(&name.as_str()) && source.below(100) < share {
                wanted.push(name);
            }
        }
        if let Some(Value::Object(dependent)) = schema.get("dependentRequired") {
            let mut at = 0;
            while let Some(name) = wanted.get(at) {
                for also in names(dependent.get(*name)) {
                    if !wanted.contains(&also) {
                        wanted.push(also);
                    }
                }
                at += 1;
            }
        }
        let open = schema
            .get("additionalProperties")
            .unwrap_or(&Value::Bool(true));
        let mut object = Map::new();
        for name in wanted {
            let property = properties.get(name).unwrap_or(open);
            object.insert(name.to_owned(), self.value(property, source, depth + 1)?);
        }
        self.free_properties(schema, open, source, depth, &mut object)?;
        Some(Value::Object(object))
    }

    /// Properties that the schema does not name, where it takes any.
    fn free_properties(
        &self,
        schema: &Map<String, Value>,
        open: &Value,
        source: &mut Source,
        depth: usize,
        object: &mut Map<String, Value>,
    ) -> Option<()> {
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let least = size(schema, "minProperties").unwrap_or(0);
        let closed = open == &Value::Bool(false);
        if closed && patterns.is_none_or(Map::is_empty) {
            return Some(());
        }
        let most = size(schema, "maxProperties").unwrap_or(least + 6);
        // An open object with properties of its own is mostly meant as it stands.
        let named = schema.contains_key("properties");
        let count = if named && source.below(4) > 0 {
            least
        } else {
            most.min(least + source.below(5))
        };
        for _ in 0..TRIES {
            if object.len() >= count {
                break;
            }
            let patterned = patterns
                .filter(|p| !p.is_empty() && (closed || source.one_in(2)))
                .and_then(|p| p.iter().nth(source.below(p.len())));
            let (name, value) = if let Some((pattern, schema)) = patterned {
                (pattern::matching(pattern, source)?, schema)
            } else {
                let name = match schema.get("propertyNames") {
                    Some(names) => match self.value(names, source, depth + 1)? {
                        Value::String(name) => name,
                        _ => return None,
                    },
                    None => text::text(source, 1, 12, &self.seen),
                };
                (name, open)
            };
            let value = self.value(value, source, depth + 1)?;
            object.entry(name).or_insert(value);
        }
        Some(())
    }
}

/// The types that a schema allows; where it names none, those that its keywords speak of.
fn kinds(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => return vec![kind],
        Some(Value::Array(kinds)) => return kinds.iter().filter_map(Value::as_str).collect(),
        _ => {}
    }
    let spoken: [(&str, &[&str]); 4] = [
        (
            "object",
            &[
                "properties",
                "additionalProperties",
                "required",
                "patternProperties",
            ],
        ),
        (
            "array",
            &[
                "items",
                "prefixItems",
                "minItems",
                "maxItems",
                "uniqueItems",
            ],
        ),
        ("string", &["pattern", "format", "minLength", "maxLength"]),
        (
            "number",
            &[
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "multipleOf",
            ],
        ),
    ];
    let found: Vec<&str> = spoken
        .iter()
        .filter(|(_, keywords)| keywords.iter().any(|k| schema.contains_key(*k)))
        .map(|(kind, _)| *kind)
        .collect();
    if found.is_empty() {
        vec!["null", "boolean", "integer", "number", "string"]
    } else {
        found
    }
}

/// What fits both; `None` where it is plain that nothing does.
fn both(mut a: Map<String, Value>, b: Map<String, Value>) -> Option<Map<String, Value>> {
    for (keyword, theirs) in b {
        let Some(ours) = a.get(&keyword) else {
            a.insert(keyword, theirs);
            continue;
        };
        let merged = match keyword.as_str() {
            "type" => {
                let theirs = kinds_of(&theirs);
                let common: Vec<&str> = kinds_of(ours)
                    .into_iter()
                    .filter_map(|k| narrower(k, &theirs))
                    .collect();
                if common.is_empty() {
                    return None;
                }
                json!(common)
            }
            "enum" => {
                let theirs = theirs.as_array()?;
                let common: Vec<Value> = (ours.as_array()?.iter())
                    .filter(|v| theirs.contains(v))
                    .cloned()
                    .collect();
                if common.is_empty() {
                    return None;
                }
                Value::Array(common)
            }
            "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
                if real(&theirs) > real(ours) {
                    theirs
                } else {
                    ours.clone()
                }
            }
            "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
                if real(&theirs) < real(ours) {
                    theirs
                } else {
                    ours.clone()
                }
            }
            "required" => {
                let mut all = names(Some(ours));
                all.extend(names(Some(&theirs)));
                json!(all)
            }
            "properties" => {
                let mut properties = ours.as_object()?.clone();
                for (name, schema) in theirs.as_object()?.clone() {
                    let merged = match properties.remove(&name) {
                        Some(own) => json!({"allOf": [own, schema]}),
                        None => schema,
                    };
                    properties.insert(name, merged);
                }
                Value::Object(properties)
            }
            "items" | "additionalProperties" => json!({"allOf": [ours, theirs]}),
            _ => theirs,
        };
        a.insert(keyword, merged);
    }
    Some(a)
}

fn kinds_of(value: &Value) -> Vec<&str> {
    match value {
        Value::String(kind) => vec![kind],
        other => names(Some(other)),
    }
}

fn narrower<'a>(kind: &'a str, among: &[&str]) -> Option<&'a str> {
    match kind {
        _ if among.contains(&kind) => Some(kind),
        "integer" if among.contains(&"number") => Some(kind),
        "number" if among.contains(&"integer") => Some("integer"),
        _ => None,
    }
}

fn names(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn size(schema: &Map<String, Value>, keyword: &str) -> Option<usize> {
    let value = schema.get(keyword)?;
    value
        .as_u64()
        .or_else(|| value.as_f64().map(|f| f as u64))
        .map(|n| n as usize)
}

fn real(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// The least and the greatest, and whether the schema itself says so.
struct Range {
    low: f64,
    high: f64,
    open_low: bool,
    open_high: bool,
}

fn range(schema: &Map<String, Value>) -> Range {
    let of = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let (low, open_low) = match (of("minimum"), of("exclusiveMinimum")) {
        (Some(m), Some(e)) if e >= m => (Some(e), true),
        (None, Some(e)) => (Some(e), true),
        (m, _) => (m, false),
    };
    let (high, open_high) = match (of("maximum"), of("exclusiveMaximum")) {
        (Some(m), Some(e)) if e <= m => (Some(e), true),
        (None, Some(e)) => (Some(e), true),
        (m, _) => (m, false),
    };
    let far = FAR as f64;
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, if low < far { far } else { low + far }),
        (None, Some(high)) => (if high > -far { -far } else { high - far }, high),
        (None, None) => (-far, far),
    };
    Range {
        low,
        high,
        open_low,
        open_high,
    }
}

/// `as` saturates, so bounds past 64 bits end at the ends.
fn integer(schema: &Map<String, Value>, source: &mut Source) -> Option<Value> {
    let range = range(schema);
    let mut low = range.low.ceil() as i64;
    let mut high = range.high.floor() as i64;
    if range.open_low && low as f64 == range.low {
        low = low.saturating_add(1);
    }
    if range.open_high && high as f64 == range.high {
        high = high.saturating_sub(1);
    }
    let step = schema
        .get("multipleOf")
        .and_then(Value::as_f64)
        .filter(|m| m.fract() == 0.0 && (1.0..1e15).contains(m))
        .map_or(1, |m| m as i64);
    low = low.div_euclid(step) + i64::from(low.rem_euclid(step) != 0);
    high = high.div_euclid(step);
    if low > high {
        return None;
    }
    let near = [
        0, 1, -1, 2, 3, 7, 10, 12, 100, 255, 256, 1000, 65_536, FARTHEST,
    ];
    // A side without a bound has no end, only what is seldom asked.
    let bound = |keywords: [&str; 2]| keywords.iter().any(|k| schema.contains_key(*k));
    let top = if bound(["maximum", "exclusiveMaximum"]) {
        high
    } else {
        high.max(FARTHEST / step)
    };
    let drawn = match source.below(8) {
        0 => low,
        1 => high,
        2 => low.saturating_add(1),
        3 => high.saturating_sub(1),
        4 => *source.pick(&near)?,
        5 | 6 => source.within(low.max(-20), high.min(20)),
        _ => source.within(low, high),
    };
    let inside = if (low..=top).contains(&drawn) {
        drawn
    } else {
        source.within(low, high)
    };
    Some(json!(inside.checked_mul(step)?))
}

fn number(schema: &Map<String, Value>, source: &mut Source) -> Option<Value> {
    // Most numbers that people write are whole.
    if source.one_in(3)
        && let Some(whole) = integer(schema, source)
    {
        return Some(whole);
    }
    let Range { low, high, .. } = range(schema);
    if low > high {
        return None;
    }
    let small = [
        0.0, -0.0, 0.5, 0.1, -0.1, 1.5, 0.3, 1e-9, 3.999_999, 99.99, 1e5,
    ];
    let drawn = match source.below(6) {
        0 => low,
        1 => high,
        2 => *source.pick(&small)?,
        3 => ((source.unit() - 0.5) * 2_000.0).round() / 100.0,
        _ => low + (high - low) * source.unit(),
    };
    let mut inside = if (low..=high).contains(&drawn) {
        drawn
    } else {
        low + (high - low) * source.unit()
    };
    if let Some(step) = schema
        .get("multipleOf")
        .and_then(Value::as_f64)
        .filter(|m| *m > 0.0)
    {
        // Division by a whole number gives the decimal that a person would write.
        let (count, inverse) = ((inside / step).round(), (1.0 / step).round());
        inside = if step < 1.0 {
            count / inverse
        } else {
            count * step
        };
    }
    Number::from_f64(inside).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    /// Share of draws that fit, in percent; every one that is used is checked anyway.
    fn share(schema: &Value) -> usize {
        let compiled = Schema::compile(schema).unwrap();
        let generator = Generator::new(schema, vec!["seen".to_owned()]);
        let fits = |n: &u64| {
            generator
                .value(schema, &mut Source::new(*n, 0), 0)
                .is_some_and(|v| compiled.check(&v).is_ok())
        };
        (0..400).filter(fits).count() / 4
    }

    #[test]
    fn most_draws_fit() {
        let schemas = [
            json!({"type": "integer", "minimum": 3, "exclusiveMaximum": 9}),
            json!({"type": "integer", "multipleOf": 7, "minimum": -30}),
            json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
            json!({"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 5}),
            json!({"type": ["string", "null"], "maxLength": 5}),
            json!({"enum": [1, "a", null]}),
            json!({"const": {"a": 1}}),
            json!({"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"}),
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "array", "items": {"type": "integer"}, "uniqueItems": true, "minItems": 2}),
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false, "minItems": 2}),
            json!({"type": "array", "items": {"type": "array", "items": {"type": "number"}, "maxItems": 3}}),
            json!({"type": "array", "contains": {"const": 5}, "items": {"type": "integer"}, "minItems": 1}),
            json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                "required": ["a"], "dependentRequired": {"a": ["b"]}, "additionalProperties": false}),
            json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}),
            json!({"type": "object", "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": false}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]}),
            json!({"allOf": [{"type": "integer", "minimum": 0}, {"maximum": 10}]}),
            json!({"$defs": {"p": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
                "type": "array", "items": {"$ref": "#/$defs/p"}}),
            json!({"type": "object", "properties": {"k": {"enum": ["a", "b"]}, "n": {"type": "integer"}},
                "required": ["k"], "if": {"properties": {"k": {"const": "a"}}}, "then": {"required": ["n"]}}),
        ];
        for schema in schemas {
            let share = share(&schema);
            assert!(share >= 60, "{schema}: {share} %");
        }
        // One of two alike: hard to hit, but never wrong, because what does not fit is not used.
        assert!(share(&json!({"oneOf": [{"type": "integer"}, {"type": "number"}]})) > 3);
        for none in [
            json!(false),
            json!({"type": "integer", "minimum": 5, "maximum": 4}),
            json!({"allOf": [{"type": "string"}, {"type": "integer"}]}),
        ] {
            assert_eq!(share(&none), 0, "{none}");
        }
    }

    #[test]
    fn bounds_are_drawn() {
        let schema = json!({"type": "integer", "minimum": -4, "maximum": 900});
        let generator = Generator::new(&schema, Vec::new());
        let drawn: Vec<i64> = (0..300)
            .filter_map(|n| {
                generator
                    .value(&schema, &mut Source::new(n, 0), 0)?
                    .as_i64()
            })
            .collect();
        for bound in [-4, -3, 899, 900, 0, 1] {
            assert!(drawn.contains(&bound), "{bound}");
        }
        let schema = json!({"type": "array", "items": {"type": "integer"}, "maxItems": 5});
        let generator = Generator::new(&schema, Vec::new());
        let lengths: std::collections::BTreeSet<usize> = (0..300)
            .filter_map(|n| {
                Some(
                    generator
                        .value(&schema, &mut Source::new(n, 0), 0)?
                        .as_array()?
                        .len(),
                )
            })
            .collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    }
}
