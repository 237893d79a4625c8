//! The columns of made files: names of the data, values that a reader may get wrong.

use crate::profile::{Kind, Profile};
use crate::{Chain, Format, Scalar, Terminal};

use super::{of_other, own_fields};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Number,
    Text,
    Time,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) values: Vec<String>,
}

/// Rows of a made file.
pub(super) const ROWS: usize = 18;

const NUMBERS: [&str; ROWS] = [
    "3",
    "-2.5",
    "1,234",
    "$5.20",
    "12%",
    "1e3",
    "",
    "n/a",
    "3",
    " 8 ",
    "0.1",
    "0.2",
    "007",
    "+4",
    ".5",
    "5 kg",
    "12,34",
    "999999999999999999",
];
const TIMES: [&str; ROWS] = [
    "2024-01-31",
    "2024-01-31 12:00:00",
    "2024-02-29T23:59:59.250+02:00",
    "31/Jan/2024:12:00:00 +0000",
    "January 5, 2023 1:05 PM",
    "1/31/2024 12:10 am",
    "31.01.2024",
    "1706702400",
    "2024-13-01",
    "noon",
    "",
    "2024",
    "2024-05",
    "2023-02-29",
    "on 2024-03-04 05:06:07 it broke",
    "2024-12-30 05:06:07 -0530",
    "1706702400123",
    "2024-01-31 13:00 pm",
];
/// For what looks into text: words, marks, addresses, dates, moods.
const SENTENCES: [&str; ROWS] = [
    "The service is not good, but it isn't very bad.",
    "Great support: extremely helpful and GREAT!",
    "mail ada@example.org or bo.b+c@mail.example.com, ada@example.org",
    "see https://example.org/a?b=c. (ftp://files.example/y) and http://example.org",
    "10.0.0.1 and 10.0.0.1:8080, 300.1.1.1, ::1, 2001:db8::1, 1:2:3:4:5:6:7:8, 12:30",
    "on 2024-03-04, 3/4/2024, 4.3.2024, 4 Mar 2024 and Mar 4, 2024",
    "12.5 1,234 -7 1e3 v2 1.2.3 +5",
    "don't can’t the THE of of a I we",
    "slightly slow and somewhat bad failure",
    "",
    "ERROR: the payment failed, terrible error",
    "not a problem, never a crash",
    "1::2 1:::2 :1:2 1:2: 1.2.3 1.2.3.4.5 1.2.3.4. a:b:c 256.1.1.1 1::2::3 ffff1::1 1:2:3:4:5:6:7",
    "good good good bad",
    "very very good",
    "it is what it is",
    "naïve café Straße 東京",
    "not at all really good",
];

/// The columns for a chain: the fields that it uses, and one of each kind that the data has.
pub(super) fn columns(chain: &Chain, profile: &Profile) -> Vec<Column> {
    let looks_into = matches!(
        chain.terminal,
        Terminal::Words { .. } | Terminal::Extract { .. } | Terminal::Sentiment { .. }
    );
    if chain.format == Format::Text {
        // Some lines are numbers.
        let line = |role, values: [&str; ROWS]| Column {
            name: "line".to_owned(),
            role,
            values: values.map(str::to_owned).to_vec(),
        };
        return vec![line(Role::Text, SENTENCES), line(Role::Number, NUMBERS)];
    }
    let mut wanted = own_fields(chain);
    // What holds keys in the made files holds no numbers there, and only few kinds of times.
    let key = chain.join.as_ref().map_or(&[][..], |join| &join.on);
    for one in [Role::Number, Role::Text, Role::Time] {
        let has = |names: &[String]| {
            let names = names.iter().filter(|n| !key.contains(*n));
            let mut names = names.filter_map(|n| profile.field(n));
            names.any(|f| role(f.kind) == one)
        };
        let mut free = profile.fields.iter().filter(|f| !key.contains(&f.name));
        let of_kind = free.find(|f| role(f.kind) == one);
        if let Some(field) = of_kind.filter(|_| !has(&wanted)) {
            wanted.push(field.name.clone());
        }
    }
    let looked_at = match &chain.terminal {
        Terminal::Words { field, .. } | Terminal::Sentiment { field, .. } => Some(field),
        Terminal::Extract { field, .. } => field.as_ref(),
        _ => None,
    };
    let of_all = looks_into && looked_at.is_none();
    let mut made: Vec<Column> = (wanted.into_iter().enumerate())
        .map(|(shift, name)| {
            let role = profile.field(&name).map_or(Role::Text, |f| role(f.kind));
            let mut values: Vec<String> = match role {
                Role::Number => NUMBERS.map(str::to_owned).to_vec(),
                Role::Time => TIMES.map(str::to_owned).to_vec(),
                Role::Text if of_all || looked_at == Some(&name) => {
                    SENTENCES.map(str::to_owned).to_vec()
                }
                Role::Text => texts(&known(chain, profile, &name, &name)),
            };
            // The same row is not the same kind of oddity in every column.
            values.rotate_left(2 * shift % ROWS);
            Column { name, role, values }
        })
        .collect();
    if let Some(join) = &chain.join {
        // Keys that can be met: some twice, one blank.
        for (part, on) in join.on.iter().enumerate() {
            for column in made.iter_mut().filter(|c| c.name == *on) {
                let places = [0, 1, 2, 3, 4, 5, 6, 0, 1, 9, 2, 8, 0, 9, 3, 7, 1, 4];
                column.values = keys(&places, (part, join.on.len()), column.role);
                if part + 1 == join.on.len() {
                    column.values[9].clear();
                }
                column.values[4].insert(0, ' ');
            }
        }
        let times = made
            .iter()
            .any(|c| c.role == Role::Time && !key.contains(&c.name));
        for column in made.iter_mut().filter(|c| key.contains(&c.name)) {
            if column.role == Role::Number || times {
                column.role = Role::Text;
            }
        }
    }
    made
}

