//! Exports and imports as people at a command line meet them. That the package installs and passes
//! under plain pytest, and that the skill validates, is for `scripts/export-test`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::lab::{Lab, finish};

const CODE: &str = r#""""Counts words."""


def run(*, text: str, least: int = 1) -> dict:
    """Count the words of at least so many letters."""
    if least < 1:
        raise ValueError("least must be positive")
    words = [w for w in text.split() if len(w) >= least]
    return {"words": len(words)}
"#;

const CASES: &str = r#"{"name":"two","input":{"text":"a b"},"expect":{"words":2}}
{"name":"long","input":{"text":"a bcd","least":2},"expect":{"words":1}}
{"name":"none","input":{"text":"  "},"expect":{"words":0}}
{"name":"boundary","input":{"text":"ab abc","least":3},"expect":{"words":1}}
{"name":"shape","input":{"text":"x y z"},"holds":"output['words'] <= len(input['text'])"}
"#;

fn spec(name: &str, text: &Value) -> Value {
    json!({
        "name": name, "description": "Counts the words of a text.", "domain": "text",
        "input_schema": {
            "type": "object", "additionalProperties": false, "required": ["text"],
            "properties": {
                "text": text,
                "least": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1},
            },
        },
        "output_schema": {
            "type": "object", "additionalProperties": false, "required": ["words"],
            "properties": {"words": {"type": "integer"}},
        },
    })
}

fn folder(lab: &Lab, name: &str, text: &Value) -> String {
    lab.file(&format!("{name}/tool.py"), CODE);
    lab.file(&format!("{name}/spec.json"), spec(name, text).to_string());
    lab.file(&format!("{name}/cases.jsonl"), CASES);
    lab.dir().join(name).to_str().unwrap().to_owned()
}

fn made(lab: &Lab) {
    let dir = folder(lab, "word_count", &json!({"type": "string"}));
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
}

fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in std::fs::read_dir(&at).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
                continue;
            }
            let name = entry.path().strip_prefix(dir).unwrap().to_owned();
            let bytes = std::fs::read(entry.path()).unwrap();
            out.insert(name.to_str().unwrap().to_owned(), bytes);
        }
    }
    out
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Form → the file that makes it one, and where the signed folder lies.
const FORMS: &[(&str, &str, &str)] = &[
    ("folder", "tool.py", ""),
    ("python", "pyproject.toml", "src/word_count_tool"),
    ("skill", "SKILL.md", "tool"),
    ("openai", "tool.chat.json", "tool"),
    ("anthropic", "tool.json", "tool"),
    ("mcp", "server.py", "tool"),
];

#[test]
fn every_form_is_deterministic_verifies_and_comes_back() {
    let lab = Lab::new();
    made(&lab);
    let key = lab.dir().join("home.pub");
    lab.run(&["keys", "export", "--out", text(&key)]).exits(0);
    let here = lab.json(&["tools", "show", "word_count"]);
    for (form, mark, signed) in FORMS {
        let export = |into: &str, more: &[&str]| {
            let out = lab.dir().join(into);
            let mut args = vec![
                "tools",
                "export",
                "word_count",
                "--as",
                form,
                "--no-strict",
                "--out",
                text(&out),
            ];
            args.extend(more);
            lab.run(&args)
        };
        let into = format!("out/{form}/word-count");
        let out = lab.dir().join(&into);
        export(&into, &[]).exits(0);
        let first = tree(&out);
        assert!(first.contains_key(*mark), "{form}: {:?}", first.keys());
        // The same bytes again; nothing is replaced unasked.
        export(&into, &[])
            .exits(1)
            .says("is not empty")
            .says("--force");
        export(&into, &["--force"]).exits(0);
        assert_eq!(tree(&out), first, "{form}");
        let dir = out.join(signed);
        lab.run(&[
            "tools",
            "verify",
            "--against",
            text(&dir),
            "--key",
            text(&key),
            "--offline",
        ])
        .exits(0);
        if *form != "folder" {
            let readme = String::from_utf8(first["README.md"].clone()).unwrap();
            assert!(readme.contains("Outside the sandbox"), "{form}");
            assert!(readme.contains("nothing bounds its time"), "{form}");
        }
        // Another home takes it as a draft, proves it anew, and has the same code.
        let other = Lab::new();
        let waiting = other
            .run(&["tools", "import", text(&out), "--json"])
            .exits(3);
        assert_eq!(waiting.json()["state"], "waiting");
        let draft = other.json(&["tools", "show", "word_count"]);
        assert_eq!(draft["state"], "pending", "{form}");
        assert_eq!(draft["code"], here["code"]);
        assert_eq!(draft["digest"], here["digest"], "{form}");
        let why = draft["why"].as_str().unwrap();
        assert_eq!(why.contains("imported"), *form != "folder", "{form}: {why}");
    }
}

