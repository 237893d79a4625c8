//! Reshaping: rows in, rows out, by steps whose names are the field's; twin of
//! `emit/parts/example_table.py`.

use serde_json::{Map, Value, json};

use super::text::scalar;
use super::value::{Program, same};
use crate::eval::number::{Number, parse_number};

/// How the input is read as rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// A list of objects; of scalars, each as `value`.
    Rows,
    /// The list under a name, each of its objects with the scalars beside it.
    Inside(String),
    /// An object of lists: columns.
    Columns,
    /// An object of objects, or of scalars: each with its name in this field (and its value in
    /// `value`).
    Keyed(String),
    Csv(String),
    Jsonl,
    Lines,
}

/// How the rows are given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Render {
    Rows,
    Columns,
    /// An object: each row under its value of a field, without it.
    Keyed(String),
    /// An object: one field's value by another's.
    Map(String, String),
    /// One field's values.
    List(String),
    Csv(String, Vec<String>),
    /// An object a line, with these names in order, blanks behind the signs or not.
    Jsonl(Vec<String>, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    Sum,
    Count,
    Mean,
    Max,
    Min,
    First,
    Last,
    /// All values in a list.
    List,
    /// All values joined by a comma and a blank.
    Join,
}

impl Fold {
    pub(super) const ALL: [Self; 9] = [
        Self::Sum,
        Self::Count,
        Self::Mean,
        Self::Max,
        Self::Min,
        Self::First,
        Self::Last,
        Self::List,
        Self::Join,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Min => "min",
            Self::First => "first",
            Self::Last => "last",
            Self::List => "list",
            Self::Join => "join",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Nested objects become dotted fields.
    Flatten,
    /// One row for each element of a list in a field.
    Explode(String),
    /// One row for each part of a field's text.
    SplitRows(String, String),
    /// Every field but these becomes a row with its name and value (wide to long).
    Melt {
        keep: Vec<String>,
        name: String,
        value: String,
        order: Vec<String>,
    },
    /// The reverse: one row for each set of the other fields (long to wide).
    Pivot {
        name: String,
        value: String,
    },
    Where(String, Value, bool),
    Filled(String),
    Sort(String, bool),
    Unique(Vec<String>),
    Group {
        by: Vec<String>,
        folds: Vec<(String, Fold, String)>,
    },
    /// Blanks take the value above them.
    FillDown(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) source: Source,
    pub(crate) steps: Vec<Step>,
    /// The fields of each row; all as they are where `None`.
    pub(crate) fields: Option<Vec<(String, Program)>>,
    pub(crate) render: Render,
}

pub(super) type Row = Map<String, Value>;
pub(super) type Rows = Vec<Row>;

/// Most rows of one table.
const MAX_ROWS: usize = 100_000;

impl Source {
    pub(crate) fn read(&self, input: &Value) -> Option<Rows> {
        match self {
            Self::Rows => input
                .as_array()?
                .iter()
                .map(|v| match v {
                    Value::Object(map) => Some(map.clone()),
                    Value::Array(_) => None,
                    scalar => Some(Row::from_iter([("value".to_owned(), scalar.clone())])),
                })
                .collect(),
            Self::Inside(name) => {
                let parent = input.as_object()?;
                explode(parent, name)
            }
            Self::Columns => {
                let columns = input.as_object()?;
                let length = columns.values().next()?.as_array()?.len();
                (0..length)
                    .map(|i| {
                        columns
                            .iter()
                            .map(|(name, list)| {
                                let list = list.as_array().filter(|l| l.len() == length)?;
                                Some((name.clone(), list[i].clone()))
                            })
                            .collect()
                    })
                    .collect()
            }
            Self::Keyed(key) => input
                .as_object()?
                .iter()
                .map(|(name, value)| {
                    let mut row = match value {
                        Value::Object(map) => map.clone(),
                        Value::Array(_) => return None,
                        scalar => Row::from_iter([("value".to_owned(), scalar.clone())]),
                    };
                    row.insert(key.clone(), Value::from(name.clone()));
                    Some(row)
                })
                .collect(),
            Self::Csv(by) => {
                let text = input.as_str()?;
                let mut lines = text
                    .split('\n')
                    .map(|l| l.trim_end_matches('\r'))
                    .filter(|l| !l.is_empty());
                let names: Vec<&str> = lines
                    .next()?
                    .split(by.as_str())
                    .map(|n| n.trim_matches(' '))
                    .collect();
                lines
                    .map(|line| {
                        let cells: Vec<&str> = line
                            .split(by.as_str())
                            .map(|c| c.trim_matches(' '))
                            .collect();
                        (cells.len() == names.len()).then(|| {
                            names
                                .iter()
                                .zip(cells)
                                .map(|(n, c)| ((*n).to_owned(), Value::from(c)))
                                .collect()
                        })
                    })
                    .collect()
            }
            Self::Jsonl => input
                .as_str()?
                .split('\n')
                .filter(|l| !l.trim().is_empty())
                .map(|l| serde_json::from_str::<Row>(l).ok())
                .collect(),
            Self::Lines => Some(
                input
                    .as_str()?
                    .split('\n')
                    .filter(|l| !l.trim_matches([' ', '\t', '\r']).is_empty())
                    .map(|l| {
                        Row::from_iter([("line".to_owned(), Value::from(l.trim_end_matches('\r')))])
                    })
                    .collect(),
            ),
        }
    }
}

/// One row for each element of the list at `name`, with the scalars beside it.
fn explode(parent: &Row, name: &str) -> Option<Rows> {
    let list = parent.get(name)?.as_array()?;
    let beside: Row = parent
        .iter()
        .filter(|(k, v)| *k != name && !v.is_array())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    Some(
        list.iter()
            .map(|item| {
                let mut row = beside.clone();
                match item {
                    Value::Object(map) => row.extend(map.clone()),
                    scalar => {
                        row.insert(name.to_owned(), scalar.clone());
                    }
                }
                row
            })
            .collect(),
    )
}

fn flat(prefix: &str, map: &Row, out: &mut Row) {
    for (name, value) in map {
        match value {
            Value::Object(inner) => flat(&format!("{prefix}{name}."), inner, out),
            other => {
                out.insert(format!("{prefix}{name}"), other.clone());
            }
        }
    }
}

pub(super) fn blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(s)) => s.trim_matches(' ').is_empty(),
        _ => false,
    }
}

