//! Texts that match a pattern, from its syntax tree.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::source::Source;

/// Repetitions beyond the least, where the pattern sets no bound.
const MORE: u32 = 6;
const LONGEST: usize = 2_000;

/// A text that the pattern matches somewhere; `None` where it cannot be read. Looks (`^`, `\b`)
/// are not solved: the caller checks what comes out.
pub(crate) fn matching(pattern: &str, source: &mut Source) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut out = String::new();
    write(&hir, source, &mut out);
    Some(out)
}

fn write(hir: &Hir, source: &mut Source, out: &mut String) {
    if out.len() > LONGEST {
        return;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => out.extend(one_of(class, source)),
        HirKind::Capture(capture) => write(&capture.sub, source, out),
        HirKind::Concat(parts) => parts.iter().for_each(|p| write(p, source, out)),
        HirKind::Alternation(ways) => {
            if let Some(way) = source.pick(ways) {
                write(way, source, out);
            }
        }
        HirKind::Repetition(repetition) => {
            let least = repetition.min;
            let most = repetition
                .max
                .map_or(least + MORE, |m| m.min(least.saturating_add(64)));
            let times = match source.below(4) {
                0 => least,
                1 => most,
                _ => source.within(least.into(), most.into()) as u32,
            };
            for _ in 0..times {
                write(&repetition.sub, source, out);
            }
        }
    }
}

/// A character of a class: printable ASCII three times of four, where it has any.
fn one_of(class: &Class, source: &mut Source) -> Option<char> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .map(|r| (r.start() as u32, r.end() as u32))
            .collect(),
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .map(|r| (r.start().into(), r.end().into()))
            .collect(),
    };
    let plain: Vec<(u32, u32)> = ranges
        .iter()
        .map(|(a, b)| ((*a).max(0x20), (*b).min(0x7e)))
        .filter(|(a, b)| a <= b)
        .collect();
    let from = if plain.is_empty() || source.one_in(4) {
        &ranges
    } else {
        &plain
    };
    let (low, high) = *source.pick(from)?;
    let code = match source.below(5) {
        0 => low,
        1 => high,
        _ => source.within(low.into(), high.into()) as u32,
    };
    char::from_u32(code).or_else(|| char::from_u32(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_matches() {
        for pattern in [
            "^[a-z]{3,5}$",
            r"^\d{4}-\d{2}$",
            "^(GET|POST) /[^ ]*$",
            r"^(?:[A-Z][a-z]+ )+x?$",
            "^$",
            r"^\+?[0-9 ()-]{7,15}$",
            r"^(?i)abc$",
            r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$",
            r"^\p{Greek}+$",
            "abc",
        ] {
            let regex = regex::Regex::new(pattern).unwrap();
            let mut different = std::collections::BTreeSet::new();
            for n in 0..50 {
                let text = matching(pattern, &mut Source::new(n, 0)).unwrap();
                assert!(regex.is_match(&text), "{pattern}: {text:?}");
                different.insert(text);
            }
            let fixed = ["^$", "abc"].contains(&pattern);
            assert!(fixed || different.len() > 5, "{pattern}: {different:?}");
        }
        assert_eq!(matching("(", &mut Source::new(0, 0)), None);
    }
}
