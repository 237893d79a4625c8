//! The daemon, spoken to on a small runtime of our own so that everything outside may block, and
//! every word of it with a deadline.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, Mount, MountType, ResourcesUlimits,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use handaxe_jail::DataFile;
use handaxe_types::Layer;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{DockerConfig, image};
use crate::container::{
    Body, ContainerConfig, Engine, Lacks, Running, Size, Stop, command, environment, filter,
    own_files, settings,
};
use crate::interpreter::Runtime;
use crate::{SandboxError, SessionSpec};

/// For one word of the daemon's; an image is given more.
const PATIENCE: Duration = Duration::from_secs(20);
const IMAGE_PATIENCE: Duration = Duration::from_mins(2);
/// Names the process that a container belongs to, so that what is left of one can be swept.
const OWNER: &str = "handaxe.owner";

/// A daemon that answers.
pub(super) struct Daemon {
    runtime: tokio::runtime::Runtime,
    docker: Docker,
    /// Podman's service takes no cap on a scratch's inodes.
    podman: bool,
    /// Whether it bounds memory and processes, as it says itself.
    cgroups: bool,
}

fn failed(doing: &'static str, source: impl Into<std::io::Error>) -> SandboxError {
    SandboxError::Start {
        doing,
        source: source.into(),
    }
}

impl Daemon {
    pub(super) fn connect(socket: &Path) -> Result<Self, SandboxError> {
        let unusable = |reason: String| SandboxError::Backend {
            backend: "docker".to_owned(),
            reason,
            hint: "start the daemon, or `podman system service`, and name its socket in \
                   DOCKER_HOST (unix:///…); its socket must be yours to open"
                .to_owned(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("handaxe-docker")
            .enable_all()
            .build()
            .map_err(|e| failed("starting a thread for the daemon", e))?;
        let address = socket.to_string_lossy();
        let seconds = IMAGE_PATIENCE.as_secs();
        let docker = Docker::connect_with_unix(&address, seconds, API_DEFAULT_VERSION)
            .map_err(|e| unusable(format!("{}: {e}", socket.display())))?;
        let asked = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, async {
                let docker = docker.negotiate_version().await?;
                let (version, info) = (docker.version().await?, docker.info().await?);
                Ok::<_, bollard::errors::Error>((docker, version, info))
            })
            .await
        });
        let (docker, version, info) = match asked {
            Ok(Ok(answered)) => answered,
            Ok(Err(e)) => return Err(unusable(format!("{}: {e}", socket.display()))),
            Err(_) => return Err(unusable(format!("{} does not answer", socket.display()))),
        };
        let parts = version.components.unwrap_or_default();
        let podman = parts.iter().any(|part| part.name.contains("Podman"));
        Ok(Self {
            runtime,
            docker,
            podman,
            cgroups: info.memory_limit == Some(true) && info.pids_limit == Some(true),
        })
    }

    /// Awaits one word of the daemon's, for a time.
    fn wait<T>(
        &self,
        doing: &'static str,
        patience: Duration,
        word: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, SandboxError> {
        let timed = async { tokio::time::timeout(patience, word).await };
        match self.runtime.block_on(timed) {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(error)) => Err(failed(doing, std::io::Error::other(error))),
            Err(_) => Err(failed(doing, std::io::ErrorKind::TimedOut)),
        }
    }

    /// Imports the image, unless the daemon has it.
    fn have_image(&self, python: &Runtime) -> Result<String, SandboxError> {
        const DOING: &str = "giving the daemon its image";
        let files = own_files()?;
        let tag = image::tag(python, &files);
        let name = format!("{}:{tag}", image::REPOSITORY);
        if self
            .wait(DOING, PATIENCE, self.docker.inspect_image(&name))
            .is_ok()
        {
            return Ok(name);
        }
        let layer = image::layer(python, &files)
            .map_err(|e| failed("reading the interpreter's files", e))?;
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            // Podman reads the tag here and nowhere else.
            .repo(&name)
            .build();
        let import = async {
            let body = bollard::body_full(layer.into());
            let mut said =
                std::pin::pin!(self.docker.create_image(Some(options), Some(body), None));
            while let Some(word) = said.next().await {
                word?;
            }
            self.docker.inspect_image(&name).await
        };
        self.wait(DOING, IMAGE_PATIENCE, import)?;
        Ok(name)
    }

    /// Removes containers whose owner is gone.
    fn sweep(&self) {
        let filters = HashMap::from([("label".to_owned(), vec![OWNER.to_owned()])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let list = self.docker.list_containers(Some(options));
        let found = self
            .wait("listing containers", PATIENCE, list)
            .unwrap_or_default();
        for container in found.into_iter().take(100) {
            let owner = container.labels.unwrap_or_default().remove(OWNER);
            let gone = owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
            if let (true, Some(id)) = (gone, container.id) {
                self.remove(&id);
            }
        }
    }

    fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let removed = self.docker.remove_container(id, Some(options));
        if let Err(error) = self.wait("removing a container", PATIENCE, removed) {
            tracing::debug!(%error, id, "a container was not removed");
        }
    }
}

