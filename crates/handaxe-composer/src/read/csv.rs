//! One row of a CSV or TSV file, by the same state machine as Python's `csv` with `strict=True`.

use std::io::Read;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::lines::Lines;
use super::{BLANK, MAX_CELL_CHARS, ReadError};
use crate::patterns::{DECIMAL_COMMA, whole};

#[derive(Clone, Copy, PartialEq)]
enum State {
    StartField,
    InField,
    InQuotes,
    QuoteInQuotes,
}

/// The cells of the next row and the line it starts on; no cells for a blank line.
pub(super) fn row<R: Read>(
    lines: &mut Lines<R>,
    delimiter: &mut Option<char>,
) -> Result<Option<(u64, Vec<String>)>, ReadError> {
    let Some((mut text, mut ended)) = lines.next_ended()? else {
        return Ok(None);
    };
    let delimiter = *delimiter.get_or_insert_with(|| separator(&text));
    let start = lines.number;
    let mut cells = Vec::new();
    if text.is_empty() {
        return Ok(Some((start, cells)));
    }
    let mut cell = Cell::default();
    let mut state = State::StartField;
    loop {
        for c in text.chars() {
            state = match (state, c) {
                (State::StartField, '"') => State::InQuotes,
                (State::InQuotes, '"') => State::QuoteInQuotes,
                (State::QuoteInQuotes, '"') => {
                    cell.push('"', lines.number)?;
                    State::InQuotes
                }
                (State::InQuotes, c) => {
                    cell.push(c, lines.number)?;
                    State::InQuotes
                }
                (_, c) if c == delimiter => {
                    cells.push(cell.take());
                    State::StartField
                }
                (State::QuoteInQuotes, _) => {
                    return Err(ReadError::Quoting { line: lines.number });
                }
                (State::StartField | State::InField, c) => {
                    cell.push(c, lines.number)?;
                    State::InField
                }
            };
        }
        if state != State::InQuotes {
            cells.push(cell.take());
            return Ok(Some((start, cells)));
        }
        if ended {
            cell.push('\n', lines.number)?;
        }
        (text, ended) = lines.next_ended()?.ok_or(ReadError::OpenQuote)?;
    }
}

#[derive(Default)]
struct Cell {
    text: String,
    chars: usize,
}

impl Cell {
    fn push(&mut self, c: char, line: u64) -> Result<(), ReadError> {
        if self.chars == MAX_CELL_CHARS {
            return Err(ReadError::CellTooLong { line });
        }
        self.chars += 1;
        self.text.push(c);
        Ok(())
    }

    fn take(&mut self) -> String {
        self.chars = 0;
        std::mem::take(&mut self.text)
    }
}

/// What separates the cells of a CSV file with this first line.
pub(crate) fn separator(first: &str) -> char {
    if first.contains(';') && !first.contains(',') {
        ';'
    } else {
        ','
    }
}

/// A cell of a semicolon-separated file: `1.234,50` is written `1234.50`, all else is left.
pub(super) fn pointed(cell: String) -> String {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| whole(DECIMAL_COMMA));
    let Some(found) = PATTERN.captures(cell.trim_matches(BLANK)) else {
        return cell;
    };
    let part = |i| found.get(i).map_or("", |m: regex::Match<'_>| m.as_str());
    format!("{}{}.{}", part(1), part(2).replace('.', ""), part(3))
}

/// Column names: trimmed; a blank one is named by its place, a repeated one is numbered.
pub(super) fn header(cells: &[String]) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::with_capacity(cells.len());
    let mut seen = std::collections::HashSet::new();
    for (place, cell) in cells.iter().enumerate() {
        let trimmed = cell.trim_matches(BLANK);
        let base = if trimmed.is_empty() {
            format!("column_{}", place + 1)
        } else {
            trimmed.to_owned()
        };
        let mut name = base.clone();
        let mut copy = 2;
        while seen.contains(&name) {
            name = format!("{base}_{copy}");
            copy += 1;
        }
        seen.insert(name.clone());
        names.push(name.into());
    }
    names
}
