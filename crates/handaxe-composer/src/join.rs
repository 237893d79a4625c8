//! Two files as one: which field of the one names a record of the other, found in the question or
//! in the data, and a profile of the records as they are when both are read.
//!
//! A key is taken from the data only where exactly one pair of fields can be meant: called the
//! same, or `id` here and `customer_id` there, with values that mostly meet, and each value once in
//! one of the files. That file is looked up; the other is read record by record.

mod key;

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::profile::{Field, Kind, Met, Profile, text_of};
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
    let (question, named) = key::without_key(&question, files, is_asked(&question, files))?;
    let question = without_names(&question, files);
    let pairs = match named {
        Some(pairs) => pairs,
        None => match plausible(files).as_slice() {
            [one] => vec![*one],
            several => return Err(unclear(files, several)),
        },
    };
    let (a, b): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
    let once = [is_once(files[0], &a), is_once(files[1], &b)];
    // Where both have each key once, the shorter is looked up.
    let data = match once {
        [true, true] => usize::from(files[1].records > files[0].records),
        [false, true] => 0,
        [true, false] => 1,
        [false, false] => return Err(repeated(files, &pairs)),
    };
    let (own, other) = (files[data], files[1 - data]);
    let (on, other_on) = if data == 0 { (a, b) } else { (b, a) };
    let prefix = prefix(other);
    let join = Join {
        format: other.format,
        on: called(own, &on),
        other_on: called(other, &other_on),
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
                .any(|g| g.starts_with(&prefix) || self.join.on.contains(g)),
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
        let in_key = |f: &Field| self.join.on.contains(&f.name);
        let always = own.iter().find(|f| f.empty == 0 && !in_key(f));
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

fn called(file: &Profile, fields: &[usize]) -> Vec<String> {
    fields
        .iter()
        .map(|f| file.fields[*f].name.clone())
        .collect()
}

/// Whether these fields together come once in the file; of several, as far as its sample says.
fn is_once(file: &Profile, fields: &[usize]) -> bool {
    if fields.iter().any(|f| file.fields[*f].is_unique()) {
        return true;
    }
    let [_, _, ..] = fields else {
        return false;
    };
    let names = called(file, fields);
    let mut seen = HashSet::new();
    let keys = file.sample.iter().filter_map(|record| {
        let part = |name: &String| {
            let text = text_of(record.get(name))?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        names.iter().map(part).collect::<Option<Vec<String>>>()
    });
    let mut some = false;
    for key in keys {
        some = true;
        if !seen.insert(key) {
            return false;
        }
    }
    some
}

/// The key that is named comes more than once in both files.
fn repeated(files: [&Profile; 2], pairs: &[(usize, usize)]) -> Refusal {
    let [a, b] = files;
    let (of_a, of_b): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
    let [in_a, in_b] = [called(a, &of_a), called(b, &of_b)].map(|names| names.join(", "));
    let more = together(files).map_or_else(String::new, |names| {
        format!("; `on {}` says which belongs to which", names.join(" and "))
    });
    Refusal::Unfit {
        what: format!(
            "`{in_a}` comes more than once in `{}`, and `{in_b}` in `{}`: joined, records would \
             count several times{more}",
            a.name, b.name
        ),
        fields: names(a),
    }
}

/// Fields that are called the same and meet, which together come once in one of the files where
/// none does alone.
fn together([a, b]: [&Profile; 2]) -> Option<Vec<String>> {
    let both = |(i, left): (usize, &Field)| {
        let j = b.fields.iter().position(|right| right.name == left.name)?;
        let right = &b.fields[j];
        (keyed(left) && keyed(right) && overlap(left, right)).then_some((i, j))
    };
    let pairs: Vec<(usize, usize)> = a.fields.iter().enumerate().filter_map(both).collect();
    let (of_a, of_b): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
    let once = is_once(a, &of_a) || is_once(b, &of_b);
    (pairs.len() > 1 && once).then(|| called(a, &of_a))
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
        if let Some(names) = together(files) {
            options.insert(0, format!("on {}", names.join(" and ")));
        }
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
    let theirs = other
        .fields
        .iter()
        .filter(|f| !join.other_on.contains(&f.name));
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
    const UNITS: &str = "store,date,units\n\
        1,2026-01-01,5\n\
        1,2026-01-02,7\n\
        2,2026-01-01,3\n\
        2,2026-01-02,4\n\
        3,2026-01-01,9\n\
        1,2026-01-01,1\n";
    const PRICES: &str = "store,date,price,town\n\
        1,2026-01-01,2.5,Rome\n\
        1,2026-01-02,2.75,Rome\n\
        2,2026-01-01,10,Oslo\n\
        2,2026-01-02,11,Oslo\n\
        4,2026-01-01,1,Bari\n";

    #[test]
    fn keys_of_several_fields() {
        let files = [("units.csv", UNITS), ("prices.csv", PRICES)];
        with(&files, |profiles| {
            for (question, says) in [
                (
                    "join units.csv with prices.csv on store and date",
                    "by store and date",
                ),
                (
                    "total units by town, joined on store and date",
                    "by store and date",
                ),
                (
                    "total units by town joined on the fields date, store",
                    "by date and store",
                ),
                (
                    "total units by town on store = store and date = date",
                    "by store and date",
                ),
                ("join both files on stores and dates", "by store and date"),
            ] {
                let made =
                    compose(question, profiles).unwrap_or_else(|e| panic!("{question}: {e}"));
                let steps = made.steps.join(" ");
                assert!(steps.contains(says), "{question}: {steps}");
                let (data, mut other) = (UNITS.as_bytes(), PRICES.as_bytes());
                assert_eq!(made.invocation["data"], "units.csv", "{question}");
                let value =
                    evaluate_with(made.chain.as_ref().unwrap(), data, Some(&mut other)).unwrap();
                assert_eq!(value["unmatched"], 1, "{question}: {value}");
                if question.starts_with("total") {
                    let rows = value["groups"].to_string();
                    assert!(
                        rows.contains("13") && rows.contains('7'),
                        "{question}: {value}"
                    );
                }
            }
            for (question, says) in [
                ("total units by town", "`on store and date`"),
                (
                    "total units by town, joined on store",
                    "`on store and date` says which",
                ),
                (
                    "total units by town, joined on store and town",
                    "`town` is not a field of both",
                ),
            ] {
                let refusal = compose(question, profiles).unwrap_err().to_string();
                assert!(refusal.contains(says), "{question}: {refusal}");
            }
        });
    }
}
