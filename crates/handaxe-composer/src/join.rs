//! Two files as one: which field of the one names a record of the other, found in the question or
//! in the data, and a profile of the records as they are when both are read.
//!
//! A key is taken from the data only where exactly one pair of fields can be meant: called the
//! same, or `id` here and `customer_id` there, with values that mostly meet, and each value once in
//! one of the files. That file is looked up; the other is read record by record.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::profile::{Field, Kind, Met, Profile};
use crate::question::{Refusal, stems};
use crate::{Chain, Format, Func, How, Join, Measure, Terminal};

/// Of a hundred values of the key, so many must be in the other file.
const MEET: usize = 60;

/// Two files that meet.
pub(crate) struct Meeting {
    /// The records as both files make them, as the profile of the first.
    pub(crate) profile: Profile,
    pub(crate) join: Join,
    /// Which of the two is read record by record; the other is looked up.
    pub(crate) data: usize,
    /// The question without what it says of the files and their key.
    pub(crate) question: String,
    /// Records without a counterpart are asked for.
    keep: bool,
}

/// Whether the question itself speaks of two files.
pub(crate) fn is_asked(question: &str, files: [&Profile; 2]) -> bool {
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(join|joined|joining|merge|merged|combine|combined|both files)\b").ok()
    });
    let low = question.to_lowercase();
    let named = files.iter().all(|f| low.contains(&f.name.to_lowercase()));
    named || WORDS.as_ref().is_some_and(|w| w.is_match(question))
}

/// Which records are meant where one of the two files answers the question, and the question only
/// calls them records.
pub(crate) fn is_said(question: &str, files: [&Profile; 2]) -> Result<(), Refusal> {
    static ANY: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(records?|rows?|entry|entries|lines?|items?|observations?|cases|data points?)\b").ok()
    });
    let Some(word) = ANY.as_ref().and_then(|w| w.find(question)) else {
        return Ok(());
    };
    let [a, b] = files.map(|f| f.name.clone());
    Err(Refusal::Ambiguous {
        what: format!("`{}` of {a}, of {b}, or of both joined", word.as_str()),
        options: vec![format!("… of {a}"), "join both files and …".to_owned()],
    })
}

/// How the two files meet.
pub(crate) fn meet(question: &str, files: [&Profile; 2]) -> Result<Meeting, Refusal> {
    if let Some(text) = files.iter().find(|f| f.format == Format::Text) {
        return Err(Refusal::Unfit {
            what: format!(
                "`{}` is lines of text, which have no field to join on",
                text.name
            ),
            fields: files[0].fields.iter().map(|f| f.name.clone()).collect(),
        });
    }
    let (question, keep) = without_keeping(question);
    let (question, named) = without_key(&question, files);
    let question = without_names(&question, files);
    let pairs = match named {
        Some(pair) => vec![pair],
        None => plausible(files),
    };
    let [(a, b)] = pairs.as_slice() else {
        return Err(unclear(files, &pairs));
    };
    let once = [
        files[0].fields[*a].is_unique(),
        files[1].fields[*b].is_unique(),
    ];
    // Where both have each key once, the shorter is looked up.
    let data = match once {
        [true, true] => usize::from(files[1].records > files[0].records),
        [false, true] => 0,
        [true, false] => 1,
        [false, false] => {
            return Err(Refusal::Unfit {
                what: format!(
                    "`{}` comes more than once in `{}`, and `{}` in `{}`: joined, records would \
                     count several times",
                    files[0].fields[*a].name,
                    files[0].name,
                    files[1].fields[*b].name,
                    files[1].name
                ),
                fields: names(files[0]),
            });
        }
    };
    let (own, other) = (files[data], files[1 - data]);
    let (on, other_on) = if data == 0 { (*a, *b) } else { (*b, *a) };
    let prefix = prefix(other);
    let join = Join {
        format: other.format,
        on: own.fields[on].name.clone(),
        other_on: other.fields[other_on].name.clone(),
        prefix: prefix.clone(),
        how: How::Inner,
    };
    let met = Met {
        on,
        own: own.fields.len(),
        prefix,
    };
    Ok(Meeting {
        profile: both(own, other, &join, met),
        join,
        data,
        question,
        keep,
    })
}

