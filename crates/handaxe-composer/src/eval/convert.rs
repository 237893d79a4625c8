//! The records in another format; twin of `emit/parts/convert.py`.
//!
//! Values are kept as they are written: a number in CSV becomes a string in JSON.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::number::text;
use super::{EvalError, Source};
use crate::Format;
use crate::read::{Datum, ReadError, Record, float_text, write_string};

/// Name of the file that a conversion writes.
pub(crate) fn file_name(to: Format) -> String {
    format!("converted.{}", to.as_str())
}

pub(super) fn converted<R: Read>(source: &mut Source<R>, to: Format) -> Result<Value, EvalError> {
    let out = bytes(source, to)?;
    Ok(json!({ "file": file_name(to), "records": source.matched, "crc32": crc32(&out) }))
}

/// What is written, all of it in memory.
pub(super) fn bytes<R: Read>(source: &mut Source<R>, to: Format) -> Result<Vec<u8>, EvalError> {
    let mut records = Vec::new();
    while let Some(record) = source.next(&[])? {
        records.push(record);
    }
    let fields = source.fields()?;
    let names: Vec<&str> = fields.iter().map(|f| &**f).collect();
    laid_out(&names, &records, to)
}

/// Records as a file of that format.
pub(super) fn laid_out(
    names: &[&str],
    records: &[Record],
    to: Format,
) -> Result<Vec<u8>, EvalError> {
    let mut out = Vec::new();
    let written = match to {
        Format::Csv => table(names, records, ',', &mut out),
        Format::Tsv => table(names, records, '\t', &mut out),
        Format::Jsonl => records
            .iter()
            .try_for_each(|r| writeln!(out, "{}", object(r))),
        Format::Json => array(records, &mut out),
        Format::Text => return Err(EvalError::TextOutput),
    };
    written.map_err(|e| EvalError::Read(ReadError::Io(e)))?;
    Ok(out)
}

/// The checksum of gzip and zip (ISO 3309), bit by bit: it is taken of samples.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn array(records: &[Record], out: &mut dyn Write) -> std::io::Result<()> {
    write!(out, "[")?;
    for (i, record) in records.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        write!(out, "{comma}\n{}", object(record))?;
    }
    writeln!(out, "\n]")
}

fn object(record: &Record) -> String {
    let mut line = String::from("{");
    for (i, (name, value)) in record.fields.iter().enumerate() {
        if i > 0 {
            line.push_str(", ");
        }
        write_string(name, &mut line);
        line.push_str(": ");
        match value {
            Datum::Null => line.push_str("null"),
            Datum::Bool(b) => line.push_str(if *b { "true" } else { "false" }),
            Datum::Int(n) => line.push_str(&n.to_string()),
            Datum::Float(f) => line.push_str(&float_text(*f)),
            Datum::Text(t) => write_string(t, &mut line),
        }
    }
    line.push('}');
    line
}

fn table(
    names: &[&str],
    records: &[Record],
    delimiter: char,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    if !names.is_empty() {
        let header = names.iter().map(|n| (*n).to_owned()).collect();
        writeln!(out, "{}", row(header, delimiter))?;
    }
    records.iter().try_for_each(|record| {
        let cells = names.iter().map(|name| match record.get(name) {
            Datum::Text(t) => t.clone(),
            other => text(other),
        });
        writeln!(out, "{}", row(cells.collect(), delimiter))
    })
}

fn row(cells: Vec<String>, delimiter: char) -> String {
    if let [only] = cells.as_slice()
        && only.is_empty()
    {
        return "\"\"".to_owned();
    }
    let quoted: Vec<String> = cells
        .into_iter()
        .map(|cell| {
            if cell.contains([delimiter, '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell
            }
        })
        .collect();
    quoted.join(&delimiter.to_string())
}
