//! Lexicon sentiment; twin of `emit/parts/sentiment.py`.
//!
//! A text's score is the sum of its words' weights. A negation among the three words before turns
//! a weight round and halves it, an intensifier right before makes it half as strong again, a
//! diminisher halves it. All factors are powers of two or 1.5, so every score is exact.

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::number::text;
use super::{EvalError, MAX_GROUPS, Source, by_key, order_key};
use crate::patterns::TOKEN;

/// The word list that the emitted tool reads too.
pub(crate) const LEXICON: &str = include_str!("../../assets/lexicon.tsv");
/// Scores from here on are positive.
pub(crate) const POSITIVE_AT: f64 = 1.0;
/// Scores down from here are negative.
pub(crate) const NEGATIVE_AT: f64 = -1.0;
/// Most extreme records shown on either side.
pub(crate) const EXAMPLES: usize = 5;
/// Characters of a text that a result shows.
pub(crate) const SHOWN_CHARS: usize = 300;

#[derive(Clone, Copy)]
enum Entry {
    Weight(f64),
    Negation,
    Factor(f64),
}

/// `word<TAB>weight`, or `negation`, `intensifier` or `diminisher` in place of the weight.
static ENTRIES: LazyLock<HashMap<&str, Entry>> = LazyLock::new(|| {
    LEXICON
        .lines()
        .filter_map(|line| {
            let (word, role) = line.split_once('\t')?;
            let entry = match role {
                "negation" => Entry::Negation,
                "intensifier" => Entry::Factor(1.5),
                "diminisher" => Entry::Factor(0.5),
                weight => Entry::Weight(weight.parse().ok()?),
            };
            Some((word, entry))
        })
        .collect()
});

fn score(text: &str) -> f64 {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(TOKEN).ok());
    let words: Vec<Option<Entry>> = (PATTERN.iter().flat_map(|p| p.find_iter(text)))
        .map(|m| {
            let word = m.as_str().to_ascii_lowercase().replace('’', "'");
            ENTRIES.get(word.as_str()).copied()
        })
        .collect();
    let mut total = 0.0;
    for (at, word) in words.iter().enumerate() {
        let Some(Entry::Weight(weight)) = word else {
            continue;
        };
        let mut weight = *weight;
        let before = &words[at.saturating_sub(3)..at];
        if let Some(Some(Entry::Factor(factor))) = before.last() {
            weight *= factor;
        }
        if before.iter().any(|e| matches!(e, Some(Entry::Negation))) {
            weight *= -0.5;
        }
        total += weight;
    }
    total
}

#[derive(Default)]
struct Totals {
    positive: u64,
    neutral: u64,
    negative: u64,
    sum: f64,
}

impl Totals {
    fn add(&mut self, score: f64) {
        self.sum += score;
        if score >= POSITIVE_AT {
            self.positive += 1;
        } else if score <= NEGATIVE_AT {
            self.negative += 1;
        } else {
            self.neutral += 1;
        }
    }

    fn mean(&self) -> Option<f64> {
        let count = self.positive + self.neutral + self.negative;
        (count > 0).then(|| rounded(self.sum / count as f64))
    }
}

/// To four places, as Python's `round`: by the exact decimal value, halves to even.
fn rounded(value: f64) -> f64 {
    format!("{value:.4}").parse::<f64>().unwrap_or(value) + 0.0
}

struct Example {
    line: u64,
    score: f64,
    text: String,
}

pub(super) fn sentiment<R: Read>(
    source: &mut Source<R>,
    field: &str,
    group_by: Option<&str>,
) -> Result<Value, EvalError> {
    let mut all = Totals::default();
    let mut groups: HashMap<String, Totals> = HashMap::new();
    let (mut negative, mut positive): (Vec<Example>, Vec<Example>) = (Vec::new(), Vec::new());
    let used: Vec<&str> = std::iter::once(field).chain(group_by).collect();
    while let Some(record) = source.next(&used)? {
        let text = text(record.get(field));
        let score = score(&text);
        all.add(score);
        if let Some(name) = group_by {
            let group = super::number::text(record.get(name));
            groups.entry(group).or_default().add(score);
            if groups.len() > MAX_GROUPS {
                return Err(EvalError::TooManyGroups);
            }
        }
        let example = || Example {
            line: record.line,
            score,
            text: text.chars().take(SHOWN_CHARS).collect(),
        };
        if score <= NEGATIVE_AT {
            keep(&mut negative, example(), 1.0);
        }
        if score >= POSITIVE_AT {
            keep(&mut positive, example(), -1.0);
        }
    }
    let mut groups: Vec<(String, Totals)> = groups.into_iter().collect();
    groups.sort_by(|(a, _), (b, _)| by_key(&order_key(a), &order_key(b)));
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(name, totals)| {
            let name = (!name.is_empty()).then_some(name);
            json!({
                "group": name, "positive": totals.positive, "neutral": totals.neutral,
                "negative": totals.negative, "mean_score": totals.mean(),
            })
        })
        .collect();
    let mut out = Map::new();
    out.insert(
        "totals".to_owned(),
        json!({ "positive": all.positive, "neutral": all.neutral, "negative": all.negative }),
    );
    out.insert("mean_score".to_owned(), json!(all.mean()));
    out.insert("most_negative".to_owned(), shown(&negative));
    out.insert("most_positive".to_owned(), shown(&positive));
    out.insert("groups".to_owned(), Value::Array(groups));
    Ok(Value::Object(out))
}

/// Keeps the [`EXAMPLES`] first by `sign * score`, ties in file order.
fn keep(examples: &mut Vec<Example>, new: Example, sign: f64) {
    let place = examples.partition_point(|old| sign * old.score <= sign * new.score);
    examples.insert(place, new);
    examples.truncate(EXAMPLES);
}

fn shown(examples: &[Example]) -> Value {
    examples
        .iter()
        .map(|e| json!({ "line": e.line, "score": e.score, "text": e.text }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores() {
        for (text, low, high) in [
            ("this is very good", 2.0, 9.0),
            ("not good", -9.0, -0.1),
            ("no errors found", 0.1, 9.0),
            ("Connection refused: fatal error", -20.0, -2.0),
            ("job completed successfully", 1.0, 9.0),
            ("the table is brown", 0.0, 0.0),
        ] {
            let score = score(text);
            assert!((low..=high).contains(&score), "{text}: {score}");
        }
    }

    #[test]
    fn the_lexicon_is_well_formed() {
        assert!(ENTRIES.len() > 1000, "{}", ENTRIES.len());
        assert_eq!(
            ENTRIES.len(),
            LEXICON.lines().count(),
            "no word twice, no bad line"
        );
        for (word, entry) in ENTRIES.iter() {
            assert!(
                word.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'\'')
            );
            if let Entry::Weight(w) = entry {
                assert!(w.fract() == 0.0 && (1.0..=4.0).contains(&w.abs()), "{word}");
            }
        }
    }
}
