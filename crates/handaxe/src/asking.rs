//! The person at the terminal, or the one who said yes beforehand.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use console::{Key, Term};
use handaxe_agent::{Approver, Card, Decision};
use handaxe_types::{ApprovalHow, ApprovalMethod, ApprovalSignature, Capability};

use crate::approver::{sealed_key, unlock};
use crate::failure::Failure;
use crate::home::login;
use crate::render::text::Shown;
use crate::render::{
    Output, Watcher, card_width, cases_page, code_page, diff_page, evidence_page, failing_page,
    faint, good, render_card, run_page, strong,
};
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
        self.out.note(render_card(card, card_width()).trim_end());
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

/// `--while-waiting`: shows the card, leaves it waiting, and asks for the one use that the policy
/// allows meanwhile.
pub(crate) struct OnceFlag {
    out: Output,
    watcher: Arc<Watcher>,
}

impl OnceFlag {
    pub(crate) fn new(shop: &Workshop, watcher: Arc<Watcher>) -> Self {
        Self {
            out: shop.out.clone(),
            watcher,
        }
    }
}

impl Approver for OnceFlag {
    fn decide(&self, card: &Card) -> Decision {
        self.watcher.clear();
        self.out
            .note(strong().for_stderr().apply_to("Waits for approval"));
        self.out.note(render_card(card, card_width()).trim_end());
        Decision::UseOnce { asked_by: login() }
    }
}

/// Shows the card at the terminal; single keys show more of it and decide.
pub(crate) struct Asking {
    out: Output,
    watcher: Option<Arc<Watcher>>,
    how: ApprovalHow,
    home_id: String,
    keys: PathBuf,
    /// A use before the yes may be asked for: somebody waits for an answer, and the policy allows it.
    once: bool,
}

/// The key that is there only where the policy allows what it does.
const ONCE: &str = "u use it once for this answer, unapproved, and leave it waiting";

/// The keys, as shown beneath every page.
const KEYS: [&str; 2] = [
    "a approve · x reject, with a reason · m modify · q leave waiting",
    "c code · t cases · f failing example · d diff · r run · e evidence · s this card",
];

/// A person who presses this many other keys has gone.
const MAX_KEYS: usize = 500;

