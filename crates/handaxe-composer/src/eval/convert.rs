//! The records in another format; twin of `emit/parts/convert.py`.
//!
//! Values are kept as they are written: a number in CSV becomes a string in JSON.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::number::text;
use super::{EvalError, Source};
use crate::read::{Datum, ReadError, Record, float_text, write_string};
use crate::{Chain, Format, Terminal};

/// Name of the file that a conversion writes.
pub(crate) fn file_name(to: Format) -> String {
    format!("converted.{}", to.as_str())
}

pub(super) fn converted<R: Read>(source: &mut Source<R>, to: Format) -> Result<Value, EvalError> {
    let mut out = Vec::new();
    write(source, to, &mut out)?;
    Ok(json!({ "file": file_name(to), "records": source.matched, "crc32": crc32(&out) }))
}

/// Writes what a `Convert` chain's tool writes to its file; other chains write nothing. Holds all
/// records in memory.
pub fn convert(chain: &Chain, data: impl Read, out: &mut dyn Write) -> Result<(), EvalError> {
    let Terminal::Convert { to } = chain.terminal else {
        return Ok(());
    };
    write(&mut Source::new(chain, data)?, to, out)
}

fn write<R: Read>(
    source: &mut Source<R>,
    to: Format,
    out: &mut dyn Write,
) -> Result<(), EvalError> {
    let mut records = Vec::new();
    while let Some(record) = source.next(&[])? {
        records.push(record);
    }
    let names: Vec<&str> = source.records.fields().iter().map(|f| &**f).collect();
    let written = match to {
        Format::Csv => table(&names, &records, ',', out),
        Format::Tsv => table(&names, &records, '\t', out),
        Format::Jsonl => records
            .iter()
            .try_for_each(|r| writeln!(out, "{}", object(r))),
        Format::Json => array(&records, out),
        Format::Text => return Err(EvalError::TextOutput),
    };
    written.map_err(|e| EvalError::Read(ReadError::Io(e)))
}

/// The checksum of gzip and zip (ISO 3309), bit by bit: it is taken of samples.
fn crc32(bytes: &[u8]) -> u32 {
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
