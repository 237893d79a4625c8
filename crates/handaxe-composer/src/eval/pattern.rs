//! A person's regular expression: only what Rust and Python read alike.
//!
//! Literals, `.`, classes, groups, `|`, anchors, `\b`, the usual quantifiers. `\d`, `\w`, `\s` and
//! `\b` mean ASCII (Python gets `re.ASCII`). Look-around, back-references, flags, possessive
//! quantifiers and patterns that can match nothing are refused, each with its own error.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Longest pattern, in characters.
const MAX_CHARS: usize = 500;
const MAX_NESTING: u32 = 20;
const MAX_REPEAT: u32 = 1000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern is longer than {MAX_CHARS} characters")]
    TooLong,
    #[error("the pattern nests deeper than {MAX_NESTING} groups")]
    TooDeep,
    #[error("the pattern is not a regular expression that can be used here")]
    Syntax,
    #[error("look-around, flags and named groups are not supported: `(?{0}`")]
    Group(char),
    #[error("the escape `\\{0}` is not supported")]
    Escape(char),
    #[error("a quantifier cannot follow another")]
    DoubleQuantifier,
    #[error(
        "`{{` starts a repetition: write {{n}}, {{n,}} or {{n,m}} up to {MAX_REPEAT}, or `\\{{`"
    )]
    Repetition,
    #[error("`[`, `&&`, `--` and `~~` inside a class need a backslash")]
    Class,
    #[error("the pattern can match nothing at all, so it would match everywhere")]
    Empty,
}

/// The Rust reading of a pattern that Python would read the same with `re.ASCII`.
pub(crate) fn translate(pattern: &str) -> Result<Regex, PatternError> {
    if pattern.chars().count() > MAX_CHARS {
        return Err(PatternError::TooLong);
    }
    let mut parser = Parser {
        rest: pattern.chars().peekable(),
        out: String::new(),
        depth: 0,
    };
    let nullable = parser.alternatives()?;
    if parser.rest.next().is_some() {
        return Err(PatternError::Syntax);
    }
    if nullable {
        return Err(PatternError::Empty);
    }
    Regex::new(&parser.out).map_err(|_| PatternError::Syntax)
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    depth: u32,
}

