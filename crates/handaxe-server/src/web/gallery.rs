//! The library at a glance.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use super::Web;
use super::error::WebError;
use super::page::{Page, Room, html};
use super::session::Visitor;

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/", get(gallery))
}

#[derive(Template)]
#[template(path = "gallery.html")]
struct GalleryPage {
    page: Page,
    tools: Vec<String>,
}

async fn gallery(State(web): State<Arc<Web>>, visitor: Visitor) -> Result<Response, WebError> {
    let tools = web
        .ask(|service| {
            let offers = service.offers()?;
            Ok(offers.iter().map(|o| o.tool.to_string()).collect())
        })
        .await?;
    let page = Page::new(Room::Gallery, visitor, "Gallery");
    Ok(html(StatusCode::OK, &GalleryPage { page, tools })?)
}
