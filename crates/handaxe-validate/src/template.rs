//! The strict template: a documented module whose one `run` agrees with the schemas.

use std::collections::BTreeSet;

use handaxe_types::{Capability, Draft};
use serde_json::Value;

use crate::parse::{self, Annotation, Function, Module, Parameter};
use crate::schema::Schema;

/// Subschemas looked into while an annotation is compared; schemas are bounded anyway.
const DEPTH: usize = 8;

/// Says in one line each where signature, annotations, documentation, schemas and capabilities
/// disagree; empty when they agree.
pub fn check_template(draft: &Draft) -> Vec<String> {
    let mut out = Vec::new();
    let spec = &draft.spec;
    let input = Schema::compile_input(&spec.input_schema);
    if let Err(e) = &input {
        out.push(format!("input schema: {e}"));
    }
    if let Err(e) = Schema::compile(&spec.output_schema) {
        out.push(format!("output schema: {e}"));
    }
    if spec.description.trim().is_empty() {
        out.push("the spec has no description".to_owned());
    }
    let asks = |c| spec.capabilities.contains(&c);
    if !spec.input_files().is_empty() && !asks(Capability::ReadFiles) {
        out.push("an input names a file, and the spec does not ask for `read_files`".to_owned());
    }
    if !spec.output_files().is_empty() && !asks(Capability::WriteFiles) {
        out.push("the output names a file, and the spec does not ask for `write_files`".to_owned());
    }
    // The same bound as vetting: this may be asked of a draft that was not vetted.
    let policy = handaxe_types::StaticPolicy::default();
    if draft.code.len() > policy.max_bytes.max(1 << 20) {
        out.push("the code is too large to be read".to_owned());
        return out;
    }
    match parse::module(&draft.code, policy.max_nesting.max(200)) {
        Ok(module) => code(&module, draft, input.is_ok(), &mut out),
        Err(e) => out.push(format!("the code {e}")),
    }
    out
}

fn code(module: &Module, draft: &Draft, schemas_hold: bool, out: &mut Vec<String>) {
    if module
        .docstring
        .as_ref()
        .is_none_or(|d| d.trim().is_empty())
    {
        out.push("the module has no docstring".to_owned());
    }
    let runs: Vec<&Function> = module
        .functions
        .iter()
        .filter(|f| f.name == "run")
        .collect();
    let [run] = runs[..] else {
        out.push(format!(
            "exactly one top-level `def run` is expected, {} found",
            runs.len()
        ));
        return;
    };
    let mut shape = |wrong: bool, what: &str| {
        if wrong {
            out.push(format!("`run` (line {}) {what}", run.line));
        }
    };
    shape(run.is_async, "is `async`; it is called as a plain function");
    shape(run.is_generator, "is a generator; it returns one value");
    shape(
        run.decorated,
        "has a decorator; what is called is what is read",
    );
    shape(
        run.positional_only,
        "has positional-only parameters; it is called by name",
    );
    shape(
        run.variadic,
        "has `*args` or `**kwargs`; every parameter is named",
    );
    if schemas_hold {
        parameters(run, module, &draft.spec.input_schema, out);
    }
    match &run.returns {
        None => out.push("`run` does not say what it returns".to_owned()),
        Some(annotation) => {
            let kinds = kinds_of(annotation, module);
            let schema = schema_kinds(&draft.spec.output_schema, &draft.spec.output_schema, DEPTH);
            if let Some(unknown) = unknown(annotation, module) {
                out.push(format!(
                    "the return annotation `{unknown}` is not a JSON type"
                ));
            } else if !returns_fit(&kinds, &schema) {
                out.push(format!(
                    "`run` returns {}, and the output schema says {}",
                    words(&kinds),
                    words(&schema)
                ));
            }
        }
    }
}

fn parameters(run: &Function, module: &Module, schema: &Value, out: &mut Vec<String>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required: BTreeSet<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for name in properties.into_iter().flat_map(serde_json::Map::keys) {
        if !run.parameters.iter().any(|p| p.name == *name) {
            out.push(format!(
                "the input property `{name}` is no parameter of `run`"
            ));
        }
    }
    for parameter in &run.parameters {
        let name = &parameter.name;
        let Some(property) = properties.and_then(|p| p.get(name)) else {
            out.push(format!("the parameter `{name}` is not in the input schema"));
            continue;
        };
        match (
            required.contains(name.as_str()),
            parameter.default.is_some(),
        ) {
            (true, true) => out.push(format!(
                "`{name}` is required by the schema and has a default in `run`"
            )),
            (false, false) => out.push(format!(
                "`{name}` is optional in the schema and has no default in `run`"
            )),
            _ => {}
        }
        default(parameter, property, out);
        match &parameter.annotation {
            None => out.push(format!("the parameter `{name}` has no annotation")),
            Some(annotation) => annotated(name, annotation, module, property, schema, out),
        }
    }
}

