//! One use before the yes, at every door: who may ask for it, what it gives, what it never becomes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, example};
use crate::script::{Script, count_words, word_cases};
use crate::server::Server;

const QUESTION: &str = "What is the share of quantity by region?";
const ALLOWED: &str =
    "[trial]\nfuzz_inputs = 24\nmutants = 0\n\n[approval]\nwhile_waiting_minutes = 10\n";

fn allowing() -> Lab {
    let lab = Lab::new();
    lab.file("home/policy.toml", ALLOWED);
    lab
}

fn granted(lab: &Lab) -> usize {
    let log = lab.json(&["audit", "log"]);
    let events = log["events"].as_array().unwrap();
    events
        .iter()
        .filter(|e| e["kind"] == "provisional_granted")
        .count()
}

/// `ask --while-waiting` of the orders.
fn asked(lab: &Lab) -> Value {
    let orders = example("orders.csv");
    lab.run(&[
        "ask",
        QUESTION,
        "--data",
        &orders,
        "--while-waiting",
        "--json",
    ])
    .exits(3)
    .json()
}

#[test]
fn off_it_is_refused_before_anything_is_done_and_the_line_is_named() {
    let lab = Lab::new();
    let orders = example("orders.csv");
    lab.run(&["ask", QUESTION, "--data", &orders, "--while-waiting"])
        .exits(4)
        .says("while_waiting_minutes")
        .says("policy.toml");
    assert_eq!(lab.json(&["runs", "list"])["runs"], json!([]));
    lab.run(&["make", QUESTION, "--data", &orders, "--while-waiting"])
        .exits(2)
        .says("ask");
    lab.run(&[
        "ask",
        QUESTION,
        "--data",
        &orders,
        "--while-waiting",
        "--yes",
    ])
    .exits(2);
}

