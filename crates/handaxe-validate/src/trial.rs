//! Runs a draft's cases in the sandbox and computes every result on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use handaxe_sandbox::{Cancel, InlineFile, Sandbox, SandboxError, Session, SessionSpec};
use handaxe_types::CaseResult;
use handaxe_types::{
    Capability, Case, Check, Draft, Outcome, Policy, Progress, Raises, Reporter, RunError,
    SandboxResult, Stage, Trial,
};
use serde_json::Value;

use crate::compare::compare;
use crate::holds;
use crate::invoke::{Arguments, Contract, InvokeError, invoke};
use crate::isolation::{IsolationRefusal, isolation};
use crate::template::check_template;
use crate::vet::refuses;
use crate::vetter::vet;
use crate::{coverage, mutation};

/// `RunError::kind` of a case whose input the host refused before any run. Such a case can pass
/// (where it says `raises`), but it ran nothing and counts toward no minimum.
pub const INPUT_REFUSED: &str = "InputRefused";

/// Calls under way at once.
const PARALLEL: usize = 2;
/// More cases than this are not run.
const MAX_CASES: usize = 10_000;
/// Cases repeated under another hash seed.
const REPEATED: usize = 8;
const OTHER_SEED: u32 = 1;
/// Of each stream kept in a result.
const STDERR_CHARS: usize = 4_000;

/// Tries drafts: vets them, runs their cases, and says what happened. [`crate::judge`] concludes.
pub struct Validator {
    sandbox: Arc<dyn Sandbox>,
    policy: Policy,
}

