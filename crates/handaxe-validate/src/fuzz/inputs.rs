//! Whole inputs: fresh from the schema, or one of the author's cases with a change; with files.
//!
//! Held-out cases are never drawn from: a failing input is shown to the author.

use std::collections::BTreeSet;
use std::sync::Arc;

use handaxe_sandbox::InlineFile;
use handaxe_types::{Case, Check, Digest, Spec};
use serde_json::{Map, Value, json};

use super::files::{self, Seen};
use super::generate::Generator;
use super::source::Source;
use super::text;
use crate::invoke::{Arguments, Contract};

/// Files of one input together; the sandbox takes 1 MiB.
const MAX_FILES: usize = 1000 << 10;
/// Draws for each input that is asked for, before the schema is taken to have no more.
const TRIES: usize = 8;
const MAX_SEEN_TEXTS: usize = 200;

/// An author's case as something to draw from.
struct Base {
    input: Map<String, Value>,
    files: Vec<(String, Seen)>,
}

pub(crate) struct Inputs {
    pub(crate) list: Vec<Arguments>,
    /// Of the inputs, in order: the same for the same seed.
    pub(crate) digest: Digest,
}

/// Up to `asked` different valid inputs; `stop` ends it early.
pub(crate) fn inputs(
    spec: &Spec,
    contract: &Contract,
    cases: &[Case],
    asked: usize,
    seed: u64,
    stop: &dyn Fn() -> bool,
) -> Inputs {
    let maker = Maker::new(spec, contract, cases);
    let mut known: BTreeSet<Digest> = BTreeSet::new();
    let mut list = Vec::new();
    let mut hash = Vec::new();
    for number in 0..asked.saturating_mul(TRIES) + 100 {
        if list.len() >= asked || stop() {
            break;
        }
        let Some(arguments) = maker.draw(&mut Source::new(seed, number as u64)) else {
            continue;
        };
        if contract.check_input(&arguments).is_err() {
            continue;
        }
        let digest = digest(&arguments);
        if known.insert(digest) {
            hash.extend_from_slice(digest.to_string().as_bytes());
            list.push(arguments);
        }
    }
    Inputs {
        list,
        digest: Digest::of(&hash),
    }
}

pub(crate) fn digest(arguments: &Arguments) -> Digest {
    let files: Map<String, Value> = arguments
        .files
        .iter()
        .map(|f| (f.name.clone(), json!(Digest::of(&f.bytes))))
        .collect();
    Digest::of_json(&json!([arguments.input, files]))
}

struct Maker<'a> {
    schema: &'a Value,
    generator: Generator<'a>,
    file_inputs: Vec<String>,
    bases: Vec<Base>,
    seen: Vec<Seen>,
}

impl<'a> Maker<'a> {
    fn new(spec: &'a Spec, contract: &Contract, cases: &[Case]) -> Self {
        let file_inputs = spec.input_files();
        let bases: Vec<Base> = cases
            .iter()
            .filter(|c| !c.held_out && !matches!(c.check, Check::Raises(_)))
            .filter_map(|c| base(c, contract, &file_inputs))
            .collect();
        let mut texts = BTreeSet::new();
        for base in &bases {
            for (name, value) in &base.input {
                if !file_inputs.contains(name) {
                    collect(value, &mut texts);
                }
            }
        }
        let texts: Vec<String> = texts.into_iter().take(MAX_SEEN_TEXTS).collect();
        let seen = bases
            .iter()
            .flat_map(|b| b.files.iter().map(|(_, f)| f.clone()))
            .collect();
        Self {
            schema: &spec.input_schema,
            generator: Generator::new(&spec.input_schema, texts),
            file_inputs,
            bases,
            seen,
        }
    }

