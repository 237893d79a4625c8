//! The launcher's steps, one function each, and what is said when one fails.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use handaxe_types::Layer;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use super::tell;
use crate::config::{Launch, Launched, Shape};
use crate::seccomp::SeccompError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("failed to close inherited descriptors: {0}")]
    CloseInherited(Errno),
    #[error("failed to receive the jail's description: {0}")]
    Receive(Errno),
    #[error("failed to read the jail's description: {0}")]
    Config(serde_json::Error),
    #[error("failed to compile the system-call filter: {0}")]
    Filter(SeccompError),
    #[error("failed to open /proc: {0}")]
    OpenProc(Errno),
    #[error("failed to take hold of {}: {errno}", path.display())]
    Hold { path: PathBuf, errno: Errno },
    #[error("failed to make {} read-only: {errno}", path.display())]
    Restrict { path: PathBuf, errno: Errno },
    #[error("failed to attach {}: it was replaced after it was checked", .0.display())]
    Replaced(PathBuf),
    #[error("failed to drop to user {user}: {errno}")]
    DropUser { user: u32, errno: Errno },
    #[error("failed to confirm that root was given up")]
    StillRoot,
    #[error("failed to give up new privileges: {0}")]
    NoNewPrivileges(Errno),
    #[error("failed to unshare into a new user namespace: {0}")]
    UserNamespace(Errno),
    #[error("failed to write {file}: {errno}")]
    MapIds { file: &'static str, errno: Errno },
    #[error("failed to unshare into a new {} namespace: {errno}", layer.as_str())]
    Namespace { layer: Layer, errno: Errno },
    #[error("failed to name the jail's host: {0}")]
    NameHost(Errno),
    #[error("failed to make the mounts private: {0}")]
    MakePrivate(Errno),
    #[error("failed to make the jail's root: {0}")]
    MakeRoot(Errno),
    #[error("failed to make {} in the jail: {errno}", path.display())]
    Place { path: PathBuf, errno: Errno },
    #[error("failed to mount {} in the jail: {errno}", path.display())]
    Mount { path: PathBuf, errno: Errno },
    #[error("failed to make the jail's root read-only: {0}")]
    SealRoot(Errno),
    #[error("failed to change to the jail's root: {0}")]
    PivotRoot(Errno),
    #[error("failed to start the server's process: {0}")]
    Fork(Errno),
    #[error("failed to give {} to the jail's user: {errno}", path.display())]
    GivePlace { path: PathBuf, errno: Errno },
    #[error("failed to drop the capability bounding set: {0}")]
    Bounding(Errno),
    #[error("failed to become the parent of orphans: {0}")]
    Adopt(Errno),
    #[error("failed to keep {name} in memory: {errno}")]
    InMemory { name: String, errno: Errno },
    #[error("failed to prepare the server's descriptors: {0}")]
    Descriptors(Errno),
    #[error("failed to execute {}: {errno}", path.display())]
    Execute { path: PathBuf, errno: Errno },
}

impl LaunchError {
    /// The isolation layer that this machine does not give, where that is what failed.
    pub(crate) fn layer(&self) -> Option<Layer> {
        match self {
            Self::CloseInherited(_) => Some(Layer::ClosedDescriptors),
            Self::Filter(_) => Some(Layer::Seccomp),
            Self::DropUser { .. }
            | Self::StillRoot
            | Self::GivePlace { .. }
            | Self::Bounding(_) => Some(Layer::UnprivilegedUid),
            Self::NoNewPrivileges(_) => Some(Layer::NoNewPrivileges),
            Self::UserNamespace(_) | Self::MapIds { .. } => Some(Layer::UserNamespace),
            Self::Namespace { layer, .. } => Some(*layer),
            Self::NameHost(_) => Some(Layer::UtsNamespace),
            Self::MakePrivate(_) => Some(Layer::MountNamespace),
            // A copy of a mount may be made by whoever may mount.
            Self::Hold { errno, .. } if *errno == Errno::PERM => Some(Layer::MountNamespace),
            Self::Restrict { .. } | Self::MakeRoot(_) | Self::SealRoot(_) | Self::PivotRoot(_) => {
                Some(Layer::ReadOnlyRoot)
            }
            Self::Mount { .. } => Some(Layer::ReadOnlyRoot),
            Self::Receive(_)
            | Self::Config(_)
            | Self::OpenProc(_)
            | Self::Hold { .. }
            | Self::Replaced(_)
            | Self::Place { .. }
            | Self::Fork(_)
            | Self::Adopt(_)
            | Self::InMemory { .. }
            | Self::Descriptors(_)
            | Self::Execute { .. } => None,
        }
    }

    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::CloseInherited(e)
            | Self::Receive(e)
            | Self::OpenProc(e)
            | Self::Hold { errno: e, .. }
            | Self::Restrict { errno: e, .. }
            | Self::DropUser { errno: e, .. }
            | Self::NoNewPrivileges(e)
            | Self::UserNamespace(e)
            | Self::MapIds { errno: e, .. }
            | Self::Namespace { errno: e, .. }
            | Self::NameHost(e)
            | Self::MakePrivate(e)
            | Self::MakeRoot(e)
            | Self::Place { errno: e, .. }
            | Self::Mount { errno: e, .. }
            | Self::SealRoot(e)
            | Self::PivotRoot(e)
            | Self::Fork(e)
            | Self::GivePlace { errno: e, .. }
            | Self::Bounding(e)
            | Self::Adopt(e)
            | Self::InMemory { errno: e, .. }
            | Self::Descriptors(e)
            | Self::Execute { errno: e, .. } => Some(e.raw_os_error()),
            Self::Config(_) | Self::Filter(_) | Self::Replaced(_) | Self::StillRoot => None,
        }
    }
}

