//! Which sandbox runs the tools: what was asked for, and making it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use handaxe_sandbox::{
    ContainerConfig, DockerConfig, DockerSandbox, NativeConfig, NativeSandbox, OciConfig,
    OciSandbox, Runtime, Sandbox, SandboxError, Shape, oci_runtimes,
};
use handaxe_types::LayerStatus;
use serde::Serialize;

/// A backend as `--sandbox`, `HANDAXE_SANDBOX` and `config.toml` name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Native,
    /// A runtime by name; the first that is found where none is.
    Oci(Option<String>),
    Docker,
    /// No namespaces: only where the policy names this level by hand.
    Landlock,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Oci(None) => f.write_str("oci"),
            Self::Oci(Some(name)) => write!(f, "oci:{name}"),
            Self::Docker => f.write_str("docker"),
            Self::Landlock => f.write_str("landlock"),
        }
    }
}

impl FromStr for Choice {
    type Err = UnknownSandbox;

    fn from_str(text: &str) -> Result<Self, UnknownSandbox> {
        let runtimes = oci_runtimes();
        match (text, text.strip_prefix("oci:")) {
            ("native", _) => Ok(Self::Native),
            ("oci", _) => Ok(Self::Oci(None)),
            ("docker", _) => Ok(Self::Docker),
            ("landlock", _) => Ok(Self::Landlock),
            (_, Some(name)) if runtimes.contains(&name) => Ok(Self::Oci(Some(name.to_owned()))),
            _ => Err(UnknownSandbox(runtimes.join("|"))),
        }
    }
}

/// What was named is none; holds the runtimes that are known.
#[derive(Debug)]
pub(crate) struct UnknownSandbox(String);

impl fmt::Display for UnknownSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a sandbox is native, oci, oci:{}, docker or landlock",
            self.0
        )
    }
}

impl std::error::Error for UnknownSandbox {}

/// Where bundles are laid: a home may be closed to the container's user.
fn place() -> PathBuf {
    std::env::temp_dir()
}

/// What native is told of modules holds for containers too.
fn containers(config: &NativeConfig) -> ContainerConfig {
    ContainerConfig {
        modules: config.modules.clone(),
        ..ContainerConfig::default()
    }
}

/// Makes the backend. The interpreter is found by native, whatever runs it.
pub(crate) fn make(
    choice: &Choice,
    config: &NativeConfig,
    runtime: Runtime,
) -> Result<Arc<dyn Sandbox>, SandboxError> {
    Ok(match choice {
        Choice::Native => Arc::new(NativeSandbox::with_runtime(config.clone(), runtime)),
        Choice::Landlock => {
            let config = NativeConfig {
                shape: Shape::Landlock,
                ..config.clone()
            };
            Arc::new(NativeSandbox::with_runtime(config, runtime))
        }
        Choice::Oci(name) => Arc::new(OciSandbox::new(
            OciConfig {
                containers: containers(config),
                runtime: name.clone(),
                search: config.search.clone(),
                place: place(),
                ..OciConfig::new(config.launcher.clone())
            },
            runtime,
        )?),
        Choice::Docker => {
            let host = std::env::var("DOCKER_HOST").ok();
            let socket =
                DockerConfig::socket(host.as_deref()).ok_or_else(|| SandboxError::Backend {
                    backend: "docker".to_owned(),
                    reason: "DOCKER_HOST names no socket of this machine".to_owned(),
                    hint: "only a daemon on this machine sees its files: unix:///path".to_owned(),
                })?;
            let config = DockerConfig {
                containers: containers(config),
                place: place(),
                ..DockerConfig::new(socket)
            };
            Arc::new(DockerSandbox::new(config, runtime)?)
        }
    })
}

/// A backend as `doctor` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) backend: String,
    /// Its level, where it could be made.
    pub(crate) isolation: Option<&'static str>,
    pub(crate) usable: bool,
    /// Why not.
    pub(crate) reason: Option<String>,
}

/// Every backend, each tried by starting something in it.
pub(crate) fn survey(config: &NativeConfig, runtime: &Runtime) -> Vec<Found> {
    let mut choices = vec![("native".to_owned(), Choice::Native)];
    for name in oci_runtimes() {
        let choice = Choice::Oci(Some(name.to_owned()));
        choices.push((format!("oci:{name}"), choice));
    }
    choices.push(("docker".to_owned(), Choice::Docker));
    choices.push(("landlock".to_owned(), Choice::Landlock));
    choices
        .into_iter()
        .map(|(backend, choice)| look(backend, &choice, config, runtime.clone()))
        .collect()
}

fn look(backend: String, choice: &Choice, config: &NativeConfig, runtime: Runtime) -> Found {
    let sandbox = match make(choice, config, runtime) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let reason = match error {
                SandboxError::Backend { reason, .. } => reason,
                other => crate::failure::chain(&other),
            };
            return Found {
                backend,
                isolation: None,
                usable: false,
                reason: Some(reason),
            };
        }
    };
    let lacking = |l: &&LayerStatus| l.required && !l.in_force;
    let missing = sandbox.layers().iter().find(lacking);
    Found {
        backend,
        isolation: Some(sandbox.profile().level.as_str()),
        usable: missing.is_none(),
        reason: missing.map(|l| format!("{}: {}", l.layer.as_str(), l.note)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandboxes_are_named_as_the_help_says() {
        for (text, choice) in [
            ("native", Choice::Native),
            ("oci", Choice::Oci(None)),
            ("oci:runsc", Choice::Oci(Some("runsc".to_owned()))),
            ("docker", Choice::Docker),
            ("landlock", Choice::Landlock),
        ] {
            assert_eq!(text.parse::<Choice>().unwrap(), choice);
        }
        for bad in ["", "oci:", "oci:lxc", "Native", "podman"] {
            let said = bad.parse::<Choice>().unwrap_err().to_string();
            assert!(said.contains("crun|runc"), "{said}");
        }
    }
}
