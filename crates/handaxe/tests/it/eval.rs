//! `handaxe eval`: the gate over its sample of drafts, and the three arms with a scripted model that
//! is wrong at first, wraps code in prose, is cut off, and declines.

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::provider::{Asked, Says, serve};
use crate::script::{Tool, text};

/// A small sample of the gate's drafts, with a short proof: right ones pass, bugs are stopped.
#[test]
fn the_gate_tells_right_drafts_from_bugs() {
    let lab = Lab::with_the_whole_proof();
    let run = || {
        lab.json(&[
            "eval",
            "--suite",
            "gate",
            "--take",
            "20",
            "--fuzz",
            "40",
            "--mutants",
            "12",
            "--jobs",
            "2",
            "--out",
            "trials",
        ])
    };
    let report = run();
    let (good, bad) = (&report["good"], &report["bad"]);
    assert_eq!(good["accepted"], good["drafts"], "{report:#}");
    assert_eq!(bad["accepted"], 0, "{report:#}");
    assert!(good["drafts"].as_u64().unwrap() >= 4, "{report:#}");
    assert!(bad["drafts"].as_u64().unwrap() >= 12, "{report:#}");
    assert_eq!(report["failed"], json!([]));
    // What stopped a bug is named, and is a check that ran.
    for result in report["results"].as_array().unwrap() {
        let by = result["full"]["stopped_by"].as_array().unwrap();
        assert_eq!(
            by.is_empty(),
            result["full"]["accepted"] == true,
            "{result:#}"
        );
        assert!(!by.contains(&json!("other")), "{result:#}");
    }
    // Asked again, it reads what is kept: every figure is the same, the times included.
    assert_eq!(run(), report);
}

/// With no model there is no figure.
/// A suite of the composer's own says that no model takes part in it, wherever one is named.
#[test]
fn a_model_that_would_change_nothing_is_refused() {
    let lab = Lab::new();
    let args = |suite| ["eval", "--suite", suite, "--take", "2"];
    for suite in ["data", "example", "gate"] {
        for more in [
            ["--model", "openai:some-model"],
            ["--base-url", "http://127.0.0.1:1/v1"],
            ["--record", "said.jsonl"],
        ] {
            lab.run(&[&args(suite)[..], &more].concat())
                .exits(2)
                .says("no model takes part")
                .says("gap, formats and latm");
        }
    }
    lab.run(&[&args("data")[..], &["--model", "composer"]].concat())
        .exits(0);
    let mut standing = lab.command(&args("data"));
    standing.env("HANDAXE_MODEL", "openai:some-model");
    crate::lab::finish(standing)
        .exits(0)
        .says("openai:some-model of HANDAXE_MODEL takes no part");
}

#[test]
fn without_a_model_the_arms_are_not_run() {
    let lab = Lab::new();
    for suite in ["formats", "latm"] {
        let report = lab.json(&["eval", "--suite", suite]);
        for arm in ["no_tool", "one_shot", "handaxe"] {
            assert_eq!(report["arms"][arm], Value::Null, "{report}");
        }
        lab.run(&["eval", "--suite", suite])
            .exits(0)
            .says("not run");
    }
    lab.run(&["eval", "--suite", "latm", "--family", "nothing"])
        .exits(2)
        .says("word_sorting");
    let page = lab.dir().join("page.html");
    let composed = lab.json(&sorting(
        "1",
        &["--model", "composer", "--html", page.to_str().unwrap()],
    ));
    assert_eq!(composed["arms"]["no_tool"], Value::Null);
    assert_eq!(composed["arms"]["handaxe"]["asks"], 1);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("not run") && page.contains("<svg") && !page.contains("<script"));
}

/// One problem of one family, asked `rounds` times.
fn sorting<'a>(rounds: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let suite = ["eval", "--suite", "latm", "--family", "word_sorting"];
    [&suite[..], &["--each", "1", "--rounds", rounds], more].concat()
}

const SORTS: &str = "\"\"\"Sorts words.\"\"\"\n\n\ndef run(*, text: str) -> dict[str, str]:\n    \"\"\"Sort what stands between blanks.\"\"\"\n    words = text.split()\n    return {\"result\": \" \".join(sorted(words))}\n";

