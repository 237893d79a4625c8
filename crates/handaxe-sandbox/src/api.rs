//! The trait that every backend implements, and what goes in and out of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use handaxe_types::{Digest, Layer, LayerStatus, Limits, Profile, SandboxResult};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One way of isolating untrusted Python. Blocking: call it off the async threads.
pub trait Sandbox: Send + Sync {
    /// The backend's name, e.g. `native` or `oci:crun`.
    fn name(&self) -> &str;

    /// The Python that runs the tools.
    fn interpreter(&self) -> &Interpreter;

    /// What an approval binds: everything about the jail that a tool could tell apart.
    fn profile(&self) -> &Profile;

    /// Each layer as it stands on this machine.
    fn layers(&self) -> &[LayerStatus];

    /// Warms a jail. Fails with the layer's name where a required one cannot be had.
    fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Session>, SandboxError>;
}

/// A warmed jail. Dropping the last handle kills everything in it.
pub trait Session: Send + Sync {
    /// Runs one call in a fresh process. An `Err` says that the sandbox failed; whatever the tool
    /// did is in the result.
    fn call(&self, call: &Call, cancel: &Cancel) -> Result<SandboxResult, SandboxError>;

    /// How busy it is.
    fn stats(&self) -> SessionStats {
        SessionStats::default()
    }
}

/// A session's pool at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionStats {
    /// Calls that asked for a child so far.
    pub calls: u64,
    /// Calls that wait for one now: the queue's depth.
    pub waiting: usize,
    /// Children that wait for a call.
    pub ready: usize,
    /// Children that are being made.
    pub coming: usize,
    /// Children of any kind that have not ended.
    pub live: usize,
    /// Children asked for so far.
    pub made: u64,
    /// How many are kept ready at present.
    pub kept_ready: usize,
    /// The host's process numbers of the children that wait for a call, for measuring them.
    pub ready_processes: Vec<u32>,
}

/// What is fixed for a session.
#[derive(Clone, Debug, Default)]
pub struct SessionSpec {
    /// Host files that calls see read-only as `/data/<name>`.
    pub mounts: Vec<Mount>,
    /// `PYTHONHASHSEED`; production is 0, proof repeats under another.
    pub hash_seed: u32,
}

#[derive(Clone, Debug)]
pub struct Mount {
    /// One plain component.
    pub name: String,
    pub path: PathBuf,
}

/// One run of `run(**input)` from `code`.
#[derive(Clone, Debug)]
pub struct Call {
    /// Source of the module; UTF-8.
    pub code: Arc<str>,
    pub input: Map<String, Value>,
    /// Files laid as `/data/<name>` before the code loads; all of them together at most 1 MiB.
    pub files: Vec<InlineFile>,
    /// The tool's own data, laid read-only as `/assets/<name>`; at most 1 MiB together.
    pub assets: Vec<InlineFile>,
    /// Top-level input properties that hold file names: rewritten to the path inside.
    pub file_inputs: Vec<String>,
    /// Top-level output properties that hold names of files to hand back.
    pub file_outputs: Vec<String>,
    /// Where artefacts go: an existing directory that the caller owns. `None`: none are taken.
    pub artifacts: Option<PathBuf>,
    pub limits: Limits,
}

impl Call {
    /// A call with nothing attached, under the usual limits.
    pub fn new(code: impl Into<Arc<str>>, input: Map<String, Value>) -> Self {
        Self {
            code: code.into(),
            input,
            files: Vec::new(),
            assets: Vec::new(),
            file_inputs: Vec::new(),
            file_outputs: Vec::new(),
            artifacts: None,
            limits: Limits::default(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct InlineFile {
    /// One plain component.
    pub name: String,
    pub bytes: Arc<[u8]>,
}

/// Tells a run under way to stop. Cheap to clone; once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The interpreter as found on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The real executable, not a shim or a virtual environment's link.
    pub executable: PathBuf,
    /// `sys.base_prefix`.
    pub prefix: PathBuf,
    /// e.g. `CPython 3.11.7`.
    pub version: String,
    /// Of the executable's bytes.
    pub digest: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("this machine does not give a required isolation layer, `{}`: {reason}", layer.as_str())]
    MissingLayer {
        layer: Layer,
        reason: String,
        hint: String,
    },
    #[error("the sandbox backend `{backend}` cannot be used here: {reason}")]
    Backend {
        backend: String,
        reason: String,
        hint: String,
    },
    #[error("no usable Python was found: {reason}")]
    NoInterpreter { reason: String },
    #[error("could not start the jail while {doing}")]
    Start {
        doing: &'static str,
        source: std::io::Error,
    },
    #[error("the jail ended while {doing}: {detail}")]
    JailDied { doing: &'static str, detail: String },
    #[error("the jail said something that is not in its protocol while {doing}: {detail}")]
    Protocol { doing: &'static str, detail: String },
    #[error("cannot attach `{name}`: {reason}")]
    File { name: String, reason: String },
    #[error("could not keep the artefact `{name}`")]
    Artifact {
        name: String,
        source: std::io::Error,
    },
    #[error("no child was free for {} s; {ahead} calls were before this one", waited.as_secs())]
    Busy { waited: Duration, ahead: usize },
    #[error("cancelled")]
    Cancelled,
    #[error("input/output with the jail failed while {doing}")]
    Io {
        doing: &'static str,
        source: std::io::Error,
    },
}
