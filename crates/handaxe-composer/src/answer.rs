//! A tool's output in sentences and small tables that a reader can check. Plain text.

use serde_json::Value;

use crate::words::{bucket_name, condition, measured};
use crate::{Axis, Chain, Order, Terminal};

/// Rows of a table that are shown; the rest is counted.
const SHOWN: usize = 20;
/// Columns of a table, and characters of a cell.
const COLUMNS: usize = 8;
const CELL: usize = 48;

/// The output of `chain`'s tool in words. What does not look like such an output is shown as it is.
/// `columns` are the file's fields in their order.
pub(crate) fn answer(
    chain: &Chain,
    focus: Option<Order>,
    columns: &[String],
    output: &Value,
) -> String {
    let mut text = body(chain, focus, columns, output).unwrap_or_else(|| output.to_string());
    let tail = records(chain, output);
    if !tail.is_empty() {
        text.push('\n');
        text.push_str(&tail);
    }
    text
}

/// The results of a tool made from examples, in order.
pub(crate) fn converted(output: &Value) -> String {
    let one_line = |value: &Value| match value {
        Value::String(text) => clipped(&plain(&Value::from(text.as_str())), 4 * CELL),
        other => clipped(&other.to_string(), 4 * CELL),
    };
    if let Some(result) = output.get("result") {
        return match result {
            Value::Array(rows) => {
                let lines: Vec<String> = rows.iter().take(SHOWN).map(one_line).collect();
                let more = rows.len().saturating_sub(SHOWN);
                let tail = if more > 0 {
                    format!("\n… and {more} more")
                } else {
                    String::new()
                };
                lines.join("\n") + &tail
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
    }
    let Some(results) = list(output, "results") else {
        return output.to_string();
    };
    let mut lines: Vec<String> = results.iter().take(SHOWN).map(one_line).collect();
    if results.len() > SHOWN {
        lines.push(format!("… and {} more", results.len() - SHOWN));
    }
    if let Some(failed) = number(output, "failed").filter(|n| *n > 0) {
        lines.push(format!(
            "{} of {} do not fit the examples and give nothing.",
            grouped(failed),
            grouped(results.len() as u64)
        ));
    }
    lines.join("\n")
}

fn number(output: &Value, name: &str) -> Option<u64> {
    output.get(name)?.as_u64()
}

fn list<'a>(output: &'a Value, name: &str) -> Option<&'a Vec<Value>> {
    output.get(name)?.as_array()
}

/// How many records the answer rests on.
fn records(chain: &Chain, output: &Value) -> String {
    let (Some(read), Some(matched)) = (number(output, "read"), number(output, "matched")) else {
        return String::new();
    };
    let things = if chain.format == crate::Format::Text {
        "lines"
    } else {
        "records"
    };
    let mut text = if chain.filters.is_empty() {
        format!("Read {} {things}", grouped(read))
    } else {
        let kept: Vec<String> = chain.filters.iter().map(condition).collect();
        format!(
            "Read {} {things}, {} of them where {}",
            grouped(read),
            grouped(matched),
            kept.join(" and ")
        )
    };
    for (name, says) in [
        ("unmatched", "without a counterpart in the other file"),
        ("skipped", "skipped as no record"),
        ("undated", "without a date that fits"),
        ("ignored", "values left out as no number"),
        ("unreadable", "unreadable characters"),
    ] {
        if let Some(n) = number(output, name).filter(|n| *n > 0) {
            text = format!("{text}; {} {says}", grouped(n));
        }
    }
    text + "."
}

