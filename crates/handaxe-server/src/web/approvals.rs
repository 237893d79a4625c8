//! What waits for a person, and the person's word.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::Web;
use super::error::WebError;
use super::page::{Page, Room, html};
use super::session::Visitor;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/approvals", get(queue))
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct QueuePage {
    page: Page,
}

async fn queue(visitor: Visitor) -> Result<Response, WebError> {
    let page = Page::new(Room::Approvals, visitor, "Approvals");
    Ok(html(StatusCode::OK, &QueuePage { page })?)
}
