//! The approval card on a terminal: one screen first, depth on demand. Takes a card and a width,
//! gives text; decides nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::Style;
use handaxe_agent::{Card, limit_words, may_use, proof_words};
use handaxe_types::{ScoreRow, ScoreStatus, Verdict};

use super::text::{Lines, Shown, clip, wrap};
use super::{bad, caution, faint, good, highlight, strong};

/// Before a value: two blanks, the name's column, a blank.
const INDENT: usize = 14;

/// Rows of the score card that the first screen always shows; the others only when something is
/// wrong with them.
const ALWAYS: [&str; 5] = ["cases", "fuzz", "mutants", "coverage", "cost"];

/// Risky lines on the first screen.
const FIRST_RISKS: usize = 3;

/// How wide a card may be on this terminal.
pub(crate) fn card_width() -> usize {
    usize::from(console::Term::stderr().size().1).clamp(40, 110)
}

/// Text under a column of names.
struct Sheet {
    out: String,
    width: usize,
}

impl Sheet {
    fn new(width: usize) -> Self {
        Self {
            out: String::new(),
            width: width.saturating_sub(INDENT),
        }
    }

    /// One line as it is.
    fn row(&mut self, name: &str, text: impl std::fmt::Display) {
        let name = strong().apply_to(format!("{name:<11}"));
        let _ = writeln!(self.out, "  {name} {text}");
    }

    /// One line, cut to fit.
    fn line(&mut self, name: &str, text: &str, style: &Style) {
        let text = clip(&Shown(text).to_string(), self.width);
        self.row(name, style.apply_to(text));
    }

    /// As many lines as it takes, up to a bound.
    fn prose(&mut self, name: &str, text: &str, style: &Style, most: usize) {
        let mut lines = wrap(&Shown(text).to_string(), self.width);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                *last = clip(&format!("{last} …"), self.width);
                if !last.ends_with('…') {
                    last.push('…');
                }
            }
        }
        for (i, line) in lines.iter().enumerate() {
            self.row(
                if i == 0 { name } else { "" },
                style.apply_to(clip(line, self.width)),
            );
        }
    }
}

/// The first screen: at most 22 lines for an ordinary tool, so that the keys fit beneath.
pub(crate) fn render_card(card: &Card, width: usize) -> String {
    let mut sheet = Sheet::new(width);
    let plain = Style::new();
    let spec = &card.draft.spec;
    sheet.row(
        "Tool",
        format!(
            "{}  {}",
            strong().apply_to(card.title()),
            faint().apply_to(format!("approval {}", card.request.id))
        ),
    );
    sheet.prose("Wanted for", &card.request.why, &plain, 2);
    sheet.prose("Does", &spec.description, &plain, 2);
    sheet.prose("Made by", &card.made_by(), &plain, 2);
    sheet.line("May use", &may_use(&spec.capabilities), &plain);
    sheet.prose("Limits", &limit_words(&spec.limits), &plain, 2);
    scores(&mut sheet, card);
    if let Some(changed) = card.changed() {
        sheet.line("Changed", &changed, &plain);
    }
    let first = card.risks.iter().take(FIRST_RISKS).enumerate();
    for (i, risk) in first {
        let place = match risk.line {
            0 => String::new(),
            n => format!("line {n}: "),
        };
        sheet.line(
            if i == 0 { "Read first" } else { "" },
            &format!("{place}{}", risk.why.join("; ")),
            &caution(),
        );
    }
    if card.self_approval {
        let text = "a person wrote it; that person's own yes is recorded as self-approved";
        sheet.prose("Note", text, &caution(), 2);
    }
    if let Some(used) = card.used_once() {
        sheet.prose("Used", &used, &caution(), 2);
    }
    sheet.prose("Leaves open", card.leaves_open(), &faint(), 2);
    sheet.prose(
        "Binds",
        &format!(
            "your yes covers digest {}: code, schemas, limits, assets, sandbox profile",
            card.request.subject.0.short()
        ),
        &plain,
        2,
    );
    sheet.out
}

