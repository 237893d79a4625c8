//! The records themselves, in file order or by a field.

use std::cmp::Ordering;
use std::io::Read;

use serde_json::{Map, Value, json};

use super::number::{Number, json as value_json, number, text};
use super::{EvalError, MAX_ROWS, Source, by_key, order_key, parse_time};
use crate::Order;
use crate::read::{Datum, Record};

/// Numbers, then times, then text without regard to case; so either way round, for "n/a" is not
/// the largest number.
pub(super) struct Key(u8, Number, String);

pub(super) fn key(value: &Datum, text: &str, times: bool) -> Key {
    if let Some(number) = number(value) {
        Key(0, number, String::new())
    } else if times && let Some(time) = parse_time(text) {
        Key(1, Number::Int(0), time)
    } else {
        Key(2, Number::Int(0), text.to_lowercase())
    }
}

pub(super) fn compare(a: &Key, b: &Key, order: Order) -> Ordering {
    let within = a.1.order(b.1).then_with(|| a.2.cmp(&b.2));
    a.0.cmp(&b.0).then(match order {
        Order::Ascending => within,
        Order::Descending => within.reverse(),
    })
}

pub(super) fn rows<R: Read>(
    source: &mut Source<R>,
    fields: &[String],
    order_by: Option<&str>,
    order: Order,
    (offset, limit): (u32, Option<u32>),
) -> Result<Value, EvalError> {
    let most = limit.map_or(MAX_ROWS, |l| l as usize);
    let used: Vec<&str> = (fields.iter().map(String::as_str))
        .chain(order_by)
        .collect();
    let (mut filled, mut blank): (Vec<(Key, Record)>, Vec<Record>) = (Vec::new(), Vec::new());
    let sort = |rows: &mut Vec<(Key, Record)>| {
        rows.sort_by(|(a, _), (b, _)| compare(a, b, order));
        rows.truncate(most);
    };
    while let Some(record) = source.next(&used)? {
        let Some(name) = order_by else {
            if blank.len() < most {
                blank.push(record);
            }
            continue;
        };
        let value = record.get(name);
        let text = text(value);
        if text.is_empty() {
            if blank.len() < most {
                blank.push(record);
            }
            continue;
        }
        filled.push((key(value, &text, source.times), record));
        if filled.len() > 2 * most + 1000 {
            sort(&mut filled);
        }
    }
    if limit.is_none() && source.matched > MAX_ROWS as u64 {
        return Err(EvalError::TooManyRows);
    }
    sort(&mut filled);
    let rows: Vec<Value> = (filled.into_iter().map(|(_, record)| record))
        .chain(blank)
        .take(most)
        .skip(offset as usize)
        .map(|record| row(&record, fields))
        .collect();
    Ok(json!({ "rows": rows }))
}

/// The first so many of each value of `per`, the values in their order; records without one, or
/// without a value to order by, are left out.
pub(super) fn rows_per<R: Read>(
    source: &mut Source<R>,
    fields: &[String],
    order_by: Option<&str>,
    order: Order,
    limit: Option<u32>,
    per: &str,
) -> Result<Value, EvalError> {
    let most = limit.map_or(MAX_ROWS, |l| l as usize);
    let used: Vec<&str> = (fields.iter().map(String::as_str))
        .chain(order_by)
        .chain([per])
        .collect();
    let mut groups: std::collections::HashMap<String, Vec<(Key, Record)>> =
        std::collections::HashMap::new();
    let mut kept = 0_usize;
    while let Some(record) = source.next(&used)? {
        let group = text(record.get(per));
        let place = match order_by {
            None => Key(0, Number::Int(0), String::new()),
            Some(name) => {
                let value = record.get(name);
                let text = text(value);
                if text.is_empty() {
                    continue;
                }
                key(value, &text, source.times)
            }
        };
        if group.is_empty() {
            continue;
        }
        let rows = groups.entry(group).or_default();
        let at = rows.partition_point(|(k, _)| compare(k, &place, order).is_le());
        if at < most {
            rows.insert(at, (place, record));
            if rows.len() > most {
                rows.pop();
            } else {
                kept += 1;
            }
        }
        if kept > MAX_ROWS {
            return Err(EvalError::TooManyRows);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(a, _), (b, _)| by_key(&order_key(a), &order_key(b)));
    let rows: Vec<Value> = groups
        .into_iter()
        .flat_map(|(_, rows)| rows)
        .map(|(_, record)| row(&record, fields))
        .collect();
    Ok(json!({ "rows": rows }))
}

fn row(record: &Record, fields: &[String]) -> Value {
    let row: Map<String, Value> = if fields.is_empty() {
        (record.fields.iter())
            .map(|(name, value)| (name.to_string(), value_json(value)))
            .collect()
    } else {
        (fields.iter())
            .map(|name| (name.clone(), value_json(record.get(name))))
            .collect()
    };
    Value::Object(row)
}