/// A session's engine.
pub(super) struct Containers {
    daemon: Arc<Daemon>,
    config: ContainerConfig,
    python: Runtime,
    spec: SessionSpec,
    data: Vec<DataFile>,
    image: String,
    /// The filter, or where it is: podman reads it from a file, Docker takes it as it is.
    seccomp: String,
    filter_file: Option<PathBuf>,
    user: u32,
}

impl Drop for Containers {
    fn drop(&mut self) {
        if let Some(path) = &self.filter_file {
            let _ = fs::remove_file(path);
        }
    }
}

/// Where sessions get their users: beyond the runtimes' ranges.
const FIRST_USER: u32 = 2_070_000_000;

impl Containers {
    pub(super) fn new(
        daemon: Arc<Daemon>,
        config: &DockerConfig,
        python: &Runtime,
        spec: SessionSpec,
        data: Vec<DataFile>,
    ) -> Result<Self, SandboxError> {
        daemon.sweep();
        let image = daemon.have_image(python)?;
        let mut random = [0; 2];
        getrandom::fill(&mut random)
            .map_err(|e| failed("drawing its user", std::io::Error::other(e.to_string())))?;
        let number = u16::from_le_bytes(random);
        let filter = filter::seccomp()?.to_string();
        let (seccomp, filter_file) = if daemon.podman {
            let name = format!("handaxe-docker-{}-{number}.json", std::process::id());
            let path = config.place.join(name);
            let write =
                fs::File::create_new(&path).and_then(|mut f| f.write_all(filter.as_bytes()));
            write.map_err(|e| failed("laying the filter where the daemon reads it", e))?;
            (path.display().to_string(), Some(path))
        } else {
            (filter, None)
        };
        Ok(Self {
            daemon,
            config: config.containers.clone(),
            python: python.clone(),
            spec,
            data,
            image,
            seccomp,
            filter_file,
            // One of its own, so that two sessions share no per-user limit or signal right.
            user: FIRST_USER + u32::from(number),
        })
    }

    fn describe(&self, size: Size) -> ContainerCreateBody {
        let lacks = Lacks {
            inodes: self.daemon.podman,
            ..Lacks::default()
        };
        let settings = settings(&self.config, &self.python, &self.spec, size, lacks);
        let variables = environment(&self.spec);
        let variables = variables.iter().map(|(n, v)| format!("{n}={v}")).collect();
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(Vec::new()),
            cmd: Some(command(&self.python, &settings)),
            env: Some(variables),
            user: Some(format!("{0}:{0}", self.user)),
            working_dir: Some("/scratch".to_owned()),
            hostname: Some("handaxe".to_owned()),
            network_disabled: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            tty: Some(false),
            labels: Some(HashMap::from([(
                OWNER.to_owned(),
                std::process::id().to_string(),
            )])),
            host_config: Some(self.walls(size)),
            ..ContainerCreateBody::default()
        }
    }

    /// What stands around the container.
    fn walls(&self, size: Size) -> HostConfig {
        let memory = i64::try_from(size.whole_memory()).unwrap_or(i64::MAX);
        let limit = |name: &str, value| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(value),
            hard: Some(value),
        };
        let scratch = self.tmpfs(size.scratch_bytes, size.scratch_inodes);
        let own = self.tmpfs(2 << 20, 2048);
        let mounts = self.data.iter().map(|file| Mount {
            target: Some(format!("/data/{}", file.name)),
            source: Some(file.path.display().to_string()),
            typ: Some(MountType::BIND),
            read_only: Some(true),
            ..Mount::default()
        });
        HostConfig {
            privileged: Some(false),
            cap_drop: Some(vec!["ALL".to_owned()]),
            readonly_rootfs: Some(true),
            network_mode: Some("none".to_owned()),
            ipc_mode: Some("private".to_owned()),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            security_opt: Some(vec![
                "no-new-privileges".to_owned(),
                format!("seccomp={}", self.seccomp),
            ]),
            memory: Some(memory),
            memory_swap: Some(memory),
            pids_limit: Some(160),
            nano_cpus: Some(4_000_000_000),
            ulimits: Some(vec![
                limit("core", 0),
                limit("nofile", 1024),
                limit("nproc", 1024),
            ]),
            tmpfs: Some(HashMap::from([
                ("/scratch".to_owned(), scratch),
                ("/data".to_owned(), own.clone()),
                ("/assets".to_owned(), own),
            ])),
            mounts: Some(mounts.collect()),
            ..HostConfig::default()
        }
    }

    /// Everybody's, but nobody else is in there.
    fn tmpfs(&self, bytes: u64, inodes: u64) -> String {
        let common = format!("rw,nosuid,nodev,noexec,mode=1777,size={bytes}");
        if self.daemon.podman {
            format!("{common},notmpcopyup")
        } else {
            format!("{common},nr_inodes={inodes}")
        }
    }
}

