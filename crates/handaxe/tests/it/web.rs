//! The pages, spoken to in raw HTTP: who may enter, what a form must show, what is decided once.
//! What a browser makes of them is driven by `scripts/web-test`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, example};

const PATIENCE: Duration = Duration::from_mins(1);

/// A server of one lab; it dies with this.
struct Server {
    child: Child,
    addr: String,
    login: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The value of the first field of this name.
    #[track_caller]
    fn field(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let at = self.body.find(&mark).expect("the field is there");
        let rest = &self.body[at + mark.len()..];
        rest[..rest.find('"').unwrap()].to_owned()
    }
}

impl Server {
    fn start(lab: &Lab) -> Self {
        let mut command = lab.command(&[
            "serve",
            "--addr",
            "127.0.0.1:0",
            "--model",
            "composer",
            "--json",
        ]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let document: Value = loop {
            assert!(out.read_line(&mut said).unwrap() > 0, "{said}");
            if let Ok(document) = serde_json::from_str(&said) {
                break document;
            }
        };
        let text = |key: &str| document[key].as_str().unwrap().to_owned();
        let addr = text("web").trim_start_matches("http://").replace('/', "");
        let login = text("login").replace(&text("web"), "/");
        Self { child, addr, login }
    }

    fn ask(&self, method: &str, path: &str, head: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if head.contains("Host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.addr)
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {}\r\n{head}\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
        Reply {
            status: head.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(0),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn sign_in(&self, link: &str) -> Person<'_> {
        let reply = self.ask("GET", link, "", "");
        assert_eq!(reply.status, 200, "{reply:?}");
        let cookie = reply.header("set-cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Max-Age="] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let cookie = cookie.split(';').next().unwrap();
        Person {
            server: self,
            head: format!("Cookie: {cookie}\r\n"),
        }
    }
}

struct Person<'a> {
    server: &'a Server,
    head: String,
}

impl Person<'_> {
    fn get(&self, path: &str) -> Reply {
        self.server.ask("GET", path, &self.head, "")
    }

    fn post(&self, path: &str, more: &str, fields: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let head = format!(
            "{}Content-Type: application/x-www-form-urlencoded\r\n{more}",
            self.head
        );
        self.server.ask("POST", path, &head, &pairs.join("&"))
    }
}

fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
        _ => format!("%{b:02x}"),
    };
    text.bytes().map(byte).collect()
}

/// Has tools wait for approval.
fn waiting(lab: &Lab, questions: &[&str]) {
    for question in questions {
        lab.run(&["make", question, "--data", &example("orders.csv")])
            .exits(3);
    }
}

const SHARE: &str = "What is the share of quantity by region?";
const DEAREST: &str = "Which are the five most expensive orders?";

#[test]
fn nobody_enters_without_a_link_and_a_link_opens_once() {
    let lab = Lab::new();
    let server = Server::start(&lab);
    let token = std::fs::read_to_string(lab.home().join("keys/server-token")).unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", token.trim());
    for path in [
        "/",
        "/approvals",
        "/approvals/1",
        "/tools/abc",
        "/results/1/x",
    ] {
        for head in ["", "Cookie: handaxe=x\r\n", bearer.as_str()] {
            let reply = server.ask("GET", path, head, "");
            assert_eq!(
                (reply.status, reply.header("location")),
                (303, Some("/login")),
                "{path}"
            );
        }
    }
    // Asking whether it is there does not use it up; neither does a guess.
    assert_eq!(server.ask("HEAD", &server.login, "", "").status, 200);
    let guess = format!("/login?token={}", "0".repeat(64));
    assert_eq!(server.ask("GET", &guess, "", "").status, 410);
    assert_eq!(
        server
            .ask("GET", "/login?token=../server-token", "", "")
            .status,
        410
    );
    let alice = server.sign_in(&server.login);
    assert_eq!(alice.get("/").status, 200);
    assert_eq!(server.ask("GET", &server.login, "", "").status, 410);
    // Another process of the home makes another.
    let link = lab.json(&["serve", "login"])["login"]
        .as_str()
        .unwrap()
        .to_owned();
    let link = link.split_once(&server.addr).unwrap().1.to_owned();
    let again = server.sign_in(&link);
    let csrf = again.get("/").field("csrf");
    assert_eq!(again.post("/logout", "", &[("csrf", &csrf)]).status, 303);
    assert_eq!(again.get("/").status, 303);
    assert_eq!(alice.get("/").status, 200);
}