fn body(chain: &Chain, focus: Option<Order>, columns: &[String], output: &Value) -> Option<String> {
    match &chain.terminal {
        Terminal::Aggregate {
            measures,
            group_by,
            order,
            limit,
        } => {
            if let Some(n) = number(output, "count").filter(|_| output.get("groups").is_none()) {
                return Some(format!("{}.", grouped(n)));
            }
            let groups = list(output, "groups")?;
            let value = |group: &Value, label: &str| group.get("values")?.get(label).cloned();
            if group_by.is_empty() {
                let only = groups.first()?;
                let lines: Vec<String> = measures
                    .iter()
                    .map(|m| {
                        Some(format!(
                            "{} is {}.",
                            capital(&measured(m)),
                            plain(&value(only, &m.label())?)
                        ))
                    })
                    .collect::<Option<_>>()?;
                return Some(lines.join("\n"));
            }
            let mut heads: Vec<String> = group_by.clone();
            heads.extend(measures.iter().map(crate::Measure::label));
            let rows: Vec<Vec<String>> = groups
                .iter()
                .map(|g| {
                    let keys = group_by.iter().map(|k| {
                        g.get("group")
                            .and_then(|x| x.get(k))
                            .map_or(String::new(), plain)
                    });
                    let values = measures
                        .iter()
                        .map(|m| value(g, &m.label()).as_ref().map_or(String::new(), plain));
                    keys.chain(values).collect()
                })
                .collect();
            let total = number(output, "groups_total").unwrap_or(rows.len() as u64);
            let measure = measures.first()?;
            if *limit == Some(1) && rows.len() == 1 && order.is_some() {
                let way = if *order == Some(Order::Descending) {
                    "largest"
                } else {
                    "smallest"
                };
                return Some(format!(
                    "{}: {} is {}, the {way} of {} {} by {}.",
                    rows[0][..group_by.len()].join(", "),
                    measured(measure),
                    rows[0].last()?,
                    grouped(total),
                    if total == 1 { "group" } else { "groups" },
                    group_by.join(", ")
                ));
            }
            let head = if total > rows.len() as u64 {
                format!("{} of {} groups:", rows.len(), grouped(total))
            } else {
                format!(
                    "{} {}:",
                    grouped(total),
                    if total == 1 { "group" } else { "groups" }
                )
            };
            Some(format!("{head}\n{}", table(&heads, &rows)))
        }
        Terminal::Rows {
            fields, order_by, ..
        } => {
            let rows = list(output, "rows")?;
            if rows.is_empty() {
                return Some("No record fits.".to_owned());
            }
            let heads: Vec<String> = if fields.is_empty() {
                let mut all: Vec<String> = rows.first()?.as_object()?.keys().cloned().collect();
                // What they are ordered by must be seen.
                let place = |h: &String| columns.iter().position(|c| c == h);
                all.sort_by_key(|h| (Some(h) != order_by.as_ref(), place(h).unwrap_or(usize::MAX)));
                all
            } else {
                fields.clone()
            };
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|r| {
                    heads
                        .iter()
                        .map(|h| r.get(h).map_or(String::new(), plain))
                        .collect()
                })
                .collect();
            if let [only] = cells.as_slice() {
                return Some(format!("1 record:\n{}", sheet(&heads, only)));
            }
            Some(format!(
                "{} records:\n{}",
                grouped(rows.len() as u64),
                table(&heads, &cells)
            ))
        }
        Terminal::Distinct { field } => {
            let values = list(output, "values")?;
            let shown: Vec<String> = values.iter().take(100).map(plain).collect();
            // Names with commas in them would run into each other.
            let lines = shown.iter().any(|v| v.contains(','));
            let (head, between) = if lines { ("\n  ", "\n  ") } else { (" ", ", ") };
            let more = if values.len() > shown.len() {
                format!(" and {} more", values.len() - shown.len())
            } else {
                String::new()
            };
            Some(format!(
                "{} different values of {field}:{head}{}{more}.",
                grouped(number(output, "distinct")?),
                shown.join(between)
            ))
        }
        Terminal::Frequencies { field, .. } => counted(
            output,
            "values",
            "value",
            field,
            &format!(
                "{} different values of {field}",
                grouped(number(output, "distinct")?)
            ),
        ),
        Terminal::Words { field, .. } => {
            let head = format!(
                "{} words in {field}, {} different",
                grouped(number(output, "total")?),
                grouped(number(output, "distinct")?)
            );
            counted(output, "words", "word", "word", &head)
        }
        Terminal::Extract { .. } => {
            let head = format!(
                "{} found, {} different",
                grouped(number(output, "found")?),
                grouped(number(output, "distinct")?)
            );
            counted(output, "items", "value", "found", &head)
        }
        Terminal::Histogram {
            bucket, measure, ..
        } => {
            let buckets = list(output, "buckets")?;
            let rows: Vec<Vec<String>> = buckets
                .iter()
                .map(|b| {
                    vec![
                        b.get("bucket").map_or(String::new(), plain),
                        b.get("value").map_or(String::new(), plain),
                        b.get("records").map_or(String::new(), plain),
                    ]
                })
                .collect();
            let mut text = String::new();
            if let Some(order) = focus {
                let value = |b: &&Value| b.get("value").and_then(Value::as_f64);
                let with = buckets.iter().filter(|b| value(b).is_some());
                let cmp = |a: &&Value, b: &&Value| {
                    value(a)
                        .partial_cmp(&value(b))
                        .unwrap_or(std::cmp::Ordering::Equal)
                };
                // The first of several that are equal, and the others named.
                let best = if order == Order::Descending {
                    with.max_by(cmp)
                } else {
                    with.min_by(cmp)
                }
                .and_then(|b| value(&b));
                let tops: Vec<String> = buckets
                    .iter()
                    .filter(|b| best.is_some() && value(b) == best)
                    .map(|b| b.get("bucket").map_or(String::new(), plain))
                    .collect();
                let way = if order == Order::Descending {
                    "largest"
                } else {
                    "smallest"
                };
                text = format!(
                    "{}: {} is {}, the {way} of all {} values.\n",
                    tops.join(", "),
                    measured(measure),
                    best.map_or(String::new(), |b| plain(&Value::from(b))),
                    bucket_name(*bucket)
                );
            }
            let heads = [
                bucket_name(*bucket).to_owned(),
                measure.label(),
                "records".to_owned(),
            ];
            text.push_str(&table(&heads, &rows));
            Some(text)
        }
        Terminal::Sentiment { group_by, .. } => sentiment(output, group_by.as_deref()),
        Terminal::Convert { .. } => Some(format!(
            "Wrote {} records to {}.",
            grouped(number(output, "records")?),
            output.get("file")?.as_str()?
        )),
        Terminal::Share { wanted } => {
            let tests: Vec<String> = wanted.iter().map(condition).collect();
            Some(format!(
                "{} % ({} of {}) where {}.",
                plain(output.get("value")?),
                grouped(number(output, "count")?),
                grouped(number(output, "of")?),
                tests.join(" and ")
            ))
        }
        Terminal::Compare { measure, field, .. } => Some(format!(
            "{}: {} for the one {field}, {} for the other ({}).",
            plain(output.get("value")?),
            plain(output.get("left")?),
            plain(output.get("right")?),
            measured(measure)
        )),
        Terminal::Duplicates { .. } => Some(format!(
            "{} duplicates, {} different.",
            grouped(number(output, "count")?),
            grouped(number(output, "distinct")?)
        )),
        Terminal::Pivot {
            rows,
            columns,
            measure,
        } => {
            let mut heads = vec![format!("{} / {}", axis(rows), axis(columns))];
            heads.extend(list(output, "columns")?.iter().map(plain));
            let lines: Vec<Vec<String>> = (list(output, "rows")?.iter())
                .map(|row| {
                    let name = row.get("row").map_or(String::new(), plain);
                    let cells = row.get("values").and_then(Value::as_array);
                    let cells = cells.into_iter().flatten().map(plain);
                    std::iter::once(name).chain(cells).collect()
                })
                .collect();
            let what = capital(&measured(measure));
            Some(format!("{what}:\n{}", table(&heads, &lines)))
        }
        Terminal::Clean { .. } => {
            let mut text = format!(
                "Wrote {} records to {}",
                grouped(number(output, "written")?),
                output.get("file")?.as_str()?
            );
            for (name, says) in [
                ("removed", "duplicates left out"),
                ("changed", "values changed"),
                ("odd", "values left as they are, being no such thing"),
            ] {
                if let Some(n) = number(output, name).filter(|n| *n > 0) {
                    text = format!("{text}; {says}: {}", grouped(n));
                }
            }
            Some(text + ".")
        }
        Terminal::Describe => {
            let fields = list(output, "fields")?;
            let columns = [
                "name", "type", "filled", "blank", "distinct", "min", "max", "mean",
            ];
            let heads: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
            let rows: Vec<Vec<String>> = fields
                .iter()
                .map(|f| {
                    columns
                        .iter()
                        .map(|c| f.get(*c).map_or(String::new(), plain))
                        .collect()
                })
                .collect();
            Some(format!(
                "{} fields:\n{}",
                fields.len(),
                table(&heads, &rows)
            ))
        }
    }
}

