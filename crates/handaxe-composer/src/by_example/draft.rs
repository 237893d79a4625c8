//! Examples in, a complete draft with its cases out.

use std::collections::BTreeMap;

use handaxe_types::{
    Author, Capability, Case, CaseFile, Check, Draft, Limits, Need, Origin, Provenance, Raises,
    Spec, Tolerance, ToolName, ToolRequest,
};
use serde_json::{Map, Value, json};

use super::python::{MAX_RESULTS, Over, module};
use super::value::{Program, same};
use super::{Example, Stop, odd, synthesize};
use crate::compose::Composed;
use crate::profile::{Profile, json_of};
use crate::read::{ReadError, Record, Records};
use crate::{ComposeError, Format, Refusal};

/// A tool made from examples, before any trial.
#[derive(Clone, Debug)]
pub struct Emitted {
    pub code: String,
    pub input_schema: Value,
    pub output_schema: Value,
    pub description: String,
    /// What is left of the program when its constants are taken out.
    pub recipe: Value,
    /// The constants with their values: the arguments beside the data.
    pub arguments: Map<String, Value>,
}

/// Two programs this close in cost are both meant, as far as anyone can tell.
const CLOSE: f64 = 0.3;
/// Values of the data that the programs are held against.
const OTHERS: usize = 40;
/// Longest value in a case, in characters.
const MAX_VALUE: usize = 300;

/// `IN => OUT`, each JSON or else text as it stands.
pub fn parse_example(text: &str) -> Option<Example> {
    let (input, output) = text.split_once("=>")?;
    let value = |side: &str| {
        let side = side.trim();
        match serde_json::from_str::<Value>(side) {
            // A bare number is a text on the left; on the right it says what kind is wanted.
            Ok(v @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => v,
            _ => Value::from(side),
        }
    };
    let wanted = match serde_json::from_str::<Value>(output.trim()) {
        Ok(v @ (Value::Bool(_) | Value::Null)) => v,
        _ => value(output),
    };
    let (input, output) = (value(input), wanted);
    let empty = |v: &Value| v.as_str().is_some_and(str::is_empty);
    (!empty(&input)).then_some(Example { input, output })
}

/// A file as one side of an example: its records, or of plain text its lines together; of a JSON
/// document what it holds.
pub fn example_file(path: &std::path::Path) -> Result<Value, crate::DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let profile = crate::profile_path(&name, path)?;
    let unreadable = |source| crate::DataError::Unreadable {
        name: name.to_string(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_FILE), &mut bytes)
        .map_err(unreadable)?;
    if profile.format == Format::Text {
        return Ok(Value::from(String::from_utf8_lossy(&bytes).trim_end()));
    }
    let mut records = Records::new(profile.format, bytes.as_slice());
    let mut rows = Vec::new();
    let malformed = |source| crate::DataError::Malformed {
        name: name.to_string(),
        source,
    };
    while let Some(record) = records.next().map_err(malformed)? {
        if rows.len() < MAX_RESULTS {
            rows.push(object(&record));
        }
    }
    Ok(Value::Array(rows))
}

/// Largest file of an example.
const MAX_FILE: u64 = 4 << 20;

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(60)
        .collect();
    text.replace('\\', "/").replace('"', "'").trim().to_owned()
}

/// `` `John Smith` gives `Smith, John`. ``
fn said(examples: &[Example]) -> String {
    examples.first().map_or(String::new(), |e| {
        format!("`{}` gives `{}`", shown(&e.input), shown(&e.output))
    })
}

