//! The calls' own directories where there are no mounts to give them one: made by the server beneath
//! one directory a session, removed here.
//!
//! What is in them was left by untrusted code: nothing is followed, and neither depth nor number
//! costs more than time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use handaxe_jail::DataFile;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde_json::{Map, Value};

use crate::exchange::request::input_at;
use crate::{Call, SandboxError};

/// One session's directory. Dropping it removes it with everything in it.
#[derive(Debug)]
pub(super) struct Place {
    /// Ours; its one entry is the jail's user's.
    outer: PathBuf,
    inner: PathBuf,
    /// Held as long as the session lives: what a killed host left can be told by its absence, across
    /// containers that share a directory and no process numbers.
    _lock: OwnedFd,
    /// The session's files, which stay where they are: name, path.
    mounts: BTreeMap<String, String>,
}

/// How the outer directories are called.
const PREFIX: &str = "handaxe-place-";

impl Place {
    pub(super) fn new(root: &Path, random: u64, data: &[DataFile]) -> io::Result<Self> {
        sweep(root);
        let name = format!("{PREFIX}{}-{random:016x}", std::process::id());
        let outer = root.join(&name);
        fs::DirBuilder::new().mode(0o700).create(&outer)?;
        let lock = lock(root, &name)?;
        // Others may pass through it, and list nothing. Where another has swept it away before it
        // was locked, this fails.
        fs::set_permissions(&outer, Permissions::from_mode(0o711))?;
        let inner = outer.join("calls");
        let path = |file: &DataFile| file.path.to_string_lossy().into_owned();
        let place = Self {
            outer,
            inner,
            _lock: lock,
            mounts: data.iter().map(|d| (d.name.clone(), path(d))).collect(),
        };
        fs::DirBuilder::new().mode(0o700).create(&place.inner)?;
        Ok(place)
    }

    /// Where the server makes the children's directories.
    pub(super) fn inner(&self) -> &Path {
        &self.inner
    }

    /// Where the files that come with a child's call are laid.
    pub(super) fn data(&self, id: u64) -> String {
        format!("{}/{id}/data", self.inner.display())
    }

