//! One-time login links. A link's token is known to the person who was shown it; the server knows
//! its digest, as the name of a file in a folder that only the home's owner can write. Claiming
//! it removes the file, so that of two claims one succeeds, whichever process made the link.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use handaxe_types::Digest;

/// How long a link can be used.
pub const LINK_LIFE: Duration = Duration::from_mins(15);
/// A person's name is one short line.
const MAX_NAME: u64 = 256;
/// Links that wait at once; more are a loop, and the oldest are of no use.
const MOST_LINKS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("cannot keep the login link in {}", path.display())]
    Keep {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Where links wait to be used.
#[derive(Clone, Debug)]
pub struct Logins {
    dir: PathBuf,
}

impl Logins {
    /// In this folder, which is made when the first link is.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// A new link's token, for `person`: whoever opens it is taken for that person.
    pub fn offer(&self, person: &str) -> Result<String, LoginError> {
        let keep = |path: &Path| {
            let path = path.to_owned();
            move |source| LoginError::Keep { path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(keep(&self.dir))?;
        self.sweep();
        let token = random_token().map_err(LoginError::Random)?;
        let path = self.path(&token);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(person.as_bytes()))
            .map_err(keep(&path))?;
        Ok(token)
    }

    /// Whose link this was: once, and in time.
    pub(crate) fn claim(&self, token: &str) -> Option<String> {
        let path = self.path(token);
        let mut person = String::new();
        let file = File::open(&path).ok()?;
        let young = fresh(&file);
        file.take(MAX_NAME).read_to_string(&mut person).ok()?;
        // The removal is the claim: of two at once, one removes.
        std::fs::remove_file(&path).ok()?;
        (young && !person.is_empty()).then_some(person)
    }

    /// Nothing of what was sent is part of a path: only its digest is.
    fn path(&self, token: &str) -> PathBuf {
        self.dir.join(Digest::of(token.as_bytes()).to_string())
    }

    /// Links that nobody used in time; all of them when there are too many.
    fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return;
        };
        for (n, entry) in entries.flatten().enumerate() {
            let old = File::open(entry.path()).is_ok_and(|f| !fresh(&f));
            if old || n >= MOST_LINKS {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn fresh(file: &File) -> bool {
    let made = file.metadata().and_then(|m| m.modified());
    made.is_ok_and(|made| {
        SystemTime::now()
            .duration_since(made)
            .is_ok_and(|age| age <= LINK_LIFE)
    })
}

/// 256 bits nobody can guess, in hexadecimal.
pub(crate) fn random_token() -> Result<String, getrandom::Error> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)?;
    Ok(hex::encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_claimed_once_and_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let logins = Logins::in_dir(dir.path().join("logins"));
        let token = logins.offer("alice").unwrap();
        assert_eq!(logins.claim("../../etc/passwd"), None);
        assert_eq!(logins.claim(&token).as_deref(), Some("alice"));
        assert_eq!(logins.claim(&token), None);
        let old = logins.offer("bob").unwrap();
        let hour_ago = SystemTime::now() - Duration::from_hours(1);
        File::options()
            .write(true)
            .open(logins.path(&old))
            .unwrap()
            .set_modified(hour_ago)
            .unwrap();
        assert_eq!(logins.claim(&old), None);
        // Nothing on disk is the token itself.
        let token = logins.offer("carol").unwrap();
        for entry in std::fs::read_dir(dir.path().join("logins")).unwrap() {
            let entry = entry.unwrap();
            assert_ne!(entry.file_name().to_str(), Some(token.as_str()));
            assert!(
                !std::fs::read_to_string(entry.path())
                    .unwrap()
                    .contains(&token)
            );
        }
    }
}
