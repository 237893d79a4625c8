//! The parameters of tools: the keywords of `run` and the input properties, from one table.

use serde_json::{Value, json};

use crate::{Bucket, Chain, Filter, Format, Func, How, Join, Measure, Op, Order, Scalar};

/// A keyword of `run`, and the input property of the same name.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) annotation: &'static str,
    /// `None`: the caller must give it.
    pub(super) default: Option<Value>,
    /// JSON Schema but for the default.
    pub(super) schema: Value,
    /// The chain's own; `None` where that is the default and says nothing.
    pub(super) value: Option<Value>,
}

/// Tables first: most tools read either these or one of the others.
const FORMATS: [&str; 5] = ["csv", "tsv", "json", "jsonl", "text"];
const FUNCS: [Func; 24] = [
    Func::Count,
    Func::Sum,
    Func::Mean,
    Func::Median,
    Func::Min,
    Func::Max,
    Func::Distinct,
    Func::Stdev,
    Func::Percentile(1),
    Func::Percentile(5),
    Func::Percentile(10),
    Func::Percentile(20),
    Func::Percentile(25),
    Func::Percentile(30),
    Func::Percentile(33),
    Func::Percentile(40),
    Func::Percentile(60),
    Func::Percentile(66),
    Func::Percentile(70),
    Func::Percentile(75),
    Func::Percentile(80),
    Func::Percentile(90),
    Func::Percentile(95),
    Func::Percentile(99),
];
impl Order {
    /// The word for it, as an argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        }
    }
}

impl Bucket {
    /// The word for it, as an argument.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::HourOfDay => "hour_of_day",
            Self::DayOfWeek => "day_of_week",
        }
    }
}

/// A parameter whose default is the chain's value.
pub(super) fn own(
    name: &'static str,
    annotation: &'static str,
    value: Value,
    schema: Value,
) -> Param {
    Param {
        name,
        annotation,
        default: Some(value.clone()),
        schema,
        value: Some(value),
    }
}

pub(super) fn field(name: &'static str, value: &str, what: &str) -> Param {
    let schema = json!({ "type": "string", "description": what });
    own(name, "str", json!(value), schema)
}

/// Names that a call has to say, one at least: a default list would be shared by calls.
pub(super) fn fields(name: &'static str, value: &[String], what: &str) -> Param {
    Param {
        name,
        annotation: "list[str]",
        default: None,
        schema: json!({
            "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 50,
            "description": what,
        }),
        value: Some(json!(value)),
    }
}

pub(super) fn maybe_field(name: &'static str, value: Option<&str>, what: &str) -> Param {
    let schema = json!({ "type": ["string", "null"], "description": what });
    own(name, "str | None", json!(value), schema)
}

pub(super) fn limit(value: Option<u32>) -> Param {
    let schema = json!({
        "type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000,
        "description": "At most this many; null for all.",
    });
    own("limit", "int | None", json!(value), schema)
}

pub(super) fn word(name: &'static str, value: &str, words: &[&str], what: &str) -> Param {
    let schema = json!({ "type": "string", "enum": words, "description": what });
    own(name, "str", json!(value), schema)
}

/// A list that is null unless a call says otherwise: a default list would be shared by calls.
pub(super) fn list(
    name: &'static str,
    annotation: &'static str,
    value: Value,
    items: Value,
    what: &str,
) -> Param {
    let given = value.as_array().is_some_and(|v| !v.is_empty());
    Param {
        name,
        annotation,
        default: Some(Value::Null),
        schema: json!({
            "type": ["array", "null"], "items": items, "maxItems": 50, "description": what,
        }),
        value: given.then_some(value),
    }
}

pub(super) fn filter_json(filter: &Filter) -> Value {
    let mut out = json!({ "field": filter.field, "op": filter.op.as_str() });
    if let (Some(value), Some(map)) = (&filter.value, out.as_object_mut()) {
        map.insert("value".to_owned(), scalar_json(value));
    }
    out
}

pub(super) fn scalar_json(value: &Scalar) -> Value {
    match value {
        Scalar::Bool(b) => json!(b),
        Scalar::Int(i) => json!(i),
        Scalar::Float(f) => json!(f),
        Scalar::Text(t) => json!(t),
        Scalar::Many(values) => values.iter().map(scalar_json).collect(),
    }
}

