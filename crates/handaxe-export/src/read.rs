//! Files of a folder that came from elsewhere: bounded, beneath it, through no link.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Entries of one folder that are looked at.
const MAX_ENTRIES: usize = 1024;

/// Why a folder from elsewhere cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is a link, or leads through one; links are not followed")]
    Link { path: String },
    #[error("{path} is not a plain file")]
    NotAFile { path: String },
    #[error("{path} is larger than {most} bytes")]
    TooLarge { path: String, most: u64 },
    #[error("{path} holds more than {MAX_ENTRIES} entries")]
    TooMany { path: String },
    #[error("{path} has a name that is not UTF-8")]
    Name { path: String },
    #[error("cannot read {path}")]
    Read {
        path: String,
        source: std::io::Error,
    },
}

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    File,
    Folder,
    /// A link, a pipe, a device, a socket.
    Other,
}

/// A folder held open: what is read is beneath it, whatever becomes of its path meanwhile.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder that a person named.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self {
                fd,
                path: path.to_owned(),
            }),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(ReadError::NoFolder(path.to_owned())),
            Err(e) => Err(ReadError::Open {
                path: path.to_owned(),
                source: e.into(),
            }),
        }
    }

    /// Where it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A plain file's bytes, at most `most`; `None` where there is none.
    pub fn file(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let path = || self.shown(name);
        // A pipe that nobody writes must not hold the open.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Some(fd) = self.beneath(name, flags)? else {
            return Ok(None);
        };
        let file = std::fs::File::from(fd);
        let read = |source| ReadError::Read {
            path: path(),
            source,
        };
        if !file.metadata().map_err(read)?.is_file() {
            return Err(ReadError::NotAFile { path: path() });
        }
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 > most {
            return Err(ReadError::TooLarge { path: path(), most });
        }
        Ok(Some(bytes))
    }

    /// The entries of a folder beneath it, by name; `None` where there is no such folder. `""` is
    /// the folder itself.
    pub fn entries(&self, name: &str) -> Result<Option<Vec<(String, Entry)>>, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let inner = if name.is_empty() { "." } else { name };
        let Some(fd) = self.beneath(inner, flags)? else {
            return Ok(None);
        };
        let read = |e: Errno| ReadError::Read {
            path: self.shown(name),
            source: e.into(),
        };
        let mut found = Vec::new();
        for entry in Dir::read_from(&fd).map_err(read)? {
            let entry = entry.map_err(read)?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            let Ok(text) = std::str::from_utf8(bytes) else {
                let odd = String::from_utf8_lossy(bytes);
                return Err(ReadError::Name {
                    path: self.shown(&odd),
                });
            };
            if found.len() == MAX_ENTRIES {
                return Err(ReadError::TooMany {
                    path: self.shown(name),
                });
            }
            found.push((text.to_owned(), self.kind(name, text, entry.file_type())?));
        }
        found.sort();
        Ok(Some(found))
    }

    /// Some file systems do not say in the listing.
    fn kind(&self, dir: &str, name: &str, told: FileType) -> Result<Entry, ReadError> {
        let kind = if told == FileType::Unknown {
            let path = if dir.is_empty() {
                name.to_owned()
            } else {
                format!("{dir}/{name}")
            };
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match self.beneath(&path, flags) {
                Ok(Some(fd)) => {
                    rustix::fs::fstat(&fd).map_or(told, |s| FileType::from_raw_mode(s.st_mode))
                }
                Ok(None) | Err(ReadError::Link { .. }) => told,
                Err(e) => return Err(e),
            }
        } else {
            told
        };
        Ok(match kind {
            FileType::RegularFile => Entry::File,
            FileType::Directory => Entry::Folder,
            _ => Entry::Other,
        })
    }

    fn beneath(&self, name: &str, flags: OFlags) -> Result<Option<OwnedFd>, ReadError> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.fd, name, flags, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(Errno::LOOP | Errno::XDEV) => Err(ReadError::Link {
                path: self.shown(name),
            }),
            // A socket cannot be opened at all.
            Err(Errno::NXIO | Errno::NODEV) => Err(ReadError::NotAFile {
                path: self.shown(name),
            }),
            Err(e) => Err(ReadError::Read {
                path: self.shown(name),
                source: e.into(),
            }),
        }
    }

    /// A path for a message: names from elsewhere are shown escaped.
    fn shown(&self, name: &str) -> String {
        let name: String = name
            .chars()
            .take(200)
            .flat_map(char::escape_debug)
            .collect();
        self.path.join(name).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_through_a_link_and_nothing_outside() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "outside").unwrap();
        let inside = dir.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("plain"), "12345").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, inside.join(name));
        link("../secret", "relative").unwrap();
        link(secret.to_str().unwrap(), "absolute").unwrap();
        link("..", "up").unwrap();
        link("plain", "own").unwrap();
        rustix::fs::mkfifoat(CWD, inside.join("pipe"), Mode::RUSR).unwrap();
        let folder = Folder::open(&inside).unwrap();
        // The probe is live: without the flags each of these reads the secret.
        assert_eq!(std::fs::read(inside.join("relative")).unwrap(), b"outside");
        for name in ["relative", "absolute", "up/secret", "own", "../secret"] {
            let got = folder.file(name, 100);
            assert!(
                matches!(got, Err(ReadError::Link { .. })),
                "{name}: {got:?}"
            );
        }
        assert!(matches!(
            folder.file("/etc/hostname", 100),
            Err(ReadError::Link { .. })
        ));
        assert!(matches!(
            folder.file("pipe", 100),
            Err(ReadError::NotAFile { .. })
        ));
        assert!(matches!(
            folder.file("plain", 4),
            Err(ReadError::TooLarge { .. })
        ));
        assert_eq!(folder.file("plain", 5).unwrap().unwrap(), b"12345");
        assert_eq!(folder.file("nothing", 5).unwrap(), None);
        let entries = folder.entries("").unwrap().unwrap();
        assert_eq!(entries.len(), 6);
        assert!(entries.contains(&("own".to_owned(), Entry::Other)));
        assert!(matches!(folder.entries("up"), Err(ReadError::Link { .. })));
        assert!(matches!(Folder::open(&secret), Err(ReadError::NoFolder(_))));
    }

    #[test]
    fn a_full_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..=MAX_ENTRIES {
            std::fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        let folder = Folder::open(dir.path()).unwrap();
        assert!(matches!(folder.entries(""), Err(ReadError::TooMany { .. })));
    }
}
