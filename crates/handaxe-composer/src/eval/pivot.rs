//! One measure for each pair of a row and a column; twin of `emit/parts/run_pivot.py`.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use serde_json::{Value, json};

use super::aggregate::{Kept, Running, checked};
use super::number::text;
use super::time::{WEEKDAYS, bucket_of};
use super::{EvalError, MAX_GROUPS, Source, by_key, order_key};
use crate::read::Record;
use crate::{Axis, Measure};

pub(super) fn pivot<R: Read>(
    source: &mut Source<R>,
    rows: &Axis,
    columns: &Axis,
    measure: &Measure,
) -> Result<Value, EvalError> {
    checked(measure)?;
    source.ignored = Some(0);
    let used: Vec<&str> = [rows.field.as_str(), columns.field.as_str()]
        .into_iter()
        .chain(measure.field.as_deref())
        .collect();
    let mut cells: HashMap<(String, String), Running> = HashMap::new();
    let (mut undated, mut kept) = (0_u64, Kept::new(source.times));
    while let Some(record) = source.next(&used)? {
        let place = (at(source, rows, &record), at(source, columns, &record));
        let (Some(row), Some(column)) = place else {
            undated += 1;
            continue;
        };
        let running = cells.entry((row, column)).or_default();
        if !running.add(measure, &record, &mut kept)? {
            source.ignore();
        }
        if cells.len() > MAX_GROUPS {
            return Err(EvalError::TooManyGroups);
        }
    }
    let (rows, columns) = (
        names(cells.keys().map(|k| &k.0)),
        names(cells.keys().map(|k| &k.1)),
    );
    if rows.len() * columns.len() > MAX_GROUPS {
        return Err(EvalError::TooManyCells);
    }
    let nothing = Running::default();
    let value = |row: &str, column: &str| {
        let found = cells.get(&(row.to_owned(), column.to_owned()));
        found.unwrap_or(&nothing).result(measure.func)
    };
    let named = |text: &str| json!((!text.is_empty()).then_some(text));
    let table: Vec<Value> = (rows.iter())
        .map(|row| {
            let values: Vec<Value> = columns.iter().map(|c| value(row, c)).collect();
            json!({ "row": named(row), "values": values })
        })
        .collect();
    let columns: Vec<Value> = columns.iter().map(|c| named(c)).collect();
    let mut all = json!({ "columns": columns, "rows": table });
    if source.times {
        all["undated"] = json!(undated);
    }
    Ok(all)
}

/// Where a record belongs; nowhere without the time that is gone by.
fn at<R: Read>(source: &Source<R>, axis: &Axis, record: &Record) -> Option<String> {
    let text = text(record.get(&axis.field));
    match axis.bucket.filter(|_| source.times) {
        Some(bucket) => bucket_of(&source.time(&text)?, bucket),
        None => Some(text),
    }
}

/// Each once: as groups are ordered, and weekdays in the order of the week where times are read.
fn names<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let all: BTreeSet<&str> = all.map(String::as_str).collect();
    let mut all: Vec<&str> = all.into_iter().collect();
    let weekday = |name: &str| WEEKDAYS.iter().position(|d| *d == name);
    all.sort_by(|a, b| {
        let days = weekday(a).cmp(&weekday(b));
        days.then_with(|| by_key(&order_key(a), &order_key(b)))
    });
    all
}
