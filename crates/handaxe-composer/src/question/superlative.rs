//! The largest, the smallest, the most and the commonest: of what, and among what.

use super::decide::{
    Decided, TOP_VALUES, additive, aggregates, group_names, is_plural, measure, open_fields, plain,
};
use super::lexicon::Key;
use super::parse::{Parse, extreme};
use super::refusal::Refusal;
use super::series::histogram;
use super::spans::adjective_fields;
use super::tokens::stems;
use crate::profile::{Field, Kind};
use crate::{Bucket, Func, Measure, Order, Terminal};

/// What a superlative is asked of.
enum Target {
    Field(usize),
    /// Each set of values of several fields.
    Fields(Vec<usize>),
    Bucket(Bucket),
    /// Whole records.
    Records,
    When,
    Nothing,
}

/// "which X", "the X with": a field, a time bucket, or records.
fn target(p: &mut Parse<'_>, skip: usize) -> Result<Target, Refusal> {
    if let Some(when) = p.find(|k| *k == Key::When) {
        p.use_(when);
        return Ok(Target::When);
    }
    if let Some(which) = p.find(|k| matches!(k, Key::Which | Key::List))
        && let Some(n) = p.next(which)
        && n != skip
    {
        if let Some(Key::Bucket(bucket)) = p.key(n).cloned() {
            p.use_(which);
            p.use_(n);
            return Ok(Target::Bucket(bucket));
        }
        if p.key(n) == Some(&Key::Entity) {
            p.use_(which);
            return Ok(Target::Records);
        }
        if let Some(fits) = p.fits(n) {
            // "which year", where a date is called so.
            let bucket = match p.spans[n].text.to_lowercase().as_str() {
                "year" | "years" => Some(Bucket::Year),
                "month" | "months" => Some(Bucket::Month),
                "week" | "weeks" => Some(Bucket::Week),
                "hour" | "hours" => Some(Bucket::Hour),
                _ => None,
            };
            let unique = fits.iter().all(|f| p.field(*f).is_unique());
            if let Some(bucket) =
                bucket.filter(|_| !unique && fits.iter().all(|f| p.field(*f).kind.is_time()))
            {
                p.use_(which);
                p.use_(n);
                return Ok(Target::Bucket(bucket));
            }
            // "what weight has …" never; a number is measured, not asked for.
            if fits.iter().all(|f| p.field(*f).kind == Kind::Number) {
                return Ok(Target::Nothing);
            }
            let text = p.spans[n].text.clone();
            let field = p.pick(&fits, &text, |_| true, "a field")?;
            p.use_(which);
            p.use_(n);
            let others = beside(p, n)?;
            return Ok(if others.is_empty() {
                Target::Field(field)
            } else {
                Target::Fields([vec![field], others].concat())
            });
        }
    }
    // "who has the highest salary": the record, and not only the number.
    if let Some(who) = p.find(|k| *k == Key::Which)
        && matches!(p.spans[who].text.to_lowercase().as_str(), "who" | "whose")
    {
        p.use_(who);
        return Ok(Target::Records);
    }
    // "month with the most orders".
    if let Some(at) = (0..skip).find(|i| {
        let grouped = p.prev(*i).is_some_and(|b| p.key(b) == Some(&Key::By));
        !p.spans[*i].used && !grouped && matches!(p.key(*i), Some(Key::Bucket(_)))
    }) && let Some(Key::Bucket(bucket)) = p.key(at).cloned()
    {
        p.use_(at);
        return Ok(Target::Bucket(bucket));
    }
    // "the car with the highest horsepower".
    let records = (0..skip).any(|i| p.key(i) == Some(&Key::Entity));
    if records {
        return Ok(Target::Records);
    }
    let before: Vec<usize> = open_fields(p).into_iter().filter(|i| *i < skip).collect();
    if let [only] = before.as_slice() {
        let field = p.pick_at(
            *only,
            |f| f.kind != Kind::Number,
            "something to choose among",
        )?;
        p.use_(*only);
        return Ok(Target::Field(field));
    }
    Ok(Target::Nothing)
}

