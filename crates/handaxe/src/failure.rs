//! What a command that did not succeed tells: a kind, what happened, the next command.

use std::fmt::Display;

/// The fixed exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Waiting = 3,
    Refused = 4,
    SandboxUnavailable = 5,
    Bound = 6,
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// A stable word for programs, e.g. `not_approved`.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, kind: &'static str, message: impl Display) -> Self {
        Self {
            exit,
            kind,
            message: message.to_string(),
            hint: None,
        }
    }

    pub(crate) fn failed(kind: &'static str, message: impl Display) -> Self {
        Self::new(Exit::Failed, kind, message)
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

/// An error with its sources, as one line: "could not open the registry: disk I/O error".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    // Bounded: a cycle of sources would be a bug elsewhere, and must not hang the message.
    for _ in 0..8 {
        let Some(inner) = source else { break };
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