pub(super) fn emit(
    program: &Program,
    over: &Over,
    asked: &str,
    examples: &[Example],
    format: &str,
) -> Emitted {
    let what = match over {
        Over::Items => "Converts each of a list of values",
        Over::Records { .. } => "Converts each record of a file, or one field of it",
        Over::Whole => "Converts the records of a file",
    };
    let asked = asked.trim().trim_end_matches('.');
    let asked: String = asked
        .chars()
        .filter(|c| !c.is_control() && *c != '"' && *c != '\\')
        .take(120)
        .collect();
    let purpose = if asked.is_empty() {
        String::new()
    } else {
        format!(" ({asked})")
    };
    let description = format!("{what} as shown by examples{purpose}: {}.", said(examples));
    let written = module(
        program,
        over,
        &description,
        &format!("{}.", said(examples)),
        format,
    );
    let mut properties = Map::new();
    let mut required = Vec::new();
    match over {
        Over::Items => {
            let schema = json!({"type": "array", "maxItems": 100_000,
                "description": "The values to convert."});
            properties.insert("items".to_owned(), schema);
            required.push("items");
        }
        Over::Records { .. } | Over::Whole => {
            required.push("data");
            properties.insert(
                "data".to_owned(),
                json!({"type": "string", "format": "file", "description": "The file to read."}),
            );
            properties.insert(
                "format".to_owned(),
                json!({"type": "string", "enum": ["csv", "tsv", "json", "jsonl", "text"],
                    "default": format, "description": "How the file is laid out."}),
            );
        }
    }
    if let Over::Records { field } = over {
        properties.insert(
            "field".to_owned(),
            json!({"type": ["string", "null"], "default": field,
                "description": "The field to convert; null for whole records."}),
        );
    }
    for constant in &written.constants {
        properties.insert(constant.name.clone(), constant.schema.clone());
    }
    let count = json!({"type": "integer", "minimum": 0});
    let mut out = Map::new();
    match over {
        Over::Whole => {
            out.insert("result".to_owned(), json!({}));
        }
        Over::Items | Over::Records { .. } => {
            out.insert("results".to_owned(), json!({"type": "array"}));
            out.insert("failed".to_owned(), count.clone());
        }
    }
    if *over != Over::Items {
        out.insert("read".to_owned(), count.clone());
        out.insert("skipped".to_owned(), count);
    }
    let names: Vec<&String> = out.keys().collect();
    let dialect = "https://json-schema.org/draft/2020-12/schema";
    let output_schema = json!({"$schema": dialect, "type": "object", "properties": out,
        "required": names, "additionalProperties": false});
    let arguments: Map<String, Value> = written
        .constants
        .iter()
        .map(|c| (c.name.clone(), c.value.clone()))
        .collect();
    // The body without the documentation, which tells of these examples only.
    let body: Vec<&str> = written
        .code
        .lines()
        .skip_while(|l| !l.starts_with("def convert"))
        .take_while(|l| !l.starts_with("def run"))
        .filter(|l| !l.trim_start().starts_with("\"\"\""))
        .collect();
    Emitted {
        recipe: json!({"author": "composer", "edition": 1, "by_example": body,
            "over": match over { Over::Items => "items", Over::Records { .. } => "records", Over::Whole => "whole" }}),
        input_schema: json!({"$schema": dialect, "type": "object", "properties": properties,
            "required": required, "additionalProperties": false}),
        code: written.code,
        output_schema,
        description,
        arguments,
    }
}

/// What the tool gives for some items.
pub(super) fn over_items(program: &Program, items: &[Value]) -> Value {
    let results: Vec<Option<Value>> = items.iter().map(|i| program.run(i)).collect();
    let failed = results.iter().filter(|r| r.is_none()).count();
    let results: Vec<Value> = results.into_iter().map(Option::unwrap_or_default).collect();
    json!({"results": results, "failed": failed})
}

fn object(record: &Record) -> Value {
    Value::Object(
        record
            .fields
            .iter()
            .map(|(n, v)| (n.to_string(), json_of(v)))
            .collect(),
    )
}

