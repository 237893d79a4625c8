//! Approvals: what waits for a person, and the person's word. A bearer token reads the list and
//! nothing more: the card holds cases that authors may not see, and deciding is a person's.

use std::sync::Arc;

use axum::extract::State;
use handaxe_agent::Card;
use handaxe_registry::ApprovalDetail;
use handaxe_types::{ApprovalId, ApprovalState, Digest, ToolDigest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use super::Api;
use super::caller::{Caller, Person};
use super::problem::Problem;
use super::schema::approval_states;
use super::strict::{Answer, At, Body, Params, ok};
use crate::decisions::{Seen, Signing};

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
    /// The one use that was made of it while it waited: `run`, `asked_by`, `at_ms`, `until_ms`.
    #[schema(value_type = Option<Object>)]
    provisional: Option<handaxe_types::ProvisionalUse>,
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
            provisional: detail.provisional,
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

/// A person's yes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Yes {
    /// The digest that the person was shown, whole.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// Where the policy asks for a signed yes: the id of the approver's key, and its passphrase,
    /// which is used once and kept nowhere.
    #[schema(value_type = Option<String>)]
    key: Option<Digest>,
    #[schema(value_type = Option<String>)]
    passphrase: Option<Zeroizing<String>>,
}

/// A person's no.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct No {
    /// The digest that the person was shown, whole.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// What the author and the journal are told.
    #[schema(min_length = 1)]
    reason: String,
}

fn seen(id: ApprovalId, digest: &str) -> Result<Seen, Problem> {
    let digest = Digest::parse(digest).map_err(|e| Problem::request(e.to_string()))?;
    Ok(Seen {
        id,
        digest: ToolDigest(digest),
    })
}

/// Says yes to what was shown and registers it. A person's alone: no bearer token can.
#[utoipa::path(post, path = "/approvals/{approval}/approve", tag = "approvals", request_body = Yes,
    params(("approval" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "It is registered, now or by the same person before",
        body = ApprovalLine)))]
pub(super) async fn approve(
    State(api): State<Arc<Api>>,
    Person(person): Person,
    At(id): At<ApprovalId>,
    Body(yes): Body<Yes>,
) -> Answer<ApprovalLine> {
    let seen = seen(id, &yes.digest)?;
    let signing = yes.key.zip(yes.passphrase);
    let signing = signing.map(|(key, passphrase)| Signing { key, passphrase });
    api.decide(move |s| s.approve(&person.person, seen, signing.as_ref()).map(drop))
        .await?;
    decided(&api, id).await
}

/// Says no. A person's alone: no bearer token can.
#[utoipa::path(post, path = "/approvals/{approval}/reject", tag = "approvals", request_body = No,
    params(("approval" = i64, Path, description = "Its number", minimum = 1)),
    responses((status = 200, description = "It is rejected", body = ApprovalLine)))]
pub(super) async fn reject(
    State(api): State<Arc<Api>>,
    Person(person): Person,
    At(id): At<ApprovalId>,
    Body(no): Body<No>,
) -> Answer<ApprovalLine> {
    let seen = seen(id, &no.digest)?;
    api.decide(move |s| s.reject(&person.person, seen, &no.reason))
        .await?;
    decided(&api, id).await
}

async fn decided(api: &Api, id: ApprovalId) -> Answer<ApprovalLine> {
    let now = api.ask(move |s| Ok(s.registry().approval(id)?)).await?;
    let now = now.ok_or_else(|| Problem::not_found("approval of that number"))?;
    ok(now.into())
}
