//! What a data file holds, found in bounded time and memory: format, fields, types, example values.
//!
//! Small files are read whole; of large ones the head and windows spread over the rest, so that a
//! profile of any size costs the same. Only this room and `cases` look at values of the data.

mod infer;
mod sniff;
mod windows;

use std::path::{Path, PathBuf};

use handaxe_types::DataFile;
use serde_json::{Map, Value, json};

use crate::Format;
use crate::read::{Datum, ReadError, Record};

pub(crate) use infer::text_of;
pub use infer::{Field, Kind};
pub(crate) use sniff::format_name;

/// Why a file cannot be profiled; each says the next step.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("`{name}` is not there\nhint: check the path given with --data")]
    Missing { name: String },
    #[error("`{name}` is a directory\nhint: give one file, e.g. `--data {name}/FILE`")]
    Directory { name: String },
    #[error("`{name}` cannot be read: {source}\nhint: check its permissions")]
    Unreadable {
        name: String,
        source: std::io::Error,
    },
    #[error("`{name}` is empty: there is nothing to ask of it\nhint: check how it was made")]
    Empty { name: String },
    #[error("`{name}` is {what}, not text\nhint: {hint}")]
    Binary {
        name: String,
        what: &'static str,
        hint: String,
    },
    #[error(
        "`{name}` is encoded as {encoding}, not UTF-8 (byte {at})\nhint: `iconv -f {encoding} -t UTF-8 {name} > {name}.utf8`, then `--data {name}.utf8`"
    )]
    Encoding {
        name: String,
        encoding: &'static str,
        at: u64,
    },
    #[error("`{name}` is not well-formed JSON: {source}\nhint: look at line {line}, e.g. `sed -n {line}p {name}`")]
    Json {
        name: String,
        line: usize,
        source: serde_json::Error,
    },
    #[error(
        "`{name}` is JSON but holds no records\nhint: an array of objects is needed, or an object with one such array in it, or one object a line"
    )]
    NoRecords { name: String },
    #[error(
        "{broken} of {lines} lines of `{name}` are not JSON objects (first: line {first})\nhint: look at them with `sed -n {first}p {name}`; up to half may be broken, they are skipped and counted"
    )]
    BrokenLines {
        name: String,
        broken: u64,
        lines: u64,
        first: u64,
    },
    #[error(
        "`{name}` is separated by `{delimiter}`; commas and tabs are read\nhint: `tr '{delimiter}' '\\t' < {name} > {name}.tsv`, then `--data {name}.tsv`"
    )]
    Delimiter { name: String, delimiter: char },
    #[error("`{name}`: {source}\nhint: mend that place, or convert the file to JSON Lines")]
    Malformed { name: String, source: ReadError },
    #[error(
        "`{name}` is one JSON document too large to read whole\nhint: make it JSON Lines: `jq -c '.[]' {name} > {name}l`"
    )]
    LargeJson { name: String },
}

/// A data file, known well enough to read a question against it.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What the tool sees as the file's name.
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
    pub format: Format,
    /// Records looked at.
    pub looked_at: u64,
    /// All records: counted where the whole file was looked at, else estimated.
    pub records: u64,
    /// The whole file was looked at.
    pub exact: bool,
    /// Lines or rows among those looked at that are no record.
    pub skipped: u64,
    pub fields: Vec<Field>,
    /// Records from across the file, in file order, at most [`SAMPLE`].
    pub sample: Vec<Record>,
}

/// Records kept as a sample.
pub const SAMPLE: usize = 400;

/// Profiles an attached file.
pub fn profile(file: &DataFile) -> Result<Profile, DataError> {
    profile_path(&file.name, &file.path)
}

/// Profiles the file at `path`, called `name`.
pub fn profile_path(name: &str, path: &Path) -> Result<Profile, DataError> {
    let source = windows::Source::open(name, path)?;
    sniff::check_encoding(name, &source)?;
    let format = sniff::format(name, &source)?;
    let read = windows::records(name, &source, format)?;
    let looked_at = read.records.len() as u64;
    let records = if source.whole() || looked_at == 0 {
        looked_at
    } else {
        // Bytes per record of what was read, carried over to the rest.
        (u128::from(looked_at) * u128::from(source.bytes) / u128::from(read.bytes.max(1))) as u64
    };
    let fields = infer::fields(&read.columns, &read.records);
    let step = (read.records.len() / SAMPLE).max(1);
    let sample = read.records.into_iter().step_by(step).take(SAMPLE).collect();
    Ok(Profile {
        name: name.to_owned(),
        path: path.to_owned(),
        bytes: source.bytes,
        format,
        looked_at,
        records,
        exact: source.whole(),
        skipped: read.skipped,
        fields,
        sample,
    })
}

impl Profile {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Names, types and counts; no values.
    pub fn schema_preview(&self) -> Value {
        json!({
            "file": self.name,
            "format": format_name(self.format),
            "bytes": self.bytes,
            "records": self.records,
            "records_exact": self.exact,
            "skipped": self.skipped,
            "fields": self.fields.iter().map(|f| json!({
                "name": f.name,
                "type": f.kind.as_str(),
                "filled": f.filled,
                "empty": f.empty,
                "distinct": f.distinct,
            })).collect::<Vec<_>>(),
        })
    }

    /// The schema and `n` records from across the file.
    pub fn sample_preview(&self, n: usize) -> Value {
        let step = (self.sample.len() / n.max(1)).max(1);
        let rows: Vec<Value> = self
            .sample
            .iter()
            .step_by(step)
            .take(n)
            .map(|r| {
                let members: Map<String, Value> = r
                    .fields
                    .iter()
                    .map(|(k, v)| (k.to_string(), clip(v)))
                    .collect();
                Value::Object(members)
            })
            .collect();
        let mut preview = self.schema_preview();
        if let Some(object) = preview.as_object_mut() {
            object.insert("sample".to_owned(), Value::Array(rows));
        }
        preview
    }
}

/// A value short enough to show to a model.
fn clip(value: &Datum) -> Value {
    match value {
        Datum::Text(s) if s.chars().count() > 200 => {
            Value::String(s.chars().take(200).chain("…".chars()).collect())
        }
        other => json_of(other),
    }
}

/// The value as JSON.
pub(crate) fn json_of(value: &Datum) -> Value {
    match value {
        Datum::Null => Value::Null,
        Datum::Bool(b) => json!(b),
        Datum::Int(i) => json!(i),
        Datum::Float(f) => json!(f),
        Datum::Text(t) => json!(t),
    }
}
