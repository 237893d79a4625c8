//! The report of the arms, side by side. What did not run says so and has no figure.

use super::{Bar, Document, Section, Table, Tone, percent};
use crate::arms::{Arm, ArmReport, ArmScore};

const HEADER: [&str; 8] = [
    "arm",
    "asks",
    "right",
    "wrong",
    "refused",
    "bound",
    "failed",
    "right, 95 % interval",
];

fn row(arm: Arm, score: Option<&ArmScore>) -> Vec<String> {
    let name = arm.as_str().to_owned();
    let Some(s) = score else {
        let mut row = vec![name, "not run".to_owned()];
        row.resize(HEADER.len(), String::new());
        return row;
    };
    vec![
        name,
        s.asks.to_string(),
        s.right.to_string(),
        s.wrong.to_string(),
        s.refused.to_string(),
        s.bound.to_string(),
        s.failed.to_string(),
        percent(s.success),
    ]
}

pub fn of_arms(report: &ArmReport) -> Document {
    let ran = || {
        report
            .arms
            .iter()
            .filter_map(|(arm, s)| Some((arm, s.as_ref()?)))
    };
    let mut sections = vec![Section {
        heading: "arms".to_owned(),
        table: Some(Table::new(
            &HEADER,
            report
                .arms
                .iter()
                .map(|(a, s)| row(*a, s.as_ref()))
                .collect(),
        )),
        bars: ran()
            .map(|(arm, s)| Bar::new(arm.as_str(), s.success, Tone::Good))
            .collect(),
        ..Section::default()
    }];
    if ran().next().is_some() {
        sections.push(Section {
            heading: "tools and cost".to_owned(),
            table: Some(Table::new(
                &[
                    "arm",
                    "tools accepted",
                    "wrong accepts",
                    "wrong refusals",
                    "reused right",
                    "reused wrong",
                    "flips",
                    "tokens",
                    "seconds",
                ],
                ran()
                    .map(|(arm, s)| {
                        vec![
                            arm.as_str().to_owned(),
                            s.made.to_string(),
                            s.wrong_accepts.to_string(),
                            s.wrong_refusals.to_string(),
                            s.reused_right.to_string(),
                            s.reused_wrong.to_string(),
                            s.flips.to_string(),
                            s.tokens.to_string(),
                            format!("{:.1}", s.seconds),
                        ]
                    })
                    .collect(),
            )),
            ..Section::default()
        });
    }
    for (family, arms) in &report.families {
        sections.push(Section {
            heading: family.clone(),
            table: Some(Table::new(
                &HEADER,
                arms.iter().map(|(a, s)| row(*a, Some(s))).collect(),
            )),
            ..Section::default()
        });
    }
    let bounds = report.bounds;
    let mut notes = vec![
        format!(
            "Model: {}. Every ask of every arm may spend {} tokens and {} seconds; the third arm pays its {} repairs from the same.",
            report.model, bounds.tokens, bounds.seconds, bounds.repairs
        ),
        "A wrong accept is an accepted tool that fails one of twelve inputs nobody was shown. Intervals are Wilson's, 95 %.".to_owned(),
    ];
    if report.arms.values().any(Option::is_none) {
        notes.push(
            "Arms that need a model which is not there were not run, and have no figure."
                .to_owned(),
        );
    }
    Document {
        title: format!("Does making tools help? {}", report.suite),
        sections,
        notes,
    }
}
