//! The pages, spoken to in raw HTTP: who may enter, what a form must show, what is decided once.
//! What a browser makes of them is driven by `scripts/web-test`.

use crate::lab::{Lab, example};
use crate::server::{Reply, Server};

/// A header's value, in small letters.
fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == name).then(|| value.trim())
    })
}

/// The value of the first field of this name.
#[track_caller]
fn field(reply: &Reply, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let at = reply.body.find(&mark).expect("the field is there");
    let rest = &reply.body[at + mark.len()..];
    rest[..rest.find('"').unwrap()].to_owned()
}

/// A request of nobody in particular, by the server's own name.
fn ask(server: &Server, method: &str, path: &str, head: &str) -> Reply {
    let head = format!("Host: {}\r\n{head}", server.addr);
    server.raw(method, path, &head, b"")
}

/// A link's path.
fn path_of<'a>(server: &Server, link: &'a str) -> &'a str {
    link.split_once(&server.addr).unwrap().1
}

fn new_link(lab: &Lab) -> String {
    let document = lab.json(&["serve", "login"]);
    document["login"].as_str().unwrap().to_owned()
}

fn sign_in<'a>(server: &'a Server, link: &str) -> Person<'a> {
    let reply = ask(server, "GET", path_of(server, link), "").is(200);
    let cookie = header(&reply, "set-cookie").unwrap();
    for part in ["httponly", "samesite=strict", "max-age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    Person {
        server,
        head: format!("Cookie: {cookie}\r\n"),
    }
}

struct Person<'a> {
    server: &'a Server,
    head: String,
}

impl Person<'_> {
    fn get(&self, path: &str) -> Reply {
        ask(self.server, "GET", path, &self.head)
    }

    fn post(&self, path: &str, more: &str, fields: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let head = format!(
            "Host: {}\r\n{}Content-Type: application/x-www-form-urlencoded\r\n{more}",
            self.server.addr, self.head
        );
        self.server
            .raw("POST", path, &head, pairs.join("&").as_bytes())
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
    let server = Server::start(&lab, &[]);
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
            let reply = ask(&server, "GET", path, head);
            assert_eq!(
                (reply.status, header(&reply, "location")),
                (303, Some("/login")),
                "{path}"
            );
        }
    }
    // Asking whether it is there does not use it up; neither does a guess.
    assert_eq!(
        ask(&server, "HEAD", path_of(&server, &server.login), "").status,
        200
    );
    let guess = format!("/login?token={}", "0".repeat(64));
    assert_eq!(ask(&server, "GET", &guess, "").status, 410);
    assert_eq!(
        ask(&server, "GET", "/login?token=../server-token", "").status,
        410
    );
    let alice = sign_in(&server, &server.login);
    assert_eq!(alice.get("/").status, 200);
    assert_eq!(
        ask(&server, "GET", path_of(&server, &server.login), "").status,
        410
    );
    // Another process of the home makes another.
    let again = sign_in(&server, &new_link(&lab));
    let csrf = field(&again.get("/"), "csrf");
    assert_eq!(again.post("/logout", "", &[("csrf", &csrf)]).status, 303);
    assert_eq!(again.get("/").status, 303);
    assert_eq!(alice.get("/").status, 200);
}

#[test]
fn every_answer_bears_the_shield_and_names_are_checked() {
    let lab = Lab::new();
    let server = Server::start(&lab, &[]);
    let alice = sign_in(&server, &server.login);
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
        let policy = header(&reply, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"));
        let cache = header(&reply, "cache-control").unwrap();
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
    assert_eq!(server.raw("GET", "/", &rebound, b"").status, 403);
    assert_eq!(ask(&server, "DELETE", "/", &alice.head).status, 405);
    let large = "x".repeat(2 << 20);
    assert_eq!(alice.post("/logout", "", &[("csrf", &large)]).status, 413);
    // A form with files may be larger, and has an end as well. It may be cut off before it is whole.
    let csrf = field(&alice.get("/runs"), "csrf");
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"");
    let mut body = format!(
        "{}\r\n\r\n{csrf}\r\n{}\r\n\r\nhow many lines?\r\n{}; filename=\"a.csv\"\r\n\r\n",
        part("csrf"),
        part("question"),
        part("data")
    )
    .into_bytes();
    body.resize((64 << 20) + 1, b'x');
    body.extend(b"\r\n--b--\r\n");
    let head = format!(
        "Host: {}\r\n{}Content-Type: multipart/form-data; boundary=b\r\n",
        server.addr, alice.head
    );
    let reply = server.raw("POST", "/runs", &head, &body);
    assert!(matches!(reply.status, 413 | 0), "{}", reply.status);
    assert_eq!(lab.json(&["runs", "list"])["runs"], serde_json::json!([]));
}

/// Every form that changes something, without the session's token and from another's page.
#[test]
fn what_changes_something_comes_from_our_own_page() {
    let lab = Lab::new();
    waiting(&lab, &[SHARE]);
    let server = Server::start(&lab, &[]);
    let alice = sign_in(&server, &server.login);
    let page = alice.get("/approvals/1");
    let (csrf, digest) = (field(&page, "csrf"), field(&page, "digest"));
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
        "Host: {}\r\n{}Content-Type: multipart/form-data; boundary=b\r\n",
        server.addr, alice.head
    );
    for (token, status) in [("0000", 403), (csrf.as_str(), 404)] {
        let body = multipart(token);
        let reply = server.raw("POST", "/tools/abc/1/try", &head, body.as_bytes());
        assert_eq!(reply.status, status, "{}", reply.body);
    }
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
    let server = Server::start(&lab, &[]);
    let alice = sign_in(&server, &server.login);
    let page = alice.get("/approvals/1");
    let (csrf, digest) = (field(&page, "csrf"), field(&page, "digest"));
    let csrf = ("csrf", csrf.as_str());
    let events = || {
        let log = lab.json(&["audit", "log"]);
        log["events"].as_array().unwrap().len()
    };
    let other = field(&alice.get("/approvals/2"), "digest");
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
    let server = Server::start(&lab, &[]);
    let alice = sign_in(&server, &server.login);
    let page = alice.get("/approvals/1");
    assert!(page.body.contains("type=\"password\""));
    let (csrf, digest) = (field(&page, "csrf"), field(&page, "digest"));
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
        let alice = sign_in(server, &server.login);
        let csrf = field(&alice.get("/"), "csrf");
        let picks: Vec<String> = ["1", "2"]
            .iter()
            .map(|id| {
                format!(
                    "{id}:{}",
                    field(&alice.get(&format!("/approvals/{id}")), "digest")
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
    let server = Server::start(&lab, &[]);
    let reply = pick(&server);
    assert_eq!(reply.status, 422, "{}", reply.body);
    drop(server);
    lab.file(
        "home/policy.toml",
        "[trial]\nfuzz_inputs = 24\nmutants = 0\n[approval]\nbatch = true\n",
    );
    let server = Server::start(&lab, &[]);
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
    let alice = sign_in(&server, &new_link(&lab));
    let page = alice.get("/approvals/3");
    let pick = format!("3:{}", field(&page, "digest"));
    let fields = [("csrf", field(&page, "csrf")), ("pick", pick)];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let reply = alice.post("/approvals/batch", "", &fields);
    assert!(
        reply.body.contains("it asks for a look of its own"),
        "{}",
        reply.body
    );
    assert_eq!(state("3"), "waiting");
}
