//! Measures by group or time bucket; twin of `emit/parts/measure.py`.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::io::Read;

use serde_json::{Map, Value, json};

use super::number::{Number, number, text};
use super::sum::{Sum, fsum};
use super::time::{WEEKDAYS, bucket_of, parse_time};
use super::{EvalError, MAX_GROUPS, MAX_VALUES, Source, by_key, order_key};
use crate::read::Record;
use crate::{Bucket, Func, Measure, Order, Window};

impl Func {
    /// The word for it, as an argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Min => "min",
            Self::Max => "max",
            Self::Distinct => "distinct",
            Self::Stdev => "stdev",
            Self::Percentile(p) => crate::PERCENTILES
                .iter()
                .find(|(known, _)| *known == p)
                .map_or("p50", |(_, name)| *name),
        }
    }
}

impl Measure {
    /// Its name in results: `count`, `mean(price)`.
    pub fn label(&self) -> String {
        match &self.field {
            None => self.func.as_str().to_owned(),
            Some(field) => format!("{}({field})", self.func.as_str()),
        }
    }
}

/// What the measures of one run share.
pub(super) struct Kept {
    /// Values kept for medians, deviations and distinct counts.
    values: u64,
    times: bool,
}

impl Kept {
    pub(super) fn new(times: bool) -> Self {
        Self { values: 0, times }
    }
}

/// The running value of one measure over one group.
#[derive(Default)]
pub(super) struct Running {
    count: u64,
    sum: Sum,
    number: Option<Number>,
    time: Option<String>,
    seen: HashSet<String>,
    values: Vec<Number>,
}

impl Running {
    /// Takes a record in; `false` where its value is there but no number.
    pub(super) fn add(
        &mut self,
        measure: &Measure,
        record: &Record,
        kept: &mut Kept,
    ) -> Result<bool, EvalError> {
        let Some(field) = &measure.field else {
            self.count += 1;
            return Ok(true);
        };
        let value = record.get(field);
        let text = text(value);
        if text.is_empty() {
            return Ok(true);
        }
        match measure.func {
            Func::Count => {
                self.count += 1;
                return Ok(true);
            }
            Func::Distinct => {
                if self.seen.insert(text) {
                    keep(kept)?;
                }
                return Ok(true);
            }
            _ => {}
        }
        let Some(number) = number(value) else {
            return Ok(match measure.func {
                Func::Min | Func::Max if kept.times => self.add_time(measure.func, &text),
                _ => false,
            });
        };
        match measure.func {
            Func::Min
                if self
                    .number
                    .is_none_or(|n| number.order(n) == Ordering::Less) =>
            {
                self.number = Some(number);
            }
            Func::Max
                if self
                    .number
                    .is_none_or(|n| number.order(n) == Ordering::Greater) =>
            {
                self.number = Some(number);
            }
            Func::Sum | Func::Mean => self.sum.add(number),
            Func::Median | Func::Stdev | Func::Percentile(_) => {
                keep(kept)?;
                self.values.push(number);
            }
            _ => {}
        }
        Ok(true)
    }

    fn add_time(&mut self, func: Func, text: &str) -> bool {
        let Some(time) = parse_time(text) else {
            return false;
        };
        let better = self.time.as_ref().is_none_or(|old| match func {
            Func::Min => time < *old,
            _ => time > *old,
        });
        if better {
            self.time = Some(time);
        }
        true
    }

    pub(super) fn result(&self, func: Func) -> Value {
        match func {
            Func::Count => json!(self.count),
            Func::Distinct => json!(self.seen.len()),
            Func::Sum if self.sum.count == 0 => Value::Null,
            Func::Sum => self.sum.total().json(),
            Func::Mean => json!(self.sum.mean()),
            Func::Min | Func::Max => match (self.number, &self.time) {
                (Some(number), _) => number.json(),
                (None, time) => json!(time),
            },
            Func::Median => median(&self.values),
            Func::Stdev => json!(deviation(&self.values)),
            Func::Percentile(p) => json!(percentile(&self.values, p)),
        }
    }
}

