//! Honest code passes: the canonical solutions of HumanEval (Chen et al., 2021), wrapped as tools,
//! through everything that reads a draft before it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handaxe_sandbox::Sandbox;
use handaxe_types::{Draft, Severity, StaticPolicy};
use handaxe_validate::{check_template, vet};
use serde_json::{Value, json};

use super::draft;

pub(crate) const NAME: &str = "the_solutions_of_human_eval_are_let_through";
/// What the test is listed as where its data is not there.
pub(crate) const SKIPPED: &str =
    "the_solutions_of_human_eval_are_let_through (no data: run scripts/human-eval)";

/// `scripts/human-eval` puts it there.
pub(crate) fn data() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/human-eval/HumanEval.jsonl");
    path.is_file().then_some(path)
}

fn wrapped(task: &Value) -> Draft {
    let text = |key: &str| task[key].as_str().unwrap().to_owned();
    let code = format!(
        "{}{}\n\ndef run(arguments: list) -> Any:\n    return {}(*arguments)\n",
        text("prompt"),
        text("canonical_solution"),
        text("entry_point")
    );
    let mut draft = draft(&code);
    draft.spec.input_schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"arguments": {"type": "array"}}, "required": ["arguments"]});
    draft
}

pub(crate) fn passes(_: &Arc<dyn Sandbox>) {
    let text = std::fs::read_to_string(data().unwrap()).unwrap();
    let (mut tasks, mut refused) = (0, BTreeMap::new());
    let mut warned: BTreeMap<String, u32> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let task: Value = serde_json::from_str(line).unwrap();
        let draft = wrapped(&task);
        tasks += 1;
        let findings = vet(&draft.code, &StaticPolicy::default(), &[]);
        for f in &findings {
            *warned.entry(f.rule.clone()).or_default() += 1;
        }
        let mut why: Vec<String> = findings
            .into_iter()
            .filter(|f| f.severity == Severity::Refuse)
            .map(|f| format!("{} (line {}): {}", f.rule, f.line, f.reason))
            .collect();
        if why.is_empty() {
            why = check_template(&draft);
        }
        if !why.is_empty() {
            refused.insert(task["task_id"].to_string(), why);
        }
    }
    println!(
        "     {tasks} solutions, {} refused: {refused:#?}",
        refused.len()
    );
    println!("     findings of any severity: {warned:?}");
    assert!(tasks >= 160, "{tasks}");
    assert!(refused.len() * 100 <= tasks, "{refused:#?}");
}
