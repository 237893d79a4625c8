//! The arms without a pipeline: one call of the model, and its answer or its code as it stands.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_agent::model::{
    Budgeted, Message, Model, ModelError, ModelReply, ModelRequest, RoleName, Speaker,
};
use handaxe_types::Outcome;
use serde_json::{Value, json};

use super::hidden::{self, Tool};
use super::{Arm, ArmTrial, Bench, Ended, Thinker};
use crate::error::SuiteError;
use crate::problem::{Problem, Solved};
use crate::store::Store;

const ANSWER: &str = "You answer a question. Work it out as carefully as you need to, then end your \
    reply with one JSON object on a line of its own: {\"answer\": the result}.";
const CODE: &str = "You write one Python function for a question. Reply with one fenced ```python \
    block: a module, standard library only, that defines `def run(*, text: str) -> dict:` and returns \
    {\"result\": the result} for the text it is given.";

/// Of a reply, in tokens; the budget may leave less.
const MOST_TOKENS: u32 = handaxe_agent::MAX_REPLY_TOKENS;
/// Of a reply, in bytes: past that it is noise.
const MOST_BYTES: usize = 256 << 10;

pub(super) fn rounds(
    bench: &Bench,
    arm: Arm,
    problem: &Problem,
    dir: &Path,
) -> Result<Vec<ArmTrial>, SuiteError> {
    let mut trials = Vec::with_capacity(problem.asked.len());
    // The composer and nobody have no word to say here.
    let Thinker::Model { model, runtime, .. } = &bench.thinker else {
        return Ok(trials);
    };
    for (n, asked) in problem.asked.iter().enumerate() {
        if bench.cancel.is_cancelled() {
            return Err(SuiteError::Cancelled);
        }
        let begun = Instant::now();
        let mut trial = ArmTrial::begun(problem, arm, n + 1);
        match say(bench, (model, runtime), arm, problem, asked) {
            Err(error) => {
                trial.ended = match error {
                    ModelError::Budget(_) => Ended::Bound,
                    _ => Ended::Failed,
                };
                trial.detail = error.to_string();
            }
            Ok(reply) => {
                trial.tokens = reply.usage.total();
                Store::write(dir, &format!("reply-{}.json", n + 1), &reply)?;
                judge(bench, problem, asked, &reply, &mut trial)?;
            }
        }
        trial.seconds = begun.elapsed().as_secs_f64();
        trials.push(trial);
    }
    Ok(trials)
}

fn say(
    bench: &Bench,
    (model, runtime): (&Arc<dyn Model>, &tokio::runtime::Handle),
    arm: Arm,
    problem: &Problem,
    asked: &Solved,
) -> Result<ModelReply, ModelError> {
    let examples: Vec<String> = problem
        .examples
        .iter()
        .map(|e| json!({"text": e.text, "result": e.result}).to_string())
        .collect();
    let request = ModelRequest {
        // A cassette answers by role: the one that writes, and the one that does not.
        role: if arm == Arm::OneShot {
            RoleName::Author
        } else {
            RoleName::Planner
        },
        system: (if arm == Arm::OneShot { CODE } else { ANSWER }).to_owned(),
        messages: vec![Message {
            role: Speaker::User,
            content: format!(
                "{}\n\nExamples:\n{}",
                problem.question(asked),
                examples.join("\n")
            ),
        }],
        schema: None,
        max_tokens: MOST_TOKENS,
        temperature: Some(0.0),
        sample: 0,
        deadline: Instant::now() + Duration::from_secs(bench.bounds.seconds),
        listener: None,
    };
    let within = Budgeted::new(Arc::clone(model), bench.bounds.budget());
    runtime.block_on(within.complete(&request))
}

fn judge(
    bench: &Bench,
    problem: &Problem,
    asked: &Solved,
    reply: &ModelReply,
    trial: &mut ArmTrial,
) -> Result<(), SuiteError> {
    if reply.text.len() > MOST_BYTES {
        "the reply is too long to be read".clone_into(&mut trial.detail);
        return Ok(());
    }
    let given = if trial.arm == Arm::NoTool {
        answer(&reply.text)
    } else {
        let Some(code) = code(&reply.text) else {
            trial.ended = Ended::Refused;
            "no code was written".clone_into(&mut trial.detail);
            return Ok(());
        };
        let ran = Tool::bare(code).run(bench, &asked.text)?;
        if ran.outcome != Outcome::Ok {
            trial.detail = format!("it ended with {}", ran.outcome.as_str());
            return Ok(());
        }
        ran.result
    };
    match given {
        None => {
            trial.ended = Ended::Refused;
            "no answer can be read from the reply".clone_into(&mut trial.detail);
        }
        Some(given) => {
            trial.ended = if hidden::same(&asked.result, &given) {
                Ended::Right
            } else {
                Ended::Wrong
            };
            trial.answer = given;
        }
    }
    // What a one-shot tool would have been worth is said too, though it is not kept for later.
    if trial.arm == Arm::OneShot
        && trial.ended != Ended::Refused
        && let Some(code) = code(&reply.text)
    {
        let right = Tool::bare(code).right(bench, &problem.hidden)?;
        trial.detail = format!(
            "{} of {} hidden inputs",
            right.iter().filter(|r| **r).count(),
            right.len()
        );
    }
    Ok(())
}

/// The last object with an `answer` in a reply, whatever stands around it.
fn answer(text: &str) -> Option<Value> {
    let starts: Vec<usize> = text.match_indices('{').map(|(at, _)| at).collect();
    // From the end: what is said last counts. So many tries are enough for any honest reply.
    for at in starts.into_iter().rev().take(200) {
        let mut stream = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        if let Some(Ok(Value::Object(mut object))) = stream.next()
            && let Some(answer) = object.remove("answer")
        {
            return Some(answer);
        }
    }
    None
}

/// The first fenced block that defines `run`, or the reply where it has no fences.
fn code(text: &str) -> Option<&str> {
    let fenced = text.split("```").skip(1).step_by(2).map(|block| {
        let (first, rest) = block.split_once('\n').unwrap_or(("", block));
        if first.trim().chars().all(char::is_alphanumeric) {
            rest
        } else {
            block
        }
    });
    fenced
        .chain((!text.contains("```")).then_some(text))
        .find(|code| code.contains("def run("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_prose() {
        for (text, want) in [
            ("{\"answer\": 3}", Some(json!(3))),
            (
                "Let me see. {\"answer\": 1} No: {\"answer\": [1, {\"a\": 2}]}.",
                Some(json!([1, {"a": 2}])),
            ),
            ("```json\n{\"answer\": null}\n```", Some(Value::Null)),
            ("{\"answer\": \"cut o", None),
            ("The answer is 3.", None),
            ("{{{{", None),
            ("", None),
        ] {
            assert_eq!(answer(text), want, "{text}");
        }
    }

    #[test]
    fn code_in_prose() {
        let run = "def run(*, text: str) -> dict:\n    return {}\n";
        for (text, want) in [
            (format!("Here:\n```python\n{run}```\nDone."), Some(run)),
            (format!("```\nx = 1\n```\n```py\n{run}```"), Some(run)),
            (run.to_owned(), Some(run)),
            (format!("```python\n{run}"), Some(run)),
            ("```python\nprint(1)\n```".to_owned(), None),
            ("I cannot.".to_owned(), None),
        ] {
            assert_eq!(code(&text), want, "{text}");
        }
    }
}
