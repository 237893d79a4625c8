//! Metamorphic relations: how the outputs of two runs must compare when the second run's input is
//! made from the first's. They judge a tool where nobody knows the right output (Chen, Cheung and
//! Yiu, *Metamorphic testing*, HKUST-CS98-01, 1998).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One relation, by the field's name for it, or a [`Change`] and a [`Comparison`] of one's own.
///
/// Every place is a JSON pointer (RFC 6901), `""` being the whole value. A pointer into the input
/// that leads to the name of an attached file speaks of the file's lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Relation {
    /// It returns, and the output fits its schema.
    NeverRaises,
    /// Run again under another hash seed, the output is the same.
    Deterministic,
    /// Its output, fed back `into` its input, comes out unchanged.
    Idempotent {
        into: String,
        /// The part of the output that is fed back.
        #[serde(default)]
        from: String,
    },
    /// The items `of` a list (or a file's lines after the first `keep`) may come in any order.
    OrderIndependent {
        of: String,
        #[serde(default)]
        keep: usize,
    },
    /// The output has as many items (or characters) as this part `of` the input.
    LengthPreserving {
        of: String,
        #[serde(default)]
        output: String,
    },
    /// A second tool, given the output, gives back this part `of` the input.
    RoundTrips {
        of: String,
        /// The second tool's source: a module with `run`.
        code: String,
        /// The argument of the second tool that takes the output.
        into: String,
        /// The part of the first output that is handed over.
        #[serde(default)]
        from: String,
        /// The part of the second output that must equal the input's.
        #[serde(default)]
        output: String,
    },
    /// A larger number `of` the input never gives a smaller output.
    Monotone {
        of: String,
        #[serde(default = "one")]
        by: f64,
        #[serde(default)]
        output: String,
        /// Never a larger one instead.
        #[serde(default)]
        falling: bool,
    },
    /// The general form.
    Between {
        change: Change,
        outputs: Comparison,
        /// The part of both outputs that is compared.
        #[serde(default)]
        output: String,
    },
}

fn one() -> f64 {
    1.0
}

impl Relation {
    pub fn name(&self) -> &'static str {
        match self {
            Self::NeverRaises => "never_raises",
            Self::Deterministic => "deterministic",
            Self::Idempotent { .. } => "idempotent",
            Self::OrderIndependent { .. } => "order_independent",
            Self::LengthPreserving { .. } => "length_preserving",
            Self::RoundTrips { .. } => "round_trips",
            Self::Monotone { .. } => "monotone",
            Self::Between { .. } => "between",
        }
    }
}

/// How the second input is made from the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Nothing: the same input again.
    Same,
    /// The items of a list, the characters of a text or the lines of a file, last first.
    Reverse {
        at: String,
        #[serde(default)]
        keep: usize,
    },
    /// The same in another order, always the same one.
    Shuffle {
        at: String,
        #[serde(default)]
        keep: usize,
    },
    /// A list, text or file twice over.
    Repeat {
        at: String,
        #[serde(default)]
        keep: usize,
    },
    /// One more item, text or line at the end.
    Append {
        at: String,
        value: Value,
    },
    Set {
        at: String,
        value: Value,
    },
    /// A number, or every number of a list.
    Add {
        at: String,
        by: f64,
    },
    Scale {
        at: String,
        by: f64,
    },
    Upper {
        at: String,
    },
    Lower {
        at: String,
    },
}

/// How the second output stands to the first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Comparison {
    Equal,
    Different,
    /// The same items of a list, in any order.
    SameItems,
    /// Numbers; lists by their length, texts by theirs.
    NotLess,
    NotMore,
    /// A number, or every number of a list, times this.
    ScaledBy(f64),
    /// A number, or every number of a list, plus this.
    GrownBy(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_they_are_written() {
        for text in [
            r#""never_raises""#,
            r#""deterministic""#,
            r#"{"order_independent":{"of":"/xs","keep":0}}"#,
            r#"{"length_preserving":{"of":"/xs","output":""}}"#,
            r#"{"between":{"change":{"scale":{"at":"/xs","by":2.0}},"outputs":{"scaled_by":2.0},"output":""}}"#,
        ] {
            let relation: Relation = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&relation).unwrap(), text);
        }
        for bad in [
            r#""idempotent""#,
            r#"{"order_independent":{"of":"/xs","in":"/ys"}}"#,
            r#"{"sorted":{}}"#,
        ] {
            assert!(serde_json::from_str::<Relation>(bad).is_err(), "{bad}");
        }
    }
}
