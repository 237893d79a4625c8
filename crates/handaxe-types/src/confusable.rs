//! Names that a reader takes for one another.
//!
//! Two measures: the skeleton of Unicode Technical Standard #39 (section 4), cut down to the
//! alphabet of a [`ToolName`], and one edit of the optimal string alignment distance (Damerau 1964)
//! inside a word that is long enough for the eye to slide over it.

use std::fmt;

use crate::ToolName;

/// Glyphs, or pairs of them, that look alike in common fonts, and what each stands for. Pairs first.
const LOOKALIKES: [(&str, &str); 9] = [
    ("rn", "m"),
    ("vv", "w"),
    ("cl", "d"),
    ("0", "o"),
    ("1", "l"),
    ("i", "l"),
    ("5", "s"),
    ("2", "z"),
    ("_", ""),
];

/// Letters that a word must have for a dropped, doubled or swapped one to go unseen.
const DROPPED: usize = 4;
/// Letters that a word must have for a changed one to go unseen: `date` and `data` are two words.
const CHANGED: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confusion {
    LooksAlike,
    OneLetterOff,
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LooksAlike => "looks like",
            Self::OneLetterOff => "is one letter off",
        })
    }
}

impl ToolName {
    /// Whether a reader takes this name for the other one. A name is not confusable with itself.
    pub fn confusion(&self, other: &Self) -> Option<Confusion> {
        let (a, b) = (self.as_str(), other.as_str());
        if a == b {
            return None;
        }
        if skeleton(a) == skeleton(b) {
            return Some(Confusion::LooksAlike);
        }
        let (a, b): (Vec<&str>, Vec<&str>) = (a.split('_').collect(), b.split('_').collect());
        let mut differing = a.iter().zip(&b).filter(|(a, b)| a != b);
        let (Some((x, y)), None) = (differing.next(), differing.next()) else {
            return None;
        };
        (a.len() == b.len() && slip(x, y)).then_some(Confusion::OneLetterOff)
    }
}

fn skeleton(name: &str) -> String {
    LOOKALIKES
        .iter()
        .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// Whether one slip of the finger makes the one word of the other. Digits tell words apart.
fn slip(a: &str, b: &str) -> bool {
    let (a, b) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if (a.to_owned() + b).bytes().any(|c| c.is_ascii_digit()) {
        return false;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[same..], &b[same..]);
    match b.len() - a.len() {
        0 => {
            let changed = a.len() >= CHANGED && rest_a.get(1..) == rest_b.get(1..);
            let swapped = a.len() >= DROPPED
                && rest_a.len() >= 2
                && rest_a[0] == rest_b[1]
                && rest_a[1] == rest_b[0]
                && rest_a[2..] == rest_b[2..];
            changed || swapped
        }
        1 => a.len() >= DROPPED && rest_a == &rest_b[1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        use Confusion::{LooksAlike, OneLetterOff};
        for (a, b, want) in [
            ("csv_stats", "csv_stats", None),
            ("column_mean", "co1umn_mean", Some(LooksAlike)),
            ("column_mean", "columnmean", Some(LooksAlike)),
            ("modern_form", "modem_form", Some(LooksAlike)),
            ("log_l0ader", "log_loader", Some(LooksAlike)),
            (
                "sentiment_analyzer",
                "sentiment_analyser",
                Some(OneLetterOff),
            ),
            (
                "sentiment_analyzer",
                "sentimnet_analyzer",
                Some(OneLetterOff),
            ),
            ("count_words", "count_word", Some(OneLetterOff)),
            ("count_words", "count_wordss", Some(OneLetterOff)),
            ("parse_date", "parse_data", None),
            ("csv_stats", "tsv_stats", None),
            ("min_value", "max_value", None),
            ("sum_by_day", "sum_by_week", None),
            ("parse_sha1", "parse_sha3", None),
            ("words_count", "count_words", None),
        ] {
            let (a, b) = (ToolName::new(a).unwrap(), ToolName::new(b).unwrap());
            assert_eq!(a.confusion(&b), want, "{a} {b}");
            assert_eq!(b.confusion(&a), want, "{b} {a}");
        }
    }
}
