//! The typed chain that a question becomes: filters, then one terminal step.
//!
//! A chain has two readings that must agree: `eval` runs it in Rust and `emit` writes it as
//! Python. Every field name, threshold and bound in it becomes a parameter of the emitted tool,
//! with the chain's own value as the default; what is left when those are taken out is the
//! *recipe*, and two questions with the same recipe are served by one tool.

use serde::{Deserialize, Serialize};

/// How a file is laid out. A tool reads CSV and TSV, or one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Csv,
    Tsv,
    /// An array of objects, or an object with one array of objects in it.
    Json,
    Jsonl,
    /// Lines of text: records with one field, `line`.
    Text,
}

/// A constant in a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// For `AnyOf` and `NoneOf`.
    Many(Vec<Scalar>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    /// Equal to one of many values, or to none of them; the empty text stands for blank.
    AnyOf,
    NoneOf,
    /// Missing, null or blank.
    Empty,
    NotEmpty,
}

impl Op {
    pub const ALL: [Self; 14] = [
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::Contains,
        Self::NotContains,
        Self::StartsWith,
        Self::EndsWith,
        Self::AnyOf,
        Self::NoneOf,
        Self::Empty,
        Self::NotEmpty,
    ];
}

/// Keeps the records for which it holds. Numbers compare as numbers where both sides are, dates
/// as ISO text, everything else as text without regard to case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    pub field: String,
    pub op: Op,
    /// Absent for `Empty` and `NotEmpty`.
    pub value: Option<Scalar>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Func {
    Count,
    Sum,
    Mean,
    Median,
    Min,
    Max,
    /// Number of distinct values.
    Distinct,
    /// Sample standard deviation.
    Stdev,
    /// A percentile of [`PERCENTILES`], interpolated linearly (type 7 of R. J. Hyndman and Y. Fan,
    /// "Sample Quantiles in Statistical Packages", 1996).
    Percentile(u8),
}

/// The percentiles that can be asked for, with their names as functions.
pub const PERCENTILES: [(u8, &str); 16] = [
    (1, "p1"),
    (5, "p5"),
    (10, "p10"),
    (20, "p20"),
    (25, "p25"),
    (30, "p30"),
    (33, "p33"),
    (40, "p40"),
    (60, "p60"),
    (66, "p66"),
    (70, "p70"),
    (75, "p75"),
    (80, "p80"),
    (90, "p90"),
    (95, "p95"),
    (99, "p99"),
];

/// What becomes of a column of values, in the order of the groups or buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Each as a percentage of them all.
    Share,
    /// The total up to here.
    Running,
    /// The difference from the one before; null for the first.
    Change,
}

/// How two groups are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Difference,
    Ratio,
}

/// `func(field)`; `field` is `None` for a plain count of records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Measure {
    pub func: Func,
    pub field: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Ascending,
    Descending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    /// 0 to 23, over all days.
    HourOfDay,
    /// Monday to Sunday.
    DayOfWeek,
}

impl Bucket {
    pub const ALL: [Self; 9] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::Year,
        Self::HourOfDay,
        Self::DayOfWeek,
    ];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extractable {
    Emails,
    Urls,
    Ips,
    Dates,
    Numbers,
    /// A regular expression given by the person.
    Pattern(String),
}

