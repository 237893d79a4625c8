//! Steps that take text or the records as they are: convert, extract, sentiment, words.

use super::clean::saved;
use super::decide::{Decided, group_names, is_plural, open_fields, plain, records_of};
use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::spans::Item;
use crate::profile::Kind;
use crate::{Extractable, Format, Order, Terminal};

/// Words shown where no number was said.
const TOP_WORDS: u32 = 20;

pub(super) fn convert(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(to) = p.find(|k| matches!(k, Key::Format(_))) else {
        return Ok(None);
    };
    let Some(Key::Format(mut format)) = p.key(to).cloned() else {
        return Ok(None);
    };
    let verb = p.find(|k| matches!(k, Key::Convert | Key::List));
    // "convert this csv to json": the last format is the aim.
    let mut seen = vec![to];
    while let Some(more) = (seen[seen.len() - 1] + 1..p.spans.len())
        .find(|i| matches!(p.key(*i), Some(Key::Format(_))))
    {
        seen.push(more);
        if let Some(Key::Format(f)) = p.key(more) {
            format = *f;
        }
    }
    let Some(verb) = verb else {
        return Ok(None);
    };
    p.use_(verb);
    for s in &seen {
        p.use_(*s);
    }
    if seen.len() > 2 {
        return p.too_far("several output formats at once");
    }
    while let Some(verb) = p.find(|k| *k == Key::Convert) {
        p.use_(verb);
    }
    let chosen = p.has(|k| matches!(k, Key::Ext(_) | Key::Most(_) | Key::Adjective(_)));
    let cut = p.sort.is_some() || p.top.is_some() || p.limit.is_some();
    if chosen || cut || !open_fields(p).is_empty() {
        let decided = records_of(p)?;
        return saved(p, decided, format).map(Some);
    }
    let same = format == p.profile.format && seen.len() == 1 && p.profile.met.is_none();
    if same && p.filters.is_empty() {
        return Err(Refusal::Unfit {
            what: format!(
                "`{}` is already {}",
                p.profile.name,
                crate::profile::format_name(format)
            ),
            fields: p.field_names(),
        });
    }
    plain(Terminal::Convert { to: format }).map(Some)
}

pub(super) fn extract(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let verb = p
        .find(|k| {
            matches!(
                k,
                Key::Extract
                    | Key::List
                    | Key::HowMany
                    | Key::Unique
                    | Key::Which
                    | Key::Common(_)
                    | Key::Frequency
            )
        })
        .or_else(|| p.top.map(|_| 0));
    let by = p
        .find(|k| *k == Key::By)
        .filter(|_| p.profile.format == Format::Text);
    let what = p.find(|k| matches!(k, Key::What(_)));
    let pattern = p.find(|k| *k == Key::Pattern);
    let found = if let Some(i) = pattern {
        let Some(q) = (i..p.spans.len()).find(|j| matches!(p.spans[*j].item, Item::Quoted(_)))
        else {
            return p
                .too_far("a pattern is needed in quotes, e.g. extract matching \"ORD-[0-9]+\"");
        };
        let Item::Quoted(text) = p.spans[q].item.clone() else {
            return Ok(None);
        };
        if let Err(e) = regex::Regex::new(&text) {
            let _ = e;
            return Err(Refusal::Unfit {
                what: format!("`{text}` is not a regular expression"),
                fields: p.field_names(),
            });
        }
        p.use_(q);
        p.use_(i);
        if let Some(w) = what {
            p.use_(w);
        }
        Some(Extractable::Pattern(text))
    } else if let Some(i) = what
        && (verb.is_some() || by.is_some())
    {
        p.use_(i);
        match p.key(i).cloned() {
            Some(Key::What(what)) => Some(what),
            _ => None,
        }
    } else {
        None
    };
    let Some(what) = found else {
        return Ok(None);
    };
    while let Some(verb) = p.find(|k| {
        matches!(
            k,
            Key::Extract
                | Key::List
                | Key::HowMany
                | Key::Unique
                | Key::Which
                | Key::Common(_)
                | Key::Frequency
                | Key::Most(_)
        )
    }) {
        if matches!(
            p.key(verb),
            Some(Key::Common(Order::Ascending) | Key::Most(Order::Ascending))
        ) {
            return p.too_far("the rarest of what is found");
        }
        p.use_(verb);
    }
    if let Some(by) = by {
        p.use_(by);
    }
    if p.top == Some(Order::Ascending) {
        return p.too_far("the rarest of what is found");
    }
    let field = match open_fields(p).as_slice() {
        [] => None,
        [one] => {
            let field = p.pick_at(*one, |f| f.kind == Kind::Text, "text")?;
            p.use_(*one);
            Some(p.name(field))
        }
        _ => return p.too_far("extracting from several fields at once"),
    };
    let limit = p.limit.take();
    plain(Terminal::Extract { field, what, limit }).map(Some)
}

