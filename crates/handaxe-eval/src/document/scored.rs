//! The report of a suite that is right, wrong or refused.

use super::{Bar, Document, Section, Table, Tone, percent};
use crate::report::{Report, Score};

const HEADER: [&str; 7] = [
    "",
    "items",
    "right",
    "wrong",
    "refused",
    "failed",
    "right, 95 % interval",
];

fn row(name: &str, score: &Score) -> Vec<String> {
    vec![
        name.to_owned(),
        score.items.to_string(),
        score.right.to_string(),
        score.wrong.to_string(),
        score.refused.to_string(),
        score.failed.to_string(),
        percent(score.right_rate()),
    ]
}

/// Of gap detection, planned by `planner`.
pub fn of_gap(report: &Report, planner: &str) -> Document {
    Document {
        title: "Gap detection".to_owned(),
        notes: vec![
            format!("Planned by {planner}. The library was made by the composer; plans make nothing."),
            "Right is a covered request that reuses a tool, and an uncovered one that does not. Wrong is one that would be made again, or is forced onto a tool.".to_owned(),
            "Intervals are Wilson's, 95 %.".to_owned(),
        ],
        ..of_scored(report)
    }
}

pub fn of_scored(report: &Report) -> Document {
    let mut sections: Vec<Section> = report
        .by
        .iter()
        .map(|(label, scores)| Section {
            heading: format!("by {label}"),
            table: Some(Table::new(
                &HEADER,
                scores.iter().map(|(name, s)| row(name, s)).collect(),
            )),
            bars: scores
                .iter()
                .map(|(name, s)| Bar::new(name, s.right_rate(), Tone::Good))
                .collect(),
            ..Section::default()
        })
        .collect();
    let total = &report.total;
    sections.push(Section {
        heading: "all".to_owned(),
        text: vec![format!(
            "right {}, wrong {}; {:.0} ms in the middle, {:.0} ms at most",
            percent(total.right_rate()),
            percent(total.wrong_rate()),
            report.median_ms,
            report.slowest_ms
        )],
        table: Some(Table::new(&HEADER, vec![row("all", total)])),
        bars: vec![
            Bar::new("right", total.right_rate(), Tone::Good),
            Bar::new("wrong", total.wrong_rate(), Tone::Bad),
        ],
    });
    Document {
        title: format!("The composer: {}", report.suite),
        sections,
        notes: vec![
            "A wrong answer is worse than a refusal: both are counted apart.".to_owned(),
            "Intervals are Wilson's, 95 %.".to_owned(),
        ],
    }
}