/// "which region and product": the fields that follow, one of each together. "Which regions and
/// products" asks for two answers.
fn beside(p: &mut Parse<'_>, first: usize) -> Result<Vec<usize>, Refusal> {
    let mut fields = Vec::new();
    let mut at = first;
    while let Some(and) = p.next(at).filter(|and| p.key(*and) == Some(&Key::And))
        && let Some(n) = p.next(and).filter(|n| p.fits(*n).is_some())
    {
        if is_plural(&p.spans[first].text) || is_plural(&p.spans[n].text) {
            return p.too_far("choosing among several fields, each by itself");
        }
        let set = |f: &Field| f.kind != Kind::Number && !f.kind.is_time();
        let field = p.pick_at(n, set, "something to choose among")?;
        p.use_(n);
        fields.push(field);
        at = n;
    }
    Ok(fields)
}

pub(super) fn superlative(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| {
        matches!(
            k,
            Key::Ext(_) | Key::Most(_) | Key::Common(_) | Key::Adjective(_)
        )
    }) else {
        return Ok(None);
    };
    let Some(key) = p.key(i).cloned() else {
        return Ok(None);
    };
    p.use_(i);
    match key {
        Key::Common(order) => common(p, i, order).map(Some),
        Key::Most(order) => most(p, i, order).map(Some),
        Key::Ext(order) => {
            if !p.aggs.is_empty() {
                return over_measure(p, i, order).map(Some);
            }
            let target = target(p, i)?;
            let Some(at) = p
                .next(i)
                .filter(|n| p.fits(*n).is_some())
                .or_else(|| open_fields(p).into_iter().find(|f| *f > i))
                .or_else(|| {
                    // "when was the price highest".
                    open_fields(p).into_iter().rfind(|f| {
                        p.fits(*f)
                            .is_some_and(|f| f.iter().all(|f| p.field(*f).kind.is_number()))
                    })
                })
            else {
                if p.has(|k| *k == Key::HowMany) {
                    return most(p, i, order).map(Some);
                }
                return Err(p.not_understood(vec![p.spans[i].text.clone()]));
            };
            let metric = metric_at(p, at, order)?;
            extreme_of(p, i, target, metric, order).map(Some)
        }
        Key::Adjective(meanings) => {
            if !p.aggs.is_empty() {
                return over_measure(p, i, meanings[0].0).map(Some);
            }
            let orderable = |f: &Field| f.kind.is_number() || f.kind.is_time();
            let next = p.next(i).filter(|n| {
                p.fits(*n)
                    .is_some_and(|f| f.iter().any(|f| orderable(p.field(*f))))
            });
            if let Some(n) = next {
                let (order, _) = meanings[0];
                let target = target(p, i)?;
                let metric = metric_at(p, n, order)?;
                return extreme_of(p, i, target, metric, order).map(Some);
            }
            let mut found = adjective_fields(p.profile, meanings);
            if found.len() > 1 {
                let end = |order: Order| {
                    if order == Order::Descending {
                        "max"
                    } else {
                        "min"
                    }
                };
                let narrowed: Vec<_> = found
                    .iter()
                    .copied()
                    .filter(|(f, o)| stems(&p.field(*f).name).iter().any(|w| w == end(*o)))
                    .collect();
                if narrowed.len() == 1 {
                    found = narrowed;
                }
            }
            let (metric, order) = match found.as_slice() {
                [one] => *one,
                [] => return Err(p.not_understood(vec![p.spans[i].text.clone()])),
                several => {
                    return Err(Refusal::Ambiguous {
                        what: format!(
                            "`{}` may be about {}",
                            p.spans[i].text,
                            several
                                .iter()
                                .map(|(f, _)| format!("`{}`", p.name(*f)))
                                .collect::<Vec<_>>()
                                .join(" or ")
                        ),
                        options: several
                            .iter()
                            .map(|(f, o)| {
                                format!(
                                    "{} {}",
                                    if *o == Order::Descending {
                                        "highest"
                                    } else {
                                        "lowest"
                                    },
                                    p.name(*f)
                                )
                            })
                            .collect(),
                    });
                }
            };
            // "the cheapest product", "on the hottest day".
            let after = p.next(i);
            let target = if let Some(n) = after.filter(|n| p.fits(*n).is_some()) {
                let field =
                    p.pick_at(n, |f| f.kind != Kind::Number, "something to choose among")?;
                p.use_(n);
                if let Some(w) = p.find(|k| matches!(k, Key::Which | Key::List)) {
                    p.use_(w);
                }
                if let Some(w) = p.find(|k| *k == Key::When) {
                    p.use_(w);
                }
                Target::Field(field)
            } else if let Some(n) = after.filter(|n| matches!(p.key(*n), Some(Key::Bucket(_)))) {
                let bucket = match p.key(n) {
                    Some(Key::Bucket(b)) => *b,
                    _ => Bucket::Day,
                };
                p.use_(n);
                Target::Bucket(bucket)
            } else if after.is_some_and(|n| p.key(n) == Some(&Key::Entity)) {
                Target::Records
            } else {
                target(p, i)?
            };
            // "who was the youngest", "the cheapest lamp": whose it is, not only how much.
            let target = match target {
                Target::Nothing if p.groups.is_empty() && p.bucket.is_none() => Target::Records,
                other => other,
            };
            if let Some(mean) = p.find(|k| *k == Key::OnAverage) {
                p.use_(mean);
                p.aggs.push((Func::Mean, metric));
                return finish_measure(p, target, order).map(Some);
            }
            extreme_of(p, i, target, metric, order).map(Some)
        }
        _ => Ok(None),
    }
}