#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    #[error("cancelled")]
    Cancelled,
    #[error("{count} cases are too many to run; at most {MAX_CASES} are")]
    TooManyCases { count: usize },
    /// Nothing ran.
    #[error(transparent)]
    Isolation(#[from] IsolationRefusal),
    #[error("the sandbox failed during the trial")]
    Sandbox(#[source] SandboxError),
}

impl From<SandboxError> for ValidateError {
    fn from(e: SandboxError) -> Self {
        match e {
            SandboxError::Cancelled => Self::Cancelled,
            other => Self::Sandbox(other),
        }
    }
}

impl Validator {
    pub fn new(sandbox: Arc<dyn Sandbox>, policy: Policy) -> Self {
        Self { sandbox, policy }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Vets a draft and, when nothing refuses it, runs the author's cases and the held-out ones.
    /// A draft that is refused by reading is never run: its trial has no cases.
    pub fn trial(
        &self,
        draft: &Draft,
        held_out: &[Case],
        reporter: &dyn Reporter,
        cancel: &Cancel,
    ) -> Result<Trial, ValidateError> {
        let begun = Instant::now();
        let count = draft.cases.len() + held_out.len();
        if count > MAX_CASES {
            return Err(ValidateError::TooManyCases { count });
        }
        isolation(&self.policy, &draft.spec.domain, self.sandbox.profile())?;
        let mut capabilities = draft.spec.capabilities.clone();
        if !draft.assets.is_empty() {
            // A tool may open what it carries.
            capabilities.push(Capability::ReadFiles);
        }
        let findings = vet(&draft.code, &self.policy.code, &capabilities);
        if !findings.is_empty() {
            reporter.report(Progress::Findings(findings.clone()));
        }
        let profile = self.sandbox.profile().digest();
        let mut trial = Trial {
            template: if refuses(&findings) {
                Vec::new()
            } else {
                check_template(draft)
            },
            findings,
            sandbox: Some(self.sandbox.profile().clone()),
            ..Trial::new(
                draft.digest(profile),
                profile,
                &self.sandbox.interpreter().version,
            )
        };
        if !refuses(&trial.findings) && trial.template.is_empty() {
            match Contract::new(&draft.spec, &draft.code, &draft.assets) {
                Ok(contract) => {
                    let cases: Vec<&Case> = draft.cases.iter().chain(held_out).collect();
                    let bench = Bench {
                        sandbox: &*self.sandbox,
                        policy: &self.policy,
                        contract,
                        deterministic: draft.spec.deterministic,
                        runs: AtomicU32::new(0),
                        reporter,
                        cancel,
                    };
                    trial.cases = bench.run(&cases)?;
                    bench.strength(&cases, &mut trial)?;
                    trial.sandbox_runs = bench.runs.load(Ordering::Relaxed);
                }
                // `check_template` compiles the same schemas; this is for a change that forgets to.
                Err(e) => trial.template.push(e.to_string()),
            }
        }
        trial.wall_ms = begun.elapsed().as_secs_f64() * 1e3;
        Ok(trial)
    }
}

/// One draft under trial.
struct Bench<'a> {
    sandbox: &'a dyn Sandbox,
    policy: &'a Policy,
    contract: Contract,
    deterministic: bool,
    runs: AtomicU32,
    reporter: &'a dyn Reporter,
    cancel: &'a Cancel,
}

impl Bench<'_> {
    fn run(&self, cases: &[&Case]) -> Result<Vec<CaseResult>, ValidateError> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.sandbox.open(SessionSpec::default())?;
        let done = AtomicU32::new(0);
        let failed = AtomicU32::new(0);
        let of = cases.len() as u32;
        let ran = in_parallel(cases, |case| {
            let result = self.case(&*session, case)?;
            let failed = failed.fetch_add(u32::from(!result.0.passed), Ordering::Relaxed)
                + u32::from(!result.0.passed);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            self.reporter.report(Progress::Trial {
                stage: Stage::Cases,
                done,
                of,
                failed,
            });
            Ok(result)
        })?;
        drop(session);
        let (mut results, outputs): (Vec<_>, Vec<_>) = ran.into_iter().unzip();
        if self.deterministic {
            self.repeat(cases, &outputs, &mut results)?;
        }
        Ok(results)
    }

    /// How strong the cases are, and what they reach. Only where all of them passed.
    fn strength(&self, cases: &[&Case], trial: &mut Trial) -> Result<(), ValidateError> {
        if self.policy.trial.mutants == 0 || trial.cases.iter().any(|c| !c.passed) {
            return Ok(());
        }
        let session = self.sandbox.open(SessionSpec::default())?;
        let results: Vec<&CaseResult> = trial.cases.iter().collect();
        let given = mutation::Given {
            contract: &self.contract,
            cases,
            results: &results,
            fuzz: &[],
            documented: &BTreeSet::new(),
            policy: &self.policy.code,
            seed: 0,
            most: self.policy.trial.mutants,
            patience: Duration::from_millis(self.policy.trial.wall_budget_ms),
        };
        let report = mutation::run(
            &given,
            &*session,
            &|contract, case| Ok(self.case_of(contract, &*session, case)?.0),
            &|done, of, failed| {
                self.reporter.report(Progress::Trial {
                    stage: Stage::Mutants,
                    done,
                    of,
                    failed,
                });
            },
            self.cancel,
        )?;
        let reached = coverage::run(
            &self.contract,
            cases,
            &self.policy.code,
            &*session,
            self.cancel,
        )?;
        trial.mutation = Some(report);
        trial.coverage = reached;
        Ok(())
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
        let session = self.sandbox.open(SessionSpec {
            hash_seed: OTHER_SEED,
            ..SessionSpec::default()
        })?;
        let same = in_parallel(&again, |i| {
            let Some(arguments) = arguments(cases[*i]) else {
                return Ok(true);
            };
            let second = match self.invoke(&*session, &arguments) {
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

    /// One case's result, and the output for the repetition.
    fn case(
        &self,
        session: &dyn Session,
        case: &Case,
    ) -> Result<(CaseResult, Option<Value>), ValidateError> {
        self.case_of(&self.contract, session, case)
    }

    fn case_of(
        &self,
        contract: &Contract,
        session: &dyn Session,
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
            Check::Holds(expression) => match holds::program(expression, &self.policy.code) {
                Ok(program) => Some(program),
                Err(e) => {
                    let what = "bad case: its property cannot be used";
                    result.failure = Some(told(case, what, &e.to_string()));
                    return Ok((result, None));
                }
            },
            _ => None,
        };
        let run = match self.invoke_of(contract, session, &arguments) {
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
            (Check::Relation { .. }, _) => Some("bad case: relations are not checked".to_owned()),
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

    fn invoke(
        &self,
        session: &dyn Session,
        arguments: &Arguments,
    ) -> Result<SandboxResult, InvokeError> {
        self.invoke_of(&self.contract, session, arguments)
    }

    fn invoke_of(
        &self,
        contract: &Contract,
        session: &dyn Session,
        arguments: &Arguments,
    ) -> Result<SandboxResult, InvokeError> {
        if self.cancel.is_cancelled() {
            return Err(InvokeError::Sandbox(SandboxError::Cancelled));
        }
        let ran = invoke(session, contract, arguments, self.cancel);
        if matches!(ran, Ok(_) | Err(InvokeError::Output { .. })) {
            self.runs.fetch_add(1, Ordering::Relaxed);
        }
        ran
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
        let run = session.call(&call, self.cancel)?;
        self.runs.fetch_add(1, Ordering::Relaxed);
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

/// Maps over items on a few threads; the first error stops the rest.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, ValidateError> + Sync,
) -> Result<Vec<R>, ValidateError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, Result<R, ValidateError>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { return };
                    let result = work(item);
                    if result.is_err() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(i, result);
                }
            });
        }
    });
    done.into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}

fn arguments(case: &Case) -> Option<Arguments> {
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
fn ended(run: &SandboxResult) -> String {
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