#[test]
fn every_answer_bears_the_shield_and_names_are_checked() {
    let lab = Lab::new();
    let server = Server::start(&lab);
    let alice = server.sign_in(&server.login);
    let page = alice.get("/");
    let css = page.body.split("href=\"/assets/").nth(2).unwrap();
    let css = format!("/assets/{}", css.split('"').next().unwrap());
    for (path, status) in [
        ("/", 200),
        ("/nothing", 404),
        ("/login", 200),
        (css.as_str(), 200),
    ] {
        let reply = alice.get(path);
        assert_eq!(reply.status, status, "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let cache = reply.header("cache-control").unwrap();
        assert_eq!(cache.contains("immutable"), path == css, "{path}: {cache}");
        // No line of script or style is in a page.
        for inline in [" style=", "<style", "javascript:", " onclick="] {
            assert!(
                !reply.body.contains(inline) || path == css,
                "{path}: {inline}"
            );
        }
    }
    assert_eq!(alice.get("/assets/0000000000000000/app.css").status, 404);
    for odd in [
        "/approvals/x",
        "/approvals/99999999999999999999",
        "/tools/%00",
        "/tools/A%20b",
        "/tools/abc?v=x",
        "/tools/abc?v=-1",
        "/tools/abc/diff",
        "/tools/abc/diff?from=1&to=2",
        "/results/1/..%2f..%2fhandaxe.db",
        "/%ff",
    ] {
        let reply = alice.get(odd);
        assert_eq!(reply.status, 404, "{odd}: {}", reply.body);
        assert!(reply.body.starts_with("<!doctype html>"), "{odd}");
    }
    let rebound = format!("Host: evil.example\r\n{}", alice.head);
    assert_eq!(server.ask("GET", "/", &rebound, "").status, 403);
    assert_eq!(server.ask("DELETE", "/", &alice.head, "").status, 405);
    let large = "x".repeat(2 << 20);
    assert_eq!(alice.post("/logout", "", &[("csrf", &large)]).status, 413);
}

/// Every form that changes something, without the session's token and from another's page.
#[test]
fn what_changes_something_comes_from_our_own_page() {
    let lab = Lab::new();
    waiting(&lab, &[SHARE]);
    let server = Server::start(&lab);
    let alice = server.sign_in(&server.login);
    let page = alice.get("/approvals/1");
    let (csrf, digest) = (page.field("csrf"), page.field("digest"));
    let ours = format!(
        "Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n",
        server.addr
    );
    let good = ("csrf", csrf.as_str());
    for path in [
        "/approvals/1/approve",
        "/approvals/1/reject",
        "/approvals/batch",
        "/logout",
    ] {
        let fields = [
            ("digest", digest.as_str()),
            ("reason", "no"),
            ("pick", "1:x"),
        ];
        let with = |token| [&[token], &fields[..]].concat();
        let wrong = ("csrf", "0000");
        for (what, head, fields) in [
            ("no token", ours.as_str(), fields.to_vec()),
            ("another token", &ours, with(wrong)),
            ("an empty token", &ours, with(("csrf", ""))),
            (
                "another origin",
                "Origin: http://evil.example\r\n",
                with(good),
            ),
            ("another port", "Origin: http://localhost:1\r\n", with(good)),
            (
                "no origin that can be named",
                "Origin: null\r\n",
                with(good),
            ),
            ("another site", "Sec-Fetch-Site: cross-site\r\n", with(good)),
        ] {
            let reply = alice.post(path, head, &fields);
            assert_eq!(reply.status, 403, "{path}: {what}: {}", reply.body);
        }
    }
    // A form with files is no way around it.
    let multipart = |token: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{token}\r\n--b--\r\n")
    };
    let head = format!(
        "{}Content-Type: multipart/form-data; boundary=b\r\n",
        alice.head
    );
    let path = "/tools/abc/1/try";
    assert_eq!(
        server.ask("POST", path, &head, &multipart("0000")).status,
        403
    );
    assert_eq!(
        server.ask("POST", path, &head, &multipart(&csrf)).status,
        404
    );
    let state = |id: &str| lab.json(&["approvals", "show", id])["approval"]["state"].clone();
    assert_eq!(state("1"), "waiting");
    let reply = alice.post("/approvals/1/approve", &ours, &[good, ("digest", &digest)]);
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(state("1"), "approved");
}

