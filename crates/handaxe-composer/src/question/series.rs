//! Measures over time.

use super::decide::{Decided, measure, open_fields, plain};
use super::lexicon::Key;
use super::parse::Parse;
use super::pivot;
use super::refusal::Refusal;
use crate::{Bucket, Format, Func, Measure, Order, Terminal};

pub(super) fn histogram(
    p: &mut Parse<'_>,
    bucket: Bucket,
    measure: Measure,
    focus: Option<Order>,
) -> Result<Decided, Refusal> {
    if p.groups.len() > 1 || (!p.groups.is_empty() && focus.is_some()) {
        return p.too_far("grouping by fields and by time at once");
    }
    let field = if p.profile.format == Format::Text {
        // "lines per hour": the lines are the records.
        for line in open_fields(p) {
            p.use_(line);
        }
        Some(0).filter(|_| p.profile.has_timed_lines())
    } else {
        // "per month", where the one date field was named: "by month of date".
        let named: Vec<usize> = open_fields(p)
            .into_iter()
            .filter(|i| {
                p.fits(*i)
                    .is_some_and(|f| f.iter().all(|f| p.field(*f).kind.is_time()))
            })
            .collect();
        if let [only] = named.as_slice() {
            let field = p.pick_at(*only, |f| f.kind.is_time(), "a date")?;
            p.use_(*only);
            Some(field)
        } else {
            p.time_field()?
        }
    };
    let Some(field) = field else {
        return Err(Refusal::Unfit {
            what: if p.profile.format == Format::Text {
                "no line holds a date with its year that could be gone by, such as 2026-05-03 22:10:52"
                    .to_owned()
            } else {
                "no field holds dates or times to go by".to_owned()
            },
            fields: p.field_names(),
        });
    };
    if p.is_year(field) {
        if bucket != Bucket::Year {
            return Err(Refusal::Unfit {
                what: format!("`{}` holds years only", p.name(field)),
                fields: p.field_names(),
            });
        }
        if !p.groups.is_empty() {
            return pivot::over_time(p, (field, None), measure);
        }
        return plain(Terminal::Aggregate {
            measures: vec![measure],
            group_by: vec![p.name(field)],
            order: focus,
            limit: focus.map(|_| p.limit.take().unwrap_or(1)),
        });
    }
    if !p.groups.is_empty() {
        return pivot::over_time(p, (field, Some(bucket)), measure);
    }
    if focus.is_some() && p.limit.is_some_and(|n| n > 1) {
        return p.too_far("the first few of a series over time (ask for the whole series)");
    }
    p.limit = None;
    Ok(Decided {
        terminal: Terminal::Histogram {
            field: p.name(field),
            bucket,
            measure,
        },
        focus,
    })
}

pub(super) fn trend(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Trend) else {
        return Ok(None);
    };
    p.use_(i);
    while let Some(verb) =
        p.find(|k| matches!(k, Key::Describe | Key::List | Key::Which | Key::Convert))
    {
        p.use_(verb);
    }
    let bucket = match p.bucket.take() {
        Some(bucket) => bucket,
        None => match p.time_field()? {
            Some(field) if p.is_year(field) => Bucket::Year,
            Some(field) => p.natural_bucket(field),
            None if p.profile.format == Format::Text => Bucket::Hour,
            None => return p.too_far("no field says when"),
        },
    };
    let what = if let [(func, field)] = std::mem::take(&mut p.aggs).as_slice() {
        measure(*func, Some(p.name(*field)))
    } else {
        let metric = open_fields(p).into_iter().find(|i| {
            p.fits(*i)
                .is_some_and(|f| f.iter().any(|f| p.field(*f).kind.is_number()))
        });
        match metric {
            Some(at) => {
                let field = p.pick_at(at, |f| f.kind.is_number(), "a number")?;
                p.use_(at);
                measure(Func::Mean, Some(p.name(field)))
            }
            None => measure(Func::Count, None),
        }
    };
    if let Some(h) = p.find(|k| *k == Key::HowMany) {
        p.use_(h);
    }
    histogram(p, bucket, what, None).map(Some)
}
