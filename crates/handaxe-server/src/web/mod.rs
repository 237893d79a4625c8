//! Pages for people. Everything is drawn here, on the server: a page is whole without a script,
//! and nothing is fetched from elsewhere. A person signs in with a one-time link, and what changes
//! something takes a [`visit::Posted`], which only a page of that session can send.
//!
//! A room is a file with `routes()`, a row of [`page::Room`] and templates that extend
//! `base.html` and hold a `page: Page`. What blocks goes through [`Web::ask`].

mod approvals;
mod assets;
mod code;
mod diff;
mod door;
mod error;
mod export;
mod form;
mod gallery;
mod insight;
mod journal;
mod page;
mod parts;
mod run_shown;
mod runs;
mod session;
mod tool;
mod upload;
mod visit;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

pub(crate) use self::page::{Page, html};
pub(crate) use self::session::Visitor;
pub(crate) use self::visit::CSRF_HEADER;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::error::WebError;
use self::session::Sessions;
use crate::access::Access;
use crate::decisions::DecideError;
use crate::kept::Kept;
use crate::login::Logins;
use crate::service::{Service, ServiceError};

/// Connections that follow a run at once, pages and programs together.
const WATCHERS: usize = 64;
/// A page that is not there by then is given up; live streams begin before.
const PATIENCE: Duration = Duration::from_mins(5);

/// Everything from ourselves, nothing inline, nothing framed.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// On every answer. `same-origin` keeps addresses from others and the origin on our own forms.
pub(crate) const SHIELD: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// What the pages work with.
pub(crate) struct Web {
    service: Arc<Service>,
    pub(crate) access: Arc<Access>,
    pub(crate) logins: Logins,
    pub(crate) sessions: Sessions,
    /// The session cookie's name: cookies know no ports, so the name does.
    pub(crate) cookie: String,
    /// Files that tools produced, for a while.
    pub(crate) kept: Arc<Kept>,
    /// Connections that follow a run.
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
}

impl Web {
    pub(crate) fn new(
        service: Arc<Service>,
        access: Arc<Access>,
        logins: Logins,
        port: u16,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            service,
            access,
            logins,
            sessions: Sessions::default(),
            cookie: format!("handaxe-{port}"),
            kept: Arc::default(),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            stop,
        })
    }

    pub(crate) fn service(&self) -> Arc<Service> {
        Arc::clone(&self.service)
    }

    /// A place among those that follow a run.
    pub(crate) fn watcher(&self) -> Result<OwnedSemaphorePermit, WebError> {
        Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| WebError::Watchers)
    }

    /// Asks the service, off the threads that answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, WebError> {
        let service = Arc::clone(&self.service);
        Ok(tokio::task::spawn_blocking(move || question(&service)).await??)
    }

    /// The same of what a person decides.
    pub(crate) async fn decide<T: Send + 'static>(
        &self,
        word: impl FnOnce(&Service) -> Result<T, DecideError> + Send + 'static,
    ) -> Result<T, WebError> {
        let service = Arc::clone(&self.service);
        Ok(tokio::task::spawn_blocking(move || word(&service)).await??)
    }
}

/// Every page, behind the checks of host and time and with the headers that each answer bears.
pub(crate) fn router(web: Arc<Web>) -> Router {
    Router::new()
        .merge(door::routes())
        .merge(gallery::routes())
        .merge(tool::routes())
        .merge(export::routes())
        .merge(approvals::routes())
        .merge(runs::routes())
        .merge(insight::routes())
        .merge(journal::routes())
        .route("/assets/{digest}/{name}", get(assets::serve))
        .fallback(async || WebError::NotFound("such page".to_owned()))
        .method_not_allowed_fallback(async || WebError::Method)
        .layer(from_fn_with_state(Arc::clone(&web), shield))
        .with_state(web)
}

async fn shield(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let mut response = if web.access.host(request.headers()) {
        match tokio::time::timeout(PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => WebError::Late.into_response(),
        }
    } else {
        let other = "this server is not asked by that name\n";
        (StatusCode::FORBIDDEN, other).into_response()
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