impl Meeting {
    /// The chain over both files; a chain that asks nothing of the other needs it only where the
    /// question says so.
    pub(crate) fn joined(&self, chain: Chain, used: &[String]) -> Result<Chain, Refusal> {
        if matches!(chain.terminal, Terminal::Sentiment { .. }) {
            return Err(self.beyond("the sentiment of two files at once"));
        }
        let mut chain = chain;
        let prefix = format!("{}.", self.join.prefix);
        let grouped = |chain: &Chain| match &chain.terminal {
            Terminal::Aggregate { group_by, .. } => group_by
                .iter()
                .any(|g| g.starts_with(&prefix) || *g == self.join.on),
            Terminal::Frequencies { field, .. } => field.starts_with(&prefix),
            _ => false,
        };
        let mut join = self.join.clone();
        if self.keep {
            join.how = if grouped(&chain) {
                How::Right
            } else {
                How::Left
            };
            let theirs = used.iter().any(|f| f.starts_with(&prefix));
            if join.how == How::Left
                && !theirs
                && !matches!(chain.terminal, Terminal::Convert { .. })
            {
                return Err(self.beyond("which records are to be kept without a counterpart"));
            }
        }
        if join.how == How::Right {
            self.count_own(&mut chain)?;
        }
        chain.join = Some(join);
        Ok(chain)
    }

    /// A record of the other file that none met is no record of this one: what always stands in
    /// these is counted.
    fn count_own(&self, chain: &mut Chain) -> Result<(), Refusal> {
        if matches!(chain.terminal, Terminal::Frequencies { .. }) {
            return Err(self.beyond("how often values occur where none does"));
        }
        let Terminal::Aggregate { measures, .. } = &mut chain.terminal else {
            return Ok(());
        };
        let plain = |m: &&mut Measure| m.func == Func::Count && m.field.is_none();
        let own = &self.profile.fields[..self.own()];
        let always = own.iter().find(|f| f.empty == 0 && f.name != self.join.on);
        for measure in measures.iter_mut().filter(plain) {
            let Some(field) = always else {
                return Err(self.beyond("a count of records that may be none"));
            };
            measure.field = Some(field.name.clone());
        }
        Ok(())
    }

    fn own(&self) -> usize {
        self.profile.met.as_ref().map_or(0, |m| m.own)
    }

    fn beyond(&self, what: &str) -> Refusal {
        Refusal::Beyond {
            what: what.to_owned(),
            fields: names(&self.profile),
        }
    }
}

fn names(profile: &Profile) -> Vec<String> {
    profile
        .fields
        .iter()
        .take(30)
        .map(|f| f.name.clone())
        .collect()
}

/// What the other file's fields are called by: its name, as far as it is letters and digits.
fn prefix(file: &Profile) -> String {
    let name = file
        .name
        .rsplit_once('.')
        .map_or(file.name.as_str(), |(stem, _)| stem);
    let plain: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .take(40)
        .collect();
    if plain.is_empty() {
        "other".to_owned()
    } else {
        plain
    }
}

/// Pairs of fields that may be the key.
fn plausible([a, b]: [&Profile; 2]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize, bool)> = Vec::new();
    for (i, left) in a.fields.iter().enumerate() {
        for (j, right) in b.fields.iter().enumerate() {
            let foreign = points_to(left, right, b) || points_to(right, left, a);
            let alike = stems(&left.name) == stems(&right.name);
            let once = left.is_unique() || right.is_unique();
            if (foreign || alike) && once && keyed(left) && keyed(right) && overlap(left, right) {
                found.push((i, j, foreign));
            }
        }
    }
    // `id` beside `id` names the record of its own file where one points to the other's.
    if found.iter().any(|(.., foreign)| *foreign) {
        found.retain(|(.., foreign)| *foreign);
    }
    found.into_iter().map(|(i, j, _)| (i, j)).collect()
}

