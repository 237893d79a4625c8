//! From records to typed fields with their counts and bounded sets of values.

use std::collections::HashMap;

use std::sync::Arc;

use crate::eval::{
    number::{Number, number},
    parse_time,
};
use crate::read::{Datum, Record};

/// What a field's values are, where at least 95 of 100 filled ones agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Number,
    Boolean,
    Date,
    DateTime,
    Text,
    /// No value at all.
    Empty,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "date and time",
            Self::Text => "text",
            Self::Empty => "empty",
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Number)
    }

    pub fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::DateTime)
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub filled: u64,
    /// Missing, null or blank.
    pub empty: u64,
    /// Distinct values seen; a lower bound where `values_complete` is false.
    pub distinct: u64,
    /// Values as text with their counts, most frequent first; at most `MAX_VALUES` (5000).
    pub values: Vec<(String, u64)>,
    /// `values` holds every value that was seen.
    pub values_complete: bool,
    /// Smallest and largest, for numbers.
    pub range: Option<(f64, f64)>,
    /// First and last day as `YYYY-MM-DD`, for dates.
    pub days: Option<(String, String)>,
    /// Mean length of filled values, in characters.
    pub mean_length: f64,
}

/// Distinct values kept of one field, and the longest that is kept.
pub(super) const MAX_VALUES: usize = 5000;
const MAX_VALUE_BYTES: usize = 80;
/// Longer text that holds a date is text.
const MAX_TIME_BYTES: usize = 40;

impl Field {
    /// Few distinct values, repeated: something to group or filter by.
    pub fn is_category(&self) -> bool {
        let repeated = self.distinct * 2 <= self.filled || self.distinct <= 12;
        match self.kind {
            Kind::Boolean => true,
            Kind::Text => self.values_complete && repeated && self.mean_length <= 60.0,
            Kind::Integer => {
                self.values_complete && self.distinct <= 40 && self.distinct * 3 <= self.filled
            }
            _ => false,
        }
    }

    /// Running text rather than a label.
    pub fn is_prose(&self) -> bool {
        self.kind == Kind::Text && (self.mean_length > 30.0 || !self.values_complete)
    }

    /// One value per record.
    pub fn is_unique(&self) -> bool {
        self.filled > 1 && self.values_complete && self.distinct == self.filled
    }
}

/// The text of a value as it is matched and shown; `None` where it is missing or blank.
pub(crate) fn text_of(value: &Datum) -> Option<String> {
    match value {
        Datum::Null => None,
        Datum::Text(s) if s.trim().is_empty() => None,
        Datum::Text(s) => Some(s.clone()),
        Datum::Bool(b) => Some(b.to_string()),
        Datum::Int(i) => Some(i.to_string()),
        Datum::Float(f) => Some(f.to_string()),
    }
}

/// What people and programs write where there is no value.
fn stands_for_none(text: &str) -> bool {
    matches!(text, "-" | "--" | "—" | "?")
        || ["na", "n/a", "nan", "null", "none"]
            .iter()
            .any(|none| text.eq_ignore_ascii_case(none))
}

pub(super) fn fields(columns: &[Arc<str>], records: &[Record]) -> Vec<Field> {
    columns.iter().map(|c| field(c, records)).collect()
}

fn field(name: &str, records: &[Record]) -> Field {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let (mut filled, mut absent, mut length, mut complete) = (0_u64, 0_u64, 0_usize, true);
    let (mut integers, mut numbers, mut booleans, mut dates, mut times, mut inside) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    let mut range: Option<(f64, f64)> = None;
    let mut days: Option<(String, String)> = None;
    for record in records {
        let value = record.get(name);
        let Some(text) = text_of(value) else {
            continue;
        };
        filled += 1;
        absent += u64::from(stands_for_none(text.trim()));
        length += text.chars().count();
        if matches!(value, Datum::Bool(_)) {
            booleans += 1;
        } else {
            let trimmed = text.trim();
            if let Some(n) = number(value) {
                numbers += 1;
                integers += u64::from(matches!(n, Number::Int(_)));
                let n = n.float();
                range = Some(range.map_or((n, n), |(a, b)| (a.min(n), b.max(n))));
            } else if matches!(
                trimmed.to_ascii_lowercase().as_str(),
                "true" | "false" | "yes" | "no"
            ) {
                booleans += 1;
            } else if let Some(time) = parse_time(trimmed).filter(|t| t.len() >= 7) {
                // A date inside running text does not make the text a date.
                dates += u64::from(trimmed.len() <= MAX_TIME_BYTES);
                inside += 1;
                times += u64::from(time.len() > 10);
                let day: String = time.chars().take(10).collect();
                days = Some(match days {
                    None => (day.clone(), day),
                    Some((a, b)) => (a.min(day.clone()), b.max(day)),
                });
            }
        }
        if text.len() <= MAX_VALUE_BYTES
            && (counts.len() < MAX_VALUES || counts.contains_key(&text))
        {
            *counts.entry(text).or_default() += 1;
        } else {
            complete = false;
        }
    }
    // "NA" among numbers is an absence: it says nothing of what the others are.
    let says = filled - absent;
    let most = |n: u64| says > 0 && n * 100 >= says * 95;
    let kind = match () {
        () if filled == 0 => Kind::Empty,
        () if most(integers) => Kind::Integer,
        () if most(numbers) => Kind::Number,
        () if most(booleans) => Kind::Boolean,
        () if most(dates) && times > 0 => Kind::DateTime,
        () if most(dates) => Kind::Date,
        () => Kind::Text,
    };
    let mut values: Vec<(String, u64)> = counts.into_iter().collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Field {
        name: name.to_owned(),
        kind,
        filled,
        empty: records.len() as u64 - filled,
        distinct: values.len() as u64,
        values,
        values_complete: complete,
        range: range.filter(|_| kind.is_number()),
        days: days.filter(|_| kind.is_time() || (most(inside) && name == "line")),
        mean_length: if filled == 0 {
            0.0
        } else {
            length as f64 / filled as f64
        },
    }
}
