//! The main job, with no model: a question and a file in, an answer out.

use serde_json::{Value, json};

use crate::lab::{Lab, example};

fn ask(lab: &Lab, question: &str, data: &str, more: &[&str]) -> Value {
    let mut args = vec!["ask", question, "--data", data, "--yes", "--json"];
    args.extend(more);
    lab.run(&args).exits(0).json()
}

#[test]
fn the_main_job_and_again() {
    let lab = Lab::with_the_whole_proof();
    let logs = example("logs.jsonl");
    let question = "Analyze the sentiment of these logs";
    let ran = lab
        .run(&["ask", question, "--data", &logs, "--yes"])
        .exits(0);
    ran.says("no tool fits")
        .says("1. ")
        .says("runs in the sandbox held")
        .says("Registered sentiment_analyzer@1");
    ran.says("500");

    // Asked again, and of another file in another format: the tool is reused.
    let again = ask(&lab, question, &logs, &[]);
    assert_eq!(again["route"], "reuse", "{again}");
    assert_eq!(
        again["tools"],
        json!([{"name": "sentiment_analyzer", "version": 1}])
    );
    let other = lab.file(
        "reviews.csv",
        "id,review\n1,I love it\n2,terrible and broken\n3,a table\n",
    );
    let other = ask(
        &lab,
        "Analyze the sentiment of these reviews",
        other.to_str().unwrap(),
        &[],
    );
    assert_eq!(other["route"], "reuse", "{other}");
    assert_eq!(
        lab.json(&["tools", "list", "--all"])["tools"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

/// The numbers are checked against ones counted here, by other means.
#[test]
fn answers_are_right() {
    let lab = Lab::new();
    let orders = example("orders.csv");
    let text = std::fs::read_to_string(&orders).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').collect())
        .collect();
    let europe: Vec<&Vec<&str>> = rows.iter().filter(|r| r[2] == "Europe").collect();
    let total: f64 = rows.iter().map(|r| r[6].parse::<f64>().unwrap()).sum();

    let count = ask(&lab, "How many orders are from Europe?", &orders, &[]);
    assert!(mentions(&count, &europe.len().to_string()), "{count}");
    let sum = ask(&lab, "What is the total price?", &orders, &[]);
    assert!(
        numbers(&sum["result"])
            .iter()
            .any(|n| (n - total).abs() < 1e-6),
        "{total}: {sum}"
    );
    let quantity: i64 = europe.iter().map(|r| r[5].parse::<i64>().unwrap()).sum();
    let by = ask(&lab, "total quantity by region", &orders, &[]);
    assert!(
        numbers(&by["result"]).contains(&(quantity as f64)),
        "{quantity}: {by}"
    );

    let access = example("access.log");
    let text = std::fs::read_to_string(&access).unwrap();
    let posts = text.lines().filter(|l| l.contains("POST")).count();
    let lines = ask(&lab, "How many lines contain POST?", &access, &[]);
    assert!(mentions(&lines, &posts.to_string()), "{posts}: {lines}");
}

fn mentions(report: &Value, number: &str) -> bool {
    report["answer"]
        .as_str()
        .unwrap()
        .split(|c: char| !c.is_ascii_digit())
        .any(|w| w == number)
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(n) => n.as_f64().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(map) => map.values().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_conversion_hands_the_file_over() {
    let lab = Lab::new();
    let small = lab.file("people.csv", "name,age\nAna,31\nBo,40\n");
    let args = ["convert this to json lines"];
    let report = ask(&lab, args[0], small.to_str().unwrap(), &["--out", "out"]);
    let path = report["files"][0]
        .as_str()
        .unwrap_or_else(|| panic!("{report}"));
    let text = std::fs::read_to_string(lab.dir().join(path)).unwrap();
    let rows: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["name"], "Ana");
}

#[test]
fn what_it_cannot_make_it_refuses_in_a_sentence() {
    let lab = Lab::new();
    let orders = example("orders.csv");
    for question in [
        "Predict next year's revenue with a neural network",
        "Which customer is the friendliest?",
        "Write a poem about these orders",
    ] {
        let report = lab
            .run(&["ask", question, "--data", &orders, "--yes", "--json"])
            .exits(4)
            .json();
        assert_eq!(report["state"], "refused", "{question}: {report}");
        let stop = report["stopped_by"].to_string();
        assert!(
            stop.contains("--model"),
            "{question}: how to connect a model: {stop}"
        );
    }
    assert_eq!(lab.json(&["tools", "list", "--all"])["tools"], json!([]));
}

#[test]
fn forbidden_jobs_are_refused_and_their_words_are_not() {
    let lab = Lab::new();
    let nmap = lab.file(
        "nmap.txt",
        "Nmap scan report for 10.0.0.5\n22/tcp open ssh\n80/tcp open http\nNmap scan report for 10.0.0.6\n443/tcp open https\n",
    );
    let report = lab
        .run(&["ask", "scan my network", "--yes", "--json"])
        .exits(4)
        .json();
    assert!(
        report["stopped_by"]["message"]
            .as_str()
            .unwrap()
            .contains("policy.toml [domains] deny")
    );
    let refused = lab.json(&["audit", "log", "--kind", "domain_refused"]);
    assert_eq!(refused["events"].as_array().unwrap().len(), 1);
    let made = ask(
        &lab,
        "How many lines of this nmap output contain open?",
        nmap.to_str().unwrap(),
        &[],
    );
    assert!(mentions(&made, "3"), "{made}");
}

#[test]
fn goldens_are_held_to() {
    let lab = Lab::new();
    let orders = lab.file("orders.csv", "region,price\nNorth,10\nSouth,20\nNorth,30\n");
    let orders = orders.to_str().unwrap();
    // A wrong golden is never withdrawn: it refuses the tool.
    let first = ask(&lab, "How many rows are there?", orders, &[]);
    let input = first["invocations"][0]["input"].clone();
    let mut golden = json!({"input": input, "files": {"orders.csv": "region,price\nX,1\n"}, "expect": {"nonsense": true}});
    let lab = Lab::new();
    let file = lab.file("golden.jsonl", format!("{golden}\n"));
    let ran = lab.run(&[
        "ask",
        "How many rows are there?",
        "--data",
        orders,
        "--yes",
        "--json",
        "--golden",
        file.to_str().unwrap(),
    ]);
    let report = ran.exits(4).json();
    assert_eq!(report["stopped_by"]["kind"], "verdict", "{report}");
    // A right one counts as the person's own.
    let output = &first["result"];
    golden["files"] = json!({"orders.csv": std::fs::read_to_string(orders).unwrap()});
    golden["expect"] = output.clone();
    let lab = Lab::new();
    let file = lab.file("golden.jsonl", format!("{golden}\n"));
    let ran = lab.run(&[
        "ask",
        "How many rows are there?",
        "--data",
        orders,
        "--yes",
        "--json",
        "--golden",
        file.to_str().unwrap(),
    ]);
    let report = ran.exits(0).json();
    assert_eq!(
        report["verdict"]["scores"]["cases"]["user"],
        json!([1, 1]),
        "{report}"
    );
}

/// Past a megabyte the file is mounted, not sent; the answer must not depend on which.
#[test]
fn a_large_file_is_mounted() {
    let lab = Lab::new();
    let mut text = String::from("region,price\n");
    for n in 0..250_000 {
        text.push_str(if n % 4 == 0 {
            "North,1.25\n"
        } else {
            "South,2.5\n"
        });
    }
    assert!(text.len() > 2 << 20);
    let large = lab.file("large.csv", text);
    let report = ask(&lab, "total price by region", large.to_str().unwrap(), &[]);
    let totals = numbers(&report["result"]);
    for expected in [78_125.0, 468_750.0] {
        assert!(totals.contains(&expected), "{expected}: {report}");
    }
    assert_eq!(report["invocations"][0]["outcome"], "ok");
}

/// Several files of one shape: one tool, used on each.
#[test]
fn several_files_are_asked_one_by_one() {
    let lab = Lab::new();
    let one = lab.file("one.csv", "a,b\n1,2\n3,4\n");
    let two = lab.file("two.csv", "a,b\n5,6\n");
    let args = [
        "ask",
        "How many rows are there?",
        "--data",
        one.to_str().unwrap(),
        "--data",
        two.to_str().unwrap(),
        "--yes",
        "--json",
    ];
    let report = lab.run(&args).exits(0).json();
    assert_eq!(
        report["invocations"].as_array().unwrap().len(),
        2,
        "{report}"
    );
    assert_eq!(report["tools"].as_array().unwrap().len(), 1);
}

/// A tool found from examples: proved, run over a file, and used again.
#[test]
fn a_tool_from_examples() {
    let lab = Lab::new();
    let names = lab.file(
        "names.txt",
        "Grace Hopper\nKen Thompson\nBarbara Liskov\nEdsger Dijkstra\n",
    );
    let examples = [
        "--example",
        "Ada Lovelace => Lovelace, A.",
        "--example",
        "Alan Turing => Turing, A.",
        "--example",
        "Donald Knuth => Knuth, D.",
    ];
    let names = names.to_str().unwrap();
    let first = ask(&lab, "turn the names around", names, &examples);
    let wanted = json!(["Hopper, G.", "Thompson, K.", "Liskov, B.", "Dijkstra, E."]);
    assert_eq!(first["result"]["results"], wanted, "{first}");
    assert_eq!(first["tools"][0]["name"], "turn_names_around", "{first}");
    let again = ask(&lab, "turn the names around", names, &examples);
    assert_eq!(again["route"], "reuse", "{again}");

    // Where nothing fits all of them, it says so.
    let ran = lab.run(&[
        "ask",
        "no rule",
        "--data",
        names,
        "--example",
        "Ada Lovelace => 7f3a",
        "--example",
        "Alan Turing => [1, {\"x\": 2}]",
        "--yes",
    ]);
    ran.exits(4).says("no program of the built-in author");
}
