//! Files that come with a request. Those of a run are kept under their digest, because a run that
//! is resumed reads its data again; those of one call are gone with it.

use std::os::unix::fs::DirBuilderExt as _;
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

    /// Keeps a file that came with a request, once however often it comes.
    pub(crate) fn keep(&self, file: &DataFile) -> Result<DataFile, UploadError> {
        private_dir(&self.dir)?;
        let mut held = 0;
        for entry in std::fs::read_dir(&self.dir).map_err(UploadError::Io)? {
            let entry = entry.map_err(UploadError::Io)?;
            held += entry.metadata().map_or(0, |m| m.len());
        }
        if held.saturating_add(file.bytes) > MOST_KEPT_BYTES {
            let dir = self.dir.clone();
            return Err(UploadError::Full { dir });
        }
        let path = self.dir.join(file.digest.to_string());
        let whole = std::fs::metadata(&path).is_ok_and(|m| m.len() == file.bytes);
        if !whole {
            let mut from = std::fs::File::open(&file.path).map_err(UploadError::Io)?;
            // Whole or not there: another request may keep the same file just now.
            let mut to = tempfile::NamedTempFile::new_in(&self.dir).map_err(UploadError::Io)?;
            std::io::copy(&mut from, &mut to).map_err(UploadError::Io)?;
            to.as_file().sync_all().map_err(UploadError::Io)?;
            to.persist(&path).map_err(|e| UploadError::Io(e.error))?;
        }
        Ok(DataFile {
            path,
            ..file.clone()
        })
    }
}

/// Writes the bytes into a folder under `name`, one plain component.
pub(crate) fn lay(dir: &Path, name: &str, bytes: &[u8]) -> Result<DataFile, UploadError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(UploadError::TooLarge { bytes: bytes.len() });
    }
    let path = dir.join(name);
    std::fs::write(&path, bytes).map_err(UploadError::Io)?;
    Ok(DataFile {
        name: name.to_owned(),
        path,
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
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
        let came = tempfile::tempdir().unwrap();
        let uploads = Uploads::in_home(home.path());
        let a = lay(came.path(), "a.csv", b"x\n1\n").unwrap();
        let b = lay(came.path(), "b.csv", b"x\n1\n").unwrap();
        let (a, b) = (uploads.keep(&a).unwrap(), uploads.keep(&b).unwrap());
        assert_eq!((a.path.clone(), b.name.as_str()), (b.path.clone(), "b.csv"));
        assert!(a.path.starts_with(home.path().join("uploads")));
        assert_eq!(
            std::fs::read_dir(home.path().join("uploads"))
                .unwrap()
                .count(),
            1
        );
        // One that was cut is kept again.
        std::fs::write(&a.path, b"").unwrap();
        uploads
            .keep(&lay(came.path(), "c", b"x\n1\n").unwrap())
            .unwrap();
        assert_eq!(std::fs::read(&a.path).unwrap(), b"x\n1\n");
        assert!(matches!(
            lay(came.path(), "big", &vec![0; MAX_FILE_BYTES + 1]),
            Err(UploadError::TooLarge { .. })
        ));
    }
}
