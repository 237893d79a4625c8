//! What every backend that runs containers does alike: one container a call, warmed ahead of need
//! and waiting for its request; a trusted first process that forks the one process which meets the
//! tool (`program.py`); and the host's watchdog over it.
//!
//! The walls are the runtime's: namespaces, the read-only root, the scratch, the outer filter, the
//! control groups. Inside them the tool's process puts on by itself what native's does (Landlock,
//! the same system-call filter, resource limits), and reads back that the rest is there. So a
//! runtime that forgot a wall is found out before a tool runs in it.

mod engine;
pub(crate) mod filter;
mod frames;
mod session;
mod talk;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use handaxe_types::{Digest, Isolation, Layer, LayerStatus, Limits};
use serde_json::{Value, json};

pub(crate) use engine::{Body, Engine, Running, Size, Stop};
pub(crate) use session::{ContainerSession, Opened};

use crate::exchange::request::data_files;
use crate::interpreter::{COVERED, Runtime};
use crate::{Cancel, Profile, SandboxError, SessionSpec};

/// The first process's program.
pub(crate) const PROGRAM: &str = include_str!("program.py");

/// The user inside, where the engine does not choose another.
pub(crate) const USER: u32 = 1000;

/// What is the same for all backends of this kind.
#[derive(Clone, Debug)]
pub struct ContainerConfig {
    /// Modules imported before the fork.
    pub modules: Vec<String>,
    /// Containers kept started and waiting in a session, once it has been called.
    pub idle: usize,
    /// The most that a session has at once; further calls wait.
    pub most: usize,
    /// The longest that a call waits for one.
    pub patience: Duration,
}

impl Default for ContainerConfig {
    fn default() -> Self {
        Self {
            modules: handaxe_types::StaticPolicy::default().imports,
            idle: 1,
            most: 4,
            patience: Duration::from_mins(1),
        }
    }
}

/// Layers that a container of ours must be found to have. `not` are those that this kind of engine
/// does not give, each for a reason that its documentation states.
pub(crate) fn required(not: &[Layer]) -> Vec<Layer> {
    let all = handaxe_jail::all_layers().iter().copied();
    all.filter(|layer| *layer != Layer::Cgroup && !not.contains(layer))
        .collect()
}

/// The profile of a backend of this kind; `parts` are what it alone is made of.
pub(crate) fn profile(
    name: &str,
    level: Isolation,
    required: &[Layer],
    config: &ContainerConfig,
    parts: &[&str],
) -> Profile {
    let jail = handaxe_jail::source_digest();
    let mut all: Vec<&[u8]> = vec![b"handaxe container", jail.as_bytes(), PROGRAM.as_bytes()];
    all.extend(parts.iter().map(|p| p.as_bytes()));
    all.extend(config.modules.iter().map(String::as_bytes));
    all.extend(COVERED.map(str::as_bytes));
    for (name, value) in handaxe_jail::ENVIRONMENT {
        all.extend([name.as_bytes(), value.as_bytes()]);
    }
    Profile::new(name, level, required, Digest::of_parts(all))
}

/// The first process's whole environment.
pub(crate) fn environment(spec: &SessionSpec) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut all: Vec<_> = handaxe_jail::ENVIRONMENT.iter().map(own).collect();
    all.push(("PYTHONHASHSEED".to_owned(), spec.hash_seed.to_string()));
    all
}

/// The first process's command line.
pub(crate) fn command(runtime: &Runtime, settings: &Value) -> Vec<String> {
    let python = runtime.interpreter.executable.display().to_string();
    let words = ["-S", "-B", "-s", "-X", "utf8", "/handaxe/program.py"];
    let words = words.iter().map(|w| (*w).to_owned());
    let all = std::iter::once(python).chain(words);
    all.chain([settings.to_string()]).collect()
}

/// Files of the container's `/handaxe`.
pub(crate) fn own_files() -> Result<[(&'static str, Vec<u8>); 3], SandboxError> {
    let filter = handaxe_jail::seccomp::filter(handaxe_jail::Shape::Namespaces).map_err(|e| {
        SandboxError::Start {
            doing: "compiling the system-call filter",
            source: std::io::Error::other(e),
        }
    })?;
    let program = format!("{}\n\n{PROGRAM}", handaxe_jail::REQUEST);
    Ok([
        ("program.py", program.into_bytes()),
        ("handaxe_hook.so", handaxe_jail::HOOK.to_vec()),
        ("filter", filter),
    ])
}

/// What an engine's containers lack that the tool's process would otherwise insist on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lacks {
    /// Their kernel has no Landlock: a guest's.
    pub(crate) landlock: bool,
    /// Nothing caps the scratch's inodes.
    pub(crate) inodes: bool,
}

/// What the program is told when it starts.
pub(crate) fn settings(
    config: &ContainerConfig,
    runtime: &Runtime,
    spec: &SessionSpec,
    size: Size,
    lacks: Lacks,
) -> Value {
    let mut readable: Vec<PathBuf> = runtime.directories.clone();
    readable.extend(["/data", "/assets", "/usr/lib", "/lib", "/lib64"].map(Into::into));
    let beside = runtime.files.iter().filter_map(|f| f.parent());
    readable.extend(beside.filter(|p| p.parent().is_some()).map(Into::into));
    readable.sort();
    readable.dedup();
    let names: Vec<String> = environment(spec)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    json!({
        "modules": config.modules,
        "seed": spec.hash_seed,
        "environment": names,
        "readable": readable,
        "scratch_bytes": size.scratch_bytes,
        "scratch_inodes": size.scratch_inodes,
        "flags": u8::from(lacks.landlock) | u8::from(lacks.inodes) << 1,
    })
}

/// A backend's table of layers, made once by opening a container and asking it.
#[derive(Default)]
pub(crate) struct Layers(OnceLock<Vec<LayerStatus>>);

impl Layers {
    pub(crate) fn get(
        &self,
        required: &[Layer],
        open: impl FnOnce() -> Result<ContainerSession, SandboxError>,
    ) -> &[LayerStatus] {
        self.0.get_or_init(|| {
            let found = open().and_then(|session| session.confirmed(&Cancel::default()));
            let status = |layer: &Layer| {
                let (in_force, note) = match &found {
                    Ok(layers) => (layers.contains(layer), String::new()),
                    Err(error) => (false, format!("not reached: {error}")),
                };
                LayerStatus {
                    layer: *layer,
                    in_force,
                    required: required.contains(layer),
                    note,
                }
            };
            handaxe_jail::all_layers().iter().map(status).collect()
        })
    }
}

/// Checks what is attached, and opens a session on the engine that `make` gives.
pub(crate) fn open(
    opened: Opened,
    spec: &SessionSpec,
    make: impl FnOnce(Vec<handaxe_jail::DataFile>) -> Result<Arc<dyn Engine>, SandboxError>,
) -> Result<ContainerSession, SandboxError> {
    let data = data_files(spec)?;
    let mounts = data.iter().map(|d| d.name.clone()).collect();
    let engine = make(data)?;
    Ok(ContainerSession::new(engine, opened, mounts))
}

/// What a container is made for before any call says what it needs.
pub(crate) fn usual_size() -> Size {
    Size::of(&Limits::default())
}
