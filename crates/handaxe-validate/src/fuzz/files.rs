//! Files: those of the author's cases and made ones in the usual shapes, whole and damaged.

use std::fmt::Write as _;

use super::source::Source;

/// Largest file made; what travels with a call is 1 MiB together.
pub(crate) const MAX_FILE: usize = 256 << 10;
/// Of a line that is too long for most readers' buffers, and for `csv`'s field limit (128 KiB).
const HUGE_LINE: usize = 140 << 10;

/// A file as a case has it: its name tells some tools what it is.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

type Damage = fn(&[u8], &mut Source) -> Vec<u8>;

/// What is done to a file, by name. `as_it_is` and the gentle ones are drawn as often as the rest
/// together: a file that no reader takes tests little behind the reader.
const GENTLE: &[(&str, Damage)] = &[
    ("as_it_is", |b, _| b.to_vec()),
    ("some_lines", some_lines),
    ("lines_in_another_order", other_order),
    ("lines_twice", |b, _| [b, b"\n", b].concat()),
    ("header_only", |b, _| {
        lines(b).first().map(|l| l.to_vec()).unwrap_or_default()
    }),
    ("one_record", |b, _| {
        join(&lines(b).into_iter().take(2).collect::<Vec<_>>())
    }),
    ("no_newline_at_the_end", |b, _| b.trim_ascii_end().to_vec()),
    ("blank_line_at_the_end", |b, _| [b, b"\n\n"].concat()),
    ("crlf", |b, _| {
        String::from_utf8_lossy(b)
            .replace('\n', "\r\n")
            .into_bytes()
    }),
    ("byte_order_mark", |b, _| [b"\xef\xbb\xbf", b].concat()),
    ("other_numbers", other_numbers),
    ("blank_values", blank_values),
];
const HARSH: &[(&str, Damage)] = &[
    ("empty", |_, _| Vec::new()),
    ("one_newline", |_, _| b"\n".to_vec()),
    ("white_space", |_, _| b" \t\n  \n".to_vec()),
    ("cut_short", |b, s| b[..s.below(b.len() + 1)].to_vec()),
    ("huge_line", |b, _| [b, &vec![b'x'; HUGE_LINE]].concat()),
    ("latin_1", |b, s| inserted(b, b"caf\xe9 na\xefve", s)),
    ("not_utf_8", |b, s| inserted(b, b"\xff\xfe\x80\xc3", s)),
    ("nul", |b, s| inserted(b, b"\0", s)),
    ("utf_16", |b, _| {
        let text = String::from_utf8_lossy(b);
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    }),
    ("a_quote", |b, s| inserted(b, b"\"", s)),
    ("quoted_newline", |b, s| inserted(b, b"\"a\nb\"", s)),
    ("ragged", ragged),
    ("duplicated_header", duplicated_header),
    ("emptied_lines", |b, s| {
        let mut lines = lines(b);
        for line in &mut lines {
            if s.one_in(3) {
                *line = b"";
            }
        }
        join(&lines)
    }),
    ("swapped_bytes", |b, s| {
        let mut bytes = b.to_vec();
        for _ in 0..=s.below(8) {
            let (i, j) = (s.below(bytes.len().max(1)), s.below(bytes.len().max(1)));
            if j < bytes.len() && i < bytes.len() {
                bytes.swap(i, j);
            }
        }
        bytes
    }),
    ("odd_words", |b, s| {
        let odd: &[&[u8]] = &[
            b"NaN", b"-", b"1e999", b"inf", b"null", b"1,5", b"'", b"{}", b"[]", b"0x1f", b"\t",
        ];
        let odd = s.pick(odd).copied().unwrap_or_default();
        replaced_field(b, odd, s)
    }),
];

/// A file for one input: one of `seen` or a made one, whole or damaged, with the damage's name.
/// With `gently` only what a reader of this shape should take.
pub(crate) fn file(seen: &[Seen], gently: bool, source: &mut Source) -> (Seen, &'static str) {
    let base = if seen.is_empty() || source.one_in(12) {
        made(source)
    } else {
        source.pick(seen).cloned().unwrap_or_else(|| made(source))
    };
    let table = if gently || source.one_in(2) {
        GENTLE
    } else {
        HARSH
    };
    let mut file = base;
    let mut name = "as_it_is";
    if let Some((damage, apply)) = source.pick(table) {
        file.bytes = apply(&file.bytes, source);
        name = damage;
    }
    file.bytes.truncate(MAX_FILE);
    (file, name)
}

/// A small file in one of the usual shapes.
fn made(source: &mut Source) -> Seen {
    let mut text = String::new();
    let names = ["ada", "bo", "cy", "di", "ed"];
    let shape = source.below(6);
    let rows = 1 + source.below(12);
    for i in 0..rows {
        let name = source.pick(&names).copied().unwrap_or("x");
        let number = source.within(-50, 500);
        let day = 1 + source.below(28);
        let _ = match shape {
            0 | 1 => {
                let comma = if shape == 0 { ',' } else { '\t' };
                if i == 0 {
                    let _ = writeln!(text, "date{comma}name{comma}amount");
                }
                writeln!(text, "2024-03-{day:02}{comma}{name}{comma}{number}.5")
            }
            2 => writeln!(
                text,
                "{{\"name\": \"{name}\", \"amount\": {number}, \"day\": {day}}}"
            ),
            3 => writeln!(
                text,
                "10.0.0.{day} - {name} [{day:02}/Mar/2024:10:00:00 +0000] \"GET /{name} HTTP/1.1\" 200 {}",
                number.unsigned_abs()
            ),
            4 => write!(
                text,
                "{}{{\"name\": \"{name}\", \"amount\": {number}}}{}",
                if i == 0 { "[" } else { ", " },
                if i + 1 == rows { "]\n" } else { "" }
            ),
            _ => writeln!(text, "The {name} of {number} words, and a line {day}."),
        };
    }
    let extension = ["csv", "tsv", "jsonl", "log", "json", "txt"][shape];
    Seen {
        name: format!("made.{extension}"),
        bytes: text.into_bytes(),
    }
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    lines
}

