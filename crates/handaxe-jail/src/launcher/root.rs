//! The jail's root: an empty tmpfs, the interpreter's files bound into it read-only, and nothing
//! else. The old root is detached, so no path leads back.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use super::steps::LaunchError;
use crate::config::{DataFile, Launch};

/// Copies of the mounts that the jail will see, not attached anywhere yet.
pub(super) struct Held {
    trees: Vec<Tree>,
}

struct Tree {
    fd: OwnedFd,
    /// Where it goes.
    path: PathBuf,
    directory: bool,
    covered: Vec<String>,
}

const ATTR_RDONLY: u64 = 1;
const ATTR_NOSUID: u64 = 2;
const ATTR_NODEV: u64 = 4;
const ATTR_NOEXEC: u64 = 8;

/// Takes hold of everything by descriptor, so that what happens to the names, or to our right to
/// look them up, no longer matters.
pub(super) fn hold(config: &Launch) -> Result<Held, LaunchError> {
    let mut trees = Vec::new();
    let tree = |path: &Path, attributes: u64| {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let fd = rustix::mount::open_tree(CWD, path, flags).map_err(|errno| LaunchError::Hold {
            path: path.to_owned(),
            errno,
        })?;
        restrict(fd.as_fd(), attributes, true).map_err(|errno| LaunchError::Restrict {
            path: path.to_owned(),
            errno,
        })?;
        Ok::<_, LaunchError>(fd)
    };
    let readable = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV;
    for directory in &config.directories {
        let fd = tree(&directory.path, readable)?;
        let (path, covered) = (directory.path.clone(), directory.covered.clone());
        trees.push(Tree {
            fd,
            path,
            directory: true,
            covered,
        });
    }
    for path in &config.files {
        let fd = tree(path, readable)?;
        trees.push(Tree {
            fd,
            path: path.clone(),
            directory: false,
            covered: Vec::new(),
        });
    }
    for file in &config.data {
        let fd = tree(&file.path, readable | ATTR_NOEXEC)?;
        same(&fd, file)?;
        let path = Path::new("/data").join(&file.name);
        trees.push(Tree {
            fd,
            path,
            directory: false,
            covered: Vec::new(),
        });
    }
    Ok(Held { trees })
}

/// The file that was taken must be the one that the host checked.
fn same(fd: &OwnedFd, file: &DataFile) -> Result<(), LaunchError> {
    let found = rustix::fs::fstat(fd).map_err(|errno| LaunchError::Hold {
        path: file.path.clone(),
        errno,
    })?;
    if (found.st_dev, found.st_ino) == (file.device, file.inode) {
        Ok(())
    } else {
        Err(LaunchError::Replaced(file.path.clone()))
    }
}

/// Adds mount attributes to a mount, and to those beneath it.
fn restrict(fd: BorrowedFd<'_>, attributes: u64, recursive: bool) -> Result<(), Errno> {
    let change = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty C string and `change` is a live `mount_attr` of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// From here on, no mount made in the jail shows outside, nor the other way round.
pub(super) fn make_private() -> Result<(), LaunchError> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).map_err(LaunchError::MakePrivate)
}

/// Directories of the jail's own.
const OWN: [&str; 5] = ["scratch", "data", "assets", "handaxe", "handaxe/empty"];

/// Builds the root and moves into it.
pub(super) fn build(
    config: &Launch,
    held: Held,
    own_files: &[(&str, Vec<u8>)],
) -> Result<(), LaunchError> {
    let root = empty_root().map_err(LaunchError::MakeRoot)?;
    let root = root.as_fd();
    for name in OWN {
        parents(root, Path::new(name), true)?;
    }
    for (name, bytes) in own_files {
        write(root, Path::new(name), bytes)?;
    }
    for tree in held.trees {
        attach(root, &tree)?;
    }
    for (link, target) in &config.links {
        let inside = inside(link);
        parents(root, inside, false)?;
        match rustix::fs::symlinkat(target, root, inside) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => {
                return Err(LaunchError::Place {
                    path: link.clone(),
                    errno,
                });
            }
        }
    }
    #[cfg(feature = "testing")]
    let sealed = !super::steps::skipped(config, handaxe_types::Layer::ReadOnlyRoot);
    #[cfg(not(feature = "testing"))]
    let sealed = true;
    if sealed {
        restrict(root, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, false)
            .map_err(LaunchError::SealRoot)?;
    }
    enter(root).map_err(LaunchError::PivotRoot)
}

/// An empty tmpfs, attached where any machine has a directory. What it hides there is not needed
/// any more.
fn empty_root() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("mode", "0755"), ("size", "4m"), ("nr_inodes", "4096")] {
        rustix::mount::fsconfig_set_string(context.as_fd(), key, value)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let root = rustix::mount::fsmount(context.as_fd(), flags, MountAttrFlags::empty())?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(root.as_fd(), "", CWD, "/proc", flags)?;
    Ok(root)
}

/// A path of the host as one relative to the jail's root.
fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// Makes the directories above `path`, and `path` itself where asked.
fn parents(root: BorrowedFd<'_>, path: &Path, itself: bool) -> Result<(), LaunchError> {
    let mut made = PathBuf::new();
    let upper = if itself { Some(path) } else { path.parent() };
    for part in upper.into_iter().flat_map(Path::components) {
        made.push(part);
        match rustix::fs::mkdirat(root, &made, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(LaunchError::Place { path: made, errno }),
        }
    }
    Ok(())
}

fn write(root: BorrowedFd<'_>, path: &Path, bytes: &[u8]) -> Result<(), LaunchError> {
    let failed = |errno| LaunchError::Place {
        path: path.to_owned(),
        errno,
    };
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o444);
    let fd = rustix::fs::openat(root, path, flags, mode).map_err(failed)?;
    std::fs::File::from(fd)
        .write_all(bytes)
        .map_err(|e| failed(Errno::from_io_error(&e).unwrap_or(Errno::IO)))
}

fn attach(root: BorrowedFd<'_>, tree: &Tree) -> Result<(), LaunchError> {
    let path = inside(&tree.path);
    parents(root, path, tree.directory)?;
    if !tree.directory {
        match write(root, path, b"") {
            // A library may lie in a directory that is bound already.
            Err(LaunchError::Place {
                errno: Errno::EXIST | Errno::ROFS,
                ..
            }) => return Ok(()),
            done => done?,
        }
    }
    let failed = |errno| LaunchError::Mount {
        path: tree.path.clone(),
        errno,
    };
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(tree.fd.as_fd(), "", root, path, flags).map_err(failed)?;
    for name in &tree.covered {
        let over = path.join(name);
        if !is_directory(root, &over) {
            continue;
        }
        let failed = |errno| LaunchError::Mount {
            path: over.clone(),
            errno,
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let empty = rustix::mount::open_tree(root, "handaxe/empty", flags).map_err(failed)?;
        restrict(
            empty.as_fd(),
            ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC,
            false,
        )
        .map_err(failed)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(empty.as_fd(), "", root, &over, flags).map_err(failed)?;
    }
    Ok(())
}

fn is_directory(root: BorrowedFd<'_>, path: &Path) -> bool {
    rustix::fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| {
        rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::Directory
    })
}

fn enter(root: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::fchdir(root)?;
    // The old root comes to lie over the new one, and is taken off.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}