fn counted(output: &Value, name: &str, key: &str, column: &str, head: &str) -> Option<String> {
    let items = list(output, name)?;
    if items.is_empty() {
        return Some(format!("{head}."));
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|i| Some(vec![plain(i.get(key)?), plain(i.get("count")?)]))
        .collect::<Option<_>>()?;
    if let [only] = rows.as_slice() {
        let times = match only[1].as_str() {
            "1" => "once".to_owned(),
            n => format!("{n} times"),
        };
        return Some(format!("{}, {times}; {head}.", only[0]));
    }
    Some(format!(
        "{head}:\n{}",
        table(&[column.to_owned(), "count".to_owned()], &rows)
    ))
}

fn sentiment(output: &Value, group_by: Option<&str>) -> Option<String> {
    let class = |v: &Value, name: &str| v.get(name).and_then(Value::as_u64);
    let all = output.get("totals")?;
    let (positive, neutral, negative) = (
        class(all, "positive")?,
        class(all, "neutral")?,
        class(all, "negative")?,
    );
    let total = (positive + neutral + negative).max(1);
    let share = |n: u64| format!("{} ({:.0} %)", grouped(n), n as f64 * 100.0 / total as f64);
    let mean = output.get("mean_score").map_or(String::new(), plain);
    let mut text = format!(
        "{} positive, {} neutral, {} negative; the mean score is {mean}.",
        share(positive),
        share(neutral),
        share(negative)
    );
    if let (Some(field), Some(groups)) = (group_by, list(output, "groups"))
        && !groups.is_empty()
    {
        let columns = ["positive", "neutral", "negative", "mean_score"];
        let mut heads = vec![field.to_owned()];
        heads.extend(columns.iter().map(|c| (*c).to_owned()));
        let rows: Vec<Vec<String>> = groups
            .iter()
            .map(|g| {
                let name = g
                    .get("group")
                    .or_else(|| g.get("value"))
                    .map_or(String::new(), plain);
                std::iter::once(name)
                    .chain(
                        columns
                            .iter()
                            .map(|c| g.get(*c).map_or(String::new(), plain)),
                    )
                    .collect()
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&heads, &rows));
    }
    for (name, says) in [
        ("most_negative", "Most negative"),
        ("most_positive", "Most positive"),
    ] {
        let Some(examples) = list(output, name).filter(|e| !e.is_empty()) else {
            continue;
        };
        text = format!("{text}\n{says}:");
        for e in examples.iter().take(3) {
            let words: String = clipped(&e.get("text").map_or(String::new(), plain), 100);
            text = format!(
                "{text}\n  line {}, {}: {words}",
                e.get("line").map_or(String::new(), plain),
                e.get("score").map_or(String::new(), plain)
            );
        }
    }
    Some(text)
}

