//! The fixed tools: finding, describing, running, making and proposing tools, and seeing what
//! waits for a person. A table; approving is not in it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use handaxe_agent::Goal;
use handaxe_types::{Case, Spec, ToolRef};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject, Tool,
    ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::progress::Told;
use super::{McpDoor, refusal};
use crate::jobs::{Job, Stands};
use crate::service::{Ask, Proposed, Service, ServiceError, tool_ref};

/// How long a call waits for a run where the client does not say.
const WAIT_SECONDS: u64 = 45;
/// The longest that a client may ask to wait.
const MOST_WAIT_SECONDS: u64 = 600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meta {
    SearchTools,
    DescribeTool,
    RunTool,
    MakeTool,
    ProposeTool,
    ToolStatus,
    ListApprovals,
}

const ALL: &[(Meta, &str, &str)] = &[
    (
        Meta::SearchTools,
        "search_tools",
        "Find approved tools by words: what you want done, or a name. Best first.",
    ),
    (
        Meta::DescribeTool,
        "describe_tool",
        "A tool's input and output schema, limits, requested capabilities, proof and use.",
    ),
    (
        Meta::RunTool,
        "run_tool",
        "Run an approved tool by name in its sandbox. For clients whose list of tools does not refresh.",
    ),
    (
        Meta::MakeTool,
        "make_tool",
        "Have a tool written and proved for a task that no tool does. Ends with a request that a person must approve; poll tool_status with the run's id.",
    ),
    (
        Meta::ProposeTool,
        "propose_tool",
        "Put a tool that you wrote through the whole proof: a Python module with `def run(...)`, its spec and cases. Cases of your own are not independent evidence: the server's goldens for that name and its own tester give that; with neither it is refused, unless the policy says otherwise.",
    ),
    (
        Meta::ToolStatus,
        "tool_status",
        "Where a run of make_tool or propose_tool stands: working, refused and why, waiting for a person, or usable.",
    ),
    (
        Meta::ListApprovals,
        "list_approvals",
        "Tools that are proved and wait for a person. They cannot be approved from here.",
    ),
];

