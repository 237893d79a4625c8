//! Approvals: what waits for a person, and the person's word. A bearer token reads the list and
//! nothing more: the card holds cases that authors may not see, and deciding is a person's.

use std::sync::Arc;

use axum::extract::State;
use handaxe_agent::Card;
use handaxe_registry::ApprovalDetail;
use handaxe_types::{ApprovalId, ApprovalState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{Caller, Person};
use super::problem::Problem;
use super::schema::approval_states;
use super::strict::{Answer, At, Params, ok};

/// A request for a person's yes, and how it was decided.
#[derive(Serialize, ToSchema)]
pub(super) struct ApprovalLine {
    #[schema(value_type = i64)]
    id: ApprovalId,
    #[schema(value_type = String)]
    tool: handaxe_types::ToolName,
    #[schema(value_type = u32, minimum = 1)]
    version: handaxe_types::Version,
    /// What a yes is bound to.
    digest: String,
    #[schema(value_type = Option<String>)]
    run: Option<handaxe_types::RunId>,
    #[schema(schema_with = approval_states)]
    state: ApprovalState,
    created_ms: i64,
    expires_ms: i64,
    why: String,
    author: String,
    approver: Option<String>,
    /// How the person said it.
    method: Option<String>,
    self_approved: bool,
    decided_ms: Option<i64>,
    reason: Option<String>,
}

impl From<ApprovalDetail> for ApprovalLine {
    fn from(detail: ApprovalDetail) -> Self {
        let request = detail.request;
        Self {
            id: request.id,
            tool: request.tool,
            version: request.version,
            digest: request.subject.to_string(),
            run: request.run,
            state: request.state,
            created_ms: request.created_ms,
            expires_ms: request.expires_ms,
            why: request.why,
            author: detail.author,
            approver: detail.approver,
            method: detail.method,
            self_approved: detail.self_approved,
            decided_ms: detail.decided_ms,
            reason: detail.reason,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListApprovals {
    #[param(schema_with = approval_states, required = false)]
    state: Option<ApprovalState>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Approvals {
    /// Newest first.
    approvals: Vec<ApprovalLine>,
}

/// Requests for a person's yes.
#[utoipa::path(get, path = "/approvals", tag = "approvals", params(ListApprovals),
    responses((status = 200, description = "The requests", body = Approvals)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: Caller,
    Params(params): Params<ListApprovals>,
) -> Answer<Approvals> {
    let approvals = api
        .ask(move |s| Ok(s.registry().approvals(params.state)?))
        .await?;
    ok(Approvals {
        approvals: approvals.into_iter().map(Into::into).collect(),
    })
}

#[derive(Serialize, ToSchema)]
pub(super) struct ApprovalDoc {
    approval: ApprovalLine,
    /// What a person is shown, as `handaxe approvals show --json` prints it.
    #[schema(value_type = Object)]
    card: Value,
}

/// The approval card. For people: it holds the cases that the author may not see.
#[utoipa::path(get, path = "/approvals/{approval}", tag = "approvals",
    params(("approval" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "The card", body = ApprovalDoc)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: Person,
    At(id): At<ApprovalId>,
) -> Answer<ApprovalDoc> {
    let found = api
        .ask(move |s| {
            let registry = s.registry();
            let detail = registry.approval(id)?;
            Ok(detail.zip(Card::of(registry, id)?))
        })
        .await?;
    let (detail, card) = found.ok_or_else(|| Problem::not_found("approval of that number"))?;
    ok(ApprovalDoc {
        approval: detail.into(),
        card: json!(card),
    })
}