fn join(lines: &[&[u8]]) -> Vec<u8> {
    let mut out = lines.join(&b'\n');
    if !lines.is_empty() {
        out.push(b'\n');
    }
    out
}

fn some_lines(bytes: &[u8], source: &mut Source) -> Vec<u8> {
    let kept: Vec<&[u8]> = lines(bytes)
        .into_iter()
        .enumerate()
        .filter(|(i, _)| *i == 0 || source.one_in(2))
        .map(|(_, line)| line)
        .collect();
    join(&kept)
}

fn other_order(bytes: &[u8], source: &mut Source) -> Vec<u8> {
    let mut lines = lines(bytes);
    if let Some(rest) = lines.get_mut(1..) {
        source.shuffle(rest);
    }
    join(&lines)
}

fn other_numbers(bytes: &[u8], source: &mut Source) -> Vec<u8> {
    bytes
        .iter()
        .map(|b| {
            if b.is_ascii_digit() && source.one_in(3) {
                b'0' + source.below(10) as u8
            } else {
                *b
            }
        })
        .collect()
}

fn inserted(bytes: &[u8], what: &[u8], source: &mut Source) -> Vec<u8> {
    let at = source.below(bytes.len() + 1);
    [&bytes[..at], what, &bytes[at..]].concat()
}

/// The separator that a line seems to have.
fn separator(line: &[u8]) -> u8 {
    let count = |b: &u8| line.split(|c| c == b).count();
    *[b',', b'\t', b';', b' ']
        .iter()
        .max_by_key(|b| count(b))
        .unwrap_or(&b',')
}

fn replaced_field(bytes: &[u8], by: &[u8], source: &mut Source) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = lines(bytes).into_iter().map(<[u8]>::to_vec).collect();
    let at = source.below(lines.len());
    if let Some(line) = lines.get_mut(at) {
        let comma = separator(line);
        let mut fields: Vec<&[u8]> = line.split(|b| *b == comma).collect();
        let field = source.below(fields.len());
        if let Some(field) = fields.get_mut(field) {
            *field = by;
        }
        *line = fields.join(&comma);
    }
    join(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn blank_values(bytes: &[u8], source: &mut Source) -> Vec<u8> {
    let (head, rest) = match bytes.iter().position(|b| *b == b'\n') {
        Some(at) => bytes.split_at(at + 1),
        None => (&[][..], bytes),
    };
    [head, &replaced_field(rest, b"", source)].concat()
}

fn ragged(bytes: &[u8], source: &mut Source) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines(bytes) {
        let comma = separator(line);
        match source.below(4) {
            0 => out.extend_from_slice(line.rsplitn(2, |b| *b == comma).last().unwrap_or(line)),
            1 => out.extend_from_slice(&[line, &[comma], b"extra"].concat()),
            _ => out.extend_from_slice(line),
        }
        out.push(b'\n');
    }
    out
}

fn duplicated_header(bytes: &[u8], source: &mut Source) -> Vec<u8> {
    let lines = lines(bytes);
    let Some(header) = lines.first() else {
        return Vec::new();
    };
    if source.one_in(2) {
        return [&join(&[header]), bytes].concat();
    }
    let comma = separator(header);
    let mut fields: Vec<&[u8]> = header.split(|b| *b == comma).collect();
    let first = fields.first().copied().unwrap_or_default();
    if let Some(last) = fields.last_mut() {
        *last = first;
    }
    let header = fields.join(&comma);
    let mut all: Vec<&[u8]> = vec![&header];
    all.extend(&lines[1..]);
    join(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_stands_anything() {
        for (name, damage) in GENTLE.iter().chain(HARSH) {
            for bytes in [
                &b""[..],
                b"\n",
                b"a",
                b"a,b\n1,2\n",
                b"\xff\xfe\0",
                b"a\n\nb",
            ] {
                for seed in 0..20 {
                    let out = damage(bytes, &mut Source::new(seed, 0));
                    assert!(out.len() < MAX_FILE, "{name}");
                }
            }
        }
    }

    #[test]
    fn both_tables_are_drawn_and_the_name_stays() {
        let seen = [Seen {
            name: "sales.csv".to_owned(),
            bytes: b"a,b\n1,2\n3,4\n".to_vec(),
        }];
        let mut names = std::collections::BTreeSet::new();
        for n in 0..600 {
            let (file, damage) = file(&seen, false, &mut Source::new(n, 0));
            assert!(
                file.name == "sales.csv" || file.name.starts_with("made."),
                "{}",
                file.name
            );
            names.insert(damage);
        }
        assert_eq!(names.len(), GENTLE.len() + HARSH.len());
    }
}
