//! The score card: one row a figure, from the trial and the policy's thresholds. A row that fails
//! is a refusal; [`crate::judge`] reads its reasons from the rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use handaxe_types::{
    Capability, CaseResult, CostReport, Coverage, FuzzReport, Origin, Policy, ScoreRow,
    ScoreStatus, Severity, Threshold, Trial,
};

use crate::cases::INPUT_REFUSED;

/// An exponent is refused this far past the bound, because it is measured.
const MARGIN: f64 = 0.2;
/// Errors as answers to more than this share of the inputs say that little was tried.
const MOSTLY: f64 = 0.9;

pub(crate) fn card(trial: &Trial, policy: &Policy) -> Vec<ScoreRow> {
    let mut rows = vec![policy_row(trial)];
    if rows[0].status == ScoreStatus::Fail {
        // Refused by reading: nothing ran, and nothing below was measured.
        return rows;
    }
    rows.push(cases(trial, policy));
    rows.push(independent(trial, policy));
    let deeper = trial.cases.iter().all(crate::trial::counts_as_passed);
    rows.push(fuzz(trial.fuzz.as_ref(), policy, deeper));
    rows.extend(trial.fuzz.as_ref().map(near_valid));
    rows.push(mutants(trial, policy, deeper));
    rows.push(coverage(trial.coverage.as_ref()));
    rows.push(time(trial));
    rows.push(growth(trial.cost.as_ref(), policy));
    rows.push(capabilities(trial));
    rows
}

/// A row without a threshold that passes.
fn row(name: &str, value: String) -> ScoreRow {
    ScoreRow {
        name: name.to_owned(),
        value,
        measured: None,
        threshold: None,
        status: ScoreStatus::Pass,
        why: String::new(),
    }
}

impl Row for ScoreRow {
    fn held_against(self, measured: f64, threshold: Threshold) -> Self {
        let status = if threshold.holds(measured) {
            ScoreStatus::Pass
        } else {
            ScoreStatus::Fail
        };
        Self {
            measured: Some(measured),
            threshold: Some(threshold),
            status,
            ..self
        }
    }

    fn because(self, status: ScoreStatus, why: impl Into<String>) -> Self {
        Self {
            status,
            why: why.into(),
            ..self
        }
    }
}

trait Row {
    fn held_against(self, measured: f64, threshold: Threshold) -> Self;
    fn because(self, status: ScoreStatus, why: impl Into<String>) -> Self;
}

/// A stage that did not run: a refusal where the policy asks for it and nothing else stood in its
/// way.
fn missing(name: &str, asked: bool, deeper: bool) -> ScoreRow {
    let row = row(name, "not measured".to_owned());
    match (asked, deeper) {
        (false, _) => row.because(ScoreStatus::NotMeasured, "the policy asks for none"),
        (true, false) => row.because(ScoreStatus::NotMeasured, "cases failed before it"),
        (true, true) => row.because(
            ScoreStatus::Fail,
            "the policy asks for it, and it did not run",
        ),
    }
}

pub(crate) fn counts(case: &CaseResult) -> bool {
    case.withdrawn.is_none() || case.origin == Origin::User
}

/// Whether a case put the tool to work: one that the host turned away did not.
pub(crate) fn ran(case: &CaseResult) -> bool {
    case.error.as_ref().is_none_or(|e| e.kind != INPUT_REFUSED)
}

fn policy_row(trial: &Trial) -> ScoreRow {
    let of = |s: Severity| trial.findings.iter().filter(|f| f.severity == s).count();
    let (refuse, warn) = (
        of(Severity::Refuse) + trial.template.len(),
        of(Severity::Warn),
    );
    let value = match (refuse, warn) {
        (0, 0) => "no findings".to_owned(),
        (0, _) => format!("{warn} to look at"),
        _ => format!("{refuse} that refuse, {warn} to look at"),
    };
    let row = row("static_policy", value);
    match (refuse, warn) {
        (0, 0) => row,
        (0, _) => row.because(ScoreStatus::Warn, "findings that the policy lets pass"),
        _ => row.because(ScoreStatus::Fail, "the code holds what the policy refuses"),
    }
}

fn cases(trial: &Trial, policy: &Policy) -> ScoreRow {
    let counted: Vec<&CaseResult> = trial.cases.iter().filter(|c| counts(c)).collect();
    let passed = counted.iter().filter(|c| c.passed).count();
    let mut origins: BTreeMap<Origin, u32> = BTreeMap::new();
    for case in &counted {
        *origins.entry(case.origin).or_default() += 1;
    }
    let by: Vec<String> = origins
        .iter()
        .map(|(o, n)| format!("{n} {}", o.as_str()))
        .collect();
    let value = format!("{passed} of {} passed ({})", counted.len(), by.join(", "));
    let run = counted
        .iter()
        .filter(|c| ran(c) && c.origin != Origin::Fuzz)
        .count();
    let least = f64::from(policy.trial.min_cases.max(1));
    let row = row("cases", value).held_against(run as f64, Threshold::at_least("min_cases", least));
    if row.status == ScoreStatus::Fail {
        row.because(
            ScoreStatus::Fail,
            "fewer than the policy asks for put it to work",
        )
    } else if passed < counted.len() {
        let failed = counted.len() - passed;
        row.because(ScoreStatus::Fail, format!("{failed} failed"))
    } else {
        row
    }
}

