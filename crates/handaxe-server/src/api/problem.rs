//! What goes wrong, as RFC 9457 says it: one table of kinds, their status and their meaning.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use handaxe_types::json::JsonError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::decisions::DecideError;
use crate::service::ServiceError;

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    row: &'static Row,
    detail: String,
    hint: Option<String>,
}

/// Why a request was not done.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document<'a> {
    /// Where this kind is explained.
    #[serde(rename = "type")]
    type_uri: String,
    /// What the kind means, in words that do not change.
    title: &'a str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    detail: &'a str,
    /// A stable word for programs.
    kind: &'a str,
    /// What to do next.
    hint: Option<&'a str>,
}

type Row = (&'static str, StatusCode, &'static str);

/// Of a kind that the table lacks.
const FAILED: Row = (
    "failed",
    StatusCode::INTERNAL_SERVER_ERROR,
    "The server could not do it",
);

/// Kind, status, title.
pub(super) const KINDS: &[Row] = &[
    (
        "request",
        StatusCode::BAD_REQUEST,
        "The request cannot be read",
    ),
    (
        "json",
        StatusCode::BAD_REQUEST,
        "The body is not strict JSON of the documented shape",
    ),
    (
        "unauthenticated",
        StatusCode::UNAUTHORIZED,
        "Neither a bearer token nor a session",
    ),
    (
        "cross_site",
        StatusCode::FORBIDDEN,
        "The request comes from another's page, or without the session's own token",
    ),
    (
        "person_needed",
        StatusCode::FORBIDDEN,
        "Only a person does this, signed in; no bearer token can",
    ),
    (
        "host",
        StatusCode::FORBIDDEN,
        "The server is not asked by that name",
    ),
    ("not_found", StatusCode::NOT_FOUND, "There is no such thing"),
    (
        "method",
        StatusCode::METHOD_NOT_ALLOWED,
        "The address takes no such request",
    ),
    (
        "not_approved",
        StatusCode::CONFLICT,
        "The tool has no approved version",
    ),
    (
        "state",
        StatusCode::CONFLICT,
        "The tool's state keeps it from running",
    ),
    (
        "profile_mismatch",
        StatusCode::CONFLICT,
        "The tool was approved under a stricter sandbox",
    ),
    (
        "unfit_approval",
        StatusCode::CONFLICT,
        "The approval does not count under the policy",
    ),
    (
        "stale",
        StatusCode::CONFLICT,
        "What waits is not what was shown, or was decided before",
    ),
    (
        "no_reason",
        StatusCode::UNPROCESSABLE_ENTITY,
        "A no is told why",
    ),
    ("expired", StatusCode::CONFLICT, "The approval expired"),
    (
        "self_approval",
        StatusCode::FORBIDDEN,
        "The policy asks for a second person",
    ),
    (
        "not_signed",
        StatusCode::FORBIDDEN,
        "The policy asks for a yes that is signed with a key",
    ),
    (
        "run_state",
        StatusCode::CONFLICT,
        "The run is not where it would have to be",
    ),
    (
        "too_large",
        StatusCode::PAYLOAD_TOO_LARGE,
        "The body is too large",
    ),
    (
        "media_type",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The body is of another media type",
    ),
    (
        "input",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The input does not fit the tool's input schema",
    ),
    (
        "output",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The tool ran, and broke its own output schema",
    ),
    (
        "file",
        StatusCode::UNPROCESSABLE_ENTITY,
        "A file cannot be used",
    ),
    (
        "too_many",
        StatusCode::TOO_MANY_REQUESTS,
        "Too many requests in a second",
    ),
    (
        "busy",
        StatusCode::SERVICE_UNAVAILABLE,
        "Too much is under way; come back",
    ),
    (
        "slow",
        StatusCode::REQUEST_TIMEOUT,
        "It was sent too slowly",
    ),
    ("late", StatusCode::SERVICE_UNAVAILABLE, "It took too long"),
    (
        "model",
        StatusCode::SERVICE_UNAVAILABLE,
        "No model can be used",
    ),
    (
        "sandbox",
        StatusCode::SERVICE_UNAVAILABLE,
        "The sandbox could not be used",
    ),
    (
        "tampered",
        StatusCode::INTERNAL_SERVER_ERROR,
        "What is stored is not what was approved",
    ),
    FAILED,
];

impl Problem {
    /// Of a kind in the table; a kind that is not is the server's failure.
    pub(crate) fn new(kind: &str, detail: impl Into<String>) -> Self {
        Self {
            row: KINDS.iter().find(|(k, ..)| *k == kind).unwrap_or(&FAILED),
            detail: detail.into(),
            hint: None,
        }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new("not_found", format!("there is no {what}"))
    }

    pub(super) fn request(detail: impl Into<String>) -> Self {
        Self::new("request", detail)
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let kind = match error.kind() {
            // Names of the registry's that mean the same to a caller.
            "digest_mismatch" => "tampered",
            "no_approver" | "key" => "unfit_approval",
            kind => kind,
        };
        let problem = Self::new(kind, error.to_string());
        if problem.row.1.is_server_error() {
            tracing::warn!(kind, error = %error, "a request failed");
        }
        problem.hint(error.hint())
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        let kind = match &error {
            DecideError::Key(_) | DecideError::NoKey => "not_signed",
            other => match other.kind() {
                "digest_changed" | "already_decided" => "stale",
                "no_approver" | "key" => "unfit_approval",
                kind => kind,
            },
        };
        Self::new(kind, error.to_string()).hint(error.hint())
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let kind = match &error {
            JsonError::TooLarge { .. } => "too_large",
            _ => "json",
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, status, title) = *self.row;
        let document = Document {
            type_uri: format!("/api/docs#{kind}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            kind,
            hint: self.hint.as_deref(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let kind = HeaderValue::from_static(CONTENT_TYPE);
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row() {
        for (n, (kind, ..)) in KINDS.iter().enumerate() {
            assert!(!KINDS[..n].iter().any(|(k, ..)| k == kind), "{kind}");
            assert_eq!(Problem::new(kind, "").row.0, *kind);
        }
        assert_eq!(Problem::new("no such kind", "").row.0, "failed");
    }
}
