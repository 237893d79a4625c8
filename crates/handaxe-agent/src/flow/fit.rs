//! Whether every value of one JSON Schema is a value of another, as far as types go: what is
//! checked along a flow's edges before anything runs.
//!
//! Sound for types, required keys, enumerations and files; bounds and patterns are left to the
//! host's check of each input before its run. Where the giving side may be anything and the taking
//! side is particular, it does not fit: what is not known is not assumed.

use serde_json::{Map, Value};

/// How deep schemas are followed, `$ref`s included.
const MAX_DEPTH: usize = 24;

/// A place where the two do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", place(at))]
pub struct Misfit {
    /// Dotted, from the outside in; empty for the whole.
    pub at: String,
    pub why: String,
}

fn place(at: &str) -> String {
    if at.is_empty() {
        String::new()
    } else {
        format!("at `{at}`: ")
    }
}

/// A schema, and the document that its `$ref`s point into.
#[derive(Clone, Copy)]
pub(crate) struct Typed<'a> {
    pub(crate) schema: &'a Value,
    pub(crate) root: &'a Value,
}

impl<'a> Typed<'a> {
    pub(crate) fn of(root: &'a Value) -> Self {
        Self { schema: root, root }
    }

    fn with(self, schema: &'a Value) -> Self {
        Self { schema, ..self }
    }

    /// Follows local references.
    fn resolved(self) -> Self {
        let mut here = self;
        for _ in 0..MAX_DEPTH {
            let Some(pointer) = here.schema.get("$ref").and_then(Value::as_str) else {
                return here;
            };
            let target = pointer.strip_prefix('#').and_then(|p| self.root.pointer(p));
            match target {
                Some(target) => here = self.with(target),
                None => return here,
            }
        }
        here
    }

