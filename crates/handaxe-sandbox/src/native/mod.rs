//! The native backend: Linux namespaces, Landlock, seccomp and a warm interpreter that forks.
//!
//! What each layer stops is in the documentation of `handaxe-jail`, which builds them. This side
//! holds the other end: it asks for children ahead of need (`pool`), refuses one that did not find
//! every required layer in force, gives it a request, and watches (`watch`) until there is a result
//! or a limit. Then it kills it, always: a child serves one call.
//!
//! # What the limits mean
//!
//! - `wall_ms` runs from the request, not from waiting for a child. `cpu_ms` is what the process's
//!   own clock says, all threads together, less what it had used when the request came; looked at
//!   every 20 ms, with `RLIMIT_CPU` a second or two behind.
//! - `memory_bytes` is what the call may add to the warm interpreter's address space
//!   (`RLIMIT_AS`), so that passing it is a `MemoryError` in the tool. A thread's stack counts
//!   8 MiB, and a mapped file counts whole. About 200 KiB are free within the warm interpreter and
//!   come on top: a limit of 1 MiB is held, one below 256 KiB says nothing. With control groups, everything that the call holds,
//!   its scratch included, is bounded by `memory_bytes + scratch_bytes` and 48 MiB for the
//!   interpreter's own pages, and passing that is an out-of-memory kill.
//! - `usage.max_rss_kib` includes the pages shared with the server (about 15 MiB).
//! - `output_bytes` is JSON as Python writes it, which is ASCII: `é` is six bytes.
//!
//! # Outcomes
//!
//! `policy` is a `SIGSYS` (most denials are an errno, and so the tool's own error); `crash` is any
//! other end without a result; `protocol` is a result that is not one whole frame of this call's,
//! or one with anything after it. A process that ends while something of its own still holds the
//! result's descriptor is waited for until the wall clock says otherwise.

mod call;
mod cgroup;
mod codes;
#[cfg(test)]
pub(crate) mod fuzz;
mod greeting;
mod jail;
mod layers;
mod place;
mod pool;
mod session;
mod watch;

pub(crate) use greeting::parse_greeting;
pub(crate) use jail::timespec;
pub(crate) use layers::missing;
pub(crate) use watch::broken;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use handaxe_jail::Shape;
use handaxe_types::{Digest, Isolation, Layer, LayerStatus, StaticPolicy};

use crate::interpreter::{self, Runtime};
use crate::{Interpreter, Profile, Sandbox, SandboxError, Session, SessionSpec};

/// How the native backend is set up.
#[derive(Clone, Debug)]
pub struct NativeConfig {
    /// What stands around the interpreter. Never changed by itself: where the machine does not give
    /// what the shape needs, opening a session fails.
    pub shape: Shape,
    /// Where calls get their own directories when there are no namespaces, and so no mounts to
    /// give them one. The file system is the host's, and its room.
    pub scratch_root: PathBuf,
    /// A program that calls `handaxe_jail::main_if_asked` first thing in its `main`; usually the
    /// running one.
    pub launcher: PathBuf,
    /// The interpreter; found when not given.
    pub python: Option<PathBuf>,
    /// Where `python3` is looked for, as `PATH` has it. `/usr/bin` is always looked at last.
    pub search: Option<OsString>,
    /// Modules imported before the first fork.
    pub modules: Vec<String>,
    /// The fewest children kept ready in a session. More are when calls find none, as long as
    /// `idle_bytes` and `most` allow.
    pub idle: usize,
    /// What the children kept ready may hold of memory together.
    pub idle_bytes: u64,
    /// The most children that a session has at once; further calls wait, first come first served.
    pub most: usize,
    /// The longest that a call waits for a child.
    pub patience: Duration,
    #[cfg(feature = "testing")]
    pub knobs: handaxe_jail::Knobs,
}

impl NativeConfig {
    pub fn new(launcher: PathBuf) -> Self {
        Self {
            shape: Shape::Namespaces,
            scratch_root: PathBuf::from("/tmp"),
            launcher,
            python: None,
            search: None,
            modules: StaticPolicy::default().imports,
            idle: 2,
            idle_bytes: 48 << 20,
            most: 8,
            patience: Duration::from_mins(1),
            #[cfg(feature = "testing")]
            knobs: handaxe_jail::Knobs::default(),
        }
    }
}