#[test]
fn what_a_provider_cannot_express_is_said() {
    let lab = Lab::new();
    let dir = folder(&lab, "bounded", &json!({"type": "string", "maxLength": 40}));
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
    for form in ["openai", "anthropic"] {
        let out = lab.dir().join(form);
        let args = [
            "tools",
            "export",
            "bounded",
            "--as",
            form,
            "--out",
            text(&out),
        ];
        lab.run(&args)
            .exits(1)
            .says("cannot express")
            .says("/properties/")
            .says("--no-strict");
        assert!(!out.exists(), "a refused export leaves nothing");
        let mut loose = args.to_vec();
        loose.push("--no-strict");
        lab.run(&loose).exits(0);
        let readme = std::fs::read_to_string(out.join("README.md")).unwrap();
        assert!(readme.contains("Without `strict`"), "{readme}");
    }
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(lab.dir().join(path)).unwrap()).unwrap()
    };
    assert_eq!(read("openai/tool.chat.json")["function"]["strict"], false);
    assert_eq!(read("openai/tool.responses.json")["name"], "bounded");
    assert_eq!(read("anthropic/tool.json").get("strict"), None);
    let kept = &read("anthropic/tool.json")["input_schema"]["properties"]["text"];
    assert_eq!(kept["maxLength"], 40);
    // One that fits the stricter subset is strict.
    made(&lab);
    let out = lab.dir().join("strict");
    lab.run(&[
        "tools",
        "export",
        "word_count",
        "--as",
        "openai",
        "--out",
        text(&out),
    ])
    .exits(0);
    let tool = read("strict/tool.responses.json");
    assert_eq!(tool["strict"], true);
    assert_eq!(tool["parameters"]["required"], json!(["least", "text"]));
    // The model's call, answered as the README says.
    for (arguments, code, said) in [
        (r#"{"text":"a b","least":null}"#, 0, r#"{"words": 2}"#),
        (r#"{"text":"a b","least":0}"#, 1, "least must be positive"),
        (r#"{"words":"a b"}"#, 2, "no argument is named words"),
        (r#"{"text":"a","text":"b"}"#, 2, "twice"),
        (r#"{"text":NaN}"#, 2, "NaN"),
    ] {
        let mut python = lab.command_of("/usr/bin/python3");
        python.arg(out.join("call.py")).arg(arguments);
        finish(python).exits(code).says(said);
    }
    assert!(!out.join("tool/__pycache__").exists());
}

#[test]
fn the_exported_server_speaks_the_protocol() {
    let lab = Lab::new();
    made(&lab);
    let out = lab.dir().join("server");
    lab.run(&[
        "tools",
        "export",
        "word_count",
        "--as",
        "mcp",
        "--out",
        text(&out),
    ])
    .exits(0);
    let settings: Value =
        serde_json::from_slice(&std::fs::read(out.join("mcp.json")).unwrap()).unwrap();
    let server = &settings["mcpServers"]["word_count"];
    let mut child = Command::new(server["command"].as_str().unwrap())
        .arg(server["args"][0].as_str().unwrap())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |message: &str| -> Value {
        writeln!(to, "{message}").unwrap();
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let began = ask(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    );
    assert_eq!(began["result"]["protocolVersion"], "2025-06-18");
    let tools = ask(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert_eq!(tools["result"]["tools"][0]["name"], "word_count");
    let call = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{{"name":"word_count","arguments":{arguments}}}}}"#
        )
    };
    let ran = ask(&call(r#"{"text":"a b"}"#));
    assert_eq!(ran["result"]["structuredContent"], json!({"words": 2}));
    let failed = ask(&call(r#"{"text":"a b","least":0}"#));
    assert_eq!(failed["result"]["isError"], true);
    assert_eq!(ask("not json")["error"]["code"], -32700);
    assert_eq!(ask("[]")["error"]["code"], -32600);
    assert_eq!(
        ask(r#"{"jsonrpc":"2.0","id":4,"method":"x"}"#)["error"]["code"],
        -32601
    );
    drop(to);
    assert!(child.wait().unwrap().success());
}

#[test]
fn hostile_folders_are_refused_and_nothing_is_read_through_a_link() {
    let lab = Lab::new();
    made(&lab);
    let secret = lab.file("secret.py", CODE);
    let export = |form: &str, into: &str| {
        let out = lab.dir().join(into).join("word-count");
        lab.run(&[
            "tools",
            "export",
            "word_count",
            "--as",
            form,
            "--out",
            text(&out),
        ])
        .exits(0);
        out
    };
    let replaced = |dir: &Path, file: &str, with: &dyn Fn(&Path)| {
        let path = dir.join(file);
        std::fs::remove_file(&path).unwrap();
        with(&path);
    };
    let refused = |dir: &Path, code: i32, said: &str| {
        let before = lab.json(&["tools", "list", "--all"]);
        lab.run(&["tools", "import", text(dir), "--yes"])
            .exits(code)
            .says(said);
        assert_eq!(
            lab.json(&["tools", "list", "--all"]),
            before,
            "nothing was registered"
        );
    };
    let linked = export("python", "a");
    replaced(&linked, "src/word_count_tool/tool.py", &|p| {
        symlink(&secret, p).unwrap();
    });
    // The probe is live: the link leads to a tool that would be taken.
    assert_eq!(
        std::fs::read_to_string(linked.join("src/word_count_tool/tool.py")).unwrap(),
        CODE
    );
    refused(&linked, 4, "links are not followed");

    let module = export("python", "b");
    let real = module.join("src/word_count_tool");
    std::fs::rename(&real, lab.dir().join("elsewhere")).unwrap();
    symlink(lab.dir().join("elsewhere"), &real).unwrap();
    refused(&module, 2, "did not export");

    let skill = export("skill", "c");
    replaced(&skill, "tool/cases.jsonl", &|p| {
        symlink("../../../secret.py", p).unwrap();
    });
    refused(&skill, 4, "links are not followed");

    let large = export("skill", "d");
    replaced(&large, "tool/tool.py", &|p| {
        let file = std::fs::File::create(p).unwrap();
        file.set_len(1 << 40).unwrap();
    });
    refused(&large, 2, "is larger than");

    let pipe = export("folder", "e");
    replaced(&pipe, "tool.py", &|p| {
        assert!(Command::new("mkfifo").arg(p).status().unwrap().success());
    });
    refused(&pipe, 4, "not a plain file");

    let two = export("python", "f");
    let copy = two.join("src/other_tool");
    std::fs::create_dir(&copy).unwrap();
    for file in ["tool.py", "spec.json"] {
        std::fs::copy(two.join("src/word_count_tool").join(file), copy.join(file)).unwrap();
    }
    refused(&two, 2, "two tools");

    let foreign = lab.dir().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("SKILL.md"), "---\nname: foreign\n---\n").unwrap();
    refused(&foreign, 2, "did not export");
    std::fs::write(foreign.join("pyproject.toml"), "[project]\n").unwrap();
    refused(&foreign, 2, "did not export");

    // What it says of itself counts for nothing: a changed tool is proved like any other.
    let changed = export("python", "g");
    replaced(&changed, "src/word_count_tool/tool.py", &|p| {
        std::fs::write(p, CODE.replace("len(words)}", "len(words) + 1}")).unwrap();
    });
    lab.run(&["tools", "import", text(&changed), "--yes"])
        .exits(4);
    // An export follows no link either.
    let link = lab.dir().join("link");
    symlink(lab.dir().join("elsewhere"), &link).unwrap();
    lab.run(&[
        "tools",
        "export",
        "word_count",
        "--out",
        text(&link),
        "--force",
    ])
    .exits(1)
    .says("is a link");
    lab.run(&[
        "tools",
        "export",
        "word_count",
        "--out",
        text(&lab.home()),
        "--force",
    ])
    .exits(1)
    .says("what no export wrote");
}

#[test]
fn the_site_stands_alone_and_its_links_lead_somewhere() {
    let lab = Lab::new();
    let empty = lab.dir().join("empty");
    lab.run(&["tools", "docs", "--site", text(&empty)]).exits(0);
    assert!(
        std::fs::read_to_string(empty.join("index.html"))
            .unwrap()
            .contains("library is empty")
    );
    made(&lab);
    let mut odd = spec("odd_words", &json!({"type": "string"}));
    odd["description"] =
        json!("Counts </title><script>alert(1)</script> \"words\" & more \u{202e}.");
    let dir = folder(&lab, "odd_words", &json!({"type": "string"}));
    lab.file("odd_words/spec.json", odd.to_string());
    lab.run(&["tools", "import", &dir, "--yes"]).exits(0);
    // A second version of the first.
    let newer = CODE.replace("words = [w", "words = [  # again\n        w");
    lab.file("word_count/tool.py", newer);
    lab.run(&[
        "tools",
        "import",
        text(&lab.dir().join("word_count")),
        "--yes",
    ])
    .exits(0);

    let site = lab.dir().join("site");
    lab.run(&["tools", "docs", "--site", text(&site)]).exits(0);
    let files = tree(&site);
    let mut links = 0;
    let mut pages = 0;
    for (name, bytes) in files
        .iter()
        .filter(|(n, _)| Path::new(n).extension().is_some_and(|e| e == "html"))
    {
        pages += 1;
        let html = std::str::from_utf8(bytes).unwrap();
        assert!(
            !html.contains("<script>") && !html.contains('\u{202e}'),
            "{name}"
        );
        assert!(
            !html.contains(" style=") && !html.contains(" onclick"),
            "{name}"
        );
        for attribute in ["href=\"", "src=\""] {
            for part in html.split(attribute).skip(1) {
                let target = part.split('"').next().unwrap();
                assert!(!target.contains("//"), "{name} reaches elsewhere: {target}");
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                if file.is_empty() {
                    assert!(
                        html.contains(&format!("id=\"{anchor}\"")),
                        "{name}: #{anchor}"
                    );
                    continue;
                }
                let file = file.replace("%2F", "/");
                let found = site.join(name).parent().unwrap().join(&file).canonicalize();
                let found = found.unwrap_or_else(|e| panic!("{name}: {file}: {e}"));
                assert!(found.starts_with(site.canonicalize().unwrap()));
                links += 1;
            }
        }
    }
    assert!(pages == 4 && links > 30, "{pages} pages, {links} links");
    let css = std::str::from_utf8(&files["style.css"]).unwrap();
    assert!(!css.contains("url(") && !css.contains("@import"));
    let index = std::str::from_utf8(&files["index.html"]).unwrap();
    assert_eq!(
        index.matches("<li data-words").count(),
        2,
        "the newest of each"
    );
    assert!(index.contains("word_count-2.html"));
    lab.run(&["tools", "docs", "--site", text(&site)])
        .exits(1)
        .says("--force");
    lab.run(&["tools", "docs", "--site", text(&site), "--force"])
        .exits(0);
    assert_eq!(tree(&site), files, "the same bytes again");
    // What lies beside a page verifies.
    let signed = site.join("tools/word_count-1");
    lab.run(&["tools", "verify", "--against", text(&signed), "--offline"])
        .exits(0);
}