    fn types(self) -> Option<Vec<&'a str>> {
        match self.schema.get("type") {
            Some(Value::String(one)) => Some(vec![one.as_str()]),
            Some(Value::Array(several)) => several.iter().map(Value::as_str).collect(),
            _ => self.implied(),
        }
    }

    /// What `const` and `enum` say of the type.
    fn implied(self) -> Option<Vec<&'a str>> {
        let mut types: Vec<&str> = self.values()?.iter().map(|v| type_of(v)).collect();
        types.sort_unstable();
        types.dedup();
        Some(types)
    }

    fn values(self) -> Option<Vec<&'a Value>> {
        if let Some(one) = self.schema.get("const") {
            return Some(vec![one]);
        }
        let list = self.schema.get("enum")?.as_array()?;
        Some(list.iter().collect())
    }

    fn branches(self) -> Option<Vec<Self>> {
        ["anyOf", "oneOf"].iter().find_map(|key| {
            let list = self.schema.get(*key)?.as_array()?;
            Some(list.iter().map(|s| self.with(s)).collect())
        })
    }

    fn is_file(self) -> bool {
        self.schema.get("format").and_then(Value::as_str) == Some(handaxe_types::FILE_FORMAT)
    }

    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.schema.get("properties")?.as_object()
    }

    fn requires(self, key: &str) -> bool {
        let required = self.schema.get("required").and_then(Value::as_array);
        required.is_some_and(|keys| keys.iter().any(|k| k == key))
    }

    /// The members that an object may have by name.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'a str> {
        let properties = self.resolved().properties();
        properties
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
    }

    fn closed(self) -> bool {
        self.schema.get("additionalProperties") == Some(&Value::Bool(false))
    }

    /// The schema of what a JSON pointer finds in every value of this one.
    pub(crate) fn at(self, pointer: &str) -> Result<Self, Misfit> {
        let mut here = self.resolved();
        let mut walked = String::new();
        for part in pointer.split('/').skip(1) {
            let key = part.replace("~1", "/").replace("~0", "~");
            let lost = |why: String| Misfit {
                at: walked.clone(),
                why,
            };
            let next = match (here.properties(), here.schema.get("items")) {
                (Some(properties), _) if properties.contains_key(&key) => {
                    if !here.requires(&key) {
                        return Err(lost(format!("`{key}` may be absent")));
                    }
                    &properties[&key]
                }
                (_, Some(items)) if key.parse::<usize>().is_ok() => items,
                _ => return Err(lost(format!("the output has no `{key}`"))),
            };
            here = here.with(next).resolved();
            if !walked.is_empty() {
                walked.push('.');
            }
            walked.push_str(&key);
        }
        Ok(here)
    }

    /// The schema of a list's elements.
    pub(crate) fn items(self) -> Result<Self, Misfit> {
        let here = self.resolved();
        let is_list = here.types().is_some_and(|t| t == ["array"]);
        match here.schema.get("items") {
            Some(items) if is_list => Ok(here.with(items)),
            _ => Err(Misfit {
                at: String::new(),
                why: "it is not a list whose elements are known".to_owned(),
            }),
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether whatever the one gives, the other takes.
pub(crate) fn fits(from: Typed<'_>, to: Typed<'_>) -> Result<(), Misfit> {
    let mut at = Vec::new();
    fit(from, to, &mut at, 0)
}

fn fit(from: Typed<'_>, to: Typed<'_>, at: &mut Vec<String>, depth: usize) -> Result<(), Misfit> {
    let misfit = |at: &[String], why: String| Misfit {
        at: at.join("."),
        why,
    };
    if depth > MAX_DEPTH {
        return Err(misfit(
            at,
            "the schemas are nested too deep to compare".to_owned(),
        ));
    }
    let (from, to) = (from.resolved(), to.resolved());
    if let Some(branches) = from.branches() {
        return branches
            .into_iter()
            .try_for_each(|branch| fit(branch, to, at, depth + 1));
    }
    if let Some(branches) = to.branches() {
        let fitting = branches
            .into_iter()
            .any(|branch| fit(from, branch, at, depth + 1).is_ok());
        let none = || {
            misfit(
                at,
                "it is none of the alternatives that are taken".to_owned(),
            )
        };
        return if fitting { Ok(()) } else { Err(none()) };
    }
    if from.is_file() != to.is_file() && to.types().is_some() {
        let why = if to.is_file() {
            "a file is wanted"
        } else {
            "a file is given where a plain value is wanted"
        };
        return Err(misfit(at, why.to_owned()));
    }
    let Some(wanted) = to.types() else {
        return Ok(());
    };
    let Some(given) = from.types() else {
        let wanted = wanted.join(" or ");
        return Err(misfit(
            at,
            format!("it may be anything, and {wanted} is wanted"),
        ));
    };
    for kind in &given {
        let taken = wanted.contains(kind) || (*kind == "integer" && wanted.contains(&"number"));
        if !taken {
            let wanted = wanted.join(" or ");
            return Err(misfit(
                at,
                format!("it may be {kind}, and {wanted} is wanted"),
            ));
        }
    }
    if let Some(taken) = to.values() {
        let given = from.values();
        if !given.is_some_and(|g| g.iter().all(|v| taken.contains(v))) {
            let why = "it may be another value than those listed";
            return Err(misfit(at, why.to_owned()));
        }
    }
    if let (true, Some(wanted)) = (given.contains(&"array"), to.schema.get("items")) {
        let empty = Value::Bool(true);
        let items = from.schema.get("items").unwrap_or(&empty);
        at.push("[]".to_owned());
        fit(from.with(items), to.with(wanted), at, depth + 1)?;
        at.pop();
    }
    if given.contains(&"object") {
        fit_object(from, to, at, depth)?;
    }
    Ok(())
}

fn fit_object(
    from: Typed<'_>,
    to: Typed<'_>,
    at: &mut Vec<String>,
    depth: usize,
) -> Result<(), Misfit> {
    let empty = Map::new();
    let (given, wanted) = (
        from.properties().unwrap_or(&empty),
        to.properties().unwrap_or(&empty),
    );
    let misfit = |at: &[String], why: String| Misfit {
        at: at.join("."),
        why,
    };
    if let Some(keys) = to.schema.get("required").and_then(Value::as_array) {
        let absent = keys
            .iter()
            .filter_map(Value::as_str)
            .find(|k| !from.requires(k));
        if let Some(key) = absent {
            return Err(misfit(at, format!("`{key}` is wanted and may be absent")));
        }
    }
    if to.closed() {
        if !from.closed() {
            return Err(misfit(at, "it may hold keys that are not taken".to_owned()));
        }
        if let Some(key) = given.keys().find(|k| !wanted.contains_key(*k)) {
            return Err(misfit(at, format!("`{key}` is not taken")));
        }
    }
    for (key, schema) in given {
        if let Some(target) = wanted.get(key) {
            at.push(key.clone());
            fit(from.with(schema), to.with(target), at, depth + 1)?;
            at.pop();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(from: &Value, to: &Value, misfit: Option<&str>) {
        let found = fits(Typed::of(from), Typed::of(to)).err();
        match (misfit, &found) {
            (None, None) => {}
            (Some(words), Some(found)) if found.to_string().contains(words) => {}
            _ => panic!("{from} -> {to}: {found:?}, wanted {misfit:?}"),
        }
    }

    #[test]
    fn table() {
        let string = json!({"type": "string"});
        let file = json!({"type": "string", "format": "file"});
        let rows = |item: Value| json!({"type": "array", "items": item});
        let object = |properties: Value, required: Value| {
            json!({"type": "object", "properties": properties, "required": required,
                   "additionalProperties": false})
        };
        let (integer, number) = (json!({"type": "integer"}), json!({"type": "number"}));
        check(&string, &string, None);
        check(&integer, &number, None);
        check(&number, &integer, Some("may be number"));
        check(
            &json!({"type": ["string", "null"]}),
            &string,
            Some("may be null"),
        );
        check(&string, &json!({"type": ["string", "null"]}), None);
        check(&json!({}), &string, Some("may be anything"));
        check(&string, &json!({}), None);
        check(&file, &string, Some("a file is given"));
        check(&string, &file, Some("a file is wanted"));
        check(&file, &file, None);
        check(&rows(integer.clone()), &rows(number.clone()), None);
        check(
            &rows(string.clone()),
            &rows(number.clone()),
            Some("at `[]`"),
        );
        check(
            &json!({"type": "array"}),
            &rows(string.clone()),
            Some("anything"),
        );
        let a = object(json!({"a": integer}), json!(["a"]));
        let optional = object(json!({"a": integer}), json!([]));
        let both = object(json!({"a": integer, "b": string}), json!(["a", "b"]));
        check(&a, &optional, None);
        check(&optional, &a, Some("`a` is wanted and may be absent"));
        check(&both, &a, Some("`b` is not taken"));
        check(&json!({"type": "object"}), &a, Some("may be absent"));
        check(&json!({"enum": ["x"]}), &json!({"enum": ["x", "y"]}), None);
        check(&string, &json!({"enum": ["x", "y"]}), Some("another value"));
        let either = json!({"anyOf": [integer, string]});
        check(&either, &number, Some("may be string"));
        check(&string, &either, None);
        let referring = json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}});
        check(&referring, &number, None);
        let circular = json!({"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n"}}});
        check(&circular, &string, Some("anything"));
        let tree = json!({"type": "array", "items": {"$ref": "#"}});
        check(&tree, &tree, Some("too deep"));
    }

    #[test]
    fn pointers() {
        let schema = json!({
            "type": "object", "required": ["rows"],
            "properties": {
                "rows": {"type": "array", "items": {"type": "object", "required": ["n"],
                    "properties": {"n": {"type": "integer"}, "m": {"type": "string"}}}},
                "note": {"type": "string"},
            },
        });
        let typed = Typed::of(&schema);
        assert_eq!(
            typed.at("/rows/0/n").unwrap().schema,
            &json!({"type": "integer"})
        );
        assert_eq!(typed.at("").unwrap().schema, &schema);
        for (path, words) in [
            ("/note", "may be absent"),
            ("/rows/0/m", "may be absent"),
            ("/rows/x", "no `x`"),
            ("/other", "no `other`"),
        ] {
            let misfit = typed.at(path).err().unwrap().to_string();
            assert!(misfit.contains(words), "{path}: {misfit}");
        }
        assert!(typed.at("/rows").unwrap().items().is_ok());
        assert!(typed.items().is_err());
    }
}