fn independent(trial: &Trial, policy: &Policy) -> ScoreRow {
    let own = [Origin::Author, Origin::Fuzz];
    let counted = |c: &&CaseResult| counts(c) && ran(c) && !own.contains(&c.origin);
    let n = trial.cases.iter().filter(counted).count();
    let least = f64::from(policy.trial.min_independent_cases);
    let row = row(
        "independent_cases",
        format!("{n} that its author did not write"),
    )
    .held_against(
        n as f64,
        Threshold::at_least("min_independent_cases", least),
    );
    if row.status == ScoreStatus::Fail {
        row.because(ScoreStatus::Fail, "its author alone vouches for it")
    } else {
        row
    }
}

fn fuzz(report: Option<&FuzzReport>, policy: &Policy, deeper: bool) -> ScoreRow {
    let Some(report) = report else {
        return missing("fuzz", policy.trial.fuzz_inputs > 0, deeper);
    };
    let documented: u32 = report.documented.values().sum();
    let mut value = format!(
        "{} of {} inputs held",
        report.runs - report.failed.min(report.runs),
        report.runs
    );
    if documented > 0 {
        let _ = write!(value, ", {documented} of them by a documented error");
    }
    if report.repeated > 0 {
        let repeated = report.repeated;
        let _ = write!(value, ", {repeated} repeated under another hash seed");
    }
    // A small schema has no more inputs than it has.
    let least = policy
        .trial
        .min_fuzz_inputs
        .min(report.generated)
        .min(policy.trial.fuzz_inputs);
    let row = row("fuzz", value).held_against(
        f64::from(report.runs),
        Threshold::at_least("min_fuzz_inputs", f64::from(least)),
    );
    if report.failed > 0 {
        row.because(ScoreStatus::Fail, format!("{} failed", report.failed))
    } else if row.status == ScoreStatus::Fail {
        row.because(
            ScoreStatus::Fail,
            report.stopped_by.clone().unwrap_or_default(),
        )
    } else if report.generated == 0 {
        row.because(ScoreStatus::Warn, "no input could be made from its schema")
    } else if let Some(why) = &report.stopped_by {
        row.because(
            ScoreStatus::Warn,
            format!("{} were asked for; {why}", report.asked),
        )
    } else if f64::from(documented) > MOSTLY * f64::from(report.runs) {
        row.because(
            ScoreStatus::Warn,
            "nearly all ended in a documented error: little was tried",
        )
    } else {
        row
    }
}

fn near_valid(report: &FuzzReport) -> ScoreRow {
    let (refused, all) = (report.near_valid_refused, report.near_valid);
    let row = row(
        "near_valid",
        format!("{refused} of {all} refused before any run"),
    );
    if all == 0 {
        row.because(ScoreStatus::NotMeasured, "no valid input to start from")
    } else if refused < all {
        let what = report.let_through.join("; ");
        row.because(ScoreStatus::Fail, format!("the host let through: {what}"))
    } else {
        row
    }
}

fn mutants(trial: &Trial, policy: &Policy, deeper: bool) -> ScoreRow {
    let Some(report) = &trial.mutation else {
        return missing("mutants", policy.trial.mutants > 0, deeper);
    };
    let Some(rate) = report.rate() else {
        let why = report.stopped_by.clone();
        let why = why.unwrap_or_else(|| "none could be judged".to_owned());
        let value = format!("none of {} judged", report.generated);
        return row("mutants", value).because(ScoreStatus::Warn, why);
    };
    let mut value = format!(
        "{} of {} killed ({:.0} %)",
        report.killed(),
        report.judged(),
        rate * 100.0
    );
    for (n, what) in [
        (report.equivalent, "equivalent"),
        (report.killed_by_crash, "only crashed"),
        (report.not_run, "not run"),
    ] {
        if n > 0 {
            let _ = write!(value, ", {n} {what}");
        }
    }
    let floor = if trial.by_example {
        Threshold::at_least("example_kill_floor", policy.trial.example_kill_floor)
    } else {
        Threshold::at_least("kill_floor", policy.trial.kill_floor)
    };
    let least_share = floor.value;
    let row = row("mutants", value).held_against(rate, floor);
    let least = policy.trial.min_mutants;
    if row.status != ScoreStatus::Fail {
        // A tool that checks its own code leaves next to nothing else.
        let mostly = report.killed_by_crash > report.judged();
        let why = "most changes were only noticed by exceptions that the tool never raises";
        return if mostly {
            row.because(ScoreStatus::Warn, why)
        } else {
            row
        };
    }
    if report.not_run > report.judged() && highest(rate, report.judged()) >= least_share {
        let why = "the time was over before most mutants were tried: the share says little";
        return row.because(ScoreStatus::Warn, why);
    }
    if report.judged() < least {
        return row.because(
            ScoreStatus::Warn,
            format!("fewer than {least} mutants say little"),
        );
    }
    let lines: Vec<String> = report
        .survivors
        .iter()
        .take(4)
        .map(|s| s.line.to_string())
        .collect();
    row.because(
        ScoreStatus::Fail,
        format!(
            "the cases are too weak: changes in lines {} go unnoticed",
            lines.join(", ")
        ),
    )
}

