//! Many inputs against one tool, in as few processes as it takes: for shrinking a failure, fitting a
//! cost curve, or tracing which lines run. A process for each input is what a verdict rests on; here
//! the inputs share one, so that what comes back is **never evidence**, and its types are not those
//! of a call's result.
//!
//! It is built on [`Session::call`] alone: the code of the call is a program of ours
//! (`harness.py`) to which the tool's source is data. So every backend has it, under the same jail
//! and the same limits as a call.
//!
//! A process that dies, or that would pass a limit, says which input was under way; those before it
//! are run again without it, and it is run again first in a process of its own. Only what dies
//! there is reported as dead. So every input is held to the limits of a call, and none is blamed for
//! what those before it left behind, as far as the limits go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_types::json::{self, Bounds};
use handaxe_types::{LimitHit, Limits, Outcome, RunError, SandboxResult};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Call, Cancel, InlineFile, SandboxError, Session};

const HARNESS: &str = include_str!("harness.py");

/// Inputs that one process is given at most, and bytes of JSON that they have together.
const MOST_INPUTS: usize = 1000;
const MOST_INPUT_BYTES: usize = 4 << 20;
/// What a process may say beyond the outputs themselves.
const ROOM_BYTES: u64 = 1 << 20;
/// What one input's number takes on standard error.
const MARK_BYTES: u64 = 16;

/// One tool and what to run it on.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Source of the module; UTF-8.
    pub code: Arc<str>,
    /// Run in this order.
    pub inputs: Vec<Map<String, Value>>,
    /// As of [`Call`], for all inputs.
    pub files: Vec<InlineFile>,
    pub assets: Vec<InlineFile>,
    pub file_inputs: Vec<String>,
    /// Of one input, as of a call.
    pub limits: Limits,
    /// No process is started after this much time.
    pub patience: Duration,
    /// No input is run after this many ended their process.
    pub deaths: usize,
    /// Source of a Python module of the caller's that looks on, e.g. to trace lines: `enter()` is
    /// called before the tool's module is run for an input, `leave()` after its `run` returned or
    /// raised, and what `report()` returns at the end (JSON) is in [`BatchRun::observed`].
    pub observer: Option<Arc<str>>,
}

impl Batch {
    /// The call's code, files and limits with other inputs; a minute of patience, eight deaths.
    pub fn of(call: &Call, inputs: Vec<Map<String, Value>>) -> Self {
        Self {
            code: Arc::clone(&call.code),
            inputs,
            files: call.files.clone(),
            assets: call.assets.clone(),
            file_inputs: call.file_inputs.clone(),
            limits: call.limits.clone(),
            patience: Duration::from_mins(1),
            deaths: 8,
            observer: None,
        }
    }

    /// Runs it. An `Err` says that the sandbox failed.
    pub fn run(&self, session: &dyn Session, cancel: &Cancel) -> Result<BatchRun, SandboxError> {
        let started = Instant::now();
        let mut run = BatchRun::default();
        let (mut most, mut deaths) = (MOST_INPUTS, 0);
        while run.items.len() < self.inputs.len() {
            if run.processes > 0 && started.elapsed() > self.patience {
                run.stopped = Some(BatchStop::Patience);
                break;
            }
            if deaths >= self.deaths {
                run.stopped = Some(BatchStop::Deaths);
                break;
            }
            let inputs = self.next(run.items.len(), most);
            let result = session.call(&self.call(inputs), cancel)?;
            run.processes += 1;
            most = MOST_INPUTS;
            if let Some(said) = Said::of(&result, inputs.len()) {
                let output_bytes = self.limits.output_bytes;
                let items = said.items.into_iter();
                run.items.extend(items.map(|i| i.understood(output_bytes)));
                run.observed.extend(said.observed);
                continue;
            }
            match under_way(&result.stderr).min(inputs.len() - 1) {
                0 => {
                    deaths += 1;
                    run.items.push(BatchItem::dead(result));
                }
                // At least one fewer each time.
                before => most = before,
            }
        }
        Ok(run)
    }

    /// Inputs for one process: at least one.
    fn next(&self, from: usize, most: usize) -> &[Map<String, Value>] {
        let rest = &self.inputs[from..];
        let mut bytes = 0;
        let fits = rest.iter().take(most).take_while(|input| {
            bytes += json_bytes(input);
            bytes <= MOST_INPUT_BYTES
        });
        let count = fits.count().max(1);
        &rest[..count]
    }

