//! Tools of other programs. Nothing of them was proved here; every word of theirs is data.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Digest;

/// A tool as its server describes it. Names are the server's: no promise of ours is in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalTool {
    pub name: String,
    pub title: Option<String>,
    pub description: String,
    pub input_schema: Value,
    pub output_schema: Option<Value>,
    pub annotations: Value,
}

impl ExternalTool {
    /// Of everything that the server says of it: another word is another tool.
    pub fn digest(&self) -> Digest {
        Digest::of_json(&serde_json::json!(self))
    }
}

/// What a server is and offers: what a person accepts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalListing {
    /// Of how it is started or reached, from the settings.
    pub reached_by: Digest,
    /// In the order of their names.
    pub tools: Vec<ExternalTool>,
}

impl ExternalListing {
    pub fn digest(&self) -> Digest {
        Digest::of_json(&serde_json::json!(self))
    }

    pub fn tool(&self, name: &str) -> Option<&ExternalTool> {
        self.tools.iter().find(|t| t.name == name)
    }
}

/// One call of another program's tool, as an answer rests on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExternalUse {
    pub server: String,
    pub tool: String,
    /// The listed tool's, as a person accepted it.
    pub digest: Digest,
    pub input: Map<String, Value>,
    /// Whether the server called it a failure.
    pub failed: bool,
    /// What came back: text of whoever runs the server, cut where it is long.
    pub text: String,
    pub output: Option<Value>,
}