    fn draw(&self, source: &mut Source) -> Option<Arguments> {
        // Beside a file, fresh parameters seldom say anything of it: mostly those of a case.
        let fresh = if self.file_inputs.is_empty() { 2 } else { 6 };
        let base = if source.one_in(fresh) {
            None
        } else {
            source.pick(&self.bases)
        };
        let mut input = match base {
            Some(base) => self.changed(&base.input, source),
            None => match self.generator.value(self.schema, source, 0)? {
                Value::Object(input) => input,
                _ => return None,
            },
        };
        // Half of the files fit their reader, so that what is behind it is tried too.
        let gently = source.one_in(2);
        let mut laid: Vec<InlineFile> = Vec::new();
        for property in &self.file_inputs {
            if !input.contains_key(property) {
                continue;
            }
            let own: Vec<Seen> = base
                .map(|b| {
                    b.files
                        .iter()
                        .filter(|(p, _)| p == property)
                        .map(|(_, f)| f.clone())
                        .collect()
                })
                .unwrap_or_default();
            let from = if own.is_empty() || source.one_in(8) {
                &self.seen
            } else {
                &own
            };
            let (mut file, _) = files::file(from, gently, source);
            if laid.iter().any(|l| l.name == file.name) {
                file.name = format!("{property}_{}", file.name);
            }
            input.insert(property.clone(), json!(file.name));
            laid.push(InlineFile {
                name: file.name,
                bytes: Arc::from(file.bytes),
            });
        }
        let total: usize = laid.iter().map(|f| f.bytes.len()).sum();
        (total <= MAX_FILES).then(|| Arguments {
            input,
            files: laid,
            ..Arguments::default()
        })
    }

    /// A case's input with up to two of its properties changed, or none.
    fn changed(&self, input: &Map<String, Value>, source: &mut Source) -> Map<String, Value> {
        let mut input = input.clone();
        let properties = self.schema.get("properties").and_then(Value::as_object);
        let names: Vec<&String> = properties
            .into_iter()
            .flat_map(Map::keys)
            .filter(|n| !self.file_inputs.contains(n))
            .collect();
        let changes = if self.file_inputs.is_empty() {
            1 + source.below(2)
        } else {
            source.below(2)
        };
        for _ in 0..changes {
            let Some(name) = source.pick(&names) else {
                break;
            };
            let Some(schema) = properties.and_then(|p| p.get(*name)) else {
                break;
            };
            match input.get_mut(*name) {
                Some(value) if !source.one_in(3) => edit(value, source),
                Some(_) if source.one_in(4) => {
                    input.remove(*name);
                }
                _ => {
                    if let Some(value) = self.generator.value(schema, source, 1) {
                        input.insert((*name).clone(), value);
                    }
                }
            }
        }
        input
    }
}

fn base(case: &Case, contract: &Contract, file_inputs: &[String]) -> Option<Base> {
    let arguments = crate::cases::arguments(case)?;
    contract.check_input(&arguments).ok()?;
    let files = file_inputs
        .iter()
        .filter_map(|property| {
            let name = case.input.get(property)?.as_str()?;
            let bytes = case.files.get(name)?.bytes()?;
            let name = name.to_owned();
            Some((property.clone(), Seen { name, bytes }))
        })
        .collect();
    Some(Base {
        input: case.input.clone(),
        files,
    })
}

fn collect(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() <= 2_000 => {
            texts.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|i| collect(i, texts)),
        Value::Object(map) => map.values().for_each(|v| collect(v, texts)),
        _ => {}
    }
}

