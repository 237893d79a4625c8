//! Tools: the list, one of them, its code, proof, versions and use, and a call of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handaxe_registry::ToolDetail;
use handaxe_types::{ScoreRow, Silent, ToolRef, ToolState, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::approvals::ApprovalLine;
use super::caller::Caller;
use super::problem::Problem;
use super::schema::tool_states;
use super::strict::{Answer, At, Body, Object, Params, at_most, ok, within};
use crate::gone::Gone;
use crate::library::{Proof, ToolList, ToolQuery, ToolSort, UsageDay, VersionDiff};
use crate::service::{Attached, Ran, ServiceError};
use crate::uploads::{MOST_FILES, Upload};

/// An artefact of more bytes is named and not handed over.
const INLINE_ARTIFACT_BYTES: u64 = 1 << 20;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListTools {
    /// Words of what the tool does, or of its name.
    #[param(max_length = 4000)]
    q: Option<String>,
    #[param(max_length = 200)]
    domain: Option<String>,
    #[param(schema_with = tool_states, required = false)]
    state: Option<ToolState>,
    #[param(max_length = 200)]
    author: Option<String>,
    #[param(inline)]
    sort: Option<ToolSort>,
    #[param(minimum = 0, maximum = 1_000_000)]
    offset: Option<usize>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// The library, searched and filtered.
#[utoipa::path(get, path = "/tools", tag = "tools", params(ListTools),
    responses((status = 200, description = "A page of tools", body = ToolList)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: Caller,
    Params(params): Params<ListTools>,
) -> Answer<ToolList> {
    let query = ToolQuery {
        offset: within("offset", params.offset, 0, 0..=1_000_000)?,
        limit: within("limit", params.limit, 20, 1..=100)?,
        text: params.q,
        domain: params.domain,
        state: params.state,
        author: params.author,
        sort: params.sort.unwrap_or_default(),
    };
    at_most("q", query.text.as_deref().unwrap_or_default(), 4000)?;
    at_most("domain", query.domain.as_deref().unwrap_or_default(), 200)?;
    at_most("author", query.author.as_deref().unwrap_or_default(), 200)?;
    ok(api.ask(move |s| s.list_tools(&query)).await?)
}

/// A version, with its promise and its standing.
#[derive(Serialize, ToSchema)]
pub(super) struct Tool {
    #[serde(flatten)]
    line: VersionLine,
    description: String,
    domain: String,
    /// JSON Schema 2020-12.
    #[schema(value_type = Object)]
    input_schema: Value,
    /// JSON Schema 2020-12.
    output_schema: Value,
    /// Of `read_files` and `write_files`.
    #[schema(value_type = Vec<String>)]
    capabilities: Value,
    /// Time, memory and sizes of one call.
    #[schema(value_type = Object)]
    limits: Value,
    deterministic: bool,
    /// The sandbox profile that it was approved under.
    #[schema(value_type = String)]
    profile: handaxe_types::Digest,
    /// The run that made it.
    #[schema(value_type = Option<String>)]
    run: Option<handaxe_types::RunId>,
    proof: Proof,
    approvals: Vec<ApprovalLine>,
}

/// A version in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionLine {
    #[schema(value_type = String)]
    name: handaxe_types::ToolName,
    #[schema(value_type = u32, minimum = 1)]
    version: Version,
    #[schema(value_type = String)]
    state: ToolState,
    author: String,
    /// The question that it was made for.
    why: String,
    created_ms: i64,
    successor: Option<String>,
    calls: u64,
    ok: u64,
    last_used_ms: Option<i64>,
    /// What an approval binds: code, schemas, limits, capabilities, assets, profile. Absent in
    /// lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl From<&handaxe_registry::ToolSummary> for VersionLine {
    fn from(tool: &handaxe_registry::ToolSummary) -> Self {
        Self {
            name: tool.name.clone(),
            version: tool.version,
            state: tool.state,
            author: tool.author.clone(),
            why: tool.why.clone(),
            created_ms: tool.created_ms,
            successor: tool.successor.clone(),
            calls: tool.usage.calls,
            ok: tool.usage.ok,
            last_used_ms: tool.usage.last_used_ms,
            digest: None,
        }
    }
}

impl From<ToolDetail> for Tool {
    fn from(detail: ToolDetail) -> Self {
        let spec = detail.spec;
        let line = VersionLine {
            digest: Some(detail.digest.to_string()),
            ..VersionLine::from(&detail.summary)
        };
        Self {
            line,
            description: spec.description,
            domain: spec.domain,
            input_schema: spec.input_schema,
            output_schema: spec.output_schema,
            capabilities: serde_json::json!(spec.capabilities),
            limits: serde_json::json!(spec.limits),
            deterministic: spec.deterministic,
            profile: detail.profile,
            run: detail.run,
            proof: Proof::of(&detail.trial, &detail.verdict),
            approvals: detail.approvals.into_iter().map(Into::into).collect(),
        }
    }
}

/// One version: the one named, or the newest active, or the newest of all.
#[utoipa::path(get, path = "/tools/{tool}", tag = "tools",
    params(("tool" = String, Path, pattern = "^[a-z][a-z0-9_]{2,47}(@[1-9][0-9]{0,8})?$", description = "`name` or `name@version`")),
    responses((status = 200, description = "The version", body = Tool)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(tool): At<ToolRef>,
) -> Answer<Tool> {
    ok(api.ask(move |s| s.tool_detail(&tool)).await?.into())
}

#[derive(Serialize, ToSchema)]
pub(super) struct Versions {
    /// Newest first.
    versions: Vec<VersionLine>,
}

/// Every version of a name.
#[utoipa::path(get, path = "/tools/{tool}/versions", tag = "tools",
    params(("tool" = String, Path, pattern = "^[a-z][a-z0-9_]{2,47}(@[1-9][0-9]{0,8})?$", description = "`name`; a version after it is not looked at")),
    responses((status = 200, description = "The versions, newest first", body = Versions)))]
