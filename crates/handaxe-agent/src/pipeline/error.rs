//! Why a run broke off. A refusal or a bound is not here: those end a run properly, as a
//! [`Stop`](super::Stop) in its report.

use handaxe_composer::DataError;
use handaxe_registry::{ApproveError, LoadError, ProposeError, RegistryError, RunError};
use handaxe_sandbox::SandboxError;
use handaxe_validate::ValidateError;

use crate::roles::RoleError;

#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    #[error("cannot use {name}: {source}")]
    Data { name: String, source: DataError },
    #[error("{name} changed since the run began")]
    DataChanged { name: String },
    #[error("{name} cannot be read: {source}")]
    DataIo {
        name: String,
        source: std::io::Error,
    },
    #[error("the model could not be used")]
    Model(#[source] RoleError),
    /// The policy asks for a stronger sandbox; nothing ran.
    #[error(transparent)]
    Isolation(handaxe_validate::IsolationRefusal),
    #[error("the draft could not be tried")]
    Validate(#[source] ValidateError),
    #[error("the sandbox failed")]
    Sandbox(#[source] SandboxError),
    #[error("the run's record could not be kept")]
    Run(#[source] RunError),
    #[error("the registry failed")]
    Registry(#[source] RegistryError),
    #[error("the draft could not be put before a person")]
    Propose(#[source] ProposeError),
    #[error("the approval does not stand")]
    Approve(#[source] ApproveError),
    #[error("the tool cannot run")]
    Load(#[source] LoadError),
    #[error("the record of step `{key}` cannot be read back")]
    Record {
        key: String,
        source: serde_json::Error,
    },
    #[error("a place for the tool's files could not be made")]
    Artifacts(#[source] std::io::Error),
    #[error("another run kept the library busy")]
    Registering(#[source] std::io::Error),
    #[error("cancelled")]
    Cancelled,
}

impl From<ValidateError> for PipelineError {
    fn from(error: ValidateError) -> Self {
        match error {
            ValidateError::Cancelled => Self::Cancelled,
            other => Self::Validate(other),
        }
    }
}
