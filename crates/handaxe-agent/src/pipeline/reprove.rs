//! A proof on record, run again: the same cases, seeds and thresholds, on this machine.

use std::sync::Arc;

use handaxe_registry::Proof;
use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{Case, Draft, Origin, Policy, Reporter, Trial, TrialPolicy, Verdict};
use handaxe_validate::{ValidateError, Validator, judge};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A re-run beside the record.
#[derive(Clone, Debug, Serialize)]
pub struct Reproof {
    pub trial: Trial,
    pub verdict: Verdict,
    /// In what must be the same: cases, inputs, mutants, findings, the verdict.
    pub differences: Vec<Difference>,
    /// In what it ran under: interpreter, sandbox profile, layers. Told, and no failure by itself.
    pub environment: Vec<Difference>,
}

/// One figure that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Where in the proof, e.g. `cases/author/two/passed`.
    pub what: String,
    pub recorded: Value,
    pub now: Value,
}

/// More than this tell nothing more.
const TOLD: usize = 50;

/// Proves a draft again as it was proved on record. Times, memory and their growth are measured
/// anew and not compared. `policy` gives the static rules and bounds of this machine; inputs,
/// mutants and thresholds are those of the record.
pub fn reprove(
    sandbox: Arc<dyn Sandbox>,
    policy: &Policy,
    draft: &Draft,
    recorded: &Proof,
    reporter: &dyn Reporter,
    cancel: &Cancel,
) -> Result<Reproof, ValidateError> {
    let mut policy = policy.clone();
    as_recorded(&mut policy.trial, recorded);
    let (own, held_out) = split(draft);
    let cases = draft.cases.clone();
    let mut validator = Validator::new(sandbox, policy.clone());
    if let Some(seed) = seed(recorded) {
        validator = validator.seeded(seed);
    }
    let mut trial = validator.trial(&own, &held_out, reporter, cancel)?;
    withdraw(&mut trial, recorded);
    validator.complete(&own, &held_out, &mut trial, reporter, cancel)?;
    let verdict = judge(&trial, &policy);
    let now = Proof::of(&trial, &verdict, &cases);
    let (mut differences, mut environment) = (Vec::new(), Vec::new());
    differ(
        "",
        &must_be_same(recorded),
        &must_be_same(&now),
        &mut differences,
    );
    differ("", &ran_under(recorded), &ran_under(&now), &mut environment);
    Ok(Reproof {
        trial,
        verdict,
        differences,
        environment,
    })
}

/// The author's own cases, and those that the author never saw: inputs are generated from the
/// first alone.
pub fn split(draft: &Draft) -> (Draft, Vec<Case>) {
    let (held_out, own) = draft
        .cases
        .iter()
        .cloned()
        .partition(|c| c.held_out || c.origin != Origin::Author);
    let draft = Draft {
        cases: own,
        ..draft.clone()
    };
    (draft, held_out)
}

fn seed(recorded: &Proof) -> Option<u64> {
    let fuzz = recorded.fuzz.as_ref().map(|f| f.seed);
    fuzz.or_else(|| recorded.mutation.as_ref().map(|m| m.seed))
}

/// How much was run and what it was held against then.
fn as_recorded(trial: &mut TrialPolicy, recorded: &Proof) {
    trial.fuzz_inputs = recorded.fuzz.as_ref().map_or(0, |f| f.asked);
    trial.mutants = recorded.mutation.as_ref().map_or(0, |m| m.generated);
    for threshold in recorded
        .card
        .iter()
        .filter_map(|row| row.threshold.as_ref())
    {
        let value = threshold.value;
        match threshold.key.as_str() {
            "min_cases" => trial.min_cases = value as u32,
            "min_independent_cases" => trial.min_independent_cases = value as u32,
            "min_fuzz_inputs" => trial.min_fuzz_inputs = value as u32,
            "kill_floor" => trial.kill_floor = value,
            "max_exponent" => trial.max_exponent = value,
            "warn_exponent" => trial.warn_exponent = value,
            _ => {}
        }
    }
    // A person's own tool was judged without cases by others.
    let others = recorded.cases.iter().filter(|(o, _)| **o != Origin::Author);
    let others: usize = others.map(|(_, cases)| cases.len()).sum();
    trial.min_independent_cases = trial.min_independent_cases.min(others as u32);
}