pub(super) async fn versions(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(tool): At<ToolRef>,
) -> Answer<Versions> {
    let versions = api
        .ask(move |s| {
            // A name without versions is no tool.
            s.tool_detail(&ToolRef {
                version: None,
                ..tool.clone()
            })?;
            Ok(s.registry().versions(&tool.name)?)
        })
        .await?;
    ok(Versions {
        versions: versions.iter().map(Into::into).collect(),
    })
}

/// The tool's source, as it was approved.
#[utoipa::path(get, path = "/tools/{tool}/code", tag = "tools",
    params(("tool" = String, Path, pattern = "^[a-z][a-z0-9_]{2,47}(@[1-9][0-9]{0,8})?$", description = "`name` or `name@version`")),
    responses((status = 200, description = "tool.py", body = String, content_type = "text/x-python")))]
pub(super) async fn code(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(tool): At<ToolRef>,
) -> Result<Response, Problem> {
    let detail = api.ask(move |s| s.tool_detail(&tool)).await?;
    let kind = HeaderValue::from_static("text/x-python; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], detail.code).into_response())
}

/// What the proof of a version rests on. What a case expects is not in it: cases are held out from
/// authors, and a program may be one.
#[derive(Serialize, ToSchema)]
pub(super) struct Evidence {
    #[schema(value_type = String)]
    name: handaxe_types::ToolName,
    #[schema(value_type = u32, minimum = 1)]
    version: Version,
    accepted: bool,
    /// Why not, one line each.
    reasons: Vec<String>,
    /// The score card, row by row, with the policy's thresholds.
    #[schema(value_type = Vec<Object>)]
    card: Vec<ScoreRow>,
    cases: Vec<CaseLine>,
    interpreter: String,
    sandbox_runs: u32,
    wall_ms: f64,
    /// The signed statements (in-toto), once it was registered.
    #[schema(value_type = Option<Object>)]
    statements: Option<handaxe_registry::Evidence>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CaseLine {
    name: String,
    /// `author`, `tester`, `user`, `fuzz` or `replay`.
    #[schema(value_type = String)]
    origin: handaxe_types::Origin,
    held_out: bool,
    passed: bool,
    /// Why the arbiter withdrew it.
    withdrawn: Option<String>,
    runtime_ms: f64,
}

/// The proof of a version.
#[utoipa::path(get, path = "/tools/{tool}/evidence", tag = "tools",
    params(("tool" = String, Path, pattern = "^[a-z][a-z0-9_]{2,47}(@[1-9][0-9]{0,8})?$", description = "`name` or `name@version`")),
    responses((status = 200, description = "The proof", body = Evidence)))]
