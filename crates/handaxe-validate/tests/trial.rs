//! The trial over a scripted sandbox: what the host concludes from what comes back, and what it
//! never sends in.
#![expect(
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    reason = "a test outside `cfg(test)`"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use handaxe_sandbox::{
    Call, Cancel, Interpreter, Profile, Sandbox, SandboxError, Session, SessionSpec,
};
use handaxe_types::{
    Author, Case, Digest, Draft, Isolation, Layer, LayerStatus, Outcome, Policy, Progress,
    Provenance, Reporter, RunError, SandboxResult, Silent, Stage, Usage,
};
use handaxe_validate::{INPUT_REFUSED, ValidateError, Validator, judge};
use serde_json::{Map, Value, json};

type Answer = dyn Fn(&Call, u32) -> Result<SandboxResult, SandboxError> + Send + Sync;

/// Answers calls from a closure and remembers what it was given.
struct Scripted {
    interpreter: Interpreter,
    profile: Profile,
    answer: Arc<Answer>,
    seen: Arc<Mutex<Vec<(Call, u32)>>>,
}

struct ScriptedSession {
    answer: Arc<Answer>,
    seen: Arc<Mutex<Vec<(Call, u32)>>>,
    seed: u32,
}

impl Session for ScriptedSession {
    fn call(&self, call: &Call, cancel: &Cancel) -> Result<SandboxResult, SandboxError> {
        if cancel.is_cancelled() {
            return Err(SandboxError::Cancelled);
        }
        self.seen.lock().unwrap().push((call.clone(), self.seed));
        (self.answer)(call, self.seed)
    }
}

impl Sandbox for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }
    fn profile(&self) -> &Profile {
        &self.profile
    }
    fn layers(&self) -> &[LayerStatus] {
        &[]
    }
    fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Session>, SandboxError> {
        Ok(Arc::new(ScriptedSession {
            answer: Arc::clone(&self.answer),
            seen: Arc::clone(&self.seen),
            seed: spec.hash_seed,
        }))
    }
}

fn scripted(
    answer: impl Fn(&Call, u32) -> Result<SandboxResult, SandboxError> + Send + Sync + 'static,
) -> Arc<Scripted> {
    Arc::new(Scripted {
        interpreter: Interpreter {
            executable: "python3".into(),
            prefix: "prefix".into(),
            version: "CPython 3.11.7".to_owned(),
            digest: Digest::of(b"i"),
        },
        profile: Profile::new(
            "scripted",
            Isolation::Jail,
            &[Layer::Seccomp],
            Digest::of(b"p"),
        ),
        answer: Arc::new(answer),
        seen: Arc::default(),
    })
}

fn result(outcome: Outcome, output: Option<Value>, error: Option<(&str, &str)>) -> SandboxResult {
    SandboxResult {
        outcome,
        limit: None,
        output,
        artifacts: Vec::new(),
        exit_code: Some(0),
        stdout: "OK\nall tests passed\n".to_owned(),
        stderr: "stderr of the tool".to_owned(),
        runtime_ms: 1.5,
        usage: Usage::default(),
        layers: Vec::new(),
        error: error.map(|(kind, message)| RunError {
            kind: kind.to_owned(),
            message: message.to_owned(),
            line: Some(3),
            errno: None,
        }),
    }
}

fn ok(output: Value) -> Result<SandboxResult, SandboxError> {
    Ok(result(Outcome::Ok, Some(output), None))
}

const CODE: &str = "\"\"\"Doubles a number.\"\"\"\n\n\ndef run(n: int) -> int:\n    return n * 2\n";

fn draft(cases: Vec<Case>) -> Draft {
    Draft {
        spec: serde_json::from_value(json!({
            "name": "doubler",
            "description": "Doubles a number.",
            "input_schema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}},
                "required": ["n"], "additionalProperties": false},
            "output_schema": {"type": "integer"},
            "domain": "maths",
        }))
        .unwrap(),
        code: CODE.to_owned(),
        cases,
        assets: BTreeMap::new(),
        provenance: Provenance {
            author: Author::Composer,
            why: "to double".to_owned(),
            recipe: None,
            invocation: Map::new(),
        },
    }
}

fn case(text: &str) -> Case {
    serde_json::from_str(text).unwrap()
}

