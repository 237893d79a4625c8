//! The search for reshapings: bottom up, one chain of steps for each set of tables that it gives,
//! the shortest chains first; the fields of the rows are found like any other program.

use serde_json::{Value, json};

use super::search::Found;
use super::stop::Stop;
use super::table::{Fold, Render, Row, Rows, Source, Step, Table, blank, fold, grouped, quoted};
use super::text::scalar;
use super::value::{at, column, same};

/// Ways to read an output back as rows, each with the rendering that gives it.
fn targets(outs: &[Value]) -> Vec<(Render, Vec<Rows>)> {
    let mut out = Vec::new();
    let mut add = |render: Render, read: &dyn Fn(&Value) -> Option<Rows>| {
        if let Some(rows) = outs.iter().map(read).collect::<Option<Vec<Rows>>>()
            && rows.iter().any(|r| !r.is_empty())
        {
            out.push((render, rows));
        }
    };
    let objects = |v: &Value| v.as_array().is_some_and(|l| l.iter().all(Value::is_object));
    if outs.iter().all(objects) {
        add(Render::Rows, &|v| Source::Rows.read(v));
    } else if outs.iter().all(Value::is_array) {
        add(Render::List("value".to_owned()), &|v| Source::Rows.read(v));
    }
    if outs.iter().all(Value::is_object) {
        let all = |test: &dyn Fn(&Value) -> bool| {
            outs.iter()
                .all(|o| o.as_object().is_some_and(|m| m.values().all(test)))
        };
        if all(&Value::is_array) {
            add(Render::Columns, &|v| Source::Columns.read(v));
        }
        if all(&Value::is_object) {
            add(Render::Keyed("key".to_owned()), &|v| {
                Source::Keyed("key".to_owned()).read(v)
            });
        }
        if all(&|v| !v.is_object() && !v.is_array()) {
            add(Render::Map("key".to_owned(), "value".to_owned()), &|v| {
                Source::Keyed("key".to_owned()).read(v)
            });
        }
    }
    if outs
        .iter()
        .all(|o| o.as_str().is_some_and(|s| s.contains('\n')))
    {
        let first = outs.first().and_then(Value::as_str).unwrap_or_default();
        let line = first.split('\n').next().unwrap_or_default();
        if let Ok(row) = serde_json::from_str::<Row>(line) {
            let mut names: Vec<String> = row.keys().cloned().collect();
            names.sort_by_key(|n| line.find(&format!("{}:", quoted(n))));
            let spaced = line.contains("\": ");
            add(Render::Jsonl(names, spaced), &|v| Source::Jsonl.read(v));
        }
        for by in [",", "\t", ";", "|"] {
            let header = |v: &Value| {
                v.as_str()
                    .and_then(|s| s.split('\n').next())
                    .map(|l| l.split(by).map(str::to_owned).collect::<Vec<_>>())
            };
            if let Some(Some(names)) = outs.first().map(header)
                && names.len() > 1
                && outs.iter().all(|o| header(o).as_ref() == Some(&names))
            {
                add(Render::Csv(by.to_owned(), names), &|v| {
                    Source::Csv(by.to_owned()).read(v)
                });
            }
        }
    }
    out
}

fn sources(ins: &[Value]) -> Vec<Source> {
    let mut out = Vec::new();
    if ins.iter().all(Value::is_array) {
        out.push(Source::Rows);
    }
    if let Some(Value::Object(first)) = ins.first() {
        for (name, value) in first {
            if value.is_array() {
                out.push(Source::Inside(name.clone()));
            }
        }
        out.push(Source::Columns);
        out.push(Source::Keyed("key".to_owned()));
    }
    if ins.iter().all(Value::is_string) {
        out.push(Source::Jsonl);
        for by in [",", "\t", ";", "|"] {
            out.push(Source::Csv(by.to_owned()));
        }
        out.push(Source::Lines);
    }
    out
}

/// Fields that every row of every table has, and scalar values in them.
fn fields_of(tables: &[Rows]) -> Vec<String> {
    let mut names: Option<Vec<String>> = None;
    for row in tables.iter().flatten() {
        names = Some(match names {
            None => row.keys().cloned().collect(),
            Some(names) => names.into_iter().filter(|n| row.contains_key(n)).collect(),
        });
    }
    names.unwrap_or_default()
}

