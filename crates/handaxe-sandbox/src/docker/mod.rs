//! Containers by a daemon that speaks Docker's Engine API on a local socket: Docker itself, or
//! podman's service. Never privileged; no capability, no network, a read-only root, our own filter,
//! limits on memory, processes and processors, and an image that is made here from the interpreter's
//! own files.
//!
//! The daemon is trusted, and it is root: whoever may speak to it owns the machine. That is why this
//! backend's level is no higher than the runtimes', and why it is never chosen unless it is named.
//! It makes no user namespace (the daemon's configuration would), so that layer is not promised.

mod engine;
mod image;

use std::path::PathBuf;
use std::sync::Arc;

use handaxe_types::{Isolation, Layer, LayerStatus};

use crate::container::{
    ContainerConfig, ContainerSession, Layers, Opened, environment, filter, open, profile, required,
};
use crate::interpreter::Runtime;
use crate::{Interpreter, Profile, Sandbox, SandboxError, Session, SessionSpec};
use engine::Daemon;

/// How the backend is set up.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Where a file is laid for a daemon that takes the filter as one; it must see it too.
    pub place: PathBuf,
    pub containers: ContainerConfig,
}

impl DockerConfig {
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            place: "/tmp".into(),
            containers: ContainerConfig::default(),
        }
    }

    /// The socket that `DOCKER_HOST` names (its value is given), else the usual one. `None` where
    /// it names no socket of this machine.
    pub fn socket(docker_host: Option<&str>) -> Option<PathBuf> {
        match docker_host {
            None | Some("") => Some("/var/run/docker.sock".into()),
            Some(host) => host.strip_prefix("unix://").map(PathBuf::from),
        }
    }
}

/// What a daemon does not promise: a namespace of users is its own configuration's to give, and one
/// of control groups is asked for and not always heard (podman's service, with version 1 of them).
const NOT: [Layer; 2] = [Layer::UserNamespace, Layer::CgroupNamespace];

/// The backend on this machine.
pub struct DockerSandbox {
    config: DockerConfig,
    python: Runtime,
    profile: Profile,
    daemon: Arc<Daemon>,
    layers: Layers,
}

impl DockerSandbox {
    /// Speaks to the daemon. The interpreter is the one that native found; its files are the image's.
    pub fn new(config: DockerConfig, python: Runtime) -> Result<Self, SandboxError> {
        let daemon = Daemon::connect(&config.socket)?;
        let required = required(&NOT);
        let parts = [
            include_str!("engine.rs"),
            include_str!("image.rs"),
            filter::SOURCES,
        ];
        let level = Isolation::Container;
        let profile = profile("docker", level, &required, &config.containers, &parts);
        Ok(Self {
            config,
            python,
            profile,
            daemon: Arc::new(daemon),
            layers: Layers::default(),
        })
    }

    fn open_session(&self, spec: &SessionSpec) -> Result<ContainerSession, SandboxError> {
        let opened = Opened {
            config: self.config.containers.clone(),
            required: self.profile.required.clone(),
            environment: environment(spec).into_iter().collect(),
            guest: false,
        };
        open(opened, spec, |data| {
            let daemon = Arc::clone(&self.daemon);
            let engine =
                engine::Containers::new(daemon, &self.config, &self.python, spec.clone(), data)?;
            Ok(Arc::new(engine))
        })
    }
}

impl Sandbox for DockerSandbox {
    fn name(&self) -> &str {
        &self.profile.name
    }

    fn interpreter(&self) -> &Interpreter {
        &self.python.interpreter
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn layers(&self) -> &[LayerStatus] {
        let open = || self.open_session(&SessionSpec::default());
        self.layers.get(&self.profile.required, open)
    }

    fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Session>, SandboxError> {
        Ok(Arc::new(self.open_session(&spec)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_of_this_machine_are_spoken_to() {
        for (host, socket) in [
            (None, Some("/var/run/docker.sock")),
            (
                Some("unix:///run/podman/podman.sock"),
                Some("/run/podman/podman.sock"),
            ),
            (Some("tcp://10.0.0.1:2375"), None),
            (Some("ssh://host"), None),
        ] {
            assert_eq!(
                DockerConfig::socket(host),
                socket.map(PathBuf::from),
                "{host:?}"
            );
        }
    }
}