/// The upper end of Wilson's 95 % interval for a share seen in `of` tries (E. B. Wilson, "Probable
/// inference, the law of succession, and statistical inference", 1927).
fn highest(share: f64, of: u32) -> f64 {
    const Z2: f64 = 1.96 * 1.96;
    let n = f64::from(of.max(1));
    let spread = (Z2 * (share * (1.0 - share) / n + Z2 / (4.0 * n * n))).sqrt();
    (share + Z2 / (2.0 * n) + spread) / (1.0 + Z2 / n)
}

fn coverage(report: Option<&Coverage>) -> ScoreRow {
    let Some(c) = report else {
        return missing("coverage", false, false).because(ScoreStatus::NotMeasured, "");
    };
    let value = format!(
        "{} of {} lines, {} of {} branches",
        c.lines_hit, c.lines, c.branches_hit, c.branches
    );
    row("coverage", value).because(
        ScoreStatus::Pass,
        "reported by the process under test: shown, never a threshold",
    )
}

fn time(trial: &Trial) -> ScoreRow {
    let Some(cost) = &trial.cost else {
        return row("cost", "not measured".to_owned()).because(ScoreStatus::NotMeasured, "");
    };
    row(
        "cost",
        format!(
            "{:.1} ms p50, {:.1} ms p95, {} MiB at most over {} runs",
            cost.p50_ms,
            cost.p95_ms,
            cost.peak_kib.div_ceil(1024),
            cost.runs
        ),
    )
}

fn growth(cost: Option<&CostReport>, policy: &Policy) -> ScoreRow {
    let Some(cost) = cost else {
        return row("growth", "not measured".to_owned()).because(ScoreStatus::NotMeasured, "");
    };
    let Some(steepest) = cost.steepest() else {
        let why = cost
            .growth
            .first()
            .map_or("no part of its input can be made larger", |g| &g.note);
        return row("growth", "not measured".to_owned()).because(ScoreStatus::NotMeasured, why);
    };
    let exponent = steepest.exponent.unwrap_or_default();
    let value = format!(
        "time grows as the {} of `{}` to the power of {exponent:.1}",
        steepest.unit, steepest.of
    );
    let bound = policy.trial.max_exponent;
    let row =
        row("growth", value).held_against(exponent, Threshold::at_most("max_exponent", bound));
    if exponent > bound + MARGIN {
        row.because(
            ScoreStatus::Fail,
            format!(
                "at {} it took {:.0} ms",
                steepest.sizes.last().copied().unwrap_or_default(),
                steepest.ms.last().copied().unwrap_or_default()
            ),
        )
    } else if exponent >= policy.trial.warn_exponent {
        row.because(
            ScoreStatus::Warn,
            "quadratic or worse: large inputs will be slow",
        )
    } else {
        row.because(ScoreStatus::Pass, "")
    }
}

fn capabilities(trial: &Trial) -> ScoreRow {
    let Some(seen) = &trial.capabilities else {
        return row("capabilities", "not measured".to_owned())
            .because(ScoreStatus::NotMeasured, "");
    };
    let words = |list: &mut dyn Iterator<Item = &Capability>| {
        let words: Vec<&str> = list
            .map(|c| match c {
                Capability::ReadFiles => "read files",
                Capability::WriteFiles => "write files",
            })
            .collect();
        if words.is_empty() {
            "nothing".to_owned()
        } else {
            words.join(" and ")
        }
    };
    let value = format!(
        "asks to {}, used {}",
        words(&mut seen.asked.iter()),
        words(&mut seen.used.iter())
    );
    let row = row(
        "capabilities",
        value.replace("asks to nothing", "asks for nothing"),
    );
    if !seen.undeclared.is_empty() {
        let what = seen.undeclared.join("; ");
        return row.because(ScoreStatus::Fail, format!("used without asking: {what}"));
    }
    let unused: Vec<&Capability> = seen.asked.difference(&seen.used).collect();
    if unused.is_empty() {
        row
    } else {
        let unused = words(&mut unused.into_iter());
        row.because(ScoreStatus::Warn, format!("no case made it {unused}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_few_tries_may_be_higher() {
        // 10 of 20: the interval that is printed for it everywhere ends at 70.1 %.
        assert!((highest(0.5, 20) - 0.701).abs() < 0.001);
        assert!(highest(0.0, 4) > 0.48);
        assert!(highest(0.0, 4) < 0.5);
        // Many tries leave no such doubt.
        assert!(highest(0.5, 500) < 0.55);
    }
}
