//! What is to be done about a task.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Flow, ToolName, Version};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub route: Route,
    /// Numbered for the person who reads it; plain words.
    pub steps: Vec<String>,
    /// What was considered, best first, and why each was not enough (or was).
    pub candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Route {
    Reuse {
        tool: ToolName,
        version: Version,
        input: Map<String, Value>,
    },
    /// Existing tools, one after the other or fanned out.
    Compose {
        flow: Flow,
    },
    /// A new version of a tool that does nearly this. What the version before gave, it still gives.
    Extend {
        tool: ToolName,
        version: Version,
        request: ToolRequest,
    },
    Make {
        request: ToolRequest,
    },
    /// A tool of another program, which a person accepted and nobody here proved.
    External {
        server: String,
        tool: String,
        input: Map<String, Value>,
    },
    /// Answered without any tool.
    Direct {
        answer: String,
    },
    /// Not done, and why; `hint` is the next thing to try.
    Refuse {
        reason: String,
        hint: String,
    },
}

impl Route {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Reuse { .. } => "reuse",
            Self::Compose { .. } => "compose",
            Self::Extend { .. } => "extend",
            Self::Make { .. } => "make",
            Self::External { .. } => "external",
            Self::Direct { .. } => "direct",
            Self::Refuse { .. } => "refuse",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub tool: ToolName,
    pub version: Version,
    pub why: String,
}

/// A tool that is wanted and does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRequest {
    pub name: ToolName,
    pub purpose: String,
    pub domain: String,
    /// What the job needs of the world; checked against the policy before any code is written.
    pub needs: Vec<Need>,
}

/// What a job needs beyond its attached data. All but the first two are never given to a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    ReadFiles,
    WriteFiles,
    Network,
    Processes,
    Credentials,
    SystemControl,
    /// Files that were not attached.
    OtherFiles,
    /// Cameras, clocks, sensors, screens.
    Devices,
}

impl Need {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadFiles => "read_files",
            Self::WriteFiles => "write_files",
            Self::Network => "network",
            Self::Processes => "processes",
            Self::Credentials => "credentials",
            Self::SystemControl => "system_control",
            Self::OtherFiles => "other_files",
            Self::Devices => "devices",
        }
    }
}
