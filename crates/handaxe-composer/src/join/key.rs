//! What a question says of the key of two files: "on customer_id", "on orders.customer =
//! customers.id", "on id and date", "on store = shop and date".

use std::sync::LazyLock;

use regex::Regex;

use super::prefix;
use crate::profile::Profile;
use crate::question::{Refusal, stems};

/// Most fields of one key, and most words of a field's name.
const MOST: usize = 6;
const WORDS: usize = 3;

/// The fields of a key, in the one file and in the other.
pub(super) type Pairs = Vec<(usize, usize)>;

/// What is said of one field of the key.
enum Part {
    /// A field of the first file, and the one of the second that holds the same.
    Pair(usize, usize),
    /// The field of one file only.
    Left(usize),
    Right(usize),
}

/// The fields of the key that are named, and the question without them. `sure` where the question
/// is about joining, so that what follows "on" can be nothing else.
pub(super) fn without_key(
    question: &str,
    files: [&Profile; 2],
    sure: bool,
) -> Result<(String, Option<Pairs>), Refusal> {
    static START: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)[,;(]?\s*\b(?:(joined\s+on|join\s+on|matched\s+on|matching\s+on|matched\s+by|keyed\s+by|linked\s+by)|on|using|via|where)\s+(?:the\s+(?:keys?|fields?|columns?)\s+|both\s+|the\s+)?",
        )
        .ok()
    });
    for start in START.iter().flat_map(|k| k.captures_iter(question)) {
        let Some(all) = start.get(0) else { continue };
        let sure = sure || start.get(1).is_some();
        if let Some((pairs, end)) = parts(question, all.end(), files, sure)? {
            let end = end + usize::from(question[end..].starts_with(')'));
            let rest = format!("{} {}", &question[..all.start()], &question[end..]);
            return Ok((rest, Some(pairs)));
        }
    }
    Ok((question.to_owned(), None))
}

/// The pairs of fields that are named from here on, and where that ends.
fn parts(
    question: &str,
    from: usize,
    files: [&Profile; 2],
    sure: bool,
) -> Result<Option<(Pairs, usize)>, Refusal> {
    let Some((first, mut end)) = part(question, from, files, sure) else {
        return Ok(None);
    };
    let mut pairs = match first {
        Part::Pair(a, b) => vec![(a, b)],
        // "on customer and id": one of each file.
        one => {
            let second = after(question, end, &AND).and_then(|at| part(question, at, files, sure));
            let pair = match (one, second) {
                (Part::Left(a), Some((Part::Right(b), end)))
                | (Part::Right(b), Some((Part::Left(a), end))) => Some((vec![(a, b)], end)),
                _ => None,
            };
            return Ok(pair);
        }
    };
    // What a comma adds counts where the list is closed by "and", or the sentence ends with it.
    let mut open: Pairs = Vec::new();
    let mut at = end;
    while pairs.len() + open.len() < MOST {
        let (next, closes) = match (after(question, at, &AND), after(question, at, &COMMA)) {
            (Some(next), _) => (next, true),
            (None, Some(next)) => (next, false),
            (None, None) => break,
        };
        match part(question, next, files, sure) {
            Some((Part::Pair(a, b), to)) => {
                open.push((a, b));
                at = to;
                if closes
                    || question[at..]
                        .trim_matches([' ', '.', '?', '!', ')'])
                        .is_empty()
                {
                    pairs.append(&mut open);
                    end = at;
                }
            }
            Some((Part::Left(_) | Part::Right(_), to)) if closes && sure => {
                let name = question[next..to].trim();
                let [a, b] = files.map(|f| f.name.as_str());
                return Err(Refusal::Unfit {
                    what: format!(
                        "`{name}` is not a field of both `{a}` and `{b}`, so it is no part of the \
                         key (where it is called otherwise in the other, say `{name} = …`)"
                    ),
                    fields: super::names(files[0]),
                });
            }
            _ => break,
        }
    }
    // "on id and id" says no more than once.
    let mut seen = std::collections::HashSet::new();
    pairs.retain(|pair| seen.insert(*pair));
    Ok(Some((pairs, end)))
}

type Link = LazyLock<Option<Regex>>;

static AND: Link =
    LazyLock::new(|| Regex::new(r"^(?i)\s*,?\s*(?:and|&)\s+(?:also\s+)?(?:the\s+)?").ok());
static COMMA: Link = LazyLock::new(|| Regex::new(r"^\s*,\s*").ok());
static EQUALS: Link =
    LazyLock::new(|| Regex::new(r"^(?i)\s*(?:==?|equals\b|is equal to\b|matches\b|to\b)\s*").ok());
static NAME: Link = LazyLock::new(|| {
    Regex::new(r#"^["'`]?([\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}\p{N}_.]*[\p{L}\p{N}_])?)["'`]?"#).ok()
});

fn after(question: &str, at: usize, link: &Link) -> Option<usize> {
    let found = link.as_ref()?.find(&question[at..])?;
    Some(at + found.end())
}

/// One field of the key: its name, which both files have, or a name for each.
fn part(question: &str, at: usize, files: [&Profile; 2], sure: bool) -> Option<(Part, usize)> {
    let [a, b] = files;
    let (said, end) = name(question, at, files, sure)?;
    if let Some((other, to)) =
        after(question, end, &EQUALS).and_then(|at| name(question, at, files, sure))
    {
        let pair = find(a, &said, sure).zip(find(b, &other, sure));
        let pair = pair.or_else(|| find(a, &other, sure).zip(find(b, &said, sure)));
        if let Some((left, right)) = pair {
            return Some((Part::Pair(left, right), to));
        }
    }
    let part = match (find(a, &said, sure), find(b, &said, sure)) {
        (Some(left), Some(right)) => Part::Pair(left, right),
        (Some(left), None) => Part::Left(left),
        (None, Some(right)) => Part::Right(right),
        (None, None) => return None,
    };
    Some((part, end))
}

/// The longest name of a field of either file that stands here.
fn name(question: &str, at: usize, files: [&Profile; 2], sure: bool) -> Option<(String, usize)> {
    let mut ends = Vec::new();
    let mut words = Vec::new();
    let mut from = at;
    while words.len() < WORDS
        && let Some(found) = NAME.as_ref()?.captures(&question[from..])
        && let (Some(all), Some(word)) = (found.get(0), found.get(1))
    {
        words.push(word.as_str());
        ends.push(from + all.end());
        from += all.end();
        if !question[from..].starts_with(' ') {
            break;
        }
        from += 1;
    }
    (1..=words.len()).rev().find_map(|n| {
        let said = words[..n].join(" ");
        let known = files.iter().any(|f| find(f, &said, sure).is_some());
        known.then(|| (said, ends[n - 1]))
    })
}

/// The field of that name; where that can be nothing else, also by its words ("order dates").
fn find(file: &Profile, said: &str, sure: bool) -> Option<usize> {
    let own = said.strip_prefix(&format!("{}.", prefix(file)));
    let said = own.unwrap_or(said);
    let exact = |name: &str| name.eq_ignore_ascii_case(said);
    if let Some(at) = file.fields.iter().position(|f| exact(&f.name)) {
        return Some(at);
    }
    let words = stems(said);
    let mut alike = (0..file.fields.len()).filter(|f| stems(&file.fields[*f].name) == words);
    alike
        .next()
        .filter(|_| sure && !words.is_empty() && alike.next().is_none())
}