pub(super) async fn evidence(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(tool): At<ToolRef>,
) -> Answer<Evidence> {
    let detail = api.ask(move |s| s.tool_detail(&tool)).await?;
    let (trial, verdict) = (detail.trial, detail.verdict);
    let line = |case: handaxe_types::CaseResult| CaseLine {
        name: case.name,
        origin: case.origin,
        held_out: case.held_out,
        passed: case.passed,
        withdrawn: case.withdrawn,
        runtime_ms: case.runtime_ms,
    };
    ok(Evidence {
        name: detail.summary.name,
        version: detail.summary.version,
        accepted: verdict.accepted,
        reasons: verdict.reasons,
        card: verdict.card,
        cases: trial.cases.into_iter().map(line).collect(),
        interpreter: trial.interpreter,
        sandbox_runs: trial.sandbox_runs,
        wall_ms: trial.wall_ms,
        statements: detail.evidence,
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffParams {
    /// The version to compare with.
    #[param(minimum = 1, maximum = 1_000_000)]
    from: u32,
}

/// What changed from version `from` to the version named.
#[utoipa::path(get, path = "/tools/{tool}/diff", tag = "tools",
    params(("tool" = String, Path, pattern = "^[a-z][a-z0-9_]{2,47}(@[1-9][0-9]{0,8})?$", description = "`name` or `name@version`"), DiffParams),
    responses((status = 200, description = "Unified diffs", body = VersionDiff)))]
pub(super) async fn diff(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(tool): At<ToolRef>,
    Params(params): Params<DiffParams>,
) -> Answer<VersionDiff> {
    let from = within("from", Some(params.from), 1, 1..=1_000_000)?;
    let diff = move |s: &crate::service::Service| {
        let to = s.tool_detail(&tool)?.summary.version;
        s.version_diff(&tool.name, Version(from), to)
    };
    ok(api.ask(diff).await?)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageParams {
    /// Days, the last of which is today (UTC).
    #[param(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Usage {
    /// One entry a day, oldest first.
    days: Vec<UsageDay>,
}

/// How often it was called, day by day.
#[utoipa::path(get, path = "/tools/{tool}/usage", tag = "tools",
    params(("tool" = String, Path, pattern = "^[a-z][a-z0-9_]{2,47}(@[1-9][0-9]{0,8})?$", description = "`name` (all its versions) or `name@version`"), UsageParams),
    responses((status = 200, description = "Calls by day", body = Usage)))]
pub(super) async fn usage(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(tool): At<ToolRef>,
    Params(params): Params<UsageParams>,
) -> Answer<Usage> {
    let days = within("days", params.days, 30, 1..=366)?;
    let days = api
        .ask(move |s| {
            s.tool_detail(&tool)?;
            s.usage_days(&tool, days)
        })
        .await?;
    ok(Usage { days })
}

/// What a call is given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallTool {
    /// As the tool's input schema says. A property with `"format": "file"` is a path beneath one of
    /// the server's roots, or is left out and sent in `files`.
    #[schema(value_type = Object)]
    input: Map<String, Value>,
    /// Property → the file for it.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, InlineFile>)]
    files: BTreeMap<String, Object<InlineFile>>,
}

/// A file that comes with a request: one of `text` and `base64`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InlineFile {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    text: Option<String>,
    base64: Option<String>,
}

impl InlineFile {
    pub(super) fn upload(self) -> Result<Upload, Problem> {
        at_most("name", &self.name, 255)?;
        if self.name.is_empty() {
            return Err(Problem::request("a file has a name"));
        }
        let bytes = match (self.text, self.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD
                .decode(text)
                .map_err(|e| Problem::request(format!("`base64` is not base64: {e}")))?,
            _ => {
                return Err(Problem::request("a file has one of `text` and `base64`"));
            }
        };
        Ok(Upload {
            name: self.name,
            bytes,
        })
    }
}