/// The tests of a filter as a schema.
pub(super) fn test_schema() -> Value {
    let ops: Vec<&str> = Op::ALL.iter().map(|o| o.as_str()).collect();
    json!({
        "type": "object",
        "properties": {
            "field": { "type": "string" },
            "op": { "type": "string", "enum": ops },
            "value": {
                "type": ["string", "number", "boolean", "null", "array"],
                "items": { "type": ["string", "number", "boolean"] },
                "maxItems": 50,
            },
        },
        "required": ["field", "op"],
        "additionalProperties": false,
    })
}

/// `data`, `format` (of a table) and `where`: every tool begins with these.
pub(super) fn common(chain: &Chain) -> Vec<Param> {
    let filters: Vec<Value> = chain.filters.iter().map(filter_json).collect();
    let any = super::reads_any(chain);
    let several = any || matches!(chain.format, Format::Csv | Format::Tsv);
    let format = word(
        "format",
        chain.format.as_str(),
        &FORMATS[..if any { FORMATS.len() } else { 2 }],
        "How the file is laid out.",
    );
    let times = if chain.times {
        ", times at the value's precision"
    } else {
        ""
    };
    let file = |name, what: &str| Param {
        name,
        annotation: "str",
        default: None,
        schema: json!({ "type": "string", "format": "file", "description": what }),
        value: None,
    };
    let data = file("data", "The file to read.");
    let tests = list(
        "where",
        "list[dict] | None",
        json!(filters),
        test_schema(),
        &format!(
            "Tests that a record must pass, all of them: {{field, op, value}}. Numbers compare as \
             numbers{times}, all else as text without regard to case; `any_of` and `none_of` take \
             a list of values."
        ),
    );
    let mut all = vec![data];
    if chain.join.is_some() {
        all.push(file(
            "other",
            "The file that is looked up; each key comes once in it.",
        ));
    }
    all.extend(several.then_some(format));
    if let Some(join) = &chain.join {
        all.extend(joined(join, several.then_some(any)));
    }
    all.push(tests);
    all
}

/// What meets in two files. `formats` where the other's layout may be said, of all or of tables.
fn joined(join: &Join, formats: Option<bool>) -> Vec<Param> {
    let other = formats.map(|any| {
        let formats = &FORMATS[..if any { FORMATS.len() } else { 2 }];
        let what = "How the other file is laid out.";
        word("other_format", join.format.as_str(), formats, what)
    });
    let how = match join.how {
        How::Inner => "inner",
        How::Left => "left",
        How::Right => "right",
    };
    let [on, other_on] = if join.has_several() {
        [
            fields("on", &join.on, "The fields of the key."),
            fields(
                "other_on",
                &join.other_on,
                "The fields of the key in the other file, in the same order.",
            ),
        ]
    } else {
        [
            field("on", &join.on.concat(), "The field of the key."),
            field(
                "other_on",
                &join.other_on.concat(),
                "The field of the key in the other file.",
            ),
        ]
    };
    let rest = [
        on,
        other_on,
        field(
            "prefix",
            &join.prefix,
            "Fields of the other file are called `PREFIX.FIELD`.",
        ),
        word(
            "join_type",
            how,
            &["inner", "left", "right"],
            "Records without a counterpart: none of them, those of the file, or those of the \
             other file at the end.",
        ),
    ];
    other.into_iter().chain(rest).collect()
}

/// A list of objects with two members, of which the second is one of a few words.
pub(super) fn pairs(
    name: &'static str,
    value: Value,
    (member, words): (&str, &[&str]),
    what: &str,
) -> Param {
    let items = json!({
        "type": "object",
        "properties": {
            "field": { "type": "string" },
            member: { "type": "string", "enum": words },
        },
        "required": ["field", member],
        "additionalProperties": false,
    });
    list(name, "list[dict] | None", value, items, what)
}

pub(super) fn measure_json(measure: &Measure) -> Value {
    json!({ "func": measure.func.as_str(), "field": measure.field })
}

pub(super) fn funcs() -> Vec<&'static str> {
    FUNCS.iter().map(|f| f.as_str()).collect()
}