/// Steps that may help from these tables towards those.
fn steps(tables: &[Rows], wanted: &[Rows], stop: Stop<'_>) -> Vec<(Step, f64)> {
    let mut out = Vec::new();
    let have = fields_of(tables);
    let want = fields_of(wanted);
    let any_row = |test: &dyn Fn(&Row) -> bool| tables.iter().flatten().any(test);
    let (from, to): (usize, usize) = (
        tables.iter().map(Vec::len).sum(),
        wanted.iter().map(Vec::len).sum(),
    );
    if any_row(&|r| r.values().any(Value::is_object)) {
        out.push((Step::Flatten, 0.4));
    }
    for name in &have {
        if tables.iter().flatten().all(|r| r[name].is_array()) {
            out.push((Step::Explode(name.clone()), 0.6));
        }
        if to > from {
            for by in [", ", ",", ";", "; ", "|", "/", " "] {
                if any_row(&|r| r[name].as_str().is_some_and(|s| s.contains(by))) {
                    out.push((Step::SplitRows(name.clone(), by.to_owned()), 1.0));
                }
            }
        }
        if any_row(&|r| blank(r.get(name))) {
            out.push((Step::FillDown(name.clone()), 0.9));
            if to < from {
                out.push((Step::Filled(name.clone()), 0.9));
            }
        }
    }
    if to > from {
        // Wide to long: two fields of the output that are not there yet.
        let keep: Vec<String> = have.iter().filter(|h| want.contains(h)).cloned().collect();
        let new: Vec<&String> = want.iter().filter(|w| !have.contains(w)).collect();
        let mut keeps = vec![keep];
        keeps.extend(have.iter().map(|h| vec![h.clone()]));
        for keep in keeps {
            let pairs: Vec<(String, String)> = if new.len() >= 2 {
                new.iter()
                    .flat_map(|a| {
                        new.iter()
                            .filter(move |b| a != *b)
                            .map(|b| ((*a).clone(), (*b).clone()))
                    })
                    .collect()
            } else {
                vec![("name".to_owned(), "value".to_owned())]
            };
            for (name, value) in pairs.into_iter().take(12) {
                let mut order: Vec<String> = Vec::new();
                for row in wanted.iter().flatten() {
                    if let Some(n) = row.get(&name).and_then(scalar)
                        && !order.contains(&n)
                    {
                        order.push(n);
                    }
                }
                out.push((
                    Step::Melt {
                        keep: keep.clone(),
                        name,
                        value,
                        order,
                    },
                    1.0 + 0.05 * keep.len() as f64,
                ));
            }
        }
    }
    if to < from {
        for name in &have {
            for value in have.iter().filter(|v| *v != name) {
                let named = tables
                    .iter()
                    .flatten()
                    .filter_map(|r| scalar(&r[name]))
                    .any(|v| {
                        want.contains(&v) || wanted.iter().flatten().any(|w| w.contains_key(&v))
                    });
                if named {
                    let step = Step::Pivot {
                        name: name.clone(),
                        value: value.clone(),
                    };
                    out.push((step, 1.0));
                }
            }
            let mut values: Vec<Value> = Vec::new();
            for row in tables.iter().flatten() {
                if scalar(&row[name]).is_some() && !values.contains(&row[name]) {
                    values.push(row[name].clone());
                }
            }
            if values.len() <= 12 {
                for value in values {
                    out.push((Step::Where(name.clone(), value.clone(), true), 1.1));
                    out.push((Step::Where(name.clone(), value, false), 1.2));
                }
            }
            out.push((Step::Unique(vec![name.clone()]), 1.1));
        }
        out.push((Step::Unique(have.clone()), 0.8));
        out.extend(groups(tables, wanted, &have, stop));
    }
    for name in &have {
        out.push((Step::Sort(name.clone(), false), 0.9));
        out.push((Step::Sort(name.clone(), true), 0.95));
    }
    out
}

/// Groupings of which every new field of the output is a fold of something.
fn groups(tables: &[Rows], wanted: &[Rows], have: &[String], stop: Stop<'_>) -> Vec<(Step, f64)> {
    let mut out = Vec::new();
    let want = fields_of(wanted);
    let mut bys: Vec<Vec<String>> = have.iter().map(|h| vec![h.clone()]).collect();
    for (i, a) in have.iter().enumerate() {
        for b in &have[i + 1..] {
            bys.push(vec![a.clone(), b.clone()]);
        }
    }
    for by in bys.into_iter().take(40) {
        if stop() {
            break;
        }
        let parts: Vec<Vec<(Vec<Value>, Rows)>> = tables.iter().map(|t| grouped(t, &by)).collect();
        if parts.iter().zip(wanted).any(|(p, w)| p.len() != w.len()) {
            continue;
        }
        let mut folds = Vec::new();
        for name in want.iter().filter(|w| !by.contains(w)) {
            // As a set: the order may come of a later step.
            let found = have
                .iter()
                .filter(|h| !by.contains(h))
                .chain(by.first())
                .flat_map(|field| Fold::ALL.map(|f| (field, f)))
                .find(|(field, how)| {
                    parts.iter().zip(wanted).all(|(groups, rows)| {
                        let got: Option<Vec<Value>> =
                            groups.iter().map(|(_, m)| fold(m, field, *how)).collect();
                        got.is_some_and(|got| {
                            let mut left: Vec<&Value> = rows.iter().map(|r| &r[name]).collect();
                            got.iter().all(|g| {
                                // Each is looked for among all: long where they are many.
                                if stop() {
                                    return false;
                                }
                                let at = left.iter().position(|l| same(l, g));
                                at.map(|at| left.remove(at)).is_some()
                            })
                        })
                    })
                });
            if let Some((field, how)) = found {
                folds.push((field.clone(), how, name.clone()));
            }
        }
        if !folds.is_empty() {
            let cost = 1.0 + 0.1 * (by.len() + folds.len()) as f64;
            out.push((Step::Group { by, folds }, cost));
        }
    }
    out
}

