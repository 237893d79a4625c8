//! A question cut into spans, each with what it stands for: a field, a value, a number, a date, a
//! known phrase, or nothing that is known. The longest reading wins.

use std::collections::{BTreeMap, HashMap};

use super::dates::{When, when_at};
use super::lexicon::{Key, PHRASES, RECORDS, SYNONYMS};
use super::tokens::{Token, TokenKind, stem, stems, tokens};
use crate::profile::{Field, Profile};
use crate::{Format, Func, Order};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Key(Key),
    /// Fields that fit equally, as indices; `exact` where the whole name was said.
    Field {
        fits: Vec<usize>,
        exact: bool,
    },
    /// (field, value) pairs that fit equally.
    Value(Vec<(usize, String)>),
    /// A word found inside the values of these label-like fields.
    Part(Vec<usize>, String),
    Number(f64),
    When(When),
    Quoted(String),
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) item: Item,
    /// As written.
    pub(super) text: String,
    pub(super) used: bool,
}

/// Most words in a name, a value or a phrase.
const MAX_WORDS: usize = 7;

/// Values that must begin with a word before it stands for them.
const MIN_PART: u32 = 3;

/// What the data offers to match words against.
struct Names {
    phrases: HashMap<String, Key>,
    /// Whole names by their stems, and by their words in reverse.
    whole: HashMap<String, Vec<usize>>,
    /// Single words of names of several words.
    partial: HashMap<String, Vec<usize>>,
    /// Several words of a longer name, as they follow each other.
    several: HashMap<String, Vec<usize>>,
    values: HashMap<String, Vec<(usize, String)>>,
    parts: HashMap<String, BTreeMap<usize, u32>>,
    /// Words for one record: from the file's name and its identifier.
    entities: Vec<String>,
    /// Words for a record of the file that is looked up.
    others: Vec<String>,
    /// The words of the file's name in one: `birdstrikes` ends in strikes.
    file: String,
}

/// Words that carry no meaning inside a name.
const LINKS: &[&str] = &["in", "per", "of", "the", "and", "by", "to", "is"];

fn key_of(words: &[String]) -> String {
    words.join(" ")
}

fn names(profile: &Profile) -> Names {
    let mut names = Names {
        phrases: HashMap::new(),
        whole: HashMap::new(),
        partial: HashMap::new(),
        several: HashMap::new(),
        values: HashMap::new(),
        parts: HashMap::new(),
        entities: Vec::new(),
        others: Vec::new(),
        file: String::new(),
    };
    for (phrases, key) in PHRASES {
        for phrase in phrases.split('|') {
            names
                .phrases
                .entry(phrase.to_owned())
                .or_insert_with(|| key.clone());
        }
    }
    let push = |map: &mut HashMap<String, Vec<usize>>, key: String, i: usize| {
        let fits = map.entry(key).or_default();
        if !fits.contains(&i) {
            fits.push(i);
        }
    };
    for (i, field) in profile.fields.iter().enumerate() {
        let mut parts = stems(&field.name);
        push(&mut names.whole, key_of(&parts), i);
        // Of two files, a field may be called with its file's name or without.
        if let Some(met) = &profile.met {
            if i < met.own {
                let called = [file_words(&profile.name), parts.clone()].concat();
                push(&mut names.whole, key_of(&called), i);
            } else {
                let bare = field.name.strip_prefix(&format!("{}.", met.prefix));
                parts = stems(bare.unwrap_or(&field.name));
                push(&mut names.whole, key_of(&parts), i);
            }
        }
        if parts.len() > 1 {
            let reversed: Vec<String> = parts.iter().rev().cloned().collect();
            push(&mut names.whole, key_of(&reversed), i);
            push(&mut names.whole, parts.concat(), i);
            let initials: String = parts.iter().filter_map(|w| w.chars().next()).collect();
            if initials.len() > 2 {
                push(&mut names.whole, initials, i);
            }
            let plain: Vec<String> = parts
                .iter()
                .filter(|w| !LINKS.contains(&w.as_str()))
                .cloned()
                .collect();
            if plain.len() < parts.len() {
                push(&mut names.whole, key_of(&plain), i);
            }
            for length in 2..plain.len() {
                for words in plain.windows(length) {
                    push(&mut names.several, key_of(words), i);
                }
            }
            for word in plain {
                if word != "id" && word.len() > 1 {
                    push(&mut names.partial, word, i);
                }
            }
            let id = parts.last().is_some_and(|w| w == "id");
            if id && field.is_unique() {
                names.entities.extend(parts.first().cloned());
                names.partial.retain(|_, fits| {
                    fits.retain(|f| *f != i);
                    !fits.is_empty()
                });
            }
        }
        if field.kind == crate::profile::Kind::Text && field.mean_length <= 60.0 {
            field_values(i, field, &mut names);
        }
    }
    if let Some(met) = &profile.met {
        let words = stems(&met.prefix).into_iter();
        names.others = words.filter(|w| w.len() > 2).collect();
    }
    let file_name = profile
        .name
        .rsplit_once('.')
        .map_or(profile.name.as_str(), |(s, _)| s);
    names
        .entities
        .extend(stems(file_name).into_iter().filter(|w| w.len() > 2));
    names.file = stems(file_name).concat();
    names.entities.extend(called(profile));
    if let Some(called) = &profile.called {
        names.entities.extend(stems(called));
    }
    // A log of requests has requests for records; a table with one row a day has days.
    if profile.format == Format::Text {
        names
            .entities
            .extend(["request", "hit", "message"].map(str::to_owned));
    }
    names
}

