//! The lines of a tool that a person who reads only a few should read, and why.
//!
//! A reading aid: it is taken from what the trial found and from the words of the code, decides
//! nothing, and a line that is not in it is not vouched for.

use std::collections::BTreeMap;

use handaxe_types::{Severity, Trial};
use serde::Serialize;

/// One line of `tool.py`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiskyLine {
    /// From 1; 0 where it is about the whole file.
    pub line: u32,
    pub code: String,
    pub why: Vec<String>,
    /// Higher is worth reading first.
    #[serde(skip)]
    weight: u32,
}

const REFUSED: u32 = 50;
const WARNED: u32 = 30;
const SURVIVED: u32 = 20;
const FILE: u32 = 15;
const UNREACHED: u32 = 10;
const LOOP: u32 = 5;

/// At most this many are marked; more would mark nothing.
const MARKED: usize = 40;

/// The riskiest first.
pub fn risks(code: &str, trial: &Trial) -> Vec<RiskyLine> {
    let mut marks: BTreeMap<u32, (u32, Vec<String>)> = BTreeMap::new();
    let mut mark = |line: u32, weight: u32, why: String| {
        let (sum, reasons) = marks.entry(line).or_default();
        if !reasons.contains(&why) {
            *sum += weight;
            reasons.push(why);
        }
    };
    for finding in &trial.findings {
        let weight = match finding.severity {
            Severity::Refuse => REFUSED,
            Severity::Warn => WARNED,
        };
        mark(finding.line, weight, finding.reason.clone());
    }
    for survivor in trial.mutation.iter().flat_map(|m| &m.survivors) {
        let why = format!(
            "no case notices when `{}` becomes `{}`",
            survivor.original, survivor.mutated
        );
        mark(survivor.line, SURVIVED, why);
    }
    for line in trial.coverage.iter().flat_map(|c| &c.missed_lines) {
        mark(*line, UNREACHED, "no case reaches it".to_owned());
    }
    let bare: Vec<String> = bare_lines(code);
    for (n, line) in (1..).zip(&bare) {
        if opens_file(line) {
            mark(n, FILE, "it opens a file".to_owned());
        }
        let first = line.trim_start();
        if first.starts_with("while ") || first.starts_with("while(") {
            mark(n, 2 * LOOP, "it loops until a condition ends it".to_owned());
        } else if first.starts_with("for ") || first.starts_with("async for ") {
            mark(n, LOOP, "it loops over what it is given".to_owned());
        }
    }
    let lines: Vec<&str> = code.lines().collect();
    let mut risky: Vec<RiskyLine> = marks
        .into_iter()
        .map(|(line, (weight, why))| RiskyLine {
            line,
            code: (line as usize)
                .checked_sub(1)
                .and_then(|i| lines.get(i))
                .map(|l| l.trim().to_owned())
                .unwrap_or_default(),
            why,
            weight,
        })
        .collect();
    risky.sort_by(|a, b| b.weight.cmp(&a.weight).then(a.line.cmp(&b.line)));
    risky.truncate(MARKED);
    risky
}

/// `open(…)`, also as a method or a function of `io`.
fn opens_file(line: &str) -> bool {
    line.match_indices("open(").any(|(at, _)| {
        !line[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The code with comments and the insides of strings blanked, so that words in them mark nothing.
fn bare_lines(code: &str) -> Vec<String> {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    // The quote that ends the string that is open, if one is.
    let mut open: Option<&str> = None;
    while let Some(c) = rest.chars().next() {
        let mut step = c.len_utf8();
        match open {
            Some(quote) if rest.starts_with(quote) => {
                step = quote.len();
                open = None;
            }
            Some(_) if c == '\\' => {
                // An escaped character, which may be the quote or the end of the line.
                let escaped = rest[1..].chars().next();
                if escaped == Some('\n') {
                    out.push('\n');
                }
                step += escaped.map_or(0, char::len_utf8);
            }
            Some(quote) if c == '\n' => {
                out.push('\n');
                // A plain string ends with its line, closed or not.
                open = Some(quote).filter(|q| q.len() == 3);
            }
            Some(_) => {}
            None if c == '#' => {
                step = rest.find('\n').unwrap_or(rest.len());
            }
            None => {
                let quote = ["\"\"\"", "'''", "\"", "'"]
                    .into_iter()
                    .find(|q| rest.starts_with(q));
                if let Some(quote) = quote {
                    open = Some(quote);
                    step = quote.len();
                    out.push('"');
                } else {
                    out.push(c);
                }
            }
        }
        rest = &rest[step..];
    }
    out.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use handaxe_types::{Coverage, Digest, Finding, MutationReport, Survivor, ToolDigest};

    use super::*;

    fn trial() -> Trial {
        Trial::new(ToolDigest(Digest::of(b"x")), Digest::of(b"y"), "CPython")
    }

    #[test]
    fn words_in_strings_and_comments_mark_nothing() {
        let code = "\"\"\"Doc.\n\nfor each line open(it)\n\"\"\"\nX = 'while \\' open(' # for x\nfor a in X:\n    reopen(a); io.open(a)\n";
        let found = risks(code, &trial());
        let lines: Vec<(u32, &str)> = found.iter().map(|r| (r.line, r.code.as_str())).collect();
        assert_eq!(
            lines,
            [(7, "reopen(a); io.open(a)"), (6, "for a in X:")],
            "{found:?}"
        );
    }

    #[test]
    fn the_riskiest_come_first_with_every_reason() {
        let mut trial = trial();
        trial.findings.push(Finding {
            rule: "file.open".into(),
            severity: Severity::Warn,
            line: 2,
            column: 1,
            reason: "opens a path".into(),
        });
        trial.mutation = Some(MutationReport {
            survivors: vec![Survivor {
                line: 3,
                operator: "comparison".into(),
                original: ">".into(),
                mutated: ">=".into(),
                description: String::new(),
            }],
            ..MutationReport::default()
        });
        trial.coverage = Some(Coverage {
            missed_lines: vec![3, 4],
            ..Coverage::default()
        });
        let found = risks("import io\nopen(p)\nif a > b:\n    pass\n", &trial);
        assert_eq!(
            found.iter().map(|r| r.line).collect::<Vec<_>>(),
            [2, 3, 4],
            "{found:?}"
        );
        assert_eq!(found[0].why, ["opens a path", "it opens a file"]);
        assert_eq!(
            found[1].why,
            [
                "no case notices when `>` becomes `>=`",
                "no case reaches it"
            ]
        );
    }

    /// A report from elsewhere may name lines that are not there.
    #[test]
    fn hostile_reports_and_odd_code_are_borne() {
        let mut trial = trial();
        trial.coverage = Some(Coverage {
            missed_lines: (0..500).chain([u32::MAX]).collect(),
            ..Coverage::default()
        });
        for code in ["", "'", "\"\"\"", "\\", "'\\", "é'é\n", "#", "'''\\\n"] {
            assert!(risks(code, &trial).len() <= MARKED);
            assert!(bare_lines(code).len() <= code.lines().count() + 1);
        }
    }
}
