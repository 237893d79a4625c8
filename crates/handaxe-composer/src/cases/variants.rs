//! The same tool asked other things: every test of a filter at its boundary, every measure, both
//! orders, limits.

use super::columns::{Column, Role};
use crate::{
    Axis, Bucket, Chain, Change, Comparison, Extractable, Filter, Format, Func, Measure, Op, Order,
    Scalar, Sort, Terminal, Tidy,
};

/// Chains that the tool of this chain serves, by name.
pub(super) fn variants(chain: &Chain, columns: &[Column]) -> Vec<(String, Chain)> {
    let mut out: Vec<(String, Chain)> = Vec::new();
    let plain = Chain {
        filters: Vec::new(),
        ..chain.clone()
    };
    for (name, filter) in filters(columns, chain.times) {
        let filters = vec![filter];
        out.push((
            name,
            Chain {
                filters,
                ..plain.clone()
            },
        ));
    }
    if let [first, .., last] = out.as_slice() {
        let filters = [&first.1, &last.1].map(|c| c.filters.clone()).concat();
        out.push((
            "two_tests".to_owned(),
            Chain {
                filters,
                ..plain.clone()
            },
        ));
    }
    let no_such = Filter {
        field: "no such field".to_owned(),
        op: Op::NotEmpty,
        value: None,
    };
    out.push((
        "unknown_field".to_owned(),
        Chain {
            filters: vec![no_such],
            ..plain.clone()
        },
    ));
    for (i, terminal) in terminals(chain, columns).into_iter().enumerate() {
        let name = format!("other_work_{}", i + 1);
        out.push((
            name,
            Chain {
                terminal,
                ..plain.clone()
            },
        ));
    }
    out
}

fn of_role(columns: &[Column], role: Role) -> Option<&Column> {
    columns.iter().find(|c| c.role == role)
}

/// Each test at its boundary, on a number, a text and a time.
fn filters(columns: &[Column], times: bool) -> Vec<(String, Filter)> {
    let mut out = Vec::new();
    let mut add = |kind: &str, field: &str, op: Op, value: Option<Scalar>| {
        let n = out.len() + 1;
        let filter = Filter {
            field: field.to_owned(),
            op,
            value,
        };
        out.push((format!("{kind}_{}_{n}", op.as_str()), filter));
    };
    const ORDERING: [Op; 6] = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge];
    const PARTS: [Op; 4] = [Op::Contains, Op::NotContains, Op::StartsWith, Op::EndsWith];
    const LISTS: [Op; 2] = [Op::AnyOf, Op::NoneOf];
    let text = |t: &str| Scalar::Text(t.to_owned());
    if let Some(number) = of_role(columns, Role::Number) {
        for op in ORDERING {
            add("number", &number.name, op, Some(Scalar::Int(3)));
        }
        add("number", &number.name, Op::Le, Some(Scalar::Float(5.2)));
        add("number", &number.name, Op::Ge, Some(text("1,234")));
        add("number", &number.name, Op::Ge, Some(Scalar::Float(1234.5)));
        add("number", &number.name, Op::Eq, Some(Scalar::Float(1.5)));
        add(
            "number",
            &number.name,
            Op::Eq,
            Some(text("999999999999999999")),
        );
        add(
            "number",
            &number.name,
            Op::Lt,
            Some(Scalar::Int(999_999_999_999_999_998)),
        );
        add("number", &number.name, Op::Lt, Some(text("-.5e0 %")));
        for op in LISTS {
            let list = vec![Scalar::Int(3), text("12%"), text("n/a")];
            add("number", &number.name, op, Some(Scalar::Many(list)));
        }
        add(
            "number",
            &number.name,
            Op::AnyOf,
            Some(Scalar::Many(vec![text(""), Scalar::Int(8)])),
        );
        add("number", &number.name, Op::Contains, Some(Scalar::Int(2)));
        add("number", &number.name, Op::Eq, None);
        add("number", &number.name, Op::AnyOf, Some(Scalar::Int(3)));
        add(
            "number",
            &number.name,
            Op::Eq,
            Some(Scalar::Many(vec![Scalar::Int(3)])),
        );
    }
    if let Some(column) = of_role(columns, Role::Text) {
        let filled = |v: &&String| !v.trim().is_empty() && v.parse::<f64>().is_err();
        let value = column
            .values
            .iter()
            .find(filled)
            .cloned()
            .unwrap_or_default();
        for op in ORDERING {
            add("text", &column.name, op, Some(text(&value.to_uppercase())));
        }
        let part: String = value.chars().take(3).collect();
        let end: String = {
            let all: Vec<char> = value.chars().collect();
            all[all.len().saturating_sub(3)..].iter().collect()
        };
        for op in PARTS {
            let part = if op == Op::EndsWith { &end } else { &part };
            add("text", &column.name, op, Some(text(&part.to_uppercase())));
        }
        for op in LISTS {
            let list = vec![text(&value), text("9")];
            add("text", &column.name, op, Some(Scalar::Many(list)));
        }
        for op in [Op::Empty, Op::NotEmpty] {
            add("text", &column.name, op, None);
        }
        add("text", &column.name, Op::Eq, Some(Scalar::Bool(true)));
    }
    if let Some(column) = of_role(columns, Role::Time).filter(|_| times) {
        for op in ORDERING {
            add("time", &column.name, op, Some(text("2024-01-31")));
        }
        add(
            "time",
            &column.name,
            Op::Gt,
            Some(text("Jan 5 2023 1:05 PM")),
        );
        add(
            "time",
            &column.name,
            Op::Le,
            Some(text("2024-01-31 12:00:00")),
        );
        add("time", &column.name, Op::Eq, Some(Scalar::Int(2024)));
        add(
            "time",
            &column.name,
            Op::AnyOf,
            Some(Scalar::Many(vec![text("2024-05")])),
        );
    }
    out
}

