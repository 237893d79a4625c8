//! The HTTP API, `/api/v1`, for programs with the bearer token and for people's own pages. Errors are
//! problems (RFC 9457), bodies strict JSON, and the OpenAPI document is made from the very handlers.
//!
//! A route is a function with `#[utoipa::path]` and a line in [`documented`].

mod approvals;
mod caller;
mod docs;
mod insight;
mod journal;
mod problem;
mod runs;
mod schema;
mod strict;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use handaxe_types::Digest;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use caller::bearer;
pub(crate) use journal::journal_file;
pub(crate) use problem::Problem;
pub(crate) use runs::MAX_QUESTION_CHARS;

use crate::decisions::DecideError;
use crate::service::{Service, ServiceError};
use crate::web::{SHIELD, Web};

/// Requests that read or run something at once; the others wait their turn.
const AT_ONCE: usize = 64;
/// An answer that is not there by then is given up; live streams begin before.
const PATIENCE: Duration = Duration::from_mins(5);
const VERSION: &str = "/api/v1";

/// What the handlers work with.
pub(crate) struct Api {
    service: Arc<Service>,
    /// Whose sessions are people's.
    web: Arc<Web>,
    token: Digest,
    turns: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(service: Arc<Service>, web: Arc<Web>, token: Digest) -> Arc<Self> {
        Arc::new(Self {
            service,
            web,
            token,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Asks the service, off the threads that answer.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.turn(question).await
    }

    /// The same of what a person decides.
    async fn decide<T: Send + 'static>(
        &self,
        word: impl FnOnce(&Service) -> Result<T, DecideError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.turn(word).await
    }

    async fn turn<T: Send + 'static, E: Into<Problem> + Send + 'static>(
        &self,
        question: impl FnOnce(&Service) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| Problem::new("busy", "the server is stopping"))?;
        let service = Arc::clone(&self.service);
        let asked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            question(&service)
        });
        let answer = asked
            .await
            .map_err(|e| Problem::new("failed", format!("the work broke off: {e}")))?;
        answer.map_err(Into::into)
    }

    fn watchers(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.web.watchers)
            .try_acquire_owned()
            .map_err(|_| Problem::new("busy", "too many connections follow runs already"))
    }
}

/// Every route, and its part of the document.
fn documented() -> OpenApiRouter<Arc<Api>> {
    let routes = OpenApiRouter::new()
        .routes(routes!(tools::list))
        .routes(routes!(tools::show))
        .routes(routes!(tools::versions))
        .routes(routes!(tools::code))
        .routes(routes!(tools::evidence))
        .routes(routes!(tools::diff))
        .routes(routes!(tools::usage))
        .routes(routes!(tools::call))
        .routes(routes!(runs::list, runs::start))
        .routes(routes!(runs::show))
        .routes(routes!(runs::events))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::resume))
        .routes(routes!(runs::while_waiting))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::show))
        .routes(routes!(approvals::approve))
        .routes(routes!(approvals::reject))
        .routes(routes!(insight::show))
        .routes(routes!(journal::list))
        .routes(routes!(journal::verify))
        .routes(routes!(journal::export));
    OpenApiRouter::new().nest(VERSION, routes)
}

/// The API's OpenAPI document.
pub fn openapi() -> Value {
    docs::complete(documented().into_openapi())
}

/// The API, behind the checks of host, page and time. Its documents are for everyone.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let (routes, document) = documented().split_for_parts();
    let document = Arc::new(docs::complete(document));
    let (page, json) = (Arc::clone(&document), document);
    routes
        .route("/api/openapi.json", get(async move || docs::json(&json)))
        .route("/api/docs", get(async move || docs::page(&page)))
        .route("/api/{*rest}", axum::routing::any(nothing))
        .method_not_allowed_fallback(method)
        .layer(from_fn_with_state(Arc::clone(&api), guard))
        .with_state(api)
}

async fn nothing() -> Problem {
    Problem::not_found("such address").hint("/api/docs lists them")
}

async fn method() -> Problem {
    Problem::new("method", "this address takes other methods").hint("/api/docs lists them")
}

async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let access = &api.web.access;
    let mut response = if !access.host(request.headers()) {
        Problem::new("host", "this server is not asked by that name")
            .hint("--allow-host names others")
            .into_response()
    } else if request.uri().path().starts_with(VERSION) && !access.own_page(request.headers()) {
        Problem::new("cross_site", "a page of another's asks")
            .hint("--allow-origin names pages that may")
            .into_response()
    } else {
        match tokio::time::timeout(PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new("late", "it took too long").into_response(),
        }
    };
    let headers = response.headers_mut();
    for (name, value) in SHIELD {
        headers.insert(name, value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
