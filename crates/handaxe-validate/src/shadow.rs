//! A second look at production: some calls are run again, in another session, under another hash
//! seed and at another time, and must come out the same. A tool that behaved while it was tried and
//! does otherwise now cannot know which calls these are: they are drawn by the machine's own random
//! numbers, and a shadow's process is started like any other.

use handaxe_sandbox::{Cancel, Mount, Sandbox, SandboxError, SessionSpec};
use handaxe_types::{Outcome, SandboxResult};

use crate::compare::{Mismatch, compare};
use crate::invoke::{Arguments, Contract, InvokeError, invoke};

const OTHER_SEED: u32 = 7;

/// What a second run of a call showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shadow {
    Same,
    /// Both runs gave an output, and they differ.
    Differs(Mismatch),
    /// One gave an output, the other raised; or they raised different kinds of error.
    Ended {
        first: String,
        second: String,
    },
    /// A run met a limit, which a busy machine explains as well.
    NotComparable,
}

impl Shadow {
    /// In words that quote nothing of the tool's; `None` where there is nothing to tell.
    pub fn difference(&self) -> Option<String> {
        match self {
            Self::Same | Self::NotComparable => None,
            Self::Differs(_) => {
                Some("the same input gave another output when run again".to_owned())
            }
            Self::Ended { first, second } => Some(format!(
                "the same input ended as {first}, and as {second} when run again"
            )),
        }
    }
}

/// Whether this call is one of the `percent` that are looked at twice. Where the machine gives no
/// random numbers, all are.
pub fn is_sampled(percent: u32) -> bool {
    let mut word = [0; 4];
    let drawn = getrandom::fill(&mut word).map(|()| u32::from_le_bytes(word) % 100);
    drawn.map_or(percent > 0, |drawn| drawn < percent)
}

/// Runs a call again and compares. Artefacts are not taken a second time.
pub fn shadow(
    sandbox: &dyn Sandbox,
    mounts: &[Mount],
    contract: &Contract,
    arguments: &Arguments,
    first: &SandboxResult,
    cancel: &Cancel,
) -> Result<Shadow, SandboxError> {
    let session = sandbox.open(SessionSpec {
        mounts: mounts.to_vec(),
        hash_seed: OTHER_SEED,
    })?;
    let arguments = Arguments {
        artifacts: None,
        ..arguments.clone()
    };
    let second = match invoke(&*session, contract, &arguments, cancel) {
        Ok(second) => second,
        Err(InvokeError::Sandbox(error)) => return Err(error),
        // What broke its promise ended otherwise than the first, which kept it.
        Err(_) => {
            return Ok(Shadow::Ended {
                first: ending(first),
                second: "an output that breaks its schema".to_owned(),
            });
        }
    };
    Ok(judged(first, &second))
}

fn judged(first: &SandboxResult, second: &SandboxResult) -> Shadow {
    let limited = |o: Outcome| !matches!(o, Outcome::Ok | Outcome::ToolError);
    if limited(first.outcome) || limited(second.outcome) {
        return Shadow::NotComparable;
    }
    match (&first.output, &second.output) {
        (Some(a), Some(b)) => compare(a, b, None).map_or_else(Shadow::Differs, |()| Shadow::Same),
        _ if ending(first) == ending(second) => Shadow::Same,
        _ => Shadow::Ended {
            first: ending(first),
            second: ending(second),
        },
    }
}

fn ending(result: &SandboxResult) -> String {
    let kind = result
        .error
        .as_ref()
        .map(|e| crate::schema::bounded(&e.kind));
    match (result.outcome, kind) {
        (Outcome::Ok, _) => "an output".to_owned(),
        (_, Some(kind)) => kind,
        (outcome, None) => outcome.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::{RunError, Usage};
    use serde_json::{Value, json};

    fn result(outcome: Outcome, output: Option<Value>, kind: Option<&str>) -> SandboxResult {
        SandboxResult {
            outcome,
            limit: None,
            output,
            artifacts: Vec::new(),
            exit_code: Some(0),
            stdout: String::new(),
            stderr: String::new(),
            runtime_ms: 1.0,
            usage: Usage::default(),
            layers: Vec::new(),
            error: kind.map(|kind| RunError {
                kind: kind.to_owned(),
                message: "in the tool's own words".to_owned(),
                line: None,
                errno: None,
            }),
        }
    }

    #[test]
    fn what_counts_as_another_behaviour() {
        let ok = |v| result(Outcome::Ok, Some(v), None);
        let raised = |kind| result(Outcome::ToolError, None, Some(kind));
        for (first, second, says) in [
            (ok(json!(1)), ok(json!(1)), None),
            (ok(json!(1)), ok(json!(1.0)), Some("another output")),
            (ok(json!(1)), raised("E"), Some("an output, and as E")),
            (raised("E"), raised("E"), None),
            (raised("E"), raised("F"), Some("as E, and as F")),
            (ok(json!(1)), result(Outcome::Timeout, None, None), None),
            (result(Outcome::Memory, None, None), ok(json!(1)), None),
        ] {
            let said = judged(&first, &second).difference();
            let right = match says {
                None => said.is_none(),
                Some(part) => said
                    .as_ref()
                    .is_some_and(|s| s.contains(part) && !s.contains("own words")),
            };
            assert!(right, "{first:?} {second:?}: {said:?}");
        }
    }

    #[test]
    fn a_share_is_drawn() {
        assert!(!(0..200).any(|_| is_sampled(0)));
        assert!((0..200).all(|_| is_sampled(100)));
        let drawn = (0..2000).filter(|_| is_sampled(50)).count();
        assert!((700..1300).contains(&drawn), "{drawn}");
    }
}
