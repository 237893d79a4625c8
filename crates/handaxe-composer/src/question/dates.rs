//! Dates in questions: days, months, quarters and years, as ISO text of their own precision.
//! A less precise date stands for all that begin with it, as in the filters.

use super::tokens::{Token, TokenKind};
use crate::patterns::MONTHS;

/// A span of time, both ends in it: `2021` to `2021` is the year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When {
    Range {
        first: String,
        last: String,
    },
    /// A month of no year.
    Month(u32),
}

fn month(token: &Token) -> Option<u32> {
    let low = token.low.as_str();
    if token.kind != TokenKind::Word
        || low.len() < 3
        || (low == "may" && token.raw == "may")
        || (low == "march" && token.raw == "march")
    {
        return None;
    }
    let short = if low == "sept" { "sep" } else { low };
    MONTHS
        .iter()
        .position(|m| *m == short || m[..3] == *short)
        .map(|i| i as u32 + 1)
}

pub(super) fn year_number(token: &Token) -> Option<u32> {
    let digits = token.raw.len() == 4 && token.raw.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| token.raw.parse().ok())
        .flatten()
        .filter(|y| (1000..=2200).contains(y))
}

fn day_number(token: &Token) -> Option<u32> {
    let bare = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|e| token.low.strip_suffix(e))
        .unwrap_or(&token.low);
    bare.parse().ok().filter(|d| (1..=31).contains(d))
}

/// The date at the start of `rest`, and how many tokens it takes. A year alone is left a number.
pub(super) fn when_at(rest: &[Token]) -> Option<(When, usize)> {
    let at = |i: usize| rest.get(i);
    let first = at(0)?;
    if first.kind == TokenKind::Date {
        let parts: Vec<u32> = first
            .low
            .split('-')
            .filter_map(|p| p.parse().ok())
            .collect();
        return match parts.as_slice() {
            [y, m] => Some((of_month(*y, *m), 1)),
            [y, m, d] => Some((of_day(*y, *m, *d)?, 1)),
            _ => None,
        };
    }
    if let (Some(q), Some(y)) = (
        first
            .low
            .strip_prefix('q')
            .and_then(|q| q.parse::<u32>().ok()),
        at(1).and_then(year_number),
    ) && (1..=4).contains(&q)
    {
        let end = |m: u32| format!("{y:04}-{m:02}");
        return Some((
            When::Range {
                first: end(q * 3 - 2),
                last: end(q * 3),
            },
            2,
        ));
    }
    if let (Some(d), Some(m), Some(y)) = (
        day_number(first),
        at(1).and_then(month),
        at(2).and_then(year_number),
    ) {
        return Some((of_day(y, m, d)?, 3));
    }
    let m = month(first)?;
    if let Some(y) = at(1).and_then(year_number) {
        return Some((of_month(y, m), 2));
    }
    let of = usize::from(at(1).is_some_and(|t| t.low == "the"));
    if let (Some(d), Some(y)) = (
        at(1 + of).and_then(day_number),
        at(2 + of).and_then(year_number),
    ) {
        return Some((of_day(y, m, d)?, 3 + of));
    }
    Some((When::Month(m), 1))
}

fn one(text: String) -> When {
    When::Range {
        first: text.clone(),
        last: text,
    }
}

pub(super) fn of_year(y: u32) -> When {
    one(format!("{y:04}"))
}

pub(super) fn of_month(y: u32, m: u32) -> When {
    one(format!("{y:04}-{m:02}"))
}

fn of_day(y: u32, m: u32, d: u32) -> Option<When> {
    let day = jiff::civil::Date::new(
        i16::try_from(y).ok()?,
        i8::try_from(m).ok()?,
        i8::try_from(d).ok()?,
    )
    .ok()?;
    Some(one(day.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    #[test]
    fn reads_dates() {
        let check = |text: &str, expected: Option<(&str, &str, usize)>| {
            let got = when_at(&tokens(text));
            let expected = expected.map(|(a, b, n)| {
                (
                    When::Range {
                        first: a.into(),
                        last: b.into(),
                    },
                    n,
                )
            });
            assert_eq!(got, expected, "{text}");
        };
        check("2021-03-05", Some(("2021-03-05", "2021-03-05", 1)));
        check("March 2021", Some(("2021-03", "2021-03", 2)));
        check("december 2021", Some(("2021-12", "2021-12", 2)));
        check("Mar 5, 2021", Some(("2021-03-05", "2021-03-05", 3)));
        check("5th March 2021", Some(("2021-03-05", "2021-03-05", 3)));
        check("Q4 1999", Some(("1999-10", "1999-12", 2)));
        check("2021", None);
        check("2021-02-30", None);
        check("may we", None);
        assert_eq!(when_at(&tokens("May")), Some((When::Month(5), 1)));
    }
}
