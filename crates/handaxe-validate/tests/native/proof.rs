//! What generated inputs, relations and the watch on capabilities find that the cases do not.

use std::sync::Arc;

use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{
    Capability, Case, Draft, FuzzKind, Origin, Policy, ScoreStatus, Severity, Silent, Trial,
    Verdict,
};
use handaxe_validate::{Validator, judge};
use serde_json::{Value, json};

use super::draft;

/// Enough inputs to find what is planted; how many a real trial runs is the policy's.
fn quick() -> Policy {
    let mut policy = Policy::default();
    policy.trial.fuzz_inputs = 150;
    policy.trial.mutants = 0;
    policy.trial.min_independent_cases = 0;
    policy
}

fn tool(properties: Value, code: &str, cases: &[&str]) -> Draft {
    let mut draft = draft(code);
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    draft.spec.input_schema = json!({"type": "object", "properties": properties,
        "required": required, "additionalProperties": false});
    draft.spec.limits.wall_ms = 1_000;
    if code.contains("open(") {
        draft.spec.capabilities = vec![Capability::ReadFiles];
    }
    draft.cases = cases
        .iter()
        .map(|c| {
            let case: Case = serde_json::from_str(c).unwrap();
            Case {
                origin: Origin::Author,
                ..case
            }
        })
        .collect();
    draft
}

fn tried(sandbox: &Arc<dyn Sandbox>, draft: &Draft, policy: &Policy) -> (Trial, Verdict) {
    let validator = Validator::new(Arc::clone(sandbox), policy.clone());
    let trial = validator
        .trial(draft, &[], &Silent, &Cancel::default())
        .unwrap();
    let verdict = judge(&trial, policy);
    (trial, verdict)
}

fn xs() -> Value {
    json!({"xs": {"type": "array", "items": {"type": "number"}, "maxItems": 40}})
}

fn file() -> Value {
    json!({"data": {"type": "string", "format": "file"}})
}

fn text() -> Value {
    json!({"text": {"type": "string", "maxLength": 200}})
}

