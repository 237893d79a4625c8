//! How strong cases are, and what they reach.

use std::sync::Arc;

use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{Case, Draft, MutationReport, Policy, ScoreStatus, Severity, Silent, Trial};
use handaxe_validate::{Validator, judge};
use serde_json::json;

use super::{draft, few};

/// Grades by bounds that a weak set of cases never looks at.
pub(crate) const GRADE: &str = "
def run(n: int) -> Any:
    if n < 10:
        return 'low'
    if n <= 100:
        return 'middle'
    total = 0
    for digit in str(n):
        if digit == '0':
            continue
        total += int(digit)
    return f'high {total}'
";

fn cases(table: &[(i64, &str)]) -> Vec<Case> {
    table
        .iter()
        .map(|(n, expect)| {
            let case = json!({"name": format!("n is {n}"), "origin": "tester", "input": {"n": n}, "expect": expect});
            serde_json::from_value(case).unwrap()
        })
        .collect()
}

fn tried(sandbox: &Arc<dyn Sandbox>, draft: &Draft, cases: &[Case], policy: Policy) -> Trial {
    let validator = Validator::new(Arc::clone(sandbox), policy);
    let trial = validator
        .trial(draft, cases, &Silent, &Cancel::default())
        .unwrap();
    assert!(
        trial.findings.is_empty() || trial.mutation.is_some(),
        "{:?}",
        trial.findings
    );
    assert!(trial.cases.iter().all(|c| c.passed), "{:#?}", trial.cases);
    trial
}

fn adds_up(report: &MutationReport) {
    let sum = report.killed() + report.killed_by_crash + report.equivalent + report.not_run;
    assert_eq!(
        report.generated,
        sum + report.survivors.len() as u32,
        "{report:#?}"
    );
}

const STRONG: &[(i64, &str)] = &[
    (0, "low"),
    (9, "low"),
    (10, "middle"),
    (11, "middle"),
    (100, "middle"),
    (101, "high 2"),
    (2034, "high 9"),
];

pub(crate) fn mutants(sandbox: &Arc<dyn Sandbox>) {
    let begun = std::time::Instant::now();
    let trial = |table| tried(sandbox, &draft(GRADE), &cases(table), few());
    let strong = trial(STRONG);
    println!(
        "     strong: {:?} of {:?}",
        begun.elapsed(),
        strong.sandbox_runs
    );
    let (strong, weak) = (
        strong.mutation.unwrap(),
        trial(&[(5, "low"), (50, "middle"), (111, "high 3")])
            .mutation
            .unwrap(),
    );
    adds_up(&strong);
    adds_up(&weak);
    assert!(strong.generated >= 20, "{strong:#?}");
    assert!(strong.rate().unwrap() >= 0.9, "{strong:#?}");
    assert!(weak.rate().unwrap() < strong.rate().unwrap(), "{weak:#?}");
    // By number, which no seed moves: of those that weak cases let live, inputs that no seed is sure to
    // draw may show some to be as good as the tool.
    assert!(weak.killed() + 7 <= strong.killed(), "{weak:#?}");
    // The weak cases leave the bounds alone, and the tester hears of it in words of no code.
    let bound = weak
        .survivors
        .iter()
        .find(|s| s.line == 5 && s.operator == "comparison")
        .unwrap();
    assert_eq!(bound.original, "if n < 10:");
    assert_eq!(bound.mutated, "if n <= 10:");
    assert!(bound.description.contains("`<` could be `<=`"));
    // The same seed, the same figures.
    assert_eq!(trial(STRONG).mutation.unwrap(), strong);
}

/// Vetting is softened here: what is shown is that the count holds without it.
pub(crate) fn self_check(sandbox: &Arc<dyn Sandbox>) {
    let code = |run: &str| {
        format!(
            "import hashlib

def look():
    code = grade.__code__
    return hashlib.sha256(repr((code.co_code, code.co_consts)).encode()).hexdigest()[:8]

def grade(n):
    if n < 10:
        return 'low'
    return 'high'

def run(n: int) -> Any:
    {run}
"
        )
    };
    let mut policy = few();
    for rule in handaxe_validate::RULES.iter().filter(|r| !r.fixed) {
        let name = rule.name.to_owned();
        policy.code.severity.insert(name, Severity::Warn);
    }
    // What the tool looks like to itself.
    let mut visible = cases(&[(5, "x")]);
    visible[0].origin = handaxe_types::Origin::Author;
    let trial = Validator::new(Arc::clone(sandbox), policy.clone())
        .trial(
            &draft(&code("return look()")),
            &visible,
            &Silent,
            &Cancel::default(),
        )
        .unwrap();
    let digest = trial.cases[0].got.clone().unwrap();
    let checked = draft(&code(&format!(
        "if look() != {digest}: raise RuntimeError('changed')\n    return grade(n)"
    )));
    // One case that looks at next to nothing: the tool alone notices its mutants.
    let one = cases(&[(5, "low")]);
    let trial = tried(sandbox, &checked, &one, policy.clone());
    let report = trial.mutation.clone().unwrap();
    adds_up(&report);
    // Its own alarms count for nothing, and the card says that there is little else.
    assert!(report.killed_by_crash > report.judged(), "{report:#?}");
    assert!(report.killed_by_output <= 2, "{report:#?}");
    let card = judge(&trial, &policy).card;
    let row = card.iter().find(|r| r.name == "mutants").unwrap();
    assert_ne!(row.status, ScoreStatus::Pass, "{row:?}");
    // And under the policy as it stands such a tool never runs.
    let trial = Validator::new(Arc::clone(sandbox), few())
        .trial(&checked, &one, &Silent, &Cancel::default())
        .unwrap();
    assert_eq!(trial.sandbox_runs, 0);
}

