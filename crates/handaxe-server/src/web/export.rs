//! A tool taken along: one of the export's forms, as a tar archive.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use handaxe_export::{Format, FormatError, Options, Subject, SubjectError, export};
use handaxe_registry::Files;
use handaxe_types::{ToolName, ToolRef, Version};

use super::Web;
use super::error::WebError;
use super::session::Visitor;
use super::visit::At;

/// Each form, and what it is good for.
pub(crate) const FORMS: [(Format, &str); 6] = [
    (Format::Folder, "the signed folder, for another home"),
    (
        Format::Python,
        "a package for pip whose tests run under pytest",
    ),
    (Format::Skill, "an Agent Skill"),
    (Format::OpenAi, "a function tool for OpenAI's API"),
    (Format::Anthropic, "a tool for Anthropic's API"),
    (Format::Mcp, "a stand-alone MCP server"),
];

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/tools/{name}/{version}/export/{form}", get(archive))
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("the archive could not be written")]
    Tar(#[from] std::io::Error),
}

async fn archive(
    State(web): State<Arc<Web>>,
    _visitor: Visitor,
    At((name, version, form)): At<(String, u32, String)>,
) -> Result<Response, WebError> {
    let missing = |what: &str| WebError::NotFound(what.to_owned());
    let form = FORMS.into_iter().find(|(f, _)| f.as_str() == form);
    let (form, _) = form.ok_or_else(|| missing("such form"))?;
    let tool = ToolRef {
        name: ToolName::new(&name).map_err(|_| missing("such tool"))?,
        version: Some(Version(version)),
    };
    let found = web
        .ask(move |service| Ok(service.registry().folder(&tool)?))
        .await?;
    let (_, files) = found.ok_or_else(|| missing("such registered version"))?;
    let base = format!("{name}-{version}-{}", form.as_str());
    let top = base.clone();
    let packed = tokio::task::spawn_blocking(move || {
        let subject = Subject::read(files)?;
        // What a provider's strict form cannot say is left open, and the export's README says so.
        let options = Options {
            loose: true,
            ..Options::default()
        };
        pack(&top, &export(&subject, form, options)?)
    });
    let bytes = packed.await??;
    let attached = HeaderValue::from_str(&format!("attachment; filename=\"{base}.tar\""));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-tar"),
        ),
        (
            header::CONTENT_DISPOSITION,
            attached.unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ];
    Ok((headers, bytes).into_response())
}

/// The same files give the same bytes.
fn pack(top: &str, files: &Files) -> Result<Vec<u8>, ArchiveError> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, format!("{top}/{path}"), bytes.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_archive_holds_the_files() {
        let long = format!("{}/x", "d".repeat(150));
        let files = Files::from([
            ("tool.py".to_owned(), b"a".to_vec()),
            (long.clone(), vec![0; 5000]),
        ]);
        let bytes = pack("t-1-folder", &files).unwrap();
        assert_eq!(bytes, pack("t-1-folder", &files).unwrap());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut found = Files::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let path = path.strip_prefix("t-1-folder/").unwrap();
            found.insert(path.to_owned(), content);
        }
        assert_eq!(found, files);
    }
}