#[test]
fn a_decision_is_about_what_was_shown_and_is_taken_once() {
    let lab = Lab::new();
    waiting(&lab, &[SHARE, DEAREST]);
    let server = Server::start(&lab);
    let alice = server.sign_in(&server.login);
    let page = alice.get("/approvals/1");
    let (csrf, digest) = (page.field("csrf"), page.field("digest"));
    let csrf = ("csrf", csrf.as_str());
    let events = || {
        let log = lab.json(&["audit", "log"]);
        log["events"].as_array().unwrap().len()
    };
    let other = alice.get("/approvals/2").field("digest");
    let before = events();
    let stale = alice.post("/approvals/1/approve", "", &[csrf, ("digest", &other)]);
    assert_eq!(stale.status, 409);
    assert!(
        stale.body.contains(&digest) && stale.body.contains(&other),
        "both are named"
    );
    for none in ["", "xyz", &digest[1..]] {
        let reply = alice.post("/approvals/1/approve", "", &[csrf, ("digest", none)]);
        assert_eq!(reply.status, 400, "{none}");
    }
    let blank = [csrf, ("digest", digest.as_str()), ("reason", "  ")];
    let reply = alice.post("/approvals/1/reject", "", &blank);
    assert_eq!(reply.status, 422);
    assert_eq!(events(), before, "nothing was decided");

    let yes = [csrf, ("digest", digest.as_str())];
    assert_eq!(alice.post("/approvals/1/approve", "", &yes).status, 303);
    let decided = events();
    assert_eq!(alice.post("/approvals/1/approve", "", &yes).status, 303);
    assert_eq!(events(), decided, "the second sending changed nothing");
    let no = [csrf, ("digest", digest.as_str()), ("reason", "late")];
    let late = alice.post("/approvals/1/reject", "", &no);
    assert_eq!(late.status, 409);
    assert!(
        late.body.contains("is approved already, by tester"),
        "{}",
        late.body
    );
    let shown = lab.json(&["approvals", "show", "1"]);
    assert_eq!(shown["approval"]["method"], "browser");
    assert_eq!(shown["approval"]["approver"], "tester");

    // What is said in a reason is kept as it stands, and shown escaped.
    let reason = "<script>alert(1)</script> \u{202e}\"'&";
    let no = [csrf, ("digest", other.as_str()), ("reason", reason)];
    assert_eq!(alice.post("/approvals/2/reject", "", &no).status, 303);
    assert_eq!(
        lab.json(&["approvals", "show", "2"])["approval"]["reason"],
        reason
    );
    let page = alice.get("/approvals/2").body;
    assert!(
        page.contains("&#60;script&#62;alert(1)") && page.contains("\\u{202e}"),
        "{page}"
    );
    assert!(!page.contains("<script>alert") && !page.contains('\u{202e}'));
}

