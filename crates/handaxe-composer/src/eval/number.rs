//! What a value is: blank, a number, text. The one rule, twin of `emit/parts/values.py`.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::Scalar;
use crate::patterns::{NUMBER, whole};
use crate::read::{BLANK, Datum, float_text};

/// A number: whole ones of at most 18 digits stay whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

/// Numbers this large or larger are text, so that no sum of squares can overflow.
const HUGE: f64 = 1e150;

impl Number {
    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Int(i) => i as f64,
            Self::Float(f) => f,
        }
    }

    pub(crate) fn json(self) -> Value {
        match self {
            Self::Int(i) => Value::from(i),
            Self::Float(f) => Value::from(f),
        }
    }

    /// Exact, also between a whole number and a float.
    pub(crate) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Int(a), Self::Float(b)) => mixed(a, b),
            (Self::Float(a), Self::Int(b)) => mixed(b, a).reverse(),
        }
    }
}

fn mixed(a: i64, b: f64) -> Ordering {
    if b.abs() >= 1e19 {
        return if b > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        };
    }
    let floor = b.floor();
    match i128::from(a).cmp(&(floor as i128)) {
        Ordering::Equal if b > floor => Ordering::Less,
        order => order,
    }
}

/// Trimmed of [`BLANK`].
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(BLANK)
}

/// A value as text; null is the empty text.
pub(crate) fn text(value: &Datum) -> String {
    match value {
        Datum::Null => String::new(),
        Datum::Bool(b) => b.to_string(),
        Datum::Int(i) => i.to_string(),
        Datum::Float(f) => float_text(*f),
        Datum::Text(t) => trim(t).to_owned(),
    }
}

pub(crate) fn datum(scalar: &Scalar) -> Datum {
    match scalar {
        Scalar::Bool(b) => Datum::Bool(*b),
        Scalar::Int(i) => Datum::Int(*i),
        Scalar::Float(f) => Datum::Float(*f),
        Scalar::Text(t) => Datum::Text(t.clone()),
        // Only `any_of` and `none_of` take several, and these are read one by one.
        Scalar::Many(_) => Datum::Null,
    }
}

/// A value as it goes into a result.
pub(crate) fn json(value: &Datum) -> Value {
    match value {
        Datum::Null => Value::Null,
        Datum::Bool(b) => Value::from(*b),
        Datum::Int(i) => Value::from(*i),
        Datum::Float(f) => Value::from(*f),
        Datum::Text(t) => Value::from(t.as_str()),
    }
}

/// The number that a value is, if it is one.
pub(crate) fn number(value: &Datum) -> Option<Number> {
    match value {
        Datum::Null | Datum::Bool(_) => None,
        Datum::Int(i) => Some(Number::Int(*i)),
        Datum::Float(f) => (f.abs() < HUGE).then_some(Number::Float(*f)),
        Datum::Text(t) => parse_number(trim(t)),
    }
}

/// The number that a trimmed text is, if it is one (see [`NUMBER`]).
pub(crate) fn parse_number(text: &str) -> Option<Number> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| whole(NUMBER));
    let found = PATTERN.captures(text)?;
    let part = |i| found.get(i).map_or("", |m: regex::Match<'_>| m.as_str());
    let digits = part(2).replace(',', "");
    if part(3).is_empty() && !digits.contains('.') && digits.len() <= 18 {
        let value: i64 = digits.parse().ok()?;
        return Some(Number::Int(if part(1) == "-" { -value } else { value }));
    }
    let value: f64 = format!("{}{digits}{}", part(1), part(3)).parse().ok()?;
    (value.abs() < HUGE).then_some(Number::Float(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_number() {
        let int = |i| Some(Number::Int(i));
        let float = |f| Some(Number::Float(f));
        for (text, expected) in [
            ("7", int(7)),
            ("-0", int(0)),
            ("1,234", int(1234)),
            ("$5.20", float(5.2)),
            ("-€1,000", int(-1000)),
            ("12%", int(12)),
            ("12 %", int(12)),
            ("1e3", float(1000.0)),
            (".5", float(0.5)),
            ("5.", float(5.0)),
            ("007", int(7)),
            ("999999999999999999", int(999_999_999_999_999_999)),
            ("1234567890123456789", float(1_234_567_890_123_456_789.0)),
            ("1e150", None),
            ("1,23", None),
            ("12,3456", None),
            ("", None),
            ("nan", None),
            ("1_000", None),
            ("٣", None),
            ("(5)", None),
            ("5 kg", None),
            ("0x10", None),
        ] {
            assert_eq!(parse_number(text), expected, "{text}");
        }
    }

    #[test]
    fn order_is_exact() {
        let big = 999_999_999_999_999_999;
        assert_eq!(Number::Int(big).order(Number::Float(1e18)), Ordering::Less);
        assert_eq!(
            Number::Int(-1).order(Number::Float(-1.5)),
            Ordering::Greater
        );
        assert_eq!(Number::Float(2.0).order(Number::Int(2)), Ordering::Equal);
    }
}
