//! Records out as a file: duplicates left out, texts made uniform, ordered, the first few.

use super::decide::{Decided, open_fields, plain};
use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::spans::Item;
use super::tokens::stems;
use crate::profile::{Field, Kind};
use crate::{Change, Format, Sort, Terminal, Tidy};

/// "remove duplicate rows by email", "lower-case and trim the names", "sort by date then amount".
pub(super) fn clean(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let changes = changes(p)?;
    let unique = unique(p)?;
    if changes.is_empty() && unique.is_none() && p.then.is_empty() {
        return Ok(None);
    }
    let to = format(p)?.unwrap_or(p.profile.format);
    while let Some(verb) = p.find(|k| matches!(k, Key::List | Key::Convert | Key::Which)) {
        p.use_(verb);
    }
    let first = p.sort.take();
    let order_by = (first.into_iter())
        .chain(std::mem::take(&mut p.then))
        .map(|(f, order)| Sort {
            field: p.name(f),
            order,
        })
        .collect();
    let fields = shown(p)?;
    written(
        p,
        Terminal::Clean {
            changes,
            unique,
            order_by,
            fields,
            limit: None,
            to,
        },
    )
    .map(Some)
}

/// The records of a list as a file: "save the 10 dearest orders as json".
pub(super) fn saved(p: &Parse<'_>, decided: Decided, to: Format) -> Result<Decided, Refusal> {
    match decided.terminal {
        Terminal::Rows {
            fields,
            order_by,
            order,
            limit,
        } if p.shape.per.is_none() && p.shape.offset == 0 => written(
            p,
            Terminal::Clean {
                changes: Vec::new(),
                unique: None,
                order_by: (order_by.into_iter())
                    .map(|field| Sort { field, order })
                    .collect(),
                fields,
                limit,
                to,
            },
        ),
        _ => p.too_far("saving anything but records to a file"),
    }
}

fn written(p: &Parse<'_>, terminal: Terminal) -> Result<Decided, Refusal> {
    if matches!(
        terminal,
        Terminal::Clean {
            to: Format::Text,
            ..
        }
    ) {
        return p.too_far("changing lines of text (say `as csv` or `as json`)");
    }
    plain(terminal)
}

/// The format that is named last, with what names it.
pub(super) fn format(p: &mut Parse<'_>) -> Result<Option<Format>, Refusal> {
    let mut named = None;
    let mut seen = 0;
    while let Some(i) = p.find(|k| matches!(k, Key::Format(_))) {
        if let Some(Key::Format(format)) = p.key(i) {
            named = Some(*format);
        }
        p.use_(i);
        seen += 1;
    }
    if seen > 2 {
        return p.too_far("several output formats at once");
    }
    Ok(named)
}

/// Fields that are kept: those named without anything else to do.
fn shown(p: &mut Parse<'_>) -> Result<Vec<String>, Refusal> {
    let mut fields: Vec<String> = Vec::new();
    for at in open_fields(p) {
        let field = p.pick_at(at, |_| true, "a field")?;
        p.use_(at);
        if !fields.contains(&p.name(field)) {
            fields.push(p.name(field));
        }
    }
    Ok(fields)
}

/// Which fields tell a record from its duplicates; none named means all of them.
fn unique(p: &mut Parse<'_>) -> Result<Option<Vec<String>>, Refusal> {
    let removed = p.find(|k| *k == Key::Remove).and_then(|r| {
        let after = |n: &usize| matches!(p.key(*n), Some(Key::Duplicates));
        let n = p.next(r)?;
        let n = if after(&n) { n } else { p.next(n)? };
        after(&n).then_some((r, n))
    });
    let (from, also) = match (p.find(|k| *k == Key::Dedupe), removed) {
        (Some(i), _) => (i, None),
        (None, Some((r, d))) => (r, Some(d)),
        (None, None) => match only_different(p) {
            Some(i) => (i, None),
            None => return Ok(None),
        },
    };
    for s in std::iter::once(from).chain(also) {
        p.use_(s);
    }
    while let Some(more) = p.find(|k| matches!(k, Key::Duplicates | Key::Dedupe)) {
        p.use_(more);
    }
    if p.bucket.is_some() {
        return p.too_far("duplicates by a unit of time");
    }
    let mut fields: Vec<usize> = std::mem::take(&mut p.groups);
    // "on email", "based on name and city", "with the same phone".
    for at in open_fields(p).into_iter().filter(|at| *at > from) {
        let field = p.pick_at(at, |_| true, "a field")?;
        p.use_(at);
        fields.push(field);
    }
    // "remove duplicate emails": by that field; said before the verb it is shown.
    let mut names: Vec<String> = Vec::new();
    for field in fields {
        let name = p.name(field);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Some(names))
}

/// "keep only the unique rows", "distinct records by email".
fn only_different(p: &Parse<'_>) -> Option<usize> {
    let i = p.find(|k| *k == Key::Unique)?;
    let entity = p.next(i).is_some_and(|n| p.key(n) == Some(&Key::Entity));
    let asked = p.has(|k| matches!(k, Key::HowMany | Key::Agg(_)));
    (entity && !asked).then_some(i)
}

