//! Style and scripts, in the binary. An address holds its content's digest, so a browser keeps it
//! for good and never shows an old one.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::{Embed, EmbeddedFile};

use super::error::WebError;
use super::visit::At;

#[derive(Embed)]
#[folder = "assets/"]
struct Assets;

const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

fn digest(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..8])
}

pub(crate) fn url(name: &str) -> String {
    let digest = Assets::get(name).map_or_else(String::new, |file| digest(&file));
    format!("/assets/{digest}/{name}")
}

pub(crate) async fn serve(At((asked, name)): At<(String, String)>) -> Result<Response, WebError> {
    let found = Assets::get(&name).filter(|file| digest(file) == asked);
    let file = found.ok_or_else(|| WebError::NotFound("such file".to_owned()))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind(&name))),
        (header::CACHE_CONTROL, FOREVER),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}