/// The result of a C call that answers -1 and sets errno.
fn checked(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result == -1 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(result)
    }
}

/// Nothing that the host forgot to mark close-on-exec comes along.
pub(super) fn close_inherited() -> Result<(), LaunchError> {
    // SAFETY: this process has just started; only descriptors 0, 1 and 2 are owned by anything.
    checked(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) })
        .map(drop)
        .map_err(LaunchError::CloseInherited)
}

/// A session of its own: no terminal, and a person's Ctrl-C goes to the host alone.
pub(super) fn leave_terminal() {
    // Fails only where the process leads a group already, and then it has no terminal to lose.
    let _ = rustix::process::setsid();
}

/// The host's `/proc`, for writing children's id maps: a name to look beneath, not to read.
pub(super) fn open_proc() -> Result<OwnedFd, LaunchError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/proc", flags, Mode::empty()).map_err(LaunchError::OpenProc)
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root() || rustix::process::getuid().is_root()
}

/// Gives up root, every group and every capability.
pub(super) fn drop_to(user: u32) -> Result<(), LaunchError> {
    let failed = |errno| LaunchError::DropUser { user, errno };
    // SAFETY: plain system calls on this process, which has one thread; no pointer is read.
    unsafe {
        checked(libc::setgroups(0, std::ptr::null())).map_err(failed)?;
        checked(libc::setresgid(user, user, user)).map_err(failed)?;
        checked(libc::setresuid(user, user, user)).map_err(failed)?;
    }
    // SAFETY: asks for an id that must now be out of reach.
    if is_root() || unsafe { libc::setuid(0) } == 0 {
        return Err(LaunchError::StillRoot);
    }
    // Otherwise the id maps would belong to root, and could not be written.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
        .map_err(failed)
}

/// The children's directory becomes the jail's user's, as long as root can give it.
pub(super) fn give_place(config: &Launch) -> Result<(), LaunchError> {
    let Some(place) = &config.place else {
        return Ok(());
    };
    let owner = Some(config.drop_to);
    std::os::unix::fs::lchown(place, owner, owner).map_err(|e| LaunchError::GivePlace {
        path: place.clone(),
        errno: Errno::from_io_error(&e).unwrap_or(Errno::IO),
    })
}

/// Where there is no user namespace to be powerless in, no program may give capabilities back.
pub(super) fn drop_bounding_set() -> Result<(), LaunchError> {
    for capability in 0..64 {
        // SAFETY: a plain number; the kernel knows no capability beyond the first it refuses.
        match checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }) {
            Ok(_) => {}
            Err(Errno::INVAL) if capability > 0 => break,
            Err(errno) => return Err(LaunchError::Bounding(errno)),
        }
    }
    Ok(())
}

/// What loses its parent in the jail comes to the launcher, who kills it.
pub(super) fn adopt_orphans() -> Result<(), LaunchError> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(LaunchError::Adopt)
}