/// A part of a key that is told by all its parts and by none of them alone.
fn keys(places: &[usize], (part, of): (usize, usize), role: Role) -> Vec<String> {
    let said = |place: &usize| match (of, part) {
        (0 | 1, _) => *place,
        (_, 0) => place / 3,
        _ => place % 3,
    };
    let key = |place: usize| match role {
        // A key may be a day, by which records are counted as well.
        Role::Time => format!("2024-{:02}-{:02}", place * 5 % 12 + 1, place + 9),
        Role::Number | Role::Text => format!("k{place}"),
    };
    places.iter().map(|p| key(said(p))).collect()
}

/// The other file's columns: its key once a row, of which some meet none.
pub(super) fn other_columns(chain: &Chain, other: &Profile) -> Vec<Column> {
    let Some(join) = &chain.join else {
        return Vec::new();
    };
    let mut wanted = join.other_on.clone();
    wanted.extend(of_other(chain));
    let spare = other.fields.iter().map(|f| f.name.clone());
    let spare = spare
        .filter(|n| !wanted.contains(n))
        .take(1)
        .collect::<Vec<_>>();
    wanted.extend(spare);
    (wanted.into_iter())
        .map(|name| {
            let role = other.field(&name).map_or(Role::Text, |f| role(f.kind));
            let part = join.other_on.iter().position(|on| *on == name);
            let values = if let Some(part) = part {
                let places: Vec<usize> = (0..ROWS).map(|i| i * 2 % 19).collect();
                keys(&places, (part, join.other_on.len()), role)
            } else {
                let full = format!("{}.{name}", join.prefix);
                match role {
                    Role::Number => NUMBERS.map(str::to_owned).to_vec(),
                    Role::Time => TIMES.map(str::to_owned).to_vec(),
                    Role::Text => texts(&known(chain, other, &full, &name)),
                }
            };
            Column { name, role, values }
        })
        .collect()
}

fn role(kind: Kind) -> Role {
    match kind {
        Kind::Integer | Kind::Number => Role::Number,
        Kind::Date | Kind::DateTime => Role::Time,
        Kind::Boolean | Kind::Text | Kind::Empty => Role::Text,
    }
}

/// Two values of a field: that which the question names, else the most common ones. `field` is the
/// chain's name for it, `name` the file's own.
fn known(chain: &Chain, profile: &Profile, field: &str, name: &str) -> [String; 2] {
    let asked = chain.filters.iter().find(|f| f.field == field);
    let asked = asked.and_then(|f| match f.value.as_ref()? {
        Scalar::Text(text) => Some(text.clone()),
        Scalar::Many(values) => values.iter().find_map(|v| match v {
            Scalar::Text(text) => Some(text.clone()),
            _ => None,
        }),
        _ => None,
    });
    let side = match &chain.terminal {
        Terminal::Compare {
            field: by,
            left: Scalar::Text(text),
            ..
        } if by == field => Some(text.clone()),
        _ => None,
    };
    let seen = profile.field(name).into_iter().flat_map(|f| &f.values);
    let mut all: Vec<String> = asked.into_iter().chain(side).collect();
    all.extend(seen.map(|(v, _)| v.chars().take(40).collect()));
    all.extend(["Asia".to_owned(), "Europe".to_owned()]);
    let first = all.first().cloned().unwrap_or_default();
    let second = all.into_iter().find(|v| !v.eq_ignore_ascii_case(&first));
    [first, second.unwrap_or_default()]
}

fn texts([a, b]: &[String; 2]) -> Vec<String> {
    let upper = a.to_uppercase();
    let all: [&str; ROWS] = [
        a,
        b,
        a,
        &upper,
        "10",
        "9",
        "",
        "Zoë",
        "say \"hi\"",
        "x, y",
        "two\nlines",
        a,
        b,
        " ",
        "9.0",
        "true",
        "z;z",
        b,
    ];
    let mut all: Vec<String> = all.iter().map(|v| (*v).to_owned()).collect();
    all[5] = format!(" {a} ");
    all
}
