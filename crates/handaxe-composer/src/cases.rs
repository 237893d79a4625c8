//! Cases with what the chain gives in Rust: small samples of the data, re-encoded, and made files
//! that go to the edges of what the tool reads.
//!
//! The author's cases travel with the draft; the held-out ones stay with the tester. The two are
//! drawn with different seeds, formats and parameters. Of the data only few values are shown.

mod columns;
mod files;
mod variants;

use std::collections::BTreeMap;
use std::sync::Arc;

use handaxe_types::{Case, CaseFile, Check, Origin, Raises, Tolerance};

use crate::emit::invocation;
use crate::eval::evaluate_with;
use crate::profile::{Profile, json_of, text_of};
use crate::read::{Datum, Record};
use crate::{Chain, Format, How, Join, Measure, Scalar, Terminal};

/// Longest value in a case, in characters, and most fields of one record beyond those in use.
const MAX_VALUE: usize = 300;
const MAX_FIELDS: usize = 12;

/// The author's own cases and the held-out ones.
pub(crate) struct Cases {
    pub(crate) author: Vec<Case>,
    pub(crate) held_out: Vec<Case>,
}

/// `second` is the profile of the file that the chain joins, where it joins one.
pub(crate) fn cases(chain: &Chain, profile: &Profile, second: Option<&Profile>) -> Cases {
    let maker = Maker::new(chain, profile, second);
    let made = made_other(chain, second);
    let made = made.as_deref();
    let own = chain.format;
    // The other layout that the tool reads, where there is one.
    let any = crate::emit::reads_any(chain);
    let other = match own {
        Format::Jsonl if any => Format::Csv,
        _ if any => Format::Jsonl,
        Format::Csv => Format::Tsv,
        Format::Tsv => Format::Csv,
        one => one,
    };
    let varied = varied(chain, profile);
    let author = [
        maker.case("a_few_records", chain, own, &maker.draw(8, 1)),
        maker.case(
            "a_few_records_in_another_format",
            chain,
            other,
            &maker.draw(6, 2),
        ),
        maker.case("one_record", chain, own, &maker.draw(1, 3)),
    ];
    let mut held_out = vec![
        maker.case("sample", chain, own, &maker.draw(14, 11)),
        maker.case("larger_sample", chain, own, &maker.draw(28, 12)),
        maker.case(
            "sample_in_another_format",
            chain,
            other,
            &maker.draw(16, 13),
        ),
        maker.case("no_records", chain, own, &[]),
        maker.case(
            "blank_values",
            chain,
            own,
            &blanked(chain, &maker.draw(12, 16)),
        ),
        maker.case(
            "null_values",
            chain,
            other,
            &blanked(chain, &maker.draw(9, 17)),
        ),
        maker.case("one_record", chain, other, &maker.draw(1, 18)),
        maker.case("other_arguments", &varied, own, &maker.draw(18, 19)),
        maker.case(
            "other_arguments_in_another_format",
            &varied,
            other,
            &maker.draw(18, 20),
        ),
    ];
    if let Some(field) = used_fields(chain).first() {
        let without = without(field, &maker.draw(4, 21));
        held_out.push(maker.case("missing_field", chain, own, &without));
    }
    let columns = columns::columns(chain, profile);
    let plain = Chain {
        filters: Vec::new(),
        ..chain.clone()
    };
    let all = [
        Format::Csv,
        Format::Tsv,
        Format::Json,
        Format::Jsonl,
        Format::Text,
    ];
    for format in all.into_iter().filter(|f| any || *f == own) {
        let chain = in_format(&plain, format);
        // Of the layouts that the question was not asked of, some of the files.
        let step = if format == own { 1 } else { 3 };
        for (name, bytes) in files::files(format, &columns).into_iter().step_by(step) {
            let name = format!("{name}_{}", format.as_str());
            held_out.push(Some(given(&name, &chain, bytes, made)));
        }
    }
    held_out.extend(other_files(&plain, second, &files::usual(own, &columns)));
    for (name, chain) in variants::variants(chain, &columns) {
        let bytes = files::usual(chain.format, &columns);
        // What reads numbers reads those of every notation.
        if name.starts_with("number_") && chain.format == Format::Csv {
            let bytes = files::semicolons(&columns);
            held_out.push(Some(given(
                &format!("{name}_semicolons"),
                &chain,
                bytes,
                made,
            )));
        }
        if name.starts_with("other_work_") {
            let bytes = files::sums(chain.format, &columns);
            held_out.push(Some(given(&format!("{name}_sums"), &chain, bytes, made)));
        }
        held_out.push(Some(given(&name, &chain, bytes, made)));
    }
    let mut known = std::collections::BTreeSet::new();
    let held_out = held_out
        .into_iter()
        .flatten()
        // Of two that ask the same of the same bytes the first says all.
        .filter(|case| {
            let files: Vec<_> = case.files.values().filter_map(CaseFile::bytes).collect();
            let mut input = case.input.clone();
            input.remove("data");
            input.remove("other");
            known.insert((
                handaxe_types::Digest::of_json(&serde_json::Value::Object(input)),
                files,
            ))
        })
        .map(|case| Case {
            origin: Origin::Tester,
            held_out: true,
            ..case
        })
        .collect();
    Cases {
        author: author.into_iter().flatten().collect(),
        held_out,
    }
}

