//! Texts: ordinary and awkward ones, and one for each format.

use std::fmt::Write as _;

use super::source::Source;

const WORDS: &[&str] = &[
    "the", "of", "data", "Ada", "error", "x", "total", "north", "a", "I", "2024", "null", "true",
    "None", "NaN", "inf", "-0", "1e5", "0x1f", "ok",
];
/// Each has broken somebody's parser.
const AWKWARD: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    "\r\n",
    "a\nb",
    "  padded  ",
    "\"",
    "'",
    "\\",
    "\\n",
    "%s%d",
    "{}",
    "{0}",
    "<b>&amp;</b>",
    "a,b,\"c,d\"",
    "=1+1",
    "../../etc/passwd",
    "'; DROP TABLE t; --",
    "é",
    "e\u{301}",
    "ß",
    "İ",
    "ﬁ",
    "日本語",
    "עברית",
    "🙂",
    "👩‍👩‍👧",
    "\u{200b}",
    "\u{feff}",
    "\u{202e}abc",
    "\u{0}",
    "\u{7f}",
    "\u{1f600}\u{1f3fd}",
    "½",
    "١٢٣",
    "-",
    ".",
    "()",
    "[",
    "*",
    "a.b.c",
    "1,234.5",
    "1.234,5",
    "12:30",
    "31/12/1999",
];
const ALPHABETS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "ABCXYZabcxyz019 ",
    "0123456789",
    " \t\n",
    ".,;:!?-_/()[]{}'\"",
    "aA",
    "éüßøñçæ",
    "日本語한국어",
    "🙂🎉👍",
];

/// A text of `least` to `most` characters; `seen` are texts that a caller once gave.
pub(crate) fn text(source: &mut Source, least: usize, most: usize, seen: &[String]) -> String {
    let fits = |t: &str| (least..=most).contains(&t.chars().count());
    for _ in 0..4 {
        let candidate = match source.below(8) {
            0..=2 => source.pick(seen).map(|t| edited(t, source)),
            3..=4 => source.pick(AWKWARD).map(|t| (*t).to_owned()),
            5..=6 => Some(words(source)),
            _ => None,
        };
        if let Some(candidate) = candidate.filter(|c| fits(c)) {
            return candidate;
        }
    }
    let length = match source.below(6) {
        0 => least,
        1 => most.min(least.saturating_add(1)),
        2 if most <= least.saturating_add(4096) => most,
        3 => most.min(least.saturating_add(source.below(400))),
        _ => most.min(least.saturating_add(source.below(24))),
    };
    let alphabet: Vec<char> = source
        .pick(ALPHABETS)
        .map(|a| a.chars().collect())
        .unwrap_or_default();
    (0..length)
        .filter_map(|_| source.pick(&alphabet).copied())
        .collect()
}

fn words(source: &mut Source) -> String {
    let mut out = String::new();
    for i in 0..=source.below(9) {
        if i > 0 {
            out.push_str(
                source
                    .pick(&[" ", " ", " ", ", ", "\n", "  "])
                    .map_or("", |s| *s),
            );
        }
        if source.one_in(5) {
            let _ = write!(out, "{}", source.within(-100, 1000));
        } else {
            out.push_str(source.pick(WORDS).map_or("", |s| *s));
        }
    }
    out
}

/// A seen text as it was, or with one small change.
pub(crate) fn edited(text: &str, source: &mut Source) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = source.below(chars.len().max(1));
    match source.below(8) {
        0 if !chars.is_empty() => {
            chars.remove(at);
        }
        1 => {
            let awkward = source.pick(AWKWARD).map_or("", |s| *s);
            let at = at.min(chars.len());
            chars.splice(at..at, awkward.chars());
        }
        2 if !chars.is_empty() => chars.truncate(at),
        3 if chars.len() > 1 => chars.swap(at, (at + 1) % text.chars().count()),
        4 if chars.len() < 2_000 => chars.extend(text.chars()),
        5 => return text.to_uppercase(),
        _ => {}
    }
    chars.into_iter().collect()
}

