//! From the parts of a question to what is made of the records: the one terminal step.

use super::clean::{self, clean};
use super::lexicon::Key;
use super::parse::Parse;
use super::pivot;
use super::portion::{compare, duplicates, percent, place, placed, window};
use super::refusal::Refusal;
use super::series::{histogram, trend};
use super::spans::Item;
use super::superlative::superlative;
use super::tokens::stems;
use super::whole::{convert, extract, sentiment, words};
use crate::profile::{Field, Kind};
use crate::{Bucket, Format, Func, Measure, Order, Terminal};

/// Words and values shown where no number was said.
pub(super) const TOP_VALUES: u32 = 10;
const SHOWN_ROWS: u32 = 20;

/// The terminal step, and which end of a histogram the question asks for.
pub(super) struct Decided {
    pub(super) terminal: Terminal,
    pub(super) focus: Option<Order>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every rule ends in it, as a result"
)]
pub(super) fn plain(terminal: Terminal) -> Result<Decided, Refusal> {
    Ok(Decided {
        terminal,
        focus: None,
    })
}

type Rule = fn(&mut Parse<'_>) -> Result<Option<Decided>, Refusal>;

/// The rules in the order they are tried; the first that applies decides.
const RULES: &[Rule] = &[
    clean,
    duplicates,
    compare,
    percent,
    window,
    convert,
    extract,
    sentiment,
    words,
    superlative,
    trend,
    summary_of,
    aggregates,
    top_values,
    how_many,
    frequencies,
    distinct,
    listing,
    whole_summary,
    which,
];

pub(super) fn decide(p: &mut Parse<'_>) -> Result<Decided, Refusal> {
    place(p)?;
    let decided = match by_rule(p, RULES)? {
        Some(decided) => decided,
        None => left_to_mean(p)?,
    };
    if p.has(|k| matches!(k, Key::Remove)) {
        return p
            .too_far("leaving records out in other ways than as duplicates (say which to keep)");
    }
    pivot::as_table(p, decided)
}

fn by_rule(p: &mut Parse<'_>, rules: &[Rule]) -> Result<Option<Decided>, Refusal> {
    for rule in rules {
        if let Some(decided) = rule(p)? {
            placed(p, &decided)?;
            return Ok(Some(decided));
        }
    }
    Ok(None)
}

/// What is asked of the records, where a file is to be written of it.
pub(super) fn records_of(p: &mut Parse<'_>) -> Result<Decided, Refusal> {
    match by_rule(p, &[superlative, top_values, listing, which])? {
        Some(decided) => Ok(decided),
        None => rows_or_values(p),
    }
}

fn left_to_mean(p: &mut Parse<'_>) -> Result<Decided, Refusal> {
    // "revenue by region": amounts are added up, and without one counting is all that is left.
    if p.bucket.is_some() || !p.groups.is_empty() {
        if let [at] = open_fields(p).as_slice()
            && let Ok(field) = p.pick_at(*at, additive, "an amount")
        {
            p.use_(*at);
            p.aggs.push((Func::Sum, field));
            if let Some(decided) = aggregates(p)? {
                return Ok(decided);
            }
        }
        return count(p);
    }
    if p.profile.met.is_some() && p.has(|k| *k == Key::Join) {
        // "join the two files on sku": the records of both.
        let records = records_of(p)?;
        return clean::saved(p, records, p.profile.format);
    }
    let words: Vec<String> = p
        .spans
        .iter()
        .filter(|s| !s.used && !matches!(s.item, Item::Key(Key::Filler | Key::In)))
        .map(|s| s.text.clone())
        .collect();
    Err(p.not_understood(words))
}

pub(super) fn measure(func: Func, field: Option<String>) -> Measure {
    Measure { func, field }
}

pub(super) fn group_names(p: &mut Parse<'_>) -> Vec<String> {
    std::mem::take(&mut p.groups)
        .into_iter()
        .map(|g| p.name(g))
        .collect()
}

/// Unused field spans, in order.
pub(super) fn open_fields(p: &Parse<'_>) -> Vec<usize> {
    (0..p.spans.len())
        .filter(|i| p.fits(*i).is_some())
        .collect()
}

pub(super) fn is_plural(text: &str) -> bool {
    let last = text.split(' ').next_back().unwrap_or(text);
    last.len() > 3 && last.ends_with('s') && stems(last).concat() != last.to_lowercase()
}

/// Amounts that may be added up over records.
pub(super) fn additive(field: &Field) -> bool {
    const WORDS: &[&str] = &[
        "qty",
        "amount",
        "sale",
        "revenue",
        "unit",
        "count",
        "byte",
        "total",
        "sold",
        "wound",
        "death",
        "visit",
        "generation",
        "mile",
        "precipitation",
        "rain",
        "rainfall",
    ];
    field.kind.is_number()
        && stems(&field.name)
            .iter()
            .any(|w| WORDS.contains(&w.as_str()))
}

/// "summary of price", "describe horsepower by origin".
fn summary_of(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Describe) else {
        return Ok(None);
    };
    let open = open_fields(p);
    if open.is_empty() || p.limit.is_some() || !p.aggs.is_empty() {
        return Ok(None);
    }
    if p.bucket.is_some() {
        return p.too_far("a summary over time (ask for one measure, e.g. `average`)");
    }
    let fields: Vec<usize> = open
        .iter()
        .map(|at| p.pick_at(*at, |_| true, "a field"))
        .collect::<Result<_, _>>()?;
    for at in open {
        p.use_(at);
    }
    p.use_(i);
    if let ([only], true) = (fields.as_slice(), p.groups.is_empty())
        && !p.field(*only).kind.is_number()
    {
        return plain(Terminal::Frequencies {
            field: p.name(*only),
            limit: None,
        })
        .map(Some);
    }
    if fields.iter().any(|f| !p.field(*f).kind.is_number()) {
        return p.too_far("a summary of several fields that are not numbers");
    }
    let mut measures = vec![measure(Func::Count, None)];
    for f in fields {
        for func in [Func::Mean, Func::Median, Func::Min, Func::Max, Func::Stdev] {
            measures.push(measure(func, Some(p.name(f))));
        }
    }
    plain(Terminal::Aggregate {
        measures,
        group_by: group_names(p),
        order: None,
        limit: None,
    })
    .map(Some)
}

