//! The arbiter: whether one disputed case follows from the spec. It sees no code, and not what
//! the tool gave.

use handaxe_types::{Case, Spec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reply::{self, ReplyFault, clip};
use super::{Role, RoleName};

pub(super) struct ArbiterBrief<'a> {
    pub(super) spec: &'a Spec,
    pub(super) case: &'a Case,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ruling {
    /// The case contradicts the spec, or asks what the spec leaves open.
    pub withdraw: bool,
    pub reason: String,
}

#[derive(Deserialize)]
struct Raw {
    ruling: String,
    reason: String,
}

impl Role for ArbiterBrief<'_> {
    type Reply = Ruling;
    const NAME: RoleName = RoleName::Arbiter;

    fn template(&self) -> &'static str {
        "arbiter.md"
    }

    fn context(&self) -> Value {
        // Who wrote the case must not sway the ruling.
        let mut case = json!(self.case);
        if let Some(case) = case.as_object_mut() {
            case.remove("origin");
            case.remove("held_out");
        }
        json!({"spec": self.spec, "case": case})
    }

    fn schema(&self) -> Option<Value> {
        Some(json!({
            "type": "object",
            "properties": {
                "reason": {"type": "string"},
                "ruling": {"enum": ["keep", "withdraw"]},
            },
            "required": ["reason", "ruling"],
            "additionalProperties": false,
        }))
    }

    fn read(&self, text: &str) -> Result<Ruling, ReplyFault> {
        let raw: Raw = reply::object(text, "ruling")?;
        let withdraw = match raw.ruling.as_str() {
            "keep" => false,
            "withdraw" => true,
            other => {
                return Err(ReplyFault::Field {
                    field: "ruling",
                    reason: format!("`{}` is neither keep nor withdraw", clip(other, 40)),
                });
            }
        };
        Ok(Ruling {
            withdraw,
            reason: clip(&raw.reason, 1000),
        })
    }
}
