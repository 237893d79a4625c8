//! Folders that a client may name files in. A path is resolved beneath one of them by the kernel,
//! in one step and through no link, so that there is no check to race.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use handaxe_types::{DataFile, Digest};
use rustix::fs::{Mode, OFlags, ResolveFlags};

/// A file of more than this many bytes is refused.
const MAX_FILE_BYTES: u64 = 16 << 30;

#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("cannot open the root {}", path.display())]
    Root {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no files can be named: the server was started without --root")]
    NoRoots,
    #[error("`{path}` is not beneath a root of this server")]
    Outside { path: String },
    #[error("`{path}` cannot be read")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    #[error("`{path}` is not a regular file")]
    NotAFile { path: String },
    #[error("`{path}` is larger than {} GiB", MAX_FILE_BYTES >> 30)]
    TooLarge { path: String },
}

/// The folders given at start, held open.
#[derive(Debug, Default)]
pub struct Roots {
    folders: Vec<(PathBuf, OwnedFd)>,
}

impl Roots {
    pub fn open(paths: &[PathBuf]) -> Result<Self, RootsError> {
        let open = |path: &PathBuf| {
            let io = |source| RootsError::Root {
                path: path.clone(),
                source,
            };
            let path = path.canonicalize().map_err(io)?;
            let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
            let fd = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| io(e.into()))?;
            Ok((path, fd))
        };
        let folders = paths.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { folders })
    }

    /// The folders, as they were given.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|(path, _)| path.as_path())
    }

    /// A file that a client names: absolute beneath a root, or relative to one. It is given the
    /// name `name` (one plain component) inside.
    pub fn file(&self, text: &str, name: &str) -> Result<DataFile, RootsError> {
        if self.folders.is_empty() {
            return Err(RootsError::NoRoots);
        }
        let outside = || RootsError::Outside {
            path: text.to_owned(),
        };
        let asked = Path::new(text);
        let mut worst = None;
        for (root, fd) in &self.folders {
            let beneath = if asked.is_absolute() {
                match asked.strip_prefix(root) {
                    Ok(rest) => rest,
                    Err(_) => continue,
                }
            } else {
                asked
            };
            match open_beneath(fd, beneath) {
                Ok(file) => return described(text, name, &root.join(beneath), file),
                Err(rustix::io::Errno::NOENT) => {}
                Err(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP) => worst = Some(outside()),
                Err(e) => {
                    worst = Some(RootsError::Unreadable {
                        path: text.to_owned(),
                        source: e.into(),
                    });
                }
            }
        }
        Err(worst.unwrap_or_else(outside))
    }
}

fn open_beneath(root: &OwnedFd, path: &Path) -> rustix::io::Result<std::fs::File> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // A pipe that nobody writes must not hold the open.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve).map(Into::into)
}

fn described(
    text: &str,
    name: &str,
    path: &Path,
    mut file: std::fs::File,
) -> Result<DataFile, RootsError> {
    let io = |source| RootsError::Unreadable {
        path: text.to_owned(),
        source,
    };
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(RootsError::NotAFile {
            path: text.to_owned(),
        });
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(RootsError::TooLarge {
            path: text.to_owned(),
        });
    }
    let digest = Digest::of_reader(&mut file).map_err(io)?;
    Ok(DataFile {
        name: name.to_owned(),
        path: path.to_owned(),
        bytes: meta.len(),
        digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_and_through_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/a.csv"), "x\n1\n").unwrap();
        std::fs::write(dir.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        std::os::unix::fs::symlink("sub", root.join("folder")).unwrap();
        let fifo = std::ffi::CString::new(root.join("fifo").to_str().unwrap()).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let roots = Roots::open(std::slice::from_ref(&root)).unwrap();
        assert!(roots.file("sub/a.csv", "a").is_ok());
        let absolute = roots.paths().next().unwrap().join("sub/a.csv");
        assert_eq!(
            roots.file(absolute.to_str().unwrap(), "a").unwrap().bytes,
            4
        );
        for (path, kind) in [
            ("../secret", "not beneath"),
            ("sub/../../secret", "not beneath"),
            ("link", "not beneath"),
            ("folder/a.csv", "not beneath"),
            ("/etc/passwd", "not beneath"),
            ("nothing", "not beneath"),
            ("sub", "not a regular file"),
            ("fifo", "not a regular file"),
            ("a\0b", "cannot be read"),
        ] {
            let error = roots.file(path, "a").unwrap_err().to_string();
            assert!(error.contains(kind), "{path}: {error}");
        }
        assert!(matches!(
            Roots::default().file("a", "a"),
            Err(RootsError::NoRoots)
        ));
    }
}