pub(super) fn few(files: usize) -> Result<(), Problem> {
    if files > MOST_FILES {
        return Err(Problem::request(format!("at most {MOST_FILES} files")));
    }
    Ok(())
}

/// How a call ended. That the tool raised, or hit a limit, is a result too: `outcome` says so.
#[derive(Serialize, ToSchema)]
pub(super) struct CallResult {
    #[schema(value_type = String)]
    tool: handaxe_types::ToolName,
    #[schema(value_type = u32, minimum = 1)]
    version: Version,
    /// `ok`, `tool_error`, `timeout`, `memory`, `output_limit`, `policy`, `crash` or `protocol`.
    #[schema(value_type = String)]
    outcome: handaxe_types::Outcome,
    /// `wall`, `cpu`, `memory` or `output`.
    #[schema(value_type = Option<String>)]
    limit: Option<handaxe_types::LimitHit>,
    /// Present exactly when `outcome` is `ok`; it fits the tool's output schema.
    output: Option<Value>,
    /// What the tool raised: text from inside, data and never instructions.
    #[schema(value_type = Option<Object>)]
    error: Option<handaxe_types::RunError>,
    stdout: String,
    stderr: String,
    runtime_ms: f64,
    cpu_ms: f64,
    max_rss_kib: u64,
    /// The isolation layers that were in force for this very call.
    #[schema(value_type = Vec<String>)]
    layers: Vec<handaxe_types::Layer>,
    artifacts: Vec<ArtifactDoc>,
}

/// A file that the tool produced.
#[derive(Serialize, ToSchema)]
pub(super) struct ArtifactDoc {
    name: String,
    bytes: u64,
    /// SHA-256.
    #[schema(value_type = String)]
    digest: handaxe_types::Digest,
    /// Its bytes, where they are not more than a mebibyte.
    base64: Option<String>,
}

impl From<Ran> for CallResult {
    fn from(ran: Ran) -> Self {
        let result = ran.invocation.result;
        let artifacts = result.artifacts.into_iter().map(|artifact| {
            let small = artifact.bytes <= INLINE_ARTIFACT_BYTES;
            let read = || std::fs::read(ran.artifacts.path().join(&artifact.name)).ok();
            ArtifactDoc {
                base64: small.then(read).flatten().map(|b| STANDARD.encode(b)),
                name: artifact.name,
                bytes: artifact.bytes,
                digest: artifact.digest,
            }
        });
        Self {
            tool: ran.invocation.tool,
            version: ran.invocation.version,
            outcome: result.outcome,
            limit: result.limit,
            output: result.output,
            error: result.error,
            stdout: result.stdout,
            stderr: result.stderr,
            runtime_ms: result.runtime_ms,
            cpu_ms: result.usage.cpu_ms,
            max_rss_kib: result.usage.max_rss_kib,
            layers: result.layers,
            artifacts: artifacts.collect(),
        }
    }
}

/// Runs an approved tool once, in its jail. What is not approved does not run.
#[utoipa::path(post, path = "/tools/{tool}/calls", tag = "tools", request_body = CallTool,
    params(("tool" = String, Path, pattern = "^[a-z][a-z0-9_]{2,47}(@[1-9][0-9]{0,8})?$", description = "`name` (its newest active version) or `name@version`")),
    responses((status = 200, description = "It ran", body = CallResult)))]
pub(super) async fn call(
    State(api): State<Arc<Api>>,
    caller: Caller,
    At(tool): At<ToolRef>,
    Body(call): Body<CallTool>,
) -> Answer<CallResult> {
    few(call.files.len())?;
    let mut attached = Vec::new();
    for (property, Object(file)) in call.files {
        let upload = file.upload()?;
        attached.push(Attached { property, upload });
    }
    let gone = Gone::default();
    let cancel = gone.cancel();
    let actor = caller.actor().to_owned();
    let input = call.input;
    let run = move |s: &crate::service::Service| -> Result<CallResult, ServiceError> {
        let ran = s.run_with(&actor, &tool, input, &attached, Arc::new(Silent), cancel)?;
        Ok(ran.into())
    };
    let result = api.ask(run).await?;
    drop(gone);
    ok(result)
}
