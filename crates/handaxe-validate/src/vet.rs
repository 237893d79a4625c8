//! stub
use handaxe_types::{Capability, Finding, StaticPolicy};
pub struct Rule {
    pub name: &'static str,
}
pub const RULES: &[Rule] = &[];
pub fn vet(_code: &str, _policy: &StaticPolicy, _capabilities: &[Capability]) -> Vec<Finding> {
    Vec::new()
}