/// A file without a name, which only descriptors lead to.
pub(super) fn in_memory(name: &str, bytes: &[u8]) -> Result<OwnedFd, LaunchError> {
    let failed = |errno| LaunchError::InMemory {
        name: name.to_owned(),
        errno,
    };
    // Python takes what stands before a slash for the program's directory.
    let name = name.rsplit('/').next().unwrap_or(name);
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::memfd_create(name, flags).map_err(failed)?);
    std::io::Write::write_all(&mut file, bytes)
        .and_then(|()| std::io::Seek::rewind(&mut file))
        .map_err(|e| failed(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    Ok(file.into())
}

pub(super) fn forbid_new_privileges() -> Result<(), LaunchError> {
    rustix::thread::set_no_new_privs(true).map_err(LaunchError::NoNewPrivileges)
}

fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: this process has one thread, and none of the flags given here touches descriptors.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// One user, called root inside, who is nobody outside.
pub(super) fn enter_user_namespace(config: &Launch) -> Result<(), LaunchError> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    pretend_missing(config, Layer::UserNamespace).map_err(LaunchError::UserNamespace)?;
    unshare(UnshareFlags::NEWUSER).map_err(LaunchError::UserNamespace)?;
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {} 1", user.as_raw())),
        ("/proc/self/gid_map", format!("0 {} 1", group.as_raw())),
    ];
    for (file, text) in maps {
        std::fs::write(file, text).map_err(|e| LaunchError::MapIds {
            file,
            errno: Errno::from_io_error(&e).unwrap_or(Errno::IO),
        })?;
    }
    Ok(())
}

const NAMESPACES: [(UnshareFlags, Layer); 6] = [
    (UnshareFlags::NEWNS, Layer::MountNamespace),
    (UnshareFlags::NEWPID, Layer::PidNamespace),
    (UnshareFlags::NEWIPC, Layer::IpcNamespace),
    (UnshareFlags::NEWUTS, Layer::UtsNamespace),
    (UnshareFlags::NEWNET, Layer::NetNamespace),
    (UnshareFlags::NEWCGROUP, Layer::CgroupNamespace),
];

/// The rest, one by one, so that a refusal names its own.
pub(super) fn enter_namespaces(config: &Launch) -> Result<(), LaunchError> {
    for (flag, layer) in NAMESPACES {
        if skipped(config, layer) {
            continue;
        }
        pretend_missing(config, layer)
            .and_then(|()| unshare(flag))
            .map_err(|errno| LaunchError::Namespace { layer, errno })?;
    }
    Ok(())
}

/// So that `os.uname()` does not tell the host's name.
pub(super) fn name_host() -> Result<(), LaunchError> {
    rustix::system::sethostname(b"handaxe").map_err(LaunchError::NameHost)?;
    rustix::system::setdomainname(b"").map_err(LaunchError::NameHost)
}

/// The server's process, seen from outside.
pub(super) struct Server {
    pid: rustix::process::Pid,
    pidfd: OwnedFd,
    shape: Shape,
}

/// Where the server finds its control socket; the host's `/proc` comes after it.
const CONTROL: i32 = 3;
/// The first of its own files, where they are kept in memory.
pub(super) const FIRST_FILE: i32 = 5;

