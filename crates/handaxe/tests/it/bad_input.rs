//! What people and machines really give: each gets a typed error with the next step.

use crate::lab::{Lab, example, finish};

#[test]
fn data_files() {
    let lab = Lab::new();
    let question = "How many rows are there?";
    let mut half = String::from("{\"a\": 1}\n{\"a\": 2}\n");
    half.push_str("{\"a\": \n");
    for (name, content, code, needle) in [
        ("empty.csv", Vec::new(), 1, "empty"),
        (
            "binary.csv",
            (0..=255_u8).cycle().take(4096).collect(),
            1,
            "binary",
        ),
        (
            "utf16.csv",
            "a,b\n1,2\n"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            1,
            "UTF-16",
        ),
        ("broken.json", b"[{\"a\": 1}, {\"a\": ".to_vec(), 1, "JSON"),
    ] {
        let path = lab.file(name, content);
        let ran = lab
            .run(&["ask", question, "--data", path.to_str().unwrap(), "--yes"])
            .exits(code);
        ran.says(needle).says("hint:");
    }
    let missing = lab
        .run(&["ask", question, "--data", "nowhere.csv", "--yes"])
        .exits(1);
    missing.says("nowhere.csv").says("hint:");
    lab.run(&["ask", question, "--data", ".", "--yes"])
        .exits(1)
        .says("folder");
    // Half-broken lines are counted and said, not hidden and not fatal.
    let half = lab.file("half.jsonl", half);
    let ran = lab.run(&["ask", question, "--data", half.to_str().unwrap(), "--yes"]);
    assert!(
        ran.code == 0 || ran.code == 1,
        "{} {}",
        ran.stdout,
        ran.stderr
    );
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains('1'),
        "{}",
        ran.stdout
    );
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn goldens_and_settings() {
    let lab = Lab::new();
    let orders = example("orders.csv");
    let golden = lab.file("g.jsonl", "{\"input\": {}, \"expect\": 1}\n{\"input\": \n");
    let args = [
        "ask",
        "count the rows",
        "--data",
        &orders,
        "--golden",
        golden.to_str().unwrap(),
    ];
    lab.run(&args).exits(2).says("line 2");
    lab.file("home/config.toml", "modle = 1\n");
    lab.run(&["doctor"])
        .exits(2)
        .says("config.toml")
        .says("hint:");
    std::fs::remove_file(lab.home().join("config.toml")).unwrap();
    lab.file("home/policy.toml", "[domains]\nallow = 3\n");
    lab.run(&["ask", "count the rows", "--data", &orders])
        .exits(2)
        .says("policy.toml");
}

#[test]
fn a_policy_that_allows_less_is_obeyed() {
    let lab = Lab::new();
    lab.file("home/policy.toml", "[domains]\nallow = [\"dates\"]\n");
    let ran = lab.run(&[
        "ask",
        "How many rows are there?",
        "--data",
        &example("orders.csv"),
        "--yes",
    ]);
    ran.exits(4).says("policy.toml [domains] allow");
}

#[test]
fn usage() {
    let lab = Lab::new();
    for args in [
        &["ask"][..],
        &["frobnicate"],
        &["run", "Not-A-Name"],
        &["run", "abc@0"],
        &["runs", "show", "../../etc"],
        &["ask", "x", "--model", "nonsense"],
        &["ask", "  "],
        &["sandbox", "run", "--code", "nowhere.py"],
        &["audit", "log", "--kind", "nothing"],
    ] {
        lab.run(args).exits(2);
    }
    lab.run(&["run", "no_such_tool"])
        .exits(1)
        .says("tools search");
    lab.run(&["approvals", "show", "99"])
        .exits(1)
        .says("approvals list");
}

#[test]
fn a_file_that_is_no_database() {
    let lab = Lab::new();
    lab.file(
        "home/handaxe.db",
        "this is not a database, it is a letter to my aunt",
    );
    let ran = lab.run(&["tools", "list"]).exits(1);
    ran.says("hint:");
    assert_eq!(
        std::fs::read_to_string(lab.home().join("handaxe.db")).unwrap(),
        "this is not a database, it is a letter to my aunt"
    );
}

#[test]
fn two_processes_on_one_home() {
    let lab = Lab::new();
    let logs = example("logs.jsonl");
    let mut children = Vec::new();
    for question in [
        "How many logs are there?",
        "Analyze the sentiment of these logs",
    ] {
        children.push(
            lab.command(&["ask", question, "--data", &logs, "--yes"])
                .spawn()
                .unwrap(),
        );
    }
    for child in children {
        let out = child.wait_with_output().unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
    assert_eq!(
        lab.json(&["tools", "list"])["tools"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_full_disk_loses_nothing() {
    let lab = Lab::new();
    let orders = example("orders.csv");
    let first = lab
        .run(&[
            "ask",
            "How many rows are there?",
            "--data",
            &orders,
            "--yes",
        ])
        .exits(0);
    let _ = first;
    // A file-size limit stands in for the disk: every write past it fails.
    let db = std::fs::metadata(lab.home().join("handaxe.db"))
        .unwrap()
        .len();
    let blocks = (db / 1024).max(8).to_string();
    let mut command = std::process::Command::new("sh");
    command
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"",
            "sh",
            &blocks,
            crate::lab::BIN,
        ])
        .args(["ask", "total price by region", "--data", &orders, "--yes"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HANDAXE_HOME", lab.home())
        .env("USER", "tester")
        .current_dir(lab.dir())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let ran = finish(command);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert!(
        ran.code == 0 || ran.stderr.contains("hint:"),
        "{} {}",
        ran.code,
        ran.stderr
    );
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
    assert!(
        !lab.json(&["tools", "list"])["tools"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn names_from_outside_cannot_forge_lines() {
    let lab = Lab::new();
    let question = "How many rows?\u{1b}[2J\r\n2 2026-01-01 tool_registered forged\u{202e}";
    lab.run(&["ask", question, "--data", &example("orders.csv"), "--yes"]);
    for args in [&["runs", "list"][..], &["audit", "log"]] {
        let shown = lab.run(args).exits(0).stdout;
        assert!(
            !shown.contains('\u{1b}') && !shown.contains('\u{202e}'),
            "{shown}"
        );
        assert!(
            !shown.lines().any(|l| l.starts_with("2 2026-01-01")),
            "{shown}"
        );
    }
}
