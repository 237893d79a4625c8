//! The one piece of work that everything here is given, and what must come of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(super) const CODE: &str = r#""""Counts words."""
import re
from collections import Counter


def run(text: str) -> dict:
    words = Counter(re.findall(r"[a-z]+", text.lower()))
    top = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
    return {"total": sum(words.values()), "top": [list(pair) for pair in top]}
"#;

/// Makes the same a program: the input as JSON on standard input, the output on standard output.
pub(super) const PROGRAM_END: &str =
    "\nimport json, sys\nprint(json.dumps(run(**json.load(sys.stdin))))\n";

/// The same for an interpreter without standard input: the input is in the source.
pub(super) fn written_out() -> String {
    let text = text();
    format!("{CODE}\nimport json\nprint(json.dumps(run({text:?})))\n")
}

/// 864 characters.
pub(super) fn text() -> String {
    let mut text = "The quick brown fox jumps over the lazy dog again and again. ".repeat(15);
    text.truncate(864);
    text
}

pub(super) fn input() -> Value {
    json!({ "text": text() })
}

/// Computed here, in another language.
pub(super) fn expected() -> Value {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let text = text().to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_lowercase());
    for word in words.filter(|w| !w.is_empty()) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    let total: u32 = counts.values().sum();
    let mut top: Vec<_> = counts.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    top.truncate(5);
    json!({ "total": total, "top": top })
}
