//! Files that come with a request. Those of a run are kept under their digest, because a run that
//! is resumed reads its data again; those of one call are gone with it.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use handaxe_types::{DataFile, Digest};

/// The largest file, and how many may come with one request.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;
pub(crate) const MOST_FILES: usize = 16;
/// All that is kept.
const MOST_KEPT_BYTES: u64 = 4 << 30;

#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the file is {bytes} bytes; at most {} MiB are taken", MAX_FILE_BYTES >> 20)]
    TooLarge { bytes: usize },
    #[error("{} holds {} GiB of files of earlier runs; no more are kept", dir.display(), MOST_KEPT_BYTES >> 30)]
    Full { dir: PathBuf },
    #[error("cannot keep the file")]
    Io(#[source] std::io::Error),
}

/// Bytes and what a client calls them.
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The files of runs, in a folder of the home.
#[derive(Debug)]
pub(crate) struct Uploads {
    dir: PathBuf,
}

impl Uploads {
    pub(crate) fn in_home(home: &Path) -> Self {
        Self {
            dir: home.join("uploads"),
        }
    }

    /// Keeps the bytes, once however often they come; `name` is what a tool will see.
    pub(crate) fn keep(&self, name: &str, bytes: &[u8]) -> Result<DataFile, UploadError> {
        private_dir(&self.dir)?;
        let mut held = 0;
        for entry in std::fs::read_dir(&self.dir).map_err(UploadError::Io)? {
            let entry = entry.map_err(UploadError::Io)?;
            held += entry.metadata().map_or(0, |m| m.len());
        }
        if held.saturating_add(bytes.len() as u64) > MOST_KEPT_BYTES {
            let dir = self.dir.clone();
            return Err(UploadError::Full { dir });
        }
        lay(&self.dir, name, bytes)
    }
}

/// Writes the bytes into a folder, under their digest.
pub(crate) fn lay(dir: &Path, name: &str, bytes: &[u8]) -> Result<DataFile, UploadError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(UploadError::TooLarge { bytes: bytes.len() });
    }
    let digest = Digest::of(bytes);
    let path = dir.join(digest.to_string());
    let whole = std::fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64);
    if !whole {
        // Whole or not there: another request may lay the same file just now.
        let mut file = tempfile::Builder::new()
            .prefix(".laying-")
            .make_in(dir, |path| {
                std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)
            })
            .map_err(UploadError::Io)?;
        file.write_all(bytes)
            .and_then(|()| file.as_file().sync_all())
            .map_err(UploadError::Io)?;
        file.persist(&path).map_err(|e| UploadError::Io(e.error))?;
    }
    Ok(DataFile {
        name: name.to_owned(),
        path,
        bytes: bytes.len() as u64,
        digest,
    })
}

fn private_dir(dir: &Path) -> Result<(), UploadError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(UploadError::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_once_under_their_digest() {
        let home = tempfile::tempdir().unwrap();
        let uploads = Uploads::in_home(home.path());
        let a = uploads.keep("a.csv", b"x\n1\n").unwrap();
        let b = uploads.keep("../../b", b"x\n1\n").unwrap();
        assert_eq!(a.path, b.path);
        assert!(a.path.starts_with(home.path().join("uploads")));
        assert_eq!(std::fs::read(&a.path).unwrap(), b"x\n1\n");
        assert_eq!(
            std::fs::read_dir(home.path().join("uploads"))
                .unwrap()
                .count(),
            1
        );
        // One that was damaged is laid again.
        std::fs::write(&a.path, b"").unwrap();
        uploads.keep("a.csv", b"x\n1\n").unwrap();
        assert_eq!(std::fs::read(&a.path).unwrap(), b"x\n1\n");
        assert!(matches!(
            uploads.keep("big", &vec![0; MAX_FILE_BYTES + 1]),
            Err(UploadError::TooLarge { .. })
        ));
    }
}