/// What the tool gives for a file: twin of `run` over records and over all of them.
fn over_file(
    program: &Program,
    over: &Over,
    format: Format,
    bytes: &[u8],
) -> Result<Option<Value>, ReadError> {
    let mut records = Records::new(format, bytes);
    let mut all = Vec::new();
    while let Some(record) = records.next()? {
        if all.len() == MAX_RESULTS {
            return Ok(None);
        }
        all.push(object(&record));
    }
    let tally = records.tally();
    let known: Vec<String> = records.fields().iter().map(ToString::to_string).collect();
    Ok(match over {
        Over::Whole => program.run(&Value::Array(all)).map(
            |result| json!({"result": result, "read": tally.records, "skipped": tally.skipped}),
        ),
        Over::Items | Over::Records { .. } => {
            let values: Vec<Value> = match over {
                Over::Records { field: Some(field) } => {
                    if !known.is_empty() && !known.contains(field) {
                        return Ok(None);
                    }
                    all.iter()
                        .map(|r| r.get(field).cloned().unwrap_or(Value::Null))
                        .collect()
                }
                _ => all,
            };
            let mut result = over_items(program, &values);
            if let Some(map) = result.as_object_mut() {
                map.insert("read".to_owned(), json!(tally.records));
                map.insert("skipped".to_owned(), json!(tally.skipped));
            }
            Some(result)
        }
    })
}

/// A tool that does to every value what the examples show; over the file's records where one is
/// given. [`ComposeError::Stopped`] where `stop` ended the search.
pub fn compose_by_example(
    question: &str,
    examples: &[Example],
    profiles: &[Profile],
    stop: Stop<'_>,
) -> Result<Composed, ComposeError> {
    let profile = match profiles {
        [] => None,
        [one] => Some(one),
        several => {
            return Err(Refusal::SeveralFiles {
                names: several.iter().map(|p| p.name.clone()).collect(),
            }
            .into());
        }
    };
    let over = match profile {
        None => Over::Items,
        Some(profile) => over(question, examples, profile)?,
    };
    let others = profile.map_or_else(Vec::new, |p| values(p, &over));
    let few: Vec<Value> = others.iter().take(OTHERS).cloned().collect();
    let found = synthesize(examples, if over == Over::Whole { &[] } else { &few }, stop);
    if stop() {
        return Err(ComposeError::Stopped);
    }
    let Some(best) = found.first() else {
        return Err(Refusal::NoProgram {
            examples: examples.len(),
        }
        .into());
    };
    if let Some(rival) = found.get(1).filter(|r| r.cost - best.cost < CLOSE)
        && over != Over::Whole
        && let Some((input, a, b)) = others.iter().find_map(|input| {
            let (a, b) = (best.program.run(input)?, rival.program.run(input)?);
            (!same(&a, &b)).then(|| (input.clone(), a, b))
        })
    {
        return Err(Refusal::Ambiguous {
            what: format!(
                "two programs fit every example and differ on `{}`: one gives `{}`, the other `{}`",
                shown(&input),
                shown(&a),
                shown(&b)
            ),
            options: vec![
                format!("--example '{} => {}'", shown(&input), shown(&a)),
                format!("--example '{} => {}'", shown(&input), shown(&b)),
            ],
        }
        .into());
    }
    let program = &best.program;
    let format = profile.map_or(Format::Text, |p| p.format);
    let emitted = emit(program, &over, question, examples, format.as_str());
    let name = ToolName::new(&name_of(question)).map_err(crate::EmitError::from)?;
    let mut arguments = Map::new();
    if let Some(profile) = profile {
        arguments.insert("data".to_owned(), json!(profile.name));
        arguments.insert("format".to_owned(), json!(format.as_str()));
        if let Over::Records { field } = &over {
            arguments.insert("field".to_owned(), json!(field));
        }
    } else {
        let items: Vec<Value> = examples.iter().map(|e| e.input.clone()).collect();
        arguments.insert("items".to_owned(), json!(items));
    }
    arguments.extend(emitted.arguments.clone());
    let maker = Maker {
        program,
        over: &over,
        constants: &emitted.arguments,
        stop,
    };
    let mut capabilities = Vec::new();
    let mut needs = Vec::new();
    if profile.is_some() {
        capabilities.push(Capability::ReadFiles);
        needs.push(Need::ReadFiles);
    }
    let line = emitted
        .code
        .lines()
        .skip_while(|l| !l.starts_with("def convert"))
        .find(|l| l.trim_start().starts_with("return "))
        .map(|l| l.trim().trim_start_matches("return ").to_owned())
        .unwrap_or_default();
    let steps = vec![
        match (&over, profile) {
            (Over::Records { field: Some(f) }, Some(p)) => {
                format!("Read {f} of each record of {}.", p.name)
            }
            (Over::Records { field: None }, Some(p)) => format!("Read each record of {}.", p.name),
            (_, Some(p)) => format!("Read all records of {}.", p.name),
            _ => "Take each value.".to_owned(),
        },
        format!("Convert it so that {}: {line}", said(examples)),
    ];
    let (author, held_out) = (maker.author(examples), maker.held_out(examples, &others));
    if stop() {
        return Err(ComposeError::Stopped);
    }
    Ok(Composed {
        chain: None,
        recipe: emitted.recipe.clone(),
        request: ToolRequest {
            name: name.clone(),
            purpose: emitted.description.clone(),
            domain: "transformation".to_owned(),
            needs,
        },
        steps,
        draft: Draft {
            spec: Spec {
                name,
                description: emitted.description,
                input_schema: emitted.input_schema,
                output_schema: emitted.output_schema,
                domain: "transformation".to_owned(),
                capabilities,
                limits: Limits::default(),
                deterministic: true,
            },
            code: emitted.code,
            cases: author,
            assets: BTreeMap::new(),
            provenance: Provenance {
                author: Author::Composer,
                why: question.to_owned(),
                recipe: Some(emitted.recipe),
                invocation: arguments.clone(),
            },
        },
        held_out,
        invocation: arguments,
        focus: None,
        columns: Vec::new(),
    })
}

