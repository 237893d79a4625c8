//! Made files of a layout: what every reader of it must take, and what it must refuse.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::columns::{Column, ROWS, Role};
use crate::Format;
use crate::read::{MAX_DEPTH, MAX_FIELDS};

/// The columns as an ordinary file of the layout: values odd, syntax well-formed.
pub(super) fn usual(format: Format, columns: &[Column]) -> Vec<u8> {
    match format {
        Format::Csv => table(columns, ',').into_bytes(),
        Format::Tsv => table(columns, '\t').into_bytes(),
        Format::Json => json!(objects(columns)).to_string().into_bytes(),
        Format::Jsonl => lines(&objects(columns)).into_bytes(),
        Format::Text => text(columns).into_bytes(),
    }
}

/// Files by name, without the usual one.
pub(super) fn files(format: Format, columns: &[Column]) -> Vec<(String, Vec<u8>)> {
    let usual = usual(format, columns);
    let own = match format {
        Format::Csv | Format::Tsv => tables(format, columns),
        Format::Json => documents(columns),
        Format::Jsonl => json_lines(columns),
        Format::Text => Vec::new(),
    };
    let halves = usual.split_at(usual.len() / 2);
    let all: Vec<(&str, Vec<u8>)> = vec![
        ("usual", usual.clone()),
        ("marked", [b"\xef\xbb\xbf", usual.as_slice()].concat()),
        (
            "windows_lines",
            String::from_utf8_lossy(&usual)
                .replace('\n', "\r\n")
                .into_bytes(),
        ),
        ("not_utf_8", not_utf_8(&usual)),
        ("binary", [halves.0, b"\0", halves.1].concat()),
        ("empty", Vec::new()),
        ("blank", b" \n\t\n".to_vec()),
        ("blank_lines", spaced(&usual)),
    ];
    (all.into_iter().chain(own))
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}

/// Bytes of other encodings on two lines, and a mark where a file does not begin.
fn not_utf_8(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if i == 3 || i == 9 {
            out.extend(line.iter().map(|b| if *b == b'e' { 0xe9 } else { *b }));
            out.extend(b" \xff\xfe");
        } else {
            if i == 4 {
                out.extend("\u{feff}".as_bytes());
            }
            out.extend(line);
        }
        out.push(b'\n');
    }
    out
}

fn spaced(bytes: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    [b"\n", lines.join(&b"\n\n"[..]).as_slice(), b"\n \n"].concat()
}

