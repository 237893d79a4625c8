//! How requests are read: bounded, strictly, and refused with a problem.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use handaxe_types::json::{self, Bounds, JsonError};
use handaxe_types::{RunId, ToolRef};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::problem::Problem;

/// The largest body. Larger files are named by their path beneath a root.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;

/// A body of strict JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|k| k.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                "media_type",
                "the body is to be application/json",
            ));
        }
        let bytes = to_bytes(request.into_body(), MAX_BODY_BYTES)
            .await
            .map_err(|_| {
                Problem::new(
                    "too_large",
                    format!("at most {} MiB are read", MAX_BODY_BYTES >> 20),
                )
            })?;
        let bounds = Bounds {
            bytes: MAX_BODY_BYTES,
            ..Bounds::DEFAULT
        };
        let value = json::parse(&bytes, bounds)?;
        let Object(document) = serde_json::from_value(value).map_err(JsonError::Shape)?;
        Ok(Self(document))
    }
}

/// A document with names. A derived reader would take a list of the fields in their order too,
/// which no schema of ours has.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let fields = Map::<String, Value>::deserialize(d)?;
        T::deserialize(Value::Object(fields))
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// The query, every parameter known and given once.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        serde_urlencoded::from_str(query)
            .map(Self)
            .map_err(|e| Problem::request(format!("the query cannot be read: {e}")))
    }
}

/// The one part of the path that is not fixed.
pub(super) struct At<T>(pub(super) T);

/// What a part of a path can name.
pub(super) trait Named: Sized {
    /// Of a text that is no such name, what it was to name.
    const WHAT: &str;
    fn read(text: &str) -> Option<Self>;
}

impl Named for ToolRef {
    const WHAT: &str = "tool of that name";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Named for RunId {
    const WHAT: &str = "run of that id";
    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Named for handaxe_types::ApprovalId {
    const WHAT: &str = "approval of that number";
    fn read(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| plain).map(Self)
    }
}

impl<S: Send + Sync, T: Named> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found(T::WHAT))?;
        T::read(&text)
            .map(Self)
            .ok_or_else(|| Problem::not_found(T::WHAT))
    }
}

/// A number of a query within its bounds.
pub(super) fn within<N: PartialOrd + std::fmt::Display + Copy>(
    name: &str,
    given: Option<N>,
    default: N,
    bounds: std::ops::RangeInclusive<N>,
) -> Result<N, Problem> {
    match given {
        None => Ok(default),
        Some(n) if bounds.contains(&n) => Ok(n),
        Some(_) => Err(Problem::request(format!(
            "`{name}` is {} to {}",
            bounds.start(),
            bounds.end()
        ))),
    }
}

/// A text of a query or a body within its bound.
pub(super) fn at_most(name: &str, text: &str, most: usize) -> Result<(), Problem> {
    if text.chars().count() > most {
        return Err(Problem::request(format!(
            "`{name}` has at most {most} characters"
        )));
    }
    Ok(())
}

/// A document.
pub(super) struct Json<T>(pub(super) StatusCode, pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(body) => {
                let kind = HeaderValue::from_static("application/json");
                (self.0, [(header::CONTENT_TYPE, kind)], body).into_response()
            }
            Err(e) => {
                Problem::new("failed", format!("the answer cannot be written: {e}")).into_response()
            }
        }
    }
}

/// `200 OK` with a document, or a problem.
pub(super) type Answer<T> = Result<Json<T>, Problem>;

#[expect(clippy::unnecessary_wraps, reason = "handlers end with it")]
pub(super) fn ok<T>(document: T) -> Answer<T> {
    Ok(Json(StatusCode::OK, document))
}
