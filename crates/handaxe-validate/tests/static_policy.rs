//! The corpora: what must pass, what must be refused, and what only the sandbox holds.
#![expect(
    clippy::unwrap_used,
    clippy::format_collect,
    reason = "a test outside `cfg(test)`"
)]

use handaxe_types::{Capability, Finding, Severity, StaticPolicy};
use handaxe_validate::vet;

struct Program {
    name: String,
    expected: Vec<String>,
    code: String,
}

fn corpus(text: &str) -> Vec<Program> {
    text.split("\n=== ")
        .skip(1)
        .map(|part| {
            let (head, code) = part.split_once('\n').unwrap();
            let mut words = head.split(' ').map(str::to_owned);
            Program {
                name: words.next().unwrap(),
                expected: words.collect(),
                code: format!("{code}\n"),
            }
        })
        .collect()
}

fn refusals(findings: &[Finding]) -> Vec<&Finding> {
    findings
        .iter()
        .filter(|f| f.severity == Severity::Refuse)
        .collect()
}

#[test]
fn honest_tools_pass() {
    let programs = corpus(include_str!("corpus/honest.txt"));
    assert!(programs.len() >= 40, "{}", programs.len());
    let mut refused = Vec::new();
    for p in programs {
        let capabilities: Vec<Capability> = p
            .expected
            .iter()
            .map(|w| match w.as_str() {
                "read" => Capability::ReadFiles,
                "write" => Capability::WriteFiles,
                other => panic!("{other}"),
            })
            .collect();
        let findings = vet(&p.code, &StaticPolicy::default(), &capabilities);
        for f in refusals(&findings) {
            refused.push(format!("{}:{}: {} {}", p.name, f.line, f.rule, f.reason));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn bypasses_are_refused_or_known_to_be_contained() {
    let programs = corpus(include_str!("corpus/bypass.txt"));
    assert!(programs.len() >= 60, "{}", programs.len());
    let mut wrong = Vec::new();
    for p in programs {
        // A cookie only counts in the first two lines, so the program comes first.
        let code = format!("{}\n\ndef run() -> dict:\n    return {{}}\n", p.code);
        let findings = vet(&code, &StaticPolicy::default(), &[]);
        let refused = refusals(&findings);
        let rules: Vec<&str> = refused.iter().map(|f| f.rule.as_str()).collect();
        let right = match p.expected.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["refused", rule] => rules.contains(&rule),
            ["contained"] => rules.is_empty(),
            _ => false,
        };
        if !right {
            wrong.push(format!("{} {:?}: {rules:?}", p.name, p.expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each would take a naive parser or walk down; the process must live, and say what it saw.
#[test]
fn parser_bombs_are_refused() {
    let n = 60_000;
    let table: Vec<(&str, String)> = vec![
        ("unary", format!("x = {}1", "-".repeat(n))),
        ("not", format!("x = {}1", "not ".repeat(n / 4))),
        ("binop", format!("x = 1{}", "+1".repeat(n / 2))),
        ("power", format!("x = 1{}", "**1".repeat(n / 3))),
        ("attribute", format!("x = a{}", ".b".repeat(n / 2))),
        ("call", format!("x = f{}", "()".repeat(n / 2))),
        ("subscript", format!("x = f{}", "[0]".repeat(n / 3))),
        ("list", format!("x = {}", "[".repeat(n))),
        (
            "closed list",
            format!("x = {}{}", "[".repeat(n / 2), "]".repeat(n / 2)),
        ),
        (
            "tuple",
            format!("x = {}1{}", "(".repeat(n / 2), ")".repeat(n / 2)),
        ),
        (
            "dict",
            format!("x = {}1{}", "{1:".repeat(n / 4), "}".repeat(n / 4)),
        ),
        ("lambda", format!("x = {}1", "lambda:".repeat(n / 7))),
        ("ternary", format!("x = {}1", "1 if 1 else ".repeat(n / 12))),
        ("await", format!("x = {}1", "await ".repeat(n / 6))),
        ("yield", format!("x = {}", "(yield ".repeat(n / 7))),
        ("walrus", format!("x = {}1", "(a:=".repeat(n / 4))),
        ("comparison", format!("x = 1{}", "<1".repeat(n / 2))),
        ("boolean", format!("x = 1{}", " and 1 or 1".repeat(n / 11))),
        ("star", format!("x = {}1", "*".repeat(n))),
        ("f-string", format!("x = {}1", "f'{".repeat(n / 3))),
        (
            "f-string format",
            format!("x = f'{{1{}", ":{1".repeat(n / 3)),
        ),
        ("assign", format!("{}1", "a=".repeat(n / 2))),
        (
            "decorators",
            format!("{}def f(): pass", "@a.b\n".repeat(n / 5)),
        ),
        ("with", format!("with {}", "(".repeat(n))),
        ("match", format!("match x:\n case {}", "[".repeat(n))),
        (
            "pattern or",
            format!("match x:\n case 1{}: pass", "|(1".repeat(n / 3)),
        ),
        (
            "pattern dotted",
            format!("match x:\n case a{}: pass", ".b".repeat(n / 2)),
        ),
        ("annotation", format!("x: a{}", "[a".repeat(n / 2))),
        ("type parameters", format!("def f[T: {}", "(".repeat(n))),
        ("semicolons", "x=1;".repeat(n / 4)),
        (
            "dedents",
            (0..300)
                .map(|i| format!("{}if 1:\n", " ".repeat(i)))
                .collect(),
        ),
        (
            "elif",
            format!("if 1: pass\n{}", "elif 1: pass\n".repeat(n / 13)),
        ),
        ("backslashes", "\\\n".repeat(n / 2)),
        ("quotes", "'".repeat(n)),
        ("comments", "#".repeat(n)),
        ("integer", format!("x = {}", "9".repeat(n))),
        ("hex", format!("x = 0x{}", "f".repeat(n))),
        ("import dots", format!("from {} import x", ".".repeat(n))),
        ("import path", format!("import a{}", ".a".repeat(n / 2))),
        (
            "globals",
            format!("def f():\n global {}a", "a,".repeat(n / 2)),
        ),
        ("size", "x = 1\n".repeat(20_000)),
        ("string", format!("x = '{}'", "x".repeat(20_000_000))),
    ];
    let flat = [
        "assign",
        "decorators",
        "semicolons",
        "elif",
        "comments",
        "integer",
        "hex",
        "star",
        "backslashes",
        "quotes",
        "import dots",
        "globals",
    ];
    for (name, code) in table {
        let findings = vet(&code, &StaticPolicy::default(), &[]);
        // The flat ones may be anything but fatal.
        assert!(
            flat.contains(&name) || !refusals(&findings).is_empty(),
            "{name}"
        );
    }
}

/// As deep as the policy allows, in every shape that makes the parser look ahead or go back.
#[test]
fn what_is_just_allowed_is_parsed_in_bounded_time() {
    let d = 55;
    for code in [
        format!("with {}a{}: pass", "(".repeat(d), ")".repeat(d)),
        format!("with {}a as b{}: pass", "(".repeat(d), ")".repeat(d)),
        format!("with {}a, b{}: pass", "(".repeat(d), ")".repeat(d)),
        format!("match {}a{}: \n case 1: pass", "(".repeat(d), ")".repeat(d)),
        format!("match {}a{}\n", "(".repeat(d), ")".repeat(d)),
        format!("match {}a{}\n", "[".repeat(d), "]".repeat(d)),
        format!("type {}a{}\n", "(".repeat(d), ")".repeat(d)),
        format!("x = {}a{}\n", "(lambda x=".repeat(d), ":1)".repeat(d)),
        format!("x = {}a{}\n", "{**".repeat(d), "}".repeat(d)),
        format!("print {}a{}\n", "(*".repeat(d), ")".repeat(d)),
        format!("x = {}a{}\n", "(yield ".repeat(d), ")".repeat(d)),
        format!("for {}a{} in x: pass\n", "(".repeat(d), ")".repeat(d)),
        format!(
            "async with {}a{}: pass",
            "(match(".repeat(d / 2),
            "))".repeat(d / 2)
        ),
        format!("{}a{} = 1\n", "(".repeat(d), ")".repeat(d)),
        format!(
            "match x:\n case {}a{}: pass\n",
            "(".repeat(d),
            ")".repeat(d)
        ),
        format!("x = {}{}\n", "f'{".repeat(20), "}'".repeat(20)),
    ] {
        vet(&code, &StaticPolicy::default(), &[]);
    }
}

#[test]
fn severities_are_the_policys_but_for_the_fixed() {
    let mut policy = StaticPolicy::default();
    policy
        .severity
        .insert("name.forbidden".to_owned(), Severity::Warn);
    policy
        .severity
        .insert("text.bidi".to_owned(), Severity::Warn);
    let found = vet("x = eval", &policy, &[]);
    assert_eq!(found[0].severity, Severity::Warn);
    assert_eq!((found[0].line, found[0].column), (1, 5));
    let found = vet("x = '\u{202e}'", &policy, &[]);
    assert_eq!(found[0].severity, Severity::Refuse);
}

#[test]
fn warnings_warn() {
    for (code, rule) in [
        ("API_KEY = 'a1b2c3d4e5f6'", "string.credential"),
        ("connect(password='hunter2hunter2')", "string.credential"),
        ("x = 'AKIAIOSFODNN7EXAMPLE'", "string.credential"),
        ("x = '/proc/self/environ'", "string.host_path"),
        ("print('x')", "toplevel.effect"),
        ("import time\nx = time.time()", "environment.clock"),
        ("from time import perf_counter as p", "environment.clock"),
        (
            "import datetime as dt\nx = dt.datetime.now()",
            "environment.clock",
        ),
        (
            "from datetime import date\nx = date.today()",
            "environment.clock",
        ),
        ("for i in range(3): pass", "toplevel.effect"),
    ] {
        let found = vet(code, &StaticPolicy::default(), &[]);
        assert!(
            found
                .iter()
                .any(|f| f.rule == rule && f.severity == Severity::Warn),
            "{code}: {found:?}"
        );
    }
}

#[test]
fn nothing_is_called_safe() {
    let text = handaxe_validate::RULES
        .iter()
        .map(|r| r.about)
        .collect::<String>();
    assert!(!text.to_lowercase().contains("safe"));
}

/// The gate with one rule at a time off. Every program that a rule alone refuses then passes: so the
/// corpora would notice if the rule were gone. What is refused twice over is listed by name.
#[test]
fn without_a_rule_something_passes() {
    /// What is not text or not Python cannot be softened; a name of other letters is read as the
    /// interpreter reads it, and refused as that one too.
    const BACKED: &[&str] = &["name.non_ascii", "parse.syntax", "text.encoding"];
    let attacks = [
        include_str!("corpus/bypass.txt"),
        include_str!("corpus/attacks.txt"),
    ];
    let whole = StaticPolicy::default();
    let refused: Vec<(Program, Vec<String>)> = attacks
        .iter()
        .flat_map(|text| corpus(text))
        .map(|program| {
            let found = vet(&program.code, &whole, &[]);
            let rules = refusals(&found).iter().map(|f| f.rule.clone()).collect();
            (program, rules)
        })
        .filter(|(_, rules): &(_, Vec<String>)| !rules.is_empty())
        .collect();
    let mut rules: Vec<&String> = refused.iter().flat_map(|(_, rules)| rules).collect();
    rules.sort_unstable();
    rules.dedup();
    assert!(rules.len() >= 20, "{rules:?}");
    let mut backed = Vec::new();
    for rule in rules {
        let mut soft = StaticPolicy::default();
        soft.severity.insert(rule.clone(), Severity::Warn);
        let passes: Vec<&str> = refused
            .iter()
            .filter(|(_, rules)| rules.contains(rule))
            .filter(|(program, _)| refusals(&vet(&program.code, &soft, &[])).is_empty())
            .map(|(program, _)| program.name.as_str())
            .collect();
        let of = refused.iter().filter(|(_, r)| r.contains(rule)).count();
        println!("without {rule}: {} of {of} pass", passes.len());
        if passes.is_empty() {
            backed.push(rule.as_str());
        }
    }
    assert_eq!(backed, BACKED);
}
