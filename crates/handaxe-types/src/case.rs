//! A case is data: an input, and what must hold of what comes out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Relation;

/// Who wrote a case. Only goldens are never withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Author,
    Tester,
    /// A golden, given before any code existed.
    User,
    Fuzz,
    Replay,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Tester => "tester",
            Self::User => "user",
            Self::Fuzz => "fuzz",
            Self::Replay => "replay",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawCase", into = "RawCase")]
pub struct Case {
    pub name: String,
    pub origin: Origin,
    pub input: Map<String, Value>,
    /// File name → content. An input property with `format: file` holds one of these names.
    pub files: BTreeMap<String, CaseFile>,
    pub check: Check,
    /// Kept from the author: shown neither before nor after a failure.
    pub held_out: bool,
}

/// What must hold: exactly one per case.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    Expect {
        value: Value,
        tolerance: Option<Tolerance>,
    },
    Raises(Raises),
    /// A Python expression over `input` and `output`, evaluated in a process without tool code.
    Holds(String),
    /// How the outputs of two runs must compare. The tolerance is for floats, as in `Expect`.
    Relation {
        relation: Relation,
        tolerance: Option<Tolerance>,
    },
}

/// The error a tool must raise: the class name, and optionally a part of its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Raises {
    Kind(String),
    Message { kind: String, contains: String },
}

impl Raises {
    pub fn kind(&self) -> &str {
        match self {
            Self::Kind(kind) | Self::Message { kind, .. } => kind,
        }
    }
}

/// How far a float may be from the expected one; integers, strings and structure stay exact.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    #[serde(default)]
    pub abs: f64,
    #[serde(default)]
    pub rel: f64,
}

/// A file's bytes: text where they are UTF-8, base64 otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CaseFile {
    Text(String),
    Base64 { base64: String },
}

impl CaseFile {
    pub fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(e) => Self::Base64 {
                base64: STANDARD.encode(e.as_bytes()),
            },
        }
    }

    /// The bytes; `None` where the base64 is malformed.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Base64 { base64 } => STANDARD.decode(base64).ok(),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    #[serde(default)]
    name: String,
    #[serde(default = "user")]
    origin: Origin,
    input: Map<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, CaseFile>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    expect: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raises: Option<Raises>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holds: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relation: Option<Relation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance: Option<Tolerance>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    held_out: bool,
}

fn user() -> Origin {
    Origin::User
}

/// `"expect": null` is an expectation; a missing `expect` is not.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

impl TryFrom<RawCase> for Case {
    type Error = String;
    fn try_from(raw: RawCase) -> Result<Self, String> {
        let tolerance = raw.tolerance;
        let tolerance_alone = tolerance.is_some() && raw.expect.is_none() && raw.relation.is_none();
        let check = match (raw.expect, raw.raises, raw.holds, raw.relation) {
            (Some(value), None, None, None) => Check::Expect { value, tolerance },
            (None, Some(raises), None, None) => Check::Raises(raises),
            (None, None, Some(expression), None) => Check::Holds(expression),
            (None, None, None, Some(relation)) => Check::Relation {
                relation,
                tolerance,
            },
            _ => {
                let one = "a case has exactly one of `expect`, `raises`, `holds`, `relation`";
                return Err(one.to_owned());
            }
        };
        if tolerance_alone {
            return Err("`tolerance` goes with `expect` or `relation`".to_owned());
        }
        let (name, origin) = (raw.name, raw.origin);
        Ok(Self {
            name,
            origin,
            input: raw.input,
            files: raw.files,
            check,
            held_out: raw.held_out,
        })
    }
}

impl From<Case> for RawCase {
    fn from(case: Case) -> Self {
        let (mut expect, mut raises, mut holds) = (None, None, None);
        let (mut relation, mut tolerance) = (None, None);
        match case.check {
            Check::Expect {
                value,
                tolerance: t,
            } => (expect, tolerance) = (Some(value), t),
            Check::Raises(r) => raises = Some(r),
            Check::Holds(e) => holds = Some(e),
            Check::Relation {
                relation: r,
                tolerance: t,
            } => (relation, tolerance) = (Some(r), t),
        }
        Self {
            name: case.name,
            origin: case.origin,
            input: case.input,
            files: case.files,
            expect,
            raises,
            holds,
            relation,
            tolerance,
            held_out: case.held_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_check() {
        let parse = |t: &str| serde_json::from_str::<Case>(t);
        assert!(matches!(
            parse(r#"{"input":{},"expect":null}"#).unwrap().check,
            Check::Expect {
                value: Value::Null,
                ..
            }
        ));
        assert!(parse(r#"{"input":{}}"#).is_err());
        assert!(parse(r#"{"input":{},"expect":1,"raises":"ValueError"}"#).is_err());
        assert!(parse(r#"{"input":{},"raises":"ValueError","tolerance":{"abs":1}}"#).is_err());
        assert!(parse(r#"{"input":{},"expect":1,"extra":1}"#).is_err());
        assert!(parse(r#"{"input":{},"expect":1,"relation":"deterministic"}"#).is_err());
        let near =
            r#"{"input":{},"relation":{"idempotent":{"into":"/x"}},"tolerance":{"abs":0.1}}"#;
        assert!(parse(near).is_ok());
    }

    #[test]
    fn round_trip() {
        let text = r#"{"name":"n","origin":"tester","input":{"a":1},"files":{"f":"x\n","b":{"base64":"/w=="}},"raises":{"kind":"ValueError","contains":"no"},"held_out":true}"#;
        let case: Case = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::to_string(&case).unwrap(),
            text.replace(
                r#""f":"x\n","b":{"base64":"/w=="}"#,
                r#""b":{"base64":"/w=="},"f":"x\n""#
            )
        );
        assert_eq!(case.files["b"].bytes().unwrap(), [0xff]);
    }
}
