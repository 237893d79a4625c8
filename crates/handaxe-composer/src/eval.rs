//! The chain, run in Rust: the second opinion on the emitted Python.
//!
//! `evaluate` and the code that `emit` writes give the same JSON, value for value, on any input,
//! and refuse the same inputs. Meant for samples: it holds what the Python holds, and for
//! [`convert`] the records as well.

mod aggregate;
mod clean;
mod compare;
mod convert;
mod count;
mod describe;
mod extract;
mod filter;
mod join;
pub(crate) mod number;
mod pattern;
mod pivot;
mod rows;
pub(crate) mod sentiment;
pub(crate) mod sum;
pub(crate) mod time;

use std::io::Read;

use serde_json::{Map, Value, json};

use crate::read::{ReadError, Record, Records};
use crate::{Chain, Terminal};
use filter::Tests;
use join::Lookup;

pub(crate) use number::parse_number;
pub(crate) use pattern::translate;
pub(crate) use sum::Sum;
pub(crate) use time::{WEEKDAYS, parse_time};

/// Most groups, distinct values or words that one result may hold.
pub(crate) const MAX_GROUPS: usize = 100_000;
/// Most values kept for medians and deviations.
pub(crate) const MAX_VALUES: u64 = 2_000_000;
/// Most rows returned where no limit is given.
pub(crate) const MAX_ROWS: usize = 50_000;

