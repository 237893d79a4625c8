//! The folder of an evaluation: one folder for each trial, kept, and read again when the same trial
//! is asked for once more. What a result belongs to is said by a digest inside it; a result of
//! another draft, setting or model is made anew.

use std::path::{Path, PathBuf};

use handaxe_types::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::SuiteError;

/// Where trials are kept.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    of: Digest,
    result: T,
}

impl Store {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder of one trial, made when missing.
    pub(crate) fn folder(&self, trial: &str) -> Result<PathBuf, SuiteError> {
        let name: String = trial
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.#".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let dir = self.dir.join(name.trim_start_matches('.'));
        std::fs::create_dir_all(&dir).map_err(|source| SuiteError::Write {
            path: dir.clone(),
            source,
        })?;
        Ok(dir)
    }

    /// The result kept as `name` in the trial's folder, if it is of `of`.
    pub(crate) fn get<T: DeserializeOwned>(dir: &Path, name: &str, of: Digest) -> Option<T> {
        let text = std::fs::read(dir.join(name)).ok()?;
        let kept: Kept<T> = serde_json::from_slice(&text).ok()?;
        (kept.of == of).then_some(kept.result)
    }

    /// Keeps a result. Written beside and renamed: a run that is stopped leaves no half of one.
    pub(crate) fn put<T: Serialize>(
        dir: &Path,
        name: &str,
        of: Digest,
        result: &T,
    ) -> Result<(), SuiteError> {
        Self::write(dir, name, &Kept { of, result })
    }

    pub(crate) fn write<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<(), SuiteError> {
        let (path, beside) = (dir.join(name), dir.join(format!("{name}.part")));
        let failed = |source| SuiteError::Write {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(value).map_err(|e| failed(e.into()))?;
        std::fs::write(&beside, text).map_err(failed)?;
        std::fs::rename(&beside, &path).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_found_again_for_the_same_question_only() {
        let dir = std::env::temp_dir().join(format!("handaxe-store-{}", std::process::id()));
        let folder = Store::new(&dir).folder("../a/b #1").unwrap();
        assert_eq!(folder, dir.join("_a_b_#1"));
        let (this, other) = (Digest::of(b"this"), Digest::of(b"other"));
        assert_eq!(Store::get::<u32>(&folder, "r.json", this), None);
        Store::put(&folder, "r.json", this, &7_u32).unwrap();
        assert_eq!(Store::get(&folder, "r.json", this), Some(7_u32));
        assert_eq!(Store::get::<u32>(&folder, "r.json", other), None);
        std::fs::write(folder.join("r.json"), b"{\"of\"").unwrap();
        assert_eq!(Store::get::<u32>(&folder, "r.json", this), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
