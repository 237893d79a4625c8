//! The tester: cases and properties from the spec alone. It sees no code and no one's cases.

use handaxe_types::{Case, Origin, Spec};
use serde_json::{Value, json};

use super::reply::{self, ReplyFault};
use super::{Role, RoleName};

pub(super) struct TesterBrief<'a> {
    pub(super) spec: &'a Spec,
}

impl Role for TesterBrief<'_> {
    type Reply = Vec<Case>;
    const NAME: RoleName = RoleName::Tester;

    fn template(&self) -> &'static str {
        "tester.md"
    }

    fn context(&self) -> Value {
        json!({"spec": self.spec})
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