#[test]
fn the_answer_comes_once_says_what_it_rests_on_and_waits_on() {
    let lab = allowing();
    let report = asked(&lab);
    assert_eq!(report["state"], "waiting", "{report}");
    let answer = report["answer"].as_str().unwrap();
    assert!(answer.contains("not approved yet"), "{answer}");
    assert_eq!(report["provisional"]["asked_by"], "tester");
    let (run, id) = (
        report["run"].as_str().unwrap(),
        report["approval"].to_string(),
    );
    let tool = report["tools"][0]["name"].as_str().unwrap();
    assert_eq!(granted(&lab), 1);

    // It is no approval: it does not run, and no list has it.
    lab.run(&["run", tool, "--input", "{}"])
        .exits(3)
        .says("no approved version");
    assert_eq!(lab.json(&["tools", "list"])["tools"], json!([]));
    // The card and the run say so.
    lab.run(&["approvals", "show", &id])
        .exits(0)
        .says(&format!("once while waiting, by run {run}"));
    let shown = lab.json(&["approvals", "show", &id]);
    assert_eq!(shown["approval"]["provisional"]["run"], run, "{shown}");
    lab.run(&["runs", "show", run])
        .exits(0)
        .says("while it waited for approval")
        .says("not approved yet");

    // Asked again it is the same answer, and no second use.
    let again = lab
        .run(&["runs", "resume", run, "--while-waiting", "--json"])
        .exits(3)
        .json();
    assert_eq!(again["answer"], report["answer"]);
    let without = lab.run(&["runs", "resume", run, "--json"]).exits(3).json();
    assert_eq!(without["answer"], report["answer"]);
    assert_eq!(granted(&lab), 1);
    // Another run that asks the same waits for the same tool, and may not use it.
    let other = asked(&lab);
    assert_eq!(other["answer"], Value::Null, "{other}");
    assert_eq!(other["stopped_by"]["kind"], "while_waiting");
    assert_eq!(granted(&lab), 1);

    // Approved, the run answers anew, by right.
    lab.run(&["approvals", "approve", &id]).exits(0);
    let after = lab.run(&["runs", "resume", run, "--json"]).exits(0).json();
    assert_eq!(after["result"], report["result"]);
    assert_eq!(after["provisional"], Value::Null);
    assert!(!after["answer"].as_str().unwrap().contains("not approved"));
    let run = &lab.json(&["runs", "show", run])["run"];
    assert_eq!(run["rests_on"][0]["provisional"], false, "{run}");
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn rejected_later_the_answer_is_tainted() {
    let lab = allowing();
    let report = asked(&lab);
    let id = report["approval"].to_string();
    lab.run(&["approvals", "reject", &id, "--reason", "not so"])
        .exits(0);
    let run = report["run"].as_str().unwrap();
    let shown = &lab.json(&["runs", "show", run])["run"];
    assert_eq!(shown["rests_on"][0]["tainted"], true, "{shown}");
    lab.run(&["runs", "show", run])
        .exits(0)
        .says("and then rejected");
    // Asked anew, the same bytes wait again and are not used again.
    let again = asked(&lab);
    assert_eq!(again["answer"], Value::Null, "{again}");
    assert_eq!(granted(&lab), 1);
}

/// At a terminal the card offers it as a key, where the policy allows it and an answer waits.
#[test]
fn the_card_offers_it_where_the_policy_does() {
    const OFFER: &str = "u use it once";
    let orders = example("orders.csv");
    let args = ["ask", QUESTION, "--data", &orders, "--model", "composer"];
    let lab = allowing();
    let ran = lab.at_terminal(&args, &[("Use this tool? ", "u")]).exits(3);
    ran.says(OFFER).says("not approved yet");
    assert_eq!(granted(&lab), 1);
    // Used already, it is not offered again; nor to whoever only looks at what waits.
    let run = lab.json(&["runs", "list"])["runs"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for args in [
        &["runs", "resume", &run][..],
        &["approvals", "approve", "1"],
    ] {
        let ran = lab.at_terminal(args, &[("Use this tool? ", "u"), ("Use this tool? ", "q")]);
        assert!(!ran.stdout.contains(OFFER), "{}", ran.stdout);
    }
    assert_eq!(granted(&lab), 1);

    let strict = Lab::new();
    let ran = strict
        .at_terminal(&args, &[("Use this tool? ", "u"), ("Use this tool? ", "q")])
        .exits(3);
    assert!(!ran.stdout.contains(OFFER), "{}", ran.stdout);
    assert_eq!(granted(&strict), 0);
}

/// In a conversation, by its number: the answer is told, and a yes afterwards is still needed.
#[test]
fn a_conversation_offers_it() {
    let chat = |lab: &Lab, lines: &[&str]| {
        let orders = example("orders.csv");
        let mut command = lab.command(&["chat", "--model", "composer", "--data", &orders]);
        let typed = lab.file("lines", lines.join("\n") + "\n");
        command.stdin(std::fs::File::open(typed).unwrap());
        crate::lab::finish(command)
    };
    let lab = allowing();
    let ran = chat(
        &lab,
        &[
            QUESTION, "/once", "/once 7", "/once 1", "/history", "/once 1",
        ],
    );
    ran.exits(0)
        .says("/once 1 uses it once")
        .says("`` is not the number of a request")
        .says("no question of this conversation waits for 7")
        .says("not approved yet");
    assert_eq!(granted(&lab), 1);
    assert_eq!(lab.json(&["tools", "list"])["tools"], json!([]));
    let ran = chat(&Lab::new(), &[QUESTION, "/once 1"]).exits(0);
    ran.says("while_waiting_minutes");
    assert!(!ran.stderr.contains("/once 1 uses"), "{}", ran.stderr);
}

/// Of what a model wrote, at the card of a conversation: the answer is told, the tool waits on.
#[test]
fn what_a_model_wrote_is_offered_in_a_conversation() {
    let lab = allowing();
    let script = Script::new()
        .plans_to_make("word_tally")
        .writes(&count_words(), json!({"text": "the quick brown fox"}))
        .tests(word_cases())
        .reviews(json!([]))
        .save(&lab, "once");
    let ran = lab.at_terminal(
        &["chat", "--model", &script],
        &[
            ("> ", "Count the words of: the quick brown fox\r"),
            ("Use this tool? ", "u"),
            ("not approved yet", "/quit\r"),
        ],
    );
    ran.exits(0).says("u use it once").says("4");
    assert_eq!(granted(&lab), 1);
    assert_eq!(lab.json(&["tools", "list"])["tools"], json!([]));
}

/// Killed as soon as the grant is on record; whatever it came to, there is no second one.
#[test]
fn a_kill_under_it_gives_no_second_use() {
    let lab = allowing();
    let orders = example("orders.csv");
    let args = ["ask", QUESTION, "--data", &orders, "--while-waiting"];
    let mut child = lab.command(&args).spawn().unwrap();
    let begun = Instant::now();
    let registry = loop {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "it never came that far"
        );
        assert!(child.try_wait().unwrap().is_none() || lab.home().join("handaxe.db").exists());
        if lab.home().join("handaxe.db").exists()
            && let Ok(registry) = handaxe_registry::Registry::open(&lab.home())
        {
            break registry;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    loop {
        let found = registry.approvals(None).unwrap();
        if found.iter().any(|a| a.provisional.is_some()) {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "nothing was granted"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let run = registry.runs(1).unwrap().remove(0).id;
    let calls = registry.run_invocations(&run).unwrap().len();
    drop(registry);
    let report = lab.json(&["runs", "resume", run.as_str(), "--while-waiting"]);
    assert_eq!(report["state"], "waiting", "{report}");
    assert_eq!(granted(&lab), 1);
    let registry = handaxe_registry::Registry::open(&lab.home()).unwrap();
    assert_eq!(registry.run_invocations(&run).unwrap().len(), calls);
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

/// GOV01: the token of a program cannot ask for it, at any address; a person can, from our own page.
#[test]
fn no_program_can_ask_for_it_and_a_person_can_on_the_page() {
    let lab = allowing();
    let server = Server::start(&lab, &[]);
    let text = std::fs::read_to_string(example("orders.csv")).unwrap();
    let question = json!({
        "question": QUESTION, "files": [{"name": "orders.csv", "text": text}],
    });
    let started = server.post("/api/v1/runs", &question, 202);
    let run = started["run"].as_str().unwrap().to_owned();
    let document = server.ended(&run);
    assert_eq!(document["state"], "waiting", "{document}");
    let path = format!("/api/v1/runs/{run}/while-waiting");
    server
        .ask("POST", &path, None)
        .problem(403, "person_needed");
    // Not by another name in the body of what it can ask for, either.
    for more in ["while_waiting", "use_once"] {
        let mut sly = question.clone();
        sly[more] = json!(true);
        let reply = server.ask("POST", "/api/v1/runs", Some(&sly.to_string()));
        reply.problem(400, "json");
    }
    let again = server.ask("POST", &format!("/api/v1/runs/{run}/resume"), None);
    assert_eq!(again.status, 202, "{}", again.body);
    assert_eq!(server.ended(&run)["answer"], Value::Null);
    assert_eq!(granted(&lab), 0);

    let person = server.sign_in();
    let page = format!("/runs/{run}/while-waiting");
    let head = format!(
        "Host: {}\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        server.addr, person.cookie
    );
    let shown = server
        .raw("GET", &format!("/runs/{run}"), &head, b"")
        .is(200);
    assert!(shown.body.contains("Use it once, meanwhile"));
    assert_eq!(server.raw("POST", &page, &head, b"csrf=x").status, 403);
    assert_eq!(granted(&lab), 0);
    let form = format!("csrf={}", person.csrf);
    assert_eq!(
        server.raw("POST", &page, &head, form.as_bytes()).status,
        303
    );
    let document = server.ended(&run);
    assert_eq!(document["state"], "waiting", "{document}");
    assert!(
        document["answer"]
            .as_str()
            .unwrap()
            .contains("not approved yet")
    );
    assert_eq!(document["rests_on"][0]["provisional"], true, "{document}");
    assert_eq!(document["invocations"][0]["provisional"], true);
    assert!(document["approvals"][0]["provisional"]["asked_by"].is_string());
    assert_eq!(granted(&lab), 1);
    let shown = server
        .raw("GET", &format!("/runs/{run}"), &head, b"")
        .is(200);
    assert!(!shown.body.contains("Use it once, meanwhile"));
    assert!(
        shown.body.contains("it is not approved yet"),
        "{}",
        shown.body
    );
    let card = server.raw("GET", "/approvals/1", &head, b"").is(200);
    assert!(
        card.body.contains("once while waiting, by run"),
        "{}",
        card.body
    );
    // The tool is no program's: neither listed nor callable.
    assert_eq!(server.get("/api/v1/tools?state=active")["tools"], json!([]));
    let tool = document["approvals"][0]["tool"].as_str().unwrap();
    let call = json!({"input": {"path": "orders.csv"}}).to_string();
    server
        .ask("POST", &format!("/api/v1/tools/{tool}/calls"), Some(&call))
        .problem(409, "not_approved");
    server.stop();
}