/// `customer_id` or `customer` points to the `id` of customers.
fn points_to(from: &Field, to: &Field, file: &Profile) -> bool {
    let file = stems(&prefix(file));
    let (from, to) = (stems(&from.name), stems(&to.name));
    let ids = ["id", "key", "code", "no", "number"];
    let [to] = to.as_slice() else {
        return false;
    };
    let called = from.strip_suffix(std::slice::from_ref(to)).unwrap_or(&from);
    ids.contains(&to.as_str()) && called == file.as_slice()
}

fn keyed(field: &Field) -> bool {
    field.filled > 0 && !field.is_prose() && !matches!(field.kind, Kind::Boolean | Kind::Number)
}

/// Most of the values that are known of either are known of the other.
fn overlap(a: &Field, b: &Field) -> bool {
    let set = |f: &Field| -> HashSet<String> {
        f.values.iter().map(|(v, _)| v.trim().to_owned()).collect()
    };
    let (a, b) = (set(a), set(b));
    let met = a.intersection(&b).count();
    met > 0 && met * 100 >= a.len().min(b.len()) * MEET
}

fn unclear(files: [&Profile; 2], pairs: &[(usize, usize)]) -> Refusal {
    let [a, b] = files;
    let said = |(i, j): &(usize, usize)| {
        format!(
            "{}.{} = {}.{}",
            prefix(a),
            a.fields[*i].name,
            prefix(b),
            b.fields[*j].name
        )
    };
    if pairs.is_empty() {
        let share = |f: &&Field| b.fields.iter().any(|g| overlap(f, g));
        let mut options: Vec<String> = (a.fields.iter().filter(share))
            .flat_map(|f| {
                let met = b.fields.iter().filter(|g| overlap(f, g));
                met.map(|g| format!("on {} = {}", f.name, g.name))
                    .collect::<Vec<_>>()
            })
            .take(4)
            .collect();
        if options.is_empty() {
            options.push("on FIELD = FIELD".to_owned());
        }
        return Refusal::Ambiguous {
            what: format!(
                "no pair of fields is clearly the key by which `{}` and `{}` belong together \
                 (called the same, or an id, with values that meet, each once in one of them)",
                a.name, b.name
            ),
            options,
        };
    }
    Refusal::Ambiguous {
        what: format!(
            "`{}` and `{}` may belong together by {}",
            a.name,
            b.name,
            pairs.iter().map(said).collect::<Vec<_>>().join(" or by ")
        ),
        options: (pairs.iter())
            .map(|(i, j)| format!("on {} = {}", a.fields[*i].name, b.fields[*j].name))
            .collect(),
    }
}

/// "on customer_id", "on orders.customer = customers.id": the fields that are named, and the
/// question without them.
fn without_key(question: &str, [a, b]: [&Profile; 2]) -> (String, Option<(usize, usize)>) {
    static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"(?i)[,;]?\s*\b(?:joined\s+on|join\s+on|matched\s+on|matching\s+on|matched\s+by|keyed\s+by|linked\s+by|on|using|via|where)\s+(?:the\s+)?["`']?([\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}\p{N}_.]+)?)["`']?(?:\s*(?:==?|equals|is equal to|matches|to|and)\s*["`']?([\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}\p{N}_.]+)?)["`']?)?"#,
        )
        .ok()
    });
    let find = |file: &Profile, said: &str| {
        let bare = |p: &str| said.strip_prefix(&format!("{p}.")).map(str::to_owned);
        let said = bare(&prefix(file)).unwrap_or_else(|| said.to_owned());
        file.fields
            .iter()
            .position(|f| f.name.eq_ignore_ascii_case(&said))
    };
    for found in KEY.iter().flat_map(|k| k.captures_iter(question)) {
        let Some(first) = found.get(1).map(|m| m.as_str()) else {
            continue;
        };
        let second = found.get(2).map(|m| m.as_str());
        let both = second.and_then(|s| {
            let one = find(a, first).zip(find(b, s));
            one.or_else(|| find(a, s).zip(find(b, first)))
        });
        let end = if both.is_some() {
            found.get(0)
        } else {
            found.get(1)
        };
        let pair = both.or_else(|| find(a, first).zip(find(b, first)));
        if let (Some(pair), Some(all), Some(end)) = (pair, found.get(0), end) {
            let rest = format!("{} {}", &question[..all.start()], &question[end.end()..]);
            return (rest, Some(pair));
        }
    }
    (question.to_owned(), None)
}

