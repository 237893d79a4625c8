//! The report of the gate: what passes, what is stopped, by what, and what each check buys.

use super::{Bar, Document, Section, Table, Tone, percent};
use crate::gate::{Check, GateReport, Half, Without};
use crate::report::wilson;

/// Every check that a draft can be stopped by, in the proof's order.
const ORDER: [Check; 8] = [
    Check::Reading,
    Check::AuthorCases,
    Check::HeldOutCases,
    Check::Generated,
    Check::Mutants,
    Check::Growth,
    Check::Capabilities,
    Check::Other,
];

pub fn of_gate(report: &GateReport) -> Document {
    let mut sections = vec![passed(report), stopped(report)];
    if report.without.iter().any(|w| w.bad.1 + w.good.1 > 0) {
        sections.push(buys(report));
    }
    if !report.operators.is_empty() {
        sections.push(operators(report));
    }
    let mut notes = vec![
        format!(
            "Each draft: {} generated inputs, {} mutants, at least {:.0} % of them killed; {:.0} ms in the middle, {:.0} ms at most; {} runs in the sandbox.",
            report.fuzz_inputs,
            report.mutants,
            100.0 * report.kill_floor,
            report.median_ms,
            report.slowest_ms,
            report.sandbox_runs
        ),
        "A bug is one change to a right solution after which tests fail that no part of the gate has seen. Intervals are Wilson's, 95 %.".to_owned(),
    ];
    if !report.failed.is_empty() {
        notes.push(format!(
            "{} drafts are not counted, because the sandbox failed; the first: {}",
            report.failed.len(),
            report.failed[0]
        ));
    }
    Document {
        title: "How good the gate is".to_owned(),
        sections,
        notes,
    }
}

fn passed(report: &GateReport) -> Section {
    let row = |name: &str, half: &Half| {
        vec![
            name.to_owned(),
            half.drafts.to_string(),
            half.accepted.to_string(),
            (half.drafts - half.accepted).to_string(),
            percent(half.rate),
        ]
    };
    Section {
        heading: "what gets through".to_owned(),
        table: Some(Table::new(
            &[
                "drafts",
                "",
                "accepted",
                "refused",
                "accepted, 95 % interval",
            ],
            vec![row("right", &report.good), row("wrong", &report.bad)],
        )),
        bars: vec![
            Bar::new("right drafts accepted", report.good.rate, Tone::Good),
            Bar::new("wrong drafts accepted", report.bad.rate, Tone::Bad),
        ],
        ..Section::default()
    }
}

fn stopped(report: &GateReport) -> Section {
    let of = |half: &Half, check: Check| {
        let first = half.stopped_first_by.get(&check).copied().unwrap_or(0);
        let only = half.stopped_only_by.get(&check).copied().unwrap_or(0);
        (first, only)
    };
    let rows = ORDER
        .iter()
        .filter(|c| of(&report.good, **c).0 + of(&report.bad, **c).0 > 0)
        .map(|check| {
            let (good, bad) = (of(&report.good, *check), of(&report.bad, *check));
            vec![
                check.as_str().to_owned(),
                bad.0.to_string(),
                bad.1.to_string(),
                good.0.to_string(),
            ]
        })
        .collect();
    Section {
        heading: "by which check".to_owned(),
        text: vec!["The first check, in the proof's order, that spoke against a draft; and where it was the only one. What a failing case stops goes no further.".to_owned()],
        table: Some(Table::new(
            &["check", "wrong drafts stopped", "by it alone", "right drafts stopped"],
            rows,
        )),
        bars: ORDER
            .iter()
            .map(|c| (c, of(&report.bad, *c).0))
            .filter(|(_, n)| *n > 0)
            .map(|(c, n)| Bar::new(c.as_str(), wilson(n, report.bad.drafts), Tone::Good))
            .collect(),
    }
}

fn name(without: &Without) -> String {
    match without.check {
        None => "everything on".to_owned(),
        Some(Check::Other) => "only reading, and the author's own cases".to_owned(),
        Some(check) => format!("without {}", check.as_str()),
    }
}

fn buys(report: &GateReport) -> Section {
    let rows = report
        .without
        .iter()
        .map(|w| {
            vec![
                name(w),
                format!("{} of {}", w.bad.0, w.bad.1),
                percent(w.let_through),
                format!("{} of {}", w.good.0, w.good.1),
            ]
        })
        .collect();
    Section {
        heading: "what each check buys".to_owned(),
        text: vec!["The same drafts with one check switched off. More wrong drafts than in the first row got through because the check was not there.".to_owned()],
        table: Some(Table::new(
            &["", "wrong drafts accepted", "95 % interval", "right drafts accepted"],
            rows,
        )),
        bars: report
            .without
            .iter()
            .map(|w| Bar::new(name(w), w.let_through, Tone::Bad))
            .collect(),
    }
}

fn operators(report: &GateReport) -> Section {
    let rows = report
        .operators
        .iter()
        .map(|(name, o)| {
            vec![
                name.clone(),
                o.drafts.to_string(),
                o.accepted.to_string(),
                percent(wilson(o.accepted, o.drafts)),
            ]
        })
        .collect();
    Section {
        heading: "by kind of bug".to_owned(),
        table: Some(Table::new(
            &["what was changed", "drafts", "accepted", "95 % interval"],
            rows,
        )),
        ..Section::default()
    }
}
