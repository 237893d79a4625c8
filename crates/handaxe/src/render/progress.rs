//! Progress on stderr: a live line on a terminal, plain lines elsewhere.

use std::sync::Mutex;

use handaxe_types::{Progress, Reporter, Stage};
use indicatif::ProgressStyle;

use super::text::{Shown, wrap};
use super::words::Words;
use super::{Output, bad, faint, good, strong};

const SPINNING: &str = "{spinner} {prefix} {elapsed}";
const SPEAKING: &str = "{spinner} {prefix} {elapsed}\n{msg}";

pub(crate) struct Watcher {
    out: Output,
    live: bool,
    /// Who is speaking, and what was heard so far.
    heard: Mutex<(String, Words)>,
}

impl Watcher {
    pub(crate) fn new(out: &Output) -> Self {
        let live = console::Term::stderr().is_term() && !out.quiet && !out.json;
        Self {
            out: out.clone(),
            live,
            heard: Mutex::default(),
        }
    }

    fn line(&self, text: impl std::fmt::Display) {
        self.out.note(text);
    }

    /// A line that may be long: what goes on stands under where it began.
    fn long(&self, lead: &str, text: &str) {
        let term = console::Term::stderr();
        if !term.is_term() {
            return self.line(format!("{lead}{text}"));
        }
        let indent = lead.chars().count();
        let width = usize::from(term.size().1)
            .clamp(40, 110)
            .saturating_sub(indent);
        let under = format!("\n{}", " ".repeat(indent));
        self.line(format!("{lead}{}", wrap(text, width).join(&under)));
    }

    /// Takes the live line away, before something else is printed.
    pub(crate) fn clear(&self) {
        self.out.live.clear();
    }

    fn spin(&self, text: String) {
        self.draw(SPINNING, text, String::new());
    }

    /// The live line as `template` has it.
    fn draw(&self, template: &str, text: String, under: String) {
        if !self.live {
            return;
        }
        self.out.live.draw(|bar| {
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.unset_length();
            bar.set_prefix(text);
            bar.set_message(under);
        });
    }

    /// A further piece of what a model says, shown until it has said all.
    fn hear(&self, piece: &str) {
        let Ok(mut heard) = self.heard.lock() else {
            return;
        };
        let (who, words) = &mut *heard;
        if !words.hear(piece) {
            return;
        }
        let width = usize::from(console::Term::stderr().size().1).clamp(24, 112) - 8;
        let lines: Vec<String> = words
            .tail(width)
            .iter()
            .map(|line| format!("  {}", faint().for_stderr().apply_to(line)))
            .collect();
        let text = format!("{who} has said about {} tokens", words.tokens());
        self.draw(SPEAKING, text, lines.join("\n"));
    }

    fn trial(&self, stage: Stage, done: u32, of: u32, failed: u32) {
        let (doing, what, bad_word) = stage_words(stage);
        let tail = if failed > 0 {
            format!(
                ", {}",
                bad().for_stderr().apply_to(format!("{failed} {bad_word}"))
            )
        } else {
            String::new()
        };
        if done >= of {
            let passed = of.saturating_sub(failed);
            let mark = if failed == 0 { good() } else { bad() };
            let text = format!("{passed} of {of} {what}{tail}");
            self.line(format!("  {}", mark.for_stderr().apply_to(text)));
            return;
        }
        if !self.live {
            return;
        }
        self.out.live.draw(|bar| {
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix} {bar:24} {pos}/{len}{msg}")
            {
                bar.set_style(style);
            }
            bar.set_length(u64::from(of));
            bar.set_prefix(doing);
            bar.set_position(u64::from(done));
            bar.set_message(tail);
        });
    }
}

/// What a stage does, what is counted when it ends, and what the ones that are not are called.
fn stage_words(stage: Stage) -> (&'static str, &'static str, &'static str) {
    match stage {
        Stage::Vet => ("reading it", "readings", "failed"),
        Stage::Cases => (
            "trying it in the sandbox",
            "runs in the sandbox held",
            "failed",
        ),
        Stage::Fuzz => ("trying generated inputs", "generated inputs held", "failed"),
        Stage::Shrink => ("making failing inputs small", "made small", "not"),
        Stage::Mutants => (
            "trying the cases on mutants",
            "mutants were noticed by the cases",
            "survived",
        ),
        Stage::Coverage => ("seeing what the cases reach", "cases traced", "not"),
        Stage::Cost => ("measuring how time grows", "sizes measured", "not"),
    }
}

impl Reporter for Watcher {
    fn hears_words(&self) -> bool {
        self.live
    }

    fn report(&self, progress: Progress) {
        match progress {
            Progress::Step(text) => {
                self.line(strong().for_stderr().apply_to(Shown(&text)));
                self.spin(Shown(&text).to_string());
            }
            Progress::Plan {
                steps,
                candidates,
                because,
            } => {
                self.line(format!(
                    "{} {}",
                    strong().for_stderr().apply_to("Plan"),
                    Shown(&because)
                ));
                for candidate in candidates {
                    let (tool, version) = (&candidate.tool, candidate.version);
                    let why = Shown(&candidate.why);
                    self.line(
                        faint()
                            .for_stderr()
                            .apply_to(format!("  considered {tool}@{version}: {why}")),
                    );
                }
                for (i, step) in steps.iter().enumerate() {
                    self.long(&format!("  {}. ", i + 1), &Shown(step).to_string());
                }
            }
            Progress::Attempt { n, of, tool } => {
                let text = if n == 1 {
                    format!("Writing {tool}")
                } else {
                    format!("Repairing {tool} (attempt {n} of at most {of})")
                };
                self.line(strong().for_stderr().apply_to(text));
            }
            Progress::Findings(findings) => {
                for finding in findings.iter().take(12) {
                    let place = format!("  line {}: {}", finding.line, Shown(&finding.reason));
                    self.line(bad().for_stderr().apply_to(place));
                }
            }
            Progress::Trial {
                stage,
                done,
                of,
                failed,
            } => self.trial(stage, done, of, failed),
            Progress::Model {
                role,
                model,
                tokens,
            } => {
                let who = format!("{role}: {}", Shown(&model));
                if let Ok(mut heard) = self.heard.lock() {
                    *heard = (who.clone(), Words::default());
                }
                self.spin(format!("{who} {}", tokens_so_far(tokens)));
            }
            Progress::Words { text } => self.hear(&text),
            Progress::Registered { tool, version } => {
                let text = format!("Registered {tool}@{version}");
                self.line(good().for_stderr().bold().apply_to(text));
            }
            Progress::Invoking(tool) => {
                self.line(
                    strong()
                        .for_stderr()
                        .apply_to(format!("Running {tool} in the sandbox")),
                );
                self.spin(format!("running {tool}"));
            }
            Progress::Note(text) => self.line(faint().for_stderr().apply_to(Shown(&text))),
        }
    }
}

fn tokens_so_far(tokens: u64) -> String {
    if tokens == 0 {
        "is thinking".to_owned()
    } else {
        format!("used {tokens} tokens")
    }
}
