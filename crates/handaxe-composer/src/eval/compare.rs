//! Parts of all, two groups side by side, and records that come again.

use std::collections::HashSet;
use std::io::Read;

use serde_json::{Value, json};

use super::aggregate::{Kept, Running, as_number, checked, less};
use super::filter::Tests;
use super::number::text;
use super::{EvalError, MAX_VALUES, Source};
use crate::{Comparison, Filter, Measure, Op, Scalar};

pub(super) fn share<R: Read>(
    source: &mut Source<R>,
    wanted: &[Filter],
) -> Result<Value, EvalError> {
    let tests = Tests::new(wanted, source.times)?;
    let used: Vec<&str> = wanted.iter().map(|w| w.field.as_str()).collect();
    let (mut count, mut of) = (0_u64, 0_u64);
    while let Some(record) = source.next(&used)? {
        of += 1;
        count += u64::from(tests.pass(&record));
    }
    let value = (of > 0).then(|| 100.0 * count as f64 / of as f64);
    Ok(json!({ "value": value, "count": count, "of": of }))
}

pub(super) fn compare<R: Read>(
    source: &mut Source<R>,
    measure: &Measure,
    field: &str,
    (left, right): (&Scalar, &Scalar),
    how: Comparison,
) -> Result<Value, EvalError> {
    checked(measure)?;
    source.ignored = Some(0);
    let times = source.times;
    let is = |value: &Scalar| {
        Tests::new(
            &[Filter {
                field: field.to_owned(),
                op: Op::Eq,
                value: Some(value.clone()),
            }],
            times,
        )
    };
    let mut sides = [
        (is(left)?, Running::default()),
        (is(right)?, Running::default()),
    ];
    let used: Vec<&str> = std::iter::once(field)
        .chain(measure.field.as_deref())
        .collect();
    let mut kept = Kept::new(times);
    while let Some(record) = source.next(&used)? {
        for (tests, running) in &mut sides {
            if tests.pass(&record) && !running.add(measure, &record, &mut kept)? {
                source.ignore();
            }
        }
    }
    let [left, right] = sides.map(|(_, running)| running.result(measure.func));
    let value = match (as_number(&left), as_number(&right), how) {
        (Some(a), Some(b), Comparison::Difference) => less(a, b).json(),
        (Some(a), Some(b), Comparison::Ratio) if b.float() != 0.0 => json!(a.float() / b.float()),
        _ => Value::Null,
    };
    Ok(json!({ "value": value, "left": left, "right": right }))
}

pub(super) fn duplicates<R: Read>(
    source: &mut Source<R>,
    fields: &[String],
) -> Result<Value, EvalError> {
    let mut seen: HashSet<Vec<(String, String)>> = HashSet::new();
    let mut count = 0_u64;
    let used: Vec<&str> = fields.iter().map(String::as_str).collect();
    while let Some(record) = source.next(&used)? {
        let mut key: Vec<(String, String)> = if fields.is_empty() {
            (record.fields.iter())
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect()
        } else {
            (fields.iter())
                .map(|name| (name.clone(), text(record.get(name))))
                .collect()
        };
        key.sort();
        if !seen.insert(key) {
            count += 1;
        } else if seen.len() as u64 > MAX_VALUES {
            return Err(EvalError::TooManyRecords);
        }
    }
    Ok(json!({ "count": count, "distinct": seen.len() }))
}
