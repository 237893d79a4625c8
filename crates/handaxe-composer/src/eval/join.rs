//! The other file of a join, by its key; twin of `emit/parts/join.py`.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use super::EvalError;
use super::number::text;
use crate::read::{Datum, MAX_FIELDS, ReadError, Record, Records};
use crate::{How, Join};

/// Most records of the file that is looked up: it is held in memory.
pub(crate) const MAX_LOOKUP: usize = 100_000;

pub(super) struct Lookup {
    on: Vec<String>,
    how: How,
    /// Places in `found` by key.
    keys: HashMap<Vec<String>, usize>,
    found: Vec<Found>,
    names: Vec<Arc<str>>,
    /// How far the records without a counterpart were given, at the end of a right join.
    given: usize,
    pub(super) unmatched: u64,
    pub(super) skipped: u64,
    pub(super) unreadable: u64,
}

struct Found {
    key: Vec<String>,
    fields: Vec<(Arc<str>, Datum)>,
    met: bool,
}

/// What a record says in the fields of the key; nothing where one of them is blank.
fn key_of(record: &Record, on: &[String]) -> Option<Vec<String>> {
    let parts = on.iter().map(|name| text(record.get(name)));
    let key: Vec<String> = parts.collect();
    key.iter().all(|part| !part.is_empty()).then_some(key)
}

impl Lookup {
    /// Reads the other file.
    pub(super) fn new(join: &Join, other: impl Read) -> Result<Self, EvalError> {
        if join.on.len() != join.other_on.len() {
            return Err(EvalError::KeyLengths);
        }
        let mut records = Records::new(join.format, other);
        let in_key = |name: &str| join.other_on.iter().any(|on| on == name);
        let mut lookup = Self {
            on: join.on.clone(),
            how: join.how,
            keys: HashMap::new(),
            found: Vec::new(),
            names: Vec::new(),
            given: 0,
            unmatched: 0,
            skipped: 0,
            unreadable: 0,
        };
        let named = |name: &str| -> Arc<str> { format!("{}.{name}", join.prefix).into() };
        while let Some(record) = records.next()? {
            let Some(key) = key_of(&record, &join.other_on) else {
                continue;
            };
            if lookup.keys.contains_key(&key) {
                return Err(EvalError::KeyTwice {
                    key: key.join(", "),
                    field: join.other_on.join(", "),
                });
            }
            if lookup.found.len() == MAX_LOOKUP {
                return Err(EvalError::TooManyLookups);
            }
            let fields = record.fields.into_iter();
            let fields = fields.filter(|(n, _)| !in_key(n));
            lookup.keys.insert(key.clone(), lookup.found.len());
            lookup.found.push(Found {
                key,
                fields: fields.map(|(n, v)| (named(&n), v)).collect(),
                met: false,
            });
        }
        let known = records.fields();
        let lacking = |on: &&String| !known.iter().any(|k| **k == ***on);
        if let Some(on) = join
            .other_on
            .iter()
            .find(lacking)
            .filter(|_| !known.is_empty())
        {
            return Err(EvalError::NoKey { field: on.clone() });
        }
        let own = known.iter().filter(|k| !in_key(k));
        lookup.names = own.map(|k| named(k)).collect();
        let tally = records.tally();
        (lookup.skipped, lookup.unreadable) = (tally.skipped, tally.unreadable);
        Ok(lookup)
    }

    pub(super) fn on(&self) -> &[String] {
        &self.on
    }

    /// The record with its counterpart's fields; `None` where it is passed over.
    pub(super) fn joined(&mut self, mut record: Record) -> Option<Record> {
        let place = key_of(&record, &self.on).and_then(|key| self.keys.get(&key).copied());
        if let Some(found) = place.and_then(|p| self.found.get_mut(p)) {
            found.met = true;
            for (name, value) in &found.fields {
                record.set(Arc::clone(name), value.clone());
            }
            return Some(record);
        }
        self.unmatched += 1;
        if self.how != How::Left {
            return None;
        }
        for name in &self.names {
            record.set(Arc::clone(name), Datum::Null);
        }
        Some(record)
    }

    /// After the last record: those of the other file that met none.
    pub(super) fn left_over(&mut self) -> Option<Record> {
        if self.how != How::Right {
            return None;
        }
        while let Some(found) = self.found.get(self.given) {
            self.given += 1;
            if !found.met {
                let mut record = Record {
                    line: 0,
                    fields: Vec::new(),
                };
                for (name, part) in self.on.iter().zip(&found.key) {
                    record.set(name.as_str().into(), Datum::Text(part.clone()));
                }
                for (name, value) in &found.fields {
                    record.set(Arc::clone(name), value.clone());
                }
                return Some(record);
            }
        }
        None
    }

    /// The fields of both, in order.
    pub(super) fn fields(&self, own: &[Arc<str>]) -> Result<Vec<Arc<str>>, ReadError> {
        let mut all = own.to_vec();
        for name in &self.names {
            if !all.contains(name) {
                if all.len() == MAX_FIELDS {
                    return Err(ReadError::TooManyFields);
                }
                all.push(Arc::clone(name));
            }
        }
        Ok(all)
    }
}