fn default(parameter: &Parameter, property: &Value, out: &mut Vec<String>) {
    let (Some(ours), Some(theirs)) = (property.get("default"), &parameter.default) else {
        return;
    };
    let name = &parameter.name;
    match &theirs.literal {
        None => out.push(format!(
            "the default of `{name}` in `run` is not a literal, so it cannot be compared with the schema's"
        )),
        // `1` and `1.0` mean the same default here: JSON authors write either.
        Some(literal) if literal == ours || both_numbers_equal(literal, ours) => {}
        Some(literal) => out.push(format!(
            "the default of `{name}` is {} in `run` and {} in the schema",
            crate::schema::bounded(&literal.to_string()),
            crate::schema::bounded(&ours.to_string())
        )),
    }
}

fn both_numbers_equal(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64())
}

fn annotated(
    name: &str,
    annotation: &Annotation,
    module: &Module,
    property: &Value,
    root: &Value,
    out: &mut Vec<String>,
) {
    if let Some(unknown) = unknown(annotation, module) {
        out.push(format!(
            "the annotation `{unknown}` of `{name}` is not a JSON type"
        ));
        return;
    }
    let takes = kinds_of(annotation, module);
    let given = schema_kinds(property, root, DEPTH);
    if !takes_all(&takes, &given) {
        out.push(format!(
            "`{name}` is annotated {}, and the schema says {}",
            words(&takes),
            words(&given)
        ));
        return;
    }
    if let (Annotation::List(Some(item)), Some(items)) = (annotation, property.get("items")) {
        annotated(&format!("{name}[]"), item, module, items, root, out);
    }
}

/// The JSON types, as bits' worth of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Str,
    List,
    Dict,
}

const ALL: [Kind; 7] = [
    Kind::Null,
    Kind::Bool,
    Kind::Int,
    Kind::Float,
    Kind::Str,
    Kind::List,
    Kind::Dict,
];

type Kinds = BTreeSet<Kind>;

fn kinds_of(annotation: &Annotation, module: &Module) -> Kinds {
    match annotation {
        Annotation::Str => Kinds::from([Kind::Str]),
        Annotation::Int => Kinds::from([Kind::Int]),
        // In Python's own typing an `int` is welcome where a `float` is.
        Annotation::Float => Kinds::from([Kind::Int, Kind::Float]),
        Annotation::Bool => Kinds::from([Kind::Bool]),
        Annotation::Null => Kinds::from([Kind::Null]),
        Annotation::Any => Kinds::from(ALL),
        Annotation::List(_) => Kinds::from([Kind::List]),
        Annotation::Dict => Kinds::from([Kind::Dict]),
        Annotation::Literal(values) => values.iter().map(value_kind).collect(),
        Annotation::Union(parts) => parts.iter().flat_map(|p| kinds_of(p, module)).collect(),
        Annotation::Other(name) if module.dict_classes.contains(name) => Kinds::from([Kind::Dict]),
        Annotation::Other(_) => Kinds::new(),
    }
}

/// The first part of an annotation that says nothing in JSON's words.
fn unknown(annotation: &Annotation, module: &Module) -> Option<String> {
    match annotation {
        Annotation::Other(name) if !module.dict_classes.contains(name) => {
            Some(crate::schema::bounded(name))
        }
        Annotation::Union(parts) => parts.iter().find_map(|p| unknown(p, module)),
        Annotation::List(Some(item)) => unknown(item, module),
        _ => None,
    }
}

fn value_kind(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Bool,
        Value::Number(n) if n.is_f64() => Kind::Float,
        Value::Number(_) => Kind::Int,
        Value::String(_) => Kind::Str,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Dict,
    }
}