fn quoted(cell: &str, delimiter: char) -> String {
    if cell.contains([delimiter, '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn table(columns: &[Column], delimiter: char) -> String {
    let separated = |cells: Vec<String>| cells.join(&delimiter.to_string()) + "\n";
    let mut out = separated(columns.iter().map(|c| quoted(&c.name, delimiter)).collect());
    for row in 0..ROWS {
        let cells = columns.iter().map(|c| quoted(&c.values[row], delimiter));
        out.push_str(&separated(cells.collect()));
    }
    out
}

/// Numbers whose exact sum needs every digit, and those near what is taken for one.
const SUMS: [&str; 9] = [
    "1e16",
    "1",
    "-1e16",
    "0.1",
    "0.2",
    "0.3",
    "1e-9",
    "123456789012345678",
    "1234567890123456789",
];

/// The columns with other numbers.
fn numbers(columns: &[Column], values: &[&str]) -> Vec<Column> {
    let other = |c: &Column| match c.role {
        Role::Number => (0..ROWS)
            .map(|i| values[i % values.len()].to_owned())
            .collect(),
        _ => c.values.clone(),
    };
    let with = |c: &Column| Column {
        values: other(c),
        ..c.clone()
    };
    columns.iter().map(with).collect()
}

/// As spreadsheets write tables where the comma is in the numbers.
pub(super) fn semicolons(columns: &[Column]) -> Vec<u8> {
    let columns = numbers(
        columns,
        &["1,5", "1.234,50", "-0,25", "7", "2.5", "3", "1.000.000,5"],
    );
    table(&columns, ';').into_bytes()
}

/// The usual file, with sums that need every digit.
pub(super) fn sums(format: Format, columns: &[Column]) -> Vec<u8> {
    usual(format, &numbers(columns, &SUMS))
}

fn tables(format: Format, columns: &[Column]) -> Vec<(&'static str, Vec<u8>)> {
    let delimiter = if format == Format::Tsv { '\t' } else { ',' };
    let whole = table(columns, delimiter);
    let header = whole.lines().next().unwrap_or_default().to_owned();
    let d = delimiter.to_string();
    let many = |n: usize| {
        let names: Vec<String> = (columns.len()..n).map(|i| format!("c{i}")).collect();
        let ones = vec!["1"; n].join(&d);
        format!("{header}{d}{}\n{ones}\n", names.join(&d))
    };
    // Long rows are passed over, but for blanks; short ones are filled.
    let over = d.repeat(columns.len());
    let ragged = format!("{whole}x{over}x\n3{over} \ny{over}y\n3\n\n3{over}{d}\n");
    // Names that come again, blank ones, spaces around them.
    let padded = header.replace(&d, &format!(" {d} "));
    let first = columns.first().map_or("x", |c| c.name.as_str());
    let odd_names = format!(" {padded} {d}{first}{d}{first}{d}{d}tail\n")
        + &body(columns, &d, &["1", "2", "3", "4"]);
    vec![
        ("semicolons", semicolons(columns)),
        ("header_only", format!("{header}\n").into_bytes()),
        ("no_end_of_line", whole.trim_end().as_bytes().to_vec()),
        ("ragged", ragged.into_bytes()),
        (
            "only_long_rows",
            format!("{header}\nx{over}x\n").into_bytes(),
        ),
        ("names", odd_names.into_bytes()),
        (
            "open_quote",
            format!("{whole}\"never closed\n").into_bytes(),
        ),
        ("after_quote", format!("{whole}\"a\"b\n").into_bytes()),
        ("many_fields", many(MAX_FIELDS).into_bytes()),
        ("too_many_fields", many(MAX_FIELDS + 1).into_bytes()),
        (
            "other_table",
            table(columns, if delimiter == ',' { '\t' } else { ',' }).into_bytes(),
        ),
    ]
}

/// The rows of the columns with more cells at their ends.
fn body(columns: &[Column], delimiter: &str, more: &[&str]) -> String {
    let sign = delimiter.chars().next().unwrap_or(',');
    (0..ROWS)
        .map(|row| {
            let own = columns.iter().map(|c| quoted(&c.values[row], sign));
            let cells: Vec<String> = own.chain(more.iter().map(|m| (*m).to_owned())).collect();
            cells.join(delimiter) + "\n"
        })
        .collect()
}

/// Records as a writer of JSON has them: numbers as such, some nested, null or not there.
fn objects(columns: &[Column]) -> Vec<Value> {
    (0..ROWS)
        .map(|row| {
            let mut record = Map::new();
            for column in columns {
                let text = &column.values[row];
                let value = match (column.role, row % 6) {
                    (_, 5) if row > 6 => continue,
                    _ if text.is_empty() => Value::Null,
                    (Role::Number, 0..=3 | 5) => {
                        text.trim().parse::<f64>().map_or(json!(text), |n| {
                            if n.fract() == 0.0 {
                                json!(n as i64)
                            } else {
                                json!(n)
                            }
                        })
                    }
                    _ => match text.as_str() {
                        "true" => json!(true),
                        _ => json!(text),
                    },
                };
                put(&mut record, &column.name, value);
            }
            record.insert(
                "extra".to_owned(),
                json!({ "n": row, "list": [row, "a", null] }),
            );
            Value::Object(record)
        })
        .collect()
}

/// Dotted names as the nested objects that they came from.
fn put(record: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((outer, rest)) => {
            let inner = record.entry(outer.to_owned()).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
        None => {
            record.insert(name.to_owned(), value);
        }
    }
}

fn lines(objects: &[Value]) -> String {
    objects.iter().fold(String::new(), |mut all, o| {
        let _ = writeln!(all, "{o}");
        all
    })
}

/// One object with the columns' names in it, each with this JSON as its value.
fn all_with(columns: &[Column], value: &str) -> String {
    let members = columns
        .iter()
        .map(|c| format!("{}: {value}", json!(c.name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// Objects that are one record, or none, of strict JSON.
fn odd_objects(columns: &[Column]) -> Vec<String> {
    let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    [
        "123456789012345678",
        "1234567890123456789",
        "-123456789012345678",
        "1.5e2",
        "1e400",
        "NaN",
        "-Infinity",
        "\"\\ud800\"",
        "\"\\u00e9\"",
        "\"[[[{{\"",
        "{\"a\": {\"b\": 1}, \"c\": [1, {\"d\": null}]}",
        "1e149",
        "1e150",
        "-0.0",
        "false",
        "01",
        "'a'",
    ]
    .iter()
    .map(|v| all_with(columns, v))
    .chain([
        all_with(columns, &nested(MAX_DEPTH - 1)),
        all_with(columns, &nested(MAX_DEPTH)),
        all_with(columns, &format!("\"{}\"", "[]".repeat(MAX_DEPTH))),
    ])
    .collect()
}

fn json_lines(columns: &[Column]) -> Vec<(&'static str, Vec<u8>)> {
    let good = lines(&objects(columns));
    let names: Vec<String> = (0..MAX_FIELDS).map(|i| format!("\"c{i}\": 1")).collect();
    let odd = odd_objects(columns).join("\n");
    vec![
        ("odd_values", format!("{good}{odd}\n").into_bytes()),
        (
            "broken_lines",
            format!("{good}{{\"a\": \n[1]\n3\nnull\n\"x\"\n{{}}\n").into_bytes(),
        ),
        ("nothing_but_broken", b"a\n[]\n".to_vec()),
        (
            "many_fields",
            format!("{{{}}}\n", names.join(", ")).into_bytes(),
        ),
        (
            "too_many_fields",
            format!("{{{}}}\n{good}", names.join(", ")).into_bytes(),
        ),
    ]
}

fn documents(columns: &[Column]) -> Vec<(&'static str, Vec<u8>)> {
    let good = objects(columns);
    let odd = odd_objects(columns);
    // One that is refused refuses the document.
    let (good_odd, bad): (Vec<String>, Vec<String>) =
        odd.into_iter().partition(|o| crate::read::is_json(o));
    let mut all = vec![
        (
            "odd_values",
            format!("[{}]", good_odd.join(", ")).into_bytes(),
        ),
        ("other_items", b"[1, null, {\"a\": 1}, [2], \"x\"]".to_vec()),
        ("no_objects", b"[1, 2]".to_vec()),
        (
            "inside_an_object",
            json!({"total": 3, "list": [1], "rows": good})
                .to_string()
                .into_bytes(),
        ),
        (
            "two_lists",
            json!({"a": good, "b": good}).to_string().into_bytes(),
        ),
        (
            "one_object",
            good.first().unwrap_or(&json!({})).to_string().into_bytes(),
        ),
        ("a_number", b"3".to_vec()),
        ("two_documents", lines(&good).into_bytes()),
        ("cut", json!(good).to_string().into_bytes()[..40].to_vec()),
    ];
    let names = [
        "refused_1",
        "refused_2",
        "refused_3",
        "refused_4",
        "refused_5",
        "refused_6",
        "refused_7",
        "refused_8",
    ];
    all.extend((names.into_iter().zip(bad)).map(|(n, o)| (n, format!("[{o}]").into_bytes())));
    all
}

fn text(columns: &[Column]) -> String {
    let lines = columns.iter().flat_map(|c| &c.values);
    let mut out = String::new();
    for line in lines {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("  a line with blanks around it \t\n10.0.0.1 - - [04/May/2026:06:02:22 +0000] \"GET /a HTTP/1.1\" 200 7\nlast, without an end");
    out
}
