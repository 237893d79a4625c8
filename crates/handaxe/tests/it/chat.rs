//! A conversation over standard input, as a script drives it.

use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::{Value, json};

use crate::lab::{Lab, Ran, example, finish};
use crate::provider::{Says, serve};

fn chat(lab: &Lab, args: &[&str], lines: &[&str]) -> Ran {
    let mut all = vec!["chat"];
    all.extend(args);
    let input = lab.file("lines.txt", lines.join("\n") + "\n");
    let mut command = lab.command(&all);
    command.stdin(Stdio::from(std::fs::File::open(input).unwrap()));
    finish(command)
}

fn conversation(lab: &Lab) -> (String, Value) {
    let chats = std::fs::read_dir(lab.home().join("chats")).unwrap();
    let path = chats
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "json"))
        .unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let id = path.file_stem().unwrap().to_str().unwrap().to_owned();
    (id, serde_json::from_str(&text).unwrap())
}

#[test]
fn a_conversation_with_the_composer() {
    let lab = Lab::new();
    let orders = example("orders.csv");
    // A library first, so that a script without a person at hand gets answers.
    for question in [
        "What is the average price by region?",
        "How many orders are from Europe?",
    ] {
        lab.run(&["make", question, "--data", &orders, "--yes"])
            .exits(0);
    }
    let attach = format!("/data {orders}");
    let ran = chat(
        &lab,
        &[],
        &[
            "/help",
            &attach,
            "What is the average price by region?",
            "How many orders are from Europe?",
            "/tools average price",
            "/nonsense",
            "/data no/such/file.csv",
            "Who was the last emperor of Rome?",
            "/history",
            "/undo",
            "/quit",
        ],
    )
    .exits(0);
    ran.says("/approve [N]")
        .says("attached orders.csv")
        .says("This rests on")
        .says("`/nonsense` is no command")
        .says("cannot be read")
        .says("2. How many orders are from Europe?")
        .says("handaxe chat --resume");
    let (id, kept) = conversation(&lab);
    // The question that was refused is a turn as well, and was undone.
    let questions: Vec<&str> = kept["turns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["question"].as_str().unwrap())
        .collect();
    assert_eq!(
        questions,
        [
            "What is the average price by region?",
            "How many orders are from Europe?"
        ]
    );
    assert!(kept["turns"][0]["result"].is_string(), "{kept}");
    // Taken up again, with its files and its turns.
    chat(
        &lab,
        &["--resume", &id],
        &["/data", "/history", "How many orders are from Asia?"],
    )
    .exits(0)
    .says("orders.csv")
    .says("1. What is the average price by region?")
    .says("This rests on");
    assert_eq!(conversation(&lab).1["turns"].as_array().unwrap().len(), 3);
    for bad in ["nope", "../../etc/passwd", ""] {
        assert_eq!(chat(&lab, &["--resume", bad], &[]).code, 1, "{bad}");
    }
}

#[test]
fn a_tool_waits_in_a_conversation_until_a_person_says_yes() {
    let lab = Lab::new();
    let logs = example("logs.jsonl");
    let question = "Analyze the sentiment of these logs";
    let ran = chat(
        &lab,
        &["--data", &logs],
        &[
            question,
            "/approve",
            "/approve x",
            "/approve 99",
            "/approve 1",
            "/history",
        ],
    )
    .exits(0);
    ran.says("Waiting for approval")
        .says("`x` is not the number of a request")
        .says("Registered sentiment_analyzer@1")
        .says("This rests on sentiment_analyzer@1");
    let (_, kept) = conversation(&lab);
    assert!(kept["turns"][0]["approval"].is_null(), "{kept}");
    assert!(!kept["turns"][0]["answer"].as_str().unwrap().is_empty());
}

fn direct(answer: &str) -> Says {
    let plan = json!({"considered": [], "steps": ["Answer."], "route": "direct", "answer": answer});
    Says::Text(plan.to_string())
}

/// At a terminal a reply is seen while it arrives; Ctrl-C ends it and not the conversation.
#[test]
fn a_reply_is_seen_as_it_arrives_and_can_be_stopped() {
    let lab = Lab::new();
    let url = serve(|asked| {
        if asked.messages.contains("Go on") {
            return Says::NoEnd("on and on \u{1b}[31mred ".to_owned());
        }
        direct("Paris is the capital of France.")
    });
    let args = ["chat", "--model", "openai:scripted", "--base-url", &url];
    let ran = lab
        .at_terminal(
            &args,
            &[
                ("> ", "Go on for ever\r"),
                ("on and on \\u{1b}[31mred", "\u{3}"),
                ("stopped", "What is the capital of France?\r"),
                ("Paris is the capital of France.", "/history\r"),
                ("1. What is the capital", "/quit\r"),
            ],
        )
        .exits(0);
    ran.says("has said about")
        .says("handaxe runs resume")
        .says("handaxe chat --resume");
    assert!(!ran.stdout.contains("\u{1b}[31mred"), "{}", ran.stdout);
    // The terminal's own `^C` would move the cursor past the live line, which then stays.
    assert!(!ran.stdout.contains("^C"), "{}", ran.stdout);
}

/// Where nobody looks, a reply is asked for in one; the answer is the same.
#[test]
fn only_a_terminal_is_shown_a_stream() {
    let (streamed, was_streamed) = channel();
    let url = serve(move |asked| {
        let _ = streamed.send(asked.streamed);
        direct("Forty-two.")
    });
    let lab = Lab::new();
    let question = "What is the answer?";
    let model = ["--model", "openai:scripted", "--base-url", &url];
    for (more, terminal, wanted) in [
        (&["--json"][..], false, false),
        (&[], false, false),
        (&["--quiet"], true, false),
        (&["--json"], true, false),
        (&[], true, true),
    ] {
        let args = [&["ask", question], &model[..], more].concat();
        let ran = if terminal {
            lab.at_terminal(&args, &[])
        } else {
            lab.run(&args)
        };
        ran.exits(0).says("Forty-two.");
        assert_eq!(was_streamed.recv().unwrap(), wanted, "{more:?} {terminal}");
    }
}