/// A text of a format that the schemas know; `None` for any other.
pub(crate) fn formatted(format: &str, source: &mut Source) -> Option<String> {
    Some(match format {
        "date" => date(source),
        "time" => format!("{}{}", clock(source), zone(source)),
        "date-time" => format!("{}T{}{}", date(source), clock(source), zone(source)),
        "duration" => {
            let (days, hours, minutes) = (source.below(40), source.below(24), source.below(60));
            match source.below(4) {
                0 => "PT0S".to_owned(),
                1 => format!("P{days}D"),
                2 => format!("PT{hours}H{minutes}M"),
                _ => format!("P{days}DT{hours}H{minutes}M{}S", source.below(60)),
            }
        }
        "email" => {
            let user = source.pick(&["a", "ada.lovelace", "x+tag", "o_k", "1"])?;
            format!("{user}@{}", host(source)?)
        }
        "hostname" => host(source)?,
        "ipv4" => match source.below(5) {
            0 => "0.0.0.0".to_owned(),
            1 => "255.255.255.255".to_owned(),
            2 => "127.0.0.1".to_owned(),
            _ => {
                let mut part = || source.below(256);
                format!("{}.{}.{}.{}", part(), part(), part(), part())
            }
        },
        "ipv6" => (*source.pick(&["::", "::1", "2001:db8::ff00:42:8329", "fe80::1"])?).to_owned(),
        "uuid" => {
            let hex: String = (0..32)
                .map(|_| char::from(b"0123456789abcdef"[source.below(16)]))
                .collect();
            let ends = [0, 8, 12, 16, 20, 32];
            let parts: Vec<&str> = ends.windows(2).map(|w| &hex[w[0]..w[1]]).collect();
            parts.join("-")
        }
        "uri" => format!(
            "{}://{}{}",
            source.pick(&["http", "https", "ftp"])?,
            host(source)?,
            path(source)?
        ),
        "uri-reference" => path(source)?.to_owned(),
        "json-pointer" => (*source.pick(&["", "/", "/a", "/a/0", "/a~1b/~0"])?).to_owned(),
        _ => return None,
    })
}

/// From 1900 to 2199: arithmetic on the ends of the calendar is its own subject.
fn date(source: &mut Source) -> String {
    if source.one_in(4) {
        let edges = [
            "1970-01-01",
            "1999-12-31",
            "2000-02-29",
            "2024-02-29",
            "1900-03-01",
            "2038-01-19",
        ];
        return source.pick(&edges).map_or("", |d| *d).to_owned();
    }
    let near = source.one_in(2);
    let year = if near {
        2020 + source.below(8)
    } else {
        1900 + source.below(300)
    };
    format!(
        "{year:04}-{:02}-{:02}",
        1 + source.below(12),
        1 + source.below(28)
    )
}

fn clock(source: &mut Source) -> String {
    let edges = [
        "00:00:00",
        "23:59:59",
        "12:00:00",
        "00:00:00.000001",
        "23:59:59.999999",
    ];
    if source.one_in(4) {
        return source.pick(&edges).map_or("", |c| *c).to_owned();
    }
    format!(
        "{:02}:{:02}:{:02}",
        source.below(24),
        source.below(60),
        source.below(60)
    )
}

fn zone(source: &mut Source) -> &'static str {
    source
        .pick(&["Z", "Z", "+00:00", "+05:30", "-08:00", "+14:00"])
        .copied()
        .unwrap_or("Z")
}

fn host(source: &mut Source) -> Option<String> {
    let name = source.pick(&[
        "example.com",
        "localhost",
        "a.b.example.org",
        "xn--bcher-kva.example",
    ])?;
    Some((*name).to_owned())
}

fn path(source: &mut Source) -> Option<&'static str> {
    let paths = [
        "/",
        "",
        "/a/b",
        "/a?x=1&y=2",
        "/p#frag",
        "/a%20b",
        "/index.html?q=%C3%A9",
    ];
    source.pick(&paths).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use serde_json::json;

    #[test]
    fn formats_are_what_the_schemas_take() {
        for format in [
            "date",
            "date-time",
            "duration",
            "email",
            "hostname",
            "ipv4",
            "ipv6",
            "json-pointer",
            "time",
            "uri",
            "uri-reference",
            "uuid",
        ] {
            let schema = Schema::compile(&json!({"type": "string", "format": format})).unwrap();
            for n in 0..200 {
                let text = formatted(format, &mut Source::new(n, 1)).unwrap();
                assert!(schema.check(&json!(text)).is_ok(), "{format}: {text}");
            }
        }
        assert_eq!(formatted("file", &mut Source::new(0, 0)), None);
    }

    #[test]
    fn lengths_are_kept() {
        let seen = ["a seen text".to_owned()];
        for n in 0..300 {
            for (least, most) in [(0, 0), (1, 1), (3, 9), (0, 10_000), (5, 5), (100, 100)] {
                let text = text(&mut Source::new(n, 2), least, most, &seen);
                let length = text.chars().count();
                assert!(
                    (least..=most).contains(&length),
                    "{least}..={most}: {length}"
                );
            }
        }
    }
}
