//! Folders for people and other programs: `tools/<name>/<version>/` and
//! `runs/<id>/attempt-<n>/`. Views only: nothing is ever read from them to be run or believed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use handaxe_types::{Case, RunId, ToolName, Verdict, Version};
use rusqlite::Transaction;
use serde::Serialize;

use crate::attempts::Attempt;
use crate::error::{RegistryError, RunError, ViewError};
use crate::readme::{self, Readme};
use crate::registry::{Registry, get_blob, get_json, private_dir};
use crate::stored::{VersionRow, author_name, standing_approval};

/// Relative path → bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A file of a view that is not as the database has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewProblem {
    pub path: PathBuf,
    pub missing: bool,
}

impl Registry {
    /// What of the folders is missing or changed. Files that Handaxe did not put there are left
    /// alone and not mentioned.
    pub fn check_views(&self) -> Result<Vec<ViewProblem>, RegistryError> {
        let mut problems = Vec::new();
        for (dir, files) in self.views()? {
            for (name, bytes) in files {
                let path = dir.join(name);
                match same(&path, &bytes) {
                    Ok(true) => {}
                    Ok(false) => problems.push(ViewProblem {
                        path,
                        missing: false,
                    }),
                    Err(_) => problems.push(ViewProblem {
                        path,
                        missing: true,
                    }),
                }
            }
        }
        Ok(problems)
    }

    /// Writes what [`Registry::check_views`] would name; returns how many folders it wrote to.
    pub fn rebuild_views(&self) -> Result<usize, RunError> {
        let mut written = 0;
        for (dir, files) in self.views()? {
            written += usize::from(write_view(&dir, &files)?);
        }
        Ok(written)
    }

    fn views(&self) -> Result<Vec<(PathBuf, Files)>, RegistryError> {
        let mut views: Vec<(PathBuf, Files)> = self.read::<_, RegistryError>(|tx| {
            VersionRow::select(tx, "evidence IS NOT NULL AND ?1 ORDER BY id", true)?
                .iter()
                .map(|row| Ok((self.tool_dir(&row.name, row.version), tool_files(tx, row)?)))
                .collect()
        })?;
        for run in self.runs(u32::MAX)? {
            for attempt in self.attempts(&run.id)? {
                views.push((
                    self.attempt_dir(&run.id, attempt.n),
                    attempt_files(&attempt)?,
                ));
            }
        }
        Ok(views)
    }

    pub(crate) fn write_tool_view(
        &self,
        name: &ToolName,
        version: Version,
    ) -> Result<(), ViewError> {
        let files = self
            .read(|tx| {
                VersionRow::of_name(tx, name)?
                    .iter()
                    .find(|row| row.version == version)
                    .map(|row| tool_files(tx, row))
                    .transpose()
            })
            .map_err(|e: RegistryError| ViewError {
                doing: "read what belongs in",
                path: self.tool_dir(name, version),
                source: io::Error::other(e),
            })?;
        match files {
            Some(files) => write_view(&self.tool_dir(name, version), &files).map(drop),
            None => Ok(()),
        }
    }

    pub(crate) fn write_attempt_view(
        &self,
        run: &RunId,
        attempt: &Attempt,
    ) -> Result<(), RunError> {
        let files = attempt_files(attempt)?;
        write_view(&self.attempt_dir(run, attempt.n), &files)?;
        Ok(())
    }

    /// Where the folder of a version is.
    pub fn tool_dir(&self, name: &ToolName, version: Version) -> PathBuf {
        self.home()
            .join("tools")
            .join(name.as_str())
            .join(version.to_string())
    }

    /// Where the folder of an attempt is.
    pub fn attempt_dir(&self, run: &RunId, n: u32) -> PathBuf {
        self.run_dir(run).join(format!("attempt-{n}"))
    }
}

/// A registered version's folder: exactly the files that its evidence was signed for, and the
/// evidence. They are kept, not made again, so that a newer README template changes no folder.
pub(crate) fn tool_files(tx: &Transaction<'_>, row: &VersionRow) -> Result<Files, RegistryError> {
    let Some(bundle) = &row.evidence else {
        return made_files(tx, row);
    };
    let Some(evidence) = crate::evidence::open_bundle(tx, bundle)? else {
        return made_files(tx, row);
    };
    let mut files = crate::evidence::bundle_files(tx, bundle)?;
    for subject in evidence.test_result["subject"]
        .as_array()
        .into_iter()
        .flatten()
    {
        if let (Some(name), Some(digest)) = (
            subject["name"].as_str(),
            subject["digest"]["sha256"].as_str(),
        ) {
            files.insert(name.to_owned(), get_blob(tx, digest)?);
        }
    }
    Ok(files)
}