/// One small change somewhere inside.
fn edit(value: &mut Value, source: &mut Source) {
    match value {
        Value::Null => {}
        Value::Bool(b) => *b = !*b,
        Value::String(t) => *t = text::edited(t, source),
        Value::Number(n) => {
            let changed = match (n.as_i64(), n.as_f64()) {
                (Some(i), _) => [
                    0,
                    1,
                    -i,
                    i.saturating_add(1),
                    i.saturating_sub(1),
                    i.saturating_mul(2),
                ]
                .get(source.below(6))
                .map(|i| json!(i)),
                (None, Some(f)) => [0.0, -f, f + 1.0, f / 2.0, f.trunc()]
                    .get(source.below(5))
                    .map(|f| json!(f)),
                _ => None,
            };
            if let Some(Value::Number(changed)) = changed {
                *n = changed;
            }
        }
        Value::Array(items) => {
            let at = source.below(items.len());
            match source.below(6) {
                0 if !items.is_empty() => {
                    items.remove(at);
                }
                1 => {
                    let again = items.get(at).cloned();
                    items.extend(again);
                }
                2 => source.shuffle(items),
                3 => items.truncate(at),
                _ => {
                    if let Some(item) = items.get_mut(at) {
                        edit(item, source);
                    }
                }
            }
        }
        Value::Object(map) => {
            let at = source.below(map.len());
            if let Some(inner) = map.values_mut().nth(at) {
                edit(inner, source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn spec(properties: &Value, required: &Value) -> Spec {
        serde_json::from_value(json!({
            "name": "some_tool",
            "description": "d",
            "input_schema": {"type": "object", "properties": properties, "required": required,
                "additionalProperties": false},
            "output_schema": {},
            "domain": "text",
        }))
        .unwrap()
    }

    fn made(spec: &Spec, cases: &[Case], asked: usize, seed: u64) -> Inputs {
        let contract = Contract::new(spec, "", &BTreeMap::new()).unwrap();
        let inputs = inputs(spec, &contract, cases, asked, seed, &|| false);
        for arguments in &inputs.list {
            contract.check_input(arguments).unwrap();
        }
        inputs
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let spec = spec(
            &json!({"t": {"type": "string"}, "n": {"type": "integer"}}),
            &json!(["t"]),
        );
        let (a, b, c) = (
            made(&spec, &[], 200, 5),
            made(&spec, &[], 200, 5),
            made(&spec, &[], 200, 6),
        );
        assert_eq!((a.list.len(), a.digest), (200, b.digest));
        assert_ne!(a.digest, c.digest);
        let different: BTreeSet<Digest> = a.list.iter().map(digest).collect();
        assert_eq!(different.len(), 200);
        // Of a release: another generator needs another name on record.
        assert_eq!(
            a.digest.to_string(),
            "5fb88e00d9164b1e833bf43b22ede8a963365dd182010c6eeb17146e26f02041"
        );
    }

    #[test]
    fn a_small_schema_has_no_more() {
        let schema = json!({"a": {"type": "boolean"}, "b": {"enum": [1, 2, 3]}});
        assert_eq!(
            made(&spec(&schema, &json!(["a", "b"])), &[], 500, 1)
                .list
                .len(),
            6
        );
        assert_eq!(made(&spec(&schema, &json!([])), &[], 500, 1).list.len(), 12);
        assert_eq!(
            made(&spec(&json!({}), &json!([])), &[], 500, 1).list.len(),
            1
        );
    }

    #[test]
    fn files_are_those_of_the_authors_cases_and_never_of_the_held_out() {
        let spec = spec(
            &json!({"data": {"type": "string", "format": "file"}, "k": {"type": "string"}}),
            &json!(["data"]),
        );
        let case = |text: &str| serde_json::from_str::<Case>(text).unwrap();
        let cases = [
            case(
                r#"{"input":{"data":"own.csv","k":"OWN"},"files":{"own.csv":"a,b\n1,2\n"},"expect":1}"#,
            ),
            case(
                r#"{"input":{"data":"x.csv","k":"SECRET"},"files":{"x.csv":"SECRET\n"},"expect":1,"held_out":true}"#,
            ),
        ];
        let inputs = made(&spec, &cases, 400, 3);
        let has = |what: &str| {
            inputs.list.iter().any(|a| {
                json!(a.input).to_string().contains(what)
                    || a.files
                        .iter()
                        .any(|f| String::from_utf8_lossy(&f.bytes).contains(what))
            })
        };
        assert!(has("own.csv") && has("OWN") && has("a,b"));
        assert!(!has("SECRET"));
        assert!(inputs.list.iter().all(|a| a.files.len() == 1));
    }
}
