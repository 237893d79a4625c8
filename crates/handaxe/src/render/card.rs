//! The approval card on a terminal: one screen first, depth on demand.

use std::fmt::Write as _;

use handaxe_agent::Card;
use handaxe_types::{Author, Capability, Limits, Origin, Severity, Verdict};

use console::Style;

use super::text::{Shown, bytes, clip, wrap};
use super::{bad, caution, faint, good, strong};

/// Before a value: two blanks, the name's column, a blank.
const INDENT: usize = 15;

/// The card's first screen.
pub(crate) fn render_card(card: &Card) -> String {
    let mut out = String::new();
    let spec = &card.draft.spec;
    let title = format!("{}@{}", card.request.tool, card.request.version);
    let width = usize::from(console::Term::stderr().size().1).clamp(40, 110) - INDENT;
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
    let mut prose = |name: &str, text: &str, style: Style| {
        for (i, line) in wrap(&Shown(text).to_string(), width).iter().enumerate() {
            row(
                if i == 0 { name } else { "" },
                style.apply_to(line).to_string(),
            );
        }
    };
    let plain = Style::new;
    prose("Does", &clip(&spec.description, 300), plain());
    prose("Wanted for", &clip(&card.request.why, 300), plain());
    prose(
        "Written by",
        &author(&card.draft.provenance.author, card.attempt),
        plain(),
    );
    prose("May use", &capabilities(&spec.capabilities), plain());
    prose("Limits", &limits(&spec.limits), plain());
    let scores = &card.verdict.scores;
    prose(
        "Proof",
        &proof(&card.verdict),
        if card.verdict.accepted { good() } else { bad() },
    );
    for line in shows(card) {
        prose("", line, faint());
    }
    prose(
        "Took",
        &format!(
            "{:.1} ms p50, {:.1} ms p95, at most {} in one run; {} runs in the sandbox",
            scores.runtime_p50_ms,
            scores.runtime_p95_ms,
            bytes(scores.max_rss_kib * 1024),
            scores.sandbox_runs,
        ),
        plain(),
    );
    let warnings: Vec<_> = card
        .verdict
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Warn)
        .collect();
    for finding in warnings.iter().take(5) {
        prose(
            "Warning",
            &format!("line {}: {}", finding.line, finding.reason),
            caution(),
        );
    }
    if warnings.len() > 5 {
        prose("", &format!("… and {} more", warnings.len() - 5), plain());
    }
    if card.self_approval {
        let text = "its author is a person: that person's own yes is recorded as self-approved";
        prose("Note", text, caution());
    }
    let digest = card.request.subject.0.short();
    prose(
        "Binds",
        &format!("digest {digest} (code, schemas, limits, assets, sandbox profile)"),
        plain(),
    );
    for (i, step) in card.plan.iter().enumerate() {
        prose(
            if i == 0 { "Plan" } else { "" },
            &format!("{}. {step}", i + 1),
            plain(),
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
    format!("{passed} of {run} cases passed ({})", by_origin.join("; "))
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
