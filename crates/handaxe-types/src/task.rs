//! What a person asked for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Case, Digest};

/// How much of the attached data a model may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preview {
    None,
    /// Field names, types and counts; no values.
    #[default]
    Schema,
    /// The schema and a few rows.
    Sample,
}

/// A file attached to a task. `name` is what the tool sees; unique within the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
    /// Of the content when it was attached.
    pub digest: Digest,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub question: String,
    pub data: Vec<DataFile>,
    /// Taken before any code exists; no author ever sees them.
    pub goldens: Vec<Case>,
    /// `IN => OUT` pairs given by the person; the author may see these.
    pub examples: Vec<Case>,
    pub preview: Preview,
}