pub(super) fn aggregates(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    if p.aggs.is_empty() {
        return Ok(None);
    }
    // "top 5 cities by average price".
    if p.top.is_some() {
        return ranked(p).map(Some);
    }
    let mut measures: Vec<Measure> = std::mem::take(&mut p.aggs)
        .into_iter()
        .map(|(func, f)| measure(func, Some(p.name(f))))
        .collect();
    if let Some(count) = p.find(|k| *k == Key::HowMany) {
        p.use_(count);
        measures.insert(0, measure(Func::Count, None));
    }
    if let Some(bucket) = p.bucket.take() {
        return match measures.as_slice() {
            [one] => histogram(p, bucket, one.clone(), None).map(Some),
            _ => p.too_far("several measures over time at once"),
        };
    }
    let group_by = group_names(p);
    // "sorted by average price" is by the measure; by the group is the rule anyway.
    let order = p.sort.take().and_then(|(f, order)| {
        (measures[0].field.as_deref() == Some(p.name(f).as_str())).then_some(order)
    });
    let direction = p.find(|k| matches!(k, Key::Direction(_)));
    let order = match direction.and_then(|d| p.key(d)) {
        Some(Key::Direction(d)) => Some(*d),
        _ => order,
    };
    if let Some(d) = direction.filter(|_| !group_by.is_empty()) {
        p.use_(d);
    }
    plain(Terminal::Aggregate {
        measures,
        group_by,
        order,
        limit: None,
    })
    .map(Some)
}

/// "top 5 X by …".
fn ranked(p: &mut Parse<'_>) -> Result<Decided, Refusal> {
    let order = p.top.take().unwrap_or(Order::Descending);
    let limit = p.limit.take();
    let what = match std::mem::take(&mut p.aggs).as_slice() {
        [(func, field)] => measure(*func, Some(p.name(*field))),
        [] => measure(Func::Count, None),
        _ => return p.too_far("ranking by several measures"),
    };
    if let Some(h) = p.find(|k| *k == Key::HowMany) {
        p.use_(h);
    }
    let group = match (open_fields(p).as_slice(), p.groups.as_slice()) {
        ([at], []) => {
            let field = p.pick_at(*at, |f| f.kind != Kind::Number, "something to choose among")?;
            p.use_(*at);
            p.name(field)
        }
        ([], [_]) => group_names(p).concat(),
        _ => return p.too_far("ranking over several fields at once"),
    };
    plain(Terminal::Aggregate {
        measures: vec![what],
        group_by: vec![group],
        order: Some(order),
        limit,
    })
}

