//! Whether a record passes; twin of `emit/parts/where.py`.
//!
//! Numbers compare as numbers where both sides are; where the filter's value is a time, times
//! compare at its precision (a day matches all its hours); else text without regard to case. A
//! number or time never orders against something that is neither: such a record does not pass.

use std::cmp::Ordering;

use super::EvalError;
use super::number::{self, Number, datum, number};
use super::time::parse_time;
use crate::read::{Datum, Record};
use crate::{Filter, Op, Scalar};

pub(super) struct Tests(Vec<Test>);

struct Test {
    field: String,
    op: Op,
    text: String,
    number: Option<Number>,
    time: Option<String>,
    /// Of `any_of` and `none_of`: a test for each value.
    any: Vec<Test>,
}

impl Op {
    /// The word for it, as an argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::AnyOf => "any_of",
            Self::NoneOf => "none_of",
            Self::Empty => "empty",
            Self::NotEmpty => "not_empty",
        }
    }
}

impl Tests {
    pub(super) fn new(filters: &[Filter], times: bool) -> Result<Self, EvalError> {
        let tests = filters.iter().map(|filter| {
            if let (Some(Scalar::Many(values)), Op::AnyOf | Op::NoneOf) = (&filter.value, filter.op)
            {
                let each: Vec<Filter> = values
                    .iter()
                    .map(|value| Filter {
                        field: filter.field.clone(),
                        op: Op::Eq,
                        value: Some(value.clone()),
                    })
                    .collect();
                return Ok(Test {
                    field: filter.field.clone(),
                    op: filter.op,
                    text: String::new(),
                    number: None,
                    time: None,
                    any: Self::new(&each, times)?.0,
                });
            }
            let several = matches!(filter.value, Some(Scalar::Many(_)));
            let wants = matches!(filter.op, Op::AnyOf | Op::NoneOf);
            if filter.value.is_some() && several != wants {
                return Err(EvalError::List);
            }
            let value = match (&filter.value, filter.op) {
                (_, Op::Empty | Op::NotEmpty) => Datum::Null,
                (Some(scalar), _) => datum(scalar),
                (None, op) => return Err(EvalError::NoValue { op: op.as_str() }),
            };
            let text = number::text(&value);
            Ok(Test {
                field: filter.field.clone(),
                op: filter.op,
                number: number(&value),
                time: times.then(|| parse_time(&text)).flatten(),
                text: text.to_lowercase(),
                any: Vec::new(),
            })
        });
        tests.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|t| t.field.as_str())
    }

    pub(super) fn pass(&self, record: &Record) -> bool {
        self.0.iter().all(|test| test.pass(record.get(&test.field)))
    }
}

impl Test {
    fn pass(&self, value: &Datum) -> bool {
        let text = number::text(value);
        let lower = || text.to_lowercase();
        match self.op {
            Op::AnyOf => self.any(value, &text),
            Op::NoneOf => !self.any(value, &text),
            Op::Empty => text.is_empty(),
            Op::NotEmpty => !text.is_empty(),
            Op::Contains => lower().contains(&self.text),
            Op::NotContains => !lower().contains(&self.text),
            Op::StartsWith => lower().starts_with(&self.text),
            Op::EndsWith => lower().ends_with(&self.text),
            Op::Eq => self.compare(value, &text) == Some(Ordering::Equal),
            Op::Ne => self.compare(value, &text) != Some(Ordering::Equal),
            Op::Lt => self.compare(value, &text) == Some(Ordering::Less),
            Op::Gt => self.compare(value, &text) == Some(Ordering::Greater),
            Op::Le => self.compare(value, &text).is_some_and(Ordering::is_le),
            Op::Ge => self.compare(value, &text).is_some_and(Ordering::is_ge),
        }
    }

    fn any(&self, value: &Datum, text: &str) -> bool {
        self.any.iter().any(|test| {
            (text.is_empty() && test.text.is_empty())
                || test.compare(value, text) == Some(Ordering::Equal)
        })
    }

    /// How the value stands to the filter's; `None` where they cannot be compared.
    fn compare(&self, value: &Datum, text: &str) -> Option<Ordering> {
        if text.is_empty() {
            return None;
        }
        if let Some(wanted) = self.number
            && let Some(found) = number(value)
        {
            return Some(found.order(wanted));
        }
        if let Some(wanted) = &self.time {
            let mut found = parse_time(text)?;
            found.truncate(wanted.len());
            return Some(found.as_str().cmp(wanted));
        }
        if self.number.is_some() {
            return None;
        }
        Some(text.to_lowercase().as_str().cmp(&self.text))
    }
}
