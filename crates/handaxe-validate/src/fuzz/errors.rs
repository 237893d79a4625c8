//! Which errors are an answer, and which are a fault of the tool.
//!
//! On an input of plain values that its schema allows, a tool answers: any exception is a failure,
//! but for the kinds that a case of the tool names under `raises` (whoever wrote the spec's cases
//! thought of them). A file's content is in no schema, so there a tool may also refuse what it
//! cannot read, with the errors of [`OF_FILES`] or one of its own. The kinds of [`NEVER`] are how a
//! mistake in code shows, and no case makes an answer of them.

use std::collections::BTreeSet;

use handaxe_types::{Case, Check, FuzzKind, Outcome, RunError, SandboxResult};
use regex::Regex;
use serde_json::Value;

/// Kind, and why it is what it is.
type Row = (&'static str, &'static str);

/// Raised for what a file holds: the tool looked, and said no.
pub(crate) const OF_FILES: &[Row] = &[
    (
        "ValueError",
        "the value cannot be read as what it should be",
    ),
    (
        "UnicodeDecodeError",
        "a ValueError: the file is not in the tool's encoding",
    ),
    ("UnicodeError", "a ValueError: the same, of UTF-16"),
    ("JSONDecodeError", "a ValueError: the file is not JSON"),
    (
        "Error",
        "csv.Error and binascii.Error: the reader refuses the line",
    ),
    ("StatisticsError", "a ValueError: no data to speak of"),
    (
        "KeyError",
        "a column or a key that was asked for is not there",
    ),
    ("InvalidOperation", "decimal: the text is not a number"),
    ("ParseError", "a reader's own word for what it cannot read"),
    ("BadZipFile", "the file is not an archive"),
    ("EOFError", "the file ends too early"),
];

/// Mistakes of code, whatever a case says.
pub(crate) const NEVER: &[Row] = &[
    (
        "AssertionError",
        "an assumption of the code that does not hold",
    ),
    (
        "AttributeError",
        "a value of another type than the code believes",
    ),
    ("ImportError", "a module that is not there"),
    ("ModuleNotFoundError", "the same"),
    ("MemoryError", "more memory than was asked for"),
    ("NameError", "a name that does not exist"),
    ("NotImplementedError", "a part that was not written"),
    ("NotJson", "the output is no JSON value"),
    ("PermissionError", "it reached for something outside"),
    ("RecursionError", "the input's depth is the stack's"),
    ("SyntaxError", "code that does not compile"),
    ("SystemExit", "leaving is no answer"),
    ("UnboundLocalError", "a name that is not always set"),
];

/// How a run of a valid input ended.
pub(crate) enum Answer {
    Output(Value),
    /// An error that is an answer: its kind.
    Documented(String),
    Failed(Failed),
}

#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) kind: FuzzKind,
    pub(crate) what: String,
    pub(crate) error: Option<RunError>,
    pub(crate) stderr: String,
}

impl Failed {
    /// Failures of one kind at one place are one failure.
    pub(crate) fn key(&self) -> (FuzzKind, String, Option<u32>) {
        let error = self.error.as_ref();
        let kind = error.map(|e| e.kind.clone()).unwrap_or_default();
        (self.kind, kind, error.and_then(|e| e.line))
    }
}

/// The kinds that are an answer of one tool.
pub(crate) struct Answers {
    named: BTreeSet<String>,
    own: BTreeSet<String>,
}

impl Answers {
    pub(crate) fn new(code: &str, cases: &[&Case]) -> Self {
        let named = cases
            .iter()
            .filter_map(|c| match &c.check {
                Check::Raises(raises) => Some(raises.kind().to_owned()),
                _ => None,
            })
            .filter(|k| !is_in(NEVER, k))
            .collect();
        // Exceptions that the tool itself defines: raised on purpose, and only ever so.
        let own = Regex::new(r"(?m)^class\s+([A-Za-z_]\w*)\s*\(")
            .map(|r| r.captures_iter(code).map(|c| c[1].to_owned()).collect())
            .unwrap_or_default();
        Self { named, own }
    }

    pub(crate) fn of(&self, run: SandboxResult, with_files: bool) -> Answer {
        let kind = match run.outcome {
            Outcome::Ok => {
                return match run.output {
                    Some(output) => Answer::Output(output),
                    None => failed(
                        FuzzKind::Protocol,
                        "it ended without an output".to_owned(),
                        run,
                    ),
                };
            }
            Outcome::ToolError => FuzzKind::Raised,
            Outcome::Timeout => FuzzKind::Timeout,
            Outcome::Memory => FuzzKind::Memory,
            Outcome::OutputLimit => FuzzKind::OutputLimit,
            Outcome::Policy => FuzzKind::Policy,
            Outcome::Crash => FuzzKind::Crash,
            Outcome::Protocol => FuzzKind::Protocol,
        };
        if let (FuzzKind::Raised, Some(error)) = (kind, &run.error) {
            if error.kind == "NotJson" {
                let what = "its output is no JSON value".to_owned();
                return failed(FuzzKind::Output, what, run);
            }
            if self.is_answer(&error.kind, with_files) {
                return Answer::Documented(error.kind.clone());
            }
        }
        let what = crate::cases::ended(&run);
        failed(kind, what, run)
    }

    fn is_answer(&self, kind: &str, with_files: bool) -> bool {
        !is_in(NEVER, kind)
            && (self.named.contains(kind)
                || with_files && (is_in(OF_FILES, kind) || self.own.contains(kind)))
    }
}

fn failed(kind: FuzzKind, what: String, run: SandboxResult) -> Answer {
    Answer::Failed(Failed {
        kind,
        what,
        error: run.error,
        stderr: run.stderr,
    })
}

fn is_in(table: &[Row], kind: &str) -> bool {
    table.iter().any(|(k, _)| *k == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_or_a_fault() {
        let case: Case =
            serde_json::from_str(r#"{"input":{},"raises":"ZeroDivisionError"}"#).unwrap();
        let bad: Case = serde_json::from_str(r#"{"input":{},"raises":"NameError"}"#).unwrap();
        let code = "class BadRow(ValueError):\n    pass\n\nclass Plain:\n    pass\n";
        let answers = Answers::new(code, &[&case, &bad]);
        for (kind, plain, with_files) in [
            ("ValueError", false, true),
            ("KeyError", false, true),
            ("BadRow", false, true),
            ("Plain", false, false),
            ("ZeroDivisionError", true, true),
            ("NameError", false, false),
            ("IndexError", false, false),
            ("TypeError", false, false),
            ("AttributeError", false, false),
            ("RecursionError", false, false),
            ("UnboundLocalError", false, false),
            ("FileNotFoundError", false, false),
        ] {
            assert_eq!(
                answers.is_answer(kind, false),
                plain,
                "{kind} on plain values"
            );
            assert_eq!(
                answers.is_answer(kind, true),
                with_files,
                "{kind} on a file"
            );
        }
    }
}
