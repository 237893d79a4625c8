//! Records made uniform and written to a file; twin of `emit/parts/run_clean.py`.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use serde_json::{Value, json};

use super::convert::{crc32, laid_out};
use super::number::{Number, parse_number, text, trim};
use super::rows::{compare, key};
use super::{EvalError, MAX_VALUES, Source, parse_time};
use crate::read::{Datum, Record};
use crate::{Change, Format, Sort, Terminal, Tidy};

/// Most records that are ordered.
pub(crate) const MAX_HELD: usize = 200_000;

/// Name of the file that a cleaning writes.
pub(crate) fn file_name(to: Format) -> String {
    format!("cleaned.{}", to.as_str())
}

impl Tidy {
    /// The word for it, as an argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trim => "trim",
            Self::Spaces => "spaces",
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Title => "title",
            Self::Phone => "phone",
            Self::Number => "number",
            Self::Date => "date",
        }
    }
}

/// What was done to the records.
#[derive(Default)]
pub(super) struct Counts {
    written: u64,
    changed: u64,
    odd: u64,
    removed: u64,
}

pub(super) fn cleaned<R: Read>(
    source: &mut Source<R>,
    terminal: &Terminal,
) -> Result<Value, EvalError> {
    let (out, counts) = bytes(source, terminal)?;
    let Terminal::Clean { to, .. } = terminal else {
        return Err(EvalError::TextOutput);
    };
    Ok(json!({
        "file": file_name(*to), "crc32": crc32(&out), "written": counts.written,
        "changed": counts.changed, "odd": counts.odd, "removed": counts.removed,
    }))
}

/// What is written, all of it in memory.
pub(super) fn bytes<R: Read>(
    source: &mut Source<R>,
    terminal: &Terminal,
) -> Result<(Vec<u8>, Counts), EvalError> {
    let Terminal::Clean {
        changes,
        unique,
        order_by,
        fields,
        limit,
        to,
    } = terminal
    else {
        return Ok(Default::default());
    };
    let sorted = crate::emit::orders(terminal);
    let used: Vec<&str> = (fields.iter().map(String::as_str))
        .chain(changes.iter().map(|c| c.field.as_str()))
        .chain(unique.iter().flatten().map(String::as_str))
        .chain(order_by.iter().map(|s| s.field.as_str()))
        .collect();
    let mut counts = Counts::default();
    let mut seen: HashSet<Vec<(String, String)>> = HashSet::new();
    let mut records: Vec<Record> = Vec::new();
    while let Some(mut record) = source.next(&used)? {
        for change in changes {
            apply(change, &mut record, source.times, &mut counts);
        }
        if let Some(unique) = unique {
            let key = identity(&record, unique);
            if seen.contains(&key) {
                counts.removed += 1;
                continue;
            }
            if seen.len() as u64 == MAX_VALUES {
                return Err(EvalError::TooManyRecords);
            }
            seen.insert(key);
        }
        if sorted && records.len() == MAX_HELD {
            return Err(EvalError::TooManyHeld);
        }
        records.push(record);
    }
    for sort in order_by.iter().rev() {
        records = in_order(records, sort, source.times);
    }
    records.truncate(limit.map_or(usize::MAX, |l| l as usize));
    counts.written = records.len() as u64;
    let all = source.fields()?;
    let mut names: Vec<&str> = all.iter().map(|f| &**f).collect();
    if !fields.is_empty() {
        let mut known = HashSet::new();
        let kept: Vec<Arc<str>> = (fields.iter())
            .filter(|f| known.insert(f.as_str()))
            .map(|f| f.as_str().into())
            .collect();
        for record in &mut records {
            let cells = kept.iter().map(|f| (Arc::clone(f), record.get(f).clone()));
            record.fields = cells.collect();
        }
        names = fields.iter().map(String::as_str).collect();
    }
    Ok((laid_out(&names, &records, *to)?, counts))
}