/// `region`, `month`.
fn axis(axis: &Axis) -> &str {
    match axis.bucket {
        Some(bucket) => bucket_name(bucket),
        None => &axis.field,
    }
}

/// A value as a reader wants it: at most four places, thousands grouped, no control characters.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(s) => s
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        Value::Number(n) => match (n.as_u64(), n.as_i64(), n.as_f64()) {
            (Some(u), _, _) => grouped(u),
            (_, Some(i), _) => format!("-{}", grouped(i.unsigned_abs())),
            (_, _, Some(f)) => decimal(f),
            _ => n.to_string(),
        },
        other => other.to_string(),
    }
}

fn decimal(f: f64) -> String {
    if f != 0.0 && (f.abs() < 0.001 || f.abs() >= 1e15) {
        return format!("{f:e}");
    }
    let text = format!("{f:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |d| ("-", d));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// `12,345`; years and other small numbers stay as they are.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

fn clipped(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain("…".chars()).collect()
}

/// Columns on a terminal: the scripts of East Asia take two for a character.
fn width_of(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1f64f
            | 0x1f900..=0x1f9ff
            | 0x20000..=0x3fffd => 2,
            0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
            _ => 1,
        })
        .sum()
}

/// One record, a field a line.
fn sheet(heads: &[String], cells: &[String]) -> String {
    let width = heads.iter().map(|h| width_of(h)).max().unwrap_or(0);
    let lines: Vec<String> = heads
        .iter()
        .zip(cells)
        .map(|(head, cell)| {
            let pad = " ".repeat(width - width_of(head));
            format!("  {head}{pad}  {}", clipped(cell, 2 * CELL))
        })
        .collect();
    lines.join("\n")
}

/// An aligned table: text to the left, numbers to the right.
fn table(heads: &[String], rows: &[Vec<String>]) -> String {
    let columns = heads.len().min(COLUMNS);
    let cell = if columns == 1 { 4 * CELL } else { CELL };
    let shown: Vec<Vec<String>> = rows
        .iter()
        .take(SHOWN)
        .map(|r| {
            (0..columns)
                .map(|c| clipped(r.get(c).map_or("", String::as_str), cell))
                .collect()
        })
        .collect();
    let numeric = |c: usize| {
        shown.iter().all(|r| {
            // Not an address or a date, whose parts line up from the left.
            r[c].chars()
                .all(|x| x.is_ascii_digit() || "-.,e".contains(x))
                && r[c].matches('.').count() < 2
                && r[c].matches('-').count() < 2
        })
    };
    let width = |c: usize| {
        shown
            .iter()
            .map(|r| width_of(&r[c]))
            .chain([width_of(&clipped(&heads[c], cell))])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let right: Vec<bool> = (0..columns).map(numeric).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = (0..columns)
            .map(|c| {
                let pad = " ".repeat(widths[c].saturating_sub(width_of(&cells[c])));
                if right[c] {
                    format!("{pad}{}", cells[c])
                } else {
                    format!("{}{pad}", cells[c])
                }
            })
            .collect();
        format!("  {}", padded.join("  ").trim_end())
    };
    let heads_shown: Vec<String> = heads
        .iter()
        .take(columns)
        .map(|h| clipped(h, cell))
        .collect();
    let mut lines = vec![line(&heads_shown)];
    lines.extend(shown.iter().map(|r| line(r)));
    if rows.len() > SHOWN {
        lines.push(format!("  … and {} more", rows.len() - SHOWN));
    }
    if heads.len() > columns {
        lines.push(format!(
            "  ({} more fields: {})",
            heads.len() - columns,
            heads[columns..].join(", ")
        ));
    }
    lines.join("\n")
}
