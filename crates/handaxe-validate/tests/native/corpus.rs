//! Programs that try to get round the static policy, run with no policy at all: what the sandbox
//! holds, it must be seen to hold. `tests/corpus/README.md` says of every program which of the two
//! stops it; this test writes that table and compares.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use handaxe_sandbox::{Call, Cancel, Sandbox, SessionSpec};
use handaxe_types::{Outcome, Severity, StaticPolicy};
use handaxe_validate::vet;
use serde_json::{Value, json};

const WORDS: &str = "canary words";

/// Runs a program, its `run` if it has one, and then tries the plain ways out: whatever the program
/// got hold of, this is what it would be for.
const DRIVER: &str = r#"
import os, socket


def run(program, canary, port):
    space = {"__name__": "tool", "CANARY": canary, "PORT": port}
    got, raised = None, None
    try:
        exec(compile(program.encode(), "tool.py", "exec", dont_inherit=True), space)
        if callable(space.get("run")):
            got = space["run"]()
    except BaseException as error:
        raised = type(error).__name__
    return {"got": repr(got)[:2000], "raised": raised, "reached": after(canary, port)}


def after(canary, port):
    reached = []
    for name, way in {
        "read": lambda: open(canary).read(),
        "write": lambda: open(canary + ".new", "w").close(),
        "remove": lambda: os.unlink(canary),
        "list": lambda: os.listdir(canary.rpartition("/")[0]),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), timeout=2).close(),
        "fork": lambda: os.fork() or os._exit(0),
        "execute": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "environment": lambda: os.environ["SECRET"],
    }.items():
        try:
            way()
            reached.append(name)
        except Exception:
            pass
    return reached
"#;

/// The families that have to be there. Parser bombs are in `static_policy.rs` and `vetting.rs`,
/// invisible and reordering characters beside `text.rs`.
const FAMILIES: &[(&str, &str)] = &[
    (
        "STAT01",
        "getattr/ classes/ import/ loaders/ frames/ strings/format metaclass/ decorators/ patterns/ \
         modules/sys_modules reexport/ ctypes/ pickle/ frames/settrace gc/ codecs/ code/ hooks/ \
         hooks/atexit hooks/always_equal getattr/attrgetter getattr/reduce getattr/vars indirect/",
    ),
    (
        "STAT02",
        "encoding/utf7 encoding/unicode_escape encoding/rot13",
    ),
    ("STAT04", "names/homoglyph import/nfkc"),
    (
        "STAT05",
        "syntax/t_string syntax/lazy_import syntax/except_comma",
    ),
    ("STAT06", "reexport/codecs reexport/statistics_sys"),
];

pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) code: String,
}

pub(crate) fn programs(text: &str) -> Vec<Program> {
    text.split("\n=== ")
        .skip(1)
        .map(|part| {
            let (head, code) = part.split_once('\n').unwrap();
            Program {
                name: head.split(' ').next().unwrap().to_owned(),
                code: format!("{code}\n"),
            }
        })
        .collect()
}

/// The host's side: a file, a port that tells, and how often anyone came.
struct Host {
    dir: tempfile::TempDir,
    port: u16,
    visits: Arc<AtomicU32>,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("canary.py"), format!("words = {WORDS:?}\n")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&visits);
        // Ends with the program.
        std::thread::spawn(move || {
            for visitor in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = visitor.and_then(|mut v| v.write_all(WORDS.as_bytes()));
            }
        });
        Self { dir, port, visits }
    }

    fn canary(&self) -> String {
        let path = self.dir.path().join("canary.py");
        path.to_str().unwrap().to_owned()
    }

    /// The same driver and program on the host's Python: what they would reach.
    fn outside(&self, python: &Path, program: &str) -> String {
        let given = json!({"program": program, "canary": self.canary(), "port": self.port});
        let code = format!(
            "{DRIVER}\nimport json, os, sys\nafter = lambda *a: []\nprint(json.dumps(run(**json.loads(sys.argv[1]))))"
        );
        #[expect(
            clippy::disallowed_methods,
            reason = "the control: our own programs, outside the jail on purpose"
        )]
        let out = Command::new(python)
            .args(["-S", "-B", "-W", "ignore", "-c", &code, &given.to_string()])
            .env_clear()
            .env("SECRET", WORDS)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )
    }
}

