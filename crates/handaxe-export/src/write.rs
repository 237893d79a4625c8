//! An export on disk: whole or not at all, and nothing that it did not write is lost.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use handaxe_registry::Files;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::formats::MARK;

/// Why an export was not put down.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{} is a link; an export follows none", .0.display())]
    Link(PathBuf),
    #[error("{} is there, and is not a folder", .0.display())]
    NotAFolder(PathBuf),
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("{} holds what no export wrote", .0.display())]
    NotAnExport(PathBuf),
    #[error("`{0}` is not a path inside a folder")]
    Name(String),
    #[error("cannot {doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl WriteError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotEmpty(_) => {
                "--force replaces an earlier export; or name a folder that does not exist yet with --out DIR"
            }
            Self::NotAnExport(_) | Self::Link(_) | Self::NotAFolder(_) => {
                "name a folder that does not exist yet with --out DIR"
            }
            Self::Name(_) | Self::Io { .. } => "choose another place with --out DIR",
        }
    }
}

/// Makes `target` hold exactly these files. It must be absent or empty; with `force` it may be an
/// earlier export, which is replaced in one step.
pub fn write(target: &Path, files: &Files, force: bool) -> Result<(), WriteError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Io {
            doing,
            path,
            source,
        }
    };
    let replaces = replaces(target, force)?;
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed("make", parent))?;
    // Beside the target, so that the last step is a rename; gone with this value.
    let staging = tempfile::Builder::new()
        .prefix(".handaxe-export-")
        .tempdir_in(parent)
        .map_err(failed("make a folder in", parent))?;
    // One more level: the staging folder is private, the export has the modes that a person's
    // own folders have.
    let new = staging.path().join("new");
    fs::create_dir(&new).map_err(failed("make", &new))?;
    for (name, bytes) in files {
        let inner = Path::new(name);
        if !inner
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
            || name.contains('\0')
        {
            return Err(WriteError::Name(name.clone()));
        }
        let path = new.join(inner);
        let dir = path.parent().unwrap_or(&new);
        fs::create_dir_all(dir).map_err(failed("make", dir))?;
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(failed("write", &path))?;
    }
    let moved = if replaces {
        // The old one ends up in the staging folder and goes with it.
        renameat_with(CWD, &new, CWD, target, RenameFlags::EXCHANGE)
    } else {
        rustix::fs::rename(&new, target)
    };
    moved.map_err(|e| failed("put in place", target)(e.into()))
}

/// Whether something is in the way that may go.
fn replaces(target: &Path, force: bool) -> Result<bool, WriteError> {
    let meta = match fs::symlink_metadata(target) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => {
            return Err(WriteError::Io {
                doing: "look at",
                path: target.to_owned(),
                source,
            });
        }
    };
    if meta.is_symlink() {
        return Err(WriteError::Link(target.to_owned()));
    }
    if !meta.is_dir() {
        return Err(WriteError::NotAFolder(target.to_owned()));
    }
    let mut entries = fs::read_dir(target).map_err(|source| WriteError::Io {
        doing: "look into",
        path: target.to_owned(),
        source,
    })?;
    if entries.next().is_none() {
        return Ok(false);
    }
    if !force {
        return Err(WriteError::NotEmpty(target.to_owned()));
    }
    let file = |name: &str| fs::symlink_metadata(target.join(name)).is_ok_and(|m| m.is_file());
    if file(MARK) || (file("evidence.json") && file("provenance.json") && file("tool.py")) {
        Ok(true)
    } else {
        Err(WriteError::NotAnExport(target.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        let owned = pairs.iter();
        owned
            .map(|(n, t)| ((*n).to_owned(), t.as_bytes().to_vec()))
            .collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deep").join("out");
        let first = files(&[(MARK, "{}"), ("a/b", "1"), ("old", "x")]);
        write(&out, &first, false).unwrap();
        assert_eq!(fs::read_to_string(out.join("a/b")).unwrap(), "1");
        let refused = write(&out, &first, false);
        assert!(
            matches!(refused, Err(WriteError::NotEmpty(_))),
            "{refused:?}"
        );
        write(&out, &files(&[(MARK, "{}"), ("a/b", "2")]), true).unwrap();
        assert_eq!(names(&out), [MARK, "a"], "what was there before is gone");
        // A name that leads out stops it before anything is in place.
        for bad in ["../up", "/abs", "a/../../up", "a\0b"] {
            let refused = write(&out, &files(&[("good", "1"), (bad, "x")]), true);
            assert!(matches!(refused, Err(WriteError::Name(_))), "{bad}");
            assert_eq!(names(&out), [MARK, "a"]);
        }
        assert_eq!(
            names(out.parent().unwrap()),
            ["out"],
            "nothing is left over"
        );
        assert_eq!(names(dir.path()), ["deep"]);
    }

    #[test]
    fn what_no_export_wrote_stays() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        fs::create_dir(&own).unwrap();
        write(&own, &files(&[("x", "1")]), false).unwrap();
        let refused = write(&own, &files(&[("y", "1")]), true);
        assert!(matches!(refused, Err(WriteError::NotAnExport(_))));
        assert_eq!(names(&own), ["x"]);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        for force in [false, true] {
            let refused = write(&link, &files(&[("y", "1")]), force);
            assert!(matches!(refused, Err(WriteError::Link(_))));
        }
        let file = dir.path().join("file");
        fs::write(&file, "kept").unwrap();
        let refused = write(&file, &files(&[("y", "1")]), true);
        assert!(matches!(refused, Err(WriteError::NotAFolder(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }
}
