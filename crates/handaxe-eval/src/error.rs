//! Why a suite could not be run; what an item got wrong is in the report instead.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    #[error("`{path}` cannot be read: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{path}` cannot be written: {source}")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("line {line} of `{path}` is no item of this suite: {source}")]
    Item {
        path: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
    #[error("the data set `{name}` cannot be profiled: {source}")]
    Data {
        name: String,
        source: handaxe_composer::DataError,
    },
    #[error("the sandbox failed: {source}")]
    Sandbox {
        source: std::sync::Arc<handaxe_sandbox::SandboxError>,
    },
    #[error("the home of a trial cannot be used: {source}")]
    Home {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Without its library, gap detection measures nothing.
    #[error("the library's tool for \"{question}\" was not made: {detail}")]
    Unmade { question: String, detail: String },
    #[error("stopped; what was done is kept, and the same command goes on from there")]
    Cancelled,
    #[error("`{path}` holds no item")]
    Empty { path: PathBuf },
}

/// The items of a JSON Lines file.
pub(crate) fn items<T: serde::de::DeserializeOwned>(
    path: &std::path::Path,
) -> Result<Vec<T>, SuiteError> {
    let text = std::fs::read_to_string(path).map_err(|source| SuiteError::Read {
        path: path.to_owned(),
        source,
    })?;
    let items = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|source| SuiteError::Item {
                path: path.to_owned(),
                line: i + 1,
                source,
            })
        })
        .collect::<Result<Vec<T>, _>>()?;
    if items.is_empty() {
        return Err(SuiteError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(items)
}
