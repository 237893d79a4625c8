//! A form with files, from a page of ours: bounded, and on disk before anything looks at it. The
//! files are gone with the value.

use std::sync::Arc;

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use handaxe_types::{DataFile, Digest};
use tokio::io::AsyncWriteExt as _;

use super::Web;
use super::error::WebError;
use super::session::Visitor;
use super::visit::{CSRF_FIELD, CSRF_HEADER, MAX_FORM_BYTES, own_visitor};
use crate::service::plain;

/// The largest form, with all its files.
pub(crate) const MAX_UPLOAD_BYTES: usize = 64 << 20;
/// Fields and files of one form.
const MOST_FIELDS: usize = 256;

pub(crate) struct Uploaded {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Vec<(String, String)>,
    /// By the name of their field.
    pub(crate) files: Vec<(String, DataFile)>,
    /// Where the files lie.
    _dir: tempfile::TempDir,
}

impl Uploaded {
    /// The name under which a field's file is attached.
    pub(crate) fn attached(&self, field: &str) -> Option<String> {
        let (_, file) = self.files.iter().find(|(name, _)| name == field)?;
        Some(file.name.clone())
    }
}

impl FromRequest<Arc<Web>> for Uploaded {
    type Rejection = WebError;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Self, WebError> {
        let visitor = own_visitor(web, request.headers())?;
        let header = request.headers().get(CSRF_HEADER);
        let header = header.and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut shown = visitor.shows(header.as_deref());
        let mut form = Multipart::from_request(request, web)
            .await
            .map_err(|_| WebError::Form("not a form with files"))?;
        let dir = tokio::task::spawn_blocking(tempfile::tempdir)
            .await?
            .map_err(WebError::Keep)?;
        let (mut fields, mut files) = (Vec::new(), Vec::new());
        let mut text_bytes = 0;
        while let Some(field) = form.next_field().await.map_err(sent)? {
            if fields.len() + files.len() >= MOST_FIELDS {
                return Err(WebError::Form("too many fields"));
            }
            let name = field.name().unwrap_or_default().to_owned();
            let file = field.file_name().map(str::to_owned);
            if file.is_none() && name == CSRF_FIELD {
                shown |= visitor.shows(Some(&text(field, &mut text_bytes).await?));
                continue;
            }
            // The token comes first in the form: nothing is kept for who does not show it.
            if !shown {
                return Err(WebError::CrossSite);
            }
            match file {
                // No file was chosen.
                Some(file) if file.is_empty() => {}
                Some(file) => {
                    let file = keep(field, dir.path(), &plain(&file, files.len())).await?;
                    files.push((name, file));
                }
                None => fields.push((name, text(field, &mut text_bytes).await?)),
            }
        }
        if !shown {
            return Err(WebError::CrossSite);
        }
        Ok(Self {
            visitor,
            fields,
            files,
            _dir: dir,
        })
    }
}

async fn text(mut field: Field<'_>, so_far: &mut usize) -> Result<String, WebError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(sent)? {
        *so_far += chunk.len();
        if *so_far > MAX_FORM_BYTES {
            return Err(WebError::TooLarge {
                most_kib: MAX_FORM_BYTES >> 10,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| WebError::Form("not UTF-8"))
}

async fn keep(
    mut field: Field<'_>,
    dir: &std::path::Path,
    name: &str,
) -> Result<DataFile, WebError> {
    let path = dir.join(name);
    let mut file = tokio::fs::File::create_new(&path)
        .await
        .map_err(WebError::Keep)?;
    let mut bytes = 0;
    while let Some(chunk) = field.chunk().await.map_err(sent)? {
        bytes += chunk.len() as u64;
        file.write_all(&chunk).await.map_err(WebError::Keep)?;
    }
    file.flush().await.map_err(WebError::Keep)?;
    let read = path.clone();
    let digest = tokio::task::spawn_blocking(move || {
        std::fs::File::open(read).and_then(|mut f| Digest::of_reader(&mut f))
    });
    Ok(DataFile {
        name: name.to_owned(),
        path,
        bytes,
        digest: digest.await?.map_err(WebError::Keep)?,
    })
}

fn sent(error: MultipartError) -> WebError {
    if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        WebError::TooLarge {
            most_kib: MAX_UPLOAD_BYTES >> 10,
        }
    } else {
        WebError::Form("not a form with files")
    }
}
