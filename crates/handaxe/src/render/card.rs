//! The approval card on a terminal: one screen first, depth on demand.

use std::fmt::Write as _;

use handaxe_agent::Card;
use handaxe_types::{Author, Capability, Limits, Origin, Severity, Verdict};

use super::text::{Shown, bytes, clip};
use super::{bad, caution, faint, good, strong};

/// The card's first screen.
pub(crate) fn render_card(card: &Card) -> String {
    let mut out = String::new();
    let spec = &card.draft.spec;
    let title = format!("{}@{}", card.request.tool, card.request.version);
    let mut row = |name: &str, text: String| {
        let _ = writeln!(out, "  {} {text}", strong().apply_to(format!("{name:<12}")));
    };
    row(
        "Tool",
        format!(
            "{}  {}",
            strong().apply_to(&title),
            faint().apply_to(format!("approval {}", card.request.id))
        ),
    );
    row("Does", clip(&Shown(&spec.description).to_string(), 200));
    row(
        "Wanted for",
        clip(&Shown(&card.request.why).to_string(), 200),
    );
    row(
        "Written by",
        author(&card.draft.provenance.author, card.attempt),
    );
    row("May use", capabilities(&spec.capabilities));
    row("Limits", limits(&spec.limits));
    row("Proof", proof(&card.verdict));
    for line in shows(card) {
        row("", faint().apply_to(line).to_string());
    }
    row(
        "Took",
        format!(
            "{:.1} ms p50, {:.1} ms p95, at most {} in one run; {} runs in the sandbox",
            card.verdict.scores.runtime_p50_ms,
            card.verdict.scores.runtime_p95_ms,
            bytes(card.verdict.scores.max_rss_kib * 1024),
            card.verdict.scores.sandbox_runs,
        ),
    );
    let warnings: Vec<_> = card
        .verdict
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Warn)
        .collect();
    for finding in warnings.iter().take(5) {
        row(
            "Warning",
            caution()
                .apply_to(format!("line {}: {}", finding.line, Shown(&finding.reason)))
                .to_string(),
        );
    }
    if warnings.len() > 5 {
        row("", format!("… and {} more", warnings.len() - 5));
    }
    if card.self_approval {
        row(
            "Note",
            caution()
                .apply_to("you wrote this tool: your yes is recorded as self-approved")
                .to_string(),
        );
    }
    row(
        "Binds",
        format!(
            "digest {} (code, schemas, limits, assets, sandbox profile)",
            card.request.subject.0.short()
        ),
    );
    for (i, step) in card.plan.iter().enumerate() {
        row(
            if i == 0 { "Plan" } else { "" },
            format!("{}. {}", i + 1, Shown(step)),
        );
    }
    out
}

fn author(author: &Author, attempt: u32) -> String {
    let who = match author {
        Author::Composer => "the built-in composer (no model)".to_owned(),
        Author::Model { model, .. } => Shown(model).to_string(),
        Author::Person { name } => Shown(name).to_string(),
    };
    if attempt > 1 {
        format!("{who}, attempt {attempt}")
    } else {
        who
    }
}

fn capabilities(capabilities: &[Capability]) -> String {
    if capabilities.is_empty() {
        return "nothing but its input".to_owned();
    }
    let words: Vec<&str> = capabilities
        .iter()
        .map(|c| match c {
            Capability::ReadFiles => "reads the files attached to a call",
            Capability::WriteFiles => "writes files that are handed back",
        })
        .collect();
    words.join("; ")
}

fn limits(limits: &Limits) -> String {
    format!(
        "{} s (and {} ms for each MiB of data), {} of memory, {} of output",
        limits.wall_ms as f64 / 1000.0,
        limits.per_mib_ms,
        bytes(limits.memory_bytes),
        bytes(limits.output_bytes),
    )
}

/// "18 of 18 cases: 3 author, 15 tester (held out)".
pub(crate) fn proof(verdict: &Verdict) -> String {
    let scores = &verdict.scores.cases;
    let (passed, run) = scores
        .values()
        .fold((0, 0), |(p, r), (cp, cr)| (p + cp, r + cr));
    let by_origin: Vec<String> = scores
        .iter()
        .map(|(origin, (p, r))| {
            let note = match origin {
                Origin::Author => "author",
                Origin::Tester => "tester, held out from the author",
                Origin::User => "yours",
                Origin::Fuzz => "fuzz",
                Origin::Replay => "replay",
            };
            if p == r {
                format!("{r} {note}")
            } else {
                format!("{p}/{r} {note}")
            }
        })
        .collect();
    let style = if verdict.accepted { good() } else { bad() };
    format!(
        "{} ({})",
        style.apply_to(format!("{passed} of {run} cases passed")),
        by_origin.join("; ")
    )
}

/// What the proof shows, and what it does not.
fn shows(card: &Card) -> Vec<&'static str> {
    match card.draft.provenance.author {
        Author::Composer => vec![
            "shows: the code does what the plan says (a second implementation computed the cases)",
            "does not show: that the plan is what you meant; read it below",
        ],
        Author::Model { .. } => vec![
            "shows: the code meets cases that its author never saw",
            "does not show: that those cases are all that matters",
        ],
        Author::Person { .. } => vec!["shows: the code meets the cases given with it"],
    }
}
