//! Data questions: files whose questions were answered by another program (pandas), asked of the
//! composer and run by its evaluation, which the equality tests hold equal to the Python.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use handaxe_composer::{ComposeError, Profile, compose, evaluate_with, profile_path};
use serde::Deserialize;

use crate::answer::{Expected, agrees};
use crate::error::{SuiteError, items};
use crate::report::{Item, Outcome, Report};

/// One question of the suite.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    pub id: String,
    /// The file's name.
    pub data: String,
    /// Of the second file, where the question is about two.
    #[serde(default)]
    pub other: Option<String>,
    pub family: String,
    pub style: String,
    pub question: String,
    pub answer: Expected,
}

/// The questions of one suite file.
pub fn questions(path: &Path) -> Result<Vec<Question>, SuiteError> {
    items(path)
}

/// Asks every question over the files in `data`. `progress` is told how many are done, of how many.
pub fn run(
    suite: &str,
    questions: &[Question],
    data: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report, SuiteError> {
    let mut known: BTreeMap<&str, (Profile, Vec<u8>)> = BTreeMap::new();
    let mut done = Vec::with_capacity(questions.len());
    for (i, question) in questions.iter().enumerate() {
        let names = [Some(&question.data), question.other.as_ref()];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        for name in &names {
            if !known.contains_key(name) {
                known.insert(name, opened(name, data)?);
            }
        }
        let files: Vec<&(Profile, Vec<u8>)> = names.iter().map(|n| &known[n]).collect();
        let started = Instant::now();
        let (outcome, detail) = ask(question, &files);
        done.push(Item {
            id: question.id.clone(),
            labels: BTreeMap::from([
                ("data".to_owned(), question.data.clone()),
                ("family".to_owned(), question.family.clone()),
                ("style".to_owned(), question.style.clone()),
            ]),
            asked: question.question.clone(),
            outcome,
            detail,
            ms: started.elapsed().as_secs_f64() * 1000.0,
        });
        progress(i + 1, questions.len());
    }
    Ok(Report::new(suite, done))
}

fn opened(name: &str, data: &Path) -> Result<(Profile, Vec<u8>), SuiteError> {
    let path = data.join(name);
    let profile = profile_path(name, &path).map_err(|source| SuiteError::Data {
        name: name.to_owned(),
        source,
    })?;
    let bytes = std::fs::read(&path).map_err(|source| SuiteError::Read { path, source })?;
    Ok((profile, bytes))
}

fn ask(question: &Question, files: &[&(Profile, Vec<u8>)]) -> (Outcome, String) {
    let profiles: Vec<Profile> = files.iter().map(|(profile, _)| profile.clone()).collect();
    let composed = match compose(&question.question, &profiles) {
        Ok(composed) => composed,
        Err(ComposeError::Refused(refusal)) => return (Outcome::Refused, refusal.reason()),
        Err(error @ (ComposeError::Emit(_) | ComposeError::Stopped)) => {
            return (Outcome::Failed, error.to_string());
        }
    };
    let plan = composed.steps.join(" ");
    let Some(chain) = &composed.chain else {
        return (Outcome::Failed, plan);
    };
    let named = |argument: &str| {
        let name = composed.invocation.get(argument)?.as_str()?;
        let found = files.iter().find(|(profile, _)| profile.name == name)?;
        Some(found.1.as_slice())
    };
    let Some(bytes) = named("data") else {
        return (Outcome::Failed, plan);
    };
    let mut other = named("other");
    let other = other.as_mut().map(|o| o as &mut dyn std::io::Read);
    match evaluate_with(chain, bytes, other) {
        Err(error) => (Outcome::Failed, format!("{plan} {error}")),
        Ok(output) if agrees(&question.answer, &output) => (Outcome::Right, plan),
        Ok(output) => {
            let shown: String = output.to_string().chars().take(300).collect();
            (Outcome::Wrong, format!("{plan} gave {shown}"))
        }
    }
}
