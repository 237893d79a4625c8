//! What can go wrong between here and a model's reply.

use std::time::Duration;

use handaxe_types::json::JsonError;

use super::{BudgetExhausted, RoleName, SetupError, StoreError};

/// Which clock ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No connection was made.
    Connect,
    /// The reply had begun, and then nothing came.
    Idle,
    /// The whole call, retries included.
    Total,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Idle => "waiting for the rest of the reply",
            Self::Total => "waiting for the whole reply",
        }
    }
}

/// `detail` is the provider's own message: bounded, escaped, without the key. It is data.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("the model's client could not be set up")]
    Setup(#[from] SetupError),
    #[error("{host} does not accept the API key (status {status}): {detail}")]
    Unauthorized {
        host: String,
        status: u16,
        detail: String,
    },
    #[error("{host} is rate-limiting ({attempts} attempts): {detail}")]
    RateLimited {
        host: String,
        attempts: u32,
        /// What the provider asked for, where it was longer than this call could wait.
        retry_after: Option<Duration>,
        detail: String,
    },
    #[error("{host} failed with status {status} ({attempts} attempts): {detail}")]
    Server {
        host: String,
        status: u16,
        attempts: u32,
        detail: String,
    },
    #[error("{host} rejected the request (status {status}): {detail}")]
    Rejected {
        host: String,
        status: u16,
        detail: String,
    },
    #[error("{host} answered with a redirect (status {status}); redirects are not followed")]
    Redirected { host: String, status: u16 },
    #[error("could not connect to {host} ({attempts} attempts)")]
    Connect {
        host: String,
        attempts: u32,
        source: Option<reqwest::Error>,
    },
    #[error("{host} took too long: gave up {} after {:.1} s", phase.as_str(), after.as_secs_f64())]
    Timeout {
        host: String,
        phase: Phase,
        after: Duration,
    },
    #[error("the reply of {host} is larger than {limit} bytes")]
    TooLarge { host: String, limit: usize },
    #[error("the reply of {host} was cut off after {received} bytes")]
    CutOff {
        host: String,
        received: usize,
        source: Option<reqwest::Error>,
    },
    #[error("the reply of {host} came in more than {limit} pieces")]
    TooManyEvents { host: String, limit: usize },
    #[error("{host} broke off after {received} bytes of text: {detail}")]
    BrokenOff {
        host: String,
        received: usize,
        detail: String,
    },
    #[error("the reply of {host} is not JSON that can be read")]
    NotJson { host: String, source: JsonError },
    #[error("the reply of {host} has an unexpected shape: {detail}")]
    Malformed { host: String, detail: String },
    #[error("the recorded conversation has no reply {index} for the {}: {reason}", role.as_str())]
    NoRecording {
        role: RoleName,
        /// 1-based, within the role.
        index: usize,
        reason: &'static str,
    },
    #[error("could not write the recording")]
    Recording(#[source] std::io::Error),
    #[error("could not keep a paid reply")]
    Store(#[source] StoreError),
    #[error(transparent)]
    Budget(#[from] BudgetExhausted),
}

impl ModelError {
    /// A stable word for figures and traces.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::Unauthorized { .. } => "unauthorized",
            Self::RateLimited { .. } => "rate_limited",
            Self::Server { .. } => "server",
            Self::Rejected { .. } => "rejected",
            Self::Redirected { .. } => "redirected",
            Self::Connect { .. } => "connect",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } | Self::TooManyEvents { .. } => "too_large",
            Self::BrokenOff { .. } => "broken_off",
            Self::CutOff { .. } => "cut_off",
            Self::NotJson { .. } | Self::Malformed { .. } => "malformed",
            Self::NoRecording { .. } => "no_recording",
            Self::Recording(_) | Self::Store(_) => "store",
            Self::Budget(_) => "budget",
        }
    }

    /// Whether the provider may have read (and billed) the prompt before this went wrong.
    pub(super) fn was_read(&self) -> bool {
        matches!(
            self,
            Self::Timeout {
                phase: Phase::Idle | Phase::Total,
                ..
            } | Self::TooLarge { .. }
                | Self::TooManyEvents { .. }
                | Self::BrokenOff { .. }
                | Self::CutOff { .. }
                | Self::NotJson { .. }
                | Self::Malformed { .. }
        )
    }

    /// What to try next, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unauthorized { .. } => "check the API key and that it may use this model",
            Self::RateLimited { .. } => "wait, then `handaxe runs resume`; what was paid is kept",
            Self::Server { .. }
            | Self::CutOff { .. }
            | Self::BrokenOff { .. }
            | Self::Timeout { .. } => "`handaxe runs resume` continues where this stopped",
            Self::Connect { .. } => "check the address and that the server is running",
            Self::Redirected { .. } => "give the final address with `--base-url`",
            Self::Rejected { .. } => "check the model's name",
            Self::Budget(_) => "raise the bound, then `handaxe runs resume`",
            Self::NoRecording { .. } => "the replayed file does not cover this conversation",
            _ => return None,
        })
    }
}