pub(crate) fn endless(sandbox: &Arc<dyn Sandbox>) {
    let code = "
def run(n: int) -> Any:
    steps = 0
    while n != 0:
        n -= 1
        steps += 1
    return steps
";
    let table = |n: i64| -> Case {
        serde_json::from_value(json!({"origin": "tester", "input": {"n": n}, "expect": n})).unwrap()
    };
    let begun = std::time::Instant::now();
    let trial = tried(
        sandbox,
        &draft(code),
        &[table(0), table(3), table(7)],
        few(),
    );
    println!("     endless: {:?}", begun.elapsed());
    let report = trial.mutation.unwrap();
    adds_up(&report);
    assert!(report.killed_by_timeout >= 2, "{report:#?}");
    assert!(report.killed_by_output >= 2, "{report:#?}");
}

pub(crate) fn coverage(sandbox: &Arc<dyn Sandbox>) {
    let all = tried(sandbox, &draft(GRADE), &cases(STRONG), few());
    let coverage = all.coverage.unwrap();
    assert_eq!(coverage.lines_hit, coverage.lines, "{coverage:?}");
    assert_eq!(
        (coverage.branches, coverage.branches_hit),
        (8, 8),
        "{coverage:?}"
    );
    let some = tried(
        sandbox,
        &draft(GRADE),
        &cases(&[(5, "low"), (111, "high 3")]),
        few(),
    );
    let coverage = some.coverage.unwrap();
    assert_eq!(coverage.missed_lines, [8, 12], "{coverage:?}");
    assert_eq!(coverage.missed_branches, [(7, 8), (11, 12)]);
}

/// What no input can tell apart is set aside; what no input reaches is not.
pub(crate) fn equivalent(sandbox: &Arc<dyn Sandbox>) {
    let code = "
def run(n: int) -> Any:
    if n < 0:
        return -5
    return max(n, 0) * 2
";
    let table: Vec<Case> = [0, 3, 21]
        .iter()
        .map(|n| {
            let case = json!({"origin": "tester", "input": {"n": n}, "expect": n * 2});
            serde_json::from_value(case).unwrap()
        })
        .collect();
    let report = |inputs: u32| {
        let mut policy = Policy::default();
        policy.trial.fuzz_inputs = inputs;
        let report = tried(sandbox, &draft(code), &table, policy).mutation;
        report.unwrap()
    };
    let told = report(60);
    adds_up(&told);
    // `max(n, -1)` and `max(0, n)` are the tool itself, for every number that the schema lets in.
    assert!(told.equivalent >= 2, "{told:#?}");
    let dead = |r: &MutationReport| r.survivors.iter().filter(|s| s.line == 6).count();
    assert!(dead(&told) >= 2, "{told:#?}");
    assert_eq!(dead(&told), told.survivors.len(), "{told:#?}");
    // The control: with nothing to tell them apart by, they survive.
    let untold = report(0);
    adds_up(&untold);
    assert_eq!(untold.equivalent, 0);
    assert_eq!(
        untold.survivors.len() as u32,
        told.survivors.len() as u32 + told.equivalent
    );
}

/// What the composer writes cases for is held to the same floor as a model's: questions of several
/// templates, layouts and kinds of value.
pub(crate) fn composed(sandbox: &Arc<dyn Sandbox>) {
    let questions = [
        ("orders.csv", "how many orders are there?"),
        ("orders.csv", "average price by region"),
        ("orders.csv", "list the 10 most expensive orders"),
        ("logs.jsonl", "which service has the most errors?"),
        ("access.log", "extract all ip addresses"),
    ];
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/");
    let mut policy = Policy::default();
    policy.trial.fuzz_inputs = 60;
    policy.trial.mutants = 40;
    for (file, question) in questions {
        let path = std::path::PathBuf::from(format!("{root}{file}"));
        let profile = handaxe_composer::profile_path(file, &path).unwrap();
        let composed = handaxe_composer::compose(question, &[profile]).unwrap();
        let trial = tried(sandbox, &composed.draft, &composed.held_out, policy.clone());
        let report = trial.mutation.as_ref().unwrap();
        let rate = report.rate().unwrap();
        println!("     {:3.0} %: {question}", rate * 100.0);
        assert!(rate >= policy.trial.kill_floor, "{question}: {report:#?}");
        // The control: with the author's own cases alone the same tool falls short.
        let weak = tried(sandbox, &composed.draft, &[], policy.clone());
        let weak = weak.mutation.as_ref().and_then(MutationReport::rate);
        assert!(weak < Some(rate), "{question}: {weak:?} with three cases");
    }
}