/// Forks into the new process-id namespace and executes the interpreter there.
pub(super) fn start(
    control: BorrowedFd<'_>,
    proc: OwnedFd,
    config: &Launch,
    script: &[&str],
    files: Vec<OwnedFd>,
) -> Result<Server, LaunchError> {
    let c = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| LaunchError::Execute {
            path: config.python.clone(),
            errno: Errno::INVAL,
        })
    };
    let python = c(config.python.as_os_str().as_bytes())?;
    let mut arguments = vec![python.clone()];
    for argument in ["-S", "-B", "-s", "-X", "utf8"].iter().chain(script) {
        arguments.push(c(argument.as_bytes())?);
    }
    let environment = config
        .environment
        .iter()
        .map(|(name, value)| c(format!("{name}={value}").as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;

    // SAFETY: this process has one thread, so the child may do anything after it.
    match checked(unsafe { libc::fork() }).map_err(LaunchError::Fork)? {
        0 => {
            let descriptors = [control, proc.as_fd()];
            let error = become_server(
                descriptors,
                &files,
                config,
                &python,
                &arguments,
                &environment,
            );
            let (layer, errno) = (error.layer(), error.errno());
            tell(
                control,
                &Launched::Failed {
                    reason: error.to_string(),
                    layer,
                    errno,
                },
            );
            // SAFETY: ends the child without running what the parent registered to run at exit.
            unsafe { libc::_exit(1) }
        }
        raw => {
            let Some(pid) = rustix::process::Pid::from_raw(raw) else {
                return Err(LaunchError::Fork(Errno::INVAL));
            };
            let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
                .map_err(LaunchError::Fork)?;
            let shape = config.shape;
            Ok(Server { pid, pidfd, shape })
        }
    }
}

fn confirmed(config: &Launch) -> Vec<Layer> {
    let mut layers = vec![Layer::UnprivilegedUid, Layer::EmptyEnvironment];
    if config.shape == Shape::Namespaces {
        layers.push(Layer::UserNamespace);
        layers.extend(NAMESPACES.map(|(_, layer)| layer));
        layers.push(Layer::ReadOnlyRoot);
    }
    layers.retain(|layer| !skipped(config, *layer));
    layers
}

fn become_server(
    [control, proc]: [BorrowedFd<'_>; 2],
    files: &[OwnedFd],
    config: &Launch,
    python: &CString,
    arguments: &[CString],
    environment: &[CString],
) -> LaunchError {
    tell(
        control,
        &Launched::Started {
            layers: confirmed(config),
        },
    );
    if let Err(errno) = place_descriptors([control, proc], files) {
        return LaunchError::Descriptors(errno);
    }
    let pointers = |list: &[CString]| {
        list.iter()
            .map(|s| s.as_ptr())
            .chain([std::ptr::null()])
            .collect::<Vec<_>>()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: NUL-terminated strings in NULL-terminated lists, all alive until the call.
    let result = unsafe { libc::execve(python.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    let errno = checked(result).err().unwrap_or(Errno::IO);
    LaunchError::Execute {
        path: config.python.clone(),
        errno,
    }
}

/// Puts the server's descriptors where it looks for them, and closes the rest.
fn place_descriptors(first: [BorrowedFd<'_>; 2], files: &[OwnedFd]) -> Result<(), Errno> {
    // SAFETY: asks for a signal.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // Out of the way first: one could stand where another must go.
    let all = first.into_iter().chain(files.iter().map(AsFd::as_fd));
    let away = all
        // SAFETY: duplicates live descriptors of a process that is about to be another program.
        .map(|fd| checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD, 32) }))
        .collect::<Result<Vec<_>, _>>()?;
    let mut to = CONTROL;
    for from in away {
        // SAFETY: as above; what stood at `to` has a duplicate.
        checked(unsafe { libc::dup2(from, to) })?;
        to += 1;
    }
    // SAFETY: as above; 1 (null) also serves as standard input.
    checked(unsafe { libc::dup2(1, 0) })?;
    // SAFETY: nothing above the placed ones is used again.
    checked(unsafe { libc::close_range(to as libc::c_uint, libc::c_uint::MAX, 0) }).map(drop)
}

/// Waits until the host lets go of its end or the server ends, then ends everything. The server
/// is the first process of its namespace: the kernel kills the rest with it.
pub(super) fn watch(control: BorrowedFd<'_>, server: &Server) {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let mut fds = [
            // Nothing is asked for: a hang-up is always told.
            PollFd::from_borrowed_fd(control, PollFlags::empty()),
            PollFd::new(&server.pidfd, PollFlags::IN),
        ];
        let waited = poll(&mut fds, None);
        let ended = fds.iter().any(|fd| !fd.revents().is_empty());
        if ended || !matches!(waited, Ok(_) | Err(Errno::INTR)) {
            break;
        }
    }
    let kill = rustix::process::Signal::KILL;
    let _ = rustix::process::pidfd_send_signal(server.pidfd.as_fd(), kill);
    let options = rustix::process::WaitOptions::empty();
    let _ = rustix::process::waitpid(Some(server.pid), options);
    if server.shape == Shape::Landlock {
        // No namespace takes them down: each asked to be killed with the server, and is waited
        // for, so that when the launcher has ended nothing of the jail is left.
        while rustix::process::waitpid(None, options).is_ok() {}
    }
}

/// Fails as the kernel would, where a test says that it lacks this layer.
#[cfg(feature = "testing")]
pub(super) fn pretend_missing(config: &Launch, layer: Layer) -> Result<(), Errno> {
    if config.knobs.missing.contains(&layer) {
        Err(Errno::NOSYS)
    } else {
        Ok(())
    }
}

#[cfg(not(feature = "testing"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature of the test's version"
)]
pub(super) fn pretend_missing(_: &Launch, _: Layer) -> Result<(), Errno> {
    Ok(())
}

/// Whether a test takes this layer away.
#[cfg(feature = "testing")]
pub(super) fn skipped(config: &Launch, layer: Layer) -> bool {
    config.knobs.skip.contains(&layer)
}

#[cfg(not(feature = "testing"))]
pub(super) fn skipped(_: &Launch, _: Layer) -> bool {
    false
}