/// "including those without orders": whether it is said, and the question without it.
fn without_keeping(question: &str) -> (String, bool) {
    static KEEP: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)[,;(]?\s*\b(?:(?:including|include|even|also|and also|with|counting|keeping|keep)\s+(?:the\s+|also\s+)?(?:those|ones|\p{L}+)\s+(?:without|with none|with no|that have none|that have no|who have none|who have no|that had none|who had none)\b(?:\s+(?:any\s+|an\s+|a\s+)?\p{L}+)?|(?:including|keeping|keep)\s+(?:the\s+)?unmatched(?:\s+\p{L}+)?|(?:left|outer|left outer)(\s+)join)\)?",
        )
        .ok()
    });
    let Some(found) = KEEP.as_ref().and_then(|k| k.captures(question)) else {
        return (question.to_owned(), false);
    };
    let Some(all) = found.get(0) else {
        return (question.to_owned(), false);
    };
    let word = if found.get(1).is_some() {
        " join "
    } else {
        " "
    };
    let rest = format!(
        "{}{word}{}",
        &question[..all.start()],
        &question[all.end()..]
    );
    (rest, true)
}

/// The question without the names of the files.
fn without_names(question: &str, files: [&Profile; 2]) -> String {
    let mut out = question.to_owned();
    for file in files {
        let pattern = format!(
            r"(?i)[,;(]?\s*(?:\bfrom |\bin |\busing |\bwith )?\b{}\b\)?",
            regex::escape(&file.name)
        );
        if let Ok(pattern) = Regex::new(&pattern) {
            out = pattern.replace_all(&out, " ").into_owned();
        }
    }
    out
}

/// The profile of the records as they are joined.
fn both(own: &Profile, other: &Profile, join: &Join, met: Met) -> Profile {
    let mut profile = own.clone();
    // Each record of the other is met as often as the files differ in length.
    let times = (own.looked_at / other.looked_at.max(1)).max(1);
    let theirs = other.fields.iter().filter(|f| f.name != join.other_on);
    profile.fields.extend(theirs.map(|field| {
        Field {
            name: format!("{}.{}", join.prefix, field.name),
            filled: field.filled * times,
            empty: field.empty * times,
            values: field
                .values
                .iter()
                .map(|(v, n)| (v.clone(), n * times))
                .collect(),
            ..field.clone()
        }
    }));
    profile.exact = own.exact && other.exact;
    profile.met = Some(met);
    profile
}

#[cfg(test)]
mod tests {
    use crate::profile::{Profile, profile_path};
    use crate::{compose, evaluate_with};

    const ORDERS: &str = "order_id,date,customer_id,city,amount\n\
        1,2026-01-03,A1,Oslo,10\n\
        2,2026-01-09,A2,Rome,20.5\n\
        3,2026-02-11,A1,Oslo,30\n\
        4,2026-02-20,A9,Kyiv,5\n\
        5,2026-03-02,A1,Rome,7\n";
    const CUSTOMERS: &str = "{\"id\": \"A1\", \"name\": \"Ada\", \"country\": \"Norway\"}\n\
        {\"id\": \"A2\", \"name\": \"Bo\", \"country\": \"Italy\"}\n\
        {\"id\": \"A3\", \"name\": \"Cy\", \"country\": \"Norway\"}\n\
        {\"id\": \"A4\", \"name\": \"Di\", \"country\": \"Peru\"}\n";

