//! Relations between two runs: the second input is made from the first on the host, both run in
//! processes of their own, and their outputs are compared on the host. Neither process holds the
//! other's output, nor the relation.

mod change;
mod compared;

use std::sync::Arc;

use handaxe_sandbox::{Call, Session};
use handaxe_types::{
    Change, Comparison, Limits, Outcome, Relation, SandboxResult, Severity, Tolerance,
};
use serde_json::{Map, Value};

use crate::cases::ended;
use crate::compare::compare;
use crate::fuzz::{Answer, Answers};
use crate::invoke::{Arguments, Contract, InvokeError};
use crate::runner::Runner;
use crate::trial::ValidateError;
use crate::vetter::vet;
use change::changed;
use compared::compared;

/// Source of a second tool, in bytes.
const MAX_COUNTERPART: usize = 16 << 10;

/// A relation's case after its first run.
pub(crate) struct Pair<'a> {
    pub(crate) runner: &'a Runner<'a>,
    pub(crate) session: &'a dyn Session,
    pub(crate) contract: &'a Contract,
    pub(crate) answers: &'a Answers,
    pub(crate) arguments: &'a Arguments,
    pub(crate) tolerance: Option<Tolerance>,
}

/// Why a relation does not hold, with what of it may quote values apart.
pub(crate) struct Broken {
    kind: String,
    details: String,
}

impl Broken {
    fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            details: String::new(),
        }
    }

    fn bad_case(details: impl Into<String>) -> Self {
        Self {
            kind: "bad case: its relation cannot be used".to_owned(),
            details: details.into(),
        }
    }

    pub(crate) fn told(self, held_out: bool) -> String {
        if held_out || self.details.is_empty() {
            self.kind
        } else {
            format!("{}: {}", self.kind, self.details)
        }
    }
}

type Checked = Result<Option<Broken>, ValidateError>;

