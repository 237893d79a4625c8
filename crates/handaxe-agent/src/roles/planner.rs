//! The planner: a question, what is known of its data, and the tools there are.

use std::collections::BTreeMap;

use handaxe_types::{
    Binding, Candidate, Each, ExternalTool, Flow, FlowStep, Need, Route, ToolName, ToolRef,
    ToolRequest, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::flow::{self, Interface};
use crate::pipeline::Turn;
use crate::pipeline::external::fits;

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
/// Of another program's description.
const MAX_WORDS: usize = 1_000;

/// An approved tool that may be reused.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    pub name: ToolName,
    pub version: Version,
    pub description: String,
    pub input_schema: Value,
    pub output_schema: Value,
    /// How many of the person's examples and goldens it was run on, and how many it met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<Met>,
}

/// A tool of another program, as a person accepted it: its words are that program's.
#[derive(Clone, Copy, Debug)]
pub struct ExternalOffer<'a> {
    pub server: &'a str,
    pub tool: &'a ExternalTool,
}

impl ExternalOffer<'_> {
    /// What the planner sees of it.
    fn shown(&self) -> Value {
        json!({
            "server": self.server, "tool": self.tool.name,
            "description": clip(&self.tool.description, MAX_WORDS),
            "input_schema": self.tool.input_schema,
        })
    }
}

/// What came of running a candidate on the person's examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    pub met: usize,
    pub of: usize,
}

impl Met {
    pub fn all(self) -> bool {
        self.met == self.of
    }
}

#[derive(Clone, Copy, Debug)]
pub struct PlanBrief<'a> {
    pub question: &'a str,
    /// Earlier questions and answers of the same conversation, oldest first.
    pub history: &'a [Turn],
    /// Names of the attached files.
    pub files: &'a [String],
    /// What of the data the model may see; `null` for nothing.
    pub preview: &'a Value,
    pub offers: &'a [Offer],
    /// Every name in use, of tools that were not offered too.
    pub names: &'a [ToolName],
    /// Other programs' tools.
    pub externals: &'a [ExternalOffer<'a>],
    /// Of tools that may be made, and those that may not.
    pub domains: &'a [String],
    pub denied: &'a [String],
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlanReply {
    pub route: Route,
    /// Plain words, one step each.
    pub steps: Vec<String>,
    /// Why the offered tools were not enough, or were, in the planner's words.
    pub considered: Vec<Candidate>,
}

/// Flat, because that is what structured output and small models do best.
#[derive(Deserialize)]
struct Raw {
    route: String,
    #[serde(default)]
    steps: Vec<String>,
    considered: Option<Vec<RawCandidate>>,
    flow: Option<Vec<RawStep>>,
    server: Option<String>,
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

#[derive(Deserialize)]
struct RawCandidate {
    tool: String,
    why: String,
}

#[derive(Deserialize)]
struct RawStep {
    id: String,
    tool: String,
    #[serde(default)]
    input: BTreeMap<String, Binding>,
    each: Option<Each>,
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
            "history": self.history,
            "files": self.files,
            "preview": self.preview,
            "offers": self.offers,
            "externals": self.externals.iter().map(ExternalOffer::shown).collect::<Vec<_>>(),
            "domains": self.domains,
            "denied": self.denied,
            "needs": NEEDS.map(Need::as_str),
        })
    }

    fn schema(&self) -> Option<Value> {
        let text = json!({"type": "string"});
        let mut routes = vec!["reuse", "compose", "extend", "make", "direct", "refuse"];
        if !self.externals.is_empty() {
            routes.insert(4, "external");
        }
        let mut schema = json!({
            "type": "object",
            "properties": {
                "steps": {"type": "array", "items": text},
                "considered": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"tool": text, "why": text},
                    "required": ["tool", "why"],
                }},
                "route": {"enum": routes},
                "flow": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "id": text, "tool": text,
                        "input": {"type": "object"}, "each": {"type": "object"},
                    },
                    "required": ["id", "tool", "input"],
                }},
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
        });
        if !self.externals.is_empty() {
            schema["properties"]["server"] = text;
        }
        Some(schema)
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
            "reuse" => self.reuse(
                raw.tool.as_deref().ok_or_else(lacks("tool"))?,
                raw.input.clone().ok_or_else(lacks("input"))?,
            )?,
            "compose" => self.compose(raw.flow.ok_or_else(lacks("flow"))?)?,
            "extend" => {
                let offer = self.offer(raw.tool.as_deref().ok_or_else(lacks("tool"))?)?;
                Route::Extend {
                    tool: offer.name.clone(),
                    version: offer.version,
                    request: request(&raw, offer.name.clone(), lacks)?,
                }
            }
            "make" => {
                let name = tool_name(raw.name.as_deref().ok_or_else(lacks("name"))?)?;
                self.make(request(&raw, name, lacks)?)?
            }
            "external" if !self.externals.is_empty() => self.external(
                raw.server.as_deref().ok_or_else(lacks("server"))?,
                raw.tool.as_deref().ok_or_else(lacks("tool"))?,
                raw.input.clone().ok_or_else(lacks("input"))?,
            )?,
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
                        "`{}` is none of reuse, compose, extend, make, direct, refuse",
                        clip(other, 40)
                    ),
                });
            }
        };
        let steps = raw.steps.iter().take(MAX_STEPS).map(|s| clip(s, 300));
        let considered = raw.considered.iter().flatten();
        Ok(PlanReply {
            route,
            steps: steps.filter(|s| !s.is_empty()).collect(),
            considered: considered
                .filter_map(|c| {
                    let offer = self.offer(&c.tool).ok()?;
                    Some(Candidate {
                        tool: offer.name.clone(),
                        version: offer.version,
                        why: clip(&c.why, 300),
                    })
                })
                .collect(),
        })
    }
}