fn scores(sheet: &mut Sheet, card: &Card) {
    let rows = &card.verdict.card;
    if rows.is_empty() {
        let style = if card.verdict.accepted { good() } else { bad() };
        return sheet.prose("Proof", &proof_words(&card.verdict), &style, 3);
    }
    let shown = |r: &&ScoreRow| ALWAYS.contains(&r.name.as_str()) || r.status != ScoreStatus::Pass;
    for (i, row) in rows.iter().filter(shown).enumerate() {
        let (text, style) = score_line(row);
        sheet.line(if i == 0 { "Proof" } else { "" }, &text, &style);
    }
    let quiet: Vec<String> = rows
        .iter()
        .filter(|r| !shown(r))
        .map(|r| r.name.replace('_', " "))
        .collect();
    if !quiet.is_empty() {
        sheet.prose("", &format!("also held: {}", quiet.join(", ")), &good(), 2);
    }
}

/// `mutants    31 of 34 killed (91 %)   at least 0.7   pass`.
fn score_line(row: &ScoreRow) -> (String, Style) {
    let bound = row.threshold.as_ref().map(ToString::to_string);
    let mut text = format!("{:<9} {}", row.name.replace('_', " "), row.value);
    if let Some(bound) = bound {
        let _ = write!(text, "  [{bound}]");
    }
    let style = match row.status {
        ScoreStatus::Pass => good(),
        ScoreStatus::Warn => caution(),
        ScoreStatus::Fail => bad(),
        ScoreStatus::NotMeasured => faint(),
    };
    if row.status != ScoreStatus::Pass {
        let _ = write!(text, "  {}", row.status.as_str());
        if !row.why.is_empty() {
            let _ = write!(text, ": {}", row.why);
        }
    }
    (text, style)
}

/// The whole score card, each row with what it leaves open.
pub(crate) fn score_card(verdict: &Verdict) -> String {
    let mut out = String::new();
    if verdict.card.is_empty() {
        let _ = writeln!(out, "  {}", proof_words(verdict));
    }
    for row in &verdict.card {
        let (text, style) = score_line(row);
        let _ = writeln!(out, "  {}", style.apply_to(Shown(&text)));
        if row.status == ScoreStatus::Pass && !row.why.is_empty() {
            let _ = writeln!(out, "            {}", faint().apply_to(Shown(&row.why)));
        }
    }
    out
}

/// The code, numbered, with the reasons under the lines that are worth reading first.
pub(crate) fn code_page(card: &Card, color: bool) -> String {
    let why: BTreeMap<usize, String> = card
        .risks
        .iter()
        .map(|r| (r.line as usize, r.why.join("; ")))
        .collect();
    let mut out = String::new();
    if let Some(whole) = why.get(&0) {
        let _ = writeln!(out, "  {}", caution().apply_to(Shown(whole)));
    }
    for (n, line) in (1..).zip(highlight(&card.draft.code, color).lines()) {
        let mark = if why.contains_key(&n) { "▶" } else { " " };
        let _ = writeln!(out, "{} {line}", caution().apply_to(mark));
        if let Some(why) = why.get(&n) {
            let _ = writeln!(
                out,
                "      {}",
                caution().apply_to(format!("↑ {}", Shown(why)))
            );
        }
    }
    out
}

pub(crate) fn cases_page(card: &Card) -> String {
    let mut out = String::new();
    for result in &card.cases {
        let (mark, word) = match (&result.withdrawn, result.passed) {
            (Some(_), _) => (faint(), "withdrawn"),
            (None, true) => (good(), "passed"),
            (None, false) => (bad(), "failed"),
        };
        let held = if result.held_out { ", held out" } else { "" };
        let why = result.withdrawn.as_ref().or(result.failure.as_ref());
        let _ = writeln!(
            out,
            "  {} {} ({}{held}) {:.1} ms{}",
            mark.apply_to(word),
            Shown(&result.name),
            result.origin.as_str(),
            result.runtime_ms,
            why.map(|f| format!(": {}", Shown(f))).unwrap_or_default(),
        );
    }
    out.push('\n');
    out + &score_card(&card.verdict)
}

