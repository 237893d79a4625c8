//! Hand-written tools: proved, imported, run, shown, and taken out of use.

use serde_json::json;

use crate::lab::Lab;

const CODE: &str = r#""""Counts the words of a text."""

import re


def run(*, text: str, least: int = 1) -> dict[str, int]:
    """Count each word of at least `least` letters, in lower case."""
    counts: dict[str, int] = {}
    for word in re.findall(r"[a-z]+", text.lower()):
        if len(word) >= least:
            counts[word] = counts.get(word, 0) + 1
    return counts
"#;

const CASES: &str = r#"{"name":"two","input":{"text":"a b A"},"expect":{"a":2,"b":1}}
{"name":"least","input":{"text":"a bb","least":2},"expect":{"bb":1}}
{"name":"nothing","input":{"text":"123"},"expect":{}}
{"name":"adds up","input":{"text":"x y x"},"holds":"sum(output.values()) == 3"}
"#;

fn spec() -> serde_json::Value {
    json!({
        "name": "word_counts", "description": "Counts the words of a text.", "domain": "text",
        "input_schema": {
            "type": "object", "additionalProperties": false, "required": ["text"],
            "properties": {"text": {"type": "string"}, "least": {"type": "integer", "default": 1}},
        },
        "output_schema": {"type": "object", "additionalProperties": {"type": "integer"}},
    })
}

fn folder(lab: &Lab, name: &str, code: &str, spec: &serde_json::Value, cases: &str) -> String {
    lab.file(&format!("{name}/tool.py"), code);
    lab.file(&format!("{name}/spec.json"), spec.to_string());
    lab.file(&format!("{name}/cases.jsonl"), cases);
    lab.dir().join(name).to_str().unwrap().to_owned()
}

#[test]
fn from_a_folder_to_a_call() {
    let lab = Lab::new();
    let dir = folder(&lab, "wc", CODE, &spec(), CASES);
    let tested = lab.json(&["tools", "test", &dir]);
    assert_eq!(tested["accepted"], true, "{tested}");
    // Testing registers nothing.
    assert_eq!(lab.json(&["tools", "list", "--all"])["tools"], json!([]));

    lab.run(&["tools", "import", &dir])
        .exits(3)
        .says("approvals approve");
    lab.run(&["run", "word_counts", "--input", r#"{"text":"a"}"#])
        .exits(3);
    lab.run(&["approvals", "approve", "1"]).exits(0);
    let ran = lab.json(&[
        "run",
        "word_counts",
        "--input",
        r#"{"text":"to be or not to be"}"#,
    ]);
    assert_eq!(ran["output"], json!({"to": 2, "be": 2, "or": 1, "not": 1}));
    assert!(ran["layers"].as_array().unwrap().len() >= 17, "{ran}");

    // A person's own tool is recorded as self-approved.
    let shown = lab.json(&["tools", "show", "word_counts@1"]);
    assert_eq!(shown["approvals"][0]["self_approved"], true, "{shown}");
    lab.run(&["tools", "show", "word_counts"])
        .exits(0)
        .says("def run(")
        .says("Counts the words");
    for file in [
        "tool.py",
        "spec.json",
        "cases.jsonl",
        "README.md",
        "evidence.json",
    ] {
        let path = lab.home().join("tools/word_counts/1").join(file);
        assert!(path.exists(), "{}", path.display());
    }
    assert_eq!(
        std::fs::read_to_string(lab.home().join("tools/word_counts/1/tool.py")).unwrap(),
        CODE
    );
    lab.run(&["tools", "search", "count words"])
        .exits(0)
        .says("word_counts@1");

    // Input that breaks the schema never reaches the tool.
    let bad = lab
        .run(&["run", "word_counts", "--input", r#"{"text":1}"#])
        .exits(4);
    bad.says("input schema");
    lab.run(&[
        "run",
        "word_counts",
        "--input",
        r#"{"text":"a","text":"b"}"#,
    ])
    .exits(2)
    .says("duplicate");

    lab.run(&["tools", "retire", "word_counts"]).exits(0);
    lab.run(&["run", "word_counts", "--input", r#"{"text":"a"}"#])
        .exits(4)
        .says("retired");
    lab.run(&["tools", "restore", "word_counts"]).exits(0);
    lab.run(&["run", "word_counts", "--input", r#"{"text":"a"}"#])
        .exits(0);
    lab.run(&["tools", "revoke", "word_counts", "--reason", "wrong"])
        .exits(0);
    lab.run(&["tools", "restore", "word_counts"]).exits(1);
    lab.run(&["run", "word_counts", "--input", r#"{"text":"a"}"#])
        .exits(4)
        .says("revoked");
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_folder_of_a_registered_tool_imports_elsewhere() {
    let lab = Lab::new();
    let dir = folder(&lab, "wc", CODE, &spec(), CASES);
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
    let view = lab.home().join("tools/word_counts/1");
    let other = Lab::new();
    other
        .run(&["tools", "import", view.to_str().unwrap(), "--yes"])
        .exits(0)
        .says("word_counts@1");
}

#[test]
fn what_is_refused() {
    let lab = Lab::new();
    let refuse = |name: &str, code: &str, cases: &str, needle: &str| {
        let dir = folder(&lab, name, code, &spec(), cases);
        let ran = lab.run(&["tools", "test", &dir]).exits(4);
        ran.says(needle);
        let imported = lab
            .run(&["tools", "import", &dir, "--yes", "--json"])
            .exits(4)
            .json();
        assert_eq!(imported["accepted"], false, "{imported}");
        assert!(
            !imported["reasons"].as_array().unwrap().is_empty(),
            "{imported}"
        );
    };
    refuse("none", CODE, "", "case");
    refuse(
        "wrong",
        &CODE.replace("counts.get(word, 0) + 1", "counts.get(word, 0) + 2"),
        CASES,
        "failed",
    );
    refuse(
        "imports",
        &CODE.replace("import re", "import re, os"),
        CASES,
        "os",
    );
    refuse(
        "signature",
        &CODE.replace("least: int = 1", "most: int = 1"),
        CASES,
        "least",
    );
    refuse(
        "schema",
        &CODE.replace("return counts", "return list(counts)"),
        CASES,
        "",
    );
    refuse(
        "loops",
        &CODE.replace(
            "counts: dict[str, int] = {}",
            "counts: dict[str, int] = {}\n    while True: pass",
        ),
        CASES.lines().next().unwrap(),
        "time",
    );
    assert_eq!(lab.json(&["tools", "list", "--all"])["tools"], json!([]));
}

#[test]
fn bytes_changed_behind_the_registry_do_not_run() {
    let lab = Lab::new();
    let dir = folder(&lab, "wc", CODE, &spec(), CASES);
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
    // The folder is a view: editing it changes nothing that runs.
    let view = lab.home().join("tools/word_counts/1/tool.py");
    std::fs::write(&view, "def run(**k):\n    return {'hacked': 1}\n").unwrap();
    let ran = lab.json(&["run", "word_counts", "--input", r#"{"text":"a"}"#]);
    assert_eq!(ran["output"], json!({"a": 1}));
}