/// Whether the examples are of records, of one field, or of all records.
fn over(question: &str, examples: &[Example], profile: &Profile) -> Result<Over, Refusal> {
    if examples.iter().all(|e| e.input.is_array()) {
        return Ok(Over::Whole);
    }
    if examples.iter().all(|e| e.input.is_object()) {
        return Ok(Over::Records { field: None });
    }
    if let [only] = profile.fields.as_slice() {
        return Ok(Over::Records {
            field: Some(only.name.clone()),
        });
    }
    let inputs: Vec<String> = examples.iter().map(|e| shown(&e.input)).collect();
    let holds = |field: &&crate::Field| {
        inputs
            .iter()
            .any(|i| field.values.iter().any(|(v, _)| v.trim() == i))
    };
    let low = question.to_lowercase();
    let fits: Vec<&crate::Field> = profile.fields.iter().filter(holds).collect();
    let named: Vec<&crate::Field> = profile
        .fields
        .iter()
        .filter(|f| crate::emit::mentions(&low, &f.name.to_lowercase()))
        .collect();
    match (fits.as_slice(), named.as_slice()) {
        ([one], _) | ([], [one]) => Ok(Over::Records {
            field: Some(one.name.clone()),
        }),
        (several, _) => Err(Refusal::Ambiguous {
            what: if several.is_empty() {
                "none of the file's fields holds an input of the examples".to_owned()
            } else {
                "several fields hold the inputs of the examples".to_owned()
            },
            options: profile
                .fields
                .iter()
                .take(4)
                .map(|f| format!("{question} in {}", f.name))
                .collect(),
        }),
    }
}

/// Values of the file that the program will meet.
fn values(profile: &Profile, over: &Over) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    for record in &profile.sample {
        let value = match over {
            Over::Records { field: Some(field) } => json_of(record.get(field)),
            _ => object(record),
        };
        let long = value.to_string().chars().count() > 4 * MAX_VALUE;
        if !value.is_null() && !long && !values.contains(&value) {
            values.push(value);
        }
        if values.len() == 120 {
            break;
        }
    }
    values
}

/// A tool's name out of the question's words.
fn name_of(question: &str) -> String {
    const LEFT_OUT: &[&str] = &[
        "the", "a", "an", "of", "this", "that", "these", "those", "my", "please", "each", "every",
        "is", "are", "me", "file", "like", "examples", "example", "as", "with", "from",
    ];
    let mut name = String::new();
    for word in question.split(|c: char| !c.is_ascii_alphanumeric()) {
        let word = word.to_ascii_lowercase();
        if word.is_empty() || LEFT_OUT.contains(&word.as_str()) || name.len() + word.len() > 40 {
            continue;
        }
        if !name.is_empty() {
            name.push('_');
        }
        name.push_str(&word);
    }
    if name.len() < 3 || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return "convert_by_example".to_owned();
    }
    name
}

