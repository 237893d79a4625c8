//! How a call ended, from the host's own evidence and from the one result, if it came whole.

use std::time::Duration;

use handaxe_types::json::{self, Bounds, JsonError};
use handaxe_types::{Artifact, Layer, LimitHit, Limits, Outcome, RunError, SandboxResult, Usage};

use super::artifacts::Sink;
use super::hearing::{End, Hearing, Stream, Told};
use super::wire::{FrameError, Status};
use crate::SandboxError;

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// As `wait` gives it.
    pub(crate) status: i32,
    pub(crate) cpu: Duration,
    pub(crate) max_rss_kib: u64,
}

impl Hearing<'_> {
    /// Tells how it ended.
    pub(crate) fn result(
        self,
        layers: Vec<Layer>,
        runtime: Duration,
        usage: Usage,
        died: Option<Ended>,
        out_of_memory: bool,
    ) -> Result<SandboxResult, SandboxError> {
        let text = |stream: &Stream| String::from_utf8_lossy(&stream.bytes).into_owned();
        let mut result = SandboxResult {
            outcome: Outcome::Crash,
            limit: None,
            output: None,
            artifacts: Vec::new(),
            exit_code: died.and_then(exit_code),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            runtime_ms: ms(runtime),
            usage,
            layers,
            error: None,
        };
        let told = self.told();
        let over = self.stdout.over || self.stderr.over;
        let (limits, started) = (
            &self.call.limits,
            matches!(&self.result, Told::Head(h) if h.is_empty()),
        );
        let ended = match self.end {
            Some(End::Artifact(error)) => return Err(error),
            Some(End::Closed) if told && !over => {
                finish(&mut result, self.result, limits);
                return Ok(result);
            }
            Some(End::Wall) => Verdict::limit(Outcome::Timeout, LimitHit::Wall),
            Some(End::Cpu) => Verdict::limit(Outcome::Timeout, LimitHit::Cpu),
            Some(End::Stdio) => Verdict::limit(Outcome::OutputLimit, LimitHit::Output),
            Some(End::Closed) if over => Verdict::limit(Outcome::OutputLimit, LimitHit::Output),
            Some(End::Frame(FrameError::TooLong { .. })) => {
                Verdict::limit(Outcome::OutputLimit, LimitHit::Output)
            }
            Some(End::Frame(error)) => Verdict::said(Outcome::Protocol, error.to_string()),
            Some(End::Trailing) => Verdict::said(
                Outcome::Protocol,
                "there is more after the result".to_owned(),
            ),
            Some(End::Closed | End::Cancelled) | None => {
                death(died, out_of_memory, started, usage, limits)
            }
        };
        result.outcome = ended.outcome;
        result.limit = ended.limit;
        result.error = ended.reason.map(|message| RunError {
            kind: ended.outcome.as_str().to_owned(),
            message,
            line: None,
            errno: None,
        });
        Ok(result)
    }
}

struct Verdict {
    outcome: Outcome,
    limit: Option<LimitHit>,
    reason: Option<String>,
}

impl Verdict {
    fn limit(outcome: Outcome, limit: LimitHit) -> Self {
        Self {
            outcome,
            limit: Some(limit),
            reason: None,
        }
    }

    fn said(outcome: Outcome, reason: String) -> Self {
        Self {
            outcome,
            limit: None,
            reason: Some(reason),
        }
    }
}

fn exit_code(ended: Ended) -> Option<i32> {
    // The low seven bits are the signal.
    let signal = ended.status & 0x7f;
    (signal == 0).then_some(ended.status >> 8 & 0xff)
}

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGSYS: i32 = 31;

/// What a process that gave no result died of, from the host's own evidence.
fn death(
    died: Option<Ended>,
    out_of_memory: bool,
    silent: bool,
    usage: Usage,
    limits: &Limits,
) -> Verdict {
    let Some(ended) = died else {
        return Verdict::said(Outcome::Crash, "it ended without a result".to_owned());
    };
    let signal = ended.status & 0x7f;
    match signal {
        SIGSYS => {
            let reason = "killed by the system-call filter".to_owned();
            Verdict::said(Outcome::Policy, reason)
        }
        SIGXCPU => Verdict::limit(Outcome::Timeout, LimitHit::Cpu),
        SIGKILL if out_of_memory => Verdict::limit(Outcome::Memory, LimitHit::Memory),
        SIGKILL if usage.cpu_ms >= limits.cpu_ms as f64 => {
            Verdict::limit(Outcome::Timeout, LimitHit::Cpu)
        }
        // The host kills a child that closed its result without having given one.
        SIGKILL | 0 if !silent => {
            Verdict::said(Outcome::Protocol, "the result is cut short".to_owned())
        }
        SIGKILL => {
            let reason = "it closed its result without giving one".to_owned();
            Verdict::said(Outcome::Protocol, reason)
        }
        0 => {
            let code = ended.status >> 8 & 0xff;
            Verdict::said(
                Outcome::Crash,
                format!("it exited with code {code} without a result"),
            )
        }
        other => Verdict::said(Outcome::Crash, format!("ended by signal {other}")),
    }
}

/// Fills in what a whole result says.
fn finish(result: &mut SandboxResult, told: Told, limits: &Limits) {
    let Told::Files(meta, output, sink) = told else {
        return;
    };
    let meta = *meta;
    let error = RunError {
        kind: clip(meta.kind, 200),
        message: clip(meta.message, 16 << 10),
        line: meta.line,
        errno: meta.errno.map(|e| clip(e, 32)),
    };
    match meta.status {
        Status::Ok => {
            let bounds = Bounds {
                bytes: usize::try_from(limits.output_bytes).unwrap_or(usize::MAX),
                ..Bounds::DEFAULT
            };
            match json::parse(&output, bounds) {
                Ok(value) => {
                    result.outcome = Outcome::Ok;
                    result.exit_code = Some(0);
                    result.output = Some(value);
                    result.artifacts = sink.map_or_else(Vec::<Artifact>::new, Sink::keep);
                }
                Err(error) => not_json(result, &error),
            }
        }
        Status::OutputLimit => {
            result.outcome = Outcome::OutputLimit;
            result.limit = Some(LimitHit::Output);
            result.error = Some(error);
        }
        Status::ToolError => {
            let memory = error.kind == "MemoryError";
            result.outcome = if memory {
                Outcome::Memory
            } else {
                Outcome::ToolError
            };
            result.limit = memory.then_some(LimitHit::Memory);
            result.exit_code = Some(1);
            result.error = Some(error);
        }
    }
}

/// The output is a value of Python's that our JSON does not have.
fn not_json(result: &mut SandboxResult, error: &JsonError) {
    result.outcome = Outcome::ToolError;
    result.exit_code = Some(1);
    let (kind, message) = ("NotJson".to_owned(), format!("the output: {error}"));
    result.error = Some(RunError {
        kind,
        message,
        line: None,
        errno: None,
    });
}

fn clip(mut text: String, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