/// Why a chain gives no result. The Python raises `ValueError` for every one but
/// `Read(ReadError::Io)`, which is an `OSError` there.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("no field `{field}`; the fields are: {}", known.join(", "))]
    UnknownField { field: String, known: Vec<String> },
    #[error("`{op}` needs a value")]
    NoValue { op: &'static str },
    #[error("`any_of` and `none_of` take a list, and nothing else does")]
    List,
    #[error("more than {MAX_GROUPS} different values")]
    TooManyGroups,
    #[error("more than {MAX_VALUES} numbers for a median or deviation")]
    TooManyValues,
    #[error("more than {MAX_VALUES} different records")]
    TooManyRecords,
    #[error("more than {MAX_ROWS} records; give a limit")]
    TooManyRows,
    #[error("`{func}` needs a field")]
    NoField { func: &'static str },
    #[error("{0}")]
    Pattern(#[from] PatternError),
    #[error("records cannot be written as text")]
    TextOutput,
    #[error("a table of more than {MAX_GROUPS} cells")]
    TooManyCells,
    #[error("more than {} records to order", clean::MAX_HELD)]
    TooManyHeld,
    #[error("`{key}` comes twice in `{field}` of the other file")]
    KeyTwice { key: String, field: String },
    #[error("the other file has no field `{field}`")]
    NoKey { field: String },
    #[error("the other file has more than {} records", join::MAX_LOOKUP)]
    TooManyLookups,
    #[error("the key has not as many fields in the one file as in the other")]
    KeyLengths,
    #[error("the other file is not there")]
    NoOther,
    #[error("the sentiment of two files at once")]
    NotJoined,
}

pub use pattern::PatternError;

impl EvalError {
    /// The class of the exception that the emitted Python raises for this.
    pub fn python_kind(&self) -> &'static str {
        match self {
            Self::Read(ReadError::Io(_)) => "OSError",
            _ => "ValueError",
        }
    }
}

/// Runs the chain over one file's bytes.
pub fn evaluate(chain: &Chain, data: impl Read) -> Result<Value, EvalError> {
    evaluate_with(chain, data, None)
}

/// What a `Convert` or `Clean` chain's tool writes to its file; of other chains nothing. Holds all
/// records in memory.
pub fn written(
    chain: &Chain,
    data: impl Read,
    other: Option<&mut dyn Read>,
) -> Result<Vec<u8>, EvalError> {
    let mut source = Source::new(chain, data, other)?;
    match &chain.terminal {
        Terminal::Convert { to } => convert::bytes(&mut source, *to),
        Terminal::Clean { .. } => Ok(clean::bytes(&mut source, &chain.terminal)?.0),
        _ => Ok(Vec::new()),
    }
}

/// Runs the chain over one file's bytes, and the other's where it joins one.
pub fn evaluate_with(
    chain: &Chain,
    data: impl Read,
    other: Option<&mut dyn Read>,
) -> Result<Value, EvalError> {
    let mut source = Source::new(chain, data, other)?;
    let result = match &chain.terminal {
        Terminal::Aggregate {
            measures,
            group_by,
            order,
            limit,
        } => {
            if crate::emit::is_plain_count(measures, group_by) {
                count::records(&mut source)?
            } else {
                let cut = (chain.shape.offset, *limit);
                aggregate::groups(
                    &mut source,
                    measures,
                    group_by,
                    *order,
                    cut,
                    chain.shape.window,
                )?
            }
        }
        Terminal::Rows {
            fields,
            order_by,
            order,
            limit,
        } => {
            let by = order_by.as_deref();
            if let Some(per) = &chain.shape.per {
                rows::rows_per(&mut source, fields, by, *order, *limit, per)?
            } else {
                let cut = (chain.shape.offset, *limit);
                rows::rows(&mut source, fields, by, *order, cut)?
            }
        }
        Terminal::Distinct { field } => count::distinct(&mut source, field)?,
        Terminal::Frequencies { field, limit } => count::frequencies(&mut source, field, *limit)?,
        Terminal::Words {
            field,
            limit,
            min_length,
            skip_stop_words,
        } => count::words(&mut source, field, *limit, *min_length, *skip_stop_words)?,
        Terminal::Histogram {
            field,
            bucket,
            measure,
        } => aggregate::histogram(&mut source, field, *bucket, measure, chain.shape.window)?,
        Terminal::Extract { field, what, limit } => {
            extract::extract(&mut source, field.as_deref(), what, *limit)?
        }
        Terminal::Sentiment { field, group_by } => {
            sentiment::sentiment(&mut source, field, group_by.as_deref())?
        }
        Terminal::Convert { to } => convert::converted(&mut source, *to)?,
        Terminal::Describe => describe::describe(&mut source)?,
        Terminal::Share { wanted } => compare::share(&mut source, wanted)?,
        Terminal::Compare {
            measure,
            field,
            left,
            right,
            how,
        } => compare::compare(&mut source, measure, field, (left, right), *how)?,
        Terminal::Duplicates { fields } => compare::duplicates(&mut source, fields)?,
        Terminal::Pivot {
            rows,
            columns,
            measure,
        } => pivot::pivot(&mut source, rows, columns, measure)?,
        Terminal::Clean { .. } => clean::cleaned(&mut source, &chain.terminal)?,
    };
    Ok(source.summed_up(result))
}

/// The records that pass the filters, and the counts that every result carries.
struct Source<R> {
    records: Records<R>,
    lookup: Option<Lookup>,
    tests: Tests,
    times: bool,
    matched: u64,
    /// Values that were there but are no numbers.
    ignored: Option<u64>,
}

impl<R: Read> Source<R> {
    fn new(chain: &Chain, data: R, other: Option<&mut dyn Read>) -> Result<Self, EvalError> {
        let tests = Tests::new(&chain.filters, chain.times)?;
        let lookup = match (&chain.join, other) {
            (None, _) => None,
            (Some(_), None) => return Err(EvalError::NoOther),
            (Some(join), Some(other)) => Some(Lookup::new(join, other)?),
        };
        Ok(Self {
            records: Records::new(chain.format, data),
            lookup,
            tests,
            times: chain.times,
            matched: 0,
            ignored: None,
        })
    }

    /// The next record that passes. At the end, every field in `used` and in a filter must have
    /// been seen in some record, unless there was none at all.
    fn next(&mut self, used: &[&str]) -> Result<Option<Record>, EvalError> {
        while let Some(record) = self.record()? {
            if self.tests.pass(&record) {
                self.matched += 1;
                return Ok(Some(record));
            }
        }
        let known = self.fields()?;
        let key = self.lookup.as_ref().map(Lookup::on).unwrap_or_default();
        let key = key.iter().map(String::as_str);
        for name in used.iter().copied().chain(key).chain(self.tests.fields()) {
            if !known.is_empty() && !known.iter().any(|k| &**k == name) {
                return Err(EvalError::UnknownField {
                    field: name.to_owned(),
                    known: known.iter().take(40).map(ToString::to_string).collect(),
                });
            }
        }
        Ok(None)
    }

    /// The next record, with its counterpart where another file is joined.
    fn record(&mut self) -> Result<Option<Record>, EvalError> {
        let Some(lookup) = &mut self.lookup else {
            return Ok(self.records.next()?);
        };
        while let Some(record) = self.records.next()? {
            if let Some(joined) = lookup.joined(record) {
                return Ok(Some(joined));
            }
        }
        Ok(lookup.left_over())
    }

    /// The fields seen so far, in order.
    fn fields(&self) -> Result<Vec<std::sync::Arc<str>>, EvalError> {
        let own = self.records.fields();
        match &self.lookup {
            None => Ok(own.to_vec()),
            Some(lookup) => Ok(lookup.fields(own)?),
        }
    }

    fn time(&self, text: &str) -> Option<String> {
        self.times.then(|| parse_time(text)).flatten()
    }

    fn ignore(&mut self) {
        *self.ignored.get_or_insert(0) += 1;
    }

    fn summed_up(&self, result: Value) -> Value {
        let mut tally = self.records.tally();
        let lookup = self.lookup.as_ref();
        tally.skipped += lookup.map_or(0, |l| l.skipped);
        tally.unreadable += lookup.map_or(0, |l| l.unreadable);
        let mut all = match result {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        for (name, count) in [
            ("read", tally.records),
            ("matched", self.matched),
            ("skipped", tally.skipped),
            ("unreadable", tally.unreadable),
        ] {
            all.insert(name.to_owned(), json!(count));
        }
        if let Some(lookup) = lookup {
            all.insert("unmatched".to_owned(), json!(lookup.unmatched));
        }
        if let Some(ignored) = self.ignored {
            all.insert("ignored".to_owned(), json!(ignored));
        }
        Value::Object(all)
    }
}

/// The sorting place of a group's or value's text: numbers, then text, then nothing.
fn order_key(text: &str) -> (u8, number::Number, &str) {
    match parse_number(text) {
        _ if text.is_empty() => (2, number::Number::Int(0), ""),
        Some(n) => (0, n, text),
        None => (1, number::Number::Int(0), text),
    }
}

fn by_key(a: &(u8, number::Number, &str), b: &(u8, number::Number, &str)) -> std::cmp::Ordering {
    a.0.cmp(&b.0).then(a.1.order(b.1)).then(a.2.cmp(b.2))
}