/// What the Rust reading says of a call.
enum Gave {
    Value(Value),
    Refusal,
}

struct Maker<'a> {
    program: &'a Program,
    over: &'a Over,
    constants: &'a Map<String, Value>,
    stop: Stop<'a>,
}

impl Maker<'_> {
    /// One case over some values; the constants are left to their defaults, or said.
    fn case(&self, name: &str, values: &[Value], said: bool, held_out: bool) -> Option<Case> {
        if (self.stop)() {
            return None;
        }
        let mut input = if said {
            self.constants.clone()
        } else {
            Map::new()
        };
        let mut files = BTreeMap::new();
        let output = match self.over {
            Over::Items => {
                input.insert("items".to_owned(), json!(values));
                Gave::Value(over_items(self.program, values))
            }
            Over::Records { field } => {
                let lines: Vec<String> = values
                    .iter()
                    .map(|v| match field {
                        Some(field) => json!({field: v}).to_string() + "\n",
                        None => v.to_string() + "\n",
                    })
                    .collect();
                let bytes = lines.concat().into_bytes();
                input.insert("field".to_owned(), json!(field));
                self.file(name, bytes, &mut input, &mut files)?
            }
            Over::Whole => {
                let rows = values.first()?.as_array()?;
                let lines: Vec<String> = rows.iter().map(|v| v.to_string() + "\n").collect();
                self.file(name, lines.concat().into_bytes(), &mut input, &mut files)?
            }
        };
        let check = match output {
            Gave::Value(value) => Check::Expect {
                value,
                tolerance: Some(Tolerance {
                    abs: 1e-9,
                    rel: 1e-9,
                }),
            },
            Gave::Refusal => Check::Raises(Raises::Kind("ValueError".to_owned())),
        };
        Some(Case {
            name: name.to_owned(),
            origin: if held_out {
                Origin::Tester
            } else {
                Origin::Author
            },
            input,
            files,
            check,
            held_out,
        })
    }

    fn file(
        &self,
        name: &str,
        bytes: Vec<u8>,
        input: &mut Map<String, Value>,
        files: &mut BTreeMap<String, CaseFile>,
    ) -> Option<Gave> {
        let file = format!("{name}.jsonl");
        input.insert("data".to_owned(), json!(file));
        input.insert("format".to_owned(), json!(Format::Jsonl.as_str()));
        let output = over_file(self.program, self.over, Format::Jsonl, &bytes).ok()?;
        files.insert(file, CaseFile::new(bytes));
        Some(output.map_or(Gave::Refusal, Gave::Value))
    }

    /// The person's examples, as they were given.
    fn author(&self, examples: &[Example]) -> Vec<Case> {
        let inputs: Vec<Value> = examples.iter().map(|e| e.input.clone()).collect();
        let mut cases: Vec<Option<Case>> = inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                self.case(
                    &format!("example_{}", i + 1),
                    std::slice::from_ref(input),
                    i == 0,
                    false,
                )
            })
            .collect();
        if *self.over != Over::Whole {
            cases.push(self.case("all_examples", &inputs, false, false));
        }
        cases.into_iter().flatten().collect()
    }

    /// Values of the data, and values that do not fit, with what the Rust reading gives.
    fn held_out(&self, examples: &[Example], others: &[Value]) -> Vec<Case> {
        if *self.over == Over::Whole {
            let rows: Vec<Value> = examples
                .iter()
                .filter_map(|e| e.input.as_array())
                .flatten()
                .cloned()
                .collect();
            let reversed: Vec<Value> = rows.iter().rev().cloned().collect();
            let half: Vec<Value> = rows.iter().step_by(2).cloned().collect();
            let mut cases: Vec<(String, Vec<Value>)> = [
                ("all_rows", rows.clone()),
                ("rows_reversed", reversed),
                ("half_of_the_rows", half),
                ("no_rows", Vec::new()),
                ("other_rows", others.to_vec()),
            ]
            .into_iter()
            .map(|(name, rows)| (name.to_owned(), rows))
            .collect();
            // One odd row at a time: what refuses it refuses them all.
            let odd = rows.iter().take(2).flat_map(odd::inputs);
            for (i, odd) in odd.step_by(3).take(ODD_ROWS).enumerate() {
                let mut with = rows.clone();
                with.insert(rows.len() / 2, odd);
                cases.push((format!("odd_row_{}", i + 1), with));
            }
            return cases
                .into_iter()
                .filter_map(|(name, rows)| self.case(&name, &[Value::Array(rows)], false, true))
                .collect();
        }
        let mut varied: Vec<Value> = Vec::new();
        for example in examples {
            varied.extend(variants(&example.input));
        }
        varied.truncate(40);
        let odd: Vec<Value> = examples
            .iter()
            .take(2)
            .flat_map(|e| odd::inputs(&e.input))
            .collect();
        let sample: Vec<Value> = others.iter().take(30).cloned().collect();
        let later: Vec<Value> = others.iter().skip(30).take(60).cloned().collect();
        let mut cases = vec![
            self.case("variants", &varied, false, true),
            self.case("variants_with_all_said", &varied, true, true),
            self.case("nothing", &[], false, true),
        ];
        if *self.over == Over::Items {
            cases.push(self.case("what_does_not_fit", &odd::values(), false, true));
            for (i, odd) in odd.chunks(ODD_ITEMS).enumerate() {
                cases.push(self.case(&format!("odd_{}", i + 1), odd, false, true));
            }
        } else {
            cases.push(self.case("sample", &sample, false, true));
            cases.push(self.case("later_sample", &later, true, true));
        }
        cases.into_iter().flatten().collect()
    }
}