/// The same of a file that is laid out otherwise.
fn in_format(chain: &Chain, format: Format) -> Chain {
    let mut other = Chain {
        format,
        ..chain.clone()
    };
    if let Terminal::Sentiment { field, .. } = &mut other.terminal
        && format == Format::Text
    {
        "line".clone_into(field);
    }
    other
}

struct Maker<'a> {
    /// Records that pass the filters, and records that do not.
    passing: Vec<&'a Record>,
    failing: Vec<&'a Record>,
    fields: Vec<Arc<str>>,
    other: Option<&'a Profile>,
}

/// An ordinary made file to look up in.
fn made_other(chain: &Chain, other: Option<&Profile>) -> Option<Vec<u8>> {
    let format = chain.join.as_ref()?.format;
    Some(files::usual(format, &columns::other_columns(chain, other?)))
}

/// The same file with others to look up in: all of how records meet, and what is refused.
fn other_files(chain: &Chain, other: Option<&Profile>, data: &[u8]) -> Vec<Option<Case>> {
    let (Some(join), Some(profile)) = (&chain.join, other) else {
        return Vec::new();
    };
    let columns = columns::other_columns(chain, profile);
    let bytes = |columns: &[columns::Column]| files::usual(join.format, columns);
    let mut twice = columns.clone();
    let mut blank = columns.clone();
    let keys = join.other_on.len();
    for twice in twice.iter_mut().take(keys) {
        let first = twice.values[3].clone();
        first.clone_into(&mut twice.values[5]);
    }
    if let Some(blank) = blank.iter_mut().take(keys).last() {
        " ".clone_into(&mut blank.values[5]);
        blank.values[6].clear();
    }
    let with_how = |how| Chain {
        join: Some(Join {
            how,
            ..join.clone()
        }),
        ..chain.clone()
    };
    let usual = bytes(&columns);
    let keyed = |on: &[String], other_on: &[String]| Chain {
        join: Some(Join {
            on: on.to_vec(),
            other_on: other_on.to_vec(),
            ..join.clone()
        }),
        ..chain.clone()
    };
    let lacking = |on: &[String]| {
        let mut on = on.to_vec();
        if let Some(last) = on.last_mut() {
            "no such key".clone_into(last);
        }
        on
    };
    let wrong_key = keyed(&join.on, &lacking(&join.other_on));
    let no_key = keyed(&lacking(&join.on), &join.other_on);
    // Of a key of several fields, what is not said of one file, and another order of them.
    let uneven = keyed(&join.on, &join.other_on[..1]);
    let turned: Vec<String> = join.other_on.iter().rev().cloned().collect();
    let turned = keyed(&join.on, &turned);
    let of_several = join.has_several().then(|| {
        [
            ("uneven_key", uneven, usual.clone()),
            ("turned_key", turned, usual.clone()),
        ]
    });
    [
        ("key_twice", with_how(join.how), bytes(&twice)),
        ("blank_keys", with_how(How::Right), bytes(&blank)),
        ("inner", with_how(How::Inner), usual.clone()),
        ("left", with_how(How::Left), usual.clone()),
        ("right", with_how(How::Right), usual.clone()),
        ("nobody_to_meet", with_how(How::Left), Vec::new()),
        ("only_the_other", with_how(How::Right), usual.clone()),
        ("wrong_key", wrong_key, usual.clone()),
        ("no_key", no_key, usual),
    ]
    .into_iter()
    .chain(of_several.into_iter().flatten())
    .map(|(name, chain, other)| {
        let data = if name == "only_the_other" { &[] } else { data };
        Some(given(
            &format!("meeting_{name}"),
            &chain,
            data.to_vec(),
            Some(&other),
        ))
    })
    .collect()
}
impl<'a> Maker<'a> {
    fn new(chain: &Chain, profile: &'a Profile, other: Option<&'a Profile>) -> Self {
        let count = Chain {
            format: Format::Jsonl,
            join: chain.join.clone(),
            filters: chain.filters.clone(),
            terminal: Terminal::Aggregate {
                measures: vec![Measure {
                    func: crate::Func::Count,
                    field: None,
                }],
                group_by: Vec::new(),
                order: None,
                limit: None,
            },
            shape: crate::Shape::default(),
            times: chain.times,
        };
        let used = own_fields(chain);
        let all_others = match (&chain.join, other) {
            (Some(join), Some(other)) => {
                let fields: Vec<Arc<str>> = other
                    .fields
                    .iter()
                    .map(|f| f.name.as_str().into())
                    .collect();
                Some(encode(
                    join.format,
                    &fields,
                    &first_of(&other.sample, &join.other_on),
                ))
            }
            _ => None,
        };
        let mut fields: Vec<Arc<str>> = Vec::new();
        let known = profile.fields.iter().map(|f| f.name.as_str());
        let rest = known
            .clone()
            .filter(|f| !used.iter().any(|u| u == f))
            .take(MAX_FIELDS);
        let kept: Vec<&str> = rest.collect();
        for name in known {
            if kept.contains(&name) || used.iter().any(|u| u == name) {
                fields.push(name.into());
            }
        }
        let passes = |record: &&Record| {
            let bytes = encode(Format::Jsonl, &fields, &[(*record).clone()]);
            let mut others = all_others.as_deref();
            let others = others.as_mut().map(|o| o as &mut dyn std::io::Read);
            evaluate_with(&count, bytes.as_slice(), others)
                .is_ok_and(|v| v.get("matched").and_then(serde_json::Value::as_u64) == Some(1))
        };
        let (passing, failing) = profile.sample.iter().partition(passes);
        Self {
            passing,
            failing,
            fields,
            other,
        }
    }