/// The same before there is any evidence.
pub(crate) fn made_files(tx: &Transaction<'_>, row: &VersionRow) -> Result<Files, RegistryError> {
    let spec = row.spec(tx)?;
    let cases = row.cases(tx)?;
    let verdict: Verdict = get_json(tx, "verdict", &row.verdict)?;
    let provenance: handaxe_types::Provenance = get_json(tx, "provenance", &row.provenance)?;
    let approval = standing_approval(tx, row.id)?;
    let readme = readme::render(&Readme {
        spec: &spec,
        version: row.version,
        why: &row.why,
        author: author_name(&provenance.author),
        approver: approval.as_ref().map(|a| a.approver.as_str()),
        cases: &cases,
        verdict: &verdict,
    });
    let mut spec_json = serde_json::json!(spec);
    if let Some(map) = spec_json.as_object_mut() {
        map.insert("version".to_owned(), serde_json::json!(row.version));
        map.insert("digest".to_owned(), serde_json::json!(row.subject));
    }
    let mut files = Files::from([
        ("tool.py".to_owned(), get_blob(tx, &row.code)?),
        ("spec.json".to_owned(), pretty("spec", &spec_json)?),
        ("cases.jsonl".to_owned(), get_blob(tx, &row.cases)?),
        ("README.md".to_owned(), readme.into_bytes()),
    ]);
    for (name, digest) in &row.assets {
        files.insert(format!("assets/{name}"), get_blob(tx, &digest.to_string())?);
    }
    Ok(files)
}

fn attempt_files(attempt: &Attempt) -> Result<Files, RegistryError> {
    let mut files = Files::from([
        ("stderr.txt".to_owned(), attempt.stderr.clone().into_bytes()),
        ("diff.patch".to_owned(), attempt.diff.clone().into_bytes()),
    ]);
    if let Some(draft) = &attempt.draft {
        let (held_out, open): (Vec<&Case>, Vec<&Case>) =
            draft.cases.iter().partition(|c| c.held_out);
        files.insert("tool.py".to_owned(), draft.code.clone().into_bytes());
        files.insert("spec.json".to_owned(), pretty("spec", &draft.spec)?);
        files.insert(
            "cases.jsonl".to_owned(),
            case_lines(open.into_iter())?.into_bytes(),
        );
        if !held_out.is_empty() {
            files.insert(
                "held_out.jsonl".to_owned(),
                case_lines(held_out.into_iter())?.into_bytes(),
            );
        }
    }
    if let Some(trial) = &attempt.trial {
        files.insert("trial.json".to_owned(), pretty("trial", trial)?);
    }
    if let Some(verdict) = &attempt.verdict {
        files.insert("verdict.json".to_owned(), pretty("verdict", verdict)?);
    }
    Ok(files)
}

fn pretty<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| RegistryError::Unwritable { what, source })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One case a line.
pub(crate) fn case_lines<'a>(
    cases: impl Iterator<Item = &'a Case>,
) -> Result<String, RegistryError> {
    let mut lines = String::new();
    for case in cases {
        lines += &serde_json::to_string(case).map_err(|source| RegistryError::Unwritable {
            what: "case",
            source,
        })?;
        lines.push('\n');
    }
    Ok(lines)
}

/// Whether a plain file holds exactly these bytes.
fn same(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() || meta.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut found = Vec::with_capacity(bytes.len());
    File::open(path)?
        .take(bytes.len() as u64 + 1)
        .read_to_end(&mut found)?;
    Ok(found == bytes)
}

/// Makes a folder hold these files; says whether anything had to be written. A new folder appears
/// whole or not at all; in one that exists each file is replaced whole.
fn write_view(dir: &Path, files: &Files) -> Result<bool, ViewError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| ViewError {
            doing,
            path,
            source,
        }
    };
    let parent = dir.parent().unwrap_or(dir);
    private_dir(parent).map_err(failed("make the folder", parent))?;
    match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => {
            let mut wrote = false;
            for (name, bytes) in files {
                let path = dir.join(name);
                if !matches!(same(&path, bytes), Ok(true)) {
                    replace(&path, bytes).map_err(failed("write", &path))?;
                    wrote = true;
                }
            }
            return Ok(wrote);
        }
        // A link or a file in its place is not the folder that was asked for.
        Ok(_) => fs::remove_file(dir).map_err(failed("clear the way for", dir))?,
        Err(_) => {}
    }
    let draft = tempfile_in(parent).map_err(failed("make a folder beside", dir))?;
    let written = write_all(&draft, files)
        .and_then(|()| fs::rename(&draft, dir))
        .and_then(|()| sync_dir(parent));
    if written.is_err() {
        // The error that matters is the one below; a folder left over is hidden and harmless.
        let _ = fs::remove_dir_all(&draft);
    }
    match written {
        // Another process wrote the same folder first.
        Err(_)
            if files
                .iter()
                .all(|(n, b)| matches!(same(&dir.join(n), b), Ok(true))) =>
        {
            Ok(true)
        }
        written => written.map(|()| true).map_err(failed("write", dir)),
    }
}

fn write_all(dir: &Path, files: &Files) -> io::Result<()> {
    for (name, bytes) in files {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            private_dir(parent)?;
        }
        let mut file = File::create_new(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if let Some(parent) = path.parent() {
            sync_dir(parent)?;
        }
    }
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    private_dir(parent)?;
    if fs::symlink_metadata(path).is_ok_and(|m| m.is_dir()) {
        fs::remove_dir_all(path)?;
    }
    let draft = tempfile_in(parent)?;
    let inner = draft.join("new");
    let written = fs::write(&inner, bytes)
        .and_then(|()| File::open(&inner)?.sync_all())
        .and_then(|()| fs::rename(&inner, path));
    let _ = fs::remove_dir_all(&draft);
    written?;
    sync_dir(parent)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A new hidden directory in `parent` that no one else uses.
fn tempfile_in(parent: &Path) -> io::Result<PathBuf> {
    let random = crate::registry::random::<8>().map_err(io::Error::other)?;
    let dir = parent.join(format!(".new-{}", hex::encode(random)));
    fs::create_dir(&dir)?;
    Ok(dir)
}