/// An arbiter's ruling is part of the record: it cannot be asked again here.
fn withdraw(trial: &mut Trial, recorded: &Proof) {
    for (origin, cases) in &recorded.cases {
        for case in cases.iter().filter(|c| c.withdrawn.is_some()) {
            let same = |c: &&mut handaxe_types::CaseResult| {
                c.origin == *origin && c.name == case.name && *origin != Origin::User
            };
            if let Some(result) = trial.cases.iter_mut().find(same) {
                result.withdrawn.clone_from(&case.withdrawn);
            }
        }
    }
}

/// The figures that do not depend on the machine.
fn must_be_same(proof: &Proof) -> Value {
    let mut cases = Map::new();
    for (origin, list) in &proof.cases {
        for (i, case) in list.iter().enumerate() {
            cases.insert(
                format!("{}/{} {}", origin.as_str(), i + 1, case.name),
                json!({
                    "digest": case.digest,
                    "passed": case.passed,
                    "outcome": case.outcome,
                    "withdrawn": case.withdrawn.is_some(),
                }),
            );
        }
    }
    let findings: Vec<Value> = proof
        .findings
        .iter()
        .map(|f| json!([f.line, f.column, f.rule, f.severity]))
        .collect();
    json!({
        "accepted": proof.accepted,
        "cases": cases,
        "findings": findings,
        "fuzz": proof.fuzz.as_ref().map(|f| json!({
            "seed": f.seed,
            "generator": f.generator,
            "inputs": f.inputs,
            "generated": f.generated,
            "runs": f.runs,
            "failed": f.failed,
            "documented": f.documented,
            "near_valid": f.near_valid,
            "near_valid_refused": f.near_valid_refused,
        })),
        // Which of two ways a mutant was noticed may hang on a clock; that it was does not.
        "mutants": proof.mutation.as_ref().map(|m| json!({
            "seed": m.seed,
            "generated": m.generated,
            "killed": m.killed() + m.killed_by_crash,
            "equivalent": m.equivalent,
            "survivors": m.survivors,
        })),
        "coverage": proof.coverage,
        "capabilities": proof.capabilities.as_ref().map(|c| json!({
            "asked": c.asked,
            "used": c.used,
            "undeclared": c.undeclared,
        })),
    })
}

fn ran_under(proof: &Proof) -> Value {
    json!({
        "interpreter": proof.interpreter,
        "profile": proof.sandbox.profile,
        "layers": proof.sandbox.layers,
    })
}

/// Every leaf that differs, by its path.
fn differ(path: &str, recorded: &Value, now: &Value, out: &mut Vec<Difference>) {
    if recorded == now || out.len() == TOLD {
        return;
    }
    if let (Value::Object(a), Value::Object(b)) = (recorded, now) {
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}/{key}")
            };
            let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            differ(&path, &of(a), &of(b), out);
        }
        return;
    }
    out.push(Difference {
        what: path.to_owned(),
        recorded: recorded.clone(),
        now: now.clone(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_is_told_by_its_path() {
        let mut out = Vec::new();
        differ(
            "",
            &json!({"a": {"b": 1, "c": [1]}, "d": null}),
            &json!({"a": {"b": 2, "c": [1]}, "e": true}),
            &mut out,
        );
        let told: Vec<(&str, &Value, &Value)> = out
            .iter()
            .map(|d| (d.what.as_str(), &d.recorded, &d.now))
            .collect();
        assert_eq!(
            told,
            [
                ("a/b", &json!(1), &json!(2)),
                ("e", &Value::Null, &json!(true))
            ]
        );
    }

    #[test]
    fn differences_are_bounded() {
        let big = |n: u32| {
            let map: Map<String, Value> = (0..1000).map(|i| (i.to_string(), json!(n))).collect();
            Value::Object(map)
        };
        let mut out = Vec::new();
        differ("", &big(1), &big(2), &mut out);
        assert_eq!(out.len(), TOLD);
    }
}
