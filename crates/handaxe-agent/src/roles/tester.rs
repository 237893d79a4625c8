//! The tester: cases and properties from the spec alone. It sees no code and no one's cases but its
//! own. Asked again, it is told which changes to the code its cases did not notice, in words.

use handaxe_types::{Case, Origin, Spec};
use serde_json::{Value, json};

use super::reply::{self, ReplyFault};
use super::{Role, RoleName};

pub(super) struct TesterBrief<'a> {
    pub(super) spec: &'a Spec,
    /// The tester's own, when it is asked for more.
    pub(super) cases: &'a [Case],
    /// Changes that went unnoticed; empty when it is asked for the first time.
    pub(super) survivors: &'a [String],
}

impl Role for TesterBrief<'_> {
    type Reply = Vec<Case>;
    const NAME: RoleName = RoleName::Tester;

    fn template(&self) -> &'static str {
        if self.survivors.is_empty() {
            "tester.md"
        } else {
            "tester_again.md"
        }
    }

    fn context(&self) -> Value {
        json!({"spec": self.spec, "cases": self.cases, "survivors": self.survivors})
    }

    fn schema(&self) -> Option<Value> {
        Some(json!({
            "type": "object",
            "properties": {"cases": {"type": "array", "items": reply::case_schema()}},
            "required": ["cases"],
        }))
    }

    fn read(&self, text: &str) -> Result<Vec<Case>, ReplyFault> {
        reply::cases(text, Origin::Tester)
    }
}