/// Under `how = "key"` the page asks for the passphrase, and a session alone approves nothing.
#[test]
fn where_the_policy_asks_for_a_key_the_passphrase_is_needed() {
    let lab = Lab::new();
    waiting(&lab, &[SHARE]);
    lab.file(
        "home/policy.toml",
        "[trial]\nfuzz_inputs = 24\nmutants = 0\n[approval]\nhow = \"key\"\n",
    );
    let pass = "four words put together";
    let file = lab.file("pass", pass);
    lab.run(&[
        "keys",
        "approver",
        "create",
        "--passphrase-file",
        file.to_str().unwrap(),
    ])
    .exits(0);
    let server = Server::start(&lab);
    let alice = server.sign_in(&server.login);
    let page = alice.get("/approvals/1");
    assert!(page.body.contains("type=\"password\""));
    let (csrf, digest) = (page.field("csrf"), page.field("digest"));
    let key = page.body.split("<option value=\"").nth(1).unwrap()[..64].to_owned();
    let yes = |passphrase: &str| {
        let fields = [
            ("csrf", csrf.as_str()),
            ("digest", &digest),
            ("key", &key),
            ("passphrase", passphrase),
        ];
        alice.post("/approvals/1/approve", "", &fields)
    };
    for wrong in ["", "four words put apart"] {
        let reply = yes(wrong);
        assert_eq!(reply.status, 422, "{}", reply.body);
        assert!(wrong.is_empty() || !reply.body.contains(wrong));
    }
    let state = || lab.json(&["approvals", "show", "1"])["approval"]["state"].clone();
    assert_eq!(state(), "waiting");
    assert_eq!(yes(pass).status, 303);
    assert_eq!(state(), "approved");
    // It is nowhere in the home.
    for entry in std::fs::read_dir(lab.home()).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(pass.len()).any(|w| w == pass.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
}

/// A batch takes only what nothing stands out of, and only where the policy allows it.
#[test]
fn a_batch_is_the_policys_to_allow() {
    let lab = Lab::new();
    waiting(&lab, &[SHARE, DEAREST]);
    let pick = |server: &Server| {
        let alice = server.sign_in(&server.login);
        let csrf = alice.get("/").field("csrf");
        let picks: Vec<String> = ["1", "2"]
            .iter()
            .map(|id| {
                format!(
                    "{id}:{}",
                    alice.get(&format!("/approvals/{id}")).field("digest")
                )
            })
            .collect();
        let fields = [
            ("csrf", csrf.as_str()),
            ("pick", picks[0].as_str()),
            ("pick", picks[1].as_str()),
        ];
        alice.post("/approvals/batch", "", &fields)
    };
    let server = Server::start(&lab);
    let reply = pick(&server);
    assert_eq!(reply.status, 422, "{}", reply.body);
    drop(server);
    lab.file(
        "home/policy.toml",
        "[trial]\nfuzz_inputs = 24\nmutants = 0\n[approval]\nbatch = true\n",
    );
    let server = Server::start(&lab);
    let reply = pick(&server);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let state = |id: &str| lab.json(&["approvals", "show", id])["approval"]["state"].clone();
    assert_eq!(
        (state("1"), state("2")),
        ("approved".into(), "approved".into())
    );

    // What a person wrote asks for a look of its own, whatever is picked.
    let spec = r#"{"name":"same_text","description":"Gives a text back.","domain":"text",
        "input_schema":{"type":"object","additionalProperties":false,"required":["text"],
        "properties":{"text":{"type":"string"}}},"output_schema":{"type":"string"}}"#;
    let code = "\"\"\"Gives it back.\"\"\"\n\n\ndef run(*, text: str) -> str:\n    return text\n";
    let cases = "{\"name\":\"a\",\"input\":{\"text\":\"a\"},\"expect\":\"a\"}\n";
    for (name, text) in [
        ("tool.py", code),
        ("spec.json", spec),
        ("cases.jsonl", cases),
    ] {
        lab.file(&format!("own/{name}"), text);
    }
    let own = lab.dir().join("own");
    lab.run(&["tools", "import", own.to_str().unwrap()])
        .exits(3);
    let link = lab.json(&["serve", "login"])["login"]
        .as_str()
        .unwrap()
        .to_owned();
    let alice = server.sign_in(link.split_once(&server.addr).unwrap().1);
    let page = alice.get("/approvals/3");
    let pick = format!("3:{}", page.field("digest"));
    let fields = [("csrf", page.field("csrf")), ("pick", pick)];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let reply = alice.post("/approvals/batch", "", &fields);
    assert!(
        reply.body.contains("it asks for a look of its own"),
        "{}",
        reply.body
    );
    assert_eq!(state("3"), "waiting");
}
