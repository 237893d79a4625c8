//! What a case expects against what came back: JSON with exact types.

use handaxe_types::Tolerance;
use serde_json::{Number, Value};

/// Where and how two values differ, without saying what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("{}{}", self.kind(), place(at))]
    Type { at: String },
    #[error("{}{}", self.kind(), place(at))]
    Value { at: String },
    #[error("{}{}", self.kind(), place(at))]
    Length { at: String },
    #[error("{}{}", self.kind(), place(at))]
    Keys { at: String },
}

impl Mismatch {
    /// What differs, without where.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Type { .. } => "the output has another type than expected",
            Self::Value { .. } => "the output has another value than expected",
            Self::Length { .. } => "the output has another length than expected",
            Self::Keys { .. } => "the output has other keys than expected",
        }
    }
}

fn place(at: &str) -> String {
    if at.is_empty() {
        String::new()
    } else {
        format!(" at {at}")
    }
}

/// `1`, `1.0` and `true` are three different values. A tolerance applies between two floats only;
/// integers, strings and structure stay exact. Both sides came through the strict parser, so depth
/// is bounded by it.
pub fn compare(
    expected: &Value,
    got: &Value,
    tolerance: Option<Tolerance>,
) -> Result<(), Mismatch> {
    at("", expected, got, tolerance)
}

fn at(path: &str, expected: &Value, got: &Value, tol: Option<Tolerance>) -> Result<(), Mismatch> {
    let here = || path.to_owned();
    match (expected, got) {
        (Value::Array(e), Value::Array(g)) => {
            if e.len() != g.len() {
                return Err(Mismatch::Length { at: here() });
            }
            (0..e.len()).try_for_each(|i| at(&format!("{path}/{i}"), &e[i], &g[i], tol))
        }
        (Value::Object(e), Value::Object(g)) => {
            if e.len() != g.len() || e.keys().any(|k| !g.contains_key(k)) {
                return Err(Mismatch::Keys { at: here() });
            }
            // The path is made of positions, not of keys: a key may be what is being tested.
            e.iter()
                .enumerate()
                .try_for_each(|(i, (k, v))| at(&format!("{path}/{{{i}}}"), v, &g[k], tol))
        }
        (Value::Number(e), Value::Number(g)) => match (e.is_f64(), g.is_f64()) {
            (true, true) if floats_agree(e, g, tol) => Ok(()),
            (false, false) if e == g => Ok(()),
            (a, b) if a != b => Err(Mismatch::Type { at: here() }),
            _ => Err(Mismatch::Value { at: here() }),
        },
        (Value::String(_), Value::String(_)) | (Value::Bool(_), Value::Bool(_))
            if expected != got =>
        {
            Err(Mismatch::Value { at: here() })
        }
        (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => Ok(()),
        _ => Err(Mismatch::Type { at: here() }),
    }
}

fn floats_agree(e: &Number, g: &Number, tol: Option<Tolerance>) -> bool {
    let (Some(e), Some(g)) = (e.as_f64(), g.as_f64()) else {
        return false;
    };
    match tol {
        // A tolerance that is negative or not a number allows nothing.
        Some(t) => e == g || (e - g).abs() <= t.abs.max(t.rel * e.abs()),
        None => e == g,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exact_types() {
        let differ = [
            (json!(1), json!(1.0)),
            (json!(1), json!(true)),
            (json!(0), json!(false)),
            (json!(null), json!(false)),
            (json!(""), json!(null)),
            (json!([1, 2]), json!([2, 1])),
            (json!([1]), json!([1, 1])),
            (json!({"a": 1}), json!({"a": 1, "b": 2})),
            (json!({"a": 1}), json!({"b": 1})),
            (json!("1"), json!(1)),
            (json!(u64::MAX), json!(u64::MAX as f64)),
            (json!({"a": [{"b": 1}]}), json!({"a": [{"b": true}]})),
        ];
        for (e, g) in differ {
            assert!(compare(&e, &g, None).is_err(), "{e} {g}");
            assert!(compare(&g, &e, None).is_err(), "{g} {e}");
            let loose = Tolerance {
                abs: 10.0,
                rel: 1.0,
            };
            assert!(
                compare(&e, &g, Some(loose)).is_err(),
                "{e} {g} within tolerance"
            );
        }
        let same = json!({"a": [1, 1.5, "x", null, true], "b": {}});
        assert_eq!(compare(&same, &same.clone(), None), Ok(()));
    }

    #[test]
    fn tolerance_is_for_floats() {
        let near = Some(Tolerance {
            abs: 0.01,
            rel: 0.0,
        });
        assert!(compare(&json!([1.0]), &json!([1.005]), near).is_ok());
        assert!(compare(&json!([1.0]), &json!([1.02]), near).is_err());
        assert!(compare(&json!(1), &json!(2), Some(Tolerance { abs: 5.0, rel: 0.0 })).is_err());
        assert!(
            compare(
                &json!(1000.0),
                &json!(1000.5),
                Some(Tolerance {
                    abs: 0.0,
                    rel: 1e-3
                })
            )
            .is_ok()
        );
        for bad in [f64::NAN, -1.0] {
            assert!(
                compare(
                    &json!(1.0),
                    &json!(1.5),
                    Some(Tolerance { abs: bad, rel: bad })
                )
                .is_err()
            );
        }
    }

    #[test]
    fn a_mismatch_tells_nothing_of_the_expected_value() {
        let e = json!({"secret_key": [1, "hidden"]});
        let m = compare(&e, &json!({"secret_key": [1, "x"]}), None)
            .unwrap_err()
            .to_string();
        assert!(!m.contains("secret") && !m.contains("hidden"), "{m}");
    }
}