/// What the records are called by what they hold.
fn called(profile: &Profile) -> Vec<String> {
    let words: Vec<String> = profile.fields.iter().flat_map(|f| stems(&f.name)).collect();
    let shows = |evidence: &str| {
        let evidence = evidence.split(' ').map(|w| stems(w).concat());
        evidence.filter(|e| words.contains(e)).count() >= 2
    };
    (RECORDS.iter())
        .filter(|(_, evidence)| shows(evidence))
        .flat_map(|(names, _)| stems(names))
        .collect()
}

fn file_words(name: &str) -> Vec<String> {
    stems(name.rsplit_once('.').map_or(name, |(stem, _)| stem))
}

fn field_values(i: usize, field: &Field, names: &mut Names) {
    for (value, _) in &field.values {
        let parts = stems(value);
        if parts.is_empty() || parts.len() > MAX_WORDS {
            continue;
        }
        let fits = names.values.entry(key_of(&parts)).or_default();
        if !fits
            .iter()
            .any(|(f, v)| *f == i && v.eq_ignore_ascii_case(value))
        {
            fits.push((i, value.clone()));
        }
        if parts.len() > 1 && field.mean_length <= 30.0 && field.values_complete {
            // The first word is what a label is of: "toyota corolla" is a toyota.
            for word in parts.into_iter().take(1) {
                if word.len() > 2 {
                    *names.parts.entry(word).or_default().entry(i).or_default() += 1;
                }
            }
        }
    }
}

/// Words that a name may share with a phrase; the phrase is meant unless the setting says name.
fn prefers_field(key: &Key, previous: Option<&Item>, rest: &[Token]) -> bool {
    match key {
        Key::HowMany
        | Key::Agg(_)
        | Key::Ext(_)
        | Key::Which
        | Key::By
        | Key::Top(_)
        | Key::Most(_)
        | Key::Not
        | Key::And
        | Key::In
        | Key::Sort
        | Key::Missing
        | Key::Convert => {
            matches!(
                previous,
                Some(Item::Key(Key::Agg(_) | Key::Ext(_) | Key::By | Key::Sort))
            ) || rest.first().is_some_and(|t| {
                const BOUNDS: [&str; 7] = [
                    "over",
                    "above",
                    "under",
                    "below",
                    "between",
                    "exceeding",
                    "exceeds",
                ];
                t.kind == TokenKind::Sign || BOUNDS.contains(&t.low.as_str())
            })
        }
        _ => true,
    }
}

/// Cuts the question up.
pub(super) fn spans(question: &str, profile: &Profile) -> Vec<Span> {
    let names = names(profile);
    let tokens = tokens(question);
    let shouting = tokens
        .iter()
        .all(|t| t.low != t.raw || !t.raw.chars().any(char::is_alphabetic));
    let mut out: Vec<Span> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let (item, length) = read_at(
            &tokens[i..],
            out.last().map(|s| &s.item),
            &names,
            profile,
            shouting,
        );
        let text = tokens[i..i + length]
            .iter()
            .map(|t| t.raw.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        out.push(Span {
            item,
            text,
            used: false,
        });
        i += length;
    }
    out
}