impl NativeConfig {
    /// The profile for places that give no namespaces: Landlock, the filter and resource limits in
    /// the host's own tree. Weaker, with a digest of its own, and never chosen automatically: a
    /// policy names it, by the word `landlock`. What it does not hold is in SECURITY.md.
    pub fn landlock(launcher: PathBuf) -> Self {
        Self {
            shape: Shape::Landlock,
            ..Self::new(launcher)
        }
    }
}

/// The native backend on this machine. Cheap to make from a [`Runtime`] that was kept.
pub struct NativeSandbox {
    config: NativeConfig,
    runtime: Runtime,
    profile: Profile,
    layers: OnceLock<Vec<LayerStatus>>,
}

impl NativeSandbox {
    /// Finds the interpreter, which costs a start of it.
    pub fn new(config: NativeConfig) -> Result<Self, SandboxError> {
        let (python, search) = (config.python.as_deref(), config.search.as_deref());
        let runtime = interpreter::find(python, search, &config.modules)?;
        Ok(Self::with_runtime(config, runtime))
    }

    /// With an interpreter that was found before.
    pub fn with_runtime(config: NativeConfig, runtime: Runtime) -> Self {
        let profile = profile(&config);
        Self {
            config,
            runtime,
            profile,
            layers: OnceLock::new(),
        }
    }

    /// What was found, for keeping.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn open_session(&self, spec: SessionSpec) -> Result<session::NativeSession, SandboxError> {
        if self.config.shape == Shape::Landlock
            && rustix::process::geteuid().is_root()
            && let Some(closed) = self.runtime.closed_to_others()
        {
            let python = self.runtime.interpreter.executable.display();
            return Err(SandboxError::NoInterpreter {
                reason: format!(
                    "{python} lies in {}, which only its owner may enter, and tools run as nobody \
                     in particular; name another with --python, such as /usr/bin/python3",
                    closed.display()
                ),
            });
        }
        session::NativeSession::open(&self.config, &self.runtime, spec)
    }
}

impl Sandbox for NativeSandbox {
    fn name(&self) -> &str {
        &self.profile.name
    }

    fn interpreter(&self) -> &Interpreter {
        &self.runtime.interpreter
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Opens a jail the first time, makes one child in it, and asks that child; no tool runs.
    fn layers(&self) -> &[LayerStatus] {
        self.layers.get_or_init(|| {
            let found = self
                .open_session(SessionSpec::default())
                .and_then(|s| s.confirmed());
            layers::describe(self.config.shape, &found)
        })
    }

    fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Session>, SandboxError> {
        Ok(Arc::new(self.open_session(spec)?))
    }
}

/// Everything about the jail that a tool could tell apart.
fn profile(config: &NativeConfig) -> Profile {
    let source = handaxe_jail::source_digest();
    let head = format!("handaxe {} profile 1", name(config.shape));
    let mut parts: Vec<&[u8]> = vec![head.as_bytes(), source.as_bytes()];
    parts.extend(config.modules.iter().map(String::as_bytes));
    parts.extend(interpreter::COVERED.map(str::as_bytes));
    for (name, value) in handaxe_jail::ENVIRONMENT {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    let required: Vec<Layer> = handaxe_jail::all_layers()
        .iter()
        .copied()
        .filter(|l| config.shape.requires(*l))
        .collect();
    let level = match config.shape {
        Shape::Namespaces => Isolation::Jail,
        Shape::Landlock => Isolation::Landlock,
    };
    let digest = Digest::of_parts(parts);
    Profile::new(name(config.shape), level, &required, digest)
}

/// What a profile and its backend are called.
fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Namespaces => "native",
        Shape::Landlock => "landlock",
    }
}

/// Digest over the system-call filter that every child of the native profile loads on this machine.
pub fn filter_digest() -> Result<Digest, SandboxError> {
    let filter =
        handaxe_jail::seccomp::halves(Shape::Namespaces).map_err(|e| SandboxError::Start {
            doing: "compiling the system-call filter",
            source: std::io::Error::other(e),
        })?;
    Ok(Digest::of_parts([&filter.inherited[..], &filter.own]))
}