fn sorter(code: &str) -> Tool {
    Tool::new(
        "word_sorter",
        "Sorts the words of a text in the order of the alphabet.",
        ("text", text()),
        ("result", text()),
    )
    .code(code)
    .case(json!({"text": "b a"}), json!({"result": "a b"}))
    .case(json!({"text": ""}), json!({"result": ""}))
    .case(json!({"text": "c"}), json!({"result": "c"}))
}

/// The text of the problem, and its words in order.
fn sorted(asked: &str) -> (String, String) {
    let line = asked.split("The text: ").nth(1).unwrap();
    // Within a prompt's data the question is a JSON string itself.
    let line = line.replace("\\\"", "\"");
    let text = line
        .trim_start_matches('"')
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let mut words: Vec<&str> = text.split(' ').collect();
    words.sort_unstable();
    let right = words.join(" ");
    (text, right)
}

/// The model of the test, by who speaks to it and how often before.
struct Scripted {
    answers: usize,
    codes: usize,
    plans: usize,
    drafts: usize,
}

impl Scripted {
    fn say(&mut self, asked: &Asked) -> Says {
        let system = asked.system.trim_start();
        let count = |n: &mut usize| {
            *n += 1;
            *n
        };
        if system.starts_with("You answer a question") {
            let right = sorted(&asked.messages).1;
            return match count(&mut self.answers) {
                1 => Says::Text(format!(
                    "I sort them.\n```json\n{}\n```\nDone.",
                    json!({"answer": right})
                )),
                2 => Says::Text(json!({"answer": "wrong"}).to_string()),
                3 => Says::Cut(format!("{{\"answer\": \"{}", &right[..1])),
                _ => Says::HangsUp,
            };
        }
        if system.starts_with("You write one Python function") {
            return match count(&mut self.codes) {
                1 => Says::Text(format!("Surely!\n\n```python\n{SORTS}```\nIt sorts.")),
                2 => Says::Text(format!(
                    "```python\n{}```",
                    SORTS.replace("sorted(words)", "words")
                )),
                3 => Says::Declines("I would rather not.".to_owned()),
                _ => Says::Cut(format!("```python\n{}", &SORTS[..SORTS.len() - 20])),
            };
        }
        if system.starts_with("You plan how") {
            let (text, _) = sorted(&asked.messages);
            let plan = match count(&mut self.plans) {
                1 => json!({"steps": ["Write it."], "route": "make", "name": "word_sorter",
                    "purpose": "Sorts words.", "domain": "text", "needs": []}),
                2 => json!({"steps": ["Use it."], "route": "reuse", "tool": "word_sorter",
                    "input": {"text": text}}),
                3 => json!({"steps": ["Use it."], "route": "reuse", "tool": "word_sorter",
                    "input": {"text": "other words"}}),
                _ => {
                    json!({"steps": [], "route": "refuse", "reason": "I do not want to.", "hint": "Ask again."})
                }
            };
            return Says::Text(plan.to_string());
        }
        if system.starts_with("You write one small Python tool") {
            let code = match count(&mut self.drafts) {
                1 => return Says::Cut("```json\n{\"spec\":".to_owned()),
                2 => SORTS.replace("sorted(words)", "words"),
                _ => SORTS.to_owned(),
            };
            let (text, _) = sorted(&asked.messages);
            return Says::Text(format!(
                "Here it is.\n{}",
                sorter(&code).reply(&json!({"text": text}))
            ));
        }
        if system.starts_with("You write tests") {
            return Says::Text(
                json!({"cases": [
                    {"name": "three", "input": {"text": "c b a"}, "expect": {"result": "a b c"}},
                    {"name": "twice", "input": {"text": "b a b"}, "expect": {"result": "a b b"}},
                    {"name": "as many", "input": {"text": "z y x"}, "holds": "len(output['result']) == 5"},
                ]})
                .to_string(),
            );
        }
        Says::Text(json!({"summary": "It sorts.", "objections": [], "reason": "So it is.", "ruling": "keep"}).to_string())
    }
}

