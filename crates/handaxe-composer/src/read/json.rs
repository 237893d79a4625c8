//! JSON as Python's `json` reads it, less `NaN`, numbers past the floats, and half surrogate pairs.

use super::MAX_DEPTH;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    /// In order; a repeated name keeps its first place and its last value.
    Object(Vec<(String, Json)>),
    /// Holds half a surrogate pair. It spoils its document unless a repeated name replaces it.
    Broken,
}

/// One document, or `None` where it is not JSON or nests too deep.
pub(super) fn parse(text: &str) -> Option<Json> {
    if too_deep(text) {
        return None;
    }
    let mut parser = Parser { text, at: 0 };
    let value = parser.value()?;
    parser.blank();
    (parser.at == text.len() && !broken(&value)).then_some(value)
}

fn broken(value: &Json) -> bool {
    match value {
        Json::Broken => true,
        Json::Array(items) => items.iter().any(broken),
        Json::Object(members) => members.iter().any(|(_, item)| broken(item)),
        _ => false,
    }
}

/// Brackets are counted in strings too: a simple rule that both readers can share.
fn too_deep(text: &str) -> bool {
    let mut depth = 0_i64;
    text.bytes().any(|b| {
        match b {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        depth > MAX_DEPTH as i64
    })
}

/// The records of a document: its items, or those of the one array of objects inside it, and
/// what that array is called.
pub(super) fn records(document: Json) -> Option<(Option<String>, Vec<Json>)> {
    match document {
        Json::Array(items) => Some((None, items)),
        Json::Object(members) => {
            let mut arrays = members.into_iter().filter_map(|(name, value)| match value {
                Json::Array(items) if items.iter().any(|i| matches!(i, Json::Object(_))) => {
                    Some((Some(name), items))
                }
                _ => None,
            });
            let first = arrays.next()?;
            arrays.next().is_none().then_some(first)
        }
        _ => None,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self) -> Option<Json> {
        self.blank();
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string().map(|(text, whole)| {
                if whole {
                    Json::Text(text)
                } else {
                    Json::Broken
                }
            }),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn array(&mut self) -> Option<Json> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.eat(b']') {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.blank();
            if self.eat(b']') {
                return Some(Json::Array(items));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn object(&mut self) -> Option<Json> {
        self.at += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        let mut whole = true;
        self.blank();
        if self.eat(b'}') {
            return Some(Json::Object(members));
        }
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return None;
            }
            let (name, name_whole) = self.string()?;
            self.blank();
            if !self.eat(b':') {
                return None;
            }
            let value = self.value()?;
            whole &= name_whole;
            if let Some(&place) = places.get(&name) {
                let (_, old): &mut (String, Json) = members.get_mut(place)?;
                *old = value;
            } else {
                places.insert(name.clone(), members.len());
                members.push((name, value));
            }
            self.blank();
            if self.eat(b'}') {
                return Some(if whole {
                    Json::Object(members)
                } else {
                    Json::Broken
                });
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    /// The text, and whether it is whole: `false` where it held half a surrogate pair.
    fn string(&mut self) -> Option<(String, bool)> {
        self.at += 1;
        let mut out = String::new();
        let mut whole = true;
        loop {
            let rest = &self.text[self.at..];
            let stop = rest.find(|c: char| c == '"' || c == '\\' || c < ' ')?;
            out.push_str(&rest[..stop]);
            self.at += stop;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some((out, whole));
                }
                b'\\' => {
                    self.at += 1;
                    let escape = self.peek()?;
                    self.at += 1;
                    out.push(match escape {
                        b'"' => '"',
                        b'\\' => '\\',
                        b'/' => '/',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => {
                            let c = char::from_u32(self.unicode()?);
                            whole &= c.is_some();
                            c.unwrap_or_default()
                        }
                        _ => return None,
                    });
                }
                _ => return None,
            }
        }
    }

    /// A code point, or half a surrogate pair.
    fn unicode(&mut self) -> Option<u32> {
        let high = self.hex()?;
        let after = self.at;
        if (0xd800..0xdc00).contains(&high) && self.eat(b'\\') && self.eat(b'u') {
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                return Some(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            }
        }
        // What follows half a pair stands for itself.
        self.at = after;
        Some(high)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') && self.digits() == 0 {
            return None;
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            if self.digits() == 0 {
                return None;
            }
        }
        if self.eat(b'e') || self.eat(b'E') {
            whole = false;
            let _signed = self.eat(b'-') || self.eat(b'+');
            if self.digits() == 0 {
                return None;
            }
        }
        let token = &self.text[start..self.at];
        if whole {
            let digits = token.trim_start_matches('-');
            return Some(if digits.len() > 18 {
                Json::Text(token.to_owned())
            } else {
                Json::Int(token.parse().ok()?)
            });
        }
        let value: f64 = token.parse().ok()?;
        value.is_finite().then_some(Json::Float(value))
    }
}

/// Compact JSON text, byte for byte as `json.dumps(…, ensure_ascii=False, separators=(",", ":"))`.
pub(super) fn text(value: &Json) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Json, out: &mut String) {
    match value {
        Json::Null | Json::Broken => out.push_str("null"),
        Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Json::Int(i) => out.push_str(&i.to_string()),
        Json::Float(f) => out.push_str(&float_text(*f)),
        Json::Text(t) => write_string(t, out),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (i, (name, item)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

/// A JSON string as Python's `json` writes it without `ensure_ascii`.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.extend(format!("\\u{:04x}", c as u32).chars()),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A finite float as Python's `repr` writes it: shortest digits that read back the same.
pub(crate) fn float_text(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') {
            plain
        } else {
            format!("{plain}.0")
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
