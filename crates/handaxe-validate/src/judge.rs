//! The verdict: computed on the host from what the trial measured, by the policy.

use std::collections::BTreeMap;

use handaxe_types::{
    Bound, CaseResult, Origin, Policy, ScoreRow, ScoreStatus, Scores, Severity, Trial, Verdict,
};

use crate::card::{card, counts, ran};
use crate::cost::quantile;

/// At most this many failing cases are told one by one.
const TOLD: usize = 20;

/// Accepts a trial only when nothing speaks against it: no finding refuses, every case that counts
/// passed, and no row of the score card fails. Withdrawn cases count neither for nor against; a
/// withdrawn golden counts as it would have, because goldens are never withdrawn.
pub fn judge(trial: &Trial, policy: &Policy) -> Verdict {
    let card = card(trial, policy);
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
        let failed = card.iter().filter(|r| r.status == ScoreStatus::Fail);
        // Which cases failed, and which of them were generated, has been said.
        let told = |r: &&ScoreRow| {
            let failing = trial.cases.iter().any(|c| counts(c) && !c.passed);
            match r.name.as_str() {
                "cases" | "independent_cases" => false,
                "fuzz" => !failing,
                _ => true,
            }
        };
        reasons.extend(failed.filter(told).map(reason));
    }
    Verdict {
        subject: trial.subject,
        accepted: reasons.is_empty(),
        reasons,
        scores: scores(trial),
        card,
        findings: trial.findings.clone(),
        review: None,
    }
}

/// A failing row in a line, with the policy's own where it has one.
fn reason(row: &ScoreRow) -> String {
    let ScoreRow {
        name, value, why, ..
    } = row;
    match &row.threshold {
        Some(t) => {
            let sign = match t.bound {
                Bound::AtLeast => "at least",
                Bound::AtMost => "at most",
            };
            format!(
                "{name}: {value}: {why}; policy.toml [trial] {} = {} ({sign})",
                t.key, t.value
            )
        }
        None => format!("{name}: {value}: {why}"),
    }
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
    // A generated input is nobody's word on what the tool should do.
    let spoken = || {
        counted
            .iter()
            .filter(|c| ran(c) && c.origin != Origin::Fuzz)
    };
    let run = spoken().count();
    let least = policy.trial.min_cases.max(1) as usize;
    if run == 0 {
        reasons.push("no case put it to work: without cases nothing is proved".to_owned());
    } else if run < least {
        reasons.push(format!(
            "{run} cases; policy.toml [trial] min_cases = {least}"
        ));
    }
    let independent = spoken().filter(|c| c.origin != Origin::Author).count();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::INPUT_REFUSED;
    use handaxe_types::{
        CapabilityUse, CostReport, Digest, Finding, FuzzReport, Growth, MutationReport, Outcome,
        RunError, Survivor, ToolDigest,
    };

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
            fuzz: Some(FuzzReport {
                generated: 50,
                runs: 50,
                ..FuzzReport::default()
            }),
            mutation: Some(MutationReport {
                killed_by_output: 9,
                ..MutationReport::default()
            }),
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

    type Change = fn(&mut Trial);

    fn survivors(trial: &mut Trial, killed: u32, alive: usize) {
        let survivor = Survivor {
            line: 3,
            operator: "comparison".to_owned(),
            original: "<".to_owned(),
            mutated: "<=".to_owned(),
            description: String::new(),
        };
        trial.mutation = Some(MutationReport {
            killed_by_output: killed,
            survivors: vec![survivor; alive],
            ..MutationReport::default()
        });
    }

    /// Every row of the card that can fail does, alone, and refuses; what only warns does not.
    #[test]
    fn what_was_measured_is_held_against_the_policy() {
        let good = || trial(vec![case(Origin::Tester, true)]);
        assert!(judge(&good(), &Policy::default()).accepted);
        let table: &[(&str, Option<&str>, Change)] = &[
            ("fuzz", Some("did not run"), |t| t.fuzz = None),
            ("mutants", Some("did not run"), |t| t.mutation = None),
            ("mutants", Some("kill_floor = 0.7"), |t| survivors(t, 6, 4)),
            ("mutants", None, |t| survivors(t, 7, 3)),
            // Too few to say, and none at all: shown, not refused.
            ("mutants", None, |t| survivors(t, 1, 3)),
            ("mutants", None, |t| {
                t.mutation = Some(MutationReport::default());
            }),
            ("near_valid", Some("let through: `n` is missing"), |t| {
                let fuzz = t.fuzz.as_mut().unwrap();
                (fuzz.near_valid, fuzz.near_valid_refused) = (9, 8);
                fuzz.let_through.push("`n` is missing".to_owned());
            }),
            ("fuzz", Some("min_fuzz_inputs"), |t| {
                let fuzz = t.fuzz.as_mut().unwrap();
                (fuzz.generated, fuzz.runs) = (1000, 19);
            }),
            ("fuzz", None, |t| {
                let fuzz = t.fuzz.as_mut().unwrap();
                (fuzz.generated, fuzz.runs) = (2, 2);
            }),
            ("growth", Some("max_exponent = 2.5"), |t| {
                t.cost = Some(grows(2.9));
            }),
            ("growth", None, |t| t.cost = Some(grows(2.6))),
            ("growth", None, |t| t.cost = Some(grows(2.0))),
            ("capabilities", Some("opens `/etc/x`"), |t| {
                t.capabilities = Some(CapabilityUse {
                    undeclared: vec!["opens `/etc/x`".to_owned()],
                    ..CapabilityUse::default()
                });
            }),
        ];
        for (name, reason, change) in table {
            let mut t = good();
            change(&mut t);
            check(&t, *reason);
            let verdict = judge(&t, &Policy::default());
            let row = verdict.card.iter().find(|r| r.name == *name).unwrap();
            assert_eq!(row.status == ScoreStatus::Fail, reason.is_some(), "{row:?}");
        }
    }

    fn grows(exponent: f64) -> CostReport {
        CostReport {
            growth: vec![Growth {
                exponent: Some(exponent),
                ..Growth::default()
            }],
            ..CostReport::default()
        }
    }

    /// A draft whose failing case was withdrawn after the trial stopped at it has no deeper proof:
    /// it may not pass without.
    #[test]
    fn a_withdrawn_case_is_no_way_around_the_deeper_proof() {
        let mut withdrawn = case(Origin::Tester, false);
        let mut t = trial(vec![case(Origin::Tester, true), withdrawn.clone()]);
        (t.fuzz, t.mutation) = (None, None);
        check(&t, Some("(tester)"));
        withdrawn.withdrawn = Some("wrong".to_owned());
        t.cases[1] = withdrawn;
        check(&t, Some("it did not run"));
    }

    /// Generated inputs speak for nobody.
    #[test]
    fn fuzz_cases_are_not_independent_cases() {
        check(
            &trial(vec![case(Origin::Author, true), case(Origin::Fuzz, true)]),
            Some("min_independent_cases"),
        );
    }
}
