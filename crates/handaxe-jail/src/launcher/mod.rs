//! The launcher: builds the jail from the outside in, starts the server in it, and watches.

mod root;
mod steps;

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use handaxe_types::Digest;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::apart::APART_ARGUMENT;
use crate::config::{JAIL_ARGUMENT, Launch, Launched, MESSAGE_BYTES, Shape};
use crate::seccomp;
pub(crate) use steps::LaunchError;

/// What a process does with a request: the first part of every backend's program.
pub const REQUEST: &str = include_str!("../python/request.py");
/// The server's source. What a child does with a request is in it, so that a measurement can run
/// the same without any jail.
pub const SERVER: &str = concat!(
    include_str!("../python/request.py"),
    "\n\n",
    include_str!("../python/server.py")
);
/// The extension module that hardens a child.
pub const HOOK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hook.so"));

/// The server's whole environment but for `PYTHONHASHSEED`, which is the session's.
pub const ENVIRONMENT: [(&str, &str); 3] = [
    ("LC_ALL", "C.UTF-8"),
    ("MALLOC_ARENA_MAX", "1"),
    ("TZ", "UTC"),
];

/// Digest over everything in this crate that a tool could tell apart.
pub fn source_digest() -> Digest {
    let sources = [
        SERVER,
        seccomp::LIST,
        include_str!("../hook/child.rs"),
        include_str!("../hook/serve.rs"),
        include_str!("../hook/contained.rs"),
        include_str!("../hook/plan.rs"),
        include_str!("../hook/kept.rs"),
        include_str!("../hook/landlock.rs"),
        include_str!("../hook/packet.rs"),
        include_str!("../hook/python.rs"),
        include_str!("root.rs"),
        include_str!("steps.rs"),
    ];
    Digest::of_parts(sources.iter().map(|s| s.as_bytes()))
}

/// Becomes the launcher, and never returns, where the first argument asks for it. To be called
/// first in `main`, before any thread exists.
pub fn main_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(a) if a == JAIL_ARGUMENT => std::process::exit(run()),
        Some(a) if a == APART_ARGUMENT => std::process::exit(crate::apart::run(arguments)),
        _ => {}
    }
}

/// Exit code: 0 when the host let go or the server ended, 1 when the jail could not be built.
fn run() -> i32 {
    // SAFETY: descriptor 0 is the control socket that the host gave this program, and nothing
    // else in this freshly started process owns it.
    let control = unsafe { OwnedFd::from_raw_fd(0) };
    match launch(control.as_fd()) {
        Ok(server) => {
            steps::watch(control.as_fd(), &server);
            0
        }
        Err(error) => {
            let failed = Launched::Failed {
                reason: error.to_string(),
                layer: error.layer(),
                errno: error.errno(),
            };
            tell(control.as_fd(), &failed);
            1
        }
    }
}

fn tell(control: BorrowedFd<'_>, message: &Launched) {
    if let Ok(text) = serde_json::to_vec(message) {
        // A host that is gone will notice by itself.
        let _ = rustix::net::send(control, &text, SendFlags::NOSIGNAL);
    }
}

/// Top to bottom. Returns, outside, the server's process.
fn launch(control: BorrowedFd<'_>) -> Result<steps::Server, LaunchError> {
    steps::close_inherited()?;
    let config = receive(control)?;
    let filter = filter(&config).map_err(LaunchError::Filter)?;
    steps::leave_terminal();
    let proc = steps::open_proc()?;
    match config.shape {
        Shape::Namespaces => whole(control, proc, &config, &filter),
        Shape::Landlock => bare(control, proc, &config, &filter),
    }
}

/// Namespaces around, a root of its own beneath.
fn whole(
    control: BorrowedFd<'_>,
    proc: OwnedFd,
    config: &Launch,
    filter: &seccomp::Halves,
) -> Result<steps::Server, LaunchError> {
    let mut held = None;
    if steps::is_root() {
        // Root opens what an unprivileged user may not; a root without the right to mount takes
        // hold as that user does, below.
        held = match root::hold(config) {
            Err(LaunchError::Hold { errno, .. }) if errno == Errno::PERM => None,
            done => Some(done?),
        };
        steps::drop_to(config.drop_to)?;
    }
    steps::forbid_new_privileges()?;
    steps::enter_user_namespace(config)?;
    steps::enter_namespaces(config)?;
    steps::name_host()?;
    root::make_private()?;
    let held = match held {
        Some(held) => held,
        None => root::hold(config)?,
    };
    let files = own_files(
        config,
        filter,
        "/handaxe/handaxe_hook.so",
        "/handaxe/filter",
    );
    root::build(config, held, &files)?;
    let paths = ["/handaxe/server.py", "/handaxe/settings.json"];
    steps::start(control, proc, config, &paths, Vec::new())
}