/// The fields of a tool that is to be written.
fn request<F: FnOnce() -> ReplyFault>(
    raw: &Raw,
    name: ToolName,
    lacks: impl Fn(&'static str) -> F,
) -> Result<ToolRequest, ReplyFault> {
    Ok(ToolRequest {
        name,
        purpose: clip(raw.purpose.as_deref().ok_or_else(lacks("purpose"))?, 2000),
        domain: clip(raw.domain.as_deref().ok_or_else(lacks("domain"))?, 60),
        needs: needs(raw.needs.as_deref().ok_or_else(lacks("needs"))?)?,
    })
}

impl PlanBrief<'_> {
    /// Only with arguments that fit, and only a tool that does not contradict the examples.
    fn reuse(&self, named: &str, input: Map<String, Value>) -> Result<Route, ReplyFault> {
        let offer = self.offer(named)?;
        if let Some(met) = offer.examples.filter(|met| !met.all()) {
            return Err(ReplyFault::Field {
                field: "tool",
                reason: format!(
                    "`{}` meets {} of the {} examples that the person gave",
                    offer.name, met.met, met.of
                ),
            });
        }
        let unfit = |reason: String| ReplyFault::Field {
            field: "input",
            reason,
        };
        let schema = handaxe_validate::Schema::compile_input(&offer.input_schema)
            .map_err(|e| unfit(e.to_string()))?;
        schema
            .check_object(&input)
            .map_err(|e| unfit(e.to_string()))?;
        Ok(Route::Reuse {
            tool: offer.name.clone(),
            version: offer.version,
            input,
        })
    }

    /// Only a tool that was offered, and only with arguments that its schema takes.
    fn external(
        &self,
        server: &str,
        tool: &str,
        input: Map<String, Value>,
    ) -> Result<Route, ReplyFault> {
        let offered = |o: &&ExternalOffer<'_>| o.server == server && o.tool.name == tool;
        let offer = self.externals.iter().find(offered);
        let offer = offer.ok_or_else(|| ReplyFault::UnknownTool {
            name: clip(&format!("{tool} of {server}"), 120),
        })?;
        fits(offer.tool, &input).map_err(|reason| ReplyFault::Field {
            field: "input",
            reason: clip(&reason, 500),
        })?;
        Ok(Route::External {
            server: server.to_owned(),
            tool: tool.to_owned(),
            input,
        })
    }

    /// Offered tools alone, and every edge of fitting types.
    fn compose(&self, raw: Vec<RawStep>) -> Result<Route, ReplyFault> {
        let mut steps = Vec::new();
        let mut interfaces = Vec::new();
        for step in raw.into_iter().take(flow::MAX_STEPS + 1) {
            let offer = self.offer(&step.tool)?;
            interfaces.push(Interface {
                input: &offer.input_schema,
                output: &offer.output_schema,
            });
            steps.push(FlowStep {
                id: clip(&step.id, 40),
                tool: offer.name.clone(),
                version: offer.version,
                input: step.input,
                each: step.each,
            });
        }
        let flow = Flow { steps };
        flow::check(&flow, &interfaces, self.files).map_err(|fault| ReplyFault::Field {
            field: "flow",
            reason: clip(&fault.to_string(), 500),
        })?;
        Ok(Route::Compose { flow })
    }

    /// Nothing is made twice, and no name is taken for another.
    fn make(&self, request: ToolRequest) -> Result<Route, ReplyFault> {
        let wrong = |field: &'static str, reason: String| Err(ReplyFault::Field { field, reason });
        let does_it = |o: &&Offer| o.examples.is_some_and(Met::all);
        if let Some(offer) = self.offers.iter().find(does_it) {
            let reason = format!(
                "`{}` gives what every example expects already: reuse it, or extend it",
                offer.name
            );
            return wrong("route", reason);
        }
        if let Some(offer) = self.offers.iter().find(|o| o.name == request.name) {
            // A taken name is no new tool: what the tool gave until now, it goes on giving.
            return Ok(Route::Extend {
                tool: offer.name.clone(),
                version: offer.version,
                request,
            });
        }
        if self.names.contains(&request.name) {
            let reason = format!("there is a tool `{}` already; choose another", request.name);
            return wrong("name", reason);
        }
        match handaxe_registry::confusable(&request.name, self.names) {
            Some((other, how)) => {
                let name = &request.name;
                wrong("name", format!("`{name}` {how} `{other}`; choose another"))
            }
            None => Ok(Route::Make { request }),
        }
    }

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
