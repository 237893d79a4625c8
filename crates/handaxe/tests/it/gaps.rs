//! Gap detection: what the library covers is not made again, and what it does not cover is not
//! forced onto it. With the composer over questions in several words each; with scripted planners
//! that misjudge in both directions. The figures are printed; the floors are asserted.

use serde_json::{Value, json};

use crate::lab::{Lab, example};
use crate::script::{Script, count_words};

/// A question that makes a tool, and others that the same tool covers.
const COVERED: [(&str, &str, &[&str]); 3] = [
    (
        "logs.jsonl",
        "Analyze the sentiment of these logs",
        &[
            "What is the sentiment of these logs?",
            "Score the sentiment of the logs",
        ],
    ),
    (
        "orders.csv",
        "How many orders are from Europe?",
        &[
            "Count the orders from Asia",
            "How many orders are from Africa?",
            "How many orders are there?",
        ],
    ),
    (
        "orders.csv",
        "What is the average price by region?",
        &[
            "Average price for each region",
            "What is the mean quantity by product?",
        ],
    ),
];

/// Questions that none of those tools answers: a gap, to be made or refused.
const UNCOVERED: [(&str, &str); 8] = [
    ("orders.csv", "Convert this to JSON"),
    ("logs.jsonl", "Describe this data"),
    ("orders.csv", "Who was the last emperor of Rome?"),
    ("orders.csv", "Translate the product names into French"),
    (
        "logs.jsonl",
        "Predict next month's log volume with a neural network",
    ),
    ("orders.csv", "Send the orders to my colleague by mail"),
    ("logs.jsonl", "Extract all email addresses"),
    ("orders.csv", "Write a poem about the orders"),
];

fn route(lab: &Lab, data: &str, question: &str) -> String {
    let data = example(data);
    let report = lab.json(&["ask", question, "--data", &data, "--plan"]);
    report["route"].as_str().unwrap_or("error").to_owned()
}

#[test]
fn the_composer_knows_what_it_has() {
    let lab = Lab::new();
    for (data, question, _) in COVERED {
        let data = example(data);
        lab.run(&["make", question, "--data", &data, "--yes"])
            .exits(0);
    }
    let tools = lab.json(&["tools", "list"])["tools"].clone();
    let (mut covered, mut remade, mut refused) = (0, Vec::new(), Vec::new());
    for (data, question, others) in COVERED {
        for question in others.iter().chain([&question]) {
            covered += 1;
            match route(&lab, data, question).as_str() {
                "reuse" => {}
                "make" => remade.push(*question),
                _ => refused.push(*question),
            }
        }
    }
    let forced: Vec<&str> = UNCOVERED
        .iter()
        .filter(|(data, question)| route(&lab, data, question) == "reuse")
        .map(|(_, question)| *question)
        .collect();
    println!(
        "{covered} covered: {} remade {remade:?}, {} refused {refused:?}; {} uncovered: {} forced {forced:?}",
        remade.len(),
        refused.len(),
        UNCOVERED.len(),
        forced.len()
    );
    assert_eq!(remade, Vec::<&str>::new(), "made though there");
    assert_eq!(forced, Vec::<&str>::new(), "forced onto a tool");
    assert!(refused.len() * 5 <= covered, "{refused:?}");
    // A plan makes nothing.
    assert_eq!(lab.json(&["tools", "list"])["tools"], tools);
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
