//! The verdict: computed on the host from what the trial measured, by the policy.

use std::collections::BTreeMap;

use handaxe_types::{CaseResult, Origin, Policy, Scores, Severity, Trial, Verdict};

use crate::trial::INPUT_REFUSED;

/// At most this many failing cases are told one by one.
const TOLD: usize = 20;

/// Accepts a trial only when nothing speaks against it. Withdrawn cases count neither for nor
/// against; a withdrawn golden counts as it would have, because goldens are never withdrawn.
pub fn judge(trial: &Trial, policy: &Policy) -> Verdict {
    let mut reasons: Vec<String> = trial
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Refuse)
        .map(|f| format!("{} (line {}): {}", f.rule, f.line, f.reason))
        .chain(trial.template.iter().map(|t| format!("template: {t}")))
        .collect();
    // A draft refused by reading ran no case, and that is not one more reason.
    if reasons.is_empty() {
        case_reasons(trial, policy, &mut reasons);
    }
    Verdict {
        subject: trial.subject,
        accepted: reasons.is_empty(),
        reasons,
        scores: scores(trial),
        card: Vec::new(),
        findings: trial.findings.clone(),
        review: None,
    }
}

fn counts(case: &CaseResult) -> bool {
    case.withdrawn.is_none() || case.origin == Origin::User
}

/// Whether a case put the tool to work: one that the host turned away did not.
fn ran(case: &CaseResult) -> bool {
    case.error.as_ref().is_none_or(|e| e.kind != INPUT_REFUSED)
}

fn case_reasons(trial: &Trial, policy: &Policy, reasons: &mut Vec<String>) {
    let counted: Vec<&CaseResult> = trial.cases.iter().filter(|c| counts(c)).collect();
    let failing: Vec<&&CaseResult> = counted.iter().filter(|c| !c.passed).collect();
    for case in failing.iter().take(TOLD) {
        let why = case.failure.as_deref().unwrap_or("failed");
        reasons.push(format!(
            "case `{}` ({}): {why}",
            crate::schema::bounded(&case.name),
            case.origin.as_str()
        ));
    }
    if failing.len() > TOLD {
        reasons.push(format!("and {} more cases failed", failing.len() - TOLD));
    }
    let run = counted.iter().filter(|c| ran(c)).count();
    let least = policy.trial.min_cases.max(1) as usize;
    if run == 0 {
        reasons.push("no case put it to work: without cases nothing is proved".to_owned());
    } else if run < least {
        reasons.push(format!(
            "{run} cases; policy.toml [trial] min_cases = {least}"
        ));
    }
    let independent = counted
        .iter()
        .filter(|c| ran(c) && c.origin != Origin::Author)
        .count();
    let least = policy.trial.min_independent_cases as usize;
    if independent < least {
        reasons.push(format!(
            "{independent} cases that its author did not write; policy.toml [trial] min_independent_cases = {least}"
        ));
    }
}

fn scores(trial: &Trial) -> Scores {
    let mut cases: BTreeMap<Origin, (u32, u32)> = BTreeMap::new();
    for case in trial.cases.iter().filter(|c| counts(c)) {
        let (passed, run) = cases.entry(case.origin).or_default();
        *passed += u32::from(case.passed);
        *run += 1;
    }
    let mut times: Vec<f64> = trial
        .cases
        .iter()
        .filter(|c| ran(c))
        .map(|c| c.runtime_ms)
        .collect();
    times.sort_by(f64::total_cmp);
    Scores {
        cases,
        runtime_p50_ms: quantile(&times, 50),
        runtime_p95_ms: quantile(&times, 95),
        max_rss_kib: trial.cases.iter().map(|c| c.max_rss_kib).max().unwrap_or(0),
        sandbox_runs: trial.sandbox_runs,
        warnings: trial
            .findings
            .iter()
            .filter(|f| f.severity == Severity::Warn)
            .count() as u32,
    }
}

/// Nearest rank, of a sorted list.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::{Digest, Finding, Outcome, RunError, ToolDigest};

    fn case(origin: Origin, passed: bool) -> CaseResult {
        CaseResult {
            name: "n".to_owned(),
            origin,
            held_out: false,
            passed,
            outcome: Outcome::Ok,
            failure: (!passed).then(|| "differs".to_owned()),
            got: None,
            error: None,
            stderr: String::new(),
            runtime_ms: 1.0,
            max_rss_kib: 1,
            withdrawn: None,
        }
    }

    fn trial(cases: Vec<CaseResult>) -> Trial {
        let digest = Digest::of(b"x");
        Trial {
            cases,
            ..Trial::new(ToolDigest(digest), digest, "")
        }
    }

    #[track_caller]
    fn check(trial: &Trial, reason: Option<&str>) {
        let verdict = judge(trial, &Policy::default());
        match reason {
            None => assert!(verdict.accepted, "{:?}", verdict.reasons),
            Some(r) => assert!(
                !verdict.accepted && verdict.reasons.iter().any(|x| x.contains(r)),
                "{:?}",
                verdict.reasons
            ),
        }
    }

    #[test]
    fn nothing_is_proved_by_nothing() {
        check(&trial(vec![]), Some("no case"));
        let mut policy = Policy::default();
        (policy.trial.min_cases, policy.trial.min_independent_cases) = (0, 0);
        assert!(!judge(&trial(vec![]), &policy).accepted);
        let mut refused = case(Origin::Tester, true);
        refused.error = Some(RunError {
            kind: INPUT_REFUSED.to_owned(),
            message: String::new(),
            line: None,
            errno: None,
        });
        check(&trial(vec![refused]), Some("no case"));
    }

    #[test]
    fn one_failure_is_enough_and_authors_do_not_vouch_for_themselves() {
        use Origin::{Author, Tester, User};
        check(&trial(vec![case(Author, true), case(Tester, true)]), None);
        check(
            &trial(vec![case(Author, true)]),
            Some("min_independent_cases"),
        );
        check(
            &trial(vec![case(Author, false), case(Tester, true)]),
            Some("case `n` (author)"),
        );
        check(
            &trial(vec![case(Author, true), case(User, false)]),
            Some("(user)"),
        );
    }

    #[test]
    fn withdrawn_cases_do_not_count_but_goldens_stay() {
        let withdrawn = |origin| CaseResult {
            withdrawn: Some("wrong".to_owned()),
            ..case(origin, false)
        };
        let good = case(Origin::Tester, true);
        check(&trial(vec![good.clone(), withdrawn(Origin::Author)]), None);
        check(&trial(vec![withdrawn(Origin::Tester)]), Some("no case"));
        check(&trial(vec![good, withdrawn(Origin::User)]), Some("(user)"));
    }

    #[test]
    fn findings_and_template_refuse() {
        let mut t = trial(vec![case(Origin::Tester, true)]);
        t.template.push("no docstring".to_owned());
        check(&t, Some("template: no docstring"));
        t.template.clear();
        let mut finding = Finding {
            rule: "name.forbidden".to_owned(),
            severity: Severity::Warn,
            line: 3,
            column: 1,
            reason: "uses".to_owned(),
        };
        t.findings.push(finding.clone());
        check(&t, None);
        finding.severity = Severity::Refuse;
        t.findings.push(finding);
        check(&t, Some("name.forbidden (line 3)"));
    }
}