impl Asking {
    /// Whether there is a terminal to ask at.
    pub(crate) fn possible(shop: &Workshop) -> bool {
        !shop.out.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    pub(crate) fn new(shop: &Workshop, watcher: Option<Arc<Watcher>>) -> Result<Self, Failure> {
        let registry = shop.registry()?;
        Ok(Self {
            out: shop.out.clone(),
            watcher,
            how: shop.home()?.policy.approval.how,
            home_id: registry.home_id().to_owned(),
            keys: registry.keys_dir(),
            once: false,
        })
    }

    /// For a run that ends in an answer: what waits may be used once, where the policy says so.
    pub(crate) fn for_an_answer(mut self, shop: &Workshop) -> Result<Self, Failure> {
        self.once = shop.home()?.policy.approval.while_waiting_minutes > 0;
        Ok(self)
    }

    /// Whether the card at hand can be used before the yes; the registry has the last word.
    fn offers_once(&self, card: &Card) -> bool {
        let reads = |c: &Capability| *c == Capability::ReadFiles;
        self.once && card.provisional.is_none() && card.draft.spec.capabilities.iter().all(reads)
    }

    /// The yes, once more: a key pressed by mistake is none. `None` where the person thought again.
    fn approve(&self, card: &Card) -> Option<Decision> {
        let digest = card.request.subject.0.short();
        if self.how == ApprovalHow::Key {
            return match self.sign(card) {
                Ok(signature) => Some(Decision::Sign(signature)),
                Err(failure) => {
                    show(format!("  {}", failure.message));
                    if let Some(hint) = failure.hint {
                        show(format!("  {hint}"));
                    }
                    None
                }
            };
        }
        let approver = login();
        prompt(&format!(
            "Approve {}, digest {digest}, as {}? Press y: ",
            card.title(),
            Shown(&approver)
        ));
        let yes = matches!(key(), Some(Key::Char('y' | 'Y')));
        show(if yes { "yes" } else { "no" });
        yes.then_some(Decision::Approve {
            approver,
            method: ApprovalMethod::Terminal,
        })
    }

    fn sign(&self, card: &Card) -> Result<ApprovalSignature, Failure> {
        let sealed = sealed_key(&self.keys, None)?;
        let key = unlock(&sealed, None)?;
        Ok(key.sign_approval(&self.home_id, &card.request))
    }

    fn page(&self, card: &Card, pressed: char) -> Option<String> {
        Some(match pressed {
            'c' => code_page(card, self.out.color()),
            't' => cases_page(card),
            'f' => failing_page(card),
            'd' => diff_page(card),
            'r' => run_page(card),
            'e' => evidence_page(card),
            's' => render_card(card, card_width()),
            _ => return None,
        })
    }
}

/// The question is put on stderr, so that stdout holds the answer alone.
fn show(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn prompt(text: &str) {
    let mut err = std::io::stderr();
    let _ = write!(err, "{text}");
    let _ = err.flush();
}

/// One key; `None` where the terminal is gone or the person pressed Ctrl-C.
fn key() -> Option<Key> {
    Term::stderr().read_key().ok()
}

/// A page at a time, where it is longer than the screen.
fn show_paged(text: &str) {
    let height = usize::from(Term::stderr().size().0)
        .saturating_sub(2)
        .max(5);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    for (i, chunk) in lines.chunks(height).enumerate() {
        if i > 0 {
            prompt("  space: more, any other key: enough ");
            let more = matches!(key(), Some(Key::Char(' ') | Key::Enter | Key::PageDown));
            prompt("\r\x1b[K");
            if !more {
                return;
            }
        }
        show(chunk.join("\n"));
    }
}

impl Approver for Asking {
    fn decide(&self, card: &Card) -> Decision {
        if let Some(watcher) = &self.watcher {
            watcher.clear();
        }
        show(render_card(card, card_width()).trim_end());
        let once = self.offers_once(card);
        for _ in 0..MAX_KEYS {
            for line in KEYS.into_iter().chain(once.then_some(ONCE)) {
                show(strong().for_stderr().apply_to(line));
            }
            prompt("Use this tool? ");
            // Ctrl-C, Ctrl-D, Esc: it stays waiting, and nothing is lost.
            let Some(pressed) = key() else {
                show("");
                return Decision::Wait;
            };
            let pressed = match pressed {
                Key::Char(c) => c.to_ascii_lowercase(),
                Key::Escape | Key::CtrlC => 'q',
                _ => '?',
            };
            show(pressed);
            match pressed {
                'a' | 'y' => {
                    if let Some(decision) = self.approve(card) {
                        return decision;
                    }
                    show(
                        faint()
                            .for_stderr()
                            .apply_to("  Not approved; it is still waiting."),
                    );
                }
                'x' | 'n' => {
                    let Ok(reason) = inquire::Text::new("Why not?")
                        .with_help_message("Esc goes back; the reason is kept in the journal")
                        .prompt()
                    else {
                        continue;
                    };
                    let reason = match reason.trim() {
                        "" => "no reason given".to_owned(),
                        reason => reason.to_owned(),
                    };
                    return Decision::Reject {
                        approver: login(),
                        reason,
                    };
                }
                'u' if once => return Decision::UseOnce { asked_by: login() },
                'q' | '\u{4}' => return Decision::Wait,
                'm' => match edit(&card.draft.code) {
                    Ok(Some(code)) => {
                        return Decision::Edit {
                            editor: login(),
                            code,
                        };
                    }
                    Ok(None) => show(faint().for_stderr().apply_to("  nothing was changed")),
                    Err(e) => show(format!("  the editor did not work: {e}")),
                },
                other => {
                    if let Some(page) = self.page(card, other) {
                        show_paged(&page);
                    }
                }
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
