//! Programs from text to text, and their evaluation; twin of `emit/parts/example_text.py`.
//!
//! A program that does not fit its input gives nothing, never a guess.

use std::collections::BTreeMap;

use serde_json::Value;

use super::chars::{self, Class, Cut};
use super::dates::{DatePart, parts_of};
use crate::eval::number::{Number, parse_number};

/// How letters are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Case {
    Lower,
    Upper,
    /// First letter large, the rest small.
    Capital,
    /// So for each run of letters.
    Title,
    /// The first character alone.
    Initial,
    InitialUpper,
}

impl Case {
    pub(crate) const ALL: [Self; 6] = [
        Self::Lower,
        Self::Upper,
        Self::Capital,
        Self::Title,
        Self::Initial,
        Self::InitialUpper,
    ];

    pub(crate) fn of(self, text: &str) -> String {
        let capital = |text: &str| {
            let mut chars = text.chars();
            chars.next().map_or(String::new(), |c| {
                c.to_uppercase()
                    .chain(chars.as_str().to_lowercase().chars())
                    .collect()
            })
        };
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Capital => capital(text),
            Self::Title => {
                let mut out = String::new();
                let mut word = String::new();
                for c in text.chars() {
                    if Class::Letters.holds(c) || (c == '\'' && !word.is_empty()) {
                        word.push(c);
                    } else {
                        out += &capital(&word);
                        word.clear();
                        out.push(c);
                    }
                }
                out + &capital(&word)
            }
            Self::Initial => text.chars().take(1).collect(),
            Self::InitialUpper => text.chars().take(1).collect::<String>().to_uppercase(),
        }
    }
}

/// In which order the words of a text are put together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Arrange {
    AsIs,
    Reversed,
    Sorted,
    Unique,
    /// Without the first, without the last.
    Rest,
    Front,
}

impl Arrange {
    pub(crate) const ALL: [Self; 6] = [
        Self::AsIs,
        Self::Reversed,
        Self::Sorted,
        Self::Unique,
        Self::Rest,
        Self::Front,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AsIs => "as_is",
            Self::Reversed => "reversed",
            Self::Sorted => "sorted",
            Self::Unique => "unique",
            Self::Rest => "rest",
            Self::Front => "front",
        }
    }

    fn of(self, mut words: Vec<String>) -> Vec<String> {
        match self {
            Self::AsIs => {}
            Self::Reversed => words.reverse(),
            Self::Sorted => words.sort(),
            Self::Unique => {
                let mut seen = std::collections::HashSet::new();
                words.retain(|w| seen.insert(w.clone()));
            }
            Self::Rest => {
                words.drain(..words.len().min(1));
            }
            Self::Front => {
                words.pop();
            }
        }
        words
    }
}

/// What is worked out over all the numbers, or of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tally {
    Sum,
    Max,
    Min,
    Numbers,
    Words,
    Length,
}

impl Tally {
    pub(crate) const ALL: [Self; 6] = [
        Self::Sum,
        Self::Max,
        Self::Min,
        Self::Numbers,
        Self::Words,
        Self::Length,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Min => "min",
            Self::Numbers => "numbers",
            Self::Words => "words",
            Self::Length => "length",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Text {
    /// The input, a scalar, as text.
    Input,
    /// A field of the input, dotted where nested.
    Field(String),
    Const(String),
    /// Cut at a separator, blanks around the part taken off.
    Split {
        of: Box<Text>,
        by: String,
        nth: i32,
    },
    /// The nth run of characters of a class.
    Token {
        of: Box<Text>,
        class: Class,
        nth: i32,
    },
    /// What stands before, or after, the first or last place of a mark.
    Before {
        of: Box<Text>,
        mark: String,
        last: bool,
    },
    After {
        of: Box<Text>,
        mark: String,
        last: bool,
    },
    /// Characters, counted from the end where negative.
    Slice {
        of: Box<Text>,
        from: i32,
        to: Option<i32>,
    },
    Case {
        of: Box<Text>,
        case: Case,
    },
    Pad {
        of: Box<Text>,
        width: u32,
        fill: char,
        right: bool,
    },
    Replace {
        of: Box<Text>,
        from: String,
        to: String,
    },
    /// Only the characters of a class.
    Only {
        of: Box<Text>,
        class: Class,
    },
    Words {
        of: Box<Text>,
        cut: Cut,
        arrange: Arrange,
        case: Option<Case>,
        join: String,
    },
    Date {
        of: Box<Text>,
        part: DatePart,
        day_first: bool,
    },
    /// The number in it, times `scale`, with so many places (as it is where `None`).
    Number {
        of: Box<Text>,
        scale: f64,
        places: Option<u32>,
        thousands: bool,
    },
    /// All but the last `keep` characters covered.
    Mask {
        of: Box<Text>,
        keep: u32,
        fill: char,
    },
    Tally {
        of: Box<Text>,
        what: Tally,
    },
    Concat(Vec<Text>),
}

/// What a program is run on: one scalar as text, or the fields of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Env {
    Scalar(String),
    Record(BTreeMap<String, String>),
}

/// A scalar as text; nothing for null, lists and objects.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(match n.as_i64() {
            Some(i) => i.to_string(),
            None => crate::read::float_text(n.as_f64()?),
        }),
        _ => None,
    }
}