/// The field that is largest or smallest; "highest temperature" is `temp_max`.
fn metric_at(p: &mut Parse<'_>, at: usize, order: Order) -> Result<usize, Refusal> {
    let fits = p.fits(at).unwrap_or_default();
    let end = if order == Order::Descending {
        "max"
    } else {
        "min"
    };
    let narrowed: Vec<usize> = fits
        .iter()
        .copied()
        .filter(|f| stems(&p.field(*f).name).iter().any(|w| w == end))
        .collect();
    let text = p.spans[at].text.clone();
    let fits = if narrowed.len() == 1 { narrowed } else { fits };
    let field = p.pick(
        &fits,
        &text,
        |f| f.kind.is_number() || f.kind.is_time(),
        "a number or a date",
    )?;
    p.use_(at);
    Ok(field)
}

/// "which region has the highest average price".
fn over_measure(p: &mut Parse<'_>, i: usize, order: Order) -> Result<Decided, Refusal> {
    let target = target(p, i)?;
    finish_measure(p, target, order)
}

fn finish_measure(p: &mut Parse<'_>, target: Target, order: Order) -> Result<Decided, Refusal> {
    let (func, field) = match std::mem::take(&mut p.aggs).as_slice() {
        [one] => *one,
        _ => return p.too_far("a superlative over several measures"),
    };
    let what = measure(func, Some(p.name(field)));
    grouped_extreme(p, target, what, order)
}