const FUNCS: [Func; 11] = [
    Func::Count,
    Func::Sum,
    Func::Mean,
    Func::Median,
    Func::Min,
    Func::Max,
    Func::Distinct,
    Func::Stdev,
    Func::Percentile(25),
    Func::Percentile(90),
    Func::Percentile(99),
];

fn measure(func: Func, field: Option<&str>) -> Measure {
    Measure {
        func,
        field: field.map(str::to_owned),
    }
}

/// Other terminal steps of the same tool.
fn terminals(chain: &Chain, columns: &[Column]) -> Vec<Terminal> {
    let name = |role| of_role(columns, role).map(|c| c.name.clone());
    let (number, text, time) = (name(Role::Number), name(Role::Text), name(Role::Time));
    let any = |wanted: &Option<String>| {
        let first = columns.first().map(|c| c.name.clone());
        wanted.clone().or(first).unwrap_or_default()
    };
    let timed = time.clone().filter(|_| chain.times);
    match &chain.terminal {
        Terminal::Aggregate {
            measures, group_by, ..
        } if crate::emit::is_plain_count(measures, group_by) => Vec::new(),
        Terminal::Aggregate { .. } => aggregates(&any(&number), &any(&text), timed.as_deref()),
        Terminal::Rows { fields, .. } => {
            let by = [Some(any(&number)), Some(any(&text)), timed, None];
            let cut = [Some(1), Some(3), Some(7), None];
            let orders = [Order::Ascending, Order::Descending];
            let all = by.iter().flat_map(|by| orders.map(|o| (by.clone(), o)));
            (all.enumerate())
                .map(|(i, (order_by, order))| Terminal::Rows {
                    fields: if i % 3 == 1 {
                        vec![any(&text), any(&number)]
                    } else {
                        fields.clone()
                    },
                    order_by,
                    order,
                    limit: cut[i % cut.len()],
                })
                .collect()
        }
        Terminal::Distinct { .. } => [number, text, Some("no such field".to_owned())]
            .into_iter()
            .flatten()
            .map(|field| Terminal::Distinct { field })
            .collect(),
        Terminal::Frequencies { .. } => [number, text]
            .into_iter()
            .flatten()
            .flat_map(|field| {
                [None, Some(1), Some(2)].map(|limit| Terminal::Frequencies {
                    field: field.clone(),
                    limit,
                })
            })
            .collect(),
        Terminal::Words { field, .. } => {
            [(1, 1, false), (3, 2, true), (50, 4, false), (9, 5, true)]
                .map(|(limit, min_length, skip_stop_words)| Terminal::Words {
                    field: field.clone(),
                    limit,
                    min_length,
                    skip_stop_words,
                })
                .to_vec()
        }
        Terminal::Histogram { field, .. } => histograms(field, number.as_deref()),
        Terminal::Extract { field, what, .. } => match what {
            Extractable::Pattern(_) => ["[a-z]+", "(good|bad)", "x*", "(", "(\\d+)\\.(\\d+)"]
                .iter()
                .map(|p| (Extractable::Pattern((*p).to_owned()), Some(5)))
                .chain([(what.clone(), Some(1))])
                .map(|(what, limit)| Terminal::Extract {
                    field: field.clone(),
                    what,
                    limit,
                })
                .collect(),
            _ => [
                (Extractable::Emails, None),
                (Extractable::Urls, None),
                (Extractable::Ips, None),
                (Extractable::Dates, Some(2)),
                (Extractable::Numbers, Some(1)),
                (what.clone(), Some(3)),
            ]
            .into_iter()
            .flat_map(|(what, limit)| {
                let places = [field.clone(), None, text.clone()];
                places.map(|field| Terminal::Extract {
                    field,
                    what: what.clone(),
                    limit,
                })
            })
            .collect(),
        },
        Terminal::Sentiment { field, .. } => [None, text, number]
            .into_iter()
            .map(|group_by| Terminal::Sentiment {
                field: field.clone(),
                group_by,
            })
            .collect(),
        Terminal::Convert { .. } => [Format::Csv, Format::Tsv, Format::Json, Format::Jsonl]
            .map(|to| Terminal::Convert { to })
            .to_vec(),
        Terminal::Share { .. } => filters(columns, chain.times)
            .into_iter()
            .step_by(5)
            .map(|(_, f)| Terminal::Share { wanted: vec![f] })
            .collect(),
        Terminal::Compare {
            field, left, right, ..
        } => {
            let both = [Comparison::Difference, Comparison::Ratio];
            let number = any(&number);
            let mut all: Vec<Terminal> = FUNCS
                .iter()
                .zip(both.iter().cycle())
                .map(|(func, how)| (measure(*func, Some(&number)), *how))
                .chain(both.map(|how| (measure(Func::Count, None), how)))
                .chain([(measure(Func::Sum, None), both[0])])
                .map(|(measure, how)| Terminal::Compare {
                    measure,
                    field: field.clone(),
                    left: left.clone(),
                    right: right.clone(),
                    how,
                })
                .collect();
            for how in both {
                all.push(Terminal::Compare {
                    measure: measure(Func::Max, Some(&any(&timed))),
                    field: field.clone(),
                    left: left.clone(),
                    right: Scalar::Text("nobody".to_owned()),
                    how,
                });
            }
            all
        }
        Terminal::Pivot { rows, columns, .. } => pivots(
            (rows, columns),
            &any(&number),
            &any(&text),
            timed.as_deref(),
        ),
        Terminal::Clean { .. } => cleanings(&chain.terminal, &any(&number), &any(&text), timed),
        Terminal::Duplicates { fields } if !fields.is_empty() => {
            let mut all = vec![Terminal::Duplicates {
                fields: vec!["nowhere".to_owned()],
            }];
            all.extend(
                [any(&number), any(&text)].map(|field| Terminal::Duplicates {
                    fields: vec![field],
                }),
            );
            all
        }
        Terminal::Describe | Terminal::Duplicates { .. } => Vec::new(),
    }
}

