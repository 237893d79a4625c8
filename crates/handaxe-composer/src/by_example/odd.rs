//! Inputs that a program's helpers may get wrong: scalars of every type, numbers and dates in every
//! notation, put where the examples have something else.

use serde_json::{Value, json};

/// Most inputs made of one example, and places in it that are tried.
const MOST: usize = 240;
const PLACES: usize = 4;

const TEXTS: [&str; 46] = [
    "",
    " ",
    "x",
    " padded ",
    "UPPER lower Mixed",
    "a-b_c/d.e",
    "12 ab, 34-cd/2024-05-06 \u{e9}",
    "\"quoted\" (round) [square] <angle>",
    "key=1; other=two words, k:v",
    "7",
    "-3",
    "+4",
    "007",
    "0.5",
    ".5",
    "-2.50",
    "1,234",
    "1,234.5 and 12",
    "$5.20",
    "12%",
    "1e3",
    "2.5e-3",
    "1e149",
    "1e150",
    "123456789012345678",
    "1234567890123456789",
    "5 kg",
    "3 of 10, then 3",
    "2024-01-31",
    "2024-02-29T23:59:59Z",
    "2023-02-29",
    "2024-12-01 00:05",
    "31/01/2024",
    "1/2/2023",
    "12/31/1999 12:00 am",
    "31.12.2024 11:59 PM",
    "Jan 2, 2024",
    "3rd March 2021",
    "21 November 2022, 1:05 pm",
    "Friday 13 September 2019 13:00:01",
    "Mon, 11 Jun 2018 24:00",
    "22 Foo 2024",
    "12-Apr-2020",
    "20240131",
    "13:60",
    "12:30:61 pm",
];

/// Scalars, and two values that are none.
pub(super) fn values() -> Vec<Value> {
    let mut out = vec![
        json!(0),
        json!(7),
        json!(-12.5),
        json!(0.1),
        json!(1e300),
        json!(123_456_789_012_345_678_i64),
        json!(9_223_372_036_854_775_808_u64),
        json!(true),
        json!(false),
        Value::Null,
        json!([]),
        json!([1, "a"]),
        json!({}),
        json!({ "a": { "b": 1 }, "c": "x" }),
    ];
    out.extend(TEXTS.map(Value::from));
    out
}

/// What an example's input becomes with one odd value in it.
pub(super) fn inputs(value: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    match value {
        Value::String(text) => {
            out.extend(values());
            // Where it holds a number or a date, others of them in its place.
            let digits = |c: char| c.is_ascii_digit();
            if let (Some(from), Some(to)) = (text.find(digits), text.rfind(digits)) {
                for odd in &TEXTS[9..] {
                    out.push(json!(format!("{}{odd}{}", &text[..from], &text[to + 1..])));
                }
            }
        }
        Value::Object(map) => {
            for name in map.keys().take(PLACES) {
                for odd in values() {
                    let mut other = map.clone();
                    other.insert(name.clone(), odd);
                    out.push(Value::Object(other));
                }
            }
            for (name, inner) in map.iter().take(PLACES) {
                if inner.is_object() || inner.is_array() {
                    for odd in inputs(inner).into_iter().take(MOST / PLACES) {
                        let mut other = map.clone();
                        other.insert(name.clone(), odd);
                        out.push(Value::Object(other));
                    }
                }
            }
        }
        Value::Array(items) => {
            for at in 0..items.len().min(PLACES) {
                for odd in inputs(&items[at]).into_iter().take(MOST / PLACES) {
                    let mut other = items.clone();
                    other[at] = odd;
                    out.push(Value::Array(other));
                }
            }
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => out.extend(values()),
    }
    // From all over, where there are many.
    let step = out.len().div_ceil(MOST).max(1);
    out.into_iter().step_by(step).collect()
}
