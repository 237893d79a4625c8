//! `evidence.json`: an in-toto Statement (v1) about a version, made once, when it is registered.

use std::collections::BTreeMap;

use handaxe_types::{Approval, Author, Digest, Provenance, Trial, Verdict};
use rusqlite::Transaction;
use serde_json::{Value, json};

use crate::error::{RegistryError, Step as _};
use crate::registry::get_json;
use crate::stored::VersionRow;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "urn:handaxe:evidence:v1";

/// The statement as indented JSON, ending in a newline. Its bytes are what is kept.
pub(crate) fn statement(
    tx: &Transaction<'_>,
    tool: &VersionRow,
    approval: &Approval,
) -> Result<String, RegistryError> {
    let provenance: Provenance = get_json(tx, "provenance", &tool.provenance)?;
    let trial: Trial = get_json(tx, "trial", &tool.trial)?;
    let verdict: Verdict = get_json(tx, "verdict", &tool.verdict)?;
    let sha256 = |digest: &str| json!({ "sha256": digest });
    let mut subjects = vec![
        json!({ "name": tool.tool_ref().to_string(), "digest": { "handaxeTool": tool.subject } }),
        json!({ "name": "tool.py", "digest": sha256(&tool.code) }),
        json!({ "name": "spec.json", "digest": sha256(&tool.spec) }),
        json!({ "name": "cases.jsonl", "digest": sha256(&tool.cases) }),
    ];
    for (name, digest) in &tool.assets {
        let name = format!("assets/{name}");
        subjects.push(json!({ "name": name, "digest": { "sha256": digest } }));
    }
    let document = json!({
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "tool": { "name": tool.name, "version": tool.version, "digest": tool.subject },
            "why": tool.why,
            "run": tool.run,
            "task": task_of(tx, tool)?,
            "author": author(&provenance.author),
            "recipe": provenance.recipe.as_ref().map(Digest::of_json),
            "attempts": attempts_of(tx, tool)?,
            "cases": cases(tx, tool)?,
            "results": trial.cases.iter().map(|c| json!({
                "name": c.name,
                "origin": c.origin,
                "held_out": c.held_out,
                "passed": c.passed,
                "withdrawn": c.withdrawn,
                "outcome": c.outcome,
            })).collect::<Vec<_>>(),
            "verdict": { "accepted": verdict.accepted, "scores": verdict.scores,
                         "findings": verdict.findings },
            "sandbox": { "profile": tool.profile, "runs": trial.sandbox_runs },
            "interpreter": trial.interpreter,
            "approval": approval,
            "created_ms": tool.created_ms,
        },
    });
    let mut text =
        serde_json::to_string_pretty(&document).map_err(|source| RegistryError::Unwritable {
            what: "evidence",
            source,
        })?;
    text.push('\n');
    Ok(text)
}

fn author(author: &Author) -> Value {
    match author {
        Author::Composer => json!({ "kind": "composer" }),
        Author::Model {
            model,
            prompts,
            replies,
        } => json!({ "kind": "model", "model": model, "prompts": prompts, "replies": replies }),
        Author::Person { name } => json!({ "kind": "person", "name": name }),
    }
}

/// The digest of the task that the run was given.
fn task_of(tx: &Transaction<'_>, tool: &VersionRow) -> Result<Option<String>, RegistryError> {
    tool.run
        .as_ref()
        .map(|run| {
            tx.query_row("SELECT task FROM run WHERE id = ?1", [run.as_str()], |r| {
                r.get(0)
            })
            .step("read the run's task")
        })
        .transpose()
}

fn attempts_of(tx: &Transaction<'_>, tool: &VersionRow) -> Result<Vec<Value>, RegistryError> {
    const DOING: &str = "read the run's attempts";
    let run = tool.run.as_ref().map_or("", |run| run.as_str());
    let mut statement = tx
        .prepare_cached("SELECT n, draft, verdict FROM attempt WHERE run = ?1 ORDER BY n")
        .step(DOING)?;
    let attempts = statement
        .query_map([run], |r| {
            Ok(json!({
                "n": r.get::<_, i64>(0)?,
                "draft": r.get::<_, Option<String>>(1)?,
                "verdict": r.get::<_, Option<String>>(2)?,
            }))
        })
        .step(DOING)?;
    attempts.collect::<Result<_, _>>().step(DOING)
}

/// Origin → name and digest of each case.
fn cases(
    tx: &Transaction<'_>,
    tool: &VersionRow,
) -> Result<BTreeMap<&'static str, Vec<Value>>, RegistryError> {
    let mut by_origin: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for case in tool.cases(tx)? {
        by_origin
            .entry(case.origin.as_str())
            .or_default()
            .push(json!({
                "name": case.name,
                "held_out": case.held_out,
                "digest": Digest::of_json(&json!(case)),
            }));
    }
    Ok(by_origin)
}