impl Engine for Containers {
    fn start(&self, size: Size, stop: &Stop) -> Result<Running, SandboxError> {
        const DOING: &str = "starting a container";
        stop.check(DOING)?;
        let (daemon, docker) = (&self.daemon, &self.daemon.docker);
        let create = docker.create_container(None, self.describe(size));
        let id = daemon.wait(DOING, PATIENCE, create)?.id;
        // From here on it is removed whatever happens.
        let body = Box::new(Container {
            daemon: Arc::clone(daemon),
            id: Some(id.clone()),
        });
        let options = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let attach = docker.attach_container(&id, Some(options));
        let attached = daemon.wait(DOING, PATIENCE, attach)?;
        let start = docker.start_container(&id, None);
        daemon.wait(DOING, PATIENCE, start)?;
        let [stdin, stdout, stderr] = daemon.pass_on(attached).map_err(|e| failed(DOING, e))?;
        Ok(Running {
            stdin: Some(stdin),
            stdout,
            stderr,
            body,
        })
    }
}

impl Daemon {
    /// Passes the three streams on to descriptors that can be polled like a pipe's.
    fn pass_on(&self, attached: AttachContainerResults) -> std::io::Result<[OwnedFd; 3]> {
        let _entered = self.runtime.enter();
        let pair = || -> std::io::Result<(OwnedFd, tokio::net::UnixStream)> {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            theirs.set_nonblocking(true)?;
            Ok((ours.into(), tokio::net::UnixStream::from_std(theirs)?))
        };
        let (stdin, request) = pair()?;
        let (stdout, output) = pair()?;
        let (stderr, errors) = pair()?;
        let AttachContainerResults {
            output: said,
            input,
        } = attached;
        self.runtime.spawn(inward(request, input));
        self.runtime.spawn(async move {
            let (mut output, mut errors, mut said) = (output, errors, said);
            while let Some(Ok(word)) = said.next().await {
                let done = match word {
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        output.write_all(&message).await
                    }
                    LogOutput::StdErr { message } => errors.write_all(&message).await,
                    LogOutput::StdIn { .. } => Ok(()),
                };
                // Nobody listens any more.
                if done.is_err() {
                    break;
                }
            }
        });
        Ok([stdin, stdout, stderr])
    }
}

/// The request, up to its end; the daemon then closes the container's standard input.
async fn inward(mut request: tokio::net::UnixStream, mut input: Pin<Box<dyn AsyncWrite + Send>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = request.read(&mut buffer).await {
        if input.write_all(&buffer[..len]).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
    let _ = input.shutdown().await;
}

/// One container.
struct Container {
    daemon: Arc<Daemon>,
    id: Option<String>,
}

impl Body for Container {
    fn kill(&mut self) {
        if let Some(id) = self.id.take() {
            // Kills it first; an answer comes when nothing of it is left.
            self.daemon.remove(&id);
        }
    }

    fn layers(&self) -> Vec<Layer> {
        if self.daemon.cgroups {
            vec![Layer::Cgroup]
        } else {
            Vec::new()
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.kill();
    }
}