/// Numbers before texts, both in order.
fn sort_key(value: Option<&Value>) -> (u8, Number, String) {
    let text = value.and_then(scalar).unwrap_or_default();
    match parse_number(&text) {
        _ if text.is_empty() => (2, Number::Int(0), String::new()),
        Some(n) => (0, n, String::new()),
        None => (1, Number::Int(0), text),
    }
}

/// Rows with the same values in some fields, in order of first appearance.
pub(super) fn grouped(rows: &Rows, by: &[String]) -> Vec<(Vec<Value>, Rows)> {
    let mut groups: Vec<(Vec<Value>, Rows)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for row in rows {
        let key: Vec<Value> = by
            .iter()
            .map(|b| row.get(b).cloned().unwrap_or(Value::Null))
            .collect();
        let text = Value::Array(key.clone()).to_string();
        let at = *places.entry(text).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(row.clone());
    }
    groups
}

pub(super) fn fold(rows: &Rows, field: &str, fold: Fold) -> Option<Value> {
    let values: Vec<Value> = rows
        .iter()
        .map(|r| r.get(field).cloned().unwrap_or(Value::Null))
        .collect();
    let numbers = || -> Option<Vec<Number>> {
        values
            .iter()
            .map(|v| scalar(v).and_then(|t| parse_number(&t)))
            .collect()
    };
    let sum = |numbers: &[Number]| {
        let mut sum = crate::eval::Sum::default();
        for n in numbers {
            sum.add(*n);
        }
        sum
    };
    let best = |wanted| {
        let mut best: Option<Number> = None;
        for n in numbers()? {
            if best.is_none_or(|b| n.order(b) == wanted) {
                best = Some(n);
            }
        }
        best.map(Number::json)
    };
    match fold {
        Fold::Count => Some(json!(rows.len())),
        Fold::Sum => Some(sum(&numbers()?).total().json()),
        Fold::Mean => sum(&numbers()?).mean().map(|m| json!(m)),
        Fold::Max => best(std::cmp::Ordering::Greater),
        Fold::Min => best(std::cmp::Ordering::Less),
        Fold::First => values.first().cloned(),
        Fold::Last => values.last().cloned(),
        Fold::List => Some(Value::Array(values)),
        Fold::Join => {
            let texts: Vec<String> = values.iter().map(scalar).collect::<Option<_>>()?;
            Some(Value::from(texts.join(", ")))
        }
    }
}

