//! Bounded reading: a small file whole, a large one by its head and by windows over the rest.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::DataError;
use crate::Format;
use crate::read::{ReadError, Record, Records};

/// Files up to this size are read whole; one JSON document up to what the readers take.
const WHOLE: u64 = 6 << 20;
const WHOLE_JSON: u64 = 64 << 20;
/// Of larger files: the head, then this many windows of this size.
const HEAD: usize = 2 << 20;
const WINDOWS: u64 = 32;
const WINDOW: usize = 48 << 10;
/// Columns of one file; the rest are not profiled.
const MAX_COLUMNS: usize = 400;
const MAX_RECORDS: usize = 200_000;

/// The bytes that were looked at: one part for a small file, head and windows for a large one.
pub(super) struct Source {
    pub(super) bytes: u64,
    whole: bool,
    /// Each part begins at the start of a line and ends at the end of one.
    pub(super) parts: Vec<Vec<u8>>,
}

impl Source {
    pub(super) fn open(name: &str, path: &Path) -> Result<Self, DataError> {
        let unreadable = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => DataError::Missing {
                name: name.to_owned(),
            },
            _ => DataError::Unreadable {
                name: name.to_owned(),
                source,
            },
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if meta.is_dir() {
            return Err(DataError::Directory {
                name: name.to_owned(),
            });
        }
        let bytes = meta.len();
        if bytes == 0 {
            return Err(DataError::Empty {
                name: name.to_owned(),
            });
        }
        let mut first = [0; 4096];
        let got = file.read(&mut first).map_err(unreadable)?;
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let document = first[..got].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
        if document && bytes > WHOLE_JSON {
            return Err(DataError::LargeJson {
                name: name.to_owned(),
            });
        }
        if bytes <= WHOLE || document {
            let mut all = Vec::with_capacity(bytes as usize);
            file.take(WHOLE_JSON)
                .read_to_end(&mut all)
                .map_err(unreadable)?;
            if all.starts_with(b"\xef\xbb\xbf") {
                all.drain(..3);
            }
            return Ok(Self {
                bytes,
                whole: true,
                parts: vec![all],
            });
        }
        let mut parts = Vec::new();
        let mut head = vec![0; HEAD];
        file.read_exact(&mut head).map_err(unreadable)?;
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        cut_tail(&mut head);
        parts.push(head);
        let rest = bytes - HEAD as u64 - WINDOW as u64;
        for i in 1..=WINDOWS {
            let at = HEAD as u64 + rest / WINDOWS * i;
            file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
            let mut window = Vec::with_capacity(WINDOW);
            (&mut file)
                .take(WINDOW as u64)
                .read_to_end(&mut window)
                .map_err(unreadable)?;
            let start = window.iter().position(|b| *b == b'\n').map(|p| p + 1);
            if let Some(start) = start {
                window.drain(..start);
                cut_tail(&mut window);
                parts.push(window);
            }
        }
        Ok(Self {
            bytes,
            whole: false,
            parts,
        })
    }

    pub(super) fn whole(&self) -> bool {
        self.whole
    }

    pub(super) fn head(&self) -> &[u8] {
        self.parts.first().map_or(&[], Vec::as_slice)
    }
}

/// Drops the last, perhaps incomplete, line; all of it where there is no line end.
fn cut_tail(bytes: &mut Vec<u8>) {
    if let Some(end) = bytes.iter().rposition(|b| *b == b'\n') {
        bytes.truncate(end + 1);
    }
}

/// What came out of the parts.
pub(super) struct Rows {
    /// In order of first appearance.
    pub(super) columns: Vec<Arc<str>>,
    pub(super) records: Vec<Record>,
    /// What a JSON document calls its records.
    pub(super) called: Option<String>,
    /// Lines, rows or elements that are no record.
    pub(super) skipped: u64,
    /// Bytes the records were read from.
    pub(super) bytes: u64,
}

/// Reads every part with the reader that the evaluation uses too.
pub(super) fn records(name: &str, source: &Source, format: Format) -> Result<Rows, DataError> {
    let mut rows = Rows {
        columns: Vec::new(),
        records: Vec::new(),
        called: None,
        skipped: 0,
        bytes: 0,
    };
    let delimited = matches!(format, Format::Csv | Format::Tsv);
    let header_end = source
        .head()
        .iter()
        .position(|b| *b == b'\n')
        .map_or(0, |p| p + 1);
    for (i, part) in source.parts.iter().enumerate() {
        let header = if i > 0 && delimited {
            &source.head()[..header_end]
        } else {
            &[]
        };
        let mut reader = Records::new(format, header.chain(part.as_slice()));
        loop {
            match reader.next() {
                Ok(Some(record)) if rows.records.len() < MAX_RECORDS => rows.records.push(record),
                Ok(_) => break,
                // A window may begin or end inside a quoted cell; the whole file may not.
                Err(_) if !source.whole() && rows.records.len() > 1 => break,
                Err(source) => return Err(malformed(name, &part[..], source)),
            }
        }
        rows.called = reader.called().map(str::to_owned);
        rows.skipped += reader.tally().skipped;
        rows.bytes += part.len() as u64;
        for field in reader.fields() {
            if rows.columns.len() < MAX_COLUMNS && !rows.columns.contains(field) {
                rows.columns.push(Arc::clone(field));
            }
        }
    }
    if format == Format::Jsonl && rows.skipped > rows.records.len() as u64 {
        return Err(DataError::BrokenLines {
            name: name.to_owned(),
            broken: rows.skipped,
            lines: rows.skipped + rows.records.len() as u64,
            first: first_broken(source.head()),
        });
    }
    if rows.columns.is_empty() {
        return Err(DataError::NoRecords {
            name: name.to_owned(),
        });
    }
    Ok(rows)
}

/// Number of the first line that is not a JSON object.
fn first_broken(bytes: &[u8]) -> u64 {
    let broken = |line: &[u8]| {
        !line.iter().all(u8::is_ascii_whitespace)
            && serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_err()
    };
    bytes
        .split(|b| *b == b'\n')
        .position(broken)
        .map_or(1, |i| i as u64 + 1)
}

fn malformed(name: &str, bytes: &[u8], source: ReadError) -> DataError {
    let name = name.to_owned();
    match source {
        ReadError::NotJson => match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
            Err(source) => DataError::Json {
                name,
                line: source.line(),
                source,
            },
            Ok(_) => DataError::NoRecords { name },
        },
        ReadError::NoArray | ReadError::NothingRead("json") => DataError::NoRecords { name },
        ReadError::NothingRead(_) => DataError::BrokenLines {
            name,
            broken: bytes.split(|b| *b == b'\n').count() as u64,
            lines: bytes.split(|b| *b == b'\n').count() as u64,
            first: 1,
        },
        source => DataError::Malformed { name, source },
    }
}