/// Items of one case with odd values in them, and cases with one odd row.
const ODD_ITEMS: usize = 60;
const ODD_ROWS: usize = 60;

/// Values of the same kind: parts exchanged, doubled, cut off, of other case, other numbers.
fn variants(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let digits: String = text
                .chars()
                .map(|c| match c.to_digit(10) {
                    Some(d) => char::from_digit((d + 3) % 10, 10).unwrap_or(c),
                    None => c,
                })
                .collect();
            let words: Vec<&str> = text.split(' ').collect();
            let reversed: Vec<&str> = words.iter().rev().copied().collect();
            let half = text.chars().count() / 2;
            [
                digits,
                text.to_uppercase(),
                text.to_lowercase(),
                reversed.join(" "),
                format!("{text} {text}"),
                text.chars().take(half).collect(),
                text.chars().skip(half).collect(),
                format!(" {text} "),
                text.replace(['-', '/', '_'], ""),
            ]
            .into_iter()
            .map(Value::from)
            .collect()
        }
        Value::Object(map) => {
            let mut out = Vec::new();
            for (name, inner) in map.iter().take(6) {
                for variant in variants(inner).into_iter().take(4) {
                    let mut other = map.clone();
                    other.insert(name.clone(), variant);
                    out.push(Value::Object(other));
                }
                let mut without = map.clone();
                without.remove(name);
                out.push(Value::Object(without));
            }
            out
        }
        Value::Array(items) => {
            let mut out = vec![
                Value::Array(items.iter().rev().cloned().collect()),
                Value::Array(items.iter().skip(1).cloned().collect()),
            ];
            for (i, item) in items.iter().enumerate().take(3) {
                for variant in variants(item).into_iter().take(3) {
                    let mut other = items.clone();
                    other[i] = variant;
                    out.push(Value::Array(other));
                }
            }
            out
        }
        Value::Number(n) => {
            let n = n.as_f64().unwrap_or(0.0);
            vec![
                json!(0),
                json!(-7),
                json!((n * 3.0).round() as i64),
                json!(n / 4.0),
            ]
        }
        _ => vec![Value::Null],
    }
}