/// The types that a schema lets through, as far as it says.
fn schema_kinds(schema: &Value, root: &Value, depth: usize) -> Kinds {
    if depth == 0 {
        return Kinds::from(ALL);
    }
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        return root
            .pointer(to.trim_start_matches('#'))
            .map_or(Kinds::from(ALL), |s| schema_kinds(s, root, depth - 1));
    }
    let named = |name: &Value| match name.as_str() {
        Some("null") => vec![Kind::Null],
        Some("boolean") => vec![Kind::Bool],
        Some("integer") => vec![Kind::Int],
        Some("number") => vec![Kind::Int, Kind::Float],
        Some("string") => vec![Kind::Str],
        Some("array") => vec![Kind::List],
        Some("object") => vec![Kind::Dict],
        _ => ALL.to_vec(),
    };
    match schema.get("type") {
        Some(Value::Array(names)) => return names.iter().flat_map(named).collect(),
        Some(name) => return named(name).into_iter().collect(),
        None => {}
    }
    if let Some(value) = schema.get("const") {
        return Kinds::from([value_kind(value)]);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(value_kind).collect();
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(parts) = schema.get(key).and_then(Value::as_array) {
            return parts
                .iter()
                .flat_map(|p| schema_kinds(p, root, depth - 1))
                .collect();
        }
    }
    Kinds::from(ALL)
}

/// Whether an annotation admits whatever the schema lets in.
fn takes_all(takes: &Kinds, given: &Kinds) -> bool {
    given.is_subset(takes)
}

/// Whether what is returned can fit the schema: no type is promised that the schema never lets
/// out, but that `float` may be said of what is always a number.
fn returns_fit(returned: &Kinds, schema: &Kinds) -> bool {
    let float = returned.contains(&Kind::Float);
    returned
        .iter()
        .all(|k| schema.contains(k) || (float && *k == Kind::Int))
}

