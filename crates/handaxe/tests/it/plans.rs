//! Choosing before making: compose, extend, reuse; nothing twice, and nothing forced.

use serde_json::{Value, json};

use crate::lab::{Lab, Ran, example, finish};
use crate::script::{Script, Tool, count_words, integer, text, word_cases};

const QUESTION: &str = "Count the words of: the quick brown fox";

fn ask(lab: &Lab, script: &Script, question: &str, more: &[&str]) -> Ran {
    let model = script.save(lab, "conversation");
    let mut args = vec!["ask", question, "--model", &model, "--json"];
    args.extend(more);
    lab.run(&args)
}

fn versions(lab: &Lab) -> Vec<String> {
    lab.json(&["tools", "list", "--all"])["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["state"] == "active")
        .map(|t| format!("{}@{}", t["name"].as_str().unwrap(), t["version"]))
        .collect()
}

fn shown(lab: &Lab, report: &Value) -> Value {
    lab.json(&["runs", "show", report["run"].as_str().unwrap()])
}

fn split_lines() -> Tool {
    Tool::new(
        "split_lines",
        "Splits a text into its lines, without their ends.",
        ("text", text()),
        ("lines", json!({"type": "array", "items": {"type": "string"}})),
    )
    .code("\"\"\"Splits lines.\"\"\"\n\n\ndef run(*, text: str) -> dict[str, list[str]]:\n    \"\"\"Split at line ends.\"\"\"\n    return {\"lines\": text.splitlines()}\n")
    .case(json!({"text": "a b\nc"}), json!({"lines": ["a b", "c"]}))
    .case(json!({"text": ""}), json!({"lines": []}))
}

fn sum_counts() -> Tool {
    let count = json!({
        "type": "object", "additionalProperties": false, "required": ["count"],
        "properties": {"count": {"type": "integer"}},
    });
    Tool::new(
        "sum_counts",
        "Adds up counts.",
        ("counts", json!({"type": "array", "items": count})),
        ("total", integer()),
    )
    .code("\"\"\"Adds counts.\"\"\"\n\n\ndef run(*, counts: list[dict[str, int]]) -> dict[str, int]:\n    \"\"\"Add up every count.\"\"\"\n    return {\"total\": sum(one[\"count\"] for one in counts)}\n")
    .case(json!({"counts": [{"count": 2}, {"count": 5}]}), json!({"total": 7}))
    .case(json!({"counts": []}), json!({"total": 0}))
}

#[test]
fn tools_are_put_together_and_no_data_passes_through_the_plan() {
    let lab = Lab::new();
    for tool in [split_lines(), count_words(), sum_counts()] {
        tool.import(&lab);
    }
    let text = "one two\nthree\nfour five six";
    let flow = json!([
        {"id": "lines", "tool": "split_lines", "input": {"text": text}},
        {"id": "each", "tool": "count_words", "input": {"text": {"$item": ""}},
         "each": {"$from": "lines", "path": "/lines"}},
        {"id": "all", "tool": "sum_counts@1", "input": {"counts": {"$from": "each"}}},
    ]);
    let plan = json!({
        "considered": [{"tool": "count_words", "why": "takes one text, not lines"}],
        "steps": ["Split.", "Count each.", "Add up."], "route": "compose", "flow": flow,
    });
    let question = "Split the lines of this text, count the words of each and sum the counts";
    let report = ask(&lab, &Script::new().plans(plan), question, &["--yes"])
        .exits(0)
        .json();
    assert_eq!(report["route"], "compose");
    assert_eq!(report["result"], json!({"total": 6}), "{report}");
    let ran: Vec<&str> = report["invocations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["tool"].as_str().unwrap())
        .collect();
    assert_eq!(
        ran,
        [
            "split_lines",
            "count_words",
            "count_words",
            "count_words",
            "sum_counts"
        ]
    );
    let shown = shown(&lab, &report);
    assert_eq!(shown["attempts"], json!([]));
    assert_eq!(
        shown["run"]["plan"]["route"]["flow"]["steps"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let why = shown["run"]["plan"]["candidates"].to_string();
    assert!(why.contains("takes one text, not lines"), "{why}");
    // People see the same.
    lab.run(&["runs", "show", report["run"].as_str().unwrap()])
        .exits(0)
        .says("considered count_words@1: takes one text, not lines")
        .says("each: count_words@1");
}

#[test]
fn files_go_from_step_to_step_as_paths() {
    let lab = Lab::new();
    let file = || json!({"type": "string", "format": "file"});
    let mut upper = Tool::new(
        "upper_file",
        "Writes an upper-case copy of a text file.",
        ("source", file()),
        ("copy", file()),
    )
    .code("\"\"\"Copies in upper case.\"\"\"\n\n\ndef run(*, source: str) -> dict[str, str]:\n    \"\"\"Write the copy.\"\"\"\n    with open(source, encoding=\"utf-8\", errors=\"replace\") as lines, open(\"copy.txt\", \"w\", encoding=\"utf-8\") as out:\n        for line in lines:\n            out.write(line.upper())\n    return {\"copy\": \"copy.txt\"}\n");
    upper.spec["capabilities"] = json!(["read_files", "write_files"]);
    upper.cases = vec![json!({
        "name": "one line", "input": {"source": "a.txt"}, "files": {"a.txt": "ab\n"},
        "expect": {"copy": "copy.txt"},
    })];
    upper.import(&lab);
    let mut first = Tool::new(
        "first_line",
        "The first line of a text file, without its end; empty where there is none.",
        ("source", file()),
        ("line", json!({"type": "string"})),
    )
    .code("\"\"\"Reads one line.\"\"\"\n\n\ndef run(*, source: str) -> dict[str, str]:\n    \"\"\"Read the first line.\"\"\"\n    with open(source, encoding=\"utf-8\", errors=\"replace\") as lines:\n        return {\"line\": lines.readline().rstrip(\"\\n\")}\n");
    first.spec["capabilities"] = json!(["read_files"]);
    first.cases = vec![
        json!({"name": "two lines", "input": {"source": "a"}, "files": {"a": "x\ny\n"}, "expect": {"line": "x"}}),
        json!({"name": "none", "input": {"source": "a"}, "files": {"a": ""}, "expect": {"line": ""}}),
    ];
    first.import(&lab);

    let note = lab.file("note.txt", "hello there\nmore\n");
    let flow = json!([
        {"id": "loud", "tool": "upper_file", "input": {"source": "note.txt"}},
        {"id": "line", "tool": "first_line", "input": {"source": {"$from": "loud", "path": "/copy"}}},
    ]);
    let plan = json!({"steps": [], "route": "compose", "flow": flow});
    let question = "Write an upper-case copy of the text file and give its first line";
    let data = ["--data", note.to_str().unwrap()];
    let report = ask(&lab, &Script::new().plans(plan.clone()), question, &data)
        .exits(0)
        .json();
    assert_eq!(report["result"], json!({"line": "HELLO THERE"}), "{report}");
    assert_eq!(report["files"], json!([]), "what is handed on is no result");

    // The reference was checked as a file: a plain text does not pass for one.
    let bad = json!([
        {"id": "line", "tool": "first_line", "input": {"source": "note.txt"}},
        {"id": "again", "tool": "first_line", "input": {"source": {"$from": "line", "path": "/line"}}},
    ]);
    let bad = json!({"steps": [], "route": "compose", "flow": bad});
    let script = Script::new().plans(bad.clone()).plans(bad);
    let report = ask(&lab, &script, question, &data).exits(4).json();
    let message = report["stopped_by"]["message"].as_str().unwrap();
    assert!(message.contains("a file is wanted"), "{message}");
    assert_eq!(report["invocations"], json!([]), "nothing ran");
}

/// Counts words of at least so many letters, and otherwise as before.
fn longer_words(broken: bool) -> Tool {
    let empty = i32::from(broken);
    let mut tool = count_words();
    tool.spec["description"] = json!(
        "Counts the words of a text that have at least `least` letters; words are what stands between blanks."
    );
    tool.spec["input_schema"]["properties"]["least"] =
        json!({"type": "integer", "minimum": 0, "maximum": 100, "default": 0});
    tool.code(&format!(
        "\"\"\"Counts words.\"\"\"\n\n\ndef run(*, text: str, least: int = 0) -> dict[str, int]:\n    \"\"\"Count the words that are long enough.\"\"\"\n    if not text:\n        return {{\"count\": {empty}}}\n    return {{\"count\": sum(1 for word in text.split() if len(word) >= least)}}\n",
    ))
}

fn longer_cases() -> Value {
    json!([
        {"name": "long ones", "input": {"text": "a bb ccc dddd", "least": 3}, "expect": {"count": 2}},
        {"name": "exactly", "input": {"text": "aa bb", "least": 2}, "expect": {"count": 2}},
        {"name": "none", "input": {"text": "a b", "least": 2}, "expect": {"count": 0}},
    ])
}

fn extension(broken: bool) -> Script {
    let plan = json!({
        "steps": ["Add a bound."], "route": "extend", "tool": "count_words",
        "purpose": "Counts words, optionally only those with enough letters.",
        "domain": "text", "needs": [],
    });
    let mut tool = longer_words(broken);
    if broken {
        // The author bends its own cases to what it wrote.
        tool.cases = vec![json!({"name": "own", "input": {"text": "a b"}, "expect": {"count": 2}})];
    }
    Script::new()
        .plans(plan)
        .writes(&tool, json!({"text": "the quick brown fox", "least": 4}))
        .tests(longer_cases())
        .reviews(json!([]))
}

#[test]
fn an_extension_is_a_new_version_that_gives_what_the_old_one_gave() {
    let lab = Lab::new();
    count_words().import(&lab);
    let question = "Count the words of at least four letters in: the quick brown fox";
    let report = ask(&lab, &extension(false), question, &["--yes"])
        .exits(0)
        .json();
    assert_eq!(report["route"], "extend");
    assert_eq!(report["result"], json!({"count": 2}), "{report}");
    assert_eq!(versions(&lab), ["count_words@2", "count_words@1"]);
    let tool = lab.json(&["tools", "show", "count_words@2"]);
    let carried: Vec<&Value> = tool["trial"]["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["origin"] == "replay")
        .collect();
    assert_eq!(
        carried.len(),
        3,
        "the old version's cases are the new one's too"
    );
    assert!(carried.iter().all(|c| c["held_out"] == true));
}

#[test]
fn an_extension_that_breaks_what_was_is_refused() {
    let lab = Lab::new();
    count_words().import(&lab);
    let question = "Count the words of at least four letters in: the quick brown fox";
    let script = extension(true);
    let report = ask(&lab, &script, question, &["--yes", "--max-repairs", "0"])
        .exits(6)
        .json();
    let reasons = report["verdict"]["reasons"].to_string();
    assert!(reasons.contains("as before: case"), "{reasons}");
    assert_eq!(versions(&lab), ["count_words@1"]);
}

fn golden(lab: &Lab, count: u32) -> String {
    let line = json!({"input": {"text": "a b c"}, "expect": {"count": count}});
    let path = lab.file("golden.jsonl", line.to_string());
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_a_tool_does_already_is_not_made() {
    let lab = Lab::new();
    count_words().import(&lab);
    let golden = golden(&lab, 3);
    // A planner that wants to make it all the same is told, and stopped.
    let script = Script::new()
        .plans_to_make("word_tally")
        .plans_to_make("word_tally");
    let report = ask(&lab, &script, QUESTION, &["--yes", "--golden", &golden])
        .exits(4)
        .json();
    let message = report["stopped_by"]["message"].as_str().unwrap();
    assert!(
        message.contains("`count_words` gives what every example expects already"),
        "{message}"
    );
    assert_eq!(versions(&lab), ["count_words@1"]);
    // One that listens reuses it, and the plan says why.
    let script = Script::new().plans_to_make("word_tally").plans(json!({
        "steps": [], "route": "reuse", "tool": "count_words",
        "input": {"text": "the quick brown fox"},
    }));
    let report = ask(&lab, &script, QUESTION, &["--yes", "--golden", &golden])
        .exits(0)
        .json();
    assert_eq!(
        (&report["route"], &report["result"]),
        (&json!("reuse"), &json!({"count": 4}))
    );
    let candidates = shown(&lab, &report)["run"]["plan"]["candidates"].to_string();
    assert!(candidates.contains("meets 1 of 1 examples"), "{candidates}");
}

#[test]
fn no_request_is_forced_onto_a_tool_that_contradicts_its_examples() {
    let lab = Lab::new();
    count_words().import(&lab);
    let golden = golden(&lab, 5);
    let reuse = json!({
        "steps": [], "route": "reuse", "tool": "count_words", "input": {"text": "x"},
    });
    let script = Script::new().plans(reuse.clone()).plans(reuse);
    let report = ask(&lab, &script, QUESTION, &["--yes", "--golden", &golden])
        .exits(4)
        .json();
    let message = report["stopped_by"]["message"].as_str().unwrap();
    assert!(message.contains("meets 0 of the 1 examples"), "{message}");
    assert_eq!(report["invocations"], json!([]));
}

#[test]
fn the_same_tool_under_another_name_is_not_registered() {
    let lab = Lab::new();
    count_words().import(&lab);
    let mut twin = count_words();
    twin.spec["description"] = json!("Tells how many words a text has.");
    let script = Script::new()
        .plans_to_make("word_tally")
        .writes(&twin, json!({"text": "the quick brown fox"}))
        .tests(word_cases());
    let report = ask(&lab, &script, QUESTION, &["--yes"]).exits(0).json();
    assert_eq!(report["result"], json!({"count": 4}));
    assert_eq!(
        report["tools"],
        json!([{"name": "count_words", "version": 1}])
    );
    assert_eq!(versions(&lab), ["count_words@1"]);
}

#[test]
fn a_confusable_name_is_refused_at_every_door() {
    let lab = Lab::new();
    count_words().import(&lab);
    let mut twin = count_words();
    twin.spec["name"] = json!("c0unt_words");
    let folder = lab.dir().join("c0unt_words");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("tool.py"), &twin.code).unwrap();
    std::fs::write(folder.join("spec.json"), twin.spec.to_string()).unwrap();
    let cases: Vec<String> = twin.cases.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("cases.jsonl"), cases.join("\n")).unwrap();
    let ran = lab.run(&["tools", "import", folder.to_str().unwrap(), "--yes"]);
    assert_ne!(ran.code, 0);
    ran.says("`c0unt_words` looks like `count_words`");
    let script = Script::new()
        .plans_to_make("count_wordss")
        .plans_to_make("countwords");
    ask(&lab, &script, QUESTION, &["--yes"])
        .exits(4)
        .says("looks like `count_words`");
    assert_eq!(versions(&lab), ["count_words@1"]);
}

/// Two at once, with each author: one tool, and both have their answer.
#[test]
fn parallel_asks_for_the_same_tool_make_one() {
    let logs = example("logs.jsonl");
    let lab = Lab::new();
    let composed = [
        "ask",
        "Analyze the sentiment of these logs",
        "--data",
        &logs,
        "--yes",
        "--json",
    ];
    let model = Script::new()
        .plans_to_make("word_tally")
        .writes(&count_words(), json!({"text": "the quick brown fox"}))
        .tests(word_cases())
        .reviews(json!([]))
        .save(&lab, "conversation");
    let scripted = ["ask", QUESTION, "--model", &model, "--yes", "--json"];
    for args in [&composed, &scripted] {
        let both: Vec<_> = (0..3)
            .map(|_| {
                let command = lab.command(args);
                std::thread::spawn(move || finish(command))
            })
            .collect();
        for ran in both {
            let report = ran.join().unwrap().exits(0).json();
            assert_eq!(report["state"], "done", "{report}");
        }
    }
    assert_eq!(versions(&lab), ["sentiment_analyzer@1", "word_tally@1"]);
    assert_eq!(lab.json(&["approvals", "list"])["approvals"], json!([]));
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

/// The same bytes, asked for twice while no one is there, wait once.
#[test]
fn the_same_draft_waits_once() {
    let logs = example("logs.jsonl");
    let lab = Lab::new();
    let args = [
        "ask",
        "Analyze the sentiment of these logs",
        "--data",
        &logs,
        "--json",
    ];
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let command = lab.command(&args);
            std::thread::spawn(move || finish(command))
        })
        .map(|t| t.join().unwrap().exits(3).json())
        .collect();
    assert_eq!(runs[0]["approval"], runs[1]["approval"]);
    let id = runs[0]["approval"].to_string();
    lab.run(&["approvals", "approve", &id]).exits(0);
    for run in runs {
        let run = run["run"].as_str().unwrap();
        let report = lab.run(&["runs", "resume", run, "--json"]).exits(0).json();
        assert_eq!(report["state"], "done");
    }
    assert_eq!(versions(&lab), ["sentiment_analyzer@1"]);
}

/// A registry that was open before sees the tool as soon as it is there, and so does its run.
#[test]
fn a_made_tool_is_there_for_everyone_at_once() {
    let lab = Lab::new();
    let registry = handaxe_registry::Registry::open(&lab.home()).unwrap();
    assert!(registry.search("sentiment of logs", 5).unwrap().is_empty());
    let logs = example("logs.jsonl");
    let report = lab
        .run(&[
            "ask",
            "Analyze the sentiment of these logs",
            "--data",
            &logs,
            "--yes",
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(report["route"], "make");
    assert_eq!(report["invocations"][0]["tool"], "sentiment_analyzer");
    let hits = registry.search("sentiment of logs", 5).unwrap();
    assert_eq!(hits[0].tool.as_str(), "sentiment_analyzer");
    let report = lab
        .run(&[
            "ask",
            "Analyze the sentiment of these logs",
            "--data",
            &logs,
            "--json",
        ])
        .exits(0)
        .json();
    assert_eq!(report["route"], "reuse");
}

/// With no model: a question that names tools one after the other, and says what they need.
#[test]
fn the_composer_puts_together_the_tools_that_a_question_names() {
    let lab = Lab::new();
    for tool in [split_lines(), count_words(), sum_counts()] {
        tool.import(&lab);
    }
    let orders = example("orders.csv");
    lab.run(&[
        "make",
        "average price by region",
        "--data",
        &orders,
        "--yes",
    ])
    .exits(0);
    let made = versions(&lab);
    // The question, its route, and what comes of it: a result, or words of the refusal.
    let table = [
        (
            "split_lines of \"one two\nthree\", then count words of each, then sum_counts",
            "compose",
            json!({"total": 3}),
        ),
        (
            "Split the lines text=\"a b\nc\" and then count the words",
            "compose",
            json!([{"count": 2}, {"count": 1}]),
        ),
        ("Count words of \"a b c\"", "reuse", json!({"count": 3})),
        ("count_words text=\"a\"", "reuse", json!({"count": 1})),
        ("count_words", "refuse", json!("it needs `text`")),
        (
            "count_words nothing=3",
            "refuse",
            json!("no input `nothing`"),
        ),
        // A total is no text, and no list of them.
        (
            "sum_counts counts=[], then count words",
            "refuse",
            json!("nothing that comes before fits its input `text`"),
        ),
        // A word more, and nobody guesses.
        (
            "split_lines of \"a\", then count the long words",
            "refuse",
            json!("no data is attached"),
        ),
        (
            "Do not count words of \"a\"",
            "refuse",
            json!("no data is attached"),
        ),
    ];
    for (question, route, want) in table {
        let report = lab.json(&["ask", question, "--model", "composer"]);
        assert_eq!(report["route"], route, "{question}: {report}");
        if route == "refuse" {
            let said = report["stopped_by"]["message"].as_str().unwrap();
            let words = want.as_str().unwrap();
            assert!(said.contains(words), "{question}: {said}");
        } else {
            assert_eq!(report["result"], want, "{question}: {report}");
        }
    }
    // The first step may be a question to the data that a tool of the composer's answers.
    let first = lab.json(&[
        "ask",
        "average price by product, then sum counts",
        "--data",
        &orders,
        "--model",
        "composer",
        "--plan",
    ]);
    let why = first["stopped_by"].to_string() + &first["plan"].to_string();
    assert!(why.contains("sum_counts@1 is named"), "{first}");
    let unmade = "total quantity by month, then sum counts";
    lab.run(&["ask", unmade, "--data", &orders, "--model", "composer"])
        .exits(4)
        .says("no tool does the first part yet: total quantity by month")
        .says("handaxe make \"total quantity by month\"");
    assert_eq!(versions(&lab), made, "nothing was made");
}
