//! Starts a container's runtime in a mount namespace of its own, where the control groups look as
//! the runtime expects them. On a machine that mounts version 1 and, beside it, version 2
//! (`/sys/fs/cgroup/unified`), common runtimes refuse to work; without the second mount they do not.
//! Nothing that this does is seen outside.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt as _;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

/// The first argument that turns a program into this; the runtime and its arguments follow.
pub const APART_ARGUMENT: &str = "__apart";

/// What the second hierarchy is mounted over on a hybrid machine.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Becomes the runtime. Returns the exit code where that fails; its reason is on standard error,
/// which the host reads with the runtime's own.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> i32 {
    let Err((doing, errno)) = become_runtime(arguments);
    let text = format!("failed to {doing}: {errno}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    126
}

fn become_runtime(
    arguments: impl Iterator<Item = OsString>,
) -> Result<std::convert::Infallible, (&'static str, Errno)> {
    let arguments: Vec<CString> = arguments
        .map(|a| CString::new(a.into_vec()).map_err(|_| ("read its arguments", Errno::INVAL)))
        .collect::<Result<_, _>>()?;
    // It dies with the host, and what it holds in the container's pipes with it.
    let kill = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(kill)
        .map_err(|e| ("tie its life to the host's", e))?;
    if rustix::process::geteuid().is_root() {
        // SAFETY: this process has one thread and shares no descriptor table.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
            .map_err(|e| ("enter a mount namespace of its own", e))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).map_err(|e| ("make its mounts private", e))?;
        match rustix::mount::unmount(UNIFIED, UnmountFlags::DETACH) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(e) => return Err(("take the second cgroup hierarchy out of its sight", e)),
        }
    }
    let Some(program) = arguments.first() else {
        return Err(("find the runtime's name", Errno::INVAL));
    };
    let pointers: Vec<_> = arguments
        .iter()
        .map(|a| a.as_ptr())
        .chain([std::ptr::null()])
        .collect();
    // SAFETY: NUL-terminated strings in a NULL-terminated list, alive until the call.
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
    Err(("execute the runtime", errno))
}