    fn with<T>(files: &[(&str, &str)], run: impl FnOnce(&[Profile]) -> T) -> T {
        let dir = std::env::temp_dir().join(format!(
            "handaxe-join-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(&dir).unwrap();
        let profiles: Vec<Profile> = (files.iter())
            .map(|(name, text)| {
                let path = dir.join(name);
                std::fs::write(&path, text).unwrap();
                profile_path(name, &path).unwrap()
            })
            .collect();
        let out = run(&profiles);
        std::fs::remove_dir_all(&dir).unwrap();
        out
    }

    #[test]
    fn two_files_are_joined_where_one_does_not_say_it_all() {
        let files = [("orders.csv", ORDERS), ("customers.jsonl", CUSTOMERS)];
        with(&files, |profiles| {
            for (question, step, result) in [
                (
                    "total amount by customer country, orders.csv and customers.jsonl",
                    "Look each record up in customers.jsonl by customer_id (there id)",
                    r#"{"group":{"customers.country":"Italy"},"values":{"sum(amount)":20.5}},{"group":{"customers.country":"Norway"},"values":{"sum(amount)":47}}"#,
                ),
                (
                    "how many orders per customer name, including those without orders",
                    "those that no record has are kept",
                    r#"{"group":{"customers.name":"Cy"},"values":{"count(order_id)":0}}"#,
                ),
                (
                    "list the amount and the customer name, including those without a customer",
                    "records without one are kept, with blanks",
                    r#"{"amount":"5","customers.name":null}"#,
                ),
                (
                    "how many orders were placed by customers in Norway",
                    "Count them",
                    r#""count":3"#,
                ),
                (
                    "total amount by country and month",
                    "a column for each month in date",
                    r#""columns":["2026-01","2026-02","2026-03"]"#,
                ),
                (
                    "join the two files on customer_id = id and sort by country then amount",
                    "Order them by customers.country",
                    r#""unmatched":1"#,
                ),
                (
                    "how many customers are in Norway",
                    "orders.csv is not needed",
                    r#""count":2"#,
                ),
                (
                    "total amount in Rome",
                    "customers.jsonl is not needed",
                    "27.5",
                ),
            ] {
                let made =
                    compose(question, profiles).unwrap_or_else(|e| panic!("{question}: {e}"));
                let steps = made.steps.join(" ");
                assert!(steps.contains(step), "{question}: {steps}");
                let bytes = |name: &str| match made.invocation[name].as_str().unwrap() {
                    "orders.csv" => ORDERS.as_bytes(),
                    _ => CUSTOMERS.as_bytes(),
                };
                let data = bytes("data");
                let mut other = made
                    .invocation
                    .contains_key("other")
                    .then(|| bytes("other"));
                let other = other.as_mut().map(|o| o as &mut dyn std::io::Read);
                let chain = made.chain.as_ref().unwrap();
                let value = evaluate_with(chain, data, other).unwrap().to_string();
                assert!(value.contains(result), "{question}: {value}");
            }
        });
    }

    #[test]
    fn a_key_that_is_not_clear_is_asked_for() {
        let question = "total amount by country";
        let check = |customers: &str, question: &str, says: &str| {
            let files = [("orders.csv", ORDERS), ("customers.csv", customers)];
            with(&files, |profiles| {
                let refusal = compose(question, profiles).unwrap_err().to_string();
                assert!(refusal.contains(says), "{refusal}");
            });
        };
        // No names that say so.
        check(
            "code,country\nA1,Norway\nA2,Italy\nA9,Peru\n",
            question,
            "on customer_id = code",
        );
        // Not once in either file.
        check(
            "customer_id,country\nA1,Norway\nA1,Italy\nA2,Peru\nA9,Peru\n",
            question,
            "no pair of fields",
        );
        check(
            "customer_id,country\nA1,Norway\nA1,Italy\nA2,Peru\nA9,Peru\n",
            "total amount by country, joined on customer_id",
            "would count several times",
        );
        // Two that may be meant.
        check(
            "customer_id,order_id,country\nA1,1,Norway\nA2,2,Italy\nA9,3,Peru\n",
            question,
            "orders.order_id = customers.order_id or by orders.customer_id = customers.customer_id",
        );
        // Values that do not meet.
        check(
            "customer_id,country\n7,Norway\n8,Italy\n",
            question,
            "no pair of fields",
        );
    }
}
