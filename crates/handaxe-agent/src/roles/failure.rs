//! What goes back to the author after a failed trial. The one place that decides what an author
//! may see of a case: its own and the person's examples in full, of any other the name and the
//! kind of failure.

use std::collections::BTreeMap;

use handaxe_types::{
    Case, CaseFile, CaseResult, Check, Draft, Finding, Origin, RunError, Trial, canonical_json,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::reply::clip;

const MAX_FAILURES: usize = 20;
const MAX_STDERR: usize = 2_000;
/// Of a value or a file, as JSON: more is not needed to see what is wrong.
const MAX_VALUE: usize = 4_000;

/// The draft that failed, and how.
#[derive(Clone, Debug)]
pub struct Repair<'a> {
    pub previous: &'a Draft,
    /// The number of the attempt that is asked for: 2 or more.
    pub attempt: u32,
    pub findings: &'a [Finding],
    pub template: &'a [String],
    pub failures: Vec<Failure>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    pub held_out: bool,
    pub name: String,
    pub origin: Origin,
    /// What kind of failure; never what was expected.
    pub kind: String,
    /// Everything below is empty where `held_out`.
    pub input: Map<String, Value>,
    pub files: BTreeMap<String, CaseFile>,
    pub expected: Value,
    pub got: Option<Value>,
    pub error: Option<RunError>,
    pub stderr: String,
}

impl<'a> Repair<'a> {
    /// `examples` are the cases that the author was shown beside its own.
    pub fn of(previous: &'a Draft, attempt: u32, trial: &'a Trial, examples: &[Case]) -> Self {
        // A generated input holds nothing of a held-out case: it may be read.
        let fuzzed = trial.fuzz.iter().flat_map(|f| &f.failures);
        let seen: Vec<&Case> = (previous.cases.iter().chain(examples))
            .chain(fuzzed.map(|f| &f.case))
            .collect();
        let mut failures: Vec<Failure> = trial
            .cases
            .iter()
            .filter(|r| !r.passed && r.withdrawn.is_none())
            .map(|r| failure(r, &seen))
            .collect();
        // What can be read comes first.
        failures.sort_by_key(|f| f.held_out);
        failures.truncate(MAX_FAILURES);
        Self {
            previous,
            attempt,
            findings: &trial.findings,
            template: &trial.template,
            failures,
        }
    }
}

/// What the author of a draft that was tried may know of what failed, where it wrote `draft.cases`
/// among others' cases.
pub fn feedback(draft: &Draft, trial: &Trial) -> Vec<Failure> {
    let mut own = draft.clone();
    own.cases
        .retain(|c| c.origin == Origin::Author && !c.held_out);
    Repair::of(&own, 2, trial, &[]).failures
}

/// A case is shown only where the author has it already: a result's own word is not enough.
fn failure(result: &CaseResult, seen: &[&Case]) -> Failure {
    let kind = result.failure.clone().unwrap_or_default();
    let case = seen.iter().find(|c| {
        !result.held_out && !c.held_out && c.origin == result.origin && c.name == result.name
    });
    let hidden = Failure {
        held_out: true,
        name: clip(&result.name, 80),
        origin: result.origin,
        kind: clip(&kind, 200),
        input: Map::new(),
        files: BTreeMap::new(),
        expected: Value::Null,
        got: None,
        error: None,
        stderr: String::new(),
    };
    let Some(case) = case else {
        return hidden;
    };
    Failure {
        held_out: false,
        input: case.input.clone(),
        files: case
            .files
            .iter()
            .map(|(n, f)| (n.clone(), short(f)))
            .collect(),
        expected: bounded(match &case.check {
            Check::Expect { value, .. } => json!({"expect": value}),
            Check::Raises(raises) => json!({"raises": raises}),
            Check::Holds(expression) => json!({"holds": expression}),
            Check::Relation { relation, .. } => json!({"relation": relation}),
        }),
        got: result.got.clone().map(bounded),
        error: result.error.clone(),
        stderr: tail(&result.stderr, MAX_STDERR),
        ..hidden
    }
}

fn bounded(value: Value) -> Value {
    let text = canonical_json(&value);
    if text.len() <= MAX_VALUE {
        return value;
    }
    json!({"first_part_of_json": clip(&text, MAX_VALUE), "bytes": text.len()})
}

fn short(file: &CaseFile) -> CaseFile {
    match file {
        CaseFile::Text(text) => CaseFile::Text(clip(text, MAX_VALUE)),
        CaseFile::Base64 { base64 } => CaseFile::Base64 {
            base64: clip(base64, MAX_VALUE),
        },
    }
}

/// The end of a traceback says more than its start.
fn tail(text: &str, chars: usize) -> String {
    let skip = text.chars().count().saturating_sub(chars);
    text.chars().skip(skip).collect()
}