/// The values that tell a record from others.
fn identity(record: &Record, fields: &[String]) -> Vec<(String, String)> {
    if fields.is_empty() {
        let mut all: Vec<(String, String)> = (record.fields.iter())
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        all.sort();
        return all;
    }
    (fields.iter())
        .map(|name| (String::new(), text(record.get(name))))
        .collect()
}

/// Records by one field, those without a value last; the order of those that are equal stays.
fn in_order(records: Vec<Record>, sort: &Sort, times: bool) -> Vec<Record> {
    let (filled, blank): (Vec<_>, Vec<_>) =
        (records.into_iter()).partition(|record| !text(record.get(&sort.field)).is_empty());
    let mut filled: Vec<_> = (filled.into_iter())
        .map(|record| {
            let value = record.get(&sort.field);
            (key(value, &text(value), times), record)
        })
        .collect();
    filled.sort_by(|(a, _), (b, _)| compare(a, b, sort.order));
    (filled.into_iter().map(|(_, record)| record))
        .chain(blank)
        .collect()
}

fn apply(change: &Change, record: &mut Record, times: bool, counts: &mut Counts) {
    let Datum::Text(old) = record.get(&change.field) else {
        return;
    };
    let bare = trim(old);
    let new = if bare.is_empty() {
        Some(Datum::Text(String::new()))
    } else {
        tidied(bare, change.how, times)
    };
    match new {
        None => counts.odd += 1,
        Some(new) => {
            counts.changed += u64::from(text(&new) != *old);
            record.set(change.field.as_str().into(), new);
        }
    }
}

/// A trimmed text made uniform; `None` where it is no such thing.
fn tidied(text: &str, how: Tidy, times: bool) -> Option<Datum> {
    let made = match how {
        Tidy::Trim => text.to_owned(),
        Tidy::Spaces => {
            let parts = text.split(crate::read::BLANK).filter(|p| !p.is_empty());
            parts.collect::<Vec<_>>().join(" ")
        }
        Tidy::Lower => text.to_lowercase(),
        Tidy::Upper => text.to_uppercase(),
        Tidy::Title => title(text),
        Tidy::Phone => phone(text)?,
        Tidy::Number => {
            return parse_number(text).map(|n| match n {
                Number::Int(i) => Datum::Int(i),
                Number::Float(f) => Datum::Float(f),
            });
        }
        Tidy::Date if times => parse_time(text)?,
        Tidy::Date => text.to_owned(),
    };
    Some(Datum::Text(made))
}

/// Each word, also behind a hyphen, with a capital at its beginning.
fn title(text: &str) -> String {
    let words = text.split_inclusive([' ', '-']).map(|word| {
        let (part, mark) = match word.strip_suffix([' ', '-']) {
            Some(part) => (part, &word[part.len()..]),
            None => (word, ""),
        };
        let mut chars = part.chars();
        let first: String = chars
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .collect();
        format!("{first}{}{mark}", chars.as_str().to_lowercase())
    });
    words.collect()
}

/// The digits of a telephone number, behind a plus where it is international.
fn phone(text: &str) -> Option<String> {
    let digits = text.replace([' ', '(', ')', '.', '/', '-'], "");
    let digits = match digits.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => digits,
    };
    let bare = digits.strip_prefix('+').unwrap_or(&digits);
    let fits = (5..=15).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_uniform() {
        for (given, how, expected) in [
            (
                "O'NEIL anne-marie  x",
                Tidy::Title,
                Some("O'neil Anne-Marie  X"),
            ),
            ("a \t b\n\nc", Tidy::Spaces, Some("a b c")),
            ("Straße", Tidy::Upper, Some("STRASSE")),
            ("+49 (0)30/123-45.6", Tidy::Phone, Some("+49030123456")),
            ("0049 30 12345", Tidy::Phone, Some("+493012345")),
            ("call me", Tidy::Phone, None),
            ("$1,234.50", Tidy::Number, Some("1234.5")),
            ("n/a", Tidy::Number, None),
            ("Jan 31 2024", Tidy::Date, Some("2024-01-31")),
        ] {
            let got = tidied(given, how, true);
            let got = got.as_ref().map(text);
            assert_eq!(got.as_deref(), expected, "{given}");
        }
    }
}