    /// The call's input, its file names made the paths that they have here.
    pub(super) fn input<'a>(
        &self,
        call: &'a Call,
        id: u64,
    ) -> Result<Cow<'a, Map<String, Value>>, SandboxError> {
        let mounted = |name: &str| self.mounts.get(name).cloned();
        input_at(call, &self.data(id), mounted)
    }

    /// Removes a child's directory. The child is dead, and nobody else can reach in.
    pub(super) fn remove(&self, id: u64) {
        if let Err(error) = remove(&self.inner, &id.to_string()) {
            tracing::warn!(%error, "a call's directory could not be removed");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Place {
    /// Removes it with everything in it. The jail has ended.
    pub(super) fn clear(&self) {
        if self.outer.exists()
            && let Some((root, name)) = self.outer.parent().zip(self.outer.file_name())
            && let Err(error) = remove(root, &name.to_string_lossy())
        {
            tracing::warn!(%error, "a session's directory could not be removed");
        }
    }
}

/// Removes what hosts left that were killed before they could: only directories of our own user.
fn sweep(root: &Path) {
    let us = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let parts = name.strip_prefix(PREFIX).and_then(|n| n.split_once('-'));
        if parts.is_none_or(|(pid, _)| pid.parse::<u32>().is_err()) {
            continue;
        }
        let ours = entry
            .metadata()
            .is_ok_and(|found| found.is_dir() && found.uid() == us);
        if ours && let Ok(_lock) = lock(root, name) {
            let _ = remove(root, name);
        }
    }
}

/// Locks a directory, where nobody else has.
fn lock(root: &Path, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(root.join(name), flags, Mode::empty())?;
    rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
    Ok(fd)
}

fn open(at: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// Removes a directory and everything beneath it: a directory that is not empty is moved up beside
/// its parent first, so that ten thousand of them in one another are no deeper than two.
fn remove(root: &Path, name: &str) -> io::Result<()> {
    let root = rustix::fs::open(
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let name = CString::new(name)?;
    let top = open(root.as_fd(), &name)?;
    let mut next = 0_u64;
    loop {
        let mut left = Vec::new();
        for entry in Dir::read_from(&top)? {
            let entry = entry?;
            let entry = entry.file_name().to_owned();
            if !matches!(entry.to_bytes(), b"." | b"..") {
                left.push(entry);
            }
        }
        if left.is_empty() {
            break;
        }
        for entry in left {
            clear(top.as_fd(), &entry, &mut next)?;
        }
    }
    Ok(rustix::fs::unlinkat(&root, &name, AtFlags::REMOVEDIR)?)
}

/// Removes one entry of the top directory; what lies deeper comes to lie in the top directory.
fn clear(top: BorrowedFd<'_>, entry: &CString, next: &mut u64) -> io::Result<()> {
    let found = rustix::fs::statat(top, entry, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return Ok(rustix::fs::unlinkat(top, entry, AtFlags::empty())?);
    }
    // Its owner may have taken away his own right to look into it.
    let mode = Mode::from_raw_mode(0o700);
    let _ = rustix::fs::chmodat(top, entry, mode, AtFlags::SYMLINK_NOFOLLOW);
    let inside = open(top, entry)?;
    for deeper in Dir::read_from(&inside)? {
        let deeper = deeper?;
        let name = deeper.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(&inside, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            done => {
                done?;
                continue;
            }
        }
        match rustix::fs::unlinkat(&inside, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) => move_up(inside.as_fd(), name, top, next)?,
            done => done?,
        }
    }
    Ok(rustix::fs::unlinkat(top, entry, AtFlags::REMOVEDIR)?)
}

/// Moves a directory up into the top one, under a name that is free there: it may hold any.
fn move_up(
    inside: BorrowedFd<'_>,
    name: &CStr,
    top: BorrowedFd<'_>,
    next: &mut u64,
) -> io::Result<()> {
    loop {
        *next += 1;
        let up = CString::new(format!("moved-{next}"))?;
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(inside, name, top, &up, flags) {
            Err(Errno::EXIST) => {}
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn depth_number_and_links_are_all_removed_and_nothing_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let place = Place::new(dir.path(), 7, &[]).unwrap();
        let own = place.inner().join("1");
        fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&outside, own.join("link")).unwrap();
        // A name that the removal itself would use.
        fs::create_dir_all(own.join("moved-1/x")).unwrap();
        fs::create_dir_all(own.join("scratch/moved-2/x")).unwrap();
        let mut deep = open(
            CWD,
            &CString::new(own.as_os_str().as_encoded_bytes()).unwrap(),
        )
        .unwrap();
        for n in 0..400 {
            rustix::fs::mkdirat(&deep, "d", Mode::from_raw_mode(0o700)).unwrap();
            if n % 10 == 0 {
                let flags = OFlags::CREATE | OFlags::WRONLY;
                rustix::fs::openat(&deep, "f", flags, Mode::empty()).unwrap();
            }
            deep = open(deep.as_fd(), &CString::new("d").unwrap()).unwrap();
        }
        place.remove(1);
        assert!(!own.exists());
        assert!(outside.join("kept").exists());
        drop(place);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_dead_host_left_is_swept_and_a_living_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        // Nobody holds it.
        let dead = dir.path().join(format!("{PREFIX}4194305-1"));
        let other = dir.path().join("handaxe-place-notes");
        let living = Place::new(dir.path(), 1, &[]).unwrap();
        fs::create_dir_all(dead.join("calls/1/scratch")).unwrap();
        fs::create_dir(&other).unwrap();
        let second = Place::new(dir.path(), 2, &[]).unwrap();
        assert!(!dead.exists() && other.exists());
        assert!(living.inner().exists() && second.inner().exists());
    }
}