/// "top 5 cities", "top 5 cities by population", "first 10 rows".
fn top_values(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(order) = p.top else {
        return Ok(None);
    };
    if p.has(|k| *k == Key::HowMany) {
        return ranked(p).map(Some);
    }
    while let Some(verb) = p.find(|k| matches!(k, Key::List | Key::Which)) {
        p.use_(verb);
    }
    let limit = p.limit.take();
    let open = open_fields(p);
    let by = p.rank.take().map(|f| (f, order)).or_else(|| p.sort.take());
    p.top = None;
    let Some((by, by_order)) = by else {
        return match open.as_slice() {
            [] if order == Order::Descending && p.groups.is_empty() && p.bucket.is_none() => {
                plain(Terminal::Rows {
                    fields: Vec::new(),
                    order_by: None,
                    order: Order::Ascending,
                    limit,
                })
                .map(Some)
            }
            [at] if p.groups.is_empty() && p.bucket.is_none() => {
                let field = p.pick_at(*at, |_| true, "a field")?;
                p.use_(*at);
                let name = p.name(field);
                if p.field(field).kind.is_number() && !p.is_year(field) {
                    return plain(Terminal::Rows {
                        fields: Vec::new(),
                        order_by: Some(name),
                        order,
                        limit,
                    })
                    .map(Some);
                }
                if order == Order::Ascending {
                    return plain(Terminal::Aggregate {
                        measures: vec![measure(Func::Count, None)],
                        group_by: vec![name],
                        order: Some(order),
                        limit,
                    })
                    .map(Some);
                }
                plain(Terminal::Frequencies { field: name, limit }).map(Some)
            }
            _ => p.too_far("the top of several fields, or within each group"),
        };
    };
    let name = p.name(by);
    let rows = |fields: Vec<String>| {
        plain(Terminal::Rows {
            fields,
            order_by: Some(name.clone()),
            order: by_order,
            limit,
        })
        .map(Some)
    };
    if p.bucket.is_some() || p.groups.len() > 1 {
        return p.too_far("the top within each group of several fields");
    }
    if let ([group], true) = (p.groups.clone().as_slice(), open.is_empty()) {
        // "top 3 orders by price for each region".
        p.groups.clear();
        p.shape.per = Some(p.name(*group));
        return rows(Vec::new());
    }
    if !p.groups.is_empty() {
        return p.too_far("the top within each group");
    }
    match open.as_slice() {
        [] => rows(Vec::new()),
        [at] => {
            let field = p.pick_at(*at, |_| true, "a field")?;
            p.use_(*at);
            if p.field(field).is_unique() {
                return rows(vec![p.name(field), name.clone()]);
            }
            if additive(p.field(by)) {
                return plain(Terminal::Aggregate {
                    measures: vec![measure(Func::Sum, Some(name.clone()))],
                    group_by: vec![p.name(field)],
                    order: Some(by_order),
                    limit,
                })
                .map(Some);
            }
            let shown = p.name(field);
            Err(Refusal::Ambiguous {
                what: format!("each `{shown}` has several values of `{name}`"),
                options: vec![
                    format!("top {shown} by average {name}"),
                    format!("top {shown} by total {name}"),
                    format!("records with the highest {name}"),
                ],
            })
        }
        _ => p.too_far("the top of several fields at once"),
    }
}

fn count(p: &mut Parse<'_>) -> Result<Decided, Refusal> {
    if let Some(bucket) = p.bucket.take() {
        return histogram(p, bucket, measure(Func::Count, None), None);
    }
    let years = p
        .groups
        .iter()
        .all(|g| p.is_year(*g) || p.field(*g).kind == Kind::Integer);
    let group_by = group_names(p);
    plain(Terminal::Aggregate {
        measures: vec![measure(Func::Count, None)],
        order: (group_by.len() == 1 && !years).then_some(Order::Descending),
        group_by,
        limit: None,
    })
}