/// What is made of the records that are left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Terminal {
    /// One row per group (one row in all without `group_by`), measures in order; ordered by the
    /// first measure where `order` is given, else by group.
    Aggregate {
        measures: Vec<Measure>,
        group_by: Vec<String>,
        order: Option<Order>,
        limit: Option<u32>,
    },
    /// The records themselves; `fields` empty means all.
    Rows {
        fields: Vec<String>,
        order_by: Option<String>,
        order: Order,
        limit: Option<u32>,
    },
    /// The distinct values of a field, sorted, and how many.
    Distinct { field: String },
    /// How often each value of a field occurs, most frequent first, ties by value.
    Frequencies { field: String, limit: Option<u32> },
    /// How often each word occurs.
    Words {
        field: String,
        limit: u32,
        min_length: u32,
        skip_stop_words: bool,
    },
    /// One row per time bucket, in order; empty buckets between are not invented.
    Histogram {
        field: String,
        bucket: Bucket,
        measure: Measure,
    },
    /// Everything of a kind found in a field (all text fields where `None`), with counts.
    Extract {
        field: Option<String>,
        what: Extractable,
        limit: Option<u32>,
    },
    /// Lexicon sentiment per record: totals by class, mean score, the most extreme records;
    /// by group where asked.
    Sentiment {
        field: String,
        group_by: Option<String>,
    },
    /// The records written to a file in another format.
    Convert { to: Format },
    /// Per field: type, filled, distinct, min, max, mean.
    Describe,
    /// The percentage of the records that pass these tests as well.
    Share { wanted: Vec<Filter> },
    /// One measure of the records with one value of a field, held against those with another.
    Compare {
        measure: Measure,
        field: String,
        left: Scalar,
        right: Scalar,
        how: Comparison,
    },
    /// Records that are the same in these fields as one before them; empty means in all.
    Duplicates {
        #[serde(default)]
        fields: Vec<String>,
    },
    /// One measure for each pair of a row and a column. A cell without records holds what the
    /// measure is of nothing: 0 of a count, else null.
    Pivot {
        rows: Axis,
        columns: Axis,
        measure: Measure,
    },
    /// The records written to a file, made uniform: values changed, duplicates left out, ordered.
    Clean {
        /// In this order, before anything else is done.
        changes: Vec<Change>,
        /// The first of those with the same values here is kept; empty means all fields.
        unique: Option<Vec<String>>,
        /// The first decides, then the next; records without a value come last.
        order_by: Vec<Sort>,
        /// Empty means all.
        fields: Vec<String>,
        limit: Option<u32>,
        to: Format,
    },
}

/// What the rows or the columns of a pivot table stand for: the values of a field, or the time
/// buckets that they fall into.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Axis {
    pub field: String,
    pub bucket: Option<Bucket>,
}

/// How a text is made uniform. Blanks at its ends go in every one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tidy {
    Trim,
    /// Runs of blanks become one.
    Spaces,
    Lower,
    Upper,
    /// Each word, also behind a hyphen, begins with a capital.
    Title,
    /// Digits alone, behind a plus where the number is international.
    Phone,
    /// `1,234.50` and `$1,234.50` are 1234.5.
    Number,
    /// ISO 8601, as precise as it was written.
    Date,
}

impl Tidy {
    pub const ALL: [Self; 8] = [
        Self::Trim,
        Self::Spaces,
        Self::Lower,
        Self::Upper,
        Self::Title,
        Self::Phone,
        Self::Number,
        Self::Date,
    ];
}

/// One change of one field. What is no such thing stays as it is and is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    pub field: String,
    pub how: Tidy,
}

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sort {
    pub field: String,
    pub order: Order,
}

/// Which records are kept that have no counterpart in the other file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// None.
    Inner,
    /// Those of the first file; the fields of the other are null.
    Left,
    /// Those of the other file, at the end; the fields of the first are null but for the key.
    Right,
}

/// Each record of the file is joined by the one record of another file with the same key. The
/// other file is held in memory; a key that comes twice in it is refused, for records would count
/// twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Join {
    /// Layout of the other file.
    pub format: Format,
    /// The fields of the key, here and there, one by one. A record with a blank in any of them has
    /// no key.
    pub on: Vec<String>,
    pub other_on: Vec<String>,
    /// The other file's fields are named `PREFIX.FIELD`.
    pub prefix: String,
    pub how: How,
}

impl Join {
    /// Whether the key is of more than one field.
    pub fn has_several(&self) -> bool {
        self.on.len() != 1 || self.other_on.len() != 1
    }
}

/// What is done to the rows of a result before they are given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// For `Aggregate` and `Histogram`.
    pub window: Option<Window>,
    /// Rows passed over at the head of an ordered `Aggregate` or `Rows`: the second highest is the
    /// first after one.
    pub offset: u32,
    /// For `Rows`: the first so many of each value of this field.
    pub per: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    pub format: Format,
    /// The other file that is read with it.
    #[serde(default)]
    pub join: Option<Join>,
    pub filters: Vec<Filter>,
    pub terminal: Terminal,
    #[serde(default)]
    pub shape: Shape,
    /// Values may be times. Where nothing in use holds any, none is read as one, and the tool
    /// carries no code for it.
    #[serde(default)]
    pub times: bool,
}
