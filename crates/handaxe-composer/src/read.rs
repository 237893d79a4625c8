//! Records out of a file, one at a time, in memory bounded by the longest record.
//!
//! Every rule here has its twin in the emitted Python (`emit/parts/read.py`); a change to one is a
//! change to both. What cannot be read is counted in [`Tally`], never dropped in silence:
//!
//! - Bytes that are not UTF-8 become U+FFFD (one per maximal bad sequence) and are counted.
//! - CSV is separated by semicolons where its first line has them and no comma, as spreadsheets
//!   write it where the comma is in the numbers: there `1.234,50` is read as `1234.50`.
//! - CSV and TSV: RFC 4180 quoting as Python's `csv` reads it with `strict=True`; blank lines are
//!   passed over, short rows are filled with null, rows with more cells than the header has names
//!   are skipped and counted (unless what is over is blank).
//! - JSON Lines: lines that are not one JSON object are skipped and counted.
//! - JSON: an array of objects, or an object that holds exactly one; at most [`MAX_JSON_CHARS`].
//! - Nested objects become dotted names (`user.name`), lists become JSON text, whole numbers of
//!   more than 18 digits stay text so that no digit is lost.

mod csv;
mod json;
mod lines;

use std::io::Read;
use std::sync::Arc;

use crate::Format;
use lines::Lines;

pub(crate) use csv::separator;
pub(crate) use json::{float_text, write_string};

/// Whether a text is one document as the readers take it.
pub(crate) fn is_json(text: &str) -> bool {
    json::parse(text).is_some()
}

/// Longest line, in characters.
pub(crate) const MAX_LINE_CHARS: usize = 8 << 20;
/// Largest JSON document, in characters; JSON Lines has no such bound.
pub(crate) const MAX_JSON_CHARS: usize = 16 << 20;
/// Most field names in one file.
pub(crate) const MAX_FIELDS: usize = 2000;
/// Longest CSV field, in characters; the bound of Python's `csv`.
pub(crate) const MAX_CELL_CHARS: usize = 131_072;
/// Most brackets open at once in a JSON text, counted inside strings too.
pub(crate) const MAX_DEPTH: usize = 100;
/// What counts as blank at the ends of a value.
pub(crate) const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// One value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// One record: its place in the file and its fields in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// 1-based line on which it starts; for JSON its 1-based place in the array.
    pub line: u64,
    pub fields: Vec<(Arc<str>, Datum)>,
}

impl Record {
    /// The value under a name; null where the record has no such field.
    pub fn get(&self, name: &str) -> &Datum {
        self.fields
            .iter()
            .find(|(n, _)| &**n == name)
            .map_or(&Datum::Null, |(_, v)| v)
    }

    pub(crate) fn set(&mut self, name: Arc<str>, value: Datum) {
        match self.fields.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name, value)),
        }
    }
}

/// What was read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: u64,
    /// Lines, rows or array elements that are no record.
    pub skipped: u64,
    /// U+FFFD characters: bytes that were not UTF-8.
    pub unreadable: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the file could not be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("line {line} holds a NUL character: the file is binary")]
    Binary { line: u64 },
    #[error("line {line} is longer than {MAX_LINE_CHARS} characters")]
    LineTooLong { line: u64 },
    #[error(
        "line {line}: a field is longer than {MAX_CELL_CHARS} characters (a quote that is never closed?)"
    )]
    CellTooLong { line: u64 },
    #[error("line {line}: a quoted field goes on after its closing quote")]
    Quoting { line: u64 },
    #[error("a quoted field is still open at the end of the file")]
    OpenQuote,
    #[error("more than {MAX_FIELDS} different fields")]
    TooManyFields,
    #[error(
        "a JSON document of more than {MAX_JSON_CHARS} characters is not read whole; convert it to JSON Lines"
    )]
    JsonTooLarge,
    #[error("the file is not one JSON document")]
    NotJson,
    #[error(
        "the JSON document is neither an array of objects nor an object with exactly one in it"
    )]
    NoArray,
    #[error("nothing in the file could be read as {0}")]
    NothingRead(&'static str),
}

impl Format {
    /// The word for it: in schemas, as an argument, and as a file's ending.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Text => "text",
        }
    }
}

/// Reads the records of one file.
pub struct Records<R> {
    format: Format,
    lines: Lines<R>,
    header: Option<Vec<Arc<str>>>,
    /// Of CSV it is known once the first line was seen.
    delimiter: Option<char>,
    array: Option<std::vec::IntoIter<json::Json>>,
    /// The name of that array inside its document.
    called: Option<String>,
    fields: Vec<Arc<str>>,
    known: std::collections::HashSet<Arc<str>>,
    place: u64,
    tally: Tally,
    ended: bool,
}

impl<R: Read> Records<R> {
    pub fn new(format: Format, source: R) -> Self {
        Self {
            format,
            lines: Lines::new(source),
            header: None,
            array: None,
            called: None,
            delimiter: match format {
                Format::Tsv => Some('\t'),
                _ => None,
            },
            fields: Vec::new(),
            known: std::collections::HashSet::new(),
            place: 0,
            tally: Tally::default(),
            ended: false,
        }
    }

    /// What was read so far; complete once `next` gave `None`.
    pub fn tally(&self) -> Tally {
        Tally {
            unreadable: self.lines.unreadable,
            ..self.tally
        }
    }

