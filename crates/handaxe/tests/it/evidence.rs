//! Evidence and approvals as people at a command line meet them: verified here and elsewhere,
//! signed by a person's key, refused at every door.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::lab::{Lab, Ran};

const CODE: &str = r#""""Counts the letters of a text."""


def run(*, text: str) -> int:
    """Count the letters, and nothing else."""
    count = 0
    for c in text:
        if c.isalpha():
            count += 1
    return count
"#;

const CASES: &str = r#"{"name":"two","input":{"text":"a b"},"expect":2}
{"name":"none","input":{"text":"12"},"expect":0}
{"name":"mixed","input":{"text":"a1b2c3"},"expect":3}
"#;

const PASSPHRASE: &str = "four words put together";

/// A short proof: what is under test here is what is made of it.
const POLICY: &str = "[trial]\nfuzz_inputs = 20\nmutants = 6\n";

fn spec() -> Value {
    json!({
        "name": "letter_count", "description": "Counts the letters of a text.", "domain": "text",
        "input_schema": {
            "type": "object", "additionalProperties": false, "required": ["text"],
            "properties": {"text": {"type": "string", "maxLength": 40}},
        },
        "output_schema": {"type": "integer"},
    })
}

fn lab(approval: &str) -> Lab {
    let lab = Lab::new();
    lab.file("home/policy.toml", format!("{POLICY}\n{approval}"));
    lab
}