    fn call(&self, inputs: &[Map<String, Value>]) -> Call {
        let limits = &self.limits;
        let observer = self.observer.as_deref();
        let stop_ms = limits.wall_ms.min(limits.cpu_ms) / 2;
        let given = [
            ("source", json!(*self.code)),
            ("inputs", json!(inputs)),
            ("file_inputs", json!(self.file_inputs)),
            ("stop_ms", json!(stop_ms)),
            ("output_bytes", json!(limits.output_bytes)),
            ("observer", json!(observer)),
        ];
        let input = given.map(|(name, value)| (name.to_owned(), value));
        Call {
            files: self.files.clone(),
            assets: self.assets.clone(),
            limits: Limits {
                output_bytes: limits.output_bytes.saturating_mul(2) + ROOM_BYTES,
                stdio_bytes: limits.stdio_bytes + MARK_BYTES * inputs.len() as u64,
                ..limits.clone()
            },
            ..Call::new(HARNESS, input.into_iter().collect())
        }
    }
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchRun {
    /// One for each input that was run, in their order: fewer than the inputs if it was `stopped`.
    pub items: Vec<BatchItem>,
    pub stopped: Option<BatchStop>,
    /// How many processes it took.
    pub processes: usize,
    /// What the observer reported, once a process that came to its end.
    pub observed: Vec<Value>,
}

/// Why inputs were left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStop {
    Patience,
    Deaths,
}

/// What came of one input. Not evidence, and so not to be serialised.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchItem {
    /// As a call would most likely end.
    pub outcome: Outcome,
    pub limit: Option<LimitHit>,
    /// Present exactly when `outcome` is `ok`.
    pub output: Option<Value>,
    pub error: Option<RunError>,
    /// How long `run` took, by the clock of the process that ran it.
    pub elapsed: Option<Duration>,
}

impl BatchItem {
    /// Of the input that ended its process.
    fn dead(result: SandboxResult) -> Self {
        // A result that is none of the harness's is the tool's doing.
        let forged = result.outcome == Outcome::Ok;
        let outcome = if forged {
            Outcome::Protocol
        } else {
            result.outcome
        };
        Self {
            outcome,
            limit: result.limit,
            output: None,
            error: result.error,
            elapsed: None,
        }
    }
}

/// What a process said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    items: Vec<Item>,
    observed: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    status: Outcome,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    error: Option<RunError>,
    ns: Option<u64>,
}

impl Said {
    /// `None` where it died, or said something else than the harness would.
    fn of(result: &SandboxResult, most: usize) -> Option<Self> {
        let output = result.output.clone()?;
        let said: Self = serde_json::from_value(output).ok()?;
        (1..=most).contains(&said.items.len()).then_some(said)
    }
}

impl Item {
    fn understood(self, output_bytes: u64) -> BatchItem {
        let mut item = BatchItem {
            outcome: self.status,
            limit: None,
            output: None,
            error: self.error,
            elapsed: self.ns.map(Duration::from_nanos),
        };
        match self.status {
            Outcome::Ok => {
                let bounds = Bounds {
                    bytes: usize::try_from(output_bytes).unwrap_or(usize::MAX),
                    ..Bounds::DEFAULT
                };
                match json::parse(self.output.unwrap_or_default().as_bytes(), bounds) {
                    Ok(value) => item.output = Some(value),
                    Err(error) => {
                        item.outcome = Outcome::ToolError;
                        item.error = Some(RunError {
                            kind: "NotJson".to_owned(),
                            message: format!("the output: {error}"),
                            line: None,
                            errno: None,
                        });
                    }
                }
            }
            Outcome::OutputLimit => item.limit = Some(LimitHit::Output),
            _ if item.error.as_ref().is_some_and(|e| e.kind == "MemoryError") => {
                item.outcome = Outcome::Memory;
                item.limit = Some(LimitHit::Memory);
            }
            _ => item.outcome = Outcome::ToolError,
        }
        item
    }
}

/// The number of the input that a process had begun last, by the marks on its standard error.
fn under_way(stderr: &str) -> usize {
    let marks = stderr.split('\x1e').skip(1);
    let numbers = marks.filter_map(|part| part.split_once('\n')?.0.parse().ok());
    numbers.last().unwrap_or(0)
}

fn json_bytes(input: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A value that cannot be written is refused when it is sent.
    let _ = serde_json::to_writer(&mut count, input);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mark_names_the_input_under_way() {
        for (stderr, want) in [
            ("", 0),
            ("no mark 7\n", 0),
            ("\x1e0\nx\x1e1\n", 1),
            ("\x1e0\n\x1e1\nTraceback\n\x1e", 1),
            ("\x1e12\n\x1ejunk\n", 12),
        ] {
            assert_eq!(under_way(stderr), want, "{stderr:?}");
        }
    }

    #[test]
    fn a_process_gets_no_more_than_it_can_hold() {
        let big: Map<String, Value> = [("a".to_owned(), json!("x".repeat(3 << 20)))]
            .into_iter()
            .collect();
        let small = Map::new();
        let mut batch = Batch::of(&Call::new("", Map::new()), vec![big.clone(), big, small]);
        assert_eq!(batch.next(0, MOST_INPUTS).len(), 1);
        assert_eq!(batch.next(1, MOST_INPUTS).len(), 2);
        batch.inputs = vec![Map::new(); 5000];
        assert_eq!(batch.next(0, MOST_INPUTS).len(), MOST_INPUTS);
        assert_eq!(batch.next(4999, 3).len(), 1);
    }
}