impl Env {
    /// A scalar, or an object with its nested fields dotted.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        if let Value::Object(map) = value {
            let mut fields = BTreeMap::new();
            flatten("", map, &mut fields);
            return Some(Self::Record(fields));
        }
        scalar(value).map(Self::Scalar)
    }
}

fn flatten(
    prefix: &str,
    map: &serde_json::Map<String, Value>,
    fields: &mut BTreeMap<String, String>,
) {
    for (name, value) in map {
        match value {
            Value::Object(inner) => flatten(&format!("{prefix}{name}."), inner, fields),
            other => {
                if let Some(text) = scalar(other) {
                    fields.insert(format!("{prefix}{name}"), text);
                }
            }
        }
    }
}

/// The nth, from the end where negative.
pub(crate) fn nth<T>(items: &[T], n: i32) -> Option<&T> {
    let at = if n < 0 {
        items.len().checked_sub(n.unsigned_abs() as usize)?
    } else {
        n as usize
    };
    items.get(at)
}

/// Python's slice of characters.
fn slice(text: &str, from: i32, to: Option<i32>) -> String {
    let length = text.chars().count() as i64;
    let place = |n: i32| {
        let n = i64::from(n);
        (if n < 0 { n + length } else { n }).clamp(0, length) as usize
    };
    let (from, to) = (place(from), to.map_or(length as usize, place));
    text.chars()
        .skip(from)
        .take(to.saturating_sub(from))
        .collect()
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A number as text: fixed places, or as short as it can be told.
fn number_text(n: Number, places: Option<u32>, thousands: bool) -> String {
    let text = match (n, places) {
        (Number::Int(i), None) => i.to_string(),
        (Number::Float(f), None) if f.fract() == 0.0 && f.abs() < 1e15 => format!("{f:.0}"),
        (Number::Float(f), None) => crate::read::float_text(f),
        (n, Some(p)) => format!("{:.*}", p as usize, n.float()),
    };
    if !thousands || text.contains(['e', 'E']) {
        return text;
    }
    let (sign, rest) = text.strip_prefix('-').map_or(("", &*text), |r| ("-", r));
    match rest.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}.{fraction}", grouped(whole)),
        None => format!("{sign}{}", grouped(rest)),
    }
}

/// `12.50` of `1250` times 0.01; whole where nothing is left over.
fn scaled(n: Number, scale: f64) -> Number {
    if scale == 1.0 {
        return n;
    }
    let f = n.float() * scale;
    // What floats add to the last digits is no part of the number.
    Number::Float(format!("{f:.9}").parse().unwrap_or(f))
}

impl Text {
    pub(crate) fn run(&self, env: &Env) -> Option<String> {
        match self {
            Self::Input => match env {
                Env::Scalar(text) => Some(text.clone()),
                Env::Record(_) => None,
            },
            Self::Field(name) => match env {
                Env::Record(fields) => fields.get(name).cloned(),
                Env::Scalar(_) => None,
            },
            Self::Const(text) => Some(text.clone()),
            Self::Concat(parts) => parts.iter().map(|p| p.run(env)).collect(),
            Self::Split { of, .. }
            | Self::Token { of, .. }
            | Self::Before { of, .. }
            | Self::After { of, .. }
            | Self::Slice { of, .. }
            | Self::Case { of, .. }
            | Self::Pad { of, .. }
            | Self::Replace { of, .. }
            | Self::Only { of, .. }
            | Self::Words { of, .. }
            | Self::Date { of, .. }
            | Self::Number { of, .. }
            | Self::Mask { of, .. }
            | Self::Tally { of, .. } => self.apply(&of.run(env)?),
        }
    }