fn pivots(
    (rows, columns): (&Axis, &Axis),
    number: &str,
    text: &str,
    time: Option<&str>,
) -> Vec<Terminal> {
    let by = |field: &str| Axis {
        field: field.to_owned(),
        bucket: None,
    };
    let one = |rows: &Axis, columns: &Axis, measure| Terminal::Pivot {
        rows: rows.clone(),
        columns: columns.clone(),
        measure,
    };
    let mut out: Vec<Terminal> = (FUNCS.iter())
        .map(|f| one(rows, columns, measure(*f, Some(number))))
        .collect();
    out.push(one(&by(text), &by(number), measure(Func::Count, None)));
    out.push(one(
        &by(number),
        &by(text),
        measure(Func::Sum, Some(number)),
    ));
    out.push(one(rows, columns, measure(Func::Sum, None)));
    if let Some(time) = time {
        for bucket in Bucket::ALL {
            let when = Axis {
                field: time.to_owned(),
                bucket: Some(bucket),
            };
            out.push(one(&by(text), &when, measure(Func::Count, None)));
        }
        let month = Axis {
            field: time.to_owned(),
            bucket: Some(Bucket::Month),
        };
        out.push(one(&month, &by(text), measure(Func::Max, Some(time))));
        out.push(one(&month, &by(text), measure(Func::Min, Some(time))));
    }
    out
}

