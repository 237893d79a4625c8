//! A package for pip. Its module folder is the signed folder itself, so an installed package
//! carries its evidence, and there is one copy of the code.

use std::fmt::Write as _;

use handaxe_registry::Files;
use handaxe_types::Check;
use handaxe_validate::Schema;
use serde_json::{Map, Value, json};

use crate::formats::{Format, FormatError, pretty};
use crate::outside;
use crate::subject::Subject;

/// Runs the tool once, JSON in and JSON out; `TOOL` says where it lies.
const CALL: &str = include_str!("python/call.py");
const TESTS: &str = include_str!("python/test_cases.py");
const RELATIONS: &str = include_str!("python/relations.py");

/// The module's name. The ending keeps it apart from every keyword and every module of the
/// standard library, whatever the tool is called.
pub(crate) fn module(subject: &Subject) -> String {
    format!("{}_tool", subject.name())
}

/// The program that runs the tool, for one that lies at `place` (a Python expression over `HERE`).
pub(crate) fn call(place: &str) -> Vec<u8> {
    CALL.replace("HERE / \"tool\"", place).into_bytes()
}

pub(crate) fn package(subject: &Subject) -> Result<Files, FormatError> {
    let module = module(subject);
    let mut files = subject.under(&format!("src/{module}/"));
    files.insert(format!("src/{module}/__init__.py"), init(subject));
    files.insert(format!("src/{module}/__main__.py"), call("HERE"));
    files.insert("pyproject.toml".to_owned(), pyproject(subject, &module)?);
    files.insert("README.md".to_owned(), readme(subject, &module));
    files.insert(
        "tests/test_cases.py".to_owned(),
        TESTS.replace("@MODULE@", &module).into_bytes(),
    );
    files.insert("tests/relations.py".to_owned(), RELATIONS.into());
    files.insert(
        "tests/not_run.json".to_owned(),
        pretty("the cases left out", &Value::Object(not_run(subject)?))?,
    );
    Ok(files)
}

fn init(subject: &Subject) -> Vec<u8> {
    let text = format!(
        "# {}, as it was signed; README.md beside this file says what the proof measured.\n\
         from .tool import run\n\n__all__ = [\"run\"]\n__version__ = \"{}\"\n",
        subject.tool, subject.version
    );
    text.into_bytes()
}

/// Built by flit-core (<https://flit.pypa.io/en/stable/pyproject_toml.html>), which takes every file
/// of the module's folder along.
fn pyproject(subject: &Subject, module: &str) -> Result<Vec<u8>, FormatError> {
    let text = |s: &str| toml::Value::String(s.to_owned());
    let list = |items: &[&str]| toml::Value::Array(items.iter().map(|i| text(i)).collect());
    let table = |rows: Vec<(&str, toml::Value)>| {
        let rows = rows.into_iter().map(|(k, v)| (k.to_owned(), v));
        toml::Value::Table(rows.collect())
    };
    let document = table(vec![
        (
            "build-system",
            table(vec![
                ("requires", list(&["flit_core >=3.11,<5"])),
                ("build-backend", text("flit_core.buildapi")),
            ]),
        ),
        (
            "project",
            table(vec![
                ("name", text(&module.replace('_', "-"))),
                ("version", text(&subject.version.to_string())),
                // The index refuses more than one line of 512 characters.
                ("description", text(&clipped(&subject.line(), 500))),
                ("readme", text("README.md")),
                ("requires-python", text(">=3.10")),
                (
                    "optional-dependencies",
                    table(vec![("test", list(&["pytest >=7"]))]),
                ),
            ]),
        ),
        (
            "tool",
            table(vec![
                (
                    "flit",
                    table(vec![("module", table(vec![("name", text(module))]))]),
                ),
                (
                    "pytest",
                    table(vec![(
                        "ini_options",
                        table(vec![
                            ("pythonpath", list(&["src", "tests"])),
                            ("testpaths", list(&["tests"])),
                        ]),
                    )]),
                ),
            ]),
        ),
    ]);
    Ok(toml::to_string_pretty(&document)?.into_bytes())
}

/// Case number (from 0) → why plain pytest does not run it.
fn not_run(subject: &Subject) -> Result<Map<String, Value>, FormatError> {
    let input = Schema::compile_input(&subject.draft.spec.input_schema)?;
    let withdrawn: Vec<_> = subject.proof.cases.values().flatten().collect();
    let mut out = Map::new();
    for (n, case) in subject.draft.cases.iter().enumerate() {
        let why = withdrawn
            .iter()
            .find(|c| c.name == case.name && c.withdrawn.is_some())
            .and_then(|c| c.withdrawn.clone())
            .map(|why| format!("withdrawn by the arbiter: {why}"))
            .or_else(|| {
                let refused = input.check_object(&case.input).is_err();
                (refused && matches!(case.check, Check::Raises(_))).then(|| {
                    "the input schema refuses this input, and only Handaxe checks it".to_owned()
                })
            });
        if let Some(why) = why {
            out.insert(n.to_string(), json!(why));
        }
    }
    Ok(out)
}

fn readme(subject: &Subject, module: &str) -> Vec<u8> {
    let mut out = outside::head(subject);
    let _ = write!(
        out,
        "```\npip install .\npython -m {module} '{{…}}'      # arguments as a JSON object, result as JSON\n\
         pip install .[test] && pytest   # the cases that it was proved with\n```\n\n\
         ```python\nfrom {module} import run\n```\n\n## Arguments\n\n"
    );
    out += &outside::arguments(subject);
    out += "\nThe files of the module's folder are the signed ones: `spec.json` has the schemas, \
            `cases.jsonl` the cases, `evidence.json` and `provenance.json` the signed proof and \
            approval.\n\n";
    out += &outside::section(subject, Format::Python);
    out.into_bytes()
}

/// At most so many characters.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most - 1).collect();
    out.push('…');
    out
}
