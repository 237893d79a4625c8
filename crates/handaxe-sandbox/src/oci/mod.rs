//! Containers by an OCI runtime on this machine: crun, runc, youki, gVisor's runsc, Kata. No daemon
//! and no image: the bundle is laid out here, from the interpreter's own files, bound read-only.
//!
//! The runtime is started in a mount namespace of its own (`handaxe_jail::APART_ARGUMENT`), dies
//! with the host, and its container with it: the first process ends when its output has no reader.
//! What a killed host leaves behind (a directory, an empty control group) is swept at the next start.

mod bundle;
mod groups;
mod runtime;
mod spawner;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use handaxe_types::{Isolation, Layer, LayerStatus};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::Value;

use crate::container::{
    Body, ContainerConfig, ContainerSession, Engine, Lacks, Layers, Opened, Running, Size, Stop,
    command, environment, filter, open, own_files, profile, required, settings,
};
use crate::interpreter::Runtime;
use crate::{Interpreter, Profile, Sandbox, SandboxError, Session, SessionSpec};
use bundle::{Bundle, make_directory, process};
use runtime::Kind;
use spawner::Spawner;

/// How the backend is set up.
#[derive(Clone, Debug)]
pub struct OciConfig {
    /// A program that calls `handaxe_jail::main_if_asked` first thing in its `main`.
    pub launcher: PathBuf,
    /// `crun`, `runc`, `youki`, `runsc` or `kata`; the first of them that is there when not given.
    pub runtime: Option<String>,
    /// Where the runtime is looked for, as `PATH` has it; the usual directories always are.
    pub search: Option<OsString>,
    /// Where bundles are laid: a directory that every user may pass through.
    pub place: PathBuf,
    pub containers: ContainerConfig,
}

impl OciConfig {
    pub fn new(launcher: PathBuf) -> Self {
        Self {
            launcher,
            runtime: None,
            search: None,
            place: "/tmp".into(),
            containers: ContainerConfig::default(),
        }
    }
}

/// The runtimes that are known by name, in the order in which one is chosen.
pub fn oci_runtimes() -> [&'static str; runtime::KINDS.len()] {
    runtime::KINDS.map(|kind| kind.name)
}

/// The backend on this machine.
pub struct OciSandbox {
    config: OciConfig,
    kind: &'static Kind,
    program: PathBuf,
    python: Runtime,
    profile: Profile,
    layers: Layers,
}

impl OciSandbox {
    /// Finds the runtime. The interpreter is the one that native found.
    pub fn new(config: OciConfig, python: Runtime) -> Result<Self, SandboxError> {
        let (kind, program) = runtime::find(config.runtime.as_deref(), config.search.as_deref())?;
        let name = format!("oci:{}", kind.name);
        if !rustix::process::geteuid().is_root() {
            return Err(SandboxError::Backend {
                backend: name,
                reason: "only root may give a container users of its own".to_owned(),
                hint: "the native sandbox needs no root and is the stronger one".to_owned(),
            });
        }
        let required = required(kind.not);
        let parts = [include_str!("bundle.rs"), filter::SOURCES, kind.name];
        let profile = profile(&name, kind.level, &required, &config.containers, &parts);
        Ok(Self {
            config,
            kind,
            program,
            python,
            profile,
            layers: Layers::default(),
        })
    }

    fn open_session(&self, spec: &SessionSpec) -> Result<ContainerSession, SandboxError> {
        let guest = self.kind.level == Isolation::Guest;
        let opened = Opened {
            config: self.config.containers.clone(),
            required: self.profile.required.clone(),
            environment: environment(spec).into_iter().collect(),
            guest,
        };
        open(opened, spec, |data| {
            let (place, random) = self.place()?;
            let first_id = FIRST_USER + (random % 10_000) as u32 * bundle::IDS;
            let laid = place.join("bundle");
            let made = make_directory(&laid)
                .and_then(|()| make_directory(&place.join("state")))
                .and_then(|()| {
                    let files = own_files().map_err(io::Error::other)?;
                    Bundle::lay(laid, &self.python, &files, &data, first_id)
                });
            let bundle = made.map_err(|source| {
                let _ = fs::remove_dir_all(&place);
                let doing = "laying out the container's root";
                SandboxError::Start { doing, source }
            })?;
            Ok(Arc::new(Containers {
                config: self.config.clone(),
                kind: self.kind,
                program: self.program.clone(),
                python: self.python.clone(),
                spec: spec.clone(),
                place,
                bundle,
                seccomp: filter::seccomp()?,
                made: AtomicU64::new(0),
                spawner: Spawner::new().map_err(|source| SandboxError::Start {
                    doing: "starting a thread for the runtimes",
                    source,
                })?,
            }))
        })
    }

    /// A directory for one session, and a number that no other has.
    fn place(&self) -> Result<(PathBuf, u64), SandboxError> {
        let failed = |source| SandboxError::Start {
            doing: "making a directory for its containers",
            source,
        };
        sweep(&self.config.place, self.kind, &self.program);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| failed(io::Error::other(e.to_string())))?;
        let random = u64::from_le_bytes(random);
        let name = format!("{PREFIX}{}-{random:016x}", std::process::id());
        let place = self.config.place.join(name);
        make_directory(&place).map_err(failed)?;
        Ok((place, random))
    }
}