/// The honest tool, and the property evaluator for `output == input['n'] * 2`.
fn doubler(call: &Call) -> Result<SandboxResult, SandboxError> {
    if call.code.contains("one property") {
        return ok(json!(
            call.input["output"].as_i64() == call.input["input"]["n"].as_i64().map(|n| n * 2)
        ));
    }
    // A program of ours around the tool (what it reaches, what it opens) gets nothing out of this.
    let Some(n) = call.input.get("n").and_then(Value::as_i64) else {
        return ok(Value::Null);
    };
    if n == 13 {
        return Ok(result(
            Outcome::ToolError,
            None,
            Some(("ValueError", "unlucky 13")),
        ));
    }
    ok(json!(n * 2))
}

/// The stages after the cases need a sandbox that runs code.
fn cases_alone() -> Policy {
    let mut policy = Policy::default();
    policy.trial.mutants = 0;
    policy.trial.fuzz_inputs = 0;
    policy
}

fn try_cases(
    answer: impl Fn(&Call, u32) -> Result<SandboxResult, SandboxError> + Send + Sync + 'static,
    cases: &[&str],
) -> (handaxe_types::Trial, Arc<Scripted>) {
    let sandbox = scripted(answer);
    let held: Vec<Case> = cases.iter().map(|c| case(c)).collect();
    let trial = Validator::new(Arc::clone(&sandbox) as Arc<dyn Sandbox>, cases_alone())
        .trial(&draft(vec![]), &held, &Silent, &Cancel::default())
        .unwrap();
    (trial, sandbox)
}

#[test]
fn honest_tools_pass() {
    let (trial, _) = try_cases(
        |c, _| doubler(c),
        &[
            r#"{"input":{"n":2},"expect":4,"held_out":true}"#,
            r#"{"input":{"n":13},"raises":"ValueError"}"#,
            r#"{"input":{"n":13},"raises":{"kind":"ValueError","contains":"unlucky"}}"#,
            r#"{"input":{"n":5},"holds":"output == input['n'] * 2"}"#,
            r#"{"input":{"n":-1},"raises":"ValueError"}"#,
        ],
    );
    let verdict = judge(&trial, &cases_alone());
    assert!(verdict.accepted, "{:?}", verdict.reasons);
    assert_eq!(trial.cases[4].error.as_ref().unwrap().kind, INPUT_REFUSED);
    // Four runs of the tool, one of the property, two repeated; none for the refused input.
    assert_eq!(trial.sandbox_runs, 4 + 1 + 2);
}