    /// The counterparts of these records, and a few others.
    fn others(&self, join: &Join, records: &[Record]) -> Option<Vec<u8>> {
        let other = self.other?;
        let wanted: std::collections::HashSet<_> =
            records.iter().map(|r| key_of(r, &join.on)).collect();
        let known = first_of(&other.sample, &join.other_on);
        let (met, rest): (Vec<Record>, Vec<Record>) =
            (known.into_iter()).partition(|r| wanted.contains(&key_of(r, &join.other_on)));
        let chosen: Vec<Record> = met.into_iter().chain(rest.into_iter().take(2)).collect();
        let fields: Vec<Arc<str>> = (other.fields.iter())
            .take(MAX_FIELDS.max(20))
            .map(|f| f.name.as_str().into())
            .collect();
        Some(encode(join.format, &fields, &chosen))
    }

    /// `n` records, about two of three passing, in the order of the file; the same for a seed.
    fn draw(&self, n: usize, seed: u64) -> Vec<Record> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
        let mut pick = |from: &[&Record], n: usize| {
            let mut places: Vec<usize> = (0..from.len()).collect();
            let mut chosen = Vec::new();
            while chosen.len() < n && !places.is_empty() {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                chosen.push(places.swap_remove((state >> 33) as usize % places.len()));
            }
            chosen.sort_unstable();
            chosen
                .into_iter()
                .map(|i| from[i].clone())
                .collect::<Vec<_>>()
        };
        let passing = if self.failing.is_empty() {
            n
        } else {
            (n * 2).div_ceil(3)
        };
        let mut records = pick(&self.passing, passing);
        let missing = n - records.len();
        records.extend(pick(&self.failing, missing));
        records
    }

    /// One case; `None` where nothing could be drawn for it but it is not about that.
    fn case(&self, name: &str, chain: &Chain, format: Format, records: &[Record]) -> Option<Case> {
        if records.is_empty() && name != "no_records" {
            return None;
        }
        let chain = Chain {
            format,
            ..chain.clone()
        };
        let fields: Vec<Arc<str>> = if name == "missing_field" {
            records
                .first()
                .map(|r| r.fields.iter().map(|(n, _)| Arc::clone(n)).collect())
                .unwrap_or_default()
        } else {
            self.fields.clone()
        };
        let bytes = encode(format, &fields, records);
        let other = chain
            .join
            .as_ref()
            .and_then(|join| self.others(join, records));
        let name = format!("{name}_{}", format.as_str());
        Some(given(&name, &chain, bytes, other.as_deref()))
    }
}

fn key_of(record: &Record, on: &[String]) -> Vec<Option<String>> {
    let parts = on.iter().map(|name| text_of(record.get(name)));
    parts.map(|t| t.map(|t| t.trim().to_owned())).collect()
}

