//! Gap detection: requests that a library covers must not make new tools, and requests that none of
//! its tools covers must not be forced onto one. The library is made first, by the composer; who is
//! measured plans each request and makes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use handaxe_agent::{Goal, Minds, PipelineError};
use handaxe_types::{DataFile, Digest, Preview, RunState, Task};
use serde::{Deserialize, Serialize};

use crate::arms::Bench;
use crate::arms::pipeline::{chain, fresh, walked};
use crate::error::{SuiteError, items};
use crate::pool::Tick;
use crate::report::{Item, Outcome, Report};

/// How a request stands to the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its tool is in the library: it is made before anything is measured.
    Library,
    /// A tool of the library answers it, with other columns and values or not.
    Covered,
    /// None does.
    Uncovered,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Covered => "covered",
            Self::Uncovered => "uncovered",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapRequest {
    pub id: String,
    pub kind: Standing,
    /// The file's name.
    pub data: String,
    pub question: String,
}

/// The requests of one suite file.
pub fn gap_requests(path: &Path) -> Result<Vec<GapRequest>, SuiteError> {
    items(path)
}

/// Makes the library in a fresh home in `bench.store`, then has every other request planned over the
/// files in `data`. Right is a covered request that reuses and an uncovered one that makes or
/// refuses; wrong, one that is made again or forced; refused, a covered one that is not answered.
pub fn run_gap(
    bench: &Bench,
    requests: &[GapRequest],
    data: &Path,
    progress: Tick<'_>,
) -> Result<Report, SuiteError> {
    let home = bench.store.folder("library")?.join("home");
    let registry = fresh(&home)?;
    let mut done = Vec::new();
    for (n, request) in requests.iter().enumerate() {
        let task = Task {
            question: request.question.clone(),
            data: vec![file(data, &request.data)?],
            goldens: Vec::new(),
            examples: Vec::new(),
            preview: Preview::Schema,
        };
        let begun = Instant::now();
        let (minds, goal) = match request.kind {
            Standing::Library => (Minds::Composer, Goal::Make),
            Standing::Covered | Standing::Uncovered => {
                (bench.minds(bench.bounds.budget()), Goal::Plan)
            }
        };
        let (outcome, detail) = match walked(bench, &registry, &home, minds, (task, goal))? {
            Ok(report) => {
                let stop = report.stopped_by.as_ref();
                let why = stop.map_or(String::new(), |s| format!(": {}", s.message));
                (
                    judged(request.kind, &report.route, report.state),
                    format!("{}{why}", report.route),
                )
            }
            Err(PipelineError::Cancelled) => return Err(SuiteError::Cancelled),
            Err(error) => (Outcome::Failed, chain(&error)),
        };
        progress(n + 1, requests.len());
        if request.kind == Standing::Library {
            if outcome != Outcome::Right {
                return Err(SuiteError::Unmade {
                    question: request.question.clone(),
                    detail,
                });
            }
            continue;
        }
        done.push(Item {
            id: request.id.clone(),
            labels: BTreeMap::from([("request".to_owned(), request.kind.as_str().to_owned())]),
            asked: request.question.clone(),
            outcome,
            detail,
            ms: begun.elapsed().as_secs_f64() * 1000.0,
        });
    }
    Ok(Report::new("gap", done))
}

fn judged(kind: Standing, route: &str, state: RunState) -> Outcome {
    let reuses = matches!(route, "reuse" | "compose");
    match (kind, state) {
        (Standing::Library, RunState::Done) => Outcome::Right,
        (Standing::Library, _) => Outcome::Failed,
        (_, RunState::Failed) => Outcome::Failed,
        (Standing::Covered, _) if reuses => Outcome::Right,
        (Standing::Covered, _) if matches!(route, "make" | "extend") => Outcome::Wrong,
        (Standing::Covered, _) => Outcome::Refused,
        (Standing::Uncovered, _) if reuses => Outcome::Wrong,
        (Standing::Uncovered, _) => Outcome::Right,
    }
}

fn file(data: &Path, name: &str) -> Result<DataFile, SuiteError> {
    let path = data.join(name);
    let unread = |source| SuiteError::Read {
        path: path.clone(),
        source,
    };
    let bytes = std::fs::read(&path).map_err(unread)?;
    Ok(DataFile {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        digest: Digest::of(&bytes),
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_route_is_worth() {
        use Standing::{Covered, Library, Uncovered};
        for (kind, route, state, want) in [
            (Covered, "reuse", RunState::Done, Outcome::Right),
            (Covered, "make", RunState::Done, Outcome::Wrong),
            (Covered, "extend", RunState::Done, Outcome::Wrong),
            (Covered, "refuse", RunState::Refused, Outcome::Refused),
            (Covered, "direct", RunState::Done, Outcome::Refused),
            (Uncovered, "reuse", RunState::Done, Outcome::Wrong),
            (Uncovered, "compose", RunState::Done, Outcome::Wrong),
            (Uncovered, "make", RunState::Done, Outcome::Right),
            (Uncovered, "refuse", RunState::Refused, Outcome::Right),
            (Uncovered, "make", RunState::Failed, Outcome::Failed),
            (Library, "make", RunState::Done, Outcome::Right),
            (Library, "make", RunState::Refused, Outcome::Failed),
        ] {
            assert_eq!(judged(kind, route, state), want, "{kind:?} {route}");
        }
    }

    #[test]
    fn the_suite_has_both_kinds() {
        let text = include_str!("../suites/gap/requests.jsonl");
        let all: Vec<GapRequest> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let count = |kind| all.iter().filter(|r| r.kind == kind).count();
        assert!(count(Standing::Library) >= 6);
        assert!(count(Standing::Covered) >= 24);
        assert!(count(Standing::Uncovered) >= 24);
        let first_asked = all
            .iter()
            .position(|r| r.kind != Standing::Library)
            .unwrap();
        assert!(
            all[first_asked..]
                .iter()
                .all(|r| r.kind != Standing::Library)
        );
    }
}
