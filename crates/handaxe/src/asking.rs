//! The person at the terminal, or the one who said yes beforehand.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use handaxe_agent::{Approver, Card, Decision};
use handaxe_types::ApprovalMethod;

use crate::home::login;
use crate::render::text::{Lines, Shown};
use crate::render::{Output, Watcher, bad, faint, good, highlight, render_card, strong};
use crate::workshop::Workshop;

/// `--yes`: shows the card and approves, as the person who runs the command.
pub(crate) struct YesFlag {
    out: Output,
    watcher: Arc<Watcher>,
}

impl YesFlag {
    pub(crate) fn new(shop: &Workshop, watcher: Arc<Watcher>) -> Self {
        Self {
            out: shop.out.clone(),
            watcher,
        }
    }
}

impl Approver for YesFlag {
    fn decide(&self, card: &Card) -> Decision {
        self.watcher.clear();
        self.out.note(strong().for_stderr().apply_to("Approval"));
        self.out.note(render_card(card).trim_end());
        let who = login();
        self.out.note(format!(
            "  {}",
            good()
                .for_stderr()
                .apply_to(format!("approved by {} with --yes", Shown(&who)))
        ));
        Decision::Approve {
            approver: who,
            method: ApprovalMethod::YesFlag,
        }
    }
}

/// Asks at the terminal: y / n / show code / cases / edit / why.
pub(crate) struct Asking {
    out: Output,
    watcher: Arc<Watcher>,
}

impl Asking {
    /// Whether there is a terminal to ask at.
    pub(crate) fn possible(shop: &Workshop) -> bool {
        !shop.out.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    pub(crate) fn new(shop: &Workshop, watcher: Arc<Watcher>) -> Self {
        Self {
            out: shop.out.clone(),
            watcher,
        }
    }

    fn cases(card: &Card) {
        for result in &card.cases {
            let mark = if result.passed { good() } else { bad() };
            let word = if result.passed { "passed" } else { "failed" };
            let held = if result.held_out { ", held out" } else { "" };
            show(format!(
                "  {} {} ({}{held}) {:.1} ms{}",
                mark.for_stderr().apply_to(word),
                Shown(&result.name),
                result.origin.as_str(),
                result.runtime_ms,
                result
                    .failure
                    .as_ref()
                    .map(|f| format!(": {}", Shown(f)))
                    .unwrap_or_default(),
            ));
        }
    }

    fn why(card: &Card) {
        show(format!("  Wanted for: {}", Shown(&card.request.why)));
        for (i, step) in card.plan.iter().enumerate() {
            show(format!("  {}. {}", i + 1, Shown(step)));
        }
        for line in card.verdict.reasons.iter().chain([&format!(
            "Proved under {} in {} sandbox runs; your yes covers digest {} and nothing else.",
            card.interpreter, card.verdict.scores.sandbox_runs, card.request.subject
        )]) {
            show(format!("  {}", Shown(line)));
        }
    }
}

/// The question is put on stderr, so that stdout holds the answer alone.
fn show(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

const HELP: &str = "y yes · n no · c code · t cases · d diff · e edit · w why";

impl Approver for Asking {
    fn decide(&self, card: &Card) -> Decision {
        self.watcher.clear();
        show(strong().for_stderr().apply_to("Approval"));
        show(render_card(card).trim_end());
        // A person who mistypes this often has gone.
        for _ in 0..200 {
            let answer = match inquire::Text::new("Use this tool?")
                .with_help_message(HELP)
                .prompt()
            {
                Ok(answer) => answer.trim().to_lowercase(),
                // Ctrl-C, Ctrl-D, Esc: it stays waiting, and nothing is lost.
                Err(_) => return Decision::Wait,
            };
            match answer.as_str() {
                "y" | "yes" => {
                    return Decision::Approve {
                        approver: login(),
                        method: ApprovalMethod::Terminal,
                    };
                }
                "n" | "no" => {
                    let reason = inquire::Text::new("Why not?").prompt().unwrap_or_default();
                    let reason = if reason.trim().is_empty() {
                        "no reason given".to_owned()
                    } else {
                        reason
                    };
                    return Decision::Reject {
                        approver: login(),
                        reason,
                    };
                }
                "c" | "code" | "show code" => {
                    show(highlight(&card.draft.code, self.out.color()).trim_end());
                }
                "t" | "cases" | "tests" => Self::cases(card),
                "d" | "diff" => {
                    let diff = if card.diff.is_empty() {
                        "  this is the first attempt"
                    } else {
                        &card.diff
                    };
                    show(Lines(diff));
                }
                "w" | "why" => Self::why(card),
                "e" | "edit" => match edit(&card.draft.code) {
                    Ok(Some(code)) => {
                        return Decision::Edit {
                            editor: login(),
                            code,
                        };
                    }
                    Ok(None) => show(faint().for_stderr().apply_to("  nothing was changed")),
                    Err(e) => show(format!("  the editor did not work: {e}")),
                },
                _ => show(format!("  {HELP}")),
            }
        }
        Decision::Wait
    }
}

/// Opens the code in the person's editor; `None` where it came back as it was.
fn edit(code: &str) -> std::io::Result<Option<String>> {
    let dir = std::env::temp_dir().join(format!("handaxe-edit-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("tool.py");
    std::fs::write(&path, code)?;
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.trim().is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    #[expect(
        clippy::disallowed_methods,
        reason = "the person's own editor, at the person's word"
    )]
    let status = std::process::Command::new(program)
        .args(words)
        .arg(&path)
        .status();
    let text = std::fs::read_to_string(&path);
    let _ = std::fs::remove_dir_all(&dir);
    if !status?.success() {
        return Ok(None);
    }
    let text = text?;
    Ok((text != code).then_some(text))
}
