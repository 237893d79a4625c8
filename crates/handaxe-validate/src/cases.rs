//! The cases: each run in the sandbox, compared on the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use handaxe_sandbox::{InlineFile, Session};
use handaxe_types::{Case, CaseResult, Check, Outcome, Raises, RunError, SandboxResult, Stage};
use serde_json::Value;

use crate::compare::compare;
use crate::fuzz::Answers;
use crate::holds;
use crate::invoke::{Arguments, Contract, InvokeError};
use crate::relations;
use crate::runner::{Runner, in_parallel};
use crate::trial::ValidateError;

/// `RunError::kind` of a case whose input the host refused before any run. Such a case can pass
/// (where it says `raises`), but it ran nothing and counts toward no minimum.
pub const INPUT_REFUSED: &str = "InputRefused";

/// Cases repeated under another hash seed.
const REPEATED: usize = 8;
/// Of each stream kept in a result.
pub(crate) const STDERR_CHARS: usize = 4_000;

/// The cases of one trial and what judges them.
pub(crate) struct Cases<'a> {
    pub(crate) runner: &'a Runner<'a>,
    pub(crate) answers: &'a Answers,
}

impl Cases<'_> {
    pub(crate) fn run(&self, cases: &[&Case]) -> Result<Vec<CaseResult>, ValidateError> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.runner.session()?;
        let (done, failed) = (AtomicU32::new(0), AtomicU32::new(0));
        let of = cases.len() as u32;
        let ran = in_parallel(cases, |case| {
            let result = self.case(&*session, &self.runner.contract, case)?;
            let more = u32::from(!result.0.passed);
            let failed = failed.fetch_add(more, Ordering::Relaxed) + more;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            self.runner.progress(Stage::Cases, done, of, failed);
            Ok(result)
        })?;
        let (mut results, outputs): (Vec<_>, Vec<_>) = ran.into_iter().unzip();
        if self.runner.deterministic {
            self.repeat(cases, &outputs, &mut results)?;
        }
        Ok(results)
    }

    /// Runs some of the passed cases again under another hash seed: the same output is expected.
    fn repeat(
        &self,
        cases: &[&Case],
        outputs: &[Option<Value>],
        results: &mut [CaseResult],
    ) -> Result<(), ValidateError> {
        let again: Vec<usize> = (0..cases.len())
            .filter(|i| results[*i].passed && outputs[*i].is_some())
            .take(REPEATED)
            .collect();
        if again.is_empty() {
            return Ok(());
        }
        let session = self.runner.other_session()?;
        let same = in_parallel(&again, |i| {
            let Some(arguments) = arguments(cases[*i]) else {
                return Ok(true);
            };
            let second = match (self.runner).invoke(&*session, &self.runner.contract, &arguments) {
                Ok(result) => result.output,
                Err(InvokeError::Sandbox(e)) => return Err(e.into()),
                Err(_) => None,
            };
            Ok(match (&outputs[*i], &second) {
                (Some(first), Some(second)) => compare(first, second, None).is_ok(),
                _ => false,
            })
        })?;
        for (i, same) in again.into_iter().zip(same) {
            if !same {
                results[i].passed = false;
                results[i].failure = Some(
                    "not deterministic: run again under another hash seed, the same input gave another result"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    /// One case's result on the tool or on a mutant of it, and the output for the repetition.
    pub(crate) fn case(
        &self,
        session: &dyn Session,
        contract: &Contract,
        case: &Case,
    ) -> Result<(CaseResult, Option<Value>), ValidateError> {
        let begun = Instant::now();
        let mut result = blank(case);
        let Some(arguments) = arguments(case) else {
            result.failure = Some("bad case: one of its files is not valid base64".to_owned());
            return Ok((result, None));
        };
        // A property that cannot be evaluated is the case's fault, whatever the tool would do.
        let property = match &case.check {
            Check::Holds(expression) => {
                match holds::program(expression, &self.runner.policy.code) {
                    Ok(program) => Some(program),
                    Err(e) => {
                        let what = "bad case: its property cannot be used";
                        result.failure = Some(told(case, what, &e.to_string()));
                        return Ok((result, None));
                    }
                }
            }
            _ => None,
        };
        let run = match self.runner.invoke(session, contract, &arguments) {
            Ok(run) => run,
            Err(InvokeError::Sandbox(e)) => return Err(e.into()),
            Err(InvokeError::Output {
                violation,
                result: run,
            }) => {
                measured(&mut result, &run);
                let what = "the output does not fit the output schema";
                result.failure = Some(told(case, what, &violation.to_string()));
                result.got = (!case.held_out).then(|| run.output.clone()).flatten();
                return Ok((result, None));
            }
            Err(e @ (InvokeError::Input(_) | InvokeError::FileNotAttached { .. })) => {
                refused_on_host(&mut result, case, &e);
                return Ok((result, None));
            }
        };
        measured(&mut result, &run);
        result.failure = match (&case.check, property) {
            (Check::Raises(raises), _) => raises_failure(raises, &run),
            (
                Check::Relation {
                    relation,
                    tolerance,
                },
                _,
            ) => {
                let pair = relations::Pair {
                    runner: self.runner,
                    session,
                    contract,
                    answers: self.answers,
                    arguments: &arguments,
                    tolerance: *tolerance,
                };
                let failure = pair.failure(relation, &run)?;
                failure.map(|f| f.told(case.held_out))
            }
            (_, _) if run.outcome != Outcome::Ok => Some(ended(&run)),
            (Check::Expect { value, tolerance }, _) => match &run.output {
                Some(got) => compare(value, got, *tolerance).err().map(|m| {
                    if case.held_out {
                        m.kind().to_owned()
                    } else {
                        m.to_string()
                    }
                }),
                None => Some("the run ended without an output".to_owned()),
            },
            (Check::Holds(_), Some(program)) => {
                let output = run.output.clone().unwrap_or_default();
                self.property(session, program, case, output)?
            }
            (Check::Holds(_), None) => Some("bad case: the property was not compiled".to_owned()),
        };
        result.passed = result.failure.is_none();
        // What came back and what was said about it could tell an author what was expected.
        if case.held_out {
            hide(&mut result);
        } else {
            result.got.clone_from(&run.output);
        }
        result.runtime_ms = if run.runtime_ms > 0.0 {
            run.runtime_ms
        } else {
            begun.elapsed().as_secs_f64() * 1e3
        };
        Ok((result, run.output))
    }

    /// Evaluates a property in a process of its own that holds no tool code.
    fn property(
        &self,
        session: &dyn Session,
        program: Arc<str>,
        case: &Case,
        output: Value,
    ) -> Result<Option<String>, ValidateError> {
        let call = holds::call(program, case.input.clone(), output);
        let run = self.runner.call(session, &call)?;
        Ok(match (run.outcome, &run.output) {
            (Outcome::Ok, Some(Value::Bool(true))) => None,
            (Outcome::Ok, Some(Value::Bool(false))) => {
                Some("the property does not hold".to_owned())
            }
            (Outcome::Ok, _) => {
                Some("bad case: the property gave something else than true or false".to_owned())
            }
            _ => Some(format!(
                "the property could not be evaluated on this output: {}",
                ended(&run)
            )),
        })
    }
}

pub(crate) fn arguments(case: &Case) -> Option<Arguments> {
    let files = case
        .files
        .iter()
        .map(|(name, file)| {
            Some(InlineFile {
                name: name.clone(),
                bytes: Arc::from(file.bytes()?),
            })
        })
        .collect::<Option<_>>()?;
    Some(Arguments {
        input: case.input.clone(),
        files,
        ..Arguments::default()
    })
}

fn blank(case: &Case) -> CaseResult {
    CaseResult {
        name: case.name.clone(),
        origin: case.origin,
        held_out: case.held_out,
        passed: false,
        outcome: Outcome::ToolError,
        failure: None,
        got: None,
        error: None,
        stderr: String::new(),
        runtime_ms: 0.0,
        max_rss_kib: 0,
        withdrawn: None,
    }
}

fn measured(result: &mut CaseResult, run: &SandboxResult) {
    result.outcome = run.outcome;
    result.runtime_ms = run.runtime_ms;
    result.max_rss_kib = run.usage.max_rss_kib;
    if !result.held_out {
        result.error.clone_from(&run.error);
        result.stderr = run.stderr.chars().take(STDERR_CHARS).collect();
    }
}

/// A failure in words: of a held-out case the kind alone, because details quote its input, its
/// output, or the shape of what was expected.
fn told(case: &Case, kind: &str, details: &str) -> String {
    if case.held_out {
        kind.to_owned()
    } else {
        format!("{kind}: {details}")
    }
}

/// Keeps the kind of error and drops its words: they may quote the input, or what it led to.
fn hide(result: &mut CaseResult) {
    result.got = None;
    result.stderr.clear();
    if let Some(error) = &mut result.error {
        error.message.clear();
    }
}

/// Nothing ran. For a case that expects an error this is the pass it asked for: in production
/// such an input reaches the tool as little as here.
fn refused_on_host(result: &mut CaseResult, case: &Case, why: &InvokeError) {
    result.error = Some(RunError {
        kind: INPUT_REFUSED.to_owned(),
        message: if case.held_out {
            String::new()
        } else {
            why.to_string()
        },
        line: None,
        errno: None,
    });
    if matches!(case.check, Check::Raises(_)) {
        result.passed = true;
    } else {
        let what = "bad case: its input is refused before any run";
        result.failure = Some(told(case, what, &why.to_string()));
    }
}

fn raises_failure(raises: &Raises, run: &SandboxResult) -> Option<String> {
    match (&run.error, run.outcome) {
        (Some(error), Outcome::ToolError) => {
            if error.kind != raises.kind() {
                return Some("it raised another kind of error than expected".to_owned());
            }
            match raises {
                Raises::Message { contains, .. } if !error.message.contains(contains.as_str()) => {
                    Some("it raised the expected kind of error with another message".to_owned())
                }
                _ => None,
            }
        }
        (_, Outcome::Ok) => Some("an error was expected, and it returned".to_owned()),
        _ => Some(ended(run)),
    }
}

/// How a run ended that should have given an output: the kind alone.
pub(crate) fn ended(run: &SandboxResult) -> String {
    match run.outcome {
        Outcome::Ok => "it returned".to_owned(),
        Outcome::ToolError => match &run.error {
            Some(error) => {
                let kind: String = error
                    .kind
                    .chars()
                    .take(80)
                    .flat_map(char::escape_debug)
                    .collect();
                format!("it raised {kind}")
            }
            None => "it raised an error".to_owned(),
        },
        Outcome::Timeout => "it ran out of time".to_owned(),
        Outcome::Memory => "it ran out of memory".to_owned(),
        Outcome::OutputLimit => "it wrote more than the output limit".to_owned(),
        Outcome::Policy => "the sandbox killed it for a forbidden system call".to_owned(),
        Outcome::Crash => "it ended without a result".to_owned(),
        Outcome::Protocol => "what came back was not a result of ours".to_owned(),
    }
}
