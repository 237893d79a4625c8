//! Per field: type, how full, how many distinct values, range and mean.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use serde_json::{Value, json};

use super::number::{Number, number, text};
use super::sum::Sum;
use super::{EvalError, Source, parse_time};
use crate::read::Datum;

/// Distinct values counted per field; past it the count is null.
pub(crate) const MAX_DISTINCT: usize = 10_000;

#[derive(Default)]
struct Column {
    filled: u64,
    floats: u64,
    booleans: u64,
    times: u64,
    sum: Sum,
    low: Option<Number>,
    high: Option<Number>,
    first: Option<String>,
    last: Option<String>,
    distinct: HashSet<String>,
    overflown: bool,
}

impl Column {
    fn add(&mut self, value: &Datum, times: bool) {
        let text = text(value);
        if text.is_empty() {
            return;
        }
        self.filled += 1;
        // One value that is no number settles it, and one that is no time: the rest need no try.
        if self.sum.count == self.filled - 1
            && let Some(n) = number(value)
        {
            self.sum.add(n);
            self.floats += u64::from(matches!(n, Number::Float(_)));
            if self.low.is_none_or(|low| n.order(low).is_lt()) {
                self.low = Some(n);
            }
            if self.high.is_none_or(|high| n.order(high).is_gt()) {
                self.high = Some(n);
            }
        }
        self.booleans += u64::from(matches!(text.as_str(), "true" | "false" | "True" | "False"));
        if times
            && self.times == self.filled - 1
            && let Some(time) = parse_time(&text)
        {
            self.times += 1;
            if self.first.as_ref().is_none_or(|first| time < *first) {
                self.first = Some(time.clone());
            }
            if self.last.as_ref().is_none_or(|last| time > *last) {
                self.last = Some(time);
            }
        }
        if !self.overflown {
            self.distinct.insert(text);
            self.overflown = self.distinct.len() > MAX_DISTINCT;
        }
    }

    fn kind(&self) -> &'static str {
        match self.filled {
            0 => "empty",
            n if n == self.sum.count && self.floats == 0 => "integer",
            n if n == self.sum.count => "number",
            n if n == self.booleans => "boolean",
            n if n == self.times => "time",
            _ => "text",
        }
    }

    fn row(&self, name: &str, matched: u64) -> Value {
        let kind = self.kind();
        let (min, max, mean) = match kind {
            "integer" | "number" => (
                json!(self.low.map(Number::json)),
                json!(self.high.map(Number::json)),
                json!(self.sum.mean()),
            ),
            "time" => (json!(self.first), json!(self.last), Value::Null),
            _ => (Value::Null, Value::Null, Value::Null),
        };
        let distinct = (!self.overflown).then_some(self.distinct.len());
        json!({
            "name": name, "type": kind, "filled": self.filled, "blank": matched - self.filled,
            "distinct": distinct, "min": min, "max": max, "mean": mean,
        })
    }
}

pub(super) fn describe<R: Read>(source: &mut Source<R>) -> Result<Value, EvalError> {
    let mut columns: HashMap<Arc<str>, Column> = HashMap::new();
    while let Some(record) = source.next(&[])? {
        for (name, value) in &record.fields {
            columns
                .entry(Arc::clone(name))
                .or_default()
                .add(value, source.times);
        }
    }
    let rows: Vec<Value> = (source.fields()?.iter())
        .map(|name| {
            columns
                .remove(name)
                .unwrap_or_default()
                .row(name, source.matched)
        })
        .collect();
    Ok(json!({ "fields": rows }))
}