/// The rule that refuses it first, by the order of the layers.
fn refused_by(code: &str) -> Option<String> {
    let code = format!("{code}\n\ndef run() -> dict:\n    return {{}}\n");
    vet(&code, &StaticPolicy::default(), &[])
        .into_iter()
        .find(|f| f.severity == Severity::Refuse)
        .map(|f| f.rule)
}

pub(crate) fn contained(sandbox: &Arc<dyn Sandbox>) {
    let host = Host::new();
    let session = sandbox.open(SessionSpec::default()).unwrap();
    let run = |program: &str| {
        let given = json!({"program": program, "canary": host.canary(), "port": host.port});
        let call = Call::new(DRIVER, given.as_object().unwrap().clone());
        session.call(&call, &Cancel::default()).unwrap()
    };
    let mut table = String::new();
    let (mut refused, mut only_contained) = (0, 0);
    let attacks = programs(include_str!("../corpus/attacks.txt"));
    let bypasses = programs(include_str!("../corpus/bypass.txt"));
    assert!(attacks.len() >= 60 && bypasses.len() >= 60);
    for (id, families) in FAMILIES {
        for family in families.split_whitespace() {
            let mut all = attacks.iter().chain(&bypasses);
            assert!(all.any(|p| p.name.starts_with(family)), "{id}: {family}");
        }
    }
    let python = sandbox.interpreter().executable.clone();
    for (i, program) in attacks.iter().chain(&bypasses).enumerate() {
        let Program { name, code } = program;
        let is_attack = i < attacks.len();
        let visits = if is_attack {
            // The control: outside, this very program gets what it came for.
            let said = host.outside(&python, code);
            assert!(said.contains(WORDS), "{name} does nothing outside: {said}");
            host.visits.load(Ordering::SeqCst)
        } else {
            host.visits.load(Ordering::SeqCst)
        };
        let result = run(code);
        let all = format!("{:?} {} {}", result.output, result.stdout, result.stderr);
        assert!(!all.contains(WORDS), "{name}: {all}");
        // It ran to the end of the driver, or it ended its own process.
        if result.outcome == Outcome::Ok {
            let output = result.output.as_ref().unwrap();
            assert_eq!(output["reached"], json!([]), "{name}");
            if is_attack {
                let nothing = output["got"] == "None" || output["got"] == "''";
                assert!(!output["raised"].is_null() || nothing, "{name}: {output}");
            }
        } else {
            let ended = matches!(
                result.outcome,
                Outcome::Crash | Outcome::Policy | Outcome::ToolError
            );
            assert!(ended, "{name}: {result:?}");
        }
        assert_eq!(
            host.visits.load(Ordering::SeqCst),
            visits,
            "{name} came through"
        );
        let by = refused_by(code);
        match &by {
            Some(_) => refused += 1,
            None => only_contained += 1,
        }
        let stopped = by.map_or("the sandbox alone".to_owned(), |r| format!("`{r}`"));
        table.push_str(&format!("| {name} | {stopped} | contained |\n"));
    }
    // The host as it was.
    let left: Vec<_> = std::fs::read_dir(host.dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(
        std::fs::read_to_string(host.canary()).unwrap(),
        format!("words = {WORDS:?}\n")
    );
    // The control: the driver's own ways out lead out where nothing holds them.
    let free = outside_after(&host, &python);
    assert_eq!(free.as_array().unwrap().len(), 8, "{free}");
    // And an honest program beside them passes.
    let honest = run("def run():\n    return sum(range(10))\n");
    assert_eq!(honest.output.unwrap()["got"], "45");
    pinned(&format!(
        "{}{table}\n{refused} are refused before they run; the sandbox alone holds {only_contained}.\n",
        include_str!("../corpus/README.head.md")
    ));
}

fn outside_after(host: &Host, python: &Path) -> Value {
    let code = format!(
        "{DRIVER}\nimport json, sys\nprint(json.dumps(after(sys.argv[1], int(sys.argv[2]))))"
    );
    let canary = host.dir.path().join("free");
    std::fs::write(&canary, WORDS).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the control: our own program, outside the jail on purpose"
    )]
    let out = Command::new(python)
        .args(["-S", "-B", "-c", &code])
        .arg(&canary)
        .arg(host.port.to_string())
        .env_clear()
        .env("SECRET", WORDS)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {out:?}"))
}

/// The table in the repository is the one that this run made.
fn pinned(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/README.md");
    if std::env::var_os("HANDAXE_UPDATE").is_some() {
        std::fs::write(&path, table).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == table,
        "tests/corpus/README.md is not what this run found; HANDAXE_UPDATE=1 writes it anew"
    );
}