/// Most tables looked at, most steps in a chain.
const MAX_NODES: usize = 600;
const MAX_STEPS: usize = 3;

struct Node {
    source: Source,
    steps: Vec<Step>,
    tables: Vec<Rows>,
    cost: f64,
}

/// Reshaping programs, cheapest first.
pub(crate) fn tables(ins: &[Value], outs: &[Value], stop: Stop<'_>) -> Vec<Found<Table>> {
    let mut all: Vec<Found<Table>> = Vec::new();
    for (render, wanted) in targets(outs) {
        let mut level: Vec<Node> = sources(ins)
            .into_iter()
            .filter_map(|source| {
                let tables = ins
                    .iter()
                    .map(|i| source.read(i))
                    .collect::<Option<Vec<_>>>()?;
                Some(Node {
                    source,
                    steps: Vec::new(),
                    tables,
                    cost: 0.3,
                })
            })
            .collect();
        let mut seen = std::collections::HashSet::new();
        for depth in 0..=MAX_STEPS {
            for node in &level {
                if let Some(done) = finish(node, &render, &wanted, stop) {
                    all.push(done);
                }
            }
            if !all.is_empty() || depth == MAX_STEPS {
                break;
            }
            let mut next: Vec<Node> = Vec::new();
            for node in &level {
                for (step, cost) in steps(&node.tables, &wanted, stop) {
                    if stop() {
                        return Vec::new();
                    }
                    let tables: Option<Vec<Rows>> =
                        node.tables.iter().map(|t| step.run(t.clone())).collect();
                    let Some(tables) = tables else { continue };
                    if tables == node.tables || tables.iter().all(Vec::is_empty) {
                        continue;
                    }
                    let key = json!(tables).to_string();
                    if !seen.insert(key) {
                        continue;
                    }
                    let mut steps = node.steps.clone();
                    steps.push(step);
                    next.push(Node {
                        source: node.source.clone(),
                        steps,
                        tables,
                        cost: node.cost + cost,
                    });
                }
            }
            next.sort_by(|a, b| {
                let fits = |n: &Node| {
                    n.tables
                        .iter()
                        .zip(&wanted)
                        .all(|(t, w)| t.len() == w.len())
                };
                fits(b).cmp(&fits(a)).then(a.cost.total_cmp(&b.cost))
            });
            next.truncate(MAX_NODES >> (2 * depth));
            level = next;
        }
        if !all.is_empty() {
            break;
        }
    }
    all.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    all.truncate(4);
    all
}

/// The rows are the wanted ones, or become them field by field.
fn finish(node: &Node, render: &Render, wanted: &[Rows], stop: Stop<'_>) -> Option<Found<Table>> {
    if node
        .tables
        .iter()
        .zip(wanted)
        .any(|(t, w)| t.len() != w.len())
    {
        return None;
    }
    let table = |fields| Table {
        source: node.source.clone(),
        steps: node.steps.clone(),
        fields,
        render: render.clone(),
    };
    let equal = node
        .tables
        .iter()
        .zip(wanted)
        .all(|(t, w)| t.iter().zip(w).all(|(a, b)| same(&json!(a), &json!(b))));
    if equal {
        return Some(Found {
            program: table(None),
            cost: node.cost,
        });
    }
    let rows: Vec<Value> = node
        .tables
        .iter()
        .flatten()
        .cloned()
        .map(Value::Object)
        .collect();
    let targets: Vec<&Row> = wanted.iter().flatten().collect();
    let names: Vec<String> = targets.first()?.keys().cloned().collect();
    if rows.is_empty() || targets.iter().any(|t| t.len() != names.len()) {
        return None;
    }
    let mut fields = Vec::new();
    let mut cost = node.cost;
    // The cheap refusals first: fields that are there already say whether the rows line up.
    let mut names = names;
    names.sort_by_key(|n| !rows.iter().all(|r| at(r, n).is_some()));
    for name in names {
        let values: Option<Vec<Value>> = targets.iter().map(|t| t.get(&name).cloned()).collect();
        let best = column(&name, &rows, &values?, (&[], 1), stop)?;
        cost += best.cost;
        fields.push((name, best.program));
    }
    Some(Found {
        program: table(Some(fields)),
        cost,
    })
}
