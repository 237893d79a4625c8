//! Every prompt as it is sent, about a real file and a real tool: printed for whoever reviews the
//! templates (`--no-capture`), and its length held against the table in `docs/prompts.md`.
//! `UPDATE_PROMPTS=1` writes that table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use handaxe_agent::model::{Model, ModelError, ModelId, ModelReply, ModelRequest, RoleName};
use handaxe_agent::roles::{AuthorBrief, Base, Offer, PlanBrief, Repair, Templates};
use handaxe_composer::Composed;
use handaxe_types::{
    CaseResult, Digest, Draft, Outcome, Policy, ToolDigest, ToolName, Trial, Version,
};
use serde_json::json;

use crate::replies::roles;

/// Hears what is asked, and answers nothing that can be used.
struct Ear {
    id: ModelId,
    heard: Mutex<Vec<ModelRequest>>,
}

#[async_trait]
impl Model for Ear {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn remote(&self) -> Option<&str> {
        None
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        self.heard.lock().unwrap().push(request.clone());
        Err(ModelError::NoRecording {
            role: RoleName::Planner,
            index: 0,
            reason: "an ear says nothing",
        })
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A tool as a model might have written it for the same spec.
const CODE: &str = r#""""Averages a column for each group."""

import csv


def run(*, data: str, group: str = "region", column: str = "price") -> dict[str, list[dict[str, object]]]:
    """Average one column for each value of another."""
    sums: dict[str, list[float]] = {}
    with open(data, encoding="utf-8", errors="replace", newline="") as lines:
        for row in csv.DictReader(lines):
            try:
                value = float(row[column])
            except (TypeError, ValueError):
                continue
            sums.setdefault(row[group] or "", []).append(value)
    rows = [{"group": name, "mean": sum(all) / len(all)} for name, all in sorted(sums.items())]
    return {"rows": rows}
"#;

fn wrong(draft: &Draft) -> Trial {
    let own = draft.cases[0].clone();
    let result = CaseResult {
        name: own.name,
        origin: own.origin,
        held_out: false,
        passed: false,
        outcome: Outcome::Ok,
        failure: Some("another value".to_owned()),
        got: Some(json!({"rows": [], "skipped": 0})),
        error: None,
        stderr: String::new(),
        withdrawn: None,
        runtime_ms: 1.0,
        max_rss_kib: 1,
    };
    Trial {
        cases: vec![result],
        ..Trial::new(ToolDigest(Digest::of(b"s")), Digest::of(b"p"), "")
    }
}

async fn prompts(made: &Composed, templates: &Templates) -> Vec<(&'static str, ModelRequest)> {
    let ear = Ear {
        id: ModelId {
            provider: "test".to_owned(),
            name: "ear".to_owned(),
        },
        heard: Mutex::default(),
    };
    let roles = roles(&ear, templates);
    let question = "What is the average price by region?";
    let files = ["orders.csv".to_owned()];
    let profile =
        handaxe_composer::profile_path("orders.csv", &root().join("examples/orders.csv")).unwrap();
    let preview = json!([{"file": "orders.csv", "content": profile.schema_preview()}]);
    let offers: Vec<Offer> = ["count_records", "select_records", "describe_fields"]
        .iter()
        .map(|name| Offer {
            name: ToolName::new(name).unwrap(),
            version: Version(1),
            description: made.draft.spec.description.clone(),
            input_schema: made.draft.spec.input_schema.clone(),
            output_schema: made.draft.spec.output_schema.clone(),
            examples: None,
        })
        .collect();
    let policy = Policy::default();
    let plan = PlanBrief {
        question,
        history: &[],
        files: &files,
        preview: &preview,
        offers: &offers,
        names: &[],
        externals: &[],
        domains: &policy.domains.allow,
        denied: &policy.domains.deny,
    };
    let author = || AuthorBrief {
        question,
        request: &made.request,
        files: &files,
        preview: &preview,
        examples: &[],
        code_policy: &policy.code,
        base: None,
        repair: None,
    };
    let mut draft = made.draft.clone();
    draft.code = CODE.to_owned();
    draft.cases.truncate(6);
    let trial = wrong(&draft);
    let base = Base {
        spec: draft.spec.clone(),
        code: CODE.to_owned(),
    };
    let spec = &draft.spec;
    let survivors = ["`sum(all) / len(all)` becomes `sum(all) * len(all)`".to_owned()];
    let held = &made.held_out[..8.min(made.held_out.len())];
    let repair = AuthorBrief {
        repair: Some(Repair::of(&draft, 2, &trial, &[])),
        ..author()
    };
    let extend = AuthorBrief {
        base: Some(&base),
        ..author()
    };
    // Each fails, as the ear does; what was asked is what counts.
    assert!(roles.plan(&plan).await.is_err());
    assert!(roles.author(&author()).await.is_err());
    assert!(roles.author(&extend).await.is_err());
    assert!(roles.author(&repair).await.is_err());
    assert!(roles.test(spec).await.is_err());
    assert!(roles.sharpen(spec, held, &survivors).await.is_err());
    assert!(roles.arbitrate(spec, &held[0]).await.is_err());
    assert!(roles.review(&draft, &[]).await.is_err());
    let names = [
        "`planner.md`, three tools offered",
        "`author.md`",
        "`author.md`, extending a tool",
        "`author_repair.md`, one case failed",
        "`tester.md`",
        "`tester_again.md`, one survivor",
        "`arbiter.md`",
        "`reviewer.md`",
    ];
    let heard = ear.heard.into_inner().unwrap();
    assert_eq!(heard.len(), names.len());
    names.into_iter().zip(heard).collect()
}

#[tokio::test]
async fn every_prompt_is_as_long_as_the_documentation_says() {
    let profile =
        handaxe_composer::profile_path("orders.csv", &root().join("examples/orders.csv")).unwrap();
    let made =
        handaxe_composer::compose("What is the average price by region?", &[profile]).unwrap();
    let templates = Templates::load(None).unwrap();
    let tokens = |text: &str| text.chars().count().div_ceil(4);
    let mut table = String::from("| prompt | instructions | whole |\n|---|---|---|\n");
    for (name, request) in prompts(&made, &templates).await {
        let asked = &request.messages[0].content;
        println!("===== {name}\n{}\n-----\n{asked}\n", request.system);
        let (system, whole) = (
            tokens(&request.system),
            tokens(&request.system) + tokens(asked),
        );
        let _ = writeln!(table, "| {name} | {system} | {whole} |");
        // What a weak model can still keep in mind.
        assert!(system <= 1_200, "{name}: {system} tokens of instructions");
    }
    let path = root().join("docs/prompts.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once("<!-- lengths -->\n").unwrap();
    let (shown, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_PROMPTS").is_some() {
        let new = format!("{before}<!-- lengths -->\n{table}<!-- end -->{after}");
        std::fs::write(&path, new).unwrap();
        return;
    }
    assert_eq!(shown, table, "UPDATE_PROMPTS=1 writes the table");
}