fn schema(meta: Meta) -> Value {
    let name = json!({"type": "string", "minLength": 1, "maxLength": 48});
    let version = json!({"type": "integer", "minimum": 1, "description": "The newest active one when left out."});
    let wait = json!({"type": "integer", "minimum": 0, "maximum": MOST_WAIT_SECONDS, "default": WAIT_SECONDS,
        "description": "How long to wait for the end before answering with the state so far."});
    let (properties, required) = match meta {
        Meta::SearchTools => (
            json!({"query": {"type": "string", "maxLength": 4000},
                   "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10}}),
            json!(["query"]),
        ),
        Meta::DescribeTool => (json!({"name": name, "version": version}), json!(["name"])),
        Meta::RunTool => (
            json!({"name": name, "version": version,
                   "input": {"type": "object", "description": "As the tool's input schema says."}}),
            json!(["name", "input"]),
        ),
        Meta::MakeTool => (
            json!({"task": {"type": "string", "minLength": 1, "maxLength": 20000,
                            "description": "What the tool is to do, in words."},
                   "data": {"type": "array", "maxItems": 16, "items": {"type": "string"},
                            "description": "Files it is about, as paths beneath the server's roots."},
                   "wait_seconds": wait}),
            json!(["task"]),
        ),
        Meta::ProposeTool => (
            json!({"spec": {"type": "object", "description": "name, description, input_schema, output_schema, domain; optionally capabilities, limits, deterministic."},
                   "code": {"type": "string", "maxLength": 262_144, "description": "tool.py"},
                   "cases": {"type": "array", "maxItems": 1000, "items": {"type": "object"},
                             "description": "{\"name\", \"input\", and one of \"expect\", \"raises\", \"holds\"}"},
                   "why": {"type": "string", "minLength": 1, "maxLength": 4000},
                   "wait_seconds": wait}),
            json!(["spec", "code", "cases", "why"]),
        ),
        Meta::ToolStatus => (
            json!({"run": {"type": "string", "maxLength": 40}}),
            json!(["run"]),
        ),
        Meta::ListApprovals => (json!({}), json!([])),
    };
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn annotations(meta: Meta) -> ToolAnnotations {
    let writes = matches!(meta, Meta::MakeTool | Meta::ProposeTool);
    ToolAnnotations::new()
        .read_only(!writes)
        .destructive(false)
        .idempotent(!writes)
        .open_world(false)
}

/// The fixed tools, in their fixed order. Made once: every call of any tool looks here.
pub(super) fn tools() -> &'static [Tool] {
    static TOOLS: OnceLock<Vec<Tool>> = OnceLock::new();
    TOOLS.get_or_init(|| {
        ALL.iter()
            .map(|(meta, name, description)| {
                let schema = schema(*meta).as_object().cloned().unwrap_or_default();
                Tool::new(*name, *description, Arc::new(schema))
                    .with_annotations(annotations(*meta))
            })
            .collect()
    })
}

pub(super) fn is_reserved(name: &str) -> bool {
    ALL.iter().any(|(_, n, _)| *n == name)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: String,
    #[serde(default = "ten")]
    limit: u32,
}

fn ten() -> u32 {
    10
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    version: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    name: String,
    version: Option<u32>,
    input: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Make {
    task: String,
    #[serde(default)]
    data: Vec<String>,
    #[serde(default = "wait")]
    wait_seconds: u64,
}

/// Until when a call may be held.
fn patience(wait_seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(wait_seconds.min(MOST_WAIT_SECONDS))
}

fn wait() -> u64 {
    WAIT_SECONDS
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Propose {
    spec: Spec,
    code: String,
    cases: Vec<Case>,
    why: String,
    #[serde(default = "wait")]
    wait_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    run: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Bad arguments are for the caller to read and mend.
fn parse<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, CallToolResult> {
    serde_json::from_value(Value::Object(arguments)).map_err(|e| {
        CallToolResult::error(vec![ContentBlock::text(format!(
            "arguments: {e}\nhint: the tool's input schema says what it takes"
        ))])
    })
}

fn named(name: &str, version: Option<u32>) -> Result<ToolRef, CallToolResult> {
    tool_ref(name, version).map_err(|e| {
        CallToolResult::error(vec![ContentBlock::text(format!(
            "name: {e}\nhint: search_tools finds names"
        ))])
    })
}

pub(super) fn answer(value: Result<Value, ServiceError>) -> CallToolResult {
    match value {
        Ok(value) => CallToolResult::structured(value),
        Err(error) => refusal(&error),
    }
}

impl Meta {
    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, n, _)| *n == name).map(|(m, ..)| *m)
    }

    pub(super) async fn call(
        self,
        door: &McpDoor,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        // A run that waits for a person is waited for, and not begun again.
        if let Some(run) = request.request_state.filter(|_| self.begins_a_run()) {
            let wait = arguments.get("wait_seconds").and_then(Value::as_u64);
            let until = patience(wait.unwrap_or(WAIT_SECONDS));
            return door
                .asked_again(&run, request.input_responses.as_ref(), until)
                .await;
        }
        match self.try_call(door, arguments, context).await? {
            Ok(response) => Ok(response),
            Err(result) => Ok(result.into()),
        }
    }

    fn begins_a_run(self) -> bool {
        matches!(self, Self::MakeTool | Self::ProposeTool)
    }

    async fn try_call(
        self,
        door: &McpDoor,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<Result<CallToolResponse, CallToolResult>, ErrorData> {
        /// `?` for the inner of the two: what the caller is to read.
        macro_rules! told {
            ($given:expr) => {
                match $given {
                    Ok(value) => value,
                    Err(result) => return Ok(Err(result)),
                }
            };
        }
        let result = match self {
            Self::SearchTools => {
                let Search { query, limit } = told!(parse(arguments));
                answer(door.blocking(move |s| s.search(&query, limit)).await?).into()
            }
            Self::DescribeTool => {
                let Named { name, version } = told!(parse(arguments));
                let tool = told!(named(&name, version));
                answer(door.blocking(move |s| s.describe(&tool)).await?).into()
            }
            Self::RunTool => {
                let Run {
                    name,
                    version,
                    input,
                } = told!(parse(arguments));
                let tool = told!(named(&name, version));
                door.run(tool, input, context).await?.into()
            }
            Self::MakeTool => {
                let Make {
                    task,
                    data,
                    wait_seconds,
                } = told!(parse(arguments));
                let ask = Ask {
                    question: task,
                    goal: Goal::Make,
                    paths: data,
                    files: Vec::new(),
                };
                let begin = move |service: &Service, actor: &str, reporter| {
                    service.ask(actor, ask, reporter)
                };
                door.follow(context, wait_seconds, begin).await?
            }
            Self::ProposeTool => {
                let Propose {
                    spec,
                    code,
                    cases,
                    why,
                    wait_seconds,
                } = told!(parse(arguments));
                if is_reserved(spec.name.as_str()) {
                    let text = format!("name: `{}` is reserved\nhint: choose another", spec.name);
                    return Ok(Err(CallToolResult::error(vec![ContentBlock::text(text)])));
                }
                let proposed = Proposed {
                    spec,
                    code,
                    cases: authored(cases),
                    why,
                };
                let begin = move |service: &Service, actor: &str, reporter| {
                    service.propose(actor, proposed, reporter)
                };
                door.follow(context, wait_seconds, begin).await?
            }
            Self::ToolStatus => {
                let Status { run } = told!(parse(arguments));
                answer(door.blocking(move |s| s.status(&run)).await?).into()
            }
            Self::ListApprovals => {
                let Nothing {} = told!(parse(arguments));
                answer(door.blocking(Service::approvals).await?).into()
            }
        };
        Ok(Ok(result))
    }
}

/// Whatever a client says of where its cases come from, it wrote them.
fn authored(cases: Vec<Case>) -> Vec<Case> {
    cases
        .into_iter()
        .map(|case| Case {
            origin: handaxe_types::Origin::Author,
            held_out: false,
            ..case
        })
        .collect()
}

impl McpDoor {
    /// Begins a run and waits for it as long as the client wants; the run goes on without it,
    /// unless the client cancels the call.
    async fn follow(
        &self,
        context: &RequestContext<RoleServer>,
        wait_seconds: u64,
        begin: impl FnOnce(
            &Service,
            &str,
            Arc<dyn handaxe_types::Reporter>,
        ) -> Result<Arc<Job>, ServiceError>
        + Send
        + 'static,
    ) -> Result<CallToolResponse, ErrorData> {
        let until = patience(wait_seconds);
        let actor = self.actor(context);
        let told = Told::begin(context);
        let reporter = told.reporter();
        let job = match self.blocking(move |s| begin(s, &actor, reporter)).await? {
            Ok(job) => job,
            Err(error) => return Ok(refusal(&error).into()),
        };
        let run = job.run.clone();
        let waiting = {
            let job = Arc::clone(&job);
            let left = until.saturating_duration_since(Instant::now());
            tokio::task::spawn_blocking(move || job.wait(left))
        };
        let ended = tokio::select! {
            ended = waiting => ended.unwrap_or(Stands::Working),
            () = context.ct.cancelled() => {
                job.cancel();
                Stands::Working
            }
        };
        told.end().await;
        if let Stands::BrokeOff(broke) = ended {
            let text = format!("run: {broke}\nhint: handaxe runs show {run}");
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into());
        }
        self.put_before_a_person(context, run, until).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tool_approves_and_schemas_are_closed() {
        for tool in tools() {
            assert!(!tool.name.contains("approve"), "{}", tool.name);
            assert_eq!(tool.input_schema["additionalProperties"], json!(false));
        }
        assert!(Meta::named("run_tool").is_some());
        assert!(Meta::named("approve").is_none());
    }
}