/// Every wrong answer, and what it must be called.
#[test]
fn the_host_decides() {
    type Reply = fn(&Call, u32) -> Result<SandboxResult, SandboxError>;
    let table: &[(&str, Reply, &str)] = &[
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| ok(json!(3)),
            "another value",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| ok(json!(2.5)),
            "output schema",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| ok(json!(2.0)),
            "another type",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| ok(json!(true)),
            "output schema",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| Ok(result(Outcome::Crash, None, None)),
            "without a result",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| Ok(result(Outcome::Protocol, None, None)),
            "not a result of ours",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| Ok(result(Outcome::Timeout, None, None)),
            "out of time",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, _| Ok(result(Outcome::ToolError, None, Some(("KeyError", "x")))),
            "raised KeyError",
        ),
        (
            r#"{"input":{"n":1},"expect":null}"#,
            |_, _| Ok(result(Outcome::Ok, None, None)),
            "without an output",
        ),
        (
            r#"{"input":{"n":1},"raises":"ValueError"}"#,
            |_, _| ok(json!(2)),
            "it returned",
        ),
        (
            r#"{"input":{"n":1},"raises":"ValueError"}"#,
            |_, _| Ok(result(Outcome::ToolError, None, Some(("KeyError", "x")))),
            "another kind of error",
        ),
        (
            r#"{"input":{"n":1},"raises":{"kind":"ValueError","contains":"no"}}"#,
            |_, _| Ok(result(Outcome::ToolError, None, Some(("ValueError", "x")))),
            "another message",
        ),
        (
            r#"{"input":{"n":1},"raises":"ValueError"}"#,
            |_, _| Ok(result(Outcome::Crash, None, Some(("ValueError", "x")))),
            "without a result",
        ),
        (
            r#"{"input":{"n":1},"holds":"output == 5"}"#,
            |c, _| {
                ok(if c.code.contains("one property") {
                    json!(false)
                } else {
                    json!(1)
                })
            },
            "does not hold",
        ),
        (
            r#"{"input":{"n":1},"holds":"output"}"#,
            |_, _| ok(json!(1)),
            "something else than true",
        ),
        (
            r#"{"input":{"n":1},"holds":"x"}"#,
            |c, _| {
                if c.code.contains("one property") {
                    Ok(result(Outcome::ToolError, None, Some(("NameError", "x"))))
                } else {
                    ok(json!(1))
                }
            },
            "could not be evaluated",
        ),
        (
            r#"{"input":{"n":1},"holds":"exec('x')"}"#,
            |_, _| ok(json!(1)),
            "bad case",
        ),
        (
            r#"{"input":{"n":1},"holds":"True) or (True"}"#,
            |_, _| ok(json!(1)),
            "bad case",
        ),
        (
            r#"{"input":{"n":"1"},"expect":2}"#,
            |_, _| ok(json!(2)),
            "bad case",
        ),
        (
            r#"{"input":{"n":1},"files":{"f":{"base64":"*"}},"expect":2}"#,
            |_, _| ok(json!(2)),
            "bad case",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, seed| ok(json!(2 + i64::from(seed))),
            "not deterministic",
        ),
        (
            r#"{"input":{"n":1},"expect":2}"#,
            |_, seed| {
                if seed == 0 {
                    ok(json!(2))
                } else {
                    Ok(result(Outcome::Timeout, None, None))
                }
            },
            "not deterministic",
        ),
    ];
    for (text, answer, needle) in table {
        for held_out in [false, true] {
            let mut value: Value = serde_json::from_str(text).unwrap();
            value["held_out"] = json!(held_out);
            let (trial, _) = try_cases(answer, &[&value.to_string()]);
            let case = &trial.cases[0];
            let failure = case.failure.as_deref().unwrap_or("passed");
            assert!(
                !case.passed && failure.contains(needle),
                "{text}: {failure}"
            );
            assert!(!judge(&trial, &cases_alone()).accepted, "{text}");
        }
    }
}

#[test]
fn no_expected_value_is_ever_sent_in() {
    let (_, sandbox) = try_cases(
        |c, _| doubler(c),
        &[
            r#"{"name":"secret name","input":{"n":1},"expect":987654321}"#,
            r#"{"input":{"n":2},"raises":"SecretErrorKind"}"#,
        ],
    );
    let seen = sandbox.seen.lock().unwrap();
    assert!(!seen.is_empty(), "nothing ran, so nothing is shown");
    for (call, _) in seen.iter() {
        let sent = format!("{call:?}");
        for secret in ["987654321", "SecretErrorKind", "secret name"] {
            assert!(!sent.contains(secret), "{sent}");
        }
        assert_eq!(&*call.code, CODE);
    }
}