fn how_many(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| matches!(k, Key::HowMany | Key::HowMuch)) else {
        return Ok(None);
    };
    p.use_(i);
    let unique = p.find(|k| *k == Key::Unique);
    if let Some(u) = unique {
        p.use_(u);
    }
    while let Some(verb) = p
        .find(|k| matches!(k, Key::List | Key::Which))
        .filter(|v| *v < i)
    {
        p.use_(verb);
    }
    // "how many days": records where there is one a day.
    if let Some(n) = p.next(i)
        && let Some(Key::Bucket(bucket)) = p.key(n).cloned()
    {
        let daily = p
            .time_field()?
            .is_some_and(|t| p.field(t).kind == Kind::Date && p.field(t).is_unique());
        if bucket == Bucket::Day && daily && p.bucket != Some(Bucket::Day) {
            p.use_(n);
        } else {
            return p.too_far(&format!(
                "counting {}: the data does not have one record for each",
                p.spans[n].text
            ));
        }
    }
    let mut open = open_fields(p);
    if p.profile.format == Format::Text && unique.is_none() {
        // "how many lines": the lines are the records, not values to tell apart.
        for line in open.drain(..) {
            p.use_(line);
        }
    }
    let at = match open.as_slice() {
        [] => {
            if unique.is_some() {
                return p.too_far("unique records (ask for the unique values of a field)");
            }
            return count(p).map(Some);
        }
        [at] => *at,
        _ => return p.too_far("counting several fields at once"),
    };
    let direct = p
        .next(i)
        .is_some_and(|n| n == at || (Some(n) == unique && p.next(n) == Some(at)));
    if !direct {
        return Err(p.not_understood(vec![p.spans[at].text.clone()]));
    }
    let field = p.pick_at(at, |_| true, "a field")?;
    p.use_(at);
    let name = p.name(field);
    if unique.is_none() && p.filters.iter().any(|f| f.field == name) {
        // "how many results are fail": the records, for the values were just told apart.
        return count(p).map(Some);
    }
    let func = if unique.is_some() || !p.field(field).kind.is_number() || p.is_id(field) {
        Func::Distinct
    } else if additive(p.field(field)) {
        Func::Sum
    } else {
        return Err(Refusal::Ambiguous {
            what: format!(
                "`{name}` holds numbers: they could be added up, or their different values counted"
            ),
            options: vec![
                format!("total {name}"),
                format!("how many different {name}"),
            ],
        });
    };
    if func == Func::Distinct {
        p.without_absent(field);
    }
    if let Some(bucket) = p.bucket.take() {
        return histogram(p, bucket, measure(func, Some(name)), None).map(Some);
    }
    plain(Terminal::Aggregate {
        measures: vec![measure(func, Some(name))],
        group_by: group_names(p),
        order: None,
        limit: None,
    })
    .map(Some)
}

fn frequencies(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Frequency) else {
        return Ok(None);
    };
    p.use_(i);
    while let Some(verb) = p.find(|k| {
        matches!(
            k,
            Key::List | Key::Which | Key::By | Key::Entity | Key::Describe
        )
    }) {
        p.use_(verb);
    }
    if p.bucket.is_some() {
        return count(p).map(Some);
    }
    let name = match (open_fields(p).as_slice(), p.groups.as_slice()) {
        ([at], []) => {
            let field = p.pick_at(*at, |_| true, "a field")?;
            if p.field(field).kind.is_time() {
                p.use_(*at);
                p.bucket = Some(p.natural_bucket(field));
                return count(p).map(Some);
            }
            if p.field(field).kind == Kind::Number
                || p.field(field).distinct > 100 && p.field(field).kind.is_number()
            {
                return p.too_far(&format!(
                    "the distribution of numbers in ranges (ask `describe {}`)",
                    p.name(field)
                ));
            }
            p.use_(*at);
            p.name(field)
        }
        ([], [_]) => group_names(p).concat(),
        // "how often did it snow".
        ([], []) if !p.filters.is_empty() => return count(p).map(Some),
        _ => return Err(p.not_understood(vec![p.spans[i].text.clone()])),
    };
    plain(Terminal::Frequencies {
        field: name,
        limit: p.limit.take(),
    })
    .map(Some)
}