impl Parser<'_> {
    /// Each of these says whether what it read can match the empty text.
    fn alternatives(&mut self) -> Result<bool, PatternError> {
        let mut nullable = self.sequence()?;
        while self.rest.next_if_eq(&'|').is_some() {
            self.out.push('|');
            nullable |= self.sequence()?;
        }
        Ok(nullable)
    }

    fn sequence(&mut self) -> Result<bool, PatternError> {
        let mut nullable = true;
        while let Some(&c) = self.rest.peek() {
            if matches!(c, '|' | ')') {
                break;
            }
            self.rest.next();
            let (empty, repeatable) = self.atom(c)?;
            nullable &= self.quantified(empty, repeatable)?;
        }
        Ok(nullable)
    }

    fn atom(&mut self, c: char) -> Result<(bool, bool), PatternError> {
        match c {
            '(' => self.group().map(|empty| (empty, true)),
            '[' => self.class().map(|()| (false, true)),
            '\\' => self.escape(),
            '^' | '$' => {
                self.out.push(c);
                Ok((true, false))
            }
            '*' | '+' | '?' => Err(PatternError::DoubleQuantifier),
            '{' => Err(PatternError::Repetition),
            '.' => {
                self.out.push_str("[^\\n]");
                Ok((false, true))
            }
            c => {
                self.out
                    .push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                Ok((false, true))
            }
        }
    }

    fn group(&mut self) -> Result<bool, PatternError> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(PatternError::TooDeep);
        }
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.next() {
                Some(':') => self.out.push_str("?:"),
                other => return Err(PatternError::Group(other.unwrap_or(' '))),
            }
        }
        let nullable = self.alternatives()?;
        if self.rest.next() != Some(')') {
            return Err(PatternError::Syntax);
        }
        self.out.push(')');
        self.depth -= 1;
        Ok(nullable)
    }

    fn escape(&mut self) -> Result<(bool, bool), PatternError> {
        let c = self.rest.next().ok_or(PatternError::Syntax)?;
        let (text, empty) = match c {
            'd' => ("[0-9]", false),
            'D' => ("[^0-9]", false),
            'w' => ("[0-9A-Za-z_]", false),
            'W' => ("[^0-9A-Za-z_]", false),
            's' => (r"[ \t\n\r\x0b\x0c]", false),
            'S' => (r"[^ \t\n\r\x0b\x0c]", false),
            'b' => (r"(?-u:\b)", true),
            't' => (r"\t", false),
            'n' => (r"\n", false),
            'r' => (r"\r", false),
            c if c.is_ascii_punctuation() => {
                self.out
                    .push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                return Ok((false, true));
            }
            c => return Err(PatternError::Escape(c)),
        };
        self.out.push_str(text);
        Ok((empty, !empty))
    }

    fn class(&mut self) -> Result<(), PatternError> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.rest.peek() == Some(&']') {
            return Err(PatternError::Class);
        }
        loop {
            let Some(low) = self.class_item()? else {
                if self.rest.peek() == Some(&']') {
                    break;
                }
                continue;
            };
            if self.rest.next_if_eq(&'-').is_some() {
                if self.rest.peek() == Some(&']') {
                    self.out.push_str("\\-");
                    break;
                }
                self.out.push('-');
                match self.class_item()? {
                    Some(high) if high != '-' && low <= high => {}
                    _ => return Err(PatternError::Class),
                }
            }
            if self.rest.peek() == Some(&']') {
                break;
            }
        }
        self.rest.next();
        self.out.push(']');
        Ok(())
    }

    /// One character of a class, or a whole set such as `\d` (`None`), which no `-` may follow.
    fn class_item(&mut self) -> Result<Option<char>, PatternError> {
        let c = self.rest.next().ok_or(PatternError::Syntax)?;
        let doubled = matches!(c, '&' | '~' | '|') && self.rest.peek() == Some(&c);
        if c == '[' || doubled {
            return Err(PatternError::Class);
        }
        let c = match c {
            '\\' => match self.rest.next().ok_or(PatternError::Syntax)? {
                e @ ('d' | 'w' | 's') => {
                    self.out.push_str(match e {
                        'd' => "0-9",
                        'w' => "0-9A-Za-z_",
                        _ => r" \t\n\r\x0b\x0c",
                    });
                    let mut ahead = self.rest.clone();
                    if ahead.next() == Some('-') && ahead.next() != Some(']') {
                        return Err(PatternError::Class);
                    }
                    return Ok(None);
                }
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                e if e.is_ascii_punctuation() => e,
                e => return Err(PatternError::Escape(e)),
            },
            c => c,
        };
        if c.is_ascii_punctuation() {
            self.out.push('\\');
        }
        self.out.push(c);
        Ok(Some(c))
    }

    fn quantified(&mut self, empty: bool, repeatable: bool) -> Result<bool, PatternError> {
        let least = match self.rest.peek() {
            Some('*' | '?') => 0,
            Some('+') => 1,
            Some('{') => {
                self.rest.next();
                let least = self.repetition()?;
                return self.after_quantifier(empty || least == 0, repeatable);
            }
            _ => return Ok(empty),
        };
        self.out.extend(self.rest.next());
        self.after_quantifier(empty || least == 0, repeatable)
    }

    fn after_quantifier(&mut self, empty: bool, repeatable: bool) -> Result<bool, PatternError> {
        if !repeatable {
            return Err(PatternError::Syntax);
        }
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        match self.rest.peek() {
            Some('*' | '+' | '?' | '{') => Err(PatternError::DoubleQuantifier),
            _ => Ok(empty),
        }
    }

    fn repetition(&mut self) -> Result<u32, PatternError> {
        let mut body = String::new();
        loop {
            match self.rest.next() {
                Some('}') => break,
                Some(c) if (c.is_ascii_digit() || c == ',') && body.len() < 10 => body.push(c),
                _ => return Err(PatternError::Repetition),
            }
        }
        let (low, high) = body.split_once(',').unwrap_or((&body, &body));
        let least: u32 = low.parse().map_err(|_| PatternError::Repetition)?;
        let most = match high {
            "" => least,
            high => high.parse().map_err(|_| PatternError::Repetition)?,
        };
        if least > most || most > MAX_REPEAT {
            return Err(PatternError::Repetition);
        }
        self.out.push('{');
        self.out.push_str(&body);
        self.out.push('}');
        Ok(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_subset() {
        for good in [
            r"ERR-\d+",
            r"\b[A-Z]{3}\b",
            r"user=(\w+)",
            r"[a-f0-9]{8}(?:-[a-f0-9]{4}){3}",
            r"a+?b",
            r"[^\s,]+@x",
        ] {
            assert!(translate(good).is_ok(), "{good}");
        }
        for (bad, error) in [
            ("(?=a)a", PatternError::Group('=')),
            ("(?i)a", PatternError::Group('i')),
            ("(?P<x>a)", PatternError::Group('P')),
            (r"(a)\1", PatternError::Escape('1')),
            ("a*", PatternError::Empty),
            (r"\b|a", PatternError::Empty),
            ("a++", PatternError::DoubleQuantifier),
            ("a{2}{3}", PatternError::DoubleQuantifier),
            ("a{,3}", PatternError::Repetition),
            ("[[:alpha:]]", PatternError::Class),
            ("[a&&b]", PatternError::Class),
            ("(a", PatternError::Syntax),
            ("a)", PatternError::Syntax),
            (r"\p{L}", PatternError::Escape('p')),
        ] {
            assert_eq!(translate(bad).unwrap_err(), error, "{bad}");
        }
    }
}
