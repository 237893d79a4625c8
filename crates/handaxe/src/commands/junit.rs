//! A trial as JUnit XML, for other people's continuous integration: a suite for the cases of each
//! origin, one for the score card.

use std::path::Path;
use std::time::Duration;

use handaxe_types::{ScoreStatus, Trial, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::failure::Failure;

/// Writes the file whole or not at all.
pub(crate) fn write(
    path: &Path,
    name: &str,
    trial: &Trial,
    verdict: &Verdict,
) -> Result<(), Failure> {
    let text = render(name, trial, verdict)?;
    let draft = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|e| {
            let _ = std::fs::remove_file(&draft);
            Failure::failed("junit", format!("cannot write {}: {e}", path.display()))
                .hint("choose another place with --junit FILE")
        })
}

fn render(name: &str, trial: &Trial, verdict: &Verdict) -> Result<String, Failure> {
    let mut report = Report::new(name);
    let mut origins: Vec<_> = trial.cases.iter().map(|c| c.origin).collect();
    origins.sort_unstable();
    origins.dedup();
    for origin in origins {
        let mut suite = TestSuite::new(format!("{name}.cases.{}", origin.as_str()));
        for result in trial.cases.iter().filter(|c| c.origin == origin) {
            let status = if let Some(why) = &result.withdrawn {
                let mut status = TestCaseStatus::skipped();
                status.set_message(format!("withdrawn: {why}"));
                status
            } else if result.passed {
                TestCaseStatus::success()
            } else {
                let why = result.failure.clone().unwrap_or_default();
                failure(why, &result.stderr)
            };
            let mut case = TestCase::new(result.name.clone(), status);
            case.set_classname(format!("{name}.{}", origin.as_str()));
            case.set_time(seconds(result.runtime_ms));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.add_test_suite(card(name, trial, verdict));
    report
        .to_string()
        .map_err(|e| Failure::failed("junit", format!("cannot make the report: {e}")))
}

/// A row a test; what refused the draft without a row of its own is a test that failed.
fn card(name: &str, trial: &Trial, verdict: &Verdict) -> TestSuite {
    let mut suite = TestSuite::new(format!("{name}.card"));
    suite.set_time(seconds(trial.wall_ms));
    for row in &verdict.card {
        let status = match row.status {
            ScoreStatus::Pass | ScoreStatus::Warn => TestCaseStatus::success(),
            ScoreStatus::Fail => failure(format!("{}: {}", row.value, row.why), ""),
            ScoreStatus::NotMeasured => {
                let mut status = TestCaseStatus::skipped();
                status.set_message("not measured".to_owned());
                status
            }
        };
        let mut case = TestCase::new(row.name.clone(), status);
        case.set_classname(format!("{name}.card"));
        case.set_system_out(format!("{} {}", row.value, row.why));
        suite.add_test_case(case);
    }
    let status = if verdict.accepted {
        TestCaseStatus::success()
    } else {
        failure(verdict.reasons.join("\n"), "")
    };
    let mut case = TestCase::new("verdict", status);
    case.set_classname(format!("{name}.card"));
    suite.add_test_case(case);
    suite
}

fn failure(why: String, more: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(why);
    if !more.is_empty() {
        status.set_description(more.to_owned());
    }
    status
}

fn seconds(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default()
}