    /// The step alone, on what `of` gave.
    pub(crate) fn apply(&self, text: &str) -> Option<String> {
        match self {
            Self::Split { by, nth: n, .. } => {
                let parts: Vec<&str> = text.split(by.as_str()).collect();
                nth(&parts, *n).map(|p| p.trim_matches(' ').to_owned())
            }
            Self::Token { class, nth: n, .. } => {
                nth(&chars::runs(text, *class), *n).map(|t| (*t).to_owned())
            }
            Self::Before { mark, last, .. } => {
                let at = if *last {
                    text.rfind(mark.as_str())
                } else {
                    text.find(mark.as_str())
                };
                at.map(|at| text[..at].to_owned())
            }
            Self::After { mark, last, .. } => {
                let at = if *last {
                    text.rfind(mark.as_str())
                } else {
                    text.find(mark.as_str())
                };
                at.map(|at| text[at + mark.len()..].to_owned())
            }
            Self::Slice { from, to, .. } => Some(slice(text, *from, *to)),
            Self::Case { case, .. } => Some(case.of(text)),
            Self::Pad {
                width, fill, right, ..
            } => {
                let pad = (*width as usize).saturating_sub(text.chars().count());
                let pad: String = std::iter::repeat_n(*fill, pad).collect();
                Some(if *right {
                    format!("{text}{pad}")
                } else {
                    format!("{pad}{text}")
                })
            }
            Self::Replace { from, to, .. } => Some(text.replace(from.as_str(), to)),
            Self::Only { class, .. } => Some(text.chars().filter(|c| class.holds(*c)).collect()),
            Self::Words {
                cut,
                arrange,
                case,
                join,
                ..
            } => {
                let words = cut.of(text);
                let words = arrange.of(words);
                let words: Vec<String> = match case {
                    Some(case) => words.iter().map(|w| case.of(w)).collect(),
                    None => words,
                };
                Some(words.join(join))
            }
            Self::Date {
                part, day_first, ..
            } => parts_of(text, *day_first)
                .filter(|d| d.has(*part))
                .map(|d| part.of(&d)),
            Self::Number {
                scale,
                places,
                thousands,
                ..
            } => {
                let n = parse_number(text)?;
                Some(number_text(scaled(n, *scale), *places, *thousands))
            }
            Self::Mask { keep, fill, .. } => {
                let length = text.chars().count();
                let covered = length.saturating_sub(*keep as usize);
                Some(
                    text.chars()
                        .enumerate()
                        .map(|(i, c)| if i < covered { *fill } else { c })
                        .collect(),
                )
            }
            Self::Tally { what, .. } => tally(text, *what),
            _ => None,
        }
    }
}

fn tally(text: &str, what: Tally) -> Option<String> {
    let numbers = || -> Vec<Number> {
        chars::runs(text, Class::Decimal)
            .into_iter()
            .filter_map(parse_number)
            .collect()
    };
    let best = |wanted: std::cmp::Ordering| {
        let mut best: Option<Number> = None;
        for n in numbers() {
            if best.is_none_or(|b| n.order(b) == wanted) {
                best = Some(n);
            }
        }
        best.map(|n| number_text(n, None, false))
    };
    match what {
        Tally::Length => Some(text.chars().count().to_string()),
        Tally::Words => Some(chars::runs(text, Class::Filled).len().to_string()),
        Tally::Numbers => Some(numbers().len().to_string()),
        Tally::Max => best(std::cmp::Ordering::Greater),
        Tally::Min => best(std::cmp::Ordering::Less),
        Tally::Sum => {
            let mut sum = crate::eval::Sum::default();
            let all = numbers();
            for n in &all {
                sum.add(*n);
            }
            // What floats add to the last digits is no part of the sum.
            let total = match sum.total() {
                Number::Float(f) => Number::Float(format!("{f:.9}").parse().unwrap_or(f)),
                whole @ Number::Int(_) => whole,
            };
            (!all.is_empty()).then(|| number_text(total, None, false))
        }
    }
}
