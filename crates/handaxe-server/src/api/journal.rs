//! The journal: filtered, verified, exported.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use handaxe_types::EventKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::Caller;
use super::problem::Problem;
use super::schema::event_kinds;
use super::strict::{Answer, Params, at_most, ok, within};
use crate::library::{JournalQuery, exported};
use crate::service::Service;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParams {
    #[param(schema_with = event_kinds, required = false)]
    kind: Option<EventKind>,
    #[param(max_length = 200)]
    actor: Option<String>,
    /// A run, `name@version`, `approval 7`; a bare tool name means all its versions.
    #[param(max_length = 200)]
    subject: Option<String>,
    /// From this time on, milliseconds since the Unix epoch.
    #[param(minimum = 0)]
    since_ms: Option<i64>,
    /// Before this time.
    #[param(minimum = 0)]
    until_ms: Option<i64>,
    /// `next` of the page before.
    #[param(minimum = 1)]
    before: Option<i64>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// One event. `hash` covers every other field, `prev` among them.
#[derive(Serialize, ToSchema)]
pub(super) struct EventDoc {
    /// 1, 2, 3 … without gaps.
    seq: i64,
    at_ms: i64,
    kind: String,
    actor: String,
    subject: String,
    #[schema(value_type = Object)]
    detail: Value,
    prev: String,
    hash: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Log {
    /// Newest first.
    events: Vec<EventDoc>,
    /// `before` of the next page; absent on the last.
    next: Option<i64>,
}

/// Events, newest first.
#[utoipa::path(get, path = "/journal", tag = "journal", params(LogParams),
    responses((status = 200, description = "A page of events", body = Log)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: Caller,
    Params(params): Params<LogParams>,
) -> Answer<Log> {
    at_most("actor", params.actor.as_deref().unwrap_or_default(), 200)?;
    at_most(
        "subject",
        params.subject.as_deref().unwrap_or_default(),
        200,
    )?;
    let time = |name, given: Option<i64>| match given {
        None => Ok(None),
        some => within(name, some, 0, 0..=i64::MAX).map(Some),
    };
    let query = JournalQuery {
        kind: params.kind,
        actor: params.actor,
        subject: params.subject,
        since_ms: time("since_ms", params.since_ms)?,
        until_ms: time("until_ms", params.until_ms)?,
        before: match params.before {
            None => None,
            some => Some(within("before", some, 1, 1..=i64::MAX)?),
        },
        limit: within("limit", params.limit, 100, 1..=500)?,
    };
    let page = api.ask(move |s| s.journal(&query)).await?;
    let events = page.events.into_iter().map(|e| EventDoc {
        seq: e.seq,
        at_ms: e.at_ms,
        kind: e.kind,
        actor: e.actor,
        subject: e.subject,
        detail: e.detail,
        prev: e.prev.to_string(),
        hash: e.hash.to_string(),
    });
    ok(Log {
        events: events.collect(),
        next: page.next,
    })
}

/// What the check of the whole journal found.
#[derive(Serialize, ToSchema)]
pub(super) struct VerificationDoc {
    /// Every hash, every row and every stored byte agrees.
    ok: bool,
    /// Events that were read, up to the first bad one.
    events: i64,
    /// The newest event's number and hash.
    #[schema(value_type = Option<Object>)]
    head: Option<handaxe_registry::Head>,
    /// The first thing that does not hold: `place`, `seq` and `reason`.
    #[schema(value_type = Option<Object>)]
    first_bad: Option<handaxe_registry::Bad>,
    /// What this check cannot show.
    not_ruled_out: Vec<String>,
}

/// Checks the chain of hashes, and every row and byte that it vouches for.
#[utoipa::path(get, path = "/journal/verification", tag = "journal",
    responses((status = 200, description = "What was found, good or bad", body = VerificationDoc)))]
pub(super) async fn verify(
    State(api): State<Arc<Api>>,
    _: Caller,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<VerificationDoc> {
    let found = api.ask(|s| Ok(s.registry().verify()?)).await?;
    ok(VerificationDoc {
        ok: found.ok,
        events: found.events,
        head: found.head,
        first_bad: found.first_bad,
        not_ruled_out: found.not_ruled_out,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The whole journal, an event a line, oldest first.
#[utoipa::path(get, path = "/journal/export", tag = "journal",
    responses((status = 200, description = "JSON Lines", body = String,
        content_type = "application/x-ndjson")))]
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    _: Caller,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    Ok(journal_file(Arc::clone(&api.service)))
}

/// The whole journal as a file to keep.
pub(crate) fn journal_file(service: Arc<Service>) -> Response {
    let pages = exported(service);
    let kind = HeaderValue::from_static("application/x-ndjson");
    let name = HeaderValue::from_static("attachment; filename=\"handaxe-journal.jsonl\"");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
    ];
    let body = Body::from_stream(futures_util::StreamExt::map(pages, |page| {
        page.map(Bytes::from)
    }));
    (headers, body).into_response()
}
