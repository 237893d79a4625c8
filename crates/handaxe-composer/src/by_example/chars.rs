//! Runs of characters and words; the classes are spelled out so that Python's `re` reads the same.

/// What a run is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    Digits,
    Letters,
    /// Letters and digits.
    Alnum,
    /// Letters, digits and `_`.
    Word,
    Upper,
    Lower,
    /// Anything but blanks.
    Filled,
    /// Digits with a fraction and a sign.
    Decimal,
    /// Letters, digits and `.@_+-`: addresses, names of hosts and files.
    Dotted,
    /// What stands in double quotes, in round, square and angle brackets.
    Quoted,
    Round,
    Square,
    Angle,
}

impl Class {
    pub(crate) const ALL: [Self; 13] = [
        Self::Digits,
        Self::Letters,
        Self::Alnum,
        Self::Word,
        Self::Upper,
        Self::Lower,
        Self::Filled,
        Self::Decimal,
        Self::Dotted,
        Self::Quoted,
        Self::Round,
        Self::Square,
        Self::Angle,
    ];
    /// The classes that are sets of characters.
    pub(crate) const SETS: [Self; 6] = [
        Self::Digits,
        Self::Letters,
        Self::Alnum,
        Self::Upper,
        Self::Lower,
        Self::Filled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Letters => "letters",
            Self::Alnum => "alnum",
            Self::Word => "word",
            Self::Upper => "upper",
            Self::Lower => "lower",
            Self::Filled => "filled",
            Self::Decimal => "decimal",
            Self::Dotted => "dotted",
            Self::Quoted => "quoted",
            Self::Round => "round",
            Self::Square => "square",
            Self::Angle => "angle",
        }
    }

    /// Whether a character belongs; brackets are no sets.
    pub(crate) fn holds(self, c: char) -> bool {
        let letter = c.is_ascii_alphabetic()
            || (('\u{c0}'..='\u{24f}').contains(&c) && c != '\u{d7}' && c != '\u{f7}');
        match self {
            Self::Digits => c.is_ascii_digit(),
            Self::Letters => letter,
            Self::Alnum => letter || c.is_ascii_digit(),
            Self::Word => letter || c.is_ascii_digit() || c == '_',
            Self::Upper => c.is_ascii_uppercase(),
            Self::Lower => c.is_ascii_lowercase(),
            Self::Filled => !matches!(c, ' ' | '\t' | '\r' | '\n'),
            Self::Dotted => letter || c.is_ascii_digit() || ".@_+-".contains(c),
            _ => false,
        }
    }

    fn brackets(self) -> Option<(char, char)> {
        match self {
            Self::Quoted => Some(('"', '"')),
            Self::Round => Some(('(', ')')),
            Self::Square => Some(('[', ']')),
            Self::Angle => Some(('<', '>')),
            _ => None,
        }
    }
}

/// The longest runs of a class in a text, in order.
pub(crate) fn runs(text: &str, class: Class) -> Vec<&str> {
    if let Some((open, close)) = class.brackets() {
        return inside(text, open, close);
    }
    if class == Class::Decimal {
        return decimals(text);
    }
    text.split(|c| !class.holds(c))
        .filter(|r| !r.is_empty())
        .collect()
}

/// `-3`, `3.14`, `1,234`: a sign counts where nothing but a blank or bracket stands before it.
fn decimals(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        if !digit(i) {
            i += 1;
            continue;
        }
        let mut start = i;
        let signed = i > 0
            && bytes[i - 1] == b'-'
            && (i == 1 || matches!(bytes[i - 2], b' ' | b'(' | b'=' | b',' | b':'));
        if signed {
            start -= 1;
        }
        while digit(i) {
            i += 1;
        }
        let first = i - start - usize::from(signed);
        if first <= 3 {
            while bytes.get(i) == Some(&b',') && (1..=3).all(|k| digit(i + k)) && !digit(i + 4) {
                i += 4;
            }
        }
        if bytes.get(i) == Some(&b'.') && digit(i + 1) {
            i += 1;
            while digit(i) {
                i += 1;
            }
        }
        out.push(&text[start..i]);
    }
    out
}

fn inside(text: &str, open: char, close: char) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(open) {
        let after = &rest[at + open.len_utf8()..];
        let Some(end) = after.find(close) else { break };
        out.push(&after[..end]);
        rest = &after[end + close.len_utf8()..];
    }
    out
}

/// How a text is cut into words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Cut {
    /// At blanks.
    Blanks,
    /// Runs of letters and digits, cut at humps too: `fooBar`, `HTTPServer`.
    Humps,
    /// Runs of a class.
    Runs(Class),
    /// At a separator, blanks around each part taken off, empty parts left out.
    At(String),
}

impl Cut {
    pub(crate) fn of(&self, text: &str) -> Vec<String> {
        match self {
            Self::Blanks => runs(text, Class::Filled)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            Self::Runs(class) => runs(text, *class).into_iter().map(str::to_owned).collect(),
            Self::Humps => humps(text),
            Self::At(by) => text
                .split(by.as_str())
                .map(|p| p.trim_matches(' ').to_owned())
                .filter(|p| !p.is_empty())
                .collect(),
        }
    }
}

/// Words of an identifier: capitals before a capitalised word, capitalised or small words, digits.
fn humps(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let upper = |i: usize| chars.get(i).is_some_and(char::is_ascii_uppercase);
    let lower = |i: usize| chars.get(i).is_some_and(char::is_ascii_lowercase);
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let mut out = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let start = i;
        if upper(i) {
            while upper(i) {
                i += 1;
            }
            if lower(i) {
                if i - start > 1 {
                    // The last capital begins the next word.
                    i -= 1;
                } else {
                    while lower(i) {
                        i += 1;
                    }
                }
            }
        } else if lower(i) {
            while lower(i) {
                i += 1;
            }
        } else if digit(i) {
            while digit(i) {
                i += 1;
            }
        } else {
            i += 1;
            continue;
        }
        out.push(chars[start..i].iter().collect());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(
            humps("parseHTTPRequest2_now"),
            ["parse", "HTTP", "Request", "2", "now"]
        );
        assert_eq!(
            decimals("a-3 -4.5 (1,234.50) v1.2.3"),
            ["3", "-4.5", "1,234.50", "1.2", "3"]
        );
        assert_eq!(inside("a (b) [c] (d", '(', ')'), ["b"]);
    }
}
