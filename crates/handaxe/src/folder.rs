//! A tool folder as a person wrote it: read with bounds, and told what is missing.

use std::collections::BTreeMap;
use std::path::Path;

use handaxe_registry::{read_cases, read_spec};
use handaxe_types::{Asset, Author, Case, Draft, Origin, Provenance};
use serde_json::Map;

use crate::failure::{Failure, chain};
use crate::home::login;
use crate::inputs::read_bounded;
use crate::render::text::Shown;

const MAX_SPEC_BYTES: u64 = 1 << 20;
const MAX_CASES_BYTES: u64 = 16 << 20;
const MAX_ASSET_BYTES: u64 = 1 << 20;
const MAX_ASSETS: usize = 32;

const FOLDER_HINT: &str = "a tool folder has tool.py (with def run), spec.json and cases.jsonl; `handaxe tools export NAME --out DIR` writes one to start from";
const SPEC_HINT: &str = "it needs name, description, input_schema, output_schema and domain; `handaxe tools show NAME --json` prints one";
const CASES_HINT: &str = r#"one case a line: {"name": "two words", "input": {"text": "a b"}, "expect": 2}, or "raises": "ValueError", or "holds": "output >= 0""#;

/// Reads a folder; all its cases count as its author's, whatever they say of themselves.
pub(crate) fn read_folder(dir: &Path, why: Option<String>) -> Result<Draft, Failure> {
    if !dir.is_dir() {
        return Err(
            Failure::usage(format!("there is no folder {}", dir.display())).hint(FOLDER_HINT),
        );
    }
    let missing = ["tool.py", "spec.json"]
        .into_iter()
        .filter(|name| !dir.join(name).is_file())
        .collect::<Vec<_>>();
    if !missing.is_empty() {
        return Err(Failure::usage(format!(
            "{} has no {}",
            dir.display(),
            missing.join(" and no ")
        ))
        .hint(FOLDER_HINT));
    }
    let code_path = dir.join("tool.py");
    let code = String::from_utf8(read_bounded(&code_path, MAX_SPEC_BYTES)?).map_err(|_| {
        Failure::usage(format!("{}: not UTF-8", code_path.display())).hint("save it as UTF-8")
    })?;
    let spec_path = dir.join("spec.json");
    let (spec, _) = read_spec(&read_bounded(&spec_path, MAX_SPEC_BYTES)?).map_err(|e| {
        Failure::usage(format!("{}: {}", spec_path.display(), chain(&e))).hint(SPEC_HINT)
    })?;
    Ok(Draft {
        spec,
        code,
        cases: cases(&dir.join("cases.jsonl"))?,
        assets: assets(&dir.join("assets"))?,
        provenance: Provenance {
            author: Author::Person { name: login() },
            why: why.unwrap_or_else(|| "written by hand".to_owned()),
            recipe: None,
            invocation: Map::new(),
        },
    })
}

fn cases(path: &Path) -> Result<Vec<Case>, Failure> {
    // Without cases there is nothing to prove, and the verdict says so.
    if !path.exists() {
        return Ok(Vec::new());
    }
    let cases = read_cases(&read_bounded(path, MAX_CASES_BYTES)?).map_err(|e| {
        Failure::usage(format!("{}: {}", path.display(), chain(&e))).hint(CASES_HINT)
    })?;
    Ok((1..)
        .zip(cases)
        .map(|(n, case)| Case {
            name: if case.name.is_empty() {
                format!("case {n}")
            } else {
                case.name
            },
            origin: Origin::Author,
            held_out: false,
            ..case
        })
        .collect())
}

fn assets(dir: &Path) -> Result<BTreeMap<String, Asset>, Failure> {
    let mut assets = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Ok(assets);
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_str().map(str::to_owned);
        let (Some(name), true) = (name, entry.file_type().is_ok_and(|t| t.is_file())) else {
            return Err(Failure::usage(format!(
                "{}: an asset is a plain file with a plain name",
                Shown(&path.display().to_string())
            ))
            .hint("put the files themselves into assets/, without folders or links"));
        };
        if assets.len() == MAX_ASSETS {
            return Err(
                Failure::usage(format!("{}: at most {MAX_ASSETS} assets", dir.display()))
                    .hint("put what belongs together into one file"),
            );
        }
        assets.insert(name, Asset(read_bounded(&path, MAX_ASSET_BYTES)?));
    }
    Ok(assets)
}