impl Sandbox for OciSandbox {
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

/// Of the directories of sessions; the process that made one comes after it.
const PREFIX: &str = "handaxe-oci-";
/// Where sessions get their users, a range each: beyond native's, out of the way of every distribution's ranges.
const FIRST_USER: u32 = 2_040_000_000;

/// Removes what processes that are gone left behind.
fn sweep(place: &Path, kind: &Kind, program: &Path) {
    for entry in fs::read_dir(place)
        .into_iter()
        .flatten()
        .flatten()
        .take(1000)
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = owner(&name) else {
            continue;
        };
        // Anybody may make a directory of this name where they are laid: only our own is believed.
        let mine = entry
            .metadata()
            .is_ok_and(|m| m.is_dir() && m.uid() == rustix::process::geteuid().as_raw());
        if !mine || Path::new("/proc").join(owner.to_string()).exists() {
            continue;
        }
        let state = entry.path().join("state");
        for left in fs::read_dir(&state)
            .into_iter()
            .flatten()
            .flatten()
            .take(100)
        {
            delete(kind, program, &state, &left.file_name().to_string_lossy());
        }
        let _ = fs::remove_dir_all(entry.path());
    }
    for name in groups::named(PREFIX) {
        if owner(&name).is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            groups::remove(&name);
        }
    }
}

/// The process that made what has this name.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the container runtime, to remove what is left of a container"
)]
fn delete(kind: &Kind, program: &Path, state: &Path, id: &str) {
    let mut command = Command::new(program);
    command.args(kind.options).arg("--root").arg(state);
    command.args(["delete", "--force", id]).env_clear();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        let _ = ends_within(&mut child, Duration::from_secs(5));
    }
}

/// Whether a child ended by itself in this time; killed and reaped if not.
fn ends_within(child: &mut Child, time: Duration) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// A session's engine.
struct Containers {
    config: OciConfig,
    kind: &'static Kind,
    program: PathBuf,
    python: Runtime,
    spec: SessionSpec,
    place: PathBuf,
    bundle: Bundle,
    seccomp: Value,
    made: AtomicU64,
    spawner: Spawner,
}

impl Drop for Containers {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

impl Containers {
    /// Writes one container's `config.json`.
    fn describe(&self, directory: &Path, name: &str, size: Size) -> io::Result<()> {
        make_directory(directory)?;
        let guest = self.kind.level == Isolation::Guest;
        let lacks = Lacks {
            landlock: guest,
            inodes: guest,
        };
        let containers = &self.config.containers;
        let settings = settings(containers, &self.python, &self.spec, size, lacks);
        let process = process(&command(&self.python, &settings), &environment(&self.spec));
        let config = self.bundle.config(name, size, &process, &self.seccomp);
        fs::write(directory.join("config.json"), config.to_string())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the container runtime, apart from the host's mounts"
    )]
    fn run(&self, directory: &Path, name: &str) -> io::Result<Child> {
        let mut command = Command::new(&self.config.launcher);
        command.arg(handaxe_jail::APART_ARGUMENT).arg(&self.program);
        command.args(self.kind.options);
        command.arg("--root").arg(self.place.join("state"));
        command
            .args(["run", "--pid-file"])
            .arg(directory.join("pid"));
        command.arg("--bundle").arg(directory).arg(name);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        // Where runtimes of ordinary users keep what is not given a place.
        command.env("XDG_RUNTIME_DIR", &self.place);
        command.current_dir("/");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.spawner.spawn(command)
    }
}

impl Engine for Containers {
    fn start(&self, size: Size, stop: &Stop) -> Result<Running, SandboxError> {
        const DOING: &str = "starting a container";
        stop.check(DOING)?;
        let failed = |source| SandboxError::Start {
            doing: DOING,
            source,
        };
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = self.place.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{name}-{number}");
        let directory = self.place.join(number.to_string());
        self.describe(&directory, &name, size).map_err(failed)?;
        let mut child = self.run(&directory, &name).map_err(failed)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let body = Box::new(Container {
            child,
            name,
            directory,
            state: self.place.join("state"),
            kind: self.kind,
            program: self.program.clone(),
            dead: false,
        });
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let running = Running {
            stdin: Some(stdin.into()),
            stdout: stdout.into(),
            stderr: stderr.into(),
            body,
        };
        let ends = [
            running.stdin.as_ref(),
            Some(&running.stdout),
            Some(&running.stderr),
        ];
        for end in ends.into_iter().flatten() {
            rustix::io::ioctl_fionbio(end, true).map_err(|e| failed(e.into()))?;
        }
        Ok(running)
    }
}

/// One container, and the runtime's process that waits for it.
struct Container {
    child: Child,
    name: String,
    directory: PathBuf,
    state: PathBuf,
    kind: &'static Kind,
    program: PathBuf,
    dead: bool,
}

impl Container {
    /// The container's first process, as the runtime wrote it down.
    fn first_process(&self) -> Option<OwnedFd> {
        let text = fs::read_to_string(self.directory.join("pid")).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
    }
}

impl Body for Container {
    fn kill(&mut self) {
        if std::mem::replace(&mut self.dead, true) {
            return;
        }
        // While the runtime has not been reaped, neither has the process that it waits for: the
        // number is still that process's. Its end is that of the whole namespace.
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Some(first) = self.first_process() {
                let _ = rustix::process::pidfd_send_signal(&first, Signal::KILL);
            } else {
                let _ = self.child.kill();
            }
        }
        let clean = ends_within(&mut self.child, Duration::from_secs(3));
        if !clean || self.state.join(&self.name).exists() {
            delete(self.kind, &self.program, &self.state, &self.name);
        }
        groups::remove(&self.name);
        let _ = fs::remove_dir_all(&self.directory);
    }

    fn layers(&self) -> Vec<Layer> {
        // The runtime refuses to start what it cannot put into its groups.
        if self.kind.level == Isolation::Container {
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