/// The first record of each key.
fn first_of(records: &[Record], on: &[String]) -> Vec<Record> {
    let mut seen = std::collections::HashSet::new();
    let first = |r: &&Record| seen.insert(key_of(r, on));
    records.iter().filter(first).cloned().collect()
}

/// The chain's tool over these bytes, and what the Rust reading gives.
fn given(name: &str, chain: &Chain, bytes: Vec<u8>, other: Option<&[u8]>) -> Case {
    let mut read = other;
    let read = read.as_mut().map(|o| o as &mut dyn std::io::Read);
    let check = match evaluate_with(chain, bytes.as_slice(), read) {
        Ok(value) => Check::Expect {
            value,
            tolerance: Some(Tolerance {
                abs: 1e-9,
                rel: 1e-9,
            }),
        },
        Err(e) => Check::Raises(Raises::Kind(e.python_kind().to_owned())),
    };
    let ending = match chain.format {
        Format::Text => "log",
        format => format.as_str(),
    };
    let file = format!("{name}.{ending}");
    let second = (chain.join.as_ref()).map(|j| format!("{name}_other.{}", j.format.as_str()));
    let input = invocation(chain, &file, second.as_deref());
    let mut files = BTreeMap::from([(file, CaseFile::new(bytes))]);
    files.extend(second.map(|name| (name, CaseFile::new(other.unwrap_or_default().to_vec()))));
    Case {
        name: name.to_owned(),
        origin: Origin::Author,
        input,
        files,
        check,
        held_out: false,
    }
}

/// Fields that the chain names, in order, each once.
pub(crate) fn used_fields(chain: &Chain) -> Vec<String> {
    let mut used: Vec<String> = chain.filters.iter().map(|f| f.field.clone()).collect();
    match &chain.terminal {
        Terminal::Aggregate {
            measures, group_by, ..
        } => {
            used.extend(group_by.iter().cloned());
            used.extend(measures.iter().filter_map(|m| m.field.clone()));
        }
        Terminal::Rows {
            fields, order_by, ..
        } => {
            used.extend(fields.iter().cloned());
            used.extend(order_by.clone());
        }
        Terminal::Distinct { field }
        | Terminal::Frequencies { field, .. }
        | Terminal::Words { field, .. } => used.push(field.clone()),
        Terminal::Histogram { field, measure, .. } => {
            used.push(field.clone());
            used.extend(measure.field.clone());
        }
        Terminal::Extract { field, .. } => used.extend(field.clone()),
        Terminal::Sentiment { field, group_by } => {
            used.push(field.clone());
            used.extend(group_by.clone());
        }
        Terminal::Share { wanted } => used.extend(wanted.iter().map(|w| w.field.clone())),
        Terminal::Compare { measure, field, .. } => {
            used.push(field.clone());
            used.extend(measure.field.clone());
        }
        Terminal::Pivot {
            rows,
            columns,
            measure,
        } => {
            used.extend([rows.field.clone(), columns.field.clone()]);
            used.extend(measure.field.clone());
        }
        Terminal::Clean {
            changes,
            unique,
            order_by,
            fields,
            ..
        } => {
            used.extend(changes.iter().map(|c| c.field.clone()));
            used.extend(unique.iter().flatten().cloned());
            used.extend(order_by.iter().map(|s| s.field.clone()));
            used.extend(fields.iter().cloned());
        }
        Terminal::Duplicates { fields } => used.extend(fields.iter().cloned()),
        Terminal::Convert { .. } | Terminal::Describe => {}
    }
    used.extend(chain.shape.per.clone());
    let mut seen = std::collections::HashSet::new();
    used.retain(|f| seen.insert(f.clone()));
    used
}

/// Of these, the fields of the file itself, with the key that it is joined on.
fn own_fields(chain: &Chain) -> Vec<String> {
    let mut own = used_fields(chain);
    if let Some(join) = &chain.join {
        let prefix = format!("{}.", join.prefix);
        own.retain(|f| !f.starts_with(&prefix) && !join.on.contains(f));
        own.splice(..0, join.on.iter().cloned());
    }
    own
}

/// The fields of the other file, by its own names.
fn of_other(chain: &Chain) -> Vec<String> {
    let Some(join) = &chain.join else {
        return Vec::new();
    };
    let prefix = format!("{}.", join.prefix);
    let names = used_fields(chain).into_iter();
    names
        .filter_map(|f| f.strip_prefix(&prefix).map(str::to_owned))
        .collect()
}

