//! Parts of all in percent, running totals and changes, two groups side by side, places after the
//! first, and records that come again.

use super::decide::{Decided, group_names, measure, open_fields, plain};
use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::series::histogram;
use crate::{Func, Op, Order, Scalar, Terminal, Window};

/// Verbs that say no more.
fn drop_verbs(p: &mut Parse<'_>) {
    while let Some(verb) = p.find(|k| {
        matches!(
            k,
            Key::List | Key::Which | Key::HowMany | Key::HowMuch | Key::Frequency | Key::Describe
        )
    }) {
        p.use_(verb);
    }
}

/// What is measured: the one aggregate, else the sum of an open amount, else the records.
fn measured(p: &mut Parse<'_>) -> Result<crate::Measure, Refusal> {
    if let [(func, field)] = std::mem::take(&mut p.aggs).as_slice() {
        return Ok(measure(*func, Some(p.name(*field))));
    }
    let amounts: Vec<usize> = open_fields(p)
        .into_iter()
        .filter(|i| {
            p.fits(*i)
                .is_some_and(|f| f.iter().any(|f| p.field(*f).kind.is_number()))
        })
        .collect();
    match amounts.as_slice() {
        [] => Ok(measure(Func::Count, None)),
        [at] => {
            let field = p.pick_at(*at, |f| f.kind.is_number(), "a number")?;
            p.use_(*at);
            Ok(measure(Func::Sum, Some(p.name(field))))
        }
        _ => p.too_far("several amounts at once"),
    }
}

/// "percentage of orders that were returned", "share of sales by region".
pub(super) fn percent(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    if !p.has(|k| *k == Key::Percent) {
        return Ok(None);
    }
    while let Some(i) = p.find(|k| *k == Key::Percent) {
        p.use_(i);
    }
    drop_verbs(p);
    if p.sort.is_some() || p.rank.is_some() || p.top.is_some() || p.limit.is_some() {
        return p.too_far("the first few of percentages");
    }
    if let Some(bucket) = p.bucket.take() {
        let what = measured(p)?;
        additive(p, what.func)?;
        p.shape.window = Some(Window::Share);
        return histogram(p, bucket, what, None).map(Some);
    }
    if p.groups.is_empty() {
        return part_of_all(p).map(Some);
    }
    let what = measured(p)?;
    additive(p, what.func)?;
    p.shape.window = Some(Window::Share);
    plain(Terminal::Aggregate {
        measures: vec![what],
        group_by: group_names(p),
        order: None,
        limit: None,
    })
    .map(Some)
}

/// Only what adds up has parts.
fn additive(p: &Parse<'_>, func: Func) -> Result<(), Refusal> {
    match func {
        Func::Sum | Func::Count => Ok(()),
        _ => p.too_far("percentages of what does not add up"),
    }
}

fn part_of_all(p: &mut Parse<'_>) -> Result<Decided, Refusal> {
    if !p.aggs.is_empty() || !open_fields(p).is_empty() {
        return p.too_far("what part of an amount some records have (ask `by` the field instead)");
    }
    let wanted = std::mem::take(&mut p.filters);
    let Some(first) = wanted.first() else {
        return p.too_far("a percentage without a condition or a `by`");
    };
    if wanted.iter().any(|w| w.field != first.field) {
        // Of which records: all, or those that meet the first condition?
        let fields: Vec<String> = wanted.iter().map(|w| w.field.clone()).collect();
        return Err(Refusal::Ambiguous {
            what: format!(
                "a percentage with conditions on {}: of all records, or of those that meet one of them",
                fields.join(" and ")
            ),
            options: fields
                .iter()
                .map(|f| format!("percentage of records by {f}"))
                .collect(),
        });
    }
    plain(Terminal::Share { wanted })
}

/// "running total of sales per month", "change in average price from year to year".
pub(super) fn window(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let found = p.find(|k| matches!(k, Key::Window(_))).or_else(|| {
        let said = p.bucket.is_some() && !p.has(|k| matches!(k, Key::Format(_)));
        p.find(|k| *k == Key::Convert)
            .filter(|i| said && p.spans[*i].text.to_lowercase().starts_with("change"))
    });
    let Some(i) = found else {
        return Ok(None);
    };
    let window = match p.key(i) {
        Some(Key::Window(window)) => *window,
        _ => Window::Change,
    };
    p.use_(i);
    drop_verbs(p);
    let what = measured(p)?;
    if window == Window::Running && !matches!(what.func, Func::Sum | Func::Count) {
        return p.too_far("a running total of what does not add up");
    }
    p.shape.window = Some(window);
    if let Some(bucket) = p.bucket.take() {
        return histogram(p, bucket, what, None).map(Some);
    }
    let by = std::mem::take(&mut p.groups);
    let [only] = by.as_slice() else {
        return p.too_far("a running total or change without the time or field that it goes by");
    };
    let ordered = p.field(*only).kind.is_number();
    if !ordered {
        return p.too_far("a running total or change over what has no order");
    }
    plain(Terminal::Aggregate {
        measures: vec![what],
        group_by: vec![p.name(*only)],
        order: None,
        limit: None,
    })
    .map(Some)
}

