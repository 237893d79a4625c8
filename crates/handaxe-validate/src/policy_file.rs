//! stub
use handaxe_types::Policy;
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("line {line}: {reason}")]
    Syntax { line: usize, reason: String },
}
pub fn load_policy(_toml: &str) -> Result<Policy, PolicyError> {
    Ok(Policy::default())
}
pub fn default_policy_toml() -> String {
    String::new()
}
