//! Encoding and format, by content first and by the name's extension where content leaves it open.

use super::DataError;
use super::windows::Source;
use crate::Format;

/// Leading bytes of files that are not text: magic, what it is, what to do.
const MAGIC: &[(&[u8], &str, &str)] = &[
    (
        b"\x1f\x8b",
        "a gzip archive",
        "unpack it first: `gunzip -k {}`",
    ),
    (
        b"PK\x03\x04",
        "a zip archive or a spreadsheet",
        "export it as CSV, or unzip it first",
    ),
    (
        b"BZh",
        "a bzip2 archive",
        "unpack it first: `bunzip2 -k {}`",
    ),
    (
        b"\xfd7zXZ",
        "an xz archive",
        "unpack it first: `unxz -k {}`",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "a zstd archive",
        "unpack it first: `unzstd {}`",
    ),
    (
        b"PAR1",
        "a Parquet file",
        "export it as CSV or JSON Lines first",
    ),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "export a table as CSV first: `sqlite3 -csv -header {} 'select * from TABLE' > table.csv`",
    ),
    (
        b"%PDF",
        "a PDF document",
        "take out its text first: `pdftotext {}`",
    ),
    (b"\x89PNG", "a PNG image", "pictures cannot be asked"),
    (b"\xff\xd8\xff", "a JPEG image", "pictures cannot be asked"),
    (
        b"\x7fELF",
        "an executable",
        "give a text file: CSV, TSV, JSON, JSON Lines or a log",
    ),
];

pub(super) fn check_encoding(name: &str, source: &Source) -> Result<(), DataError> {
    let head = source.head();
    let encoding = |encoding, at| {
        Err(DataError::Encoding {
            name: name.to_owned(),
            encoding,
            at,
        })
    };
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return encoding("UTF-16", 0);
    }
    for (magic, what, hint) in MAGIC {
        if head.starts_with(magic) {
            return Err(DataError::Binary {
                name: name.to_owned(),
                what,
                hint: hint.replace("{}", name),
            });
        }
    }
    let start = &head[..head.len().min(8192)];
    let zeros = |odd: usize| {
        start
            .iter()
            .skip(odd)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    if start.len() >= 8 {
        let (even, odd, half) = (zeros(0), zeros(1), start.len() / 2);
        if odd * 10 > half * 7 && even * 10 < half {
            return encoding("UTF-16LE", 0);
        }
        if even * 10 > half * 7 && odd * 10 < half {
            return encoding("UTF-16BE", 0);
        }
    }
    let mut offset = 0;
    for part in &source.parts {
        if part.contains(&0) {
            return Err(DataError::Binary {
                name: name.to_owned(),
                what: "binary",
                hint: "give a text file: CSV, TSV, JSON, JSON Lines or a log".to_owned(),
            });
        }
        if let Err(e) = std::str::from_utf8(part) {
            let at = e.valid_up_to();
            // 0x80 to 0x9f are letters and quotes in Windows-1252 and controls in Latin-1.
            let windows = part[at..].iter().any(|b| (0x80..0xa0).contains(b));
            let encoding_name = if windows {
                "WINDOWS-1252"
            } else {
                "ISO-8859-1"
            };
            return encoding(encoding_name, (offset + at) as u64);
        }
        offset += part.len();
    }
    if head.iter().all(u8::is_ascii_whitespace) {
        return Err(DataError::Empty {
            name: name.to_owned(),
        });
    }
    Ok(())
}

pub(super) fn format(name: &str, source: &Source) -> Result<Format, DataError> {
    let text = String::from_utf8_lossy(source.head());
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    let first = text.trim_start().chars().next().unwrap_or(' ');
    if first == '{' || first == '[' {
        let mut lines = text
            .lines()
            .filter(|l| !l.trim().is_empty())
            .take(50)
            .peekable();
        let objects =
            |l: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(l).is_ok();
        let leading = lines.peek().is_some_and(|l| objects(l));
        let count = lines.filter(|l| objects(l)).count();
        let several = text
            .lines()
            .filter(|l| !l.trim().is_empty())
            .nth(1)
            .is_some();
        if leading && (several || matches!(extension.as_deref(), Some("jsonl" | "ndjson")))
            || count > 1 && first == '{'
        {
            return Ok(Format::Jsonl);
        }
        let log = matches!(extension.as_deref(), Some("log" | "txt"));
        // A log line may begin with `[`: only what parses, or is called JSON, is JSON.
        if !log && first == '{'
            || !source.whole() && first == '['
            || matches!(extension.as_deref(), Some("json"))
            || serde_json::from_slice::<serde::de::IgnoredAny>(source.head()).is_ok()
        {
            return Ok(Format::Json);
        }
    }
    match extension.as_deref() {
        Some("jsonl" | "ndjson") => return Ok(Format::Jsonl),
        Some("json") => return Ok(Format::Json),
        Some("log") => return Ok(Format::Text),
        _ => {}
    }
    let lines: Vec<&str> = text.lines().take(20).filter(|l| !l.is_empty()).collect();
    let counts = |d: char| -> Vec<usize> { lines.iter().map(|l| cells(l, d)).collect() };
    let steady = |d: char| {
        let n = counts(d);
        n.len() > 1 && n[0] > 1 && n.iter().all(|c| *c == n[0])
    };
    let named = matches!(extension.as_deref(), Some("csv"));
    let header = lines.first().copied().unwrap_or("");
    if matches!(extension.as_deref(), Some("tsv" | "tab")) || steady('\t') {
        return Ok(Format::Tsv);
    }
    if named && cells(header, ',') == 1 && cells(header, '\t') > 1 {
        return Ok(Format::Tsv);
    }
    let semicolons = crate::read::separator(header) == ';'
        && text.lines().next().is_some_and(|l| l == header)
        && (named || steady(';'));
    if semicolons {
        return Ok(Format::Csv);
    }
    for delimiter in [';', '|'] {
        if (named && cells(header, ',') == 1 && cells(header, delimiter) > 1)
            || (extension.is_none() && steady(delimiter) && !steady(','))
        {
            return Err(DataError::Delimiter {
                name: name.to_owned(),
                delimiter,
            });
        }
    }
    if named || (steady(',') && header_like(header)) {
        return Ok(Format::Csv);
    }
    Ok(Format::Text)
}

/// Names, not prose: short cells that do not begin with a digit.
fn header_like(line: &str) -> bool {
    line.split(',').all(|c| {
        let c = c.trim().trim_matches('"');
        !c.is_empty()
            && c.len() <= 60
            && !c.starts_with(|c: char| c.is_ascii_digit())
            && c.split(' ').count() <= 5
    })
}

/// Cells in a line, quotes respected.
fn cells(line: &str, delimiter: char) -> usize {
    let mut quoted = false;
    1 + line
        .chars()
        .filter(|c| {
            if *c == '"' {
                quoted = !quoted;
            }
            !quoted && *c == delimiter
        })
        .count()
}

pub(crate) fn format_name(format: Format) -> &'static str {
    match format {
        Format::Csv => "CSV",
        Format::Tsv => "TSV",
        Format::Json => "JSON",
        Format::Jsonl => "JSON Lines",
        Format::Text => "plain text",
    }
}
