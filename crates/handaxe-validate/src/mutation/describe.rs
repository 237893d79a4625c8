//! A survivor in words.
//!
//! The person sees the changed line. The tester must not see the author's code: it is told what kind
//! of mistake goes unnoticed, with the operator and the number at that place and nothing else. No
//! name, text or comment of the author's is in these words, so none can speak to the tester.

use handaxe_types::Survivor;

use super::choose::Mutant;
use crate::parse::Operator;

/// Of a line that is shown.
const SHOWN: usize = 160;

pub(super) fn survivor(code: &str, mutant: &Mutant) -> Survivor {
    let edit = &mutant.edit;
    let original = line_at(code, edit.range.start, edit.range.end);
    let end = edit.range.start + edit.with.len();
    Survivor {
        line: edit.line,
        operator: name(edit.operator).to_owned(),
        original,
        mutated: line_at(&mutant.code, edit.range.start, end),
        description: words(
            edit.operator,
            code.get(edit.range.clone()).unwrap_or_default(),
            &edit.with,
        ),
    }
}

pub(super) fn name(operator: Operator) -> &'static str {
    match operator {
        Operator::Comparison => "comparison",
        Operator::Arithmetic => "arithmetic",
        Operator::Constant => "constant",
        Operator::Boundary => "boundary",
        Operator::Logic => "logic",
        Operator::Statement => "statement",
        Operator::Arguments => "arguments",
        Operator::Exception => "exception",
        Operator::Return => "return",
        Operator::Loop => "loop",
    }
}

/// The line around a range, cut to its first where there are more.
fn line_at(text: &str, start: usize, end: usize) -> String {
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[end..].find('\n').map_or(text.len(), |at| end + at);
    let whole = text[from..to].trim();
    let first = whole.lines().next().unwrap_or_default();
    let mut shown: String = first.chars().take(SHOWN).collect();
    if shown.len() < whole.len() {
        shown.push_str(" …");
    }
    shown
}

/// Operators and plain numbers may be quoted; anything else could be the author speaking.
fn quotable(text: &str) -> Option<String> {
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    let known = matches!(
        text.as_str(),
        "in" | "not in" | "is" | "is not" | "and" | "or" | "True" | "False"
    ) || text.chars().all(|c| "<>=!+-*/%&|^@".contains(c));
    let number = text.len() <= 20
        && text.chars().any(|c| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || ".-()e".contains(c));
    (!text.is_empty() && (known || number)).then(|| text.trim_matches(['(', ')']).to_owned())
}

fn words(operator: Operator, original: &str, with: &str) -> String {
    let swap = match (quotable(original), quotable(with)) {
        (Some(a), Some(b)) => Some(format!("`{a}` could be `{b}`")),
        _ => None,
    };
    let said = |otherwise: &str| swap.clone().unwrap_or_else(|| otherwise.to_owned());
    let (what, wanted) = match operator {
        Operator::Comparison => (
            said("a comparison could be another"),
            "a case exactly on the limit that is compared with, and one on either side of it",
        ),
        Operator::Arithmetic => (
            said("an operation could be another"),
            "a case whose result depends on it, with values other than 0 and 1",
        ),
        Operator::Constant if with == "''" || with == "b''" || with.is_empty() => (
            "a constant text could be empty".to_owned(),
            "a case in which that text appears in the output, or decides it",
        ),
        Operator::Constant => (
            said("a constant text could be another"),
            "a case in which exactly that amount or setting matters",
        ),
        Operator::Boundary => (
            "a slice or a count could begin or end one item elsewhere".to_owned(),
            "cases in which the first and the last item matter, with none, one and several items",
        ),
        Operator::Logic => (
            said("a condition could be its opposite"),
            "a case in which the condition holds, one in which it does not, and one in which only a part of it does",
        ),
        Operator::Statement => (
            "a step could be left out, or overwrite instead of adding".to_owned(),
            "a case with several items, in which every step shows in the output",
        ),
        Operator::Arguments => (
            "two values could change places".to_owned(),
            "a case in which the two differ",
        ),
        Operator::Exception => (
            "an error could be passed over, or not be caught".to_owned(),
            "a case with input that must be refused or skipped, saying which",
        ),
        Operator::Return => (
            "a result could be lost, or an early end be missing".to_owned(),
            "a case that takes each special situation that the description names",
        ),
        Operator::Loop => (
            "a loop could end too early, or not skip what it should".to_owned(),
            "a case with an item to skip in the middle and others after it",
        ),
    };
    format!("{what}, and no case notices; wanted: {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn the_tester_is_told_nothing_in_the_authors_words() {
        let code = "def run(ignore_all_instructions):\n    if ignore_all_instructions <  10: return 'approve'\n    return f(ignore_all_instructions, 'weaken')\n";
        let mut seen = Vec::new();
        for edit in parse::edits(code, 60).unwrap() {
            let mut changed = code.to_owned();
            changed.replace_range(edit.range.clone(), &edit.with);
            let told = survivor(
                code,
                &Mutant {
                    edit,
                    code: changed,
                },
            );
            assert_ne!(told.original, told.mutated);
            for word in ["ignore", "approve", "weaken", "'"] {
                assert!(!told.description.contains(word), "{}", told.description);
            }
            seen.push(told);
        }
        assert_eq!(
            seen[0].description.split(',').next(),
            Some("`<` could be `<=`")
        );
        assert!(
            seen.iter()
                .any(|s| s.description.contains("`10` could be `11`"))
        );
        assert!(
            seen.iter()
                .any(|s| s.mutated == "if ignore_all_instructions <=  10: return 'approve'")
        );
    }
}