impl Step {
    pub(crate) fn run(&self, rows: Rows) -> Option<Rows> {
        let out = match self {
            Self::Flatten => rows
                .iter()
                .map(|row| {
                    let mut out = Row::new();
                    flat("", row, &mut out);
                    out
                })
                .collect(),
            Self::Explode(name) => {
                let mut out = Vec::new();
                for row in &rows {
                    out.extend(explode(row, name)?);
                }
                out
            }
            Self::SplitRows(name, by) => {
                let mut out = Vec::new();
                for row in &rows {
                    for part in scalar(row.get(name)?)?.split(by.as_str()) {
                        let mut row = row.clone();
                        row.insert(name.clone(), Value::from(part.trim_matches(' ')));
                        out.push(row);
                    }
                }
                out
            }
            Self::Melt {
                keep,
                name,
                value,
                order,
            } => {
                let mut out = Vec::new();
                for row in &rows {
                    let mut rest: Vec<&String> = row.keys().filter(|k| !keep.contains(k)).collect();
                    rest.sort_by_key(|k| {
                        (
                            order.iter().position(|o| o == *k).unwrap_or(order.len()),
                            *k,
                        )
                    });
                    for field in rest {
                        let mut long: Row = keep
                            .iter()
                            .map(|k| Some((k.clone(), row.get(k)?.clone())))
                            .collect::<Option<_>>()?;
                        long.insert(name.clone(), Value::from(field.clone()));
                        long.insert(value.clone(), row[field].clone());
                        out.push(long);
                    }
                }
                out
            }
            Self::Pivot { name, value } => {
                let rest: Vec<String> = rows
                    .first()?
                    .keys()
                    .filter(|k| *k != name && *k != value)
                    .cloned()
                    .collect();
                let mut out = Vec::new();
                for (key, members) in grouped(&rows, &rest) {
                    let mut wide: Row = rest.iter().cloned().zip(key).collect();
                    for row in &members {
                        wide.insert(scalar(row.get(name)?)?, row.get(value)?.clone());
                    }
                    out.push(wide);
                }
                out
            }
            Self::Where(name, value, is) => rows
                .into_iter()
                .filter(|r| r.get(name).is_some_and(|v| same(v, value)) == *is)
                .collect(),
            Self::Filled(name) => rows.into_iter().filter(|r| !blank(r.get(name))).collect(),
            Self::Sort(name, descending) => {
                let mut rows = rows;
                rows.sort_by(|a, b| {
                    let (a, b) = (sort_key(a.get(name)), sort_key(b.get(name)));
                    let within = a.1.order(b.1).then_with(|| a.2.cmp(&b.2));
                    a.0.cmp(&b.0).then(if *descending {
                        within.reverse()
                    } else {
                        within
                    })
                });
                rows
            }
            Self::Unique(by) => {
                let groups = grouped(&rows, by);
                groups
                    .into_iter()
                    .filter_map(|(_, rows)| rows.into_iter().next())
                    .collect()
            }
            Self::Group { by, folds } => {
                let mut out = Vec::new();
                for (key, members) in grouped(&rows, by) {
                    let mut row: Row = by.iter().cloned().zip(key).collect();
                    for (field, how, called) in folds {
                        row.insert(called.clone(), fold(&members, field, *how)?);
                    }
                    out.push(row);
                }
                out
            }
            Self::FillDown(name) => {
                let mut last = Value::Null;
                let mut rows = rows;
                for row in &mut rows {
                    if blank(row.get(name)) {
                        row.insert(name.clone(), last.clone());
                    } else {
                        last = row[name].clone();
                    }
                }
                rows
            }
        };
        (out.len() <= MAX_ROWS).then_some(out)
    }
}