fn distinct(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Unique) else {
        return Ok(None);
    };
    let open = open_fields(p);
    let [at] = open.as_slice() else {
        return Err(p.not_understood(vec![p.spans[i].text.clone()]));
    };
    let field = p.pick_at(*at, |_| true, "a field")?;
    for s in [i, *at] {
        p.use_(s);
    }
    while let Some(verb) = p.find(|k| matches!(k, Key::List | Key::Which | Key::Extract)) {
        p.use_(verb);
    }
    p.without_absent(field);
    plain(Terminal::Distinct {
        field: p.name(field),
    })
    .map(Some)
}

/// "list the products", "show name and price of orders over 100".
fn listing(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| matches!(k, Key::List | Key::Extract)) else {
        return Ok(None);
    };
    if !p.groups.is_empty() || p.bucket.is_some() {
        return Ok(None);
    }
    p.use_(i);
    rows_or_values(p).map(Some)
}

fn rows_or_values(p: &mut Parse<'_>) -> Result<Decided, Refusal> {
    while let Some(verb) = p.find(|k| matches!(k, Key::List | Key::Which | Key::Extract)) {
        p.use_(verb);
    }
    let open = open_fields(p);
    let mut fields: Vec<usize> = Vec::new();
    for at in &open {
        let field = p.pick_at(*at, |_| true, "a field")?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    for at in open {
        p.use_(at);
    }
    // "who joined before 2021" asks for people: what was compared is not what is wanted.
    let who = p
        .spans
        .iter()
        .any(|s| matches!(s.text.to_lowercase().as_str(), "who" | "whose"));
    let compared = |f: &usize| p.filters.iter().any(|c| c.field == p.name(*f));
    if who && fields.iter().all(compared) {
        fields.clear();
    }
    let limit = p.limit.take();
    let (order_by, order) = match p.sort.take() {
        Some((f, order)) => (Some(p.name(f)), order),
        None => (None, Order::Ascending),
    };
    if let ([only], None, None) = (fields.as_slice(), limit, &order_by)
        && !p.field(*only).is_prose()
        && !p.field(*only).kind.is_number()
        && !p.has(|k| *k == Key::Entity)
    {
        return plain(Terminal::Distinct {
            field: p.name(*only),
        });
    }
    let all = fields.is_empty() && p.filters.is_empty() && limit.is_none() && order_by.is_none();
    plain(Terminal::Rows {
        fields: fields.into_iter().map(|f| p.name(f)).collect(),
        order_by,
        order,
        limit: if all { Some(SHOWN_ROWS) } else { limit },
    })
}

fn whole_summary(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Describe) else {
        return Ok(None);
    };
    p.use_(i);
    while let Some(verb) = p.find(|k| matches!(k, Key::Describe | Key::Which | Key::List)) {
        p.use_(verb);
    }
    plain(Terminal::Describe).map(Some)
}

/// "which products were returned", "what is the price of …".
fn which(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    if !p.groups.is_empty() || p.bucket.is_some() {
        return Ok(None);
    }
    let Some(i) = p.find(|k| matches!(k, Key::Which | Key::When)) else {
        // "sorted by price", "orders over 100": the records themselves.
        if p.filters.is_empty() && p.sort.is_none() {
            return Ok(None);
        }
        if let [at] = open_fields(p).as_slice()
            && let Ok(field) = p.pick_at(*at, additive, "an amount")
        {
            let name = p.name(field);
            return Err(Refusal::Ambiguous {
                what: format!("`{name}` could be added up, averaged, or listed"),
                options: vec![
                    format!("total {name}"),
                    format!("average {name}"),
                    format!("list {name}"),
                ],
            });
        }
        return rows_or_values(p).map(Some);
    };
    let when = p.key(i) == Some(&Key::When);
    p.use_(i);
    if when {
        return match p.time_field()? {
            Some(f) if !p.filters.is_empty() && open_fields(p).is_empty() => {
                plain(Terminal::Rows {
                    fields: vec![p.name(f)],
                    order_by: None,
                    order: Order::Ascending,
                    limit: None,
                })
                .map(Some)
            }
            _ => p.too_far("when something was, without saying what"),
        };
    }
    let nothing =
        open_fields(p).is_empty() && p.filters.is_empty() && p.sort.is_none() && p.limit.is_none();
    if nothing {
        return Ok(None);
    }
    rows_or_values(p).map(Some)
}