#[test]
fn three_arms_with_a_model_that_is_wrong_now_and_then() {
    let lab = Lab::new();
    let mut model = Scripted {
        answers: 0,
        codes: 0,
        plans: 0,
        drafts: 0,
    };
    let url = serve(move |asked| model.say(asked));
    let bounds = ["--jobs", "1", "--max-repairs", "2", "--max-seconds", "60"];
    let model = ["--model", "openai:scripted", "--base-url", &url];
    let args = sorting("4", &[&bounds[..], &model, &["--out", "arms"]].concat());
    let report = lab.json(&args);
    let ends = |arm: &str| -> Vec<&str> {
        let trials = report["trials"].as_array().unwrap().iter();
        trials
            .filter(|t| t["arm"] == arm)
            .map(|t| t["ended"].as_str().unwrap())
            .collect()
    };
    assert_eq!(
        ends("no_tool"),
        ["right", "wrong", "refused", "failed"],
        "{report:#}"
    );
    assert_eq!(
        ends("one_shot"),
        ["right", "wrong", "refused", "failed"],
        "{report:#}"
    );
    assert_eq!(
        ends("handaxe"),
        ["right", "right", "wrong", "refused"],
        "{report:#}"
    );
    let handaxe = &report["arms"]["handaxe"];
    for (figure, want) in [
        ("made", 1),
        ("wrong_accepts", 0),
        ("reused_right", 1),
        ("reused_wrong", 1),
        ("flips", 0),
        ("wrong_refusals", 0),
    ] {
        assert_eq!(handaxe[figure], want, "{figure}: {handaxe:#}");
    }
    assert!(
        handaxe["tokens"].as_u64().unwrap() >= 110 * 6,
        "{handaxe:#}"
    );
    // Each trial's folder is kept, with the home that the third arm worked in.
    let home = lab.dir().join("arms/trials/handaxe_word_sorting_0/home");
    assert!(home.join("handaxe.db").is_file());
    // Kept: the model, which would now say other things, is not asked again.
    assert_eq!(lab.json(&args), report);
    // The tools made there are in no library of this home.
    assert_eq!(lab.json(&["tools", "list", "--all"])["tools"], json!([]));
}

#[test]
fn arms_are_played_again_from_a_recording() {
    let lab = Lab::new();
    let mut model = Scripted {
        answers: 0,
        codes: 0,
        plans: 0,
        drafts: 1,
    };
    let url = serve(move |asked| model.say(asked));
    let arms = |out: &str, more: &[&str]| {
        let report = lab.json(&sorting("1", &[&["--out", out], more].concat()));
        let trials = report["trials"].as_array().unwrap().clone();
        let told = |t: &Value| (t["arm"].clone(), t["ended"].clone(), t["answer"].clone());
        trials.iter().map(told).collect::<Vec<_>>()
    };
    let live = arms(
        "live",
        &[
            "--model",
            "openai:scripted",
            "--base-url",
            &url,
            "--record",
            "kept.jsonl",
        ],
    );
    assert_eq!(live.len(), 3);
    assert!(
        live.iter().all(|(_, ended, _)| ended == "right"),
        "{live:?}"
    );
    assert_eq!(arms("played", &["--model", "replay:kept.jsonl"]), live);
}

#[test]
fn a_home_can_be_indexed_again() {
    let lab = Lab::new();
    assert_eq!(lab.json(&["tools", "reindex"])["indexed"], 0);
    sorter(SORTS).import(&lab);
    assert_eq!(lab.json(&["tools", "reindex"])["indexed"], 1);
    let found = lab.json(&["tools", "search", "sort the words"]);
    assert!(found.to_string().contains("word_sorter"), "{found}");
}

/// The settings ask for a sentence model that this build does not have.
#[cfg(not(feature = "dense"))]
#[test]
fn finding_by_meaning_needs_a_build_that_can() {
    let lab = Lab::new();
    lab.file("home/config.toml", "[search]\nweights = \"model\"\n");
    lab.run(&["tools", "list"])
        .exits(2)
        .says("built without a sentence model")
        .says("--features dense");
}