/// No namespaces: the server runs among the host's processes, its own files only in memory.
fn bare(
    control: BorrowedFd<'_>,
    proc: OwnedFd,
    config: &Launch,
    filter: &seccomp::Halves,
) -> Result<steps::Server, LaunchError> {
    if steps::is_root() {
        steps::give_place(config)?;
        steps::drop_bounding_set()?;
        steps::drop_to(config.drop_to)?;
    }
    steps::forbid_new_privileges()?;
    steps::adopt_orphans()?;
    let path = |at: usize| format!("/proc/self/fd/{}", steps::FIRST_FILE + at as i32);
    let names: [String; 4] = std::array::from_fn(path);
    let files = own_files(config, filter, &names[1], &names[3])
        .iter()
        .map(|(name, bytes)| steps::in_memory(name, bytes))
        .collect::<Result<Vec<_>, _>>()?;
    steps::start(control, proc, config, &[&names[0], &names[2]], files)
}

/// The server's own files, in the order in which they are named: where it finds the hook and the
/// filter stands in its settings.
fn own_files(
    config: &Launch,
    filter: &seccomp::Halves,
    hook_path: &str,
    filter_path: &str,
) -> [(&'static str, Vec<u8>); 4] {
    let inherited = filter.inherited.len();
    let settings = settings(config, hook_path, filter_path, inherited).to_string();
    [
        ("handaxe/server.py", SERVER.as_bytes().to_vec()),
        ("handaxe/handaxe_hook.so", HOOK.to_vec()),
        ("handaxe/settings.json", settings.into_bytes()),
        (
            "handaxe/filter",
            [&filter.inherited[..], &filter.own].concat(),
        ),
    ]
}

#[cfg(not(feature = "testing"))]
fn filter(config: &Launch) -> Result<seccomp::Halves, seccomp::SeccompError> {
    seccomp::halves(config.shape)
}

#[cfg(feature = "testing")]
fn filter(config: &Launch) -> Result<seccomp::Halves, seccomp::SeccompError> {
    seccomp::widened(config.shape, &config.knobs.allow)
}

/// What the server reads when it starts.
fn settings(
    config: &Launch,
    hook_path: &str,
    filter_path: &str,
    inherited: usize,
) -> serde_json::Value {
    #[cfg(feature = "testing")]
    let (skip, missing) = (
        crate::config::to_bits(&config.knobs.skip),
        crate::config::to_bits(&config.knobs.missing),
    );
    #[cfg(not(feature = "testing"))]
    let (skip, missing) = (0, 0);
    let mut readable: Vec<_> = config.directories.iter().map(|d| d.path.clone()).collect();
    match config.shape {
        Shape::Namespaces => {
            readable.extend(["/data", "/assets", "/usr/lib", "/lib", "/lib64"].map(Into::into));
            // Few rules, since every child loads them: the root holds nothing beside a file but
            // other files of this list, so its directory says the same.
            let beside = config.files.iter().map(|file| match file.parent() {
                Some(parent) if parent != Path::new("/") => parent.to_owned(),
                _ => file.clone(),
            });
            readable.extend(beside);
        }
        // The host's own tree: the files themselves and nothing beside them.
        Shape::Landlock => {
            readable.extend(config.files.iter().cloned());
            readable.extend(config.data.iter().map(|d| d.path.clone()));
        }
    }
    // A rule holds for all that is beneath, and every child loads every rule. In order, what is
    // beneath a directory follows it.
    readable.sort();
    readable.dedup_by(|path, kept| path.starts_with(kept));
    serde_json::json!({
        "modules": config.modules,
        "seed": config.seed,
        "readable": readable,
        // Without namespaces they stay where they are.
        "data": match config.shape {
            Shape::Namespaces => config.data.iter().map(|d| d.name.as_str()).collect(),
            Shape::Landlock => Vec::new(),
        },
        "place": config.place,
        "hook": hook_path,
        "filter": filter_path,
        // So many bytes of it are the half that the server loads for all.
        "inherited": inherited,
        "skip": skip,
        "missing": missing,
    })
}

fn receive(control: BorrowedFd<'_>) -> Result<Launch, LaunchError> {
    let mut message = vec![0; MESSAGE_BYTES];
    let (len, _) = rustix::net::recv(control, &mut message[..], RecvFlags::empty())
        .map_err(LaunchError::Receive)?;
    serde_json::from_slice(&message[..len]).map_err(LaunchError::Config)
}
