//! Tools of other programs that a plan may use. A call goes only to what a person accepted, as it
//! was accepted, and is journalled before it is made; what comes back is shown as another's words
//! and goes into no prompt of the same run.

use handaxe_sandbox::Cancel;
use handaxe_types::{Digest, ExternalListing, ExternalTool};
use serde_json::{Map, Value};

/// The programs that the settings name. Given by the edge; the wire stays behind it.
pub trait Externals: Send + Sync {
    /// Every server's name, and the digest of how it is reached.
    fn servers(&self) -> Vec<(String, Digest)>;

    /// Connects and asks what the server offers now.
    fn list(&self, server: &str, cancel: &Cancel) -> Result<ExternalListing, ExternalError>;

    /// Connects, refuses a tool that is no longer what `accepted` says, and calls it once.
    fn call(
        &self,
        server: &str,
        accepted: &ExternalTool,
        input: &Map<String, Value>,
        cancel: &Cancel,
    ) -> Result<ExternalReply, ExternalError>;
}

/// What a tool gave, bounded in size by whoever read it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalReply {
    pub failed: bool,
    pub text: String,
    pub output: Option<Value>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    #[error("the settings name no server `{0}`")]
    Unknown(String),
    #[error("the server `{server}` could not be started")]
    Start {
        server: String,
        source: std::io::Error,
    },
    #[error("the server `{server}` did not open the protocol{}", said(.stderr))]
    Open {
        server: String,
        stderr: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the server `{server}` failed while {doing}{}", said(.stderr))]
    Failed {
        server: String,
        doing: &'static str,
        stderr: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the server `{server}` took longer than {seconds} s while {doing}")]
    Late {
        server: String,
        doing: &'static str,
        seconds: u64,
    },
    #[error("the server `{server}` said too much, or what is not strict JSON: {why}")]
    Unreadable { server: String, why: String },
    #[error("`{tool}` of `{server}` is not what was accepted: its description or schema changed")]
    Changed { server: String, tool: String },
    #[error("`{server}` offers no tool `{tool}` any more")]
    Gone { server: String, tool: String },
    #[error("stopped")]
    Cancelled,
}

fn said(stderr: &str) -> String {
    let last = stderr.lines().last().unwrap_or_default();
    if last.is_empty() {
        return String::new();
    }
    format!("; it said: {}", last.escape_debug())
}

/// Where the settings name none.
pub struct NoExternals;

impl Externals for NoExternals {
    fn servers(&self) -> Vec<(String, Digest)> {
        Vec::new()
    }

    fn list(&self, server: &str, _: &Cancel) -> Result<ExternalListing, ExternalError> {
        Err(ExternalError::Unknown(server.to_owned()))
    }

    fn call(
        &self,
        server: &str,
        _: &ExternalTool,
        _: &Map<String, Value>,
        _: &Cancel,
    ) -> Result<ExternalReply, ExternalError> {
        Err(ExternalError::Unknown(server.to_owned()))
    }
}
