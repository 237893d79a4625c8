//! The small suites that travel with the binary: two data sets of free licence with their
//! questions, the open half of the by-example tasks, requests that a library covers or does not, and a
//! few drafts for the gate.

use std::path::Path;

use crate::error::SuiteError;

const FILES: [(&str, &str); 6] = [
    ("penguins.csv", include_str!("../suites/data/penguins.csv")),
    (
        "seattle-weather.csv",
        include_str!("../suites/data/seattle-weather.csv"),
    ),
    (
        "questions.jsonl",
        include_str!("../suites/data/questions.jsonl"),
    ),
    ("tasks.jsonl", include_str!("../suites/example/tasks.jsonl")),
    (
        "requests.jsonl",
        include_str!("../suites/gap/requests.jsonl"),
    ),
    ("gate.jsonl", include_str!("../suites/gate/sample.jsonl")),
];

/// Lays the small suites out in a folder.
pub fn unpack(dir: &Path) -> Result<(), SuiteError> {
    let failed = |path: &Path, source| SuiteError::Write {
        path: path.to_owned(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    for (name, text) in FILES {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}