fn keep(kept: &mut Kept) -> Result<(), EvalError> {
    kept.values += 1;
    if kept.values > MAX_VALUES {
        return Err(EvalError::TooManyValues);
    }
    Ok(())
}

fn median(values: &[Number]) -> Value {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.order(*b));
    let half = values.len() / 2;
    match values.get(half) {
        None => Value::Null,
        Some(middle) if values.len() % 2 == 1 => middle.json(),
        Some(upper) => {
            let sum = values[half - 1].float() + upper.float();
            json!(sum / 2.0)
        }
    }
}

/// The value below which so many of a hundred lie, interpolated between neighbours.
fn percentile(values: &[Number], p: u8) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.order(*b));
    let last = values.len().checked_sub(1)?;
    let place = last as f64 * f64::from(p) / 100.0;
    let low = place.floor();
    let (a, b) = (
        values[low as usize].float(),
        values[(low as usize + 1).min(last)].float(),
    );
    Some(a + (b - a) * (place - low))
}

/// Sample standard deviation; `None` of fewer than two.
fn deviation(values: &[Number]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = fsum(values.iter().map(|v| v.float())) / values.len() as f64;
    let squares = fsum(
        values
            .iter()
            .map(|v| (v.float() - mean) * (v.float() - mean)),
    );
    Some((squares / (values.len() - 1) as f64).sqrt())
}

pub(super) fn checked(measure: &Measure) -> Result<(), EvalError> {
    if measure.field.is_none() && measure.func != Func::Count {
        return Err(EvalError::NoField {
            func: measure.func.as_str(),
        });
    }
    Ok(())
}

pub(super) fn groups<R: Read>(
    source: &mut Source<R>,
    measures: &[Measure],
    group_by: &[String],
    order: Option<Order>,
    (offset, limit): (u32, Option<u32>),
    window: Option<Window>,
) -> Result<Value, EvalError> {
    for measure in measures {
        checked(measure)?;
    }
    source.ignored = Some(0);
    let new = || measures.iter().map(|_| Running::default()).collect();
    let mut groups: HashMap<Vec<String>, Vec<Running>> = HashMap::new();
    if group_by.is_empty() {
        groups.insert(Vec::new(), new());
    }
    let used: Vec<&str> = (group_by.iter())
        .chain(measures.iter().filter_map(|m| m.field.as_ref()))
        .map(String::as_str)
        .collect();
    let mut kept = Kept::new(source.times);
    while let Some(record) = source.next(&used)? {
        let key = group_by.iter().map(|f| text(record.get(f))).collect();
        let running = groups.entry(key).or_insert_with(new);
        for (measure, running) in measures.iter().zip(running) {
            if !running.add(measure, &record, &mut kept)? {
                source.ignore();
            }
        }
        if groups.len() > MAX_GROUPS {
            return Err(EvalError::TooManyGroups);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(a, _), (b, _)| {
        let pairs = a.iter().zip(b);
        pairs.fold(Ordering::Equal, |order, (a, b)| {
            order.then_with(|| by_key(&order_key(a), &order_key(b)))
        })
    });
    let mut columns: Vec<Vec<Value>> = (measures.iter().enumerate())
        .map(|(i, m)| {
            groups
                .iter()
                .map(|(_, running)| running[i].result(m.func))
                .collect()
        })
        .collect();
    if let Some(window) = window {
        columns = columns.iter().map(|c| windowed(c, window)).collect();
    }
    let mut rows: Vec<(Value, Value)> = groups
        .iter()
        .enumerate()
        .map(|(at, (key, _))| {
            let group: Map<String, Value> = (group_by.iter().cloned())
                .zip(key.iter().map(|k| json!((!k.is_empty()).then_some(k))))
                .collect();
            let values: Vec<Value> = columns.iter().map(|c| c[at].clone()).collect();
            let first = values.first().cloned().unwrap_or_default();
            let named: Map<String, Value> =
                measures.iter().map(Measure::label).zip(values).collect();
            (first, json!({ "group": group, "values": named }))
        })
        .collect();
    if let Some(order) = order {
        rows.sort_by(|(a, _), (b, _)| by_value(a, b, order));
    }
    let total = rows.len();
    rows.truncate(limit.map_or(usize::MAX, |l| l as usize));
    let rows: Vec<Value> = rows
        .into_iter()
        .skip(offset as usize)
        .map(|(_, row)| row)
        .collect();
    Ok(json!({ "groups": rows, "groups_total": total }))
}

/// A column as shares, running totals or changes; what is no number has none.
fn windowed(values: &[Value], window: Window) -> Vec<Value> {
    let numbers: Vec<Option<Number>> = values.iter().map(as_number).collect();
    let share = fsum(numbers.iter().flatten().map(|n| n.float()));
    let mut sum = Sum::default();
    let mut last: Option<Number> = None;
    numbers
        .into_iter()
        .map(|number| {
            let number = number?;
            let value = match window {
                Window::Share => (share != 0.0).then(|| json!(100.0 * number.float() / share)),
                Window::Running => {
                    sum.add(number);
                    Some(sum.total().json())
                }
                Window::Change => last.map(|last| less(number, last).json()),
            };
            last = Some(number);
            value
        })
        .map(Option::unwrap_or_default)
        .collect()
}

/// The difference: whole of two whole numbers.
pub(super) fn less(a: Number, b: Number) -> Number {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => a
            .checked_sub(b)
            .map_or(Number::Float(a as f64 - b as f64), Number::Int),
        _ => Number::Float(a.float() - b.float()),
    }
}