fn cleanings(terminal: &Terminal, number: &str, text: &str, time: Option<String>) -> Vec<Terminal> {
    let Terminal::Clean {
        changes,
        unique,
        order_by,
        ..
    } = terminal
    else {
        return Vec::new();
    };
    let whole = crate::emit::cleans_whole(terminal);
    let (changed, once) = (whole || !changes.is_empty(), whole || unique.is_some());
    let sorted = crate::emit::orders(terminal);
    let change = |field: &str, how| Change {
        field: field.to_owned(),
        how,
    };
    let mut all_changes: Vec<Vec<Change>> = [
        Tidy::Trim,
        Tidy::Spaces,
        Tidy::Lower,
        Tidy::Upper,
        Tidy::Title,
        Tidy::Phone,
        Tidy::Number,
    ]
    .iter()
    .map(|how| vec![change(text, *how), change(number, *how)])
    .collect();
    all_changes.push(vec![change(number, Tidy::Phone), change(text, Tidy::Lower)]);
    let when = time.clone().unwrap_or_else(|| text.to_owned());
    all_changes.push(vec![change(&when, Tidy::Date)]);
    all_changes.push(vec![change("no such field", Tidy::Trim)]);
    let sort = |field: &str, order| Sort {
        field: field.to_owned(),
        order,
    };
    let (up, down) = (Order::Ascending, Order::Descending);
    let orders = [
        vec![sort(text, up), sort(number, down)],
        vec![sort(number, up)],
        vec![sort(text, down), sort(number, up)],
        vec![sort(number, down), sort(text, up)],
        vec![sort(&when, up), sort(text, down)],
        vec![sort(&when, down)],
        order_by.clone(),
    ];
    let keys = [
        vec![text.to_owned()],
        Vec::new(),
        vec![number.to_owned()],
        vec![text.to_owned(), number.to_owned()],
    ];
    let limits = [None, Some(1), Some(4), None, Some(9)];
    let formats = [Format::Csv, Format::Json, Format::Tsv, Format::Jsonl];
    let kept = [
        Vec::new(),
        vec![number.to_owned(), text.to_owned()],
        Vec::new(),
    ];
    (0..12)
        .map(|i| {
            // A tool that does all also does any two.
            let (a, b, c) = (
                !whole || i % 4 != 1,
                !whole || i % 4 != 2,
                !whole || i % 4 != 3,
            );
            Terminal::Clean {
                changes: if changed && a {
                    all_changes[i % all_changes.len()].clone()
                } else {
                    Vec::new()
                },
                unique: (once && b).then(|| keys[i % keys.len()].clone()),
                order_by: if sorted && c {
                    orders[i % orders.len()].clone()
                } else {
                    Vec::new()
                },
                fields: kept[i % kept.len()].clone(),
                limit: limits[i % limits.len()].filter(|_| sorted && c),
                to: formats[i % formats.len()],
            }
        })
        .collect()
}

fn aggregates(number: &str, text: &str, time: Option<&str>) -> Vec<Terminal> {
    let all: Vec<Measure> = (FUNCS.iter())
        .map(|f| measure(*f, Some(number)))
        .chain([measure(Func::Count, None)])
        .collect();
    let of_time = [Func::Min, Func::Max, Func::Sum, Func::Distinct, Func::Count];
    let times: Vec<Measure> = (of_time
        .iter()
        .filter_map(|f| time.map(|t| measure(*f, Some(t)))))
    .collect();
    let one = |measures: &[Measure], group_by: &[&str], order, limit| Terminal::Aggregate {
        measures: measures.to_vec(),
        group_by: group_by.iter().map(|g| (*g).to_owned()).collect(),
        order,
        limit,
    };
    let (up, down) = (Some(Order::Ascending), Some(Order::Descending));
    let mut out = vec![
        one(&all, &[], None, None),
        one(&all, &[text], None, None),
        one(&all[1..2], &[text], up, Some(2)),
        one(&all[2..3], &[text], down, Some(3)),
        one(&all[5..], &[text], down, None),
        one(&all[3..4], &[number], up, None),
        one(&all[4..6], &[text, number], None, Some(4)),
        one(&all[11..], &[number, text], down, Some(6)),
        one(&[measure(Func::Sum, None)], &[], None, None),
        one(
            &[measure(Func::Sum, Some("no such field"))],
            &[],
            None,
            None,
        ),
    ];
    if !times.is_empty() {
        out.push(one(&times, &[], None, None));
        out.push(one(&times, &[text], down, None));
        out.push(one(&times[1..], &[text], up, Some(5)));
    }
    out
}

fn histograms(field: &str, number: Option<&str>) -> Vec<Terminal> {
    let mut out: Vec<Terminal> = Bucket::ALL
        .into_iter()
        .map(|bucket| Terminal::Histogram {
            field: field.to_owned(),
            bucket,
            measure: measure(Func::Count, None),
        })
        .collect();
    for func in FUNCS {
        out.push(Terminal::Histogram {
            field: field.to_owned(),
            bucket: Bucket::Month,
            measure: measure(func, number.or(Some(field))),
        });
    }
    for func in [Func::Min, Func::Max] {
        out.push(Terminal::Histogram {
            field: field.to_owned(),
            bucket: Bucket::Year,
            measure: measure(func, Some(field)),
        });
    }
    out.push(Terminal::Histogram {
        field: field.to_owned(),
        bucket: Bucket::Day,
        measure: measure(Func::Sum, None),
    });
    out
}