    /// What a JSON document calls its records: the name of their array.
    pub(crate) fn called(&self) -> Option<&str> {
        self.called.as_deref()
    }

    /// The names seen so far, in order of first appearance.
    pub fn fields(&self) -> &[Arc<str>] {
        &self.fields
    }

    /// The next record; `None` at the end, and ever after.
    #[expect(
        clippy::should_implement_trait,
        reason = "errors end the stream; `Records` is an `Iterator` of results as well"
    )]
    pub fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let next = match self.format {
            Format::Text => self.next_line(),
            Format::Jsonl => self.next_jsonl(),
            Format::Json => self.next_json(),
            Format::Csv | Format::Tsv => self.next_row(),
        };
        match next {
            Ok(Some(record)) => {
                self.tally.records += 1;
                for (name, _) in &record.fields {
                    self.note(name)?;
                }
                Ok(Some(record))
            }
            Ok(None) => {
                self.ended = true;
                if self.tally.records == 0 && self.tally.skipped > 0 {
                    return Err(ReadError::NothingRead(self.format.as_str()));
                }
                Ok(None)
            }
            Err(e) => {
                self.ended = true;
                Err(e)
            }
        }
    }

    fn note(&mut self, name: &Arc<str>) -> Result<(), ReadError> {
        if !self.known.contains(name) {
            if self.fields.len() == MAX_FIELDS {
                self.ended = true;
                return Err(ReadError::TooManyFields);
            }
            self.known.insert(Arc::clone(name));
            self.fields.push(Arc::clone(name));
        }
        Ok(())
    }

    fn next_line(&mut self) -> Result<Option<Record>, ReadError> {
        while let Some(line) = self.lines.next()? {
            if line.trim_matches(BLANK).is_empty() {
                continue;
            }
            return Ok(Some(Record {
                line: self.lines.number,
                fields: vec![("line".into(), Datum::Text(line))],
            }));
        }
        Ok(None)
    }

    fn next_jsonl(&mut self) -> Result<Option<Record>, ReadError> {
        while let Some(line) = self.lines.next()? {
            if line.trim_matches(BLANK).is_empty() {
                continue;
            }
            match json::parse(&line) {
                Some(json::Json::Object(members)) => {
                    return Ok(Some(flat(self.lines.number, members)));
                }
                _ => self.tally.skipped += 1,
            }
        }
        Ok(None)
    }

    fn next_json(&mut self) -> Result<Option<Record>, ReadError> {
        if self.array.is_none() {
            let text = self
                .lines
                .rest(MAX_JSON_CHARS)?
                .ok_or(ReadError::JsonTooLarge)?;
            let (called, items) = if text.trim_matches(BLANK).is_empty() {
                (None, Vec::new())
            } else {
                json::records(json::parse(&text).ok_or(ReadError::NotJson)?)
                    .ok_or(ReadError::NoArray)?
            };
            self.array = Some(items.into_iter());
            self.called = called;
        }
        for item in self.array.as_mut().into_iter().flatten() {
            self.place += 1;
            if let json::Json::Object(members) = item {
                return Ok(Some(flat(self.place, members)));
            }
            self.tally.skipped += 1;
        }
        Ok(None)
    }

    fn next_row(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let Some((line, cells)) = csv::row(&mut self.lines, &mut self.delimiter)? else {
                return Ok(None);
            };
            if cells.is_empty() {
                continue;
            }
            let Some(header) = &self.header else {
                let names = csv::header(&cells);
                for name in &names {
                    self.note(name)?;
                }
                self.header = Some(names);
                continue;
            };
            let over = cells.get(header.len()..).unwrap_or_default();
            if over.iter().any(|c| !c.trim_matches(BLANK).is_empty()) {
                self.tally.skipped += 1;
                continue;
            }
            let commas = self.delimiter == Some(';');
            let mut cells = cells
                .into_iter()
                .map(|c| if commas { csv::pointed(c) } else { c });
            let fields = header
                .iter()
                .map(|name| {
                    let value = cells.next().map_or(Datum::Null, Datum::Text);
                    (Arc::clone(name), value)
                })
                .collect();
            return Ok(Some(Record { line, fields }));
        }
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Record, ReadError>;
    fn next(&mut self) -> Option<Self::Item> {
        Records::next(self).transpose()
    }
}

fn flat(line: u64, members: Vec<(String, json::Json)>) -> Record {
    let mut record = Record {
        line,
        fields: Vec::with_capacity(members.len()),
    };
    flatten("", members, &mut record);
    record
}

fn flatten(prefix: &str, members: Vec<(String, json::Json)>, record: &mut Record) {
    for (name, value) in members {
        let name = format!("{prefix}{name}");
        let datum = match value {
            json::Json::Object(inner) => {
                flatten(&format!("{name}."), inner, record);
                continue;
            }
            json::Json::Array(items) => Datum::Text(json::text(&json::Json::Array(items))),
            json::Json::Null | json::Json::Broken => Datum::Null,
            json::Json::Bool(b) => Datum::Bool(b),
            json::Json::Int(i) => Datum::Int(i),
            json::Json::Float(f) => Datum::Float(f),
            json::Json::Text(t) => Datum::Text(t),
        };
        record.set(name.into(), datum);
    }
}
