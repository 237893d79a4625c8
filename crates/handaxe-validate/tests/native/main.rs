//! The trial over the real sandbox: tools that tamper with their own trial must fail it, and an
//! honest one must pass beside them. No harness: this program is its own launcher.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::format_collect,
    clippy::format_push_string,
    reason = "a test without the harness that these are allowed in"
)]

mod corpus;
mod human_eval;
mod launches;
mod overfit;
mod proof;
mod strength;
mod tamper;
mod vetting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use handaxe_sandbox::{Cancel, NativeConfig, NativeSandbox, Sandbox, SessionSpec};
use handaxe_types::{Author, Capability, Case, Draft, Outcome, Policy, Provenance, Silent};
use handaxe_validate::{Arguments, Contract, InvokeError, Validator, invoke, judge};
use serde_json::{Map, json};

fn main() -> ExitCode {
    handaxe_jail::main_if_asked();
    handaxe_validate::main_if_asked();
    let launcher = std::env::current_exe().expect("this program has a path");
    handaxe_validate::vet_in(launcher.clone());
    let mut config = NativeConfig::new(launcher);
    config.search = Some("/usr/local/bin:/usr/bin".into());
    config.python = std::env::var_os("HANDAXE_TEST_PYTHON").map(PathBuf::from);
    type Test = fn(&Arc<dyn Sandbox>);
    let tests: &[(&str, Test)] = &[
        ("an_honest_tool_passes", honest),
        ("tampering_fails", tamper::fails),
        ("another_hash_seed_shows_what_depends_on_it", hash_seed),
        ("the_checked_call", checked_call),
        ("mutants_show_how_strong_the_cases_are", strength::mutants),
        (
            "a_tool_that_checks_itself_gains_nothing",
            strength::self_check,
        ),
        ("endless_mutants_are_killed_by_time", strength::endless),
        ("what_the_cases_reach", strength::coverage),
        (
            "mutants_that_nothing_can_tell_are_apart",
            strength::equivalent,
        ),
        ("bypasses_are_contained", corpus::contained),
        ("the_reader_may_die", vetting::outlived),
        ("a_trial_cannot_be_told_from_production", launches::alike),
        ("a_shadow_shows_what_production_does", launches::shadows),
        ("overfitted_drafts_are_refused", overfit::refused),
        ("what_refuses_overfitting_by_itself", overfit::alone),
        ("the_composers_cases_kill_its_mutants", strength::composed),
        (human_eval::NAME, human_eval::passes),
        ("generated_inputs_find_faults", proof::faults),
        ("honest_tools_take_every_input", proof::honest),
        ("relations_between_two_runs", proof::relations),
        ("undeclared_use_fails", proof::capabilities),
        ("what_explodes_is_refused", proof::explosions),
    ];
    // The words that test runners use: list the names, or run the ones named.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    if has("--list") {
        // What is not there is listed as ignored, under a name that says what is missing.
        for (name, _) in tests {
            let ignored = *name == human_eval::NAME && human_eval::data().is_none();
            if ignored || !has("--ignored") {
                let shown = if ignored { human_eval::SKIPPED } else { name };
                println!("{shown}: test");
            }
        }
        return ExitCode::SUCCESS;
    }
    let named: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    // A machine without the sandbox fails here: a skip would be a failure anyway.
    let sandbox: Arc<dyn Sandbox> = Arc::new(NativeSandbox::new(config).expect("a native sandbox"));
    let mut passed = 0;
    for (name, test) in tests {
        let there = *name != human_eval::NAME || human_eval::data().is_some();
        if there && (named.is_empty() || named.iter().any(|n| name.contains(n.as_str()))) {
            test(&sandbox);
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!("{passed} passed, 0 failed");
    ExitCode::SUCCESS
}

fn draft(code: &str) -> Draft {
    Draft {
        spec: serde_json::from_value(json!({
            "name": "doubler",
            "description": "Doubles a number.",
            "input_schema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}},
                "required": ["n"], "additionalProperties": false},
            "output_schema": {},
            "domain": "maths",
        }))
        .unwrap(),
        code: format!("\"\"\"Doubles a number.\"\"\"\nfrom typing import Any\n{code}"),
        cases: Vec::new(),
        assets: BTreeMap::new(),
        provenance: Provenance {
            author: Author::Person {
                name: "test".to_owned(),
            },
            why: "to test".to_owned(),
            recipe: None,
            invocation: Map::new(),
        },
    }
}

fn cases() -> Vec<Case> {
    [
        r#"{"name":"plain","origin":"tester","input":{"n":21},"expect":42,"held_out":true}"#,
        r#"{"name":"zero","origin":"author","input":{"n":0},"expect":0}"#,
        r#"{"name":"unlucky","origin":"author","input":{"n":13},"raises":{"kind":"ValueError","contains":"unlucky"}}"#,
        r#"{"name":"property","origin":"tester","input":{"n":5},"holds":"output == input['n'] * 2 and math.isfinite(output)"}"#,
        r#"{"name":"refused","origin":"tester","input":{"n":"5"},"raises":"TypeError"}"#,
    ]
    .iter()
    .map(|t| serde_json::from_str(t).unwrap())
    .collect()
}

