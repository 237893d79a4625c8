//! The reviewer: a second pair of eyes on code, findings and capabilities. It may object, in words
//! that the person sees; nothing it says approves or refuses.

use handaxe_types::{Draft, Finding, Objection, Review};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{self, ReplyFault, clip};
use super::{Role, RoleName};
use crate::model::ModelId;

const MAX_OBJECTIONS: usize = 12;

pub(super) struct ReviewerBrief<'a> {
    pub(super) draft: &'a Draft,
    pub(super) findings: &'a [Finding],
    pub(super) model: &'a ModelId,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    summary: String,
    objections: Vec<RawObjection>,
}

#[derive(Deserialize)]
struct RawObjection {
    #[serde(default)]
    line: u32,
    reason: String,
}

impl Role for ReviewerBrief<'_> {
    type Reply = Review;
    const NAME: RoleName = RoleName::Reviewer;

    fn template(&self) -> &'static str {
        "reviewer.md"
    }

    fn context(&self) -> Value {
        json!({
            "spec": self.draft.spec,
            "code": self.draft.code,
            "capabilities": self.draft.spec.capabilities,
            "findings": self.findings,
        })
    }

    fn schema(&self) -> Option<Value> {
        let text = json!({"type": "string"});
        Some(json!({
            "type": "object",
            "properties": {
                "summary": text,
                "objections": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"line": {"type": "integer"}, "reason": text},
                    "required": ["line", "reason"],
                    "additionalProperties": false,
                }},
            },
            "required": ["summary", "objections"],
            "additionalProperties": false,
        }))
    }

    fn read(&self, text: &str) -> Result<Review, ReplyFault> {
        let raw: Raw = reply::object(text, "objections")?;
        let lines = self.draft.code.lines().count() as u32;
        let objections = raw.objections.into_iter().take(MAX_OBJECTIONS);
        Ok(Review {
            model: self.model.to_string(),
            summary: clip(&raw.summary, 600),
            objections: objections
                .map(|o| Objection {
                    // A line that is not there is about the whole.
                    line: if o.line <= lines { o.line } else { 0 },
                    reason: clip(&o.reason, 600),
                })
                .filter(|o| !o.reason.is_empty())
                .collect(),
            absent: None,
        })
    }
}
