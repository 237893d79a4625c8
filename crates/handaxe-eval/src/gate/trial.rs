//! One draft through the proof, with what it takes of the checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use handaxe_types::{
    Case, CaseResult, Digest, Draft, Origin, Policy, ScoreStatus, Severity, Silent, Trial, Verdict,
};
use handaxe_validate::{ValidateError, Validator, judge};
use serde_json::json;

use super::{Check, Gate, GateItem, GateResult, Tried};
use crate::error::SuiteError;
use crate::store::Store;

/// Tries one draft with every check, and with those off that this does not settle.
pub(super) fn of(gate: &Gate, item: &GateItem) -> Result<GateResult, SuiteError> {
    let dir = gate.store.folder(&item.id)?;
    Store::write(&dir, "draft.json", item)?;
    let kept = |name: &str, off: Option<Check>| -> Result<Tried, SuiteError> {
        let of = Digest::of_json(&json!({
            "item": item, "policy": gate.policy, "off": off,
            "profile": gate.sandbox.profile().digest(),
        }));
        if let Some(tried) = Store::get(&dir, name, of) {
            return Ok(tried);
        }
        let tried = tried(gate, item, off)?;
        Store::put(&dir, name, of, &tried)?;
        Ok(tried)
    };
    let mut result = GateResult {
        id: item.id.clone(),
        task: item.task.clone(),
        good: item.good,
        operator: item.operator.clone(),
        seen: item.seen.clone(),
        full: kept("all.json", None)?,
        off: BTreeMap::new(),
    };
    if gate.switch_off {
        for check in Check::SWITCHED {
            if result.settled(check).is_none() {
                let name = format!("without {}.json", check.as_str());
                result.off.insert(check, kept(&name, Some(check))?);
            }
        }
    }
    Ok(result)
}

fn tried(gate: &Gate, item: &GateItem, off: Option<Check>) -> Result<Tried, SuiteError> {
    let (draft, held_out, policy) = switched(item, &gate.policy, off);
    let validator = Validator::new(Arc::clone(&gate.sandbox), policy.clone());
    match validator.trial(&draft, &held_out, &Silent, &gate.cancel) {
        Ok(trial) => {
            let verdict = judge(&trial, &policy);
            Ok(Tried {
                accepted: verdict.accepted,
                stopped_by: stopped_by(&trial, &verdict),
                reasons: verdict.reasons,
                failed: None,
                ms: trial.wall_ms,
                sandbox_runs: u64::from(trial.sandbox_runs),
            })
        }
        Err(ValidateError::Cancelled) => Err(SuiteError::Cancelled),
        Err(error) => Ok(Tried {
            accepted: false,
            stopped_by: BTreeSet::new(),
            reasons: Vec::new(),
            failed: Some(error.to_string()),
            ms: 0.0,
            sandbox_runs: 0,
        }),
    }
}

/// The draft, its held-out cases and the policy, with one check switched off.
fn switched(item: &GateItem, policy: &Policy, off: Option<Check>) -> (Draft, Vec<Case>, Policy) {
    let (mut draft, mut held_out) = (item.draft.clone(), item.held_out.clone());
    let mut policy = policy.clone();
    match off {
        Some(Check::AuthorCases) => draft.cases.clear(),
        Some(Check::HeldOutCases) => {
            held_out.clear();
            policy.trial.min_independent_cases = 0;
        }
        Some(Check::Generated) => policy.trial.fuzz_inputs = 0,
        Some(Check::Mutants) => policy.trial.mutants = 0,
        _ => {}
    }
    (draft, held_out, policy)
}

fn stopped_by(trial: &Trial, verdict: &Verdict) -> BTreeSet<Check> {
    let refuses = |f: &handaxe_types::Finding| f.severity == Severity::Refuse;
    let failing = |origin| {
        let of = |c: &&CaseResult| c.origin == origin && !c.passed;
        trial.cases.iter().any(|c| of(&c))
    };
    let row = |name: &str| {
        let fails = |r: &&handaxe_types::ScoreRow| r.status == ScoreStatus::Fail;
        verdict.card.iter().any(|r| r.name == name && fails(&r))
    };
    // A row of a stage that an earlier check kept from running says nothing of the draft.
    let deep = trial.cost.is_some();
    let table = [
        (
            Check::Reading,
            trial.findings.iter().any(refuses) || !trial.template.is_empty(),
        ),
        (Check::AuthorCases, failing(Origin::Author)),
        (Check::HeldOutCases, failing(Origin::Tester)),
        (
            Check::Generated,
            failing(Origin::Fuzz) || (deep && (row("fuzz") || row("near_valid"))),
        ),
        (Check::Mutants, trial.mutation.is_some() && row("mutants")),
        (Check::Growth, deep && row("growth")),
        (Check::Capabilities, deep && row("capabilities")),
    ];
    let mut by: BTreeSet<Check> = table
        .iter()
        .filter(|(_, it)| *it)
        .map(|(c, _)| *c)
        .collect();
    if by.is_empty() && !verdict.accepted {
        by.insert(Check::Other);
    }
    by
}
