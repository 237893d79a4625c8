//! stub
use handaxe_sandbox::{Cancel, Sandbox, SandboxError};
use handaxe_types::{Case, Draft, Policy, Reporter, Trial};
use std::sync::Arc;
/// `RunError::kind` of a case whose input the host refused before any run.
pub const INPUT_REFUSED: &str = "InputRefused";
pub struct Validator {
    sandbox: Arc<dyn Sandbox>,
    policy: Policy,
}
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Sandbox(SandboxError),
}
impl Validator {
    pub fn new(sandbox: Arc<dyn Sandbox>, policy: Policy) -> Self {
        Self { sandbox, policy }
    }
    pub fn trial(
        &self,
        _draft: &Draft,
        _held_out: &[Case],
        _reporter: &dyn Reporter,
        _cancel: &Cancel,
    ) -> Result<Trial, ValidateError> {
        let _ = (&self.sandbox, &self.policy);
        Err(ValidateError::Cancelled)
    }
}