/// The group, or time bucket, with the largest or smallest measure.
fn grouped_extreme(
    p: &mut Parse<'_>,
    target: Target,
    what: Measure,
    order: Order,
) -> Result<Decided, Refusal> {
    let bucket = match target {
        Target::Bucket(bucket) => Some(bucket),
        Target::When => p.time_field()?.map(|f| p.natural_bucket(f)),
        Target::Field(f) if p.field(f).kind.is_time() => Some(if p.field(f).kind == Kind::Date {
            Bucket::Day
        } else {
            p.natural_bucket(f)
        }),
        _ => p.bucket.take(),
    };
    if let Some(bucket) = bucket {
        return histogram(p, bucket, what, Some(order));
    }
    let group_by = match target {
        Target::Field(f) if p.groups.is_empty() => vec![p.name(f)],
        Target::Fields(fields) if p.groups.is_empty() => {
            fields.into_iter().map(|f| p.name(f)).collect()
        }
        Target::Nothing | Target::Records if p.groups.len() == 1 => group_names(p),
        _ => {
            return p.too_far(
                "this superlative needs one field to choose among, e.g. `which region has …`",
            );
        }
    };
    plain(Terminal::Aggregate {
        measures: vec![what],
        group_by,
        order: Some(order),
        limit: Some(p.limit.take().unwrap_or(1)),
    })
}

/// The largest or smallest value of a field, and whose it is.
fn extreme_of(
    p: &mut Parse<'_>,
    i: usize,
    target: Target,
    metric: usize,
    order: Order,
) -> Result<Decided, Refusal> {
    let name = p.name(metric);
    let what = measure(extreme(order), Some(name.clone()));
    let rows = |fields: Vec<String>, limit: u32| {
        plain(Terminal::Rows {
            fields,
            order_by: Some(name.clone()),
            order,
            limit: Some(limit),
        })
    };
    if !p.groups.is_empty() || (p.bucket.is_some() && matches!(target, Target::Nothing)) {
        let one = match target {
            Target::Field(f) => p.field(f).is_unique(),
            Target::Records => true,
            _ => false,
        };
        if let ([group], true, None) = (p.groups.clone().as_slice(), one, p.bucket) {
            // "which car has the highest price in each region".
            p.groups.clear();
            p.shape.per = Some(p.name(*group));
            let limit = p.limit.take().unwrap_or(1);
            return rows(Vec::new(), limit);
        }
        if !matches!(target, Target::Nothing) {
            return p.too_far("the largest within each group of a group");
        }
        p.aggs.push((extreme(order), metric));
        return aggregates(p)?
            .map_or_else(|| Err(p.not_understood(vec![p.spans[i].text.clone()])), Ok);
    }
    match target {
        Target::Records => {
            let limit = p.limit.take().unwrap_or(1);
            rows(Vec::new(), limit)
        }
        Target::When => match p.time_field()? {
            Some(time) => rows(vec![p.name(time), name.clone()], 1),
            None => p.too_far("no field says when"),
        },
        Target::Field(f) if p.field(f).kind.is_time() || p.field(f).is_unique() => {
            let limit = p.limit.take().unwrap_or(1);
            rows(vec![p.name(f), name.clone()], limit)
        }
        Target::Field(_) | Target::Fields(_) => grouped_extreme(p, target, what, order),
        Target::Bucket(Bucket::Day)
            if p.time_field()?
                .is_some_and(|t| p.field(t).kind == Kind::Date && p.field(t).is_unique()) =>
        {
            let time = p.time_field()?.unwrap_or(0);
            let limit = p.limit.take().unwrap_or(1);
            rows(vec![p.name(time), name.clone()], limit)
        }
        Target::Bucket(_) => grouped_extreme(p, target, what, order),
        Target::Nothing => {
            if let Some(limit) = p.limit.take() {
                return rows(Vec::new(), limit);
            }
            // Numbers have a largest; of dates, the record is shown.
            if p.field(metric).kind.is_time() {
                return rows(Vec::new(), 1);
            }
            p.aggs.push((extreme(order), metric));
            aggregates(p)?.map_or_else(|| Err(p.not_understood(vec![p.spans[i].text.clone()])), Ok)
        }
    }
}