/// What is done to which fields: the changes that stand together are done to the fields that follow,
/// or to those before where none follow.
fn changes(p: &mut Parse<'_>) -> Result<Vec<Change>, Refusal> {
    let mut out = Vec::new();
    let tidy = |p: &Parse<'_>, i: usize| matches!(p.key(i), Some(Key::Tidy(_) | Key::Normalise));
    while let Some(first) = p.find(|k| matches!(k, Key::Tidy(_) | Key::Normalise)) {
        let mut hows = vec![first];
        let mut at = first;
        while let Some(n) = after(p, at).filter(|n| tidy(p, *n)) {
            hows.push(n);
            at = n;
        }
        let mut fields = Vec::new();
        while let Some(n) = after(p, at).filter(|n| p.fits(*n).is_some()) {
            fields.push(n);
            at = n;
        }
        let behind = !fields.is_empty();
        // "normalise phone to iso": how, behind what.
        if behind
            && let Some(n) =
                after(p, at).filter(|n| tidy(p, *n) && p.key(first) == Some(&Key::Normalise))
        {
            hows.push(n);
        }
        if !behind {
            let mut at = first;
            while let Some(n) = before(p, at).filter(|n| p.fits(*n).is_some()) {
                fields.insert(0, n);
                at = n;
            }
        }
        if fields.is_empty() {
            return Err(p.not_understood(hows.iter().map(|h| p.spans[*h].text.clone()).collect()));
        }
        let keys: Vec<Key> = hows.iter().filter_map(|h| p.key(*h).cloned()).collect();
        let named: Vec<Tidy> = (keys.iter())
            .filter_map(|k| match k {
                Key::Tidy(how) => Some(*how),
                _ => None,
            })
            .collect();
        for h in hows {
            p.use_(h);
        }
        for at in fields {
            let field = p.pick_at(at, |f| f.kind != Kind::Boolean, "text")?;
            p.use_(at);
            // "phone numbers": the word says no more than the field.
            if let Some(n) = p.next(at).filter(|n| {
                p.spans[*n].text.to_lowercase().starts_with("number")
                    && matches!(p.spans[*n].item, Item::Key(_))
            }) {
                p.use_(n);
            }
            let hows = if named.is_empty() {
                vec![usual(p, field)?]
            } else {
                named.clone()
            };
            for how in hows {
                fit(p, field, how)?;
                let change = Change {
                    field: p.name(field),
                    how,
                };
                if !out.contains(&change) {
                    out.push(change);
                }
            }
        }
    }
    Ok(out)
}

/// The next span but for links, whether used or not.
fn after(p: &Parse<'_>, i: usize) -> Option<usize> {
    let links = |j: &usize| {
        p.filler(*j)
            || matches!(p.key(*j), Some(Key::And | Key::In | Key::Convert))
            // "phone numbers and names"
            || (p.spans[*j].text.to_lowercase().starts_with("number")
                && !matches!(p.spans[*j].item, Item::Field { .. }))
    };
    (i + 1..p.spans.len()).find(|j| !links(j))
}

fn before(p: &Parse<'_>, i: usize) -> Option<usize> {
    let links = |j: &usize| p.filler(*j) || matches!(p.key(*j), Some(Key::And | Key::In));
    (0..i).rev().find(|j| !links(j))
}

/// How a field is made uniform where the question only says that it is.
fn usual(p: &Parse<'_>, field: usize) -> Result<Tidy, Refusal> {
    let known = p.field(field);
    let words = stems(&known.name);
    let called = |names: &[&str]| words.iter().any(|w| names.contains(&w.as_str()));
    if called(&["phone", "telephone", "tel", "mobile", "fax", "cell"]) {
        return Ok(Tidy::Phone);
    }
    if known.kind.is_time() {
        return Ok(Tidy::Date);
    }
    if called(&["email", "mail"]) {
        return Ok(Tidy::Lower);
    }
    if known.kind.is_number() {
        return Ok(Tidy::Number);
    }
    let name = &known.name;
    Err(Refusal::Ambiguous {
        what: format!("`{name}` holds text, and text can be made uniform in several ways"),
        options: ["lower-case", "title-case", "trim", "collapse spaces in"]
            .map(|how| format!("{how} {name}"))
            .to_vec(),
    })
}

fn fit(p: &Parse<'_>, field: usize, how: Tidy) -> Result<(), Refusal> {
    let known: &Field = p.field(field);
    let fits = match how {
        Tidy::Date => known.kind.is_time(),
        Tidy::Lower | Tidy::Upper | Tidy::Title => known.kind == Kind::Text,
        _ => true,
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::Unfit {
        what: format!(
            "`{}` ({}) is not written that way",
            known.name,
            known.kind.as_str()
        ),
        fields: p.field_names(),
    })
}