fn words(kinds: &Kinds) -> String {
    if kinds.len() == ALL.len() {
        return "anything".to_owned();
    }
    let words: Vec<&str> = kinds
        .iter()
        .filter(|k| !(**k == Kind::Int && kinds.contains(&Kind::Float)))
        .map(|k| match k {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Int => "an integer",
            Kind::Float => "a number",
            Kind::Str => "a string",
            Kind::List => "a list",
            Kind::Dict => "an object",
        })
        .collect();
    words.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::{Author, Provenance, Spec, ToolName};
    use serde_json::json;

    fn draft(code: &str, properties: Value, required: Value, output: Value) -> Draft {
        let spec: Spec = serde_json::from_value(json!({
            "name": ToolName::new("some_tool").unwrap(),
            "description": "Does it.",
            "input_schema": {"type": "object", "properties": properties, "required": required, "additionalProperties": false},
            "output_schema": output,
            "domain": "text",
            "capabilities": ["read_files"],
        }))
        .unwrap();
        Draft {
            spec,
            code: code.to_owned(),
            cases: Vec::new(),
            assets: std::collections::BTreeMap::new(),
            provenance: Provenance {
                author: Author::Composer,
                why: String::new(),
                recipe: None,
                invocation: serde_json::Map::new(),
            },
        }
    }

    fn says(signature: &str, properties: Value, required: Value, output: Value) -> Vec<String> {
        let code = format!(
            "\"\"\"Doc.\"\"\"\nfrom typing import *\n\nclass Row(TypedDict):\n    a: int\n\n\ndef run({signature}:\n    return None\n"
        );
        check_template(&draft(&code, properties, required, output))
    }

    #[test]
    fn agreement() {
        let object = json!({"type": "object"});
        for (signature, properties, required, output) in [
            (
                "text: str) -> dict",
                json!({"text": {"type": "string"}}),
                json!(["text"]),
                object.clone(),
            ),
            (
                "*, log: str, top: int = 10) -> dict[str, int]",
                json!({"log": {"type": "string", "format": "file"}, "top": {"type": "integer", "default": 10}}),
                json!(["log"]),
                object.clone(),
            ),
            (
                "xs: list[float]) -> float",
                json!({"xs": {"type": "array", "items": {"type": "number"}}}),
                json!(["xs"]),
                json!({"type": "number"}),
            ),
            (
                "x: str | None = None) -> list[dict]",
                json!({"x": {"type": "string"}}),
                json!([]),
                json!({"type": "array"}),
            ),
            (
                "x: Optional[int] = None) -> Row",
                json!({"x": {"type": ["integer", "null"], "default": null}}),
                json!([]),
                object.clone(),
            ),
            (
                "mode: Literal['a', 'b'] = 'a') -> str | None",
                json!({"mode": {"enum": ["a", "b"]}}),
                json!([]),
                json!({"type": ["string", "null"]}),
            ),
            (
                "rate: float = -1.5, deep: dict | list = {}) -> Any",
                json!({"rate": {"type": "number", "default": -1.5}, "deep": {"anyOf": [{"type": "object"}, {"type": "array"}]}}),
                json!([]),
                json!({}),
            ),
            (
                "n: float = 1) -> float",
                json!({"n": {"type": "number", "default": 1.0}}),
                json!([]),
                json!({"type": "number"}),
            ),
            (") -> int", json!({}), json!([]), json!({"type": "number"})),
        ] {
            let said = says(signature, properties, required, output);
            assert_eq!(said, Vec::<String>::new(), "{signature}");
        }
    }

    #[test]
    fn disagreement() {
        let s = || json!({"text": {"type": "string"}});
        let r = || json!(["text"]);
        let o = || json!({"type": "object"});
        for (signature, properties, required, output, needle) in [
            ("txt: str) -> dict", s(), r(), o(), "`text` is no parameter"),
            (
                "text: str, more: int = 1) -> dict",
                s(),
                r(),
                o(),
                "`more` is not in the input schema",
            ),
            (
                "text: str = '') -> dict",
                s(),
                r(),
                o(),
                "has a default in `run`",
            ),
            ("text: str) -> dict", s(), json!([]), o(), "has no default"),
            ("text) -> dict", s(), r(), o(), "no annotation"),
            ("text: int) -> dict", s(), r(), o(), "annotated an integer"),
            ("text: Path) -> dict", s(), r(), o(), "not a JSON type"),
            ("text: str)", s(), r(), o(), "does not say what it returns"),
            ("text: str) -> list", s(), r(), o(), "returns a list"),
            (
                "text: str) -> float",
                s(),
                r(),
                json!({"type": "integer"}),
                "returns a number",
            ),
            ("text: str) -> Frame", s(), r(), o(), "return annotation"),
            ("*text: str) -> dict", s(), r(), o(), "*args"),
            ("text: str, /) -> dict", s(), r(), o(), "positional-only"),
            (
                "x: int = 1) -> dict",
                json!({"x": {"type": "integer", "default": 2}}),
                json!([]),
                o(),
                "default of `x`",
            ),
            (
                "x: bool = 1) -> dict",
                json!({"x": {"type": "boolean", "default": true}}),
                json!([]),
                o(),
                "default of `x`",
            ),
            (
                "x: int = N) -> dict",
                json!({"x": {"type": "integer", "default": 2}}),
                json!([]),
                o(),
                "not a literal",
            ),
            (
                "x: list[int]) -> dict",
                json!({"x": {"type": "array", "items": {"type": "string"}}}),
                json!(["x"]),
                o(),
                "x[]",
            ),
            (
                "x: int) -> dict",
                json!({"x": {"type": "number"}}),
                json!(["x"]),
                o(),
                "a number",
            ),
            (
                "text: str) -> dict",
                s(),
                r(),
                json!({"type": "object", "nullable": true}),
                "output schema",
            ),
        ] {
            let said = says(signature, properties, required, output);
            assert!(
                said.iter().any(|l| l.contains(needle)),
                "{signature}: {said:?}"
            );
        }
    }

    #[test]
    fn the_module() {
        let check = |code: &str| {
            check_template(&draft(
                code,
                json!({}),
                json!([]),
                json!({"type": "object"}),
            ))
        };
        for (code, needle) in [
            ("def run() -> dict:\n    return {}\n", "docstring"),
            ("'''D'''\n", "0 found"),
            (
                "'''D'''\ndef run() -> dict: ...\ndef run() -> dict: ...\n",
                "2 found",
            ),
            ("'''D'''\nasync def run() -> dict: ...\n", "async"),
            ("'''D'''\ndef run() -> dict:\n    yield 1\n", "generator"),
            (
                "'''D'''\n@staticmethod\ndef run() -> dict: ...\n",
                "decorator",
            ),
            ("'''D'''\ndef run( -> dict: ...\n", "does not parse"),
            ("'''D'''\nif True:\n    def run() -> dict: ...\n", "0 found"),
        ] {
            let said = check(code);
            assert!(said.iter().any(|l| l.contains(needle)), "{code}: {said:?}");
        }
        let mut no_read = draft(
            "'''D'''\ndef run(f: str) -> dict: ...\n",
            json!({"f": {"type": "string", "format": "file"}}),
            json!(["f"]),
            json!({"type": "object"}),
        );
        assert_eq!(check_template(&no_read), Vec::<String>::new());
        no_read.spec.capabilities.clear();
        assert!(check_template(&no_read)[0].contains("read_files"));
    }
}
