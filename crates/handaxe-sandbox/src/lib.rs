//! Runs one untrusted Python function a call, in a jail, behind one trait.
//!
//! A [`Session`] is a warmed jail with fixed mounts; a call is one fresh process in it, used once,
//! sharing nothing with the one before or beside it. Trusted code only runs before the fork,
//! untrusted code only after. Every byte from inside is hostile until parsed here.
//!
//! This crate knows nothing of tools, approvals or verdicts: it is given bytes and runs them. It
//! reads no environment and prints nothing.

#![forbid(unsafe_code)]

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod api;
mod batch;
mod container;
mod docker;
mod exchange;
mod helper;
mod interpreter;
mod native;
mod oci;
mod surface;

pub use api::{
    Call, Cancel, InlineFile, Interpreter, Mount, Sandbox, SandboxError, Session, SessionSpec,
    SessionStats,
};
pub use batch::{Batch, BatchItem, BatchRun, BatchStop};
pub use container::ContainerConfig;
pub use docker::{DockerConfig, DockerSandbox};
/// The host's part of a call by itself; only for this crate's own bench.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub use exchange::bench;
pub use handaxe_types::Profile;
pub use helper::{Helper, HelperError, HelperLimits, serve_helper};
pub use interpreter::Runtime;
pub use native::{NativeConfig, NativeSandbox, filter_digest};
pub use oci::{OciConfig, OciSandbox, oci_runtimes};
pub use surface::{
    MOST_REACHABLE, PROBE_MODULES, Reach, SurfaceProbe, probe_surface, probe_surface_in, reachable,
};

/// The server's source, so that a bench can take the same road without any jail.
pub use handaxe_jail::SERVER;
pub use handaxe_jail::Shape;
