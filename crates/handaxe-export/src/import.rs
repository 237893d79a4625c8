//! The way back: a hand-written folder, a package or a skill that was exported, as a tool's plain
//! files. Whatever came with them counts for nothing here: the whole proof applies again.

use std::path::Path;

use handaxe_registry::Files;

use crate::read::{Entry, Folder, ReadError};

const MAX_CODE_BYTES: u64 = 1 << 20;
const MAX_CASES_BYTES: u64 = 16 << 20;
const MAX_ASSET_BYTES: u64 = 1 << 20;
const MAX_ASSETS: usize = 32;

/// Where in the folder the tool lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The folder is the tool.
    Plain,
    /// A package: the module's folder under `src`.
    Package(String),
    /// A skill, or another export: `tool/`.
    Within,
}

impl Layout {
    fn prefix(&self) -> String {
        match self {
            Self::Plain => String::new(),
            Self::Package(module) => format!("src/{module}/"),
            Self::Within => "tool/".to_owned(),
        }
    }
}

/// A tool's files as they lay there.
#[derive(Debug)]
pub struct Found {
    pub layout: Layout,
    /// `tool.py`, `spec.json`, and where there are any `cases.jsonl` and `assets/…`.
    pub files: Files,
}

/// Why a folder cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{folder} has no {}", missing.join(" and no "))]
    Missing {
        folder: String,
        missing: Vec<&'static str>,
    },
    #[error(
        "{folder} is a {kind} that Handaxe did not export: it has no spec.json beside a tool.py"
    )]
    Foreign { folder: String, kind: &'static str },
    #[error("{folder} holds two tools, {first} and {second}")]
    Two {
        folder: String,
        first: String,
        second: String,
    },
    #[error("{path}: an asset is a plain file with a plain name")]
    Asset { path: String },
    #[error("{folder}: at most {MAX_ASSETS} assets")]
    Assets { folder: String },
}

impl ImportError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(ReadError::Link { .. } | ReadError::NotAFile { .. }) => {
                "a tool folder holds plain files, and `assets/`; put the files themselves there"
            }
            Self::Read(_) | Self::Missing { .. } => {
                "a tool folder has tool.py (with def run), spec.json and cases.jsonl; `handaxe tools export NAME --out DIR` writes one to start from"
            }
            Self::Foreign { .. } => {
                "write spec.json (name, description, input_schema, output_schema, domain) and tool.py with def run; `handaxe tools export` shows the shape"
            }
            Self::Two { .. } => "name the folder of the one that is meant",
            Self::Asset { .. } => "put the files themselves into assets/, without folders or links",
            Self::Assets { .. } => "put what belongs together into one file",
        }
    }
}

/// Reads the tool of a folder, whichever form it has.
pub fn import(dir: &Path) -> Result<Found, ImportError> {
    let folder = Folder::open(dir)?;
    let layout = layout(&folder)?;
    let at = layout.prefix();
    let mut files = Files::new();
    for (name, most) in [
        ("tool.py", MAX_CODE_BYTES),
        ("spec.json", MAX_CODE_BYTES),
        ("cases.jsonl", MAX_CASES_BYTES),
    ] {
        if let Some(bytes) = folder.file(&format!("{at}{name}"), most)? {
            files.insert(name.to_owned(), bytes);
        }
    }
    let missing: Vec<_> = ["tool.py", "spec.json"]
        .into_iter()
        .filter(|name| !files.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        let folder = dir.display().to_string();
        return Err(ImportError::Missing { folder, missing });
    }
    assets(&folder, &at, &mut files)?;
    Ok(Found { layout, files })
}

fn layout(folder: &Folder) -> Result<Layout, ImportError> {
    let name = || folder.path().display().to_string();
    let has = |inner: &str| -> Result<bool, ReadError> {
        Ok(folder
            .file(&format!("{inner}tool.py"), MAX_CODE_BYTES)?
            .is_some()
            && folder
                .file(&format!("{inner}spec.json"), MAX_CODE_BYTES)?
                .is_some())
    };
    if has("")? {
        return Ok(Layout::Plain);
    }
    let entries = folder.entries("")?.unwrap_or_default();
    let there = |name: &str| entries.iter().any(|(n, _)| n == name);
    if there("pyproject.toml") {
        let mut modules = Vec::new();
        for (module, kind) in folder.entries("src")?.unwrap_or_default() {
            if kind == Entry::Folder && has(&format!("src/{module}/"))? {
                modules.push(module);
            }
        }
        let mut modules = modules.into_iter();
        return match (modules.next(), modules.next()) {
            (Some(module), None) => Ok(Layout::Package(module)),
            (Some(first), Some(second)) => Err(ImportError::Two {
                folder: name(),
                first,
                second,
            }),
            (None, _) => Err(ImportError::Foreign {
                folder: name(),
                kind: "package",
            }),
        };
    }
    if has("tool/")? {
        return Ok(Layout::Within);
    }
    if there("SKILL.md") {
        return Err(ImportError::Foreign {
            folder: name(),
            kind: "skill",
        });
    }
    Ok(Layout::Plain)
}

fn assets(folder: &Folder, at: &str, files: &mut Files) -> Result<(), ImportError> {
    let entries = folder.entries(&format!("{at}assets"))?.unwrap_or_default();
    if entries.len() > MAX_ASSETS {
        let folder = folder.path().display().to_string();
        return Err(ImportError::Assets { folder });
    }
    for (name, kind) in entries {
        let inner = format!("{at}assets/{name}");
        if kind != Entry::File {
            let shown: String = inner.chars().flat_map(char::escape_debug).collect();
            let path = folder.path().join(shown).display().to_string();
            return Err(ImportError::Asset { path });
        }
        if let Some(bytes) = folder.file(&inner, MAX_ASSET_BYTES)? {
            files.insert(format!("assets/{name}"), bytes);
        }
    }
    Ok(())
}