/// "difference in average price between A and B", "ratio of A to B".
pub(super) fn compare(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| matches!(k, Key::Compare(_))) else {
        return Ok(None);
    };
    let how = match p.key(i) {
        Some(Key::Compare(how)) => *how,
        _ => return Ok(None),
    };
    p.use_(i);
    drop_verbs(p);
    while let Some(link) = p.find(|k| *k == Key::Between) {
        p.use_(link);
    }
    if !p.groups.is_empty() || p.bucket.is_some() || p.limit.is_some() || p.sort.is_some() {
        return p.too_far("comparing two groups by another field or over time");
    }
    let sides: Vec<usize> = (0..p.filters.len())
        .filter(|f| p.filters[*f].op == Op::Eq)
        .filter(|f| {
            let same = |g: &crate::Filter| g.op == Op::Eq && g.field == p.filters[*f].field;
            p.filters.iter().filter(|g| same(g)).count() == 2
        })
        .collect();
    let [left, right] = sides.as_slice() else {
        return p.too_far("a difference or ratio of other things than two values of one field");
    };
    let what = if let [(func, field)] = std::mem::take(&mut p.aggs).as_slice() {
        measure(*func, Some(p.name(*field)))
    } else if open_fields(p).is_empty() {
        measure(Func::Count, None)
    } else {
        return p.too_far("a difference of single values (say of what: `average`, `total`)");
    };
    let value = |f: usize| {
        p.filters[f]
            .value
            .clone()
            .unwrap_or(Scalar::Text(String::new()))
    };
    let terminal = Terminal::Compare {
        measure: what,
        field: p.filters[*left].field.clone(),
        left: value(*left),
        right: value(*right),
        how,
    };
    p.filters.remove(*right);
    p.filters.remove(*left);
    plain(terminal).map(Some)
}

/// "how many duplicate rows", "how many duplicates by name and email".
pub(super) fn duplicates(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Duplicates) else {
        return combinations(p);
    };
    if p.bucket.is_some() {
        return p.too_far("duplicates by a unit of time");
    }
    let open = open_fields(p);
    let said = |at: usize| p.spans[at].text.to_lowercase();
    let fields = p.groups.iter().map(|g| p.name(*g));
    let fields: Vec<String> = fields
        .chain(
            open.iter()
                .filter_map(|at| Some(p.name(*p.fits(*at)?.first()?))),
        )
        .collect();
    let by = match fields.split_last() {
        Some((last, [])) => format!(" by {last}"),
        Some((last, rest)) => format!(" by {} and {last}", rest.join(", ")),
        None => String::new(),
    };
    if !p.has(|k| matches!(k, Key::HowMany)) {
        return Err(Refusal::Ambiguous {
            what: "`duplicates` may be counted, or left out of the file".to_owned(),
            options: vec![
                format!("how many duplicates{by}"),
                format!("remove duplicates{by}"),
            ],
        });
    }
    let grouped = (0..p.spans.len()).any(|at| p.key(at) == Some(&Key::By) && said(at) != "by");
    let told = open.first().is_none_or(|first| {
        let between = i + 1..*first;
        *first > i
            && between
                .into_iter()
                .any(|at| said(at).split(' ').any(|w| w == "on" || w == "same"))
    });
    if grouped || !told {
        // Of each region, or those with the same region? All that come again, or how many do?
        return Err(Refusal::Ambiguous {
            what: "which records are duplicates of which".to_owned(),
            options: vec![
                format!("how many duplicates{by}"),
                "how many duplicate rows".to_owned(),
            ],
        });
    }
    let mut names = group_names(p);
    for at in open {
        let field = p.pick_at(at, |_| true, "a field")?;
        p.use_(at);
        names.push(p.name(field));
    }
    p.use_(i);
    drop_verbs(p);
    once_each(&mut names);
    plain(Terminal::Duplicates { fields: names }).map(Some)
}

/// "how many distinct combinations of region and product".
fn combinations(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Combination) else {
        return Ok(None);
    };
    let unique = p.find(|k| *k == Key::Unique);
    let counted = p.has(|k| matches!(k, Key::HowMany));
    let open = open_fields(p);
    let (Some(unique), true, true) = (unique, counted, open.len() > 1) else {
        return Ok(None);
    };
    if p.bucket.is_some() || !p.groups.is_empty() {
        return p.too_far("counting combinations by group or over time");
    }
    let mut names = Vec::new();
    for at in open {
        let field = p.pick_at(at, |_| true, "a field")?;
        p.use_(at);
        names.push(p.name(field));
    }
    p.use_(i);
    p.use_(unique);
    drop_verbs(p);
    once_each(&mut names);
    plain(Terminal::Duplicates { fields: names }).map(Some)
}

fn once_each(names: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
}

/// "second highest": the places passed over.
pub(super) fn place(p: &mut Parse<'_>) -> Result<(), Refusal> {
    let Some(i) = p.find(|k| matches!(k, Key::Place(_))) else {
        return Ok(());
    };
    let Some(Key::Place(n)) = p.key(i).cloned() else {
        return Ok(());
    };
    let ranked = p.next(i).is_some_and(|n| {
        matches!(
            p.key(n),
            Some(Key::Ext(_) | Key::Most(_) | Key::Adjective(_) | Key::Common(Order::Ascending))
        )
    });
    if !ranked || p.limit.is_some() {
        return Err(p.not_understood(vec![p.spans[i].text.clone()]));
    }
    p.use_(i);
    p.shape.offset = n - 1;
    p.limit = Some(n);
    Ok(())
}

/// A place needs an order to be in: what was decided must have one.
pub(super) fn placed(p: &Parse<'_>, decided: &Decided) -> Result<(), Refusal> {
    let ordered = match &decided.terminal {
        Terminal::Aggregate {
            group_by,
            order: Some(_),
            limit,
            ..
        } => !group_by.is_empty() && *limit == Some(p.shape.offset + 1),
        Terminal::Rows {
            order_by: Some(_),
            limit,
            ..
        } => *limit == Some(p.shape.offset + 1),
        _ => false,
    };
    if p.shape.offset > 0 && !ordered {
        return p.too_far("a second or third place here (ask for the top 5)");
    }
    Ok(())
}
