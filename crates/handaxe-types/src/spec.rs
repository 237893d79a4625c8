//! What a tool promises.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Limits, ToolName};

/// The JSON Schema `format` of a property that names an attached or produced file.
pub const FILE_FORMAT: &str = "file";

/// The contract of a tool: what it takes, what it gives, what it may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub name: ToolName,
    /// One or two sentences, for people and for retrieval.
    pub description: String,
    /// JSON Schema 2020-12: an object with `additionalProperties: false`.
    pub input_schema: Value,
    pub output_schema: Value,
    /// A domain that `policy.toml` allows, e.g. `analysis`.
    pub domain: String,
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    #[serde(default)]
    pub limits: Limits,
    /// Same input, same output, under any hash seed.
    #[serde(default = "yes")]
    pub deterministic: bool,
}

fn yes() -> bool {
    true
}

/// What a tool asks to use beyond pure computation. Nothing else can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Reads the files attached to the call.
    ReadFiles,
    /// Writes files into its scratch directory and hands them back.
    WriteFiles,
}

impl Capability {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadFiles => "read_files",
            Self::WriteFiles => "write_files",
        }
    }
}

impl Spec {
    /// Names of the top-level input properties with `"format": "file"`.
    pub fn input_files(&self) -> Vec<String> {
        file_properties(&self.input_schema)
    }

    /// Names of the top-level output properties with `"format": "file"`.
    pub fn output_files(&self) -> Vec<String> {
        file_properties(&self.output_schema)
    }
}

fn file_properties(schema: &Value) -> Vec<String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    properties
        .iter()
        .filter(|(_, p)| p.get("format").and_then(Value::as_str) == Some(FILE_FORMAT))
        .map(|(name, _)| name.clone())
        .collect()
}