pub(crate) fn failing_page(card: &Card) -> String {
    let mut out = String::new();
    for example in &card.failing {
        let _ = writeln!(
            out,
            "  {} {}: {}",
            bad().apply_to(format!("{} failed", example.of)),
            Shown(&example.name),
            Shown(&example.what)
        );
        if let Some(input) = &example.input {
            let _ = writeln!(out, "    input {}", Shown(&clip(&input.to_string(), 600)));
        }
        for line in example
            .stderr
            .lines()
            .rev()
            .take(6)
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            let _ = writeln!(out, "    {}", faint().apply_to(Shown(line)));
        }
    }
    if out.is_empty() {
        out.push_str("  Nothing failed on the way here.\n");
    }
    for survivor in card
        .risks
        .iter()
        .filter(|r| r.why.iter().any(|w| w.starts_with("no case")))
    {
        let _ = writeln!(
            out,
            "  {} line {}: {}",
            caution().apply_to("not noticed by any case:"),
            survivor.line,
            Shown(&survivor.why.join("; "))
        );
    }
    out
}

pub(crate) fn diff_page(card: &Card) -> String {
    let mut out = String::new();
    for diff in &card.diffs {
        let _ = writeln!(
            out,
            "  {}",
            strong().apply_to(format!("against {}", diff.against))
        );
        if diff.text.is_empty() {
            out.push_str("  no line of code changed\n");
        }
        for line in diff.text.lines() {
            let style = match line.as_bytes().first() {
                Some(b'+') => good(),
                Some(b'-') => bad(),
                Some(b'@') => faint(),
                _ => Style::new(),
            };
            let _ = writeln!(out, "  {}", style.apply_to(Lines(line)));
        }
    }
    if out.is_empty() {
        out.push_str(
            "  This is the first attempt at the first version: there is nothing before it.\n",
        );
    }
    out
}

pub(crate) fn run_page(card: &Card) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "  Wanted for: {}", Shown(&card.request.why));
    for (i, step) in card.plan.iter().enumerate() {
        let _ = writeln!(out, "  {}. {}", i + 1, Shown(step));
    }
    let cost = &card.cost;
    let _ = writeln!(
        out,
        "  {} attempts, {} sandbox runs, {} model calls ({} tokens in, {} out)",
        cost.attempts, cost.sandbox_runs, cost.model_calls, cost.tokens_in, cost.tokens_out
    );
    if let Some(run) = &card.request.run {
        let _ = writeln!(
            out,
            "  handaxe runs show {run} --full   shows every attempt and exchange"
        );
    }
    out
}

