//! Approved tools as the protocol's tools, and what their runs gave as the protocol's results.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handaxe_registry::{LoadError, Offer};
use handaxe_types::{Artifact, Outcome, Spec, ToolRef};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, JsonObject, MetaObject, ResourceContents,
    Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};

use super::progress::Told;
use super::{Link, McpDoor, refusal};
use crate::gone::Gone;
use crate::kept::{Item, Kept};
use crate::service::{Ran, ServiceError, digest_text, tool_ref};

/// A result of more JSON than this is kept as a resource and linked.
const INLINE_BYTES: usize = 256 << 10;
/// An artefact larger than this is not handed over.
const ARTIFACT_BYTES: u64 = 64 << 20;
/// Of a tool's own words in an error.
const ERROR_CHARS: usize = 2_000;
/// Structured content is an object in the older revisions, so any other output is put under this
/// name, in schema and result alike.
const WRAPPED: &str = "result";

fn is_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

fn output_schema(spec: &Spec) -> JsonObject {
    match &spec.output_schema {
        Value::Object(schema) if is_object(&spec.output_schema) => schema.clone(),
        other => {
            // References from the root keep their meaning only at the root.
            let mut inner = other.clone();
            let mut whole = Map::new();
            if let Some(defs) = inner.as_object_mut().and_then(|o| o.remove("$defs")) {
                whole.insert("$defs".to_owned(), defs);
            }
            whole.insert("type".to_owned(), json!("object"));
            whole.insert("properties".to_owned(), json!({ WRAPPED: inner }));
            whole.insert("required".to_owned(), json!([WRAPPED]));
            whole.insert("additionalProperties".to_owned(), json!(false));
            whole
        }
    }
}

/// What a client sees of an approved tool.
pub(super) fn tool(offer: &Offer) -> Tool {
    let spec = &offer.spec;
    let input = spec.input_schema.as_object().cloned().unwrap_or_default();
    let mut meta = MetaObject::new();
    meta.insert(
        "handaxe/tool".to_owned(),
        json!({
            "version": offer.tool.version,
            "digest": digest_text(offer.digest),
            "domain": spec.domain,
        }),
    );
    Tool::new(
        offer.tool.name.as_str().to_owned(),
        spec.description.clone(),
        Arc::new(input),
    )
    .with_raw_output_schema(Arc::new(output_schema(spec)))
    .with_annotations(
        // Files that a tool writes are its own result: nothing of anybody's is changed.
        ToolAnnotations::new()
            .read_only(true)
            .destructive(false)
            .idempotent(spec.deterministic)
            .open_world(false),
    )
    .with_meta(meta)
}

pub(super) fn link(item: &Item) -> Link {
    Link::new(&item.uri, &item.name)
        .with_mime_type(item.mime)
        .with_size(item.bytes.len() as u64)
}

pub(super) fn contents(item: &Item) -> ResourceContents {
    match std::str::from_utf8(&item.bytes) {
        Ok(text) => ResourceContents::TextResourceContents {
            uri: item.uri.clone(),
            mime_type: Some(item.mime.to_owned()),
            text: text.to_owned(),
            meta: None,
        },
        Err(_) => ResourceContents::BlobResourceContents {
            uri: item.uri.clone(),
            mime_type: Some("application/octet-stream".to_owned()),
            blob: STANDARD.encode(&item.bytes),
            meta: None,
        },
    }
}

impl McpDoor {
    /// Runs a tool that the client named as one of the protocol's. A name that was never a tool is
    /// the protocol's to refuse; one that is not approved is the registry's, with the next step.
    pub(super) async fn run_named(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let name = request.name;
        let unknown = || {
            let shown: String = name.chars().take(64).collect();
            ErrorData::invalid_params(format!("Unknown tool: {}", shown.escape_debug()), None)
        };
        let tool = tool_ref(&name, None).map_err(|_| unknown())?;
        let input = request.arguments.unwrap_or_default();
        match self.ran(tool, input, context).await? {
            Err(ServiceError::Load(LoadError::NotFound { .. })) => Err(unknown()),
            ran => Ok(self.told(ran)),
        }
    }

