//! A home with a hand-turned clock, drafts, and accepting verdicts for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use handaxe_registry::{ApproverKey, RegisteredTool, Registry, SealedKey};
use handaxe_types::{
    ApprovalMethod, ApprovalRequest, Author, CaseResult, Digest, Draft, Isolation, Layer, Origin,
    Outcome, Preview, Profile, Provenance, RunId, SandboxResult, Scores, Spec, Task, ToolName,
    ToolRef, Trial, Usage, Verdict,
};
use serde_json::{Map, json};

pub(crate) const START: i64 = 1_700_000_000_000;
pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) struct Home {
    pub registry: Registry,
    pub clock: Arc<AtomicI64>,
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START));
        let registry = Self::open(dir.path(), &clock);
        Self {
            registry,
            clock,
            dir,
        }
    }

    fn open(dir: &Path, clock: &Arc<AtomicI64>) -> Registry {
        let clock = Arc::clone(clock);
        Registry::open_with_clock(
            &dir.join("home"),
            Arc::new(move || clock.fetch_add(1, Ordering::Relaxed)),
        )
        .unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A connection that knows no rules.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(self.path().join("handaxe.db")).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF;")
            .unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(5))
            .unwrap();
        conn
    }

    pub(crate) fn sql(&self, sql: &str) -> usize {
        let changed = self.raw().execute(sql, []).unwrap();
        assert!(changed > 0, "the attack changed nothing: {sql}");
        changed
    }

    pub(crate) fn propose(&self, draft: &Draft, run: Option<&RunId>) -> ApprovalRequest {
        let (trial, verdict) = proved(draft);
        let expires = self.clock.load(Ordering::Relaxed) + HOUR;
        self.registry
            .propose(draft, &trial, &verdict, run, expires)
            .unwrap()
    }

    pub(crate) fn register(&self, draft: &Draft) -> RegisteredTool {
        let request = self.propose(draft, None);
        self.registry
            .approve_and_register(
                request.id,
                request.subject,
                "alice",
                ApprovalMethod::Command,
            )
            .unwrap()
    }
}

pub(crate) const PASSPHRASE: &str = "four words put together";

/// An approver of this home. Stretching a passphrase takes its time, so a name's key is made once
/// in a process.
pub(crate) fn approver(
    home: &Home,
    name: &'static str,
    voucher: Option<&ApproverKey>,
) -> &'static ApproverKey {
    static MADE: Mutex<BTreeMap<&str, &'static ApproverKey>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    let key = *made.entry(name).or_insert_with(|| {
        let (_, key) = SealedKey::create(name, PASSPHRASE).unwrap();
        Box::leak(Box::new(key))
    });
    home.registry
        .enrol_approver(&key.public(), name, voucher)
        .unwrap();
    key
}

pub(crate) fn profile() -> Profile {
    let layers = [Layer::Seccomp, Layer::Landlock, Layer::NetNamespace];
    Profile::new(
        "native",
        Isolation::Jail,
        &layers,
        Digest::of(b"all layers"),
    )
}

pub(crate) fn draft(name: &str, why: &str) -> Draft {
    Draft {
        spec: Spec {
            name: ToolName::new(name).unwrap(),
            description: format!("Does what {name} says."),
            input_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "text": { "type": "string", "description": "what to count" },
                    // A float whose digits need an exact parser to come back the same.
                    "threshold": { "type": "number", "default": 0.123_456_789_012_345_67 },
                },
                "required": ["text"],
            }),
            output_schema: json!({ "type": "integer" }),
            domain: "text".into(),
            capabilities: vec![],
            limits: handaxe_types::Limits::default(),
            deterministic: true,
        },
        code: "\"\"\"Counts.\"\"\"\n\n\ndef run(*, text, threshold=0.1):\n    return len(text)\n"
            .into(),
        cases: [
            r#"{"name":"three letters","origin":"author","input":{"text":"abc"},"expect":3}"#,
            r#"{"name":"none","origin":"tester","input":{"text":""},"expect":0,"held_out":true}"#,
        ]
        .iter()
        .map(|c| serde_json::from_str(c).unwrap())
        .collect(),
        assets: BTreeMap::new(),
        provenance: Provenance {
            author: Author::Composer,
            why: why.into(),
            recipe: Some(json!({ "count": name })),
            invocation: Map::new(),
        },
    }
}

pub(crate) fn proved(draft: &Draft) -> (Trial, Verdict) {
    let subject = draft.digest(profile().digest());
    let trial = Trial {
        cases: draft
            .cases
            .iter()
            .map(|c| CaseResult {
                name: c.name.clone(),
                origin: c.origin,
                held_out: c.held_out,
                passed: true,
                outcome: Outcome::Ok,
                failure: None,
                got: None,
                error: None,
                stderr: String::new(),
                runtime_ms: 1.234_567_890_123,
                max_rss_kib: 9000,
                withdrawn: None,
            })
            .collect(),
        wall_ms: 3.1,
        sandbox_runs: 2,
        sandbox: Some(profile()),
        ..Trial::new(subject, profile().digest(), "CPython 3.11.2")
    };
    let verdict = Verdict {
        subject,
        accepted: true,
        reasons: vec![],
        scores: Scores {
            cases: BTreeMap::from([(Origin::Author, (1, 1)), (Origin::Tester, (1, 1))]),
            ..Scores::default()
        },
        card: vec![],
        findings: vec![],
        review: None,
    };
    (trial, verdict)
}

pub(crate) fn task(question: &str) -> Task {
    Task {
        question: question.into(),
        data: vec![],
        goldens: vec![],
        examples: vec![],
        preview: Preview::Schema,
    }
}

pub(crate) fn result() -> SandboxResult {
    SandboxResult {
        outcome: Outcome::Ok,
        limit: None,
        output: Some(json!(3)),
        artifacts: vec![],
        exit_code: Some(0),
        stdout: String::new(),
        stderr: String::new(),
        runtime_ms: 1.5,
        usage: Usage {
            cpu_ms: 1.0,
            max_rss_kib: 9000,
        },
        layers: vec![Layer::Seccomp, Layer::Landlock],
        error: None,
    }
}

pub(crate) fn tool(text: &str) -> ToolRef {
    text.parse().unwrap()
}