pub(crate) fn evidence_page(card: &Card) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<13} {value}");
    };
    let binds = &card.binds;
    row("digest", binds.tool.to_string());
    row("  code", binds.code.to_string());
    row("  spec", binds.spec.to_string());
    for (name, digest) in &binds.assets {
        row(
            "  asset",
            format!("{digest}\n                {}", Shown(name)),
        );
    }
    row("  sandbox", binds.profile.to_string());
    row("interpreter", Shown(&card.interpreter).to_string());
    let layers: Vec<&str> = card.layers.iter().map(|l| l.as_str()).collect();
    for (i, line) in wrap(&layers.join(" "), 62).iter().enumerate() {
        row(if i == 0 { "layers" } else { "" }, line.clone());
    }
    for finding in &card.verdict.findings {
        row(
            "finding",
            format!(
                "line {}: {} ({})",
                finding.line,
                Shown(&finding.reason),
                finding.rule
            ),
        );
    }
    out.push_str(
        "  A yes covers these digests and nothing else: code, spec (schemas, limits,\n  \
         capabilities), assets, sandbox profile. A changed byte is another tool, which\n  \
         nobody has approved. The cases are evidence and are not bound.\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use handaxe_agent::{Binds, CardDiff, MakingCost};
    use handaxe_types::{
        ApprovalId, ApprovalRequest, ApprovalState, Author, Capability, Digest, Draft, Limits,
        Provenance, Scores, Spec, Threshold, ToolDigest, ToolName, Version,
    };

    use super::*;

    fn row(name: &str, value: &str, threshold: Option<Threshold>) -> ScoreRow {
        ScoreRow {
            name: name.into(),
            value: value.into(),
            measured: None,
            threshold,
            status: ScoreStatus::Pass,
            why: String::new(),
        }
    }

    fn card() -> Card {
        let digest = Digest::of(b"x");
        let name = ToolName::new("csv_total").unwrap();
        let spec = Spec {
            name: name.clone(),
            description: "Sums a numeric column of a CSV file, grouped by another column where \
                          one is named, and gives the total of each group in order of the name."
                .into(),
            input_schema: serde_json::json!({}),
            output_schema: serde_json::json!({}),
            domain: "analysis".into(),
            capabilities: vec![Capability::ReadFiles],
            limits: Limits::default(),
            deterministic: true,
        };
        Card {
            request: ApprovalRequest {
                id: ApprovalId(7),
                tool: name,
                version: Version(2),
                subject: ToolDigest(digest),
                run: None,
                state: ApprovalState::Waiting,
                created_ms: 0,
                expires_ms: 1,
                why: "what is the total of amount by region in this file, for the last quarter?"
                    .into(),
            },
            draft: Draft {
                spec,
                code: "import csv\n\n\ndef run(*, path):\n    return 1\n".into(),
                cases: vec![],
                assets: BTreeMap::new(),
                provenance: Provenance {
                    author: Author::Model {
                        model: "openai:some-model".into(),
                        prompts: vec![],
                        replies: vec![],
                    },
                    why: String::new(),
                    recipe: None,
                    invocation: serde_json::Map::new(),
                },
            },
            verdict: Verdict {
                subject: ToolDigest(digest),
                accepted: true,
                reasons: vec![],
                scores: Scores::default(),
                card: vec![
                    row("static_policy", "0 findings", None),
                    row(
                        "cases",
                        "30 of 30",
                        Some(Threshold::at_least("min_cases", 1.0)),
                    ),
                    row("independent", "15", Some(Threshold::at_least("x", 1.0))),
                    row(
                        "fuzz",
                        "1000 of 1000 ran",
                        Some(Threshold::at_least("y", 20.0)),
                    ),
                    row("near_valid", "40 of 40 refused", None),
                    row(
                        "mutants",
                        "31 of 34 killed",
                        Some(Threshold::at_least("z", 0.7)),
                    ),
                    row("coverage", "58 of 60 lines", None),
                    row("cost", "0.6 ms p50, 1.2 ms p95, 11.2 MiB", None),
                    row("growth", "1.0", Some(Threshold::at_most("w", 3.2))),
                    row("capabilities", "read_files asked and used", None),
                ],
                findings: vec![],
                review: None,
            },
            cases: vec![],
            attempt: 2,
            diffs: vec![CardDiff {
                against: "csv_total@1".into(),
                text: "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n+z\n".into(),
            }],
            plan: vec![],
            interpreter: "CPython 3.11.7".into(),
            layers: vec![],
            risks: vec![],
            failing: vec![],
            cost: MakingCost {
                model_calls: 5,
                tokens_in: 9000,
                tokens_out: 3000,
                sandbox_runs: 1100,
                attempts: 2,
            },
            binds: Binds {
                tool: ToolDigest(digest),
                code: digest,
                spec: digest,
                assets: BTreeMap::new(),
                profile: digest,
            },
            provisional: None,
            self_approval: false,
        }
    }

    /// 80 columns and 24 lines, two of them for the keys and the cursor.
    #[test]
    fn an_ordinary_tool_fits_a_screen() {
        for width in [80, 110, 40] {
            let text = console::strip_ansi_codes(&render_card(&card(), width)).into_owned();
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            if width >= 80 {
                assert!(text.lines().count() <= 22, "{text}");
            }
        }
        let text = render_card(&card(), 80);
        for needle in [
            "csv_total@2",
            "at least 0.7",
            "+2 −1 lines against csv_total@1",
            "12000 tokens",
            "your yes covers digest",
            "also held: static policy, independent",
        ] {
            assert!(text.contains(needle), "{needle}\n{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_on_the_first_screen() {
        let mut card = card();
        card.verdict.card[8].status = ScoreStatus::Warn;
        card.verdict.card[8].why = "grows as the square of its input".into();
        let text = render_card(&card, 110);
        assert!(text.contains("warn: grows as the square"), "{text}");
    }

    #[test]
    fn hostile_text_is_shown_and_not_obeyed() {
        let mut card = card();
        card.request.why = "a\u{1b}[2Jb\nApproved by alice".into();
        card.draft.spec.description = "\u{202e}evil".repeat(200);
        card.draft.code = "x = '\u{1b}[31m'\n".into();
        for text in [
            render_card(&card, 80),
            code_page(&card, false),
            run_page(&card),
        ] {
            assert!(
                !text.contains("\u{1b}[2J") && !text.contains('\u{202e}'),
                "{text:?}"
            );
        }
    }
}
