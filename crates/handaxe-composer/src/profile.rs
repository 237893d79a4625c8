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
        "`{name}` is encoded as {encoding}, not UTF-8 (byte {at})\nhint: `iconv -f {encoding} -t UTF-8 {name} > utf8-{name}`, then `--data utf8-{name}`"
    )]
    Encoding {
        name: String,
        encoding: &'static str,
        at: u64,
    },
    #[error(
        "`{name}` is not well-formed JSON: {source}\nhint: look at line {line}, e.g. `sed -n {line}p {name}`"
    )]
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
        "`{name}` is separated by `{delimiter}`; commas, semicolons and tabs are read\nhint: save it with one of these between the cells; where no cell holds a `{delimiter}` of its own, `tr '{delimiter}' '\\t' < {name} > {name}.tsv` does it"
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
    /// What a JSON document calls its records: the name of their array.
    pub called: Option<String>,
    /// Records from across the file, in file order, at most [`SAMPLE`].
    pub sample: Vec<Record>,
    /// Of the profile of two files: how they meet.
    pub(crate) met: Option<Met>,
}

/// How the records of two files meet.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    /// The fields of the key.
    pub(crate) on: Vec<usize>,
    /// How many fields are the first file's own; the others follow.
    pub(crate) own: usize,
    pub(crate) prefix: String,
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
    let mut fields = infer::fields(&read.columns, &read.records);
    if format == Format::Text {
        // A line may hold a time, or be one; it is text all the same.
        for field in &mut fields {
            field.kind = Kind::Text;
        }
    }
    let step = (read.records.len() / SAMPLE).max(1);
    let sample = read
        .records
        .into_iter()
        .step_by(step)
        .take(SAMPLE)
        .collect();
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
        called: read.called,
        sample,
        met: None,
    })
}

impl Profile {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// A text of which some lines hold a time that a tool finds there.
    pub(crate) fn has_timed_lines(&self) -> bool {
        let timed = |value: &Datum| match value {
            Datum::Text(line) => crate::eval::parse_time(line.trim()).is_some(),
            _ => false,
        };
        let values = self.sample.iter().flat_map(|r| &r.fields);
        self.format == Format::Text && values.into_iter().any(|(_, line)| timed(line))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, bytes: &[u8]) -> Result<Profile, DataError> {
        let dir = std::env::temp_dir().join(format!(
            "handaxe-profile-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        let out = profile_path(name, &path);
        std::fs::remove_dir_all(&dir).unwrap();
        out
    }

    #[test]
    fn bad_files_say_what_to_do() {
        let utf16: Vec<u8> = "a,b\n1,2\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (name, bytes, says) in [
            ("e.csv", &b""[..], "is empty"),
            ("e.csv", b" \n \n", "is empty"),
            ("a.csv.gz", b"\x1f\x8b\x08\x00", "gunzip -k"),
            ("a.bin", b"abc\x00\x01\x02\xff", "binary"),
            ("u.csv", b"\xff\xfea\x00", "iconv -f UTF-16 "),
            ("u.csv", &utf16, "iconv -f UTF-16LE"),
            ("l.csv", b"name\ncaf\xe9\n", "iconv -f ISO-8859-1"),
            ("w.csv", b"name\n\x93quoted\x94\n", "iconv -f WINDOWS-1252"),
            ("j.json", b"[{\"a\":1},\n{\"a\":}]", "line 2"),
            ("j.json", b"[1,2,3]", "no records"),
            ("h.jsonl", b"{\"a\":1}\nx\ny\nz\n", "3 of 4 lines"),
            ("s.csv", b"a|b\n1|2\n", "separated by `|`"),
            ("q.csv", b"a,b\n\"1,2\n3,4\n", "quoted"),
        ] {
            let message = of(name, bytes).unwrap_err().to_string();
            assert!(message.contains(says), "{name}: {message}");
            assert!(
                message.contains("hint: ") || says == "no records",
                "{name}: {message}"
            );
        }
        let missing = profile_path("no.csv", Path::new("/nonexistent/no.csv"));
        assert!(matches!(missing, Err(DataError::Missing { .. })));
    }

    #[test]
    fn formats_kinds_and_counts() {
        for (name, text, format) in [
            ("a.csv", "a,b\n1,2\n", Format::Csv),
            ("a.csv", "a;b\n1,5;2\n", Format::Csv),
            ("a.txt", "a\tb\n1\t2\n3\t4\n", Format::Tsv),
            ("a.json", "[{\"a\":1}]", Format::Json),
            ("a.data", "{\"items\":[{\"a\":1}]}", Format::Json),
            ("a.json", "{\"a\":1}\n{\"a\":2}\n", Format::Jsonl),
            ("a.jsonl", "{\"a\":1}\n", Format::Jsonl),
            ("a.log", "[info] started\n[error] stopped\n", Format::Text),
            ("a.txt", "just some words, no more\n", Format::Text),
        ] {
            assert_eq!(
                of(name, text.as_bytes()).unwrap().format,
                format,
                "{name} {text}"
            );
        }
        let p = of(
            "t.csv",
            b"n,f,d,when,yes,t\n1,1.5,2026-01-02,2026-01-02T10:00:00Z,yes,x\n2,,2026-01-03,2026-01-02T11:00:00Z,no,y\n",
        )
        .unwrap();
        let kinds: Vec<Kind> = p.fields.iter().map(|f| f.kind).collect();
        let expected = [
            Kind::Integer,
            Kind::Number,
            Kind::Date,
            Kind::DateTime,
            Kind::Boolean,
            Kind::Text,
        ];
        assert_eq!(kinds, expected);
        assert_eq!((p.records, p.exact, p.fields[1].empty), (2, true, 1));
        let schema = p.schema_preview().to_string();
        assert!(
            !schema.contains("1.5") && schema.contains("\"filled\":1"),
            "{schema}"
        );
        assert!(p.sample_preview(1).to_string().contains("1.5"));
    }
}