fn read_at(
    rest: &[Token],
    previous: Option<&Item>,
    names: &Names,
    profile: &Profile,
    shouting: bool,
) -> (Item, usize) {
    let first = &rest[0];
    if first.kind == TokenKind::Quoted {
        return (Item::Quoted(first.raw.clone()), 1);
    }
    if let Some((when, length)) = when_at(rest) {
        return (Item::When(when), length);
    }
    for length in (1..=MAX_WORDS.min(rest.len())).rev() {
        let part = &rest[..length];
        if part
            .iter()
            .any(|t| matches!(t.kind, TokenKind::Quoted | TokenKind::Date))
        {
            continue;
        }
        if let Some(item) = of_length(part, &rest[length..], previous, names, profile, shouting) {
            return (item, length);
        }
    }
    match first.kind {
        TokenKind::Number(n) => (Item::Number(n), 1),
        _ => (Item::Unknown, 1),
    }
}

fn of_length(
    part: &[Token],
    rest: &[Token],
    previous: Option<&Item>,
    names: &Names,
    profile: &Profile,
    shouting: bool,
) -> Option<Item> {
    let low = part
        .iter()
        .map(|t| t.low.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    let stemmed: Vec<String> = part.iter().map(|t| stem(&t.raw)).collect();
    let stemmed = key_of(&stemmed);
    if let [
        Token {
            kind: TokenKind::Number(n),
            ..
        },
    ] = part
    {
        return Some(Item::Number(*n));
    }
    if let Some(func) = percentile(part) {
        return Some(Item::Key(Key::Agg(func)));
    }
    let key = names.phrases.get(&low);
    let field = names.whole.get(&stemmed);
    if let Some(fits) = field
        && key.is_none_or(|k| prefers_field(k, previous, rest))
    {
        return Some(Item::Field {
            fits: fits.clone(),
            exact: true,
        });
    }
    let value = value_of(&stemmed, part, names);
    if let Some(key) = key {
        // `OR`, `ME`, `IN` in capitals are states, not words.
        let capitals = !shouting
            && low.len() > 1
            && part.iter().all(|t| t.raw.chars().all(char::is_uppercase))
            && value
                .as_ref()
                .is_some_and(|v| v.iter().any(|(_, v)| *v == part[0].raw));
        // `GET` is somebody's word, not ours; `CSV` and `URL` are always written so.
        let theirs = !shouting
            && part.len() == 1
            && low.len() > 1
            && part[0].raw.chars().all(char::is_uppercase)
            && !matches!(
                key,
                Key::Format(_) | Key::What(_) | Key::Not | Key::And | Key::In
            );
        if theirs && !capitals {
            return Some(Item::Unknown);
        }
        if !capitals {
            return Some(Item::Key(key.clone()));
        }
    }
    if let Some(fits) = value {
        return Some(Item::Value(fits));
    }
    if part.len() > 1 {
        // "bill length" of `bill_length_mm`.
        let fits = names.several.get(&stemmed)?.clone();
        return Some(Item::Field { fits, exact: false });
    }
    let chosen = matches!(previous, Some(Item::Key(Key::By | Key::Which)));
    if chosen && let Some(fits) = synonyms(&stemmed, names) {
        return Some(Item::Field { fits, exact: false });
    }
    if names.others.contains(&stemmed) && !names.entities.contains(&stemmed) {
        return Some(Item::Key(Key::Other));
    }
    let called = stemmed.len() > 4 && names.file.ends_with(&stemmed);
    if called || names.entities.contains(&stemmed) {
        return Some(Item::Key(Key::Entity));
    }
    if let Some(fits) = names.partial.get(&stemmed) {
        return Some(Item::Field {
            fits: fits.clone(),
            exact: false,
        });
    }
    if let Some(number) = spelled(&low) {
        return Some(Item::Number(number));
    }
    if matches!(stemmed.as_str(), "time" | "date") {
        let fits: Vec<usize> = (0..profile.fields.len())
            .filter(|i| profile.fields[*i].kind.is_time())
            .collect();
        if !fits.is_empty() {
            return Some(Item::Field { fits, exact: false });
        }
    }
    if let Some(fits) = synonyms(&stemmed, names) {
        return Some(Item::Field { fits, exact: false });
    }
    // "rainy", "sunny", "foggy".
    if let Some(base) = stemmed.strip_suffix('y') {
        let undoubled = base
            .is_ascii()
            .then(|| {
                base.strip_suffix(|c: char| base.len() > 3 && base[..base.len() - 1].ends_with(c))
            })
            .flatten();
        for base in [Some(base), undoubled].into_iter().flatten() {
            if let Some(fits) = names.values.get(base) {
                return Some(Item::Value(fits.clone()));
            }
        }
    }
    let parts = names.parts.get(&stemmed)?;
    let often: Vec<usize> = parts
        .iter()
        .filter(|(_, n)| **n >= MIN_PART)
        .map(|(f, _)| *f)
        .collect();
    (!often.is_empty()).then_some(Item::Part(often, stemmed))
}

/// "90th percentile", "p95".
fn percentile(part: &[Token]) -> Option<Func> {
    let number = match part {
        [one] => one.low.strip_prefix('p')?,
        [number, word] if word.low == "percentile" => ["st", "nd", "rd", "th"]
            .iter()
            .find_map(|end| number.low.strip_suffix(end))
            .unwrap_or(&number.low),
        _ => return None,
    };
    let number: u8 = number.parse().ok()?;
    if number == 50 {
        return Some(Func::Median);
    }
    crate::PERCENTILES
        .iter()
        .any(|(known, _)| *known == number)
        .then_some(Func::Percentile(number))
}

/// Fields that go by another word.
fn synonyms(stemmed: &str, names: &Names) -> Option<Vec<usize>> {
    let (_, meant) = SYNONYMS.iter().find(|(said, _)| *said == stemmed)?;
    let mut fits: Vec<usize> = meant
        .iter()
        .flat_map(|m| {
            names
                .whole
                .get(*m)
                .into_iter()
                .chain(names.partial.get(*m))
                .flatten()
                .copied()
        })
        .collect();
    fits.sort_unstable();
    fits.dedup();
    (!fits.is_empty()).then_some(fits)
}

/// Values with these words; where the case of one agrees exactly, only that.
fn value_of(stemmed: &str, part: &[Token], names: &Names) -> Option<Vec<(usize, String)>> {
    let fits = names.values.get(stemmed)?;
    // One letter is a value only as written.
    let raw = part
        .iter()
        .map(|t| t.raw.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    if raw.chars().count() == 1 {
        let same: Vec<_> = fits.iter().filter(|(_, v)| *v == raw).cloned().collect();
        return (!same.is_empty()).then_some(same);
    }
    // A title of command words ("Please Give") is meant only as it is written.
    let commands = part.len() > 1
        && part.iter().all(|t| {
            matches!(
                names.phrases.get(&t.low),
                Some(Key::Filler | Key::List | Key::Which | Key::HowMany | Key::In | Key::By)
            )
        });
    if commands {
        let same: Vec<_> = fits.iter().filter(|(_, v)| *v == raw).cloned().collect();
        return (!same.is_empty()).then_some(same);
    }
    // The singular was asked and the singular is there: not also its plural in the same field.
    let as_said: Vec<_> = fits
        .iter()
        .filter(|(_, v)| v.eq_ignore_ascii_case(&raw))
        .cloned()
        .collect();
    Some(if as_said.is_empty() {
        fits.clone()
    } else {
        as_said
    })
}

fn spelled(word: &str) -> Option<f64> {
    const WORDS: [&str; 11] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    ];
    if word == "twenty" {
        return Some(20.0);
    }
    WORDS
        .iter()
        .position(|w| *w == word)
        .map(|i| i as f64 + 2.0)
}

/// Fields that an adjective may be about, with its direction.
pub(super) fn adjective_fields(
    profile: &Profile,
    meanings: &[(Order, &str)],
) -> Vec<(usize, Order)> {
    let mut out: Vec<(usize, Order)> = Vec::new();
    for (order, word) in meanings {
        for (i, field) in profile.fields.iter().enumerate() {
            let fits = stems(&field.name).iter().any(|w| w == word);
            let orderable = field.kind.is_number() || field.kind.is_time();
            if fits && orderable && !out.iter().any(|(f, _)| *f == i) {
                out.push((i, *order));
            }
        }
    }
    out
}