/// "most common weather", "which product is most common".
fn common(p: &mut Parse<'_>, i: usize, order: Order) -> Result<Decided, Refusal> {
    let after = p.next(i).filter(|n| p.fits(*n).is_some());
    let open = open_fields(p);
    let Some(at) = after.or_else(|| open.first().copied().filter(|_| open.len() == 1)) else {
        if p.groups.len() == 1 {
            return most(p, i, order);
        }
        return Err(p.not_understood(vec![p.spans[i].text.clone()]));
    };
    let field = p.pick_at(at, |f| f.kind != Kind::Number, "something that repeats")?;
    p.use_(at);
    if let Some(w) = p.find(|k| *k == Key::Which) {
        p.use_(w);
    }
    if !p.groups.is_empty() || p.bucket.is_some() {
        return p.too_far("the most common within each group");
    }
    let limit = p.limit.take().unwrap_or(if is_plural(&p.spans[at].text) {
        TOP_VALUES
    } else {
        1
    });
    let field = p.name(field);
    if order == Order::Descending {
        return plain(Terminal::Frequencies {
            field,
            limit: Some(limit),
        });
    }
    plain(Terminal::Aggregate {
        measures: vec![measure(Func::Count, None)],
        group_by: vec![field],
        order: Some(order),
        limit: Some(limit),
    })
}

/// "which region has the most orders", "the car with the most horsepower".
fn most(p: &mut Parse<'_>, i: usize, order: Order) -> Result<Decided, Refusal> {
    let target = target(p, i)?;
    if let Some(unique) = p.find(|k| matches!(k, Key::Unique | Key::HowMany)) {
        p.use_(unique);
    }
    let after = p.next(i);
    // "busiest month", "quietest city".
    let superlative = p.spans[i].text.to_lowercase().ends_with("est");
    let target = match (target, after) {
        (Target::Nothing, Some(n)) if superlative => {
            if let Some(Key::Bucket(bucket)) = p.key(n).cloned() {
                p.use_(n);
                Target::Bucket(bucket)
            } else if p.fits(n).is_some() {
                let field =
                    p.pick_at(n, |f| f.kind != Kind::Number, "something to choose among")?;
                p.use_(n);
                Target::Field(field)
            } else {
                Target::Nothing
            }
        }
        (target, _) => target,
    };
    let after = after.and_then(|n| if p.spans[n].used { p.next(n) } else { Some(n) });
    let metric = after.filter(|n| p.fits(*n).is_some());
    let Some(at) = metric else {
        if matches!(target, Target::Nothing) && p.groups.is_empty() && p.bucket.is_none() {
            return Err(p.not_understood(vec![p.spans[i].text.clone()]));
        }
        return grouped_extreme(p, target, measure(Func::Count, None), order);
    };
    let field = p.pick_at(at, |_| true, "a field")?;
    p.use_(at);
    if !p.field(field).kind.is_number() {
        return grouped_extreme(
            p,
            target,
            measure(Func::Distinct, Some(p.name(field))),
            order,
        );
    }
    match target {
        Target::Field(f) if !p.field(f).is_unique() && !p.field(f).kind.is_time() => {
            summed(p, target, field, order)
        }
        Target::Bucket(Bucket::Day) if p.time_field()?.is_some_and(|t| p.field(t).is_unique()) => {
            extreme_of(p, i, target, field, order)
        }
        Target::Bucket(_) => summed(p, target, field, order),
        _ => extreme_of(p, i, target, field, order),
    }
}

/// The sum where the field is an amount; else it could as well be the largest single one.
fn summed(
    p: &mut Parse<'_>,
    target: Target,
    field: usize,
    order: Order,
) -> Result<Decided, Refusal> {
    let name = p.name(field);
    if additive(p.field(field)) {
        return grouped_extreme(p, target, measure(Func::Sum, Some(name)), order);
    }
    let end = if order == Order::Descending {
        "highest"
    } else {
        "lowest"
    };
    Err(Refusal::Ambiguous {
        what: format!("`{name}` could be added up, averaged, or taken singly"),
        options: vec![
            format!("{end} total {name}"),
            format!("{end} average {name}"),
            format!("{end} {name}"),
        ],
    })
}