    /// Runs a tool for a client, in the jail, journalled under the client's name.
    pub(super) async fn run(
        &self,
        tool: ToolRef,
        input: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let ran = self.ran(tool, input, context).await?;
        Ok(self.told(ran))
    }

    fn told(&self, ran: Result<Ran, ServiceError>) -> CallToolResult {
        match ran {
            Ok(ran) => self.result(&ran),
            Err(error) => refusal(&error),
        }
    }

    async fn ran(
        &self,
        tool: ToolRef,
        input: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<Result<Ran, ServiceError>, ErrorData> {
        let actor = self.actor(context);
        // Its message says that the client cancelled, or its connection is gone.
        let gone = Gone::default();
        let cancel = gone.cancel();
        let told = Told::begin(context);
        let reporter = told.reporter();
        let guard = context.ct.clone();
        let stop = cancel.clone();
        let watcher = tokio::spawn(async move {
            guard.cancelled().await;
            stop.cancel();
        });
        let ran = self
            .blocking(move |service| service.run(&actor, &tool, input, reporter, cancel))
            .await;
        watcher.abort();
        drop(gone);
        told.end().await;
        ran
    }

    fn result(&self, ran: &Ran) -> CallToolResult {
        let result = &ran.invocation.result;
        let Some(output) = result
            .output
            .as_ref()
            .filter(|_| result.outcome == Outcome::Ok)
        else {
            let mut text = format!(
                "{}@{} ended with {}",
                ran.invocation.tool,
                ran.invocation.version,
                result.outcome.as_str()
            );
            if let Some(error) = &result.error {
                let message: String = error.message.chars().take(ERROR_CHARS).collect();
                let _ = write!(text, ": {}: {message}", error.kind);
            }
            return CallToolResult::error(vec![ContentBlock::text(text)]);
        };
        let structured = match output {
            Value::Object(_) => output.clone(),
            other => json!({ WRAPPED: other }),
        };
        let text = output.to_string();
        let mut content = Vec::new();
        let mut done = CallToolResult::success(Vec::new());
        if text.len() > INLINE_BYTES {
            let name = format!("{}.json", ran.invocation.tool);
            let bytes = text.len();
            if let Some(item) = self
                .shared
                .kept
                .keep(&name, "application/json", text.into_bytes())
            {
                content.push(ContentBlock::text(format!(
                    "The result is {bytes} bytes of JSON; read it from {}.",
                    item.uri
                )));
                content.push(ContentBlock::resource_link(link(&item)));
            }
        } else {
            content.push(ContentBlock::text(text));
        }
        // A declared output schema makes the structured form a duty, whatever its size.
        done.structured_content = Some(structured);
        for artifact in &result.artifacts {
            content.push(handed_over(&self.shared.kept, ran, artifact));
        }
        done.content = content;
        done
    }
}

fn handed_over(kept: &Kept, ran: &Ran, artifact: &Artifact) -> ContentBlock {
    let name = artifact.name.as_str();
    if artifact.bytes > ARTIFACT_BYTES {
        return ContentBlock::text(format!(
            "{name} is {} bytes: too large to hand over here; `handaxe run --out DIR` gives it",
            artifact.bytes
        ));
    }
    let read = std::fs::read(ran.artifacts.path().join(name));
    let mime = match name.rsplit_once('.').map(|(_, e)| e) {
        Some("json") => "application/json",
        Some("csv") => "text/csv",
        Some("txt" | "log" | "md") => "text/plain",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    match read.ok().and_then(|bytes| kept.keep(name, mime, bytes)) {
        Some(item) => ContentBlock::resource_link(link(&item)),
        None => ContentBlock::text(format!("{name} could not be kept")),
    }
}
