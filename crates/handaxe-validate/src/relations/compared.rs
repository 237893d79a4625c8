//! How two outputs stand to each other.

use handaxe_types::{Comparison, Tolerance};
use serde_json::Value;

use crate::compare::compare;

/// Whether the second output stands to the first as it must; an error where the two cannot be
/// compared in this way.
pub(crate) fn compared(
    how: Comparison,
    first: &Value,
    second: &Value,
    tolerance: Option<Tolerance>,
) -> Result<bool, String> {
    let equal = |a: &Value, b: &Value| compare(a, b, tolerance).is_ok();
    match how {
        Comparison::Equal => Ok(equal(first, second)),
        Comparison::Different => Ok(!equal(first, second)),
        Comparison::SameItems => match (first, second) {
            (Value::Array(a), Value::Array(b)) => Ok(same_items(a, b, &equal)),
            _ => Err("`same_items` compares lists".to_owned()),
        },
        Comparison::NotLess => Ok(size(second)? >= size(first)?),
        Comparison::NotMore => Ok(size(second)? <= size(first)?),
        Comparison::ScaledBy(by) => each(first, second, &|a| a * by, tolerance),
        Comparison::GrownBy(by) => each(first, second, &|a| a + by, tolerance),
    }
}

/// Items of a list or an object, characters of a text.
pub(crate) fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(map) => Some(map.len()),
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    }
}

fn size(value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .or_else(|| length(value).map(|n| n as f64))
        .ok_or_else(|| "an output without a size cannot be less or more".to_owned())
}

fn same_items(a: &[Value], b: &[Value], equal: &dyn Fn(&Value, &Value) -> bool) -> bool {
    let mut left: Vec<&Value> = b.iter().collect();
    a.len() == b.len()
        && a.iter().all(|item| {
            let at = left.iter().position(|other| equal(item, other));
            at.map(|at| left.swap_remove(at)).is_some()
        })
}

/// Numbers, and lists of them. Without a tolerance a share of 10^-9 is left for rounding.
fn each(
    first: &Value,
    second: &Value,
    f: &dyn Fn(f64) -> f64,
    tolerance: Option<Tolerance>,
) -> Result<bool, String> {
    match (first, second) {
        (Value::Number(a), Value::Number(b)) => {
            let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else {
                return Ok(false);
            };
            let t = tolerance.unwrap_or(Tolerance {
                abs: 1e-9,
                rel: 1e-9,
            });
            let wanted = f(a);
            Ok((wanted - b).abs() <= t.abs.max(t.rel * wanted.abs()))
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b) {
                if !each(a, b, f, tolerance)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Err("only numbers can be scaled or grown".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pairs() {
        use Comparison::{Different, Equal, GrownBy, NotLess, NotMore, SameItems, ScaledBy};
        for (how, a, b, holds) in [
            (Equal, json!([1, 2]), json!([1, 2]), true),
            (Equal, json!(1), json!(1.0), false),
            (Different, json!(1), json!(2), true),
            (SameItems, json!([1, 2, 2]), json!([2, 1, 2]), true),
            (SameItems, json!([1, 2, 2]), json!([2, 1, 1]), false),
            (NotLess, json!(1), json!(1.5), true),
            (NotLess, json!([1]), json!([]), false),
            (NotMore, json!("ab"), json!("c"), true),
            (ScaledBy(2.0), json!([1, 2.5]), json!([2, 5.0]), true),
            (ScaledBy(2.0), json!([1]), json!([2, 5.0]), false),
            (GrownBy(1.0), json!(1), json!(3), false),
        ] {
            assert_eq!(compared(how, &a, &b, None), Ok(holds), "{how:?} {a} {b}");
        }
        assert!(compared(SameItems, &json!(1), &json!(1), None).is_err());
        assert!(compared(NotLess, &json!(null), &json!(1), None).is_err());
        assert!(compared(ScaledBy(1.0), &json!("a"), &json!("a"), None).is_err());
    }
}
