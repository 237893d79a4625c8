//! A tool folder as a person wrote it, or as it was exported: read with bounds, and told what is
//! missing.

use std::collections::BTreeMap;
use std::path::Path;

use handaxe_export::{ImportError, Layout, ReadError, import};
use handaxe_registry::{Files, read_cases, read_spec};
use handaxe_types::{Asset, Author, Case, Draft, Origin, Provenance};
use serde_json::Map;

use crate::failure::{Exit, Failure, chain};
use crate::home::login;

const SPEC_HINT: &str = "it needs name, description, input_schema, output_schema and domain; `handaxe tools show NAME --json` prints one";
const CASES_HINT: &str = r#"one case a line: {"name": "two words", "input": {"text": "a b"}, "expect": 2}, or "raises": "ValueError", or "holds": "output >= 0""#;

/// Reads a folder; all its cases count as its author's, whatever they say of themselves.
pub(crate) fn read_folder(dir: &Path, why: Option<String>) -> Result<Draft, Failure> {
    let found = import(dir).map_err(|e| import_failure(&e))?;
    let bytes = |name: &str| found.files.get(name).map_or(&[][..], Vec::as_slice);
    let code = std::str::from_utf8(bytes("tool.py")).map_err(|_| {
        let path = dir.join("tool.py");
        Failure::usage(format!("{}: not UTF-8", path.display())).hint("save it as UTF-8")
    })?;
    let (spec, _) = read_spec(bytes("spec.json")).map_err(|e| {
        let path = dir.join("spec.json");
        Failure::usage(format!("{}: {}", path.display(), chain(&e))).hint(SPEC_HINT)
    })?;
    // Without cases there is nothing to prove, and the verdict says so.
    let cases = read_cases(bytes("cases.jsonl")).map_err(|e| {
        let path = dir.join("cases.jsonl");
        Failure::usage(format!("{}: {}", path.display(), chain(&e))).hint(CASES_HINT)
    })?;
    let whence = match found.layout {
        Layout::Plain => "written by hand",
        Layout::Package(_) => "imported from a package",
        Layout::Within => "imported from an export",
    };
    Ok(Draft {
        spec,
        code: code.to_owned(),
        cases: authors(cases),
        assets: assets(&found.files),
        provenance: Provenance {
            author: Author::Person { name: login() },
            why: why.unwrap_or_else(|| whence.to_owned()),
            recipe: None,
            invocation: Map::new(),
        },
    })
}

fn import_failure(error: &ImportError) -> Failure {
    let failure = match error {
        ImportError::Read(ReadError::Link { .. } | ReadError::NotAFile { .. }) => {
            Failure::new(Exit::Refused, "not_a_file", chain(error))
        }
        _ => Failure::usage(chain(error)),
    };
    failure.hint(error.hint())
}

fn authors(cases: Vec<Case>) -> Vec<Case> {
    (1..)
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
        .collect()
}

fn assets(files: &Files) -> BTreeMap<String, Asset> {
    files
        .iter()
        .filter_map(|(name, bytes)| {
            let name = name.strip_prefix("assets/")?;
            Some((name.to_owned(), Asset(bytes.clone())))
        })
        .collect()
}
