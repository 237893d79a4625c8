//! Programs found from examples: the Rust reading and the emitted Python agree, on the inputs that
//! they were found for, on others like them, and on inputs that do not fit.

use std::collections::BTreeMap;

use handaxe_composer::{ByExample, Example, same};
use serde_json::{Value, json};

/// The tasks of the by-example suite: what the search makes of them covers every kind of step.
const TASKS: &str = include_str!("../../../handaxe-eval/suites/example/tasks.jsonl");

/// Texts, numbers and shapes that most programs do not fit.
fn strange() -> Vec<Value> {
    vec![
        json!(""),
        json!(" "),
        json!("x"),
        json!("a-3 (-4.5) 1,234.50 =7e3 \"q\" [b] <c> d@e.fg"),
        json!("Stra\u{df}e \u{3a3}\u{3c3} O'NEIL \u{e9}t\u{e9}_fooBarHTTP2Server"),
        json!("2024-02-30 25:61 13:05:09 31/12/2024 1st May 2024"),
        json!("29 Feb 2024, 1:05 pm"),
        json!("11:59 PM"),
        json!("03.04.2021 10:20"),
        json!("a=1; b=2 c:3, d|e/f\\g\th"),
        json!("n,m\n1,2\n3,4"),
        json!("{\"a\": 1}\n{\"a\": 2.5}"),
        json!(0),
        json!(-12.5),
        json!(1e16),
        json!(123_456_789_012_345_678_i64),
        json!(true),
        Value::Null,
        json!([]),
        json!([1, "b", null]),
        json!([[1]]),
        json!([{"a": 1}, {"a": null, "b": "x"}]),
        json!({}),
        json!({"a": {"b": 1}, "a.b": 2, "l": [1, {"k": 2}]}),
        json!({"city": "Oslo", "q1": 1}),
    ]
}

/// The input with its texts exchanged and cut.
fn like(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let half = text.chars().count() / 2;
            vec![
                json!(text.to_uppercase()),
                json!(text.chars().rev().collect::<String>()),
                json!(text.chars().take(half).collect::<String>()),
                json!(text.replace(['1', '2', '5'], "9")),
                json!(format!("{text} {text}")),
            ]
        }
        Value::Object(map) => map
            .keys()
            .flat_map(|key| {
                let mut without = map.clone();
                without.remove(key);
                let mut other = map.clone();
                other.insert(key.clone(), json!("Zoe 7"));
                [Value::Object(without), Value::Object(other)]
            })
            .collect(),
        Value::Array(items) => vec![
            Value::Array(items.iter().rev().cloned().collect()),
            Value::Array(items.iter().skip(1).cloned().collect()),
            Value::Array(items.iter().chain(items).cloned().collect()),
        ],
        other => vec![other.clone()],
    }
}

#[test]
fn programs_from_examples_agree_with_their_python() {
    let every = std::env::var("HANDAXE_EQUALITY").is_ok();
    let mut tools = BTreeMap::new();
    let mut jobs = Vec::new();
    let mut ours = Vec::new();
    for (n, line) in TASKS.lines().enumerate() {
        // Every sixth shows the kinds; `HANDAXE_EQUALITY` runs them all.
        if !every && n % 6 != 0 {
            continue;
        }
        let task: Value = serde_json::from_str(line).unwrap();
        let pair = |v: &Value| Example {
            input: v["input"].clone(),
            output: v["output"].clone(),
        };
        let examples: Vec<Example> = task["examples"]
            .as_array()
            .unwrap()
            .iter()
            .map(pair)
            .collect();
        let held = task["held_out"].as_array().unwrap();
        let mut items: Vec<Value> = examples.iter().map(|e| e.input.clone()).collect();
        items.extend(held.iter().map(|h| h["input"].clone()));
        items.extend(examples.iter().flat_map(|e| like(&e.input)));
        items.extend(strange());
        for (i, found) in ByExample::all(&examples, &[])
            .into_iter()
            .take(4)
            .enumerate()
        {
            let emitted = found.emit("by example", &examples);
            let tool = format!("{n}_{i}");
            let results: Vec<Option<Value>> = items.iter().map(|i| found.run(i)).collect();
            jobs.push(json!({"tool": tool, "input": {"items": items}, "bytes": null}));
            ours.push((tool.clone(), found, results, items.clone()));
            tools.insert(tool, emitted.code);
        }
    }
    assert!(tools.len() > 20, "{}", tools.len());
    let theirs = crate::agree::driven(&tools, &jobs);
    let mut wrong = 0;
    for ((tool, found, results, items), theirs) in ours.iter().zip(&theirs) {
        let Some(got) = theirs["ok"]["results"].as_array() else {
            println!("{theirs}\n{}\n{}", found.debug(), tools[tool]);
            wrong += 1;
            continue;
        };
        for ((ours, theirs), item) in results.iter().zip(got).zip(items) {
            let ours = ours.clone().unwrap_or_default();
            if !same(&ours, theirs) {
                wrong += 1;
                if wrong <= 5 {
                    println!(
                        "{item}\nrust   {ours}\npython {theirs}\n{}\n{}",
                        found.debug(),
                        tools[tool]
                    );
                }
            }
        }
        let failed = results.iter().filter(|r| r.is_none()).count();
        assert_eq!(theirs["ok"]["failed"], json!(failed), "{}", found.debug());
    }
    assert_eq!(wrong, 0, "of {} programs", tools.len());
}
