//! Signing in and out.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::Web;
use super::error::WebError;
use super::page::{Page, html};
use super::session::LIFE;
use super::visit::{Asked, Posted, form_bytes};

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/login", get(login).post(typed))
        .route("/logout", post(logout))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
}

/// The session begins on this page, and it leads on by itself: a redirect would be part of the
/// click that led here, and the strict cookie is not sent where that was on another's page.
#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    page: Page,
}

#[derive(Deserialize)]
struct Link {
    token: Option<String>,
}

/// What was typed: the link, or the token in it.
#[derive(Deserialize)]
struct Typed {
    link: String,
}

#[derive(Deserialize)]
struct Nothing {}

async fn login(
    State(web): State<Arc<Web>>,
    method: Method,
    headers: HeaderMap,
    Asked(link): Asked<Link>,
) -> Result<Response, WebError> {
    match link.token {
        // Asking whether the page is there must not use the link up.
        Some(token) if method == Method::GET => begin(&web, &headers, token).await,
        _ => Ok(html(
            StatusCode::OK,
            &LoginPage {
                page: Page::bare("Sign in"),
            },
        )?),
    }
}

async fn typed(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, WebError> {
    if !web.access.own_page(&headers) {
        return Err(WebError::CrossSite);
    }
    let bytes = form_bytes(&headers, body).await?;
    let Typed { link } =
        serde_urlencoded::from_bytes(&bytes).map_err(|_| WebError::Form("not a form"))?;
    let link = link.trim();
    let token = link.rsplit_once("token=").map_or(link, |(_, token)| token);
    begin(&web, &headers, token.to_owned()).await
}

async fn begin(web: &Arc<Web>, headers: &HeaderMap, token: String) -> Result<Response, WebError> {
    let logins = web.logins.clone();
    let person = tokio::task::spawn_blocking(move || logins.claim(&token)).await?;
    let session = web.sessions.begin(person.ok_or(WebError::SpentLink)?)?;
    let secure = if web.access.over_tls(headers) {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        web.cookie,
        LIFE.as_secs()
    );
    let page = WelcomePage {
        page: Page::bare("Signed in"),
    };
    let mut response = html(StatusCode::OK, &page)?;
    if let Ok(cookie) = cookie.parse() {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn logout(
    State(web): State<Arc<Web>>,
    posted: Posted<Nothing>,
) -> Result<Response, WebError> {
    let Nothing {} = posted.form;
    web.sessions.end(&posted.visitor);
    let gone = format!(
        "{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
        web.cookie
    );
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response())
}
