//! How the composer's tools fare in the proof: for each of some forty questions, or of the tasks by
//! example, the tool's length, the share of its mutants that its cases kill, and the whole trial's
//! time.
//!
//! ```text
//! cargo run --release -p handaxe-validate --example composed -- [WORD]… [--code] [--survivors]
//!     [--every] [--by-example] [--fuzz=N] [--mutants=N]
//! ```
//!
//! With words, only questions that hold one of them. Two questions with one recipe are served by
//! one tool and tried once, unless `--every` is given (their cases differ with the data).

#![expect(clippy::print_stdout, reason = "an example")]

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use handaxe_composer::{Composed, Example, compose, compose_by_example, profile_path};
use handaxe_sandbox::{Cancel, NativeConfig, NativeSandbox, Sandbox};
use handaxe_types::{Digest, Policy, ScoreStatus, Silent};
use handaxe_validate::{Validator, judge};
use serde_json::Value;

const QUESTIONS: &str = include_str!("composed/questions.txt");
const TASKS: &str = include_str!("../../handaxe-eval/suites/example/tasks.jsonl");

struct Asked {
    words: Vec<String>,
    flags: Vec<String>,
}

impl Asked {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }

    fn number(&self, flag: &str) -> Option<u32> {
        let given = self.flags.iter().find_map(|f| f.strip_prefix(flag));
        given.and_then(|n| n.parse().ok())
    }

    fn wants(&self, line: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|w| line.contains(w.as_str()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    handaxe_jail::main_if_asked();
    handaxe_validate::main_if_asked();
    let (flags, words) = std::env::args().skip(1).partition(|w| w.starts_with("--"));
    let asked = Asked { words, flags };
    let mut config = NativeConfig::new(std::env::current_exe()?);
    config.search = std::env::var_os("PATH");
    let sandbox: Arc<dyn Sandbox> = Arc::new(NativeSandbox::new(config)?);
    let mut policy = Policy::default();
    let trial = &mut policy.trial;
    trial.fuzz_inputs = asked.number("--fuzz=").unwrap_or(trial.fuzz_inputs);
    trial.mutants = asked.number("--mutants=").unwrap_or(trial.mutants);
    let made = if asked.has("--by-example") {
        tasks(&asked)?
    } else {
        questions(&asked)?
    };
    let mut known = BTreeSet::new();
    let mut totals = Totals::default();
    for (question, composed) in made {
        if known.insert(Digest::of_json(&composed.recipe)) || asked.has("--every") {
            tried(&question, &composed, &sandbox, &policy, &asked, &mut totals)?;
        }
    }
    totals.print();
    Ok(())
}

type Made = Vec<(String, Composed)>;

fn questions(asked: &Asked) -> Result<Made, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut made = Vec::new();
    for line in QUESTIONS
        .lines()
        .filter(|l| !l.starts_with('#') && asked.wants(l))
    {
        let (files, question) = line.split_once(": ").ok_or("a question has no file")?;
        let profiles = files.split(" + ").map(|file| {
            let name = file.rsplit('/').next().unwrap_or(file);
            profile_path(name, &root.join(file))
        });
        let profiles: Vec<_> = profiles.collect::<Result<_, _>>()?;
        match compose(question, &profiles) {
            Ok(composed) => made.push((question.to_owned(), composed)),
            Err(e) => println!("not composed: {line}: {e}"),
        }
    }
    Ok(made)
}

fn tasks(asked: &Asked) -> Result<Made, Box<dyn Error>> {
    let mut made = Vec::new();
    for line in TASKS.lines().filter(|l| asked.wants(l)) {
        let task: Value = serde_json::from_str(line)?;
        let pairs = task["examples"]
            .as_array()
            .ok_or("a task has no examples")?;
        let examples: Vec<Example> = (pairs.iter())
            .map(|pair| Example {
                input: pair["input"].clone(),
                output: pair["output"].clone(),
            })
            .collect();
        let id = task["id"].as_str().unwrap_or_default();
        match compose_by_example(id, &examples, &[], &|| false) {
            Ok(composed) => made.push((id.to_owned(), composed)),
            Err(e) => println!("not composed: {id}: {e}"),
        }
    }
    Ok(made)
}

#[derive(Default)]
struct Totals {
    rates: Vec<f64>,
    walls: Vec<f64>,
    lengths: Vec<usize>,
    refused: usize,
}

impl Totals {
    fn print(mut self) {
        self.rates.sort_by(f64::total_cmp);
        self.walls.sort_by(f64::total_cmp);
        self.lengths.sort_unstable();
        let middle = self.rates.len() / 2;
        let (Some(least), Some(rate), Some(wall), Some(length)) = (
            self.rates.first(),
            self.rates.get(middle),
            self.walls.get(middle),
            self.lengths.get(middle),
        ) else {
            return;
        };
        println!(
            "{} tools: kill rate median {:.0} %, least {:.0} %; trial median {wall:.0} ms, longest \
             {:.0} ms; {length} lines at the median, {} at most; {} refused",
            self.rates.len(),
            rate * 100.0,
            least * 100.0,
            self.walls.last().unwrap_or(wall),
            self.lengths.last().unwrap_or(length),
            self.refused,
        );
    }
}

fn tried(
    question: &str,
    composed: &Composed,
    sandbox: &Arc<dyn Sandbox>,
    policy: &Policy,
    asked: &Asked,
    totals: &mut Totals,
) -> Result<(), Box<dyn Error>> {
    let validator = Validator::new(Arc::clone(sandbox), policy.clone());
    let (draft, held_out) = (&composed.draft, &composed.held_out);
    let trial = validator.trial(draft, held_out, &Silent, &Cancel::default())?;
    let verdict = judge(&trial, policy);
    let lines = draft.code.lines().filter(|l| !l.trim().is_empty()).count();
    let stages = trial.stages.iter();
    let stages: Vec<String> = stages
        .map(|s| format!("{} {:.0}", s.stage.as_str(), s.ms))
        .collect();
    let mutation = trial.mutation.clone().unwrap_or_default();
    let rate = mutation.rate();
    println!(
        "{lines:4} lines {:3} cases {:3.0} % of {:2} killed ({} equal, {} crash) {:5.0} ms {} {} [{}]: {question}",
        trial.cases.len(),
        rate.unwrap_or(0.0) * 100.0,
        mutation.judged(),
        mutation.equivalent,
        mutation.killed_by_crash,
        trial.wall_ms,
        if verdict.accepted { "ok" } else { "REFUSED" },
        draft.spec.name,
        stages.join(", "),
    );
    if !verdict.accepted {
        totals.refused += 1;
        for row in verdict
            .card
            .iter()
            .filter(|r| r.status == ScoreStatus::Fail)
        {
            println!("    {}: {} {}", row.name, row.value, row.why);
        }
        for case in trial.cases.iter().filter(|c| !c.passed).take(4) {
            println!("    {}: {:?}", case.name, case.failure);
        }
        for failure in trial.fuzz.iter().flat_map(|f| &f.failures) {
            println!("    {}: {:?}", failure.what, failure.case.input);
        }
    }
    if asked.has("--survivors") {
        for s in &mutation.survivors {
            println!("    {:4}: {}  ->  {}", s.line, s.original, s.mutated);
        }
    }
    if asked.has("--code") {
        println!("{}", draft.code);
    }
    totals.rates.extend(rate);
    totals.walls.push(trial.wall_ms);
    totals.lengths.push(lines);
    Ok(())
}