/// The same work with other bounds: another value of the same field, another limit.
fn varied(chain: &Chain, profile: &Profile) -> Chain {
    let mut other = chain.clone();
    for filter in &mut other.filters {
        let values = profile
            .field(&filter.field)
            .map(|f| f.values.as_slice())
            .unwrap_or_default();
        match &mut filter.value {
            Some(Scalar::Text(text)) => {
                if let Some((v, _)) = values.iter().find(|(v, _)| !v.eq_ignore_ascii_case(text)) {
                    *text = v.chars().take(MAX_VALUE).collect();
                }
            }
            Some(Scalar::Int(i)) => *i = i.saturating_sub(1),
            Some(Scalar::Float(f)) => *f *= 0.9,
            Some(Scalar::Bool(b)) => *b = !*b,
            Some(Scalar::Many(many)) => {
                many.pop();
            }
            None => {}
        }
    }
    match &mut other.terminal {
        Terminal::Aggregate { limit, .. }
        | Terminal::Rows { limit, .. }
        | Terminal::Frequencies { limit, .. }
        | Terminal::Extract { limit, .. } => {
            *limit = Some(match limit {
                Some(2) => 3,
                _ => 2,
            });
        }
        Terminal::Words {
            limit, min_length, ..
        } => {
            *limit = 3;
            *min_length += 2;
        }
        _ => {}
    }
    if let Terminal::Aggregate {
        measures,
        group_by,
        limit,
        ..
    } = &mut other.terminal
        && (group_by.is_empty() || measures.is_empty())
    {
        *limit = None;
    }
    other
}

/// Every third record with its used fields blank, every third of the rest with them null.
fn blanked(chain: &Chain, records: &[Record]) -> Vec<Record> {
    let mut used = used_fields(chain);
    if used.is_empty() {
        used.extend(
            records
                .iter()
                .filter_map(|r| r.fields.first())
                .map(|(n, _)| n.to_string())
                .take(1),
        );
    }
    let mut out = records.to_vec();
    for (i, record) in out.iter_mut().enumerate() {
        for (name, value) in &mut record.fields {
            if used.iter().any(|u| **u == **name) {
                match i % 3 {
                    0 => *value = Datum::Text(" ".to_owned()),
                    1 => *value = Datum::Null,
                    _ => {}
                }
            }
        }
    }
    out
}

fn without(field: &str, records: &[Record]) -> Vec<Record> {
    let mut out = records.to_vec();
    for record in &mut out {
        record.fields.retain(|(n, _)| **n != *field);
        if record.fields.is_empty() {
            record.fields.push(("other".into(), Datum::Int(1)));
        }
    }
    out
}

fn clip(value: &Datum) -> Datum {
    match value {
        Datum::Text(t) if t.chars().count() > MAX_VALUE => {
            Datum::Text(t.chars().take(MAX_VALUE).collect())
        }
        other => other.clone(),
    }
}

/// Records as a file of that format, with these fields.
fn encode(format: Format, fields: &[Arc<str>], records: &[Record]) -> Vec<u8> {
    let object = |record: &Record| {
        let members: serde_json::Map<String, serde_json::Value> = fields
            .iter()
            .filter(|f| record.fields.iter().any(|(n, _)| n == *f))
            .map(|f| (f.to_string(), json_of(&clip(record.get(f)))))
            .collect();
        serde_json::Value::Object(members)
    };
    match format {
        Format::Json => {
            let all: Vec<serde_json::Value> = records.iter().map(object).collect();
            serde_json::Value::Array(all).to_string().into_bytes()
        }
        Format::Jsonl => {
            let lines: Vec<String> = records
                .iter()
                .map(|r| object(r).to_string() + "\n")
                .collect();
            lines.concat().into_bytes()
        }
        Format::Text => {
            let line = |r: &Record| {
                text_of(&clip(r.get("line")))
                    .unwrap_or_default()
                    .replace(['\n', '\r'], " ")
            };
            let lines: Vec<String> = records.iter().map(|r| line(r) + "\n").collect();
            lines.concat().into_bytes()
        }
        Format::Csv | Format::Tsv => {
            let mut writer = csv::WriterBuilder::new()
                .delimiter(if format == Format::Csv { b',' } else { b'\t' })
                .from_writer(Vec::new());
            // Writing to memory does not fail.
            let _header = writer.write_record(fields.iter().map(|f| f.as_bytes()));
            for record in records {
                let cells: Vec<String> = fields
                    .iter()
                    .map(|f| match clip(record.get(f)) {
                        Datum::Text(t) => t,
                        other => text_of(&other).unwrap_or_default(),
                    })
                    .collect();
                let _row = writer.write_record(&cells);
            }
            writer.into_inner().unwrap_or_default()
        }
    }
}