fn folder(lab: &Lab, name: &str) -> String {
    lab.file(&format!("{name}/tool.py"), CODE);
    lab.file(&format!("{name}/spec.json"), spec().to_string());
    lab.file(&format!("{name}/cases.jsonl"), CASES);
    lab.dir().join(name).to_str().unwrap().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn evidence_verifies_here_and_elsewhere_and_nothing_of_it_can_be_changed() {
    let lab = lab("");
    let dir = folder(&lab, "lc");
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
    let here = lab.json(&["tools", "verify", "letter_count@1"]);
    assert_eq!(here["ok"], true, "{here:#}");
    assert_eq!(here["signer"]["trusted"], true);
    assert_eq!(here["proof"]["differences"], json!([]));
    lab.run(&["tools", "verify", "letter_count", "--offline"])
        .exits(0)
        .says("Verified.");

    let out = lab.dir().join("exported");
    lab.run(&["tools", "export", "letter_count", "--out", text(&out)])
        .exits(0);
    let key = lab.dir().join("home.pub");
    lab.run(&["keys", "export", "--out", text(&key)]).exits(0);
    let fingerprint = here["signer"]["key"].as_str().unwrap();

    // A machine that has never seen that home.
    let other = self::lab("");
    let against = |more: &[&str]| -> Ran {
        let mut args = vec!["tools", "verify", "--against", text(&out)];
        args.extend(more);
        other.run(&args)
    };
    against(&["--offline"])
        .exits(4)
        .says("nobody here vouches")
        .says("--fingerprint");
    against(&["--key", text(&key)]).exits(0).says("same result");
    against(&["--offline", "--fingerprint", fingerprint]).exits(0);
    against(&["--offline", "--fingerprint", "abc"]).exits(2);
    against(&["--offline", "--key", text(&out.join("tool.py"))]).exits(2);
    // A path in the place of the name means the same.
    other
        .run(&[
            "tools",
            "verify",
            text(&out),
            "--offline",
            "--key",
            text(&key),
        ])
        .exits(0);
    other
        .run(&[
            "tools",
            "verify",
            "other_tool@1",
            "--against",
            text(&out),
            "--offline",
            "--key",
            text(&key),
        ])
        .exits(4)
        .says("it is not other_tool@1");

    // Every file.
    for entry in std::fs::read_dir(&out).unwrap().flatten() {
        let copied = lab.dir().join("tampered");
        copy(&out, &copied);
        let file = copied.join(entry.file_name());
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let args = [
            "tools",
            "verify",
            text(&copied),
            "--key",
            text(&key),
            "--json",
        ];
        let ran = other.run(&args).exits(4).json();
        assert_eq!(ran["ok"], false);
        assert_ne!(ran["problems"], json!([]), "{}", file.display());
        assert_eq!(ran["proof"], Value::Null, "what was changed is not run");
    }
    // Signed anew by another home's key: whole, and another's.
    other.run(&["tools", "import", &dir, "--yes"]).exits(0);
    let resigned = other.home().join("tools/letter_count/1");
    other
        .run(&["tools", "verify", text(&resigned), "--offline"])
        .exits(0);
    lab.run(&[
        "tools",
        "verify",
        text(&resigned),
        "--offline",
        "--key",
        text(&key),
    ])
    .exits(4)
    .says("nobody here vouches");

    // The folder in the home is only a view, and a changed one is told.
    let view = lab.home().join("tools/letter_count/1/README.md");
    std::fs::write(&view, "# approved by everyone\n").unwrap();
    lab.run(&["tools", "verify", "letter_count", "--offline"])
        .exits(4)
        .says("README.md was changed");
    // After a rotation the old signature still verifies; after a revocation it does not.
    std::fs::copy(out.join("README.md"), &view).unwrap();
    lab.run(&["keys", "rotate"]).exits(0);
    lab.run(&["tools", "verify", "letter_count", "--offline"])
        .exits(0);
    lab.run(&["keys", "revoke", &fingerprint[..12], "--reason", "leaked"])
        .exits(0);
    lab.run(&["tools", "verify", "letter_count", "--offline"])
        .exits(4);
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

/// An approver's key in this home, and the file with its passphrase.
fn approver(lab: &Lab, name: &str) -> (PathBuf, PathBuf) {
    let pass = lab.file(&format!("{name}.pass"), format!("{PASSPHRASE}\n"));
    let key = lab.dir().join(format!("{name}.key"));
    lab.run(&[
        "keys",
        "approver",
        "create",
        "--name",
        name,
        "--out",
        text(&key),
        "--passphrase-file",
        text(&pass),
    ])
    .exits(0);
    (key, pass)
}

/// GOV01-03 and GOV06 at each command that could let a tool run.
#[test]
fn under_key_every_door_asks_for_the_signature() {
    let lab = lab("[approval]\nhow = \"key\"\n");
    let dir = folder(&lab, "lc");
    let input = r#"{"text":"a b"}"#;
    // The command that made it: `--yes` is not a signature, and the refusal is on record.
    lab.run(&["tools", "import", &dir, "--yes"])
        .exits(4)
        .says("signed with an approver's key")
        .says("approvals approve 1");
    lab.run(&["run", "letter_count", "--input", input]).exits(3);
    // Nobody at a terminal: it waits, as ever; a resumed run does no better.
    let run = lab.json(&["runs", "list"])["runs"][0]["id"].clone();
    lab.run(&["runs", "resume", run.as_str().unwrap(), "--yes"])
        .exits(4)
        .says("signed with an approver's key");
    lab.run(&["approvals", "approve", "1"])
        .exits(4)
        .says("no approver's key file");

    let (key, pass) = approver(&lab, "alice");
    let approve = |more: &[&str]| {
        let mut args = vec!["approvals", "approve", "1", "--key", text(&key)];
        args.extend(more);
        lab.run(&args)
    };
    let wrong = lab.file("wrong.pass", "not the passphrase at all\n");
    approve(&["--passphrase-file", text(&wrong)])
        .exits(4)
        .says("does not open the key");
    // Without a terminal there is nobody to ask.
    approve(&[])
        .exits(3)
        .says("passphrase is asked for at a terminal");
    lab.run(&["run", "letter_count", "--input", input]).exits(3);
    // A second key cannot be enrolled without the first one's word.
    lab.run(&[
        "keys",
        "approver",
        "create",
        "--name",
        "mallory",
        "--out",
        text(&lab.dir().join("mallory.key")),
        "--passphrase-file",
        text(&pass),
    ])
    .exits(4)
    .says("needs the word of one of them");
    let stranger = [
        "approvals",
        "approve",
        "1",
        "--key",
        "mallory.key",
        "--passphrase-file",
        text(&pass),
    ];
    lab.run(&stranger)
        .exits(4)
        .says("not an enrolled approver's");
    lab.run(&["run", "letter_count", "--input", input]).exits(3);

    approve(&["--passphrase-file", text(&pass)]).exits(0);
    let ran = lab.json(&["run", "letter_count", "--input", input]);
    assert_eq!(ran["output"], 2);
    let shown = lab.json(&["approvals", "show", "1"]);
    assert_eq!(shown["approval"]["approver"], "alice");
    assert_eq!(shown["approval"]["method"], "key");
    let verified = lab.json(&["tools", "verify", "letter_count", "--offline"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
    assert!(verified["approval"]["signature"]["key"].is_string());
    // Said twice, it is refused.
    approve(&["--passphrase-file", text(&pass)]).exits(4);
    // The key's end is the approval's end.
    let id = verified["approval"]["signature"]["key"].as_str().unwrap();
    lab.run(&["keys", "revoke", &id[..12], "--reason", "lost"])
        .exits(0);
    lab.run(&["run", "letter_count", "--input", input])
        .exits(4)
        .says("was revoked");
    let log = lab.json(&["audit", "log", "--kind", "approval_refused"]);
    assert!(log["events"].as_array().unwrap().len() >= 3, "{log:#}");
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

/// GOV06: a policy made stricter holds what was approved before it.
#[test]
fn a_stricter_policy_asks_again() {
    let lab = lab("");
    let dir = folder(&lab, "lc");
    let input = r#"{"text":"a b"}"#;
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
    lab.run(&["run", "letter_count", "--input", input]).exits(0);
    let (key, pass) = approver(&lab, "alice");
    lab.file(
        "home/policy.toml",
        format!("{POLICY}\n[approval]\nhow = \"key\"\n"),
    );
    lab.run(&["run", "letter_count", "--input", input])
        .exits(4)
        .says("signed with an approver's key");
    lab.run(&[
        "approvals",
        "approve",
        "1",
        "--key",
        text(&key),
        "--passphrase-file",
        text(&pass),
    ])
    .exits(0);
    lab.run(&["run", "letter_count", "--input", input]).exits(0);
    // Its author may not be its only approver.
    lab.file(
        "home/policy.toml",
        format!("{POLICY}\n[approval]\ntwo_person = true\n"),
    );
    let own = folder(&lab, "own");
    lab.run(&["tools", "import", &own, "--yes"])
        .exits(4)
        .says("second person");
}

#[test]
fn odd_folders_are_told_what_to_do_next() {
    let lab = lab("");
    let odd = |name: &str, change: &dyn Fn(&Path)| -> String {
        let dir = folder(&lab, name);
        change(Path::new(&dir));
        dir
    };
    let put = |file: &'static str, text: &'static str| {
        move |dir: &Path| std::fs::write(dir.join(file), text).unwrap()
    };
    let none = odd("none", &|d| {
        std::fs::remove_file(d.join("spec.json")).unwrap();
    });
    lab.run(&["tools", "test", &none])
        .exits(2)
        .says("has no spec.json")
        .says("tools export");
    let bad = odd("bad", &put("cases.jsonl", "{\"input\":{}}\n"));
    lab.run(&["tools", "test", &bad])
        .exits(2)
        .says("cases.jsonl: line 1")
        .says("one case a line");
    let empty = odd("empty", &put("cases.jsonl", "\n"));
    lab.run(&["tools", "test", &empty])
        .exits(4)
        .says("no case")
        .says("write cases to");
    let signature = odd(
        "sig",
        &put(
            "tool.py",
            "\"\"\"X.\"\"\"\n\n\ndef run(*, txt: str) -> int:\n    return 1\n",
        ),
    );
    lab.run(&["tools", "test", &signature])
        .exits(4)
        .says("agree; then handaxe tools test");
    let import = odd(
        "import",
        &put(
            "tool.py",
            "\"\"\"X.\"\"\"\nimport socket\n\n\ndef run(*, text: str) -> int:\n    return 1\n",
        ),
    );
    lab.run(&["tools", "test", &import])
        .exits(4)
        .says("change line 2");
    let wrong = odd("wrong", &|d| {
        std::fs::write(d.join("tool.py"), CODE.replace("+= 1", "+= 2")).unwrap();
    });
    let report = lab.dir().join("report.xml");
    lab.run(&["tools", "test", &wrong, "--junit", text(&report)])
        .exits(4)
        .says("correct");
    let xml = std::fs::read_to_string(&report).unwrap();
    assert!(
        xml.contains("<failure") && xml.contains("letter_count.author"),
        "{xml}"
    );
    lab.run(&["tools", "test", "no_such_tool"])
        .exits(1)
        .says("no folder and no tool");
    lab.run(&["tools", "test", "./nowhere"])
        .exits(2)
        .says("there is no folder");
}

#[test]
fn a_registered_tool_is_tested_by_its_name() {
    let lab = lab("");
    let dir = folder(&lab, "lc");
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
    let report = lab.dir().join("report.xml");
    let tested = lab.json(&["tools", "test", "letter_count@1", "--junit", text(&report)]);
    assert_eq!(tested["accepted"], true, "{tested:#}");
    assert_eq!(tested["cases"].as_array().unwrap().len(), 3);
    assert!(tested["risks"][0]["why"][0].is_string(), "{tested:#}");
    let xml = std::fs::read_to_string(&report).unwrap();
    assert!(
        xml.contains("testsuite") && !xml.contains("<failure"),
        "{xml}"
    );
}