/// Numbers before times, nothing last, whichever way the order goes.
fn by_value(a: &Value, b: &Value, order: Order) -> Ordering {
    let class = |v: &Value| match v {
        Value::Null => 2,
        Value::String(_) => 1,
        _ => 0,
    };
    let within = match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => match (as_number(a), as_number(b)) {
            (Some(a), Some(b)) => a.order(b),
            _ => Ordering::Equal,
        },
    };
    class(a).cmp(&class(b)).then(match order {
        Order::Ascending => within,
        Order::Descending => within.reverse(),
    })
}

pub(super) fn as_number(value: &Value) -> Option<Number> {
    value
        .as_i64()
        .map(Number::Int)
        .or_else(|| value.as_f64().map(Number::Float))
}

pub(super) fn histogram<R: Read>(
    source: &mut Source<R>,
    field: &str,
    bucket: Bucket,
    measure: &Measure,
    window: Option<Window>,
) -> Result<Value, EvalError> {
    checked(measure)?;
    source.ignored = Some(0);
    let mut buckets: HashMap<String, (u64, Running)> = HashMap::new();
    let (mut undated, mut kept) = (0_u64, Kept::new(source.times));
    let used: Vec<&str> = (std::iter::once(field))
        .chain(measure.field.as_deref())
        .collect();
    while let Some(record) = source.next(&used)? {
        let time = source.time(&text(record.get(field)));
        let Some(name) = time.and_then(|t| bucket_of(&t, bucket)) else {
            undated += 1;
            continue;
        };
        let (records, running) = buckets.entry(name).or_default();
        *records += 1;
        if !running.add(measure, &record, &mut kept)? {
            source.ignore();
        }
        if buckets.len() > MAX_GROUPS {
            return Err(EvalError::TooManyGroups);
        }
    }
    let mut buckets: Vec<_> = buckets.into_iter().collect();
    buckets.sort_by_key(|(name, _)| {
        let weekday = WEEKDAYS.iter().position(|d| d == name);
        (weekday, name.clone())
    });
    let mut values: Vec<Value> = (buckets.iter())
        .map(|(_, (_, running))| running.result(measure.func))
        .collect();
    if let Some(window) = window {
        values = windowed(&values, window);
    }
    let rows: Vec<Value> = buckets
        .iter()
        .zip(values)
        .map(|((name, (records, _)), value)| {
            json!({ "bucket": name, "value": value, "records": records })
        })
        .collect();
    Ok(json!({ "buckets": rows, "undated": undated }))
}
