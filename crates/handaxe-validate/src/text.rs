//! The first layer: the source as text, before anything parses it.

/// A finding of this layer: rule, byte offset, reason.
pub(crate) type TextFinding = (&'static str, usize, String);

/// Characters that change how text reads without being seen. The variation selectors FE0E and FE0F
/// are left alone: emoji in strings carry them.
const BIDI: &[(char, char)] = &[
    ('\u{061c}', '\u{061c}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2066}', '\u{2069}'),
];
const INVISIBLE: &[(char, char)] = &[
    ('\u{00ad}', '\u{00ad}'),
    ('\u{034f}', '\u{034f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200d}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{2060}', '\u{2065}'),
    ('\u{206a}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{e0000}', '\u{e0fff}'),
];

pub(crate) fn check(code: &str, max_bytes: usize) -> Vec<TextFinding> {
    if code.len() > max_bytes {
        let reason = format!(
            "{} bytes of source; at most {max_bytes} are read",
            code.len()
        );
        return vec![("text.size", 0, reason)];
    }
    let mut found = Vec::new();
    if code.starts_with('\u{feff}') {
        found.push((
            "text.encoding",
            0,
            "starts with a byte order mark".to_owned(),
        ));
    }
    for (offset, line) in first_lines(code) {
        if let Some(cookie) = cookie(line)
            && !matches!(cookie.to_ascii_lowercase().as_str(), "utf-8" | "utf8")
        {
            let reason = format!(
                "declares the encoding `{cookie}`, which would hide from the parser what the interpreter sees"
            );
            found.push(("text.encoding", offset, reason));
        }
    }
    for (offset, c) in code.char_indices() {
        let code_point = c as u32;
        let (rule, what) = if within(c, BIDI) {
            ("text.bidi", "a bidirectional control character")
        } else if within(c, INVISIBLE) && !(offset == 0 && c == '\u{feff}') {
            ("text.invisible", "an invisible character")
        } else if c == '\r' && !code[offset..].starts_with("\r\n") {
            ("text.control", "a carriage return without a line feed")
        } else if c.is_control() && !matches!(c, '\t' | '\n' | '\r') {
            ("text.control", "a control character")
        } else {
            continue;
        };
        found.push((rule, offset, format!("holds {what} (U+{code_point:04X})")));
        // One is enough to refuse; a thousand would only bury the others.
        if found.len() >= 20 {
            break;
        }
    }
    found
}

fn within(c: char, ranges: &[(char, char)]) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&c))
}

/// The first two lines, however they end.
fn first_lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = 0;
    code.split_inclusive(['\n', '\r', '\u{c}'])
        .map(move |line| {
            let at = offset;
            offset += line.len();
            (at, line)
        })
        // `\r\n` and form feeds make up to two pieces of one line.
        .take(6)
}

/// The encoding that a comment line declares (PEP 263).
fn cookie(line: &str) -> Option<&str> {
    let comment = line.trim_start().strip_prefix('#')?;
    comment.match_indices("coding").find_map(|(at, word)| {
        let rest = comment[at + word.len()..].strip_prefix([':', '='])?;
        let rest = rest.trim_start_matches([' ', '\t']);
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_once() {
        let cases: &[(&str, &[&str])] = &[
            ("x = 1\n", &[]),
            ("# -*- coding: utf-8 -*-\r\nx = 'é ❤\u{fe0f}'\r\n", &[]),
            (
                "# about coding: conventions are utf-8\n",
                &["text.encoding"],
            ),
            (
                "#!/x\n# vim: set fileencoding=utf-7 :\n",
                &["text.encoding"],
            ),
            ("# coding=unicode_escape", &["text.encoding"]),
            (
                "\n\u{c}# coding: latin-1",
                &["text.control", "text.encoding"],
            ),
            ("\u{feff}x = 1", &["text.encoding"]),
            ("x = '\u{202e}'", &["text.bidi"]),
            ("x\u{200b} = 1", &["text.invisible"]),
            ("x = 1\0", &["text.control"]),
            ("# hidden\rimport os", &["text.control"]),
            ("x = '\u{85}'", &["text.control"]),
        ];
        for (code, want) in cases {
            let mut rules: Vec<_> = check(code, 1000).into_iter().map(|f| f.0).collect();
            rules.sort_unstable();
            assert_eq!(&rules, want, "{code:?}");
        }
        assert_eq!(check(&"x".repeat(1001), 1000)[0].0, "text.size");
        assert!(check(&"\u{202e}".repeat(300), 1000).len() <= 20);
    }
}
