//! Files that a tool hands back. Their bytes come through the result's descriptor, so that the
//! host never resolves a path from inside; they are written under one plain name in a directory
//! that the caller owns, over nothing, through no link.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use handaxe_types::{Artifact, Digest};
use rustix::fs::{AtFlags, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::SandboxError;

/// Takes files in the order they were announced, until every announced byte is here.
pub(crate) struct Sink {
    directory: OwnedFd,
    announced: Vec<(String, u64)>,
    done: Vec<Artifact>,
    current: Option<(File, Sha256, u64)>,
    kept: bool,
}

/// One plain component that is safe to show and to create.
pub(crate) fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 255
        && !name.contains('/')
        && !name.chars().any(char::is_control)
}

impl Sink {
    pub(crate) fn new(
        directory: &Path,
        announced: Vec<(String, u64)>,
    ) -> Result<Self, SandboxError> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let directory =
            rustix::fs::open(directory, flags, Mode::empty()).map_err(|e| SandboxError::Io {
                doing: "opening the artefacts' directory",
                source: e.into(),
            })?;
        Ok(Self {
            directory,
            announced,
            done: Vec::new(),
            current: None,
            kept: false,
        })
    }

    /// Takes what belongs to the files; gives what is left over.
    pub(crate) fn take<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], SandboxError> {
        while let Some((name, size)) = self.announced.get(self.done.len()).cloned() {
            let failed = |source: std::io::Error| SandboxError::Artifact {
                name: name.clone(),
                source,
            };
            if self.current.is_none() {
                let flags = OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::WRONLY
                    | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(0o600);
                let fd = rustix::fs::openat(&self.directory, name.as_str(), flags, mode)
                    .map_err(|e| failed(e.into()))?;
                self.current = Some((File::from(fd), Sha256::new(), size));
            }
            let Some((file, hash, left)) = &mut self.current else {
                break;
            };
            let part = bytes
                .len()
                .min(usize::try_from(*left).unwrap_or(usize::MAX));
            file.write_all(&bytes[..part]).map_err(failed)?;
            hash.update(&bytes[..part]);
            *left -= part as u64;
            bytes = &bytes[part..];
            if *left > 0 {
                break;
            }
            let digest = Digest::from_bytes(hash.clone().finalize().into());
            self.current = None;
            self.done.push(Artifact {
                name,
                bytes: size,
                digest,
            });
        }
        Ok(bytes)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.done.len() == self.announced.len()
    }

    /// The files stay. Without this they are removed again.
    pub(crate) fn keep(mut self) -> Vec<Artifact> {
        self.kept = true;
        std::mem::take(&mut self.done)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // The one under way comes right after those that are done.
        let started = self.done.len() + usize::from(self.current.is_some());
        for (name, _) in self.announced.iter().take(started) {
            let _ = rustix::fs::unlinkat(&self.directory, name.as_str(), AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(files: &[(&str, u64)]) -> Vec<(String, u64)> {
        files.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect()
    }

    #[test]
    fn plain_names() {
        for good in ["a", "a b.csv", "…", ".hidden", &"x".repeat(255)] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "/a",
            "a\0",
            "a\nb",
            "\u{1b}[2J",
            &"x".repeat(256),
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn bytes_go_where_they_were_announced_and_the_rest_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink =
            Sink::new(dir.path(), announce(&[("a", 3), ("empty", 0), ("b", 2)])).unwrap();
        assert_eq!(sink.take(b"xy").unwrap(), b"");
        assert!(!sink.is_complete());
        assert_eq!(sink.take(b"zBB!").unwrap(), b"!");
        assert!(sink.is_complete());
        let kept = sink.keep();
        assert_eq!(kept.len(), 3);
        assert_eq!(kept[0].digest, Digest::of(b"xyz"));
        assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), b"BB");
    }

    #[test]
    fn nothing_is_overwritten_followed_or_left_half_done() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        std::fs::write(dir.path().join("there"), b"old").unwrap();
        for name in ["link", "there"] {
            let mut sink = Sink::new(dir.path(), announce(&[("first", 1), (name, 1)])).unwrap();
            assert!(matches!(
                sink.take(b"12"),
                Err(SandboxError::Artifact { .. })
            ));
        }
        assert_eq!(std::fs::read(dir.path().join("there")).unwrap(), b"old");
        assert_eq!(std::fs::read(outside.path()).unwrap(), b"");
        assert!(!dir.path().join("first").exists());
    }
}
