//! By-example tasks: a program is found from three examples and held against inputs it never saw.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use handaxe_composer::{ByExample, Example, same};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{SuiteError, items};
use crate::report::{Item, Outcome, Report};

#[derive(Clone, Debug, Deserialize)]
pub struct Pair {
    pub input: Value,
    pub output: Value,
}

/// One task of the suite.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    pub id: String,
    pub family: String,
    pub examples: Vec<Pair>,
    pub held_out: Vec<Pair>,
}

/// The tasks of one suite file.
pub fn tasks(path: &Path) -> Result<Vec<Task>, SuiteError> {
    items(path)
}

/// Solves every task from its examples alone. `progress` is told how many are done, of how many.
pub fn run(suite: &str, tasks: &[Task], progress: &mut dyn FnMut(usize, usize)) -> Report {
    let mut done = Vec::with_capacity(tasks.len());
    for (i, task) in tasks.iter().enumerate() {
        let started = Instant::now();
        let (outcome, detail) = solve(task);
        let asked: Vec<String> = task
            .examples
            .iter()
            .map(|e| format!("{} => {}", e.input, e.output))
            .collect();
        done.push(Item {
            id: task.id.clone(),
            labels: BTreeMap::from([("family".to_owned(), task.family.clone())]),
            asked: asked.join("; "),
            outcome,
            detail,
            ms: started.elapsed().as_secs_f64() * 1000.0,
        });
        progress(i + 1, tasks.len());
    }
    Report::new(suite, done)
}

fn solve(task: &Task) -> (Outcome, String) {
    let examples: Vec<Example> = task
        .examples
        .iter()
        .map(|e| Example {
            input: e.input.clone(),
            output: e.output.clone(),
        })
        .collect();
    let Some(found) = ByExample::find(&examples, &[]) else {
        return (Outcome::Refused, "no program was found".to_owned());
    };
    for pair in &task.held_out {
        let got = found.run(&pair.input);
        if !got.as_ref().is_some_and(|got| same(got, &pair.output)) {
            let got = got.map_or_else(|| "nothing".to_owned(), |g| g.to_string());
            return (
                Outcome::Wrong,
                format!(
                    "{} gave {got} for {}, not {}",
                    found.debug(),
                    pair.input,
                    pair.output
                ),
            );
        }
    }
    (Outcome::Right, found.debug())
}
