//! Counting: records, distinct values, how often each value or word occurs.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Read;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::number::text;
use super::{EvalError, MAX_GROUPS, Source, by_key, order_key};
use crate::patterns::{STOP_WORDS, WORD};

pub(super) fn records<R: Read>(source: &mut Source<R>) -> Result<Value, EvalError> {
    while source.next(&[])?.is_some() {}
    Ok(json!({ "count": source.matched }))
}

pub(super) fn distinct<R: Read>(source: &mut Source<R>, field: &str) -> Result<Value, EvalError> {
    let (counts, blank) = tally(source, field)?;
    let mut values: Vec<&String> = counts.keys().collect();
    values.sort_by(|a, b| by_key(&order_key(a), &order_key(b)));
    Ok(json!({ "values": values, "distinct": values.len(), "blank": blank }))
}

pub(super) fn frequencies<R: Read>(
    source: &mut Source<R>,
    field: &str,
    limit: Option<u32>,
) -> Result<Value, EvalError> {
    let (counts, blank) = tally(source, field)?;
    let distinct = counts.len();
    let rows: Vec<Value> = most_common(counts, limit)
        .into_iter()
        .map(|(value, count)| json!({ "value": value, "count": count }))
        .collect();
    Ok(json!({ "values": rows, "distinct": distinct, "blank": blank }))
}

pub(super) fn words<R: Read>(
    source: &mut Source<R>,
    field: &str,
    limit: u32,
    min_length: u32,
    skip_stop_words: bool,
) -> Result<Value, EvalError> {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(WORD).ok());
    static STOP: LazyLock<HashSet<&str>> =
        LazyLock::new(|| STOP_WORDS.split_whitespace().collect());
    let mut counts = HashMap::new();
    let mut total = 0_u64;
    while let Some(record) = source.next(&[field])? {
        let text = text(record.get(field));
        for found in PATTERN.iter().flat_map(|p| p.find_iter(&text)) {
            let word = found.as_str().to_lowercase().replace('’', "'");
            let long = word.chars().count() >= min_length as usize;
            if !long || (skip_stop_words && STOP.contains(word.as_str())) {
                continue;
            }
            total += 1;
            add(&mut counts, word)?;
        }
    }
    let distinct = counts.len();
    let rows: Vec<Value> = most_common(counts, Some(limit))
        .into_iter()
        .map(|(word, count)| json!({ "word": word, "count": count }))
        .collect();
    Ok(json!({ "words": rows, "distinct": distinct, "total": total }))
}

fn tally<R: Read>(
    source: &mut Source<R>,
    field: &str,
) -> Result<(HashMap<String, u64>, u64), EvalError> {
    let mut counts = HashMap::new();
    let mut blank = 0;
    while let Some(record) = source.next(&[field])? {
        let value = text(record.get(field));
        if value.is_empty() {
            blank += 1;
        } else {
            add(&mut counts, value)?;
        }
    }
    Ok((counts, blank))
}

pub(super) fn add(counts: &mut HashMap<String, u64>, value: String) -> Result<(), EvalError> {
    *counts.entry(value).or_insert(0) += 1;
    if counts.len() > MAX_GROUPS {
        return Err(EvalError::TooManyGroups);
    }
    Ok(())
}

/// Most frequent first, ties by text.
pub(super) fn most_common(counts: HashMap<String, u64>, limit: Option<u32>) -> Vec<(String, u64)> {
    let mut rows: Vec<(String, u64)> = counts.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rows.truncate(limit.map_or(usize::MAX, |l| l as usize));
    rows
}