/// Each passes its cases and fails on what its schema allows: what kind, what it raises, and the
/// small input that is shown.
pub(crate) fn faults(sandbox: &Arc<dyn Sandbox>) {
    let csv = r#"{"input":{"data":"a.csv"},"files":{"a.csv":"n,v\nx,1\ny,2\n"},"expect":2}"#;
    let table: Vec<(Draft, FuzzKind, &str, Option<Value>)> = vec![
        (
            tool(
                xs(),
                "def run(xs: list) -> Any:\n    return sum(xs) / len(xs)\n",
                &[r#"{"input":{"xs":[1,3]},"expect":2.0}"#],
            ),
            FuzzKind::Raised,
            "ZeroDivisionError",
            Some(json!({"xs": []})),
        ),
        (
            tool(
                text(),
                "def run(text: str) -> Any:\n    return text.split()[0]\n",
                &[r#"{"input":{"text":"a b"},"expect":"a"}"#],
            ),
            FuzzKind::Raised,
            "IndexError",
            Some(json!({"text": ""})),
        ),
        (
            tool(
                json!({"n": {"type": "integer", "minimum": 0, "maximum": 10}}),
                "def run(n: int) -> Any:\n    while n == 7:\n        pass\n    return n\n",
                &[r#"{"input":{"n":1},"expect":1}"#],
            ),
            FuzzKind::Timeout,
            "out of time",
            Some(json!({"n": 7})),
        ),
        (
            tool(
                text(),
                "def run(text: str) -> Any:\n    return list(set(text.split()))\n",
                &[r#"{"input":{"text":"a"},"expect":["a"]}"#],
            ),
            FuzzKind::NotDeterministic,
            "another hash seed",
            None,
        ),
        (
            tool(
                text(),
                "def run(text: str) -> Any:\n    return float('nan') if '\"' in text else 1.0\n",
                &[r#"{"input":{"text":"a"},"expect":1.0}"#],
            ),
            FuzzKind::Output,
            "no JSON value",
            Some(json!({"text": "\""})),
        ),
        (
            tool(
                json!({"k": {"enum": ["up", "down"]}, "text": {"type": "string"}}),
                "def run(k: str, text: str) -> Any:\n    if k == 'up':\n        return text.upper()\n    return txet.lower()\n",
                &[r#"{"input":{"k":"up","text":"a"},"expect":"A"}"#],
            ),
            FuzzKind::Raised,
            "NameError",
            Some(json!({"k": "down", "text": ""})),
        ),
        (
            tool(
                file(),
                "def run(data: str) -> Any:\n    with open(data, encoding='utf-8') as f:\n        rows = [line.split(',') for line in f.read().splitlines()]\n    rows[0]\n    return len([row[1] for row in rows[1:]])\n",
                &[csv],
            ),
            FuzzKind::Raised,
            "IndexError",
            None,
        ),
    ];
    for (draft, kind, what, small) in table {
        let (trial, verdict) = tried(sandbox, &draft, &quick());
        let report = trial.fuzz.as_ref().unwrap();
        let found = report
            .failures
            .iter()
            .find(|f| f.kind == kind && f.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{}: {:#?}", draft.code, report));
        assert!(!verdict.accepted);
        assert!(found.shrunk_bytes <= found.found_bytes && !found.case.held_out);
        if let Some(small) = small {
            assert_eq!(json!(found.case.input), small, "{}", draft.code);
        }
        // It is a case from now on: the same draft fails on it without any fuzz.
        let mut again = draft.clone();
        again.cases.push(found.case.clone());
        let (again, _) = tried(sandbox, &again, &quick());
        assert!(again.fuzz.is_none(), "stopped at the cases");
        let case = again
            .cases
            .iter()
            .find(|c| c.origin == Origin::Fuzz)
            .unwrap();
        assert!(!case.passed, "{case:?}");
    }
}

/// Honest tools of several kinds take everything; the near-valid never reaches them.
pub(crate) fn honest(sandbox: &Arc<dyn Sandbox>) {
    let table = [
        tool(
            xs(),
            "def run(xs: list) -> Any:\n    return sum(xs) / len(xs) if xs else None\n",
            &[r#"{"input":{"xs":[1,3]},"expect":2.0}"#],
        ),
        tool(
            text(),
            "def run(text: str) -> Any:\n    return sorted(set(text.split()))\n",
            &[r#"{"input":{"text":"b a"},"expect":["a","b"]}"#],
        ),
        // An error on purpose, which a case names.
        tool(
            text(),
            "import re\n\n\ndef run(text: str) -> Any:\n    found = re.fullmatch(r'([0-9]+)h([0-9]+)m', text, re.ASCII)\n    if not found:\n        raise ValueError('not a duration')\n    return int(found[1][:9]) * 60 + int(found[2][:9])\n",
            &[
                r#"{"input":{"text":"1h30m"},"expect":90}"#,
                r#"{"input":{"text":"x"},"raises":"ValueError"}"#,
            ],
        ),
        // Any file; what is not its kind it refuses by name.
        tool(
            file(),
            "import csv\n\n\ndef run(data: str) -> Any:\n    with open(data, encoding='utf-8-sig', newline='') as f:\n        return sum(int(row['v'] or 0) for row in csv.DictReader(f))\n",
            &[r#"{"input":{"data":"a.csv"},"files":{"a.csv":"n,v\nx,1\ny,2\n"},"expect":3}"#],
        ),
        tool(
            json!({"when": {"type": "string", "format": "date"}, "days": {"type": "integer", "minimum": -1000, "maximum": 1000}}),
            "import datetime\n\n\ndef run(when: str, days: int) -> Any:\n    return (datetime.date.fromisoformat(when) + datetime.timedelta(days)).isoformat()\n",
            &[r#"{"input":{"when":"2024-02-28","days":1},"expect":"2024-02-29"}"#],
        ),
    ];
    for draft in table {
        let (trial, verdict) = tried(sandbox, &draft, &quick());
        let told = format!("{}\n{:#?}\n{:#?}", draft.code, verdict.reasons, trial.fuzz);
        assert!(verdict.accepted, "{told}");
        let report = trial.fuzz.unwrap();
        assert_eq!((report.runs, report.failed), (150, 0), "{told}");
        assert!(
            report.near_valid > 5 && report.near_valid_refused == report.near_valid,
            "{told}"
        );
        assert!(report.repeated > 0, "{told}");
        let documented: u32 = report.documented.values().sum();
        assert!(documented < 150, "something was answered: {told}");
        assert!(!trial.layers.is_empty());
        assert!(
            verdict.card.iter().all(|r| r.status != ScoreStatus::Fail),
            "{:#?}",
            verdict.card
        );
        // The same seed, the same inputs.
        let validator = Validator::new(Arc::clone(sandbox), quick()).seeded(report.seed);
        let again = validator
            .trial(&draft, &[], &Silent, &Cancel::default())
            .unwrap();
        assert_eq!(again.fuzz.unwrap().inputs, report.inputs);
    }
}

/// Relations hold of a tool that has them and not of one that does not.
pub(crate) fn relations(sandbox: &Arc<dyn Sandbox>) {
    let tidy = "def run(text: str) -> Any:\n    return ' '.join(text.split())\n";
    let grow = "def run(text: str) -> Any:\n    return text + '!'\n";
    let total = "def run(xs: list) -> Any:\n    return sum(xs)\n";
    let first = "def run(xs: list) -> Any:\n    return xs[0] if xs else None\n";
    let square = "def run(xs: list) -> Any:\n    return [x * x for x in xs]\n";
    let positive = "def run(xs: list) -> Any:\n    return [x for x in xs if x > 0]\n";
    let lines = "def run(data: str) -> Any:\n    with open(data, encoding='utf-8', errors='replace') as f:\n        return len(f.read().splitlines()[1:])\n";
    let head = "def run(data: str) -> Any:\n    with open(data, encoding='utf-8', errors='replace') as f:\n        return f.read().splitlines()[1:2]\n";
    let hex =
        "def run(text: str) -> Any:\n    return text.encode('utf-8', 'surrogatepass').hex()\n";
    let unhex = "'''Back.'''\\n\\n\\ndef run(code: str) -> str:\\n    return bytes.fromhex(code).decode('utf-8')\\n";
    let t = |relation: &str| format!(r#"{{"input":{{"text":" a  b "}},"relation":{relation}}}"#);
    let x = |relation: &str| format!(r#"{{"input":{{"xs":[3,-1,2]}},"relation":{relation}}}"#);
    let f = |relation: &str| {
        format!(
            r#"{{"input":{{"data":"a.csv"}},"files":{{"a.csv":"h\n1\n2\n3\n"}},"relation":{relation}}}"#
        )
    };
    let back = |code: &str| {
        t(&format!(
            r#"{{"round_trips":{{"of":"/text","code":"{code}","into":"code"}}}}"#
        ))
    };
    let of_xs = r#"{"order_independent":{"of":"/xs"}}"#;
    let same_length = r#"{"length_preserving":{"of":"/xs"}}"#;
    let rising = r#"{"monotone":{"of":"/xs"}}"#;
    let scaled =
        r#"{"between":{"change":{"scale":{"at":"/xs","by":2}},"outputs":{"scaled_by":2}}}"#;
    let of_lines = r#"{"order_independent":{"of":"/data","keep":1}}"#;
    let table: Vec<(Value, &str, String, bool)> = vec![
        (text(), tidy, t("\"never_raises\""), true),
        (
            text(),
            "def run(text: str) -> Any:\n    return text.split()[7]\n",
            t("\"never_raises\""),
            false,
        ),
        (text(), tidy, t("\"deterministic\""), true),
        (
            text(),
            "def run(text: str) -> Any:\n    return list(set('abcdefgh'))\n",
            t("\"deterministic\""),
            false,
        ),
        (text(), tidy, t(r#"{"idempotent":{"into":"/text"}}"#), true),
        (text(), grow, t(r#"{"idempotent":{"into":"/text"}}"#), false),
        (xs(), total, x(of_xs), true),
        (xs(), first, x(of_xs), false),
        (xs(), square, x(same_length), true),
        (xs(), positive, x(same_length), false),
        (xs(), total, x(rising), true),
        (
            xs(),
            "def run(xs: list) -> Any:\n    return -sum(xs)\n",
            x(rising),
            false,
        ),
        (
            xs(),
            "def run(xs: list) -> Any:\n    return -sum(xs)\n",
            x(r#"{"monotone":{"of":"/xs","falling":true}}"#),
            true,
        ),
        (xs(), total, x(scaled), true),
        (
            xs(),
            "def run(xs: list) -> Any:\n    return sum(xs) + 1\n",
            x(scaled),
            false,
        ),
        (file(), lines, f(of_lines), true),
        (file(), head, f(of_lines), false),
        (text(), hex, back(unhex), true),
        (
            text(),
            "def run(text: str) -> Any:\n    return text.strip().encode().hex()\n",
            back(unhex),
            false,
        ),
        // The second tool is under the same policy as any.
        (
            text(),
            hex,
            back("'''Back.'''\\nimport os\\n\\n\\ndef run(code: str) -> str:\\n    return ''\\n"),
            false,
        ),
    ];
    let mut policy = quick();
    policy.trial.fuzz_inputs = 0;
    for (properties, code, case, holds) in table {
        let (trial, _) = tried(sandbox, &tool(properties, code, &[&case]), &policy);
        let result = trial
            .cases
            .first()
            .unwrap_or_else(|| panic!("{code}: {trial:#?}"));
        assert_eq!(result.passed, holds, "{code}\n{case}\n{result:#?}");
    }
}

/// Vetting only warns here: what is shown is what the jail and the watch make of it.
pub(crate) fn capabilities(sandbox: &Arc<dyn Sandbox>) {
    let mut policy = quick();
    policy.trial.fuzz_inputs = 0;
    policy.code.names.clear();
    policy
        .code
        .imports
        .extend(["os", "socket"].map(str::to_owned));
    policy.code.severity = handaxe_validate::RULES
        .iter()
        .filter(|r| !r.fixed)
        .map(|r| (r.name.to_owned(), Severity::Warn))
        .collect();
    let table: [(&str, Option<&str>); 5] = [
        ("def run(text: str) -> Any:\n    return text\n", None),
        (
            "def run(text: str) -> Any:\n    try:\n        open('/etc/hostname')\n    except OSError:\n        pass\n    return text\n",
            Some("opens `/etc/hostname`"),
        ),
        (
            "def run(text: str) -> Any:\n    try:\n        with open('left.txt', 'w') as f:\n            f.write(text)\n    except OSError:\n        pass\n    return text\n",
            Some("writes `left.txt`"),
        ),
        (
            "import socket\n\n\ndef run(text: str) -> Any:\n    try:\n        socket.socket()\n    except OSError:\n        pass\n    return text\n",
            Some("does `socket.__new__`"),
        ),
        (
            "import os\n\n\ndef run(text: str) -> Any:\n    try:\n        os.mkdir('d')\n    except OSError:\n        pass\n    return text\n",
            Some("does `os.mkdir`"),
        ),
    ];
    let case = r#"{"input":{"text":"a"},"expect":"a"}"#;
    for (code, undeclared) in table {
        let mut draft = tool(text(), code, &[case]);
        draft.spec.capabilities.clear();
        let (trial, verdict) = tried(sandbox, &draft, &policy);
        let seen = trial
            .capabilities
            .as_ref()
            .unwrap_or_else(|| panic!("{code}: {trial:#?}"));
        match undeclared {
            None => assert!(
                seen.undeclared.is_empty() && verdict.accepted,
                "{:?}",
                verdict.reasons
            ),
            Some(what) => {
                assert!(
                    seen.undeclared.iter().any(|u| u == what),
                    "{code}: {seen:?}"
                );
                assert!(
                    verdict
                        .reasons
                        .iter()
                        .any(|r| r.starts_with("capabilities"))
                );
            }
        }
    }
    // Not a matter of being seen: who did not ask to write has no byte to write.
    let code = "def run(text: str) -> Any:\n    with open('left.txt', 'w') as f:\n        f.write('x')\n    return text\n";
    let mut draft = tool(text(), code, &[case]);
    draft.spec.capabilities.clear();
    let (trial, _) = tried(sandbox, &draft, &policy);
    let error = trial.cases[0].error.as_ref().unwrap();
    assert_eq!(error.errno.as_deref(), Some("EFBIG"), "{error:?}");
    draft.spec.capabilities = vec![Capability::WriteFiles];
    let (trial, _) = tried(sandbox, &draft, &policy);
    assert!(trial.cases[0].passed, "the control: {:?}", trial.cases[0]);
}

/// A pattern that backtracks over what its author's cases never hold: it does not live through three
/// sizes, so no slope is ever seen. What takes as long and grows slowly is no explosion.
pub(crate) fn explosions(sandbox: &Arc<dyn Sandbox>) {
    let mut policy = quick();
    policy.trial.fuzz_inputs = 20;
    let growth = |properties: Value, code: &str, case: &str| {
        let (_, verdict) = tried(sandbox, &tool(properties, code, &[case]), &policy);
        verdict
            .card
            .into_iter()
            .find(|row| row.name == "growth")
            .unwrap()
    };
    let pattern = growth(
        json!({"text": {"type": "string", "maxLength": 200}}),
        "import re\n\n\ndef run(text: str) -> Any:\n    return bool(re.fullmatch(r\"(a+)+b\", text))\n",
        r#"{"input":{"text":"aab"},"expect":true}"#,
    );
    assert_eq!(pattern.status, ScoreStatus::Fail, "{pattern:?}");
    let steady = growth(
        json!({"text": {"type": "string", "maxLength": 20000}}),
        "def run(text: str) -> Any:\n    n = 0\n    for _ in range(400):\n        for c in text:\n            n += c == \"a\"\n    return n\n",
        r#"{"input":{"text":"aab"},"expect":800}"#,
    );
    assert_ne!(steady.status, ScoreStatus::Fail, "{steady:?}");
}
