//! Who a request comes from. A page takes a [`Visitor`]; what changes something takes a
//! [`Posted`], which exists only where the session's own token was shown by a page of ours.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Web;
use super::error::WebError;
use super::session::Visitor;

/// What scripts send in place of the form's field.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// The form's field.
pub(crate) const CSRF_FIELD: &str = "csrf";
/// The largest form without files.
pub(crate) const MAX_FORM_BYTES: usize = 1 << 20;

impl Visitor {
    pub(crate) fn of(web: &Web, headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE);
        let mut pairs = cookies
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(name, _)| *name == web.cookie)
            .and_then(|(_, token)| web.sessions.find(token))
    }

    /// Whether this is the token of the session's own pages.
    pub(crate) fn shows(&self, token: Option<&str>) -> bool {
        use handaxe_types::Digest;
        token.is_some_and(|t| Digest::of(t.as_bytes()) == Digest::of(self.csrf.as_bytes()))
    }
}

impl FromRequestParts<Arc<Web>> for Visitor {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, WebError> {
        Self::of(web, &parts.headers).ok_or(WebError::SignedOut)
    }
}

/// What an address names; one that names nothing of the kind leads nowhere.
pub(crate) struct At<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Web>> for At<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, WebError> {
        let found = Path::<T>::from_request_parts(parts, web).await;
        let Path(found) = found.map_err(|_| WebError::NotFound("such page".to_owned()))?;
        Ok(Self(found))
    }
}

/// What an address asks, after its question mark.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Web>> for Asked<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, WebError> {
        let asked = Query::<T>::from_request_parts(parts, web).await;
        let Query(asked) = asked.map_err(|_| WebError::NotFound("such page".to_owned()))?;
        Ok(Self(asked))
    }
}

/// The form's field [`CSRF_FIELD`].
#[derive(Deserialize)]
struct Token {
    csrf: Option<String>,
}

/// A form that a person sent from a page of ours.
pub(crate) struct Posted<T> {
    pub(crate) visitor: Visitor,
    pub(crate) form: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Web>> for Posted<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Self, WebError> {
        let (parts, body) = request.into_parts();
        let visitor = own_visitor(web, &parts.headers)?;
        let bytes = form_bytes(&parts.headers, body).await?;
        let Token { csrf } =
            serde_urlencoded::from_bytes(&bytes).map_err(|_| WebError::Form("not a form"))?;
        let header = parts.headers.get(CSRF_HEADER);
        let shown = header.map_or(csrf.as_deref(), |v| v.to_str().ok());
        if !visitor.shows(shown) {
            return Err(WebError::CrossSite);
        }
        let form = serde_urlencoded::from_bytes(&bytes)
            .map_err(|_| WebError::Form("a field is missing or of another kind"))?;
        Ok(Self { visitor, form })
    }
}

/// A visitor whose request comes from no page of another's.
pub(crate) fn own_visitor(web: &Web, headers: &HeaderMap) -> Result<Visitor, WebError> {
    if !web.access.own_page(headers) {
        return Err(WebError::CrossSite);
    }
    Visitor::of(web, headers).ok_or(WebError::SignedOut)
}

/// A form's body, wiped when it is done with: it may hold a passphrase.
pub(crate) async fn form_bytes(
    headers: &HeaderMap,
    body: Body,
) -> Result<Zeroizing<Vec<u8>>, WebError> {
    let kind = headers.get(header::CONTENT_TYPE);
    let form = |v: &HeaderValue| {
        v.to_str()
            .is_ok_and(|v| v.starts_with("application/x-www-form-urlencoded"))
    };
    if !kind.is_some_and(form) {
        return Err(WebError::Form("not a form"));
    }
    let bytes = to_bytes(body, MAX_FORM_BYTES).await;
    let bytes = bytes.map_err(|_| WebError::TooLarge {
        most_kib: MAX_FORM_BYTES >> 10,
    })?;
    Ok(Zeroizing::new(bytes.into()))
}
