//! The planner: a question, what is known of its data, and the tools there are.

use handaxe_types::{Need, Route, ToolName, ToolRef, ToolRequest, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::reply::{self, ReplyFault, clip};
use super::{Role, RoleName};

const NEEDS: [Need; 8] = [
    Need::ReadFiles,
    Need::WriteFiles,
    Need::Network,
    Need::Processes,
    Need::Credentials,
    Need::SystemControl,
    Need::OtherFiles,
    Need::Devices,
];
const MAX_STEPS: usize = 20;

/// An approved tool that may be reused.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    pub name: ToolName,
    pub version: Version,
    pub description: String,
    pub input_schema: Value,
}

#[derive(Clone, Copy, Debug)]
pub struct PlanBrief<'a> {
    pub question: &'a str,
    /// Names of the attached files.
    pub files: &'a [String],
    /// What of the data the model may see; `null` for nothing.
    pub preview: &'a Value,
    pub offers: &'a [Offer],
    /// Of tools that may be made, and those that may not.
    pub domains: &'a [String],
    pub denied: &'a [String],
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlanReply {
    pub route: Route,
    /// Plain words, one step each.
    pub steps: Vec<String>,
}

/// Flat, because that is what structured output and small models do best.
#[derive(Deserialize)]
struct Raw {
    route: String,
    #[serde(default)]
    steps: Vec<String>,
    tool: Option<String>,
    input: Option<Map<String, Value>>,
    name: Option<String>,
    purpose: Option<String>,
    domain: Option<String>,
    needs: Option<Vec<String>>,
    answer: Option<String>,
    reason: Option<String>,
    hint: Option<String>,
}

impl Role for PlanBrief<'_> {
    type Reply = PlanReply;
    const NAME: RoleName = RoleName::Planner;

    fn template(&self) -> &'static str {
        "planner.md"
    }

    fn context(&self) -> Value {
        json!({
            "question": self.question,
            "files": self.files,
            "preview": self.preview,
            "offers": self.offers,
            "domains": self.domains,
            "denied": self.denied,
            "needs": NEEDS.map(Need::as_str),
        })
    }

    fn schema(&self) -> Option<Value> {
        let text = json!({"type": "string"});
        Some(json!({
            "type": "object",
            "properties": {
                "steps": {"type": "array", "items": text},
                "route": {"enum": ["reuse", "make", "direct", "refuse"]},
                "tool": text,
                "input": {"type": "object"},
                "name": text,
                "purpose": text,
                "domain": text,
                "needs": {"type": "array", "items": {"enum": NEEDS.map(Need::as_str)}},
                "answer": text,
                "reason": text,
                "hint": text,
            },
            "required": ["steps", "route"],
        }))
    }

    fn read(&self, text: &str) -> Result<PlanReply, ReplyFault> {
        let raw: Raw = reply::object(text, "route")?;
        let lacks = |field: &'static str| {
            let route = clip(&raw.route, 20);
            move || ReplyFault::Field {
                field,
                reason: format!("the route `{route}` needs it"),
            }
        };
        let route = match raw.route.as_str() {
            "reuse" => {
                let named = raw.tool.as_deref().ok_or_else(lacks("tool"))?;
                let offer = self.offer(named)?;
                Route::Reuse {
                    tool: offer.name.clone(),
                    version: offer.version,
                    input: raw.input.clone().ok_or_else(lacks("input"))?,
                }
            }
            "make" => Route::Make {
                request: ToolRequest {
                    name: tool_name(raw.name.as_deref().ok_or_else(lacks("name"))?)?,
                    purpose: clip(raw.purpose.as_deref().ok_or_else(lacks("purpose"))?, 2000),
                    domain: clip(raw.domain.as_deref().ok_or_else(lacks("domain"))?, 60),
                    needs: needs(raw.needs.as_deref().ok_or_else(lacks("needs"))?)?,
                },
            },
            "direct" => Route::Direct {
                answer: raw.answer.clone().ok_or_else(lacks("answer"))?,
            },
            "refuse" => Route::Refuse {
                reason: clip(raw.reason.as_deref().ok_or_else(lacks("reason"))?, 2000),
                hint: clip(raw.hint.as_deref().unwrap_or_default(), 500),
            },
            other => {
                return Err(ReplyFault::Field {
                    field: "route",
                    reason: format!(
                        "`{}` is none of reuse, make, direct, refuse",
                        clip(other, 40)
                    ),
                });
            }
        };
        let steps = raw.steps.iter().take(MAX_STEPS).map(|s| clip(s, 300));
        Ok(PlanReply {
            route,
            steps: steps.filter(|s| !s.is_empty()).collect(),
        })
    }
}

impl PlanBrief<'_> {
    /// `name` or `name@version`; only what was offered.
    fn offer(&self, named: &str) -> Result<&Offer, ReplyFault> {
        let unknown = || ReplyFault::UnknownTool {
            name: clip(named, 60),
        };
        let tool: ToolRef = named.trim().parse().map_err(|_| unknown())?;
        self.offers
            .iter()
            .find(|o| o.name == tool.name && tool.version.is_none_or(|v| v == o.version))
            .ok_or_else(unknown)
    }
}

fn needs(words: &[String]) -> Result<Vec<Need>, ReplyFault> {
    words
        .iter()
        .map(|word| {
            NEEDS
                .into_iter()
                .find(|n| n.as_str() == word)
                .ok_or_else(|| ReplyFault::Field {
                    field: "needs",
                    reason: format!(
                        "`{}` is none of {}",
                        clip(word, 40),
                        NEEDS.map(Need::as_str).join(", ")
                    ),
                })
        })
        .collect()
}

fn tool_name(text: &str) -> Result<ToolName, ReplyFault> {
    ToolName::new(text.trim()).map_err(|e| ReplyFault::Field {
        field: "name",
        reason: e.to_string(),
    })
}