impl Pair<'_> {
    /// Why the relation does not hold of the tool; `None` where it holds.
    pub(crate) fn failure(&self, relation: &Relation, first: &SandboxResult) -> Checked {
        if matches!(relation, Relation::NeverRaises) {
            let answer = self
                .answers
                .of(first.clone(), !self.arguments.files.is_empty());
            return Ok(match answer {
                Answer::Output(_) | Answer::Documented(_) => None,
                Answer::Failed(failed) => Some(Broken::new(failed.what)),
            });
        }
        let (Outcome::Ok, Some(output)) = (first.outcome, &first.output) else {
            return Ok(Some(Broken::new(ended(first))));
        };
        match relation {
            Relation::NeverRaises => Ok(None),
            Relation::Deterministic => {
                let other = self.runner.other_session()?;
                match self.output(&*other, self.arguments)? {
                    Ok(second) => Ok(self.equal(relation, output, &second)),
                    Err(broken) => Ok(Some(broken)),
                }
            }
            Relation::Idempotent { into, from } => self.idempotent(relation, into, from, output),
            Relation::OrderIndependent { of, keep } => {
                for change in [
                    Change::Reverse {
                        at: of.clone(),
                        keep: *keep,
                    },
                    Change::Shuffle {
                        at: of.clone(),
                        keep: *keep,
                    },
                ] {
                    let broken = self.between(relation, &change, Comparison::Equal, "", output)?;
                    if broken.is_some() {
                        return Ok(broken);
                    }
                }
                Ok(None)
            }
            Relation::LengthPreserving { of, output: at } => {
                Ok(self.length_preserving(relation, of, at, output))
            }
            Relation::RoundTrips {
                of,
                code,
                into,
                from,
                output: at,
            } => {
                let Some(handed) = output.pointer(from) else {
                    return Ok(Some(missing("first output", from)));
                };
                let Some(wanted) = change::value_at(self.arguments, self.contract, of) else {
                    return Ok(Some(Broken::bad_case(format!(
                        "nothing is at `{of}` of the input"
                    ))));
                };
                match self.counterpart(code, into, handed)? {
                    Ok(second) => Ok(match second.pointer(at) {
                        Some(back) => self.equal(relation, &wanted, back),
                        None => Some(missing("second output", at)),
                    }),
                    Err(broken) => Ok(Some(broken)),
                }
            }
            Relation::Monotone {
                of,
                by,
                output: at,
                falling,
            } => {
                let change = Change::Add {
                    at: of.clone(),
                    by: *by,
                };
                let up = (*by >= 0.0) != *falling;
                let outputs = if up {
                    Comparison::NotLess
                } else {
                    Comparison::NotMore
                };
                self.between(relation, &change, outputs, at, output)
            }
            Relation::Between {
                change,
                outputs,
                output: at,
            } => self.between(relation, change, *outputs, at, output),
        }
    }

    fn equal(&self, relation: &Relation, first: &Value, second: &Value) -> Option<Broken> {
        let mismatch = compare(first, second, self.tolerance).err()?;
        Some(Broken {
            kind: format!("the relation `{}` does not hold", relation.name()),
            details: mismatch.to_string(),
        })
    }

    fn idempotent(&self, relation: &Relation, into: &str, from: &str, output: &Value) -> Checked {
        let Some(fed) = output.pointer(from) else {
            return Ok(Some(missing("output", from)));
        };
        let arguments = match change::fed(self.arguments, self.contract, into, fed) {
            Ok(arguments) => arguments,
            Err(why) => return Ok(Some(Broken::bad_case(why))),
        };
        Ok(match self.output(self.session, &arguments)? {
            Ok(second) => match second.pointer(from) {
                Some(again) => self.equal(relation, fed, again),
                None => Some(missing("second output", from)),
            },
            Err(broken) => Some(broken),
        })
    }

    fn between(
        &self,
        relation: &Relation,
        change: &Change,
        outputs: Comparison,
        at: &str,
        first: &Value,
    ) -> Checked {
        let arguments = match changed(change, self.arguments, self.contract) {
            Ok(arguments) => arguments,
            Err(why) => return Ok(Some(Broken::bad_case(why))),
        };
        let second = match self.output(self.session, &arguments)? {
            Ok(second) => second,
            Err(broken) => return Ok(Some(broken)),
        };
        let (Some(a), Some(b)) = (first.pointer(at), second.pointer(at)) else {
            return Ok(Some(missing("output", at)));
        };
        Ok(match compared(outputs, a, b, self.tolerance) {
            Ok(true) => None,
            Ok(false) => Some(Broken::new(format!(
                "the relation `{}` does not hold",
                relation.name()
            ))),
            Err(why) => Some(Broken::bad_case(why)),
        })
    }

    fn length_preserving(
        &self,
        relation: &Relation,
        of: &str,
        at: &str,
        output: &Value,
    ) -> Option<Broken> {
        let Some(given) = change::value_at(self.arguments, self.contract, of) else {
            return Some(Broken::bad_case(format!(
                "nothing is at `{of}` of the input"
            )));
        };
        let Some(got) = output.pointer(at) else {
            return Some(missing("output", at));
        };
        match (compared::length(&given), compared::length(got)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(a), Some(b)) => Some(Broken {
                kind: format!("the relation `{}` does not hold", relation.name()),
                details: format!("{a} went in and {b} came out"),
            }),
            _ => Some(Broken::bad_case("one of the two has no length")),
        }
    }

    /// The output of a second run of the tool, or why there is none.
    fn output(
        &self,
        session: &dyn Session,
        arguments: &Arguments,
    ) -> Result<Result<Value, Broken>, ValidateError> {
        let second = |why: String| Broken {
            kind: "the second run of its relation gave no output".to_owned(),
            details: why,
        };
        Ok(
            match self.runner.invoke(session, self.contract, arguments) {
                Ok(run) => match (run.outcome, &run.output) {
                    (Outcome::Ok, Some(output)) => Ok(output.clone()),
                    _ => Err(second(ended(&run))),
                },
                Err(InvokeError::Sandbox(e)) => return Err(e.into()),
                Err(e @ InvokeError::Output { .. }) => Err(second(e.to_string())),
                Err(e @ (InvokeError::Input(_) | InvokeError::FileNotAttached { .. })) => Err(
                    Broken::bad_case(format!("the second input is refused: {e}")),
                ),
            },
        )
    }

    /// What a second tool makes of a value, in a process of its own under the same static policy.
    fn counterpart(
        &self,
        code: &str,
        into: &str,
        handed: &Value,
    ) -> Result<Result<Value, Broken>, ValidateError> {
        if code.len() > MAX_COUNTERPART {
            let why = format!("the second tool is longer than {MAX_COUNTERPART} bytes");
            return Ok(Err(Broken::bad_case(why)));
        }
        let findings = vet(code, &self.runner.policy.code, &[]);
        if let Some(f) = findings.iter().find(|f| f.severity == Severity::Refuse) {
            let why = format!("the second tool is not allowed: {} ({})", f.reason, f.rule);
            return Ok(Err(Broken::bad_case(why)));
        }
        let call = Call {
            limits: Limits::default(),
            ..Call::new(
                Arc::<str>::from(code),
                Map::from_iter([(into.to_owned(), handed.clone())]),
            )
        };
        let run = self.runner.call(self.session, &call)?;
        Ok(match (run.outcome, run.output.clone()) {
            (Outcome::Ok, Some(output)) => Ok(output),
            _ => Err(Broken {
                kind: "the second tool of its relation gave no output".to_owned(),
                details: ended(&run),
            }),
        })
    }
}

fn missing(of: &str, at: &str) -> Broken {
    Broken {
        kind: format!("its relation looks at a part that the {of} does not have"),
        details: format!("`{at}`"),
    }
}
