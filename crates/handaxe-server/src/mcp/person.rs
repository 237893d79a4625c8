//! Puts a request that waits before a person, where the client can show a page: by the older
//! revisions' question to the client, by 2026-07-28's "input required" otherwise. Opening the page
//! decides nothing and neither does the client's word: the page asks who is there, and the registry
//! alone is asked what came of it.

use std::pin::pin;
use std::time::{Duration, Instant};

use handaxe_types::{ApprovalRequest, RunId};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolResponse, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    InputRequest, InputRequests, InputRequiredResult, InputResponses, ProtocolVersion,
};
use rmcp::service::{RequestContext, RoleServer};

use super::meta::answer;
use super::{McpDoor, internal};

/// How often it is looked whether the person has decided.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The question's name among what is asked of a client.
const KEY: &str = "approval";

impl McpDoor {
    /// Where a run stands, after a person was asked if it waits for one and the client can ask.
    pub(super) async fn put_before_a_person(
        &self,
        context: &RequestContext<RoleServer>,
        run: RunId,
        until: Instant,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(pages) = self
            .shared
            .pages
            .as_deref()
            .filter(|_| shows_pages(context))
        else {
            return self.stands(run).await;
        };
        let Some(request) = self.awaited(&run).await? else {
            return self.stands(run).await;
        };
        let question = question(pages, &request);
        if context.protocol_version() >= Some(ProtocolVersion::V_2026_07_28) {
            let asked = InputRequest::Elicitation(ElicitRequest::new(question));
            let asked = InputRequests::from([(KEY.to_owned(), asked)]);
            return Ok(InputRequiredResult::new(Some(asked), Some(run.to_string())).into());
        }
        let left = until.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let mut decided = pin!(self.decided(&run, until));
            tokio::select! {
                () = &mut decided => {}
                said = context.peer.create_elicitation_with_timeout(question, Some(left)) => {
                    if said.is_ok_and(|s| s.action == ElicitationAction::Accept) {
                        decided.await;
                    }
                }
                () = context.ct.cancelled() => {}
            }
        }
        self.stands(run).await
    }

    /// The client comes again with what its person did. What it calls the run and the answer are
    /// its own words: they tell where to look and whether to wait, and no more.
    pub(super) async fn asked_again(
        &self,
        run: &str,
        responses: Option<&InputResponses>,
        until: Instant,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(run) = RunId::parse(run) else {
            return Err(ErrorData::invalid_params(
                "requestState is none of ours",
                None,
            ));
        };
        let said = responses
            .and_then(|r| r.get(KEY))
            .and_then(|r| serde_json::from_value::<ElicitResult>(r.clone()).ok());
        if said.is_some_and(|s| s.action == ElicitationAction::Accept) {
            self.decided(&run, until).await;
        }
        self.stands(run).await
    }

    pub(super) async fn stands(&self, run: RunId) -> Result<CallToolResponse, ErrorData> {
        let status = self.blocking(move |s| s.status(run.as_str())).await?;
        Ok(answer(status).into())
    }

    async fn awaited(&self, run: &RunId) -> Result<Option<ApprovalRequest>, ErrorData> {
        let run = run.clone();
        let awaited = self.blocking(move |s| s.awaited(&run)).await?;
        awaited.map_err(|e| internal(&e))
    }

    /// Waits for a person's decision, at most until then.
    async fn decided(&self, run: &RunId, until: Instant) {
        while Instant::now() < until && matches!(self.awaited(run).await, Ok(Some(_))) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn shows_pages(context: &RequestContext<RoleServer>) -> bool {
    context
        .client_capabilities()
        .and_then(|c| c.elicitation)
        .is_some_and(|e| e.url.is_some())
}

/// Holds nothing that lets anybody in: the page asks for that itself.
fn question(pages: &str, request: &ApprovalRequest) -> ElicitRequestParams {
    let (id, tool, version) = (request.id, &request.tool, request.version);
    ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: format!(
            "The tool {tool}@{version} is proved and waits for a person to approve or reject it."
        ),
        url: format!("{}/approvals/{id}", pages.trim_end_matches('/')),
        elicitation_id: format!("approval-{id}"),
    }
}
