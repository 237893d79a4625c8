//! Gap detection: what the library covers is not made again, and what it does not cover is not
//! forced onto it. With the composer over the suite `gap`; with scripted planners that misjudge in both
//! directions. The figures are printed; the floors are asserted.

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::script::{Script, count_words};

#[test]
fn the_composer_knows_what_it_has() {
    let lab = Lab::new();
    let report = lab.json(&["eval", "--suite", "gap", "--model", "composer"]);
    let by = &report["by"]["request"];
    println!("covered {}; uncovered {}", by["covered"], by["uncovered"]);
    let wrong: Vec<&Value> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|i| i["outcome"] != "right")
        .collect();
    assert_eq!(report["total"]["wrong"], 0, "{wrong:#?}");
    assert_eq!(report["total"]["failed"], 0, "{wrong:#?}");
    let figure = |kind: &str, name: &str| by[kind][name].as_u64().unwrap();
    assert!(
        figure("covered", "refused") * 5 <= figure("covered", "items"),
        "{wrong:#?}"
    );
    assert_eq!(figure("uncovered", "right"), figure("uncovered", "items"));
    // The tools made for it are in no library of this home.
    assert_eq!(lab.json(&["tools", "list", "--all"])["tools"], json!([]));
}

/// A planner in both directions of error, held against the person's examples.
#[test]
fn a_planner_that_misjudges_is_held_to_the_examples() {
    let lab = Lab::new();
    count_words().import(&lab);
    let make = |name: &str| {
        json!({"steps": [], "route": "make", "name": name, "purpose": "Counts.",
               "domain": "text", "needs": []})
    };
    let reuse =
        || json!({"steps": [], "route": "reuse", "tool": "count_words", "input": {"text": "x"}});
    // (question, golden, what the planner says and says again, the route that stands)
    let table = [
        (
            "Count the words of x",
            2,
            [make("word_tally"), reuse()],
            "reuse",
        ),
        (
            "Number of words in x",
            2,
            [make("how_many_words"), reuse()],
            "reuse",
        ),
        (
            "How many terms has x",
            2,
            [make("term_number"), make("term_number")],
            "none",
        ),
        (
            "Count the letters of x",
            3,
            [reuse(), make("letter_tally")],
            "make",
        ),
        (
            "Count the words of x twice",
            4,
            [reuse(), make("double_tally")],
            "make",
        ),
        (
            "Count the vowels in the words of x",
            1,
            [reuse(), reuse()],
            "none",
        ),
    ];
    let (mut right, of) = (0, table.len());
    for (question, count, says, want) in table {
        let golden = json!({"input": {"text": "a b"}, "expect": {"count": count}}).to_string();
        let golden = lab.file("golden.jsonl", golden);
        let model = says
            .into_iter()
            .fold(Script::new(), Script::plans)
            .save(&lab, "planner");
        let report = lab.json(&[
            "ask",
            question,
            "--model",
            &model,
            "--plan",
            "--golden",
            golden.to_str().unwrap(),
        ]);
        let stands = match &report["stopped_by"] {
            Value::Null => report["route"].as_str().unwrap(),
            _ => "none",
        };
        assert_eq!(stands, want, "{question}: {report}");
        right += 1;
    }
    println!("{right} of {of} misjudgements held");
}