pub(super) fn sentiment(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Sentiment) else {
        return Ok(None);
    };
    p.use_(i);
    // "analyze the sentiment", "how does sentiment … ": the verbs say no more.
    while let Some(verb) = p.find(|k| {
        matches!(
            k,
            Key::Describe
                | Key::Sentiment
                | Key::Which
                | Key::List
                | Key::Frequency
                | Key::OnAverage
        )
    }) {
        p.use_(verb);
    }
    let field = match open_fields(p).as_slice() {
        [] => p.text_field()?,
        [one] => {
            let field = p.pick_at(*one, |f| f.kind == Kind::Text, "text")?;
            p.use_(*one);
            field
        }
        _ => return p.too_far("the sentiment of several fields at once"),
    };
    if p.bucket.is_some() || p.groups.len() > 1 {
        return p.too_far("sentiment over time or by several fields");
    }
    let group_by = group_names(p).pop();
    plain(Terminal::Sentiment {
        field: p.name(field),
        group_by,
    })
    .map(Some)
}

pub(super) fn words(p: &mut Parse<'_>) -> Result<Option<Decided>, Refusal> {
    let Some(i) = p.find(|k| *k == Key::Words) else {
        return Ok(None);
    };
    let rare = p.has(|k| {
        matches!(
            k,
            Key::Common(Order::Ascending) | Key::Most(Order::Ascending)
        )
    }) || p.top == Some(Order::Ascending);
    if rare || !p.groups.is_empty() || p.bucket.is_some() || p.has(|k| *k == Key::Unique) {
        return p.too_far("rare words, unique words, or words by group");
    }
    let asked = p.limit.is_some()
        || p.has(|k| {
            matches!(
                k,
                Key::Common(_) | Key::Frequency | Key::Most(_) | Key::Extract | Key::List
            )
        });
    // "how many words": a total that the steps do not give; "count words" and "word count" do.
    let counted = p
        .find(|k| *k == Key::HowMany)
        .filter(|h| p.spans[*h].text.to_lowercase().starts_with("count"));
    if !asked && counted.is_none() {
        return p.too_far("the number of words in all (ask for the most common words)");
    }
    p.use_(i);
    while let Some(verb) = p.find(|k| {
        matches!(
            k,
            Key::Common(_)
                | Key::Frequency
                | Key::Most(_)
                | Key::Extract
                | Key::List
                | Key::Which
                | Key::HowMany
                | Key::Words
        )
    }) {
        p.use_(verb);
    }
    let field = match open_fields(p).as_slice() {
        [] => p.text_field()?,
        [one] => {
            let field = p.pick_at(*one, |f| f.kind == Kind::Text, "text")?;
            p.use_(*one);
            field
        }
        _ => return p.too_far("words of several fields at once"),
    };
    plain(Terminal::Words {
        field: p.name(field),
        limit: p
            .limit
            .take()
            .unwrap_or(if is_plural(&p.spans[i].text) || counted.is_some() {
                TOP_WORDS
            } else {
                1
            }),
        min_length: 1,
        skip_stop_words: true,
    })
    .map(Some)
}