#[test]
fn a_property_shares_no_process_with_the_tool() {
    let (_, sandbox) = try_cases(
        |c, _| doubler(c),
        &[r#"{"input":{"n":5},"holds":"output == input['n'] * 2"}"#],
    );
    let seen = sandbox.seen.lock().unwrap();
    let property: Vec<_> = seen
        .iter()
        .filter(|(c, _)| c.code.contains("one property"))
        .collect();
    assert_eq!(property.len(), 1);
    let call = &property[0].0;
    assert!(!call.code.contains("Doubles a number"));
    assert!(call.assets.is_empty() && call.files.is_empty());
    assert_eq!(
        Value::Object(call.input.clone()),
        json!({"input": {"n": 5}, "output": 10})
    );
}

#[test]
fn held_out_cases_tell_nothing() {
    let (trial, _) = try_cases(
        |c, _| {
            if c.input["n"] == 1 {
                Ok(result(
                    Outcome::ToolError,
                    None,
                    Some(("ValueError", "saw 1, a held-out input")),
                ))
            } else if c.input["n"] == 3 {
                ok(json!(424242))
            } else {
                ok(json!("not an integer: 424242"))
            }
        },
        &[
            r#"{"input":{"n":1},"expect":777777,"held_out":true}"#,
            r#"{"input":{"n":2},"expect":777777,"held_out":true}"#,
            r#"{"input":{"n":3},"expect":777777,"held_out":true}"#,
            r#"{"input":{"n":2},"holds":"777777 in","held_out":true}"#,
            r#"{"input":{"n":-777777},"expect":1,"held_out":true}"#,
        ],
    );
    for case in &trial.cases {
        let told = serde_json::to_string(case).unwrap();
        for secret in ["777777", "424242", "saw 1", "stderr of"] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(!case.passed && case.failure.is_some());
    }
}

#[test]
fn what_refuses_by_reading_never_runs() {
    let sandbox = scripted(|c, _| doubler(c));
    let validator = Validator::new(Arc::clone(&sandbox) as Arc<dyn Sandbox>, cases_alone());
    let held = [case(r#"{"input":{"n":2},"expect":4}"#)];
    for (code, needle) in [
        (
            CODE.replace("return n", "import os\n    return n"),
            "import.not_allowed",
        ),
        (CODE.replace("n: int", "n"), "template"),
    ] {
        let mut bad = draft(vec![]);
        bad.code = code;
        let trial = validator
            .trial(&bad, &held, &Silent, &Cancel::default())
            .unwrap();
        let verdict = judge(&trial, &cases_alone());
        assert!(
            verdict.reasons.iter().any(|r| r.contains(needle)),
            "{:?}",
            verdict.reasons
        );
        assert_eq!(verdict.reasons.len(), 1, "{:?}", verdict.reasons);
    }
    assert_eq!(sandbox.seen.lock().unwrap().len(), 0);
}

#[test]
fn zero_cases_refuse() {
    let (trial, sandbox) = try_cases(|c, _| doubler(c), &[]);
    assert!(!judge(&trial, &cases_alone()).accepted);
    assert_eq!(sandbox.seen.lock().unwrap().len(), 0);
}

#[test]
fn progress_is_told_and_cancel_is_heard() {
    struct Count(Mutex<Vec<u32>>);
    impl Reporter for Count {
        fn report(&self, progress: Progress) {
            if let Progress::Trial {
                stage: Stage::Cases,
                done,
                of,
                ..
            } = progress
            {
                assert_eq!(of, 30);
                self.0.lock().unwrap().push(done);
            }
        }
    }
    let cases: Vec<Case> = (0..30)
        .map(|n| {
            case(&format!(
                r#"{{"name":"c{n}","input":{{"n":{n}}},"expect":{}}}"#,
                n * 2
            ))
        })
        .collect();
    let count = Count(Mutex::default());
    let validator = Validator::new(scripted(|c, _| doubler(c)), cases_alone());
    let trial = validator
        .trial(&draft(vec![]), &cases, &count, &Cancel::default())
        .unwrap();
    // In the order of the cases, whichever thread ran them.
    assert!(
        trial
            .cases
            .iter()
            .zip(&cases)
            .all(|(r, c)| r.name == c.name)
    );
    let mut told = count.0.into_inner().unwrap();
    told.sort_unstable();
    assert_eq!(told, (1..=30).collect::<Vec<_>>());

    let cancel = Cancel::default();
    let inner = cancel.clone();
    let sandbox = scripted(move |c, _| {
        inner.cancel();
        doubler(c)
    });
    let validator = Validator::new(Arc::clone(&sandbox) as Arc<dyn Sandbox>, cases_alone());
    let ended = validator.trial(&draft(vec![]), &cases, &Silent, &cancel);
    assert!(matches!(ended, Err(ValidateError::Cancelled)));
    assert!(sandbox.seen.lock().unwrap().len() <= 3);
}

#[test]
fn a_failing_sandbox_is_no_verdict() {
    let validator = Validator::new(
        scripted(|_, _| {
            Err(SandboxError::JailDied {
                doing: "a call",
                detail: "gone".to_owned(),
            })
        }),
        cases_alone(),
    );
    let ended = validator.trial(
        &draft(vec![]),
        &[case(r#"{"input":{"n":2},"expect":4}"#)],
        &Silent,
        &Cancel::default(),
    );
    assert!(matches!(ended, Err(ValidateError::Sandbox(_))));
}