const HONEST: &str = "
def run(n: int) -> Any:
    if n == 13:
        raise ValueError('unlucky number')
    return n * 2
";

/// The usual policy with fewer inputs than a real trial has: these tests are of other things.
fn few() -> Policy {
    let mut policy = Policy::default();
    policy.trial.fuzz_inputs = 40;
    policy
}

fn honest(sandbox: &Arc<dyn Sandbox>) {
    let validator = Validator::new(Arc::clone(sandbox), few());
    let trial = validator
        .trial(&draft(HONEST), &cases(), &Silent, &Cancel::default())
        .unwrap();
    let verdict = judge(&trial, &Policy::default());
    assert!(verdict.accepted, "{:#?}", verdict.reasons);
    assert!(trial.sandbox_runs >= 4 + 1 + 3);
    assert!(verdict.scores.max_rss_kib > 0);
}

fn hash_seed(sandbox: &Arc<dyn Sandbox>) {
    let code = "
def run(n: int) -> Any:
    return sorted({'a', 'b', 'c', 'd', 'e', 'f'}) + list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})
";
    let held: Vec<Case> = vec![
        serde_json::from_str(
            r#"{"name":"set order","origin":"tester","input":{"n":1},"holds":"len(output) == 13"}"#,
        )
        .unwrap(),
    ];
    // One weak case: how strong it is has tests of its own.
    let mut policy = few();
    policy.trial.mutants = 0;
    let validator = Validator::new(Arc::clone(sandbox), policy.clone());
    let mut draft = draft(code);
    let run = |draft: &Draft| {
        let trial = validator
            .trial(draft, &held, &Silent, &Cancel::default())
            .unwrap();
        judge(&trial, &policy)
    };
    let verdict = run(&draft);
    assert!(
        verdict
            .reasons
            .iter()
            .any(|r| r.contains("not deterministic")),
        "{:?}",
        verdict.reasons
    );
    draft.spec.deterministic = false;
    assert!(run(&draft).accepted);
}

fn checked_call(sandbox: &Arc<dyn Sandbox>) {
    let mut draft = draft(
        "import csv\n\n\ndef run(file: str, column: str = 'a') -> list:\n    with open(file, newline='') as handle:\n        return [row[column] for row in csv.DictReader(handle)]\n",
    );
    draft.spec.input_schema = json!({"type": "object", "additionalProperties": false, "required": ["file"],
        "properties": {"file": {"type": "string", "format": "file"}, "column": {"type": "string", "default": "a"}}});
    draft.spec.output_schema =
        json!({"type": "array", "items": {"type": "string", "maxLength": 3}});
    draft.spec.capabilities = vec![Capability::ReadFiles];
    let held: Vec<Case> = vec![
        serde_json::from_str(r#"{"name":"file","origin":"tester","input":{"file":"x.csv"},"files":{"x.csv":"a,b\n1,2\n3,4\n"},"expect":["1","3"]}"#).unwrap(),
        serde_json::from_str(r#"{"name":"no such column","origin":"tester","input":{"file":"x.csv","column":"z"},"files":{"x.csv":"a,b\n1,2\n"},"raises":"KeyError"}"#).unwrap(),
    ];
    let validator = Validator::new(Arc::clone(sandbox), few());
    let trial = validator
        .trial(&draft, &held, &Silent, &Cancel::default())
        .unwrap();
    let verdict = judge(&trial, &Policy::default());
    assert!(verdict.accepted, "{:?}", verdict.reasons);

    let contract = Contract::new(&draft.spec, &draft.code, &draft.assets).unwrap();
    let session = sandbox.open(SessionSpec::default()).unwrap();
    let call = |input: serde_json::Value, content: &str| {
        let arguments = Arguments {
            input: input.as_object().unwrap().clone(),
            files: vec![handaxe_sandbox::InlineFile {
                name: "x.csv".to_owned(),
                bytes: Arc::from(content.as_bytes()),
            }],
            ..Arguments::default()
        };
        invoke(&*session, &contract, &arguments, &Cancel::default())
    };
    let fine = call(json!({"file": "x.csv"}), "a\nxyz\n").unwrap();
    assert_eq!(
        (fine.outcome, fine.output),
        (Outcome::Ok, Some(json!(["xyz"])))
    );
    assert!(matches!(
        call(json!({"file": "x.csv"}), "a\ntoo long\n"),
        Err(InvokeError::Output { .. })
    ));
    assert!(matches!(
        call(json!({"file": "y.csv"}), "a\n"),
        Err(InvokeError::FileNotAttached { .. })
    ));
    assert!(matches!(
        call(json!({"file": "../x.csv"}), "a\n"),
        Err(InvokeError::Input(_))
    ));
}
