//! What goes wrong, as a page that says what happened and what to do next.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::export::ArchiveError;
use super::page::{Page, html};
use crate::decisions::DecideError;
use crate::service::ServiceError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    #[error("you are not signed in")]
    SignedOut,
    #[error("this link was used already, or is too old")]
    SpentLink,
    #[error("this request did not come from a page of this session")]
    CrossSite,
    #[error("there is no {0}")]
    NotFound(String),
    #[error("this address takes no such request")]
    Method,
    #[error("the form could not be read: {0}")]
    Form(&'static str),
    #[error("more than {most_kib} KiB were sent")]
    TooLarge { most_kib: usize },
    #[error("too many pages follow runs already")]
    Watchers,
    #[error("it took too long")]
    Late,
    #[error("what was sent could not be kept")]
    Keep(#[source] std::io::Error),
    #[error("it cannot be had in this form")]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Decide(#[from] DecideError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the page could not be drawn")]
    Draw(#[from] askama::Error),
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
    #[error("the work broke off")]
    BrokeOff(#[from] tokio::task::JoinError),
}

impl WebError {
    fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::SpentLink => StatusCode::GONE,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Form(_) => StatusCode::BAD_REQUEST,
            Self::Archive(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Late | Self::Watchers => StatusCode::SERVICE_UNAVAILABLE,
            Self::Decide(e) => match e.kind() {
                "not_found" => StatusCode::NOT_FOUND,
                "registry" => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            },
            Self::Service(e) => match e.kind() {
                "not_found" => StatusCode::NOT_FOUND,
                "input" => StatusCode::UNPROCESSABLE_ENTITY,
                "run_state" => StatusCode::CONFLICT,
                "busy" => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::Keep(_) | Self::Draw(_) | Self::Random(_) | Self::BrokeOff(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::SignedOut | Self::SpentLink => {
                "`handaxe serve login` on the server's machine prints a new link".to_owned()
            }
            Self::CrossSite => {
                "go back, load the page again, and send the form from there".to_owned()
            }
            Self::NotFound(_) => "the gallery lists every tool".to_owned(),
            Self::Method => "go back and use the page's own buttons".to_owned(),
            Self::Form(_) => "go back and correct it".to_owned(),
            Self::TooLarge { .. } => "send less, or use `handaxe run` on the machine".to_owned(),
            Self::Late | Self::Watchers => "try again when less is under way".to_owned(),
            Self::Archive(ArchiveError::Format(e)) => e.hint().to_owned(),
            Self::Archive(_) => "`handaxe tools verify` says whether it is whole".to_owned(),
            Self::Decide(e) => e.hint(),
            Self::Service(e) => e.hint(),
            Self::Keep(_) | Self::Draw(_) | Self::Random(_) | Self::BrokeOff(_) => {
                "the server's own output says more".to_owned()
            }
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    status: u16,
    what: String,
    hint: String,
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        if matches!(self, Self::SignedOut) {
            return Redirect::to("/login").into_response();
        }
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %chain(&self), "a page failed");
        }
        let page = ErrorPage {
            page: Page::bare("Not possible"),
            status: status.as_u16(),
            what: chain(&self),
            hint: self.hint(),
        };
        let mut response = html(status, &page).unwrap_or_else(|_| status.into_response());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let later = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, later);
        }
        response
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
