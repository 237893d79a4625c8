//! A question read against a profile: a chain, or a refusal that says what was not understood.
//!
//! A small grammar over spans: every word of the question is a field, a value, a number, a date, a
//! known phrase or filler, and each must be used by exactly one part of the chain. A wrong answer
//! is far worse than a refusal, so what is left over refuses, and so does what fits twice.

mod clean;
mod conditions;
mod dates;
mod decide;
mod lately;
mod lexicon;
mod order;
mod parse;
mod pivot;
mod portion;
mod refusal;
mod series;
mod spans;
mod superlative;
mod timed;
mod times;
mod tokens;
mod values;
mod whole;

use crate::profile::Profile;
use crate::{Chain, Order};

pub use refusal::{ABILITIES, Refusal};
pub(crate) use tokens::stems;

use lexicon::Key;
use parse::Parse;
use spans::Item;

/// What a question was read as.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) chain: Chain,
    /// The end of a series over time that the question asks for.
    pub(crate) focus: Option<Order>,
    /// What was taken for granted, for the plan.
    pub(crate) notes: Vec<String>,
}

/// Reads a question against one file's profile.
pub(crate) fn read(question: &str, profile: &Profile) -> Result<Reading, Refusal> {
    let mut parse = Parse::new(question, profile)?;
    let fields = parse.field_names();
    let known = parse.spans.iter().any(|s| {
        !matches!(
            s.item,
            Item::Unknown
                | Item::Number(_)
                | Item::Key(Key::Filler | Key::In | Key::And | Key::Which | Key::Not | Key::Then)
        )
    });
    if !known {
        return Err(Refusal::NotAboutData { fields });
    }
    // Words of no meaning come first: whatever else is wrong, they would be too.
    let unknown: Vec<String> = parse
        .spans
        .iter()
        .filter(|s| !s.used && matches!(s.item, Item::Unknown))
        .map(|s| s.text.clone())
        .collect();
    if !unknown.is_empty() {
        return Err(parse.not_understood(unknown));
    }
    let decided = decide::decide(&mut parse)?;
    let left: Vec<String> = parse
        .spans
        .iter()
        .enumerate()
        .filter(|(i, s)| {
            let opens = opening(&s.item)
                && parse.spans[..*i]
                    .iter()
                    .all(|b| harmless(&b.item) || opening(&b.item));
            !s.used && !harmless(&s.item) && !opens
        })
        .map(|(_, s)| s.text.clone())
        .collect();
    if !left.is_empty() {
        return Err(parse.not_understood(left));
    }
    let unsaid = parse.bucket.is_some()
        || !parse.groups.is_empty()
        || !parse.aggs.is_empty()
        || parse.sort.is_some()
        || !parse.then.is_empty()
        || parse.rank.is_some()
        || parse.limit.is_some();
    if unsaid {
        return Err(Refusal::Beyond {
            what: "this combination of steps in one question".to_owned(),
            fields,
        });
    }
    let mut chain = Chain {
        format: profile.format,
        join: None,
        filters: parse.filters,
        terminal: decided.terminal,
        shape: parse.shape,
        times: false,
    };
    chain.times = timed::reads_times(&chain, profile);
    Ok(Reading {
        chain,
        focus: decided.focus,
        notes: parse.notes,
    })
}

/// Spans that change nothing when they are not used.
fn harmless(item: &Item) -> bool {
    matches!(
        item,
        Item::Key(
            Key::Filler | Key::In | Key::And | Key::Entity | Key::Which | Key::Then | Key::Join
        )
    )
}

/// Verbs that say nothing more at the head of a question.
fn opening(item: &Item) -> bool {
    matches!(item, Item::Key(Key::List))
}

#[cfg(test)]
mod tests;