impl Render {
    pub(crate) fn write(&self, rows: &Rows) -> Option<Value> {
        match self {
            Self::Rows => Some(Value::Array(
                rows.iter().cloned().map(Value::Object).collect(),
            )),
            Self::Columns => {
                let mut columns = Row::new();
                for name in rows.first()?.keys() {
                    let values: Vec<Value> = rows
                        .iter()
                        .map(|r| r.get(name).cloned())
                        .collect::<Option<_>>()?;
                    columns.insert(name.clone(), Value::Array(values));
                }
                Some(Value::Object(columns))
            }
            Self::Keyed(key) => {
                let mut out = Row::new();
                for row in rows {
                    let mut row = row.clone();
                    let name = scalar(&row.remove(key)?)?;
                    out.insert(name, Value::Object(row));
                }
                Some(Value::Object(out))
            }
            Self::Map(key, value) => {
                let mut out = Row::new();
                for row in rows {
                    out.insert(scalar(row.get(key)?)?, row.get(value)?.clone());
                }
                Some(Value::Object(out))
            }
            Self::List(name) => rows
                .iter()
                .map(|r| r.get(name).cloned())
                .collect::<Option<Vec<_>>>()
                .map(Value::Array),
            Self::Csv(by, names) => {
                let mut lines = vec![names.join(by)];
                for row in rows {
                    let cells: Vec<String> = names
                        .iter()
                        .map(|n| match row.get(n) {
                            Some(Value::Null) => Some(String::new()),
                            Some(v) => scalar(v),
                            None => None,
                        })
                        .collect::<Option<_>>()?;
                    lines.push(cells.join(by));
                }
                Some(Value::from(lines.join("\n")))
            }
            Self::Jsonl(names, spaced) => {
                let (colon, comma) = if *spaced { (": ", ", ") } else { (":", ",") };
                let member = |row: &Row, name: &String| {
                    let value = match row.get(name)? {
                        Value::Array(_) | Value::Object(_) => return None,
                        Value::String(s) => quoted(s),
                        Value::Null => "null".to_owned(),
                        other => scalar(other)?,
                    };
                    Some(format!("{}{colon}{value}", quoted(name)))
                };
                let lines: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let members: Option<Vec<String>> =
                            names.iter().map(|n| member(row, n)).collect();
                        Some(format!("{{{}}}", members?.join(comma)))
                    })
                    .collect::<Option<_>>()?;
                Some(Value::from(lines.join("\n")))
            }
        }
    }
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    crate::read::write_string(text, &mut out);
    out
}

impl Table {
    pub(crate) fn run(&self, input: &Value) -> Option<Value> {
        let mut rows = self.source.read(input)?;
        for step in &self.steps {
            rows = step.run(rows)?;
        }
        if let Some(fields) = &self.fields {
            rows = rows
                .into_iter()
                .map(|row| {
                    let row = Value::Object(row);
                    fields
                        .iter()
                        .map(|(name, program)| Some((name.clone(), program.run(&row)?)))
                        .collect()
                })
                .collect::<Option<_>>()?;
        }
        self.render.write(&rows)
    }
}
