//! The door for agents: the Model Context Protocol. The only room that knows the protocol library.
//!
//! Every active tool is a tool of this server; fixed meta-tools serve clients that do not notice
//! when the list changes. Nothing here can approve: the meta-tools say where a person can.

#[expect(
    deprecated,
    reason = "the suite asks for the older revisions' methods too"
)]
mod fixture;
mod library;
mod lines;
mod meta;
mod person;
mod progress;
mod servers;
mod stdio;
pub(crate) mod strict;

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListPromptsResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::kept::Kept;
use crate::service::{Service, ServiceError, actor};
use crate::watch as library_watch;

pub(crate) use fixture::Fixture;
pub use servers::{ExternalServers, Reach};
pub use stdio::{McpError, serve_stdio};

/// Tools on one page of the list.
const PAGE: usize = 500;
/// Calls under way at once over all connections; the others wait their turn.
const CALLS: usize = 64;

const INSTRUCTIONS: &str = "\
Tools here were proved in a sandbox and approved by a person. Use search_tools before you write \
code for a task: a fitting tool may exist. When none fits, make_tool has one written and proved, or \
propose_tool proves yours; a person then approves it outside this connection, and it appears in \
the list (run_tool reaches it even if your list does not refresh). Nothing here approves. \
Inputs marked \"format\": \"file\" take a path beneath one of the server's roots.";

/// One per server; connections share it.
#[derive(Clone)]
pub struct McpDoor {
    shared: Arc<Shared>,
}

struct Shared {
    service: Arc<Service>,
    kept: Kept,
    calls: Arc<Semaphore>,
    library: watch::Receiver<i64>,
    /// `mcp` or `http`: part of the actor that the journal names.
    door: &'static str,
    /// Where a person finds the approval pages, if anywhere.
    pages: Option<String>,
}

impl McpDoor {
    /// Opens the door; needs a running async runtime. The library is watched until `stop`. A client
    /// that can show pages is sent to `{pages}/approvals/ID` when a person must decide.
    pub fn open(
        service: Arc<Service>,
        door: &'static str,
        pages: Option<String>,
        stop: CancellationToken,
    ) -> Result<Self, ServiceError> {
        let now = service.library_version()?;
        let library = library_watch::library(Arc::clone(&service), now, stop);
        Ok(Self {
            shared: Arc::new(Shared {
                service,
                kept: Kept::default(),
                calls: Arc::new(Semaphore::new(CALLS)),
                library,
                door,
                pages,
            }),
        })
    }

    /// Puts blocking work on a thread of its own, at most [`CALLS`] at once.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<Result<T, ServiceError>, ErrorData> {
        let permit = Arc::clone(&self.shared.calls)
            .acquire_owned()
            .await
            .map_err(|_| ErrorData::internal_error("the server is stopping", None))?;
        let service = Arc::clone(&self.shared.service);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&service)
        })
        .await
        .map_err(|e| ErrorData::internal_error(format!("the work broke off: {e}"), None))
    }

    fn actor(&self, context: &RequestContext<RoleServer>) -> String {
        let client = context.client_info();
        actor(self.shared.door, client.as_ref().map(|c| c.name.as_str()))
    }

    /// The newest active version of every tool.
    async fn offers(&self) -> Result<Arc<[handaxe_registry::Offer]>, ErrorData> {
        self.blocking(Service::offers)
            .await?
            .map_err(|e| internal(&e))
    }
}

/// A failure of the server itself, for which no answer can be given.
fn internal(error: &ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

/// A failure that the caller should read: kind, what happened, what to do next.
fn refusal(error: &ServiceError) -> CallToolResult {
    let text = format!("{}: {error}\nhint: {}", error.kind(), error.hint());
    CallToolResult::error(vec![ContentBlock::text(text)])
}

fn implementation() -> Implementation {
    Implementation::new("handaxe", env!("CARGO_PKG_VERSION")).with_title("Handaxe")
}

impl ServerHandler for McpDoor {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(implementation())
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let offers = self.offers().await?;
        let fixed = meta::tools();
        let listed = offers
            .iter()
            .filter(|o| !meta::is_reserved(o.tool.name.as_str()));
        let (tools, next) = match request.and_then(|r| r.cursor) {
            None => page(fixed.iter().cloned().chain(listed.map(library::tool))),
            Some(after) => {
                if handaxe_types::ToolName::new(&after).is_err() {
                    return Err(ErrorData::invalid_params("not a cursor of this list", None));
                }
                page(
                    listed
                        .filter(|o| o.tool.name.as_str() > after.as_str())
                        .map(library::tool),
                )
            }
        };
        let mut result = ListToolsResult::with_all_items(tools);
        result.next_cursor = next;
        Ok(result)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        meta::tools().iter().find(|t| t.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(meta) = meta::Meta::named(&request.name) else {
            return Ok(self.run_named(request, &context).await?.into());
        };
        meta.call(self, request, &context).await
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<
            rmcp::model::ListPromptsRequestMethod,
        >())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = self.shared.kept.all().iter().map(library::link).collect();
        Ok(ListResourcesResult::with_all_items(resources))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match self.shared.kept.find(&request.uri) {
            Some(item) => Ok(ReadResourceResult::new(vec![library::contents(&item)]).into()),
            None => Err(ErrorData::resource_not_found(
                "no such result is kept; it may have been too long ago",
                None,
            )),
        }
    }

    /// Older revisions: the client hears of changes for as long as it is connected.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut library = self.shared.library.clone();
        library.mark_unchanged();
        let peer = context.peer;
        tokio::spawn(async move {
            while library.changed().await.is_ok() {
                if peer.is_transport_closed() || peer.notify_tool_list_changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// 2026-07-28: the client asks to hear of changes.
    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut library = self.shared.library.clone();
        library.mark_unchanged();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                changed = library.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    if context.accepted().tools_list_changed == Some(true)
                        && context.sink().notify_tool_list_changed().await.is_err()
                    {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// A page's worth, and the name to go on after when there is more.
fn page(mut tools: impl Iterator<Item = Tool>) -> (Vec<Tool>, Option<String>) {
    let taken: Vec<Tool> = tools.by_ref().take(PAGE).collect();
    let next = tools
        .next()
        .and_then(|_| taken.last())
        .map(|last| last.name.to_string());
    (taken, next)
}

/// What `resources/list` shows of a kept item.
type Link = Resource;
