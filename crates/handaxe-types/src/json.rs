//! Strict JSON: the one parser for every byte that crosses a boundary.
//!
//! Beyond RFC 8259 it refuses duplicate keys (`serde_json` would keep the last), integers that do
//! not fit 64 bits (they would silently become floats), and nesting or sizes past the caller's
//! [`Bounds`]. `NaN`, `Infinity`, `1e400` and lone surrogates are refused by the grammar.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How much of a document is read. The depth of 127 is also `serde_json`'s own.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub bytes: usize,
    pub depth: usize,
}

impl Bounds {
    pub const DEFAULT: Self = Self {
        bytes: 16 << 20,
        depth: 100,
    };
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("the JSON document is {bytes} bytes; at most {limit} are read")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the JSON document nests deeper than {limit} levels")]
    TooDeep { limit: usize },
    #[error("the JSON document is not UTF-8 (byte {at})")]
    NotUtf8 { at: usize },
    #[error("integer {0} does not fit in 64 bits; write it as a string")]
    IntegerTooLarge(String),
    #[error("not JSON: {0}")]
    Syntax(serde_json::Error),
    #[error("unexpected shape: {0}")]
    Shape(serde_json::Error),
}

/// Parses one document.
pub fn parse(bytes: &[u8], bounds: Bounds) -> Result<Value, JsonError> {
    if bytes.len() > bounds.bytes {
        return Err(JsonError::TooLarge {
            bytes: bytes.len(),
            limit: bounds.bytes,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| JsonError::NotUtf8 {
        at: e.valid_up_to(),
    })?;
    prescan(text, bounds.depth)?;
    let mut de = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut de).map_err(JsonError::Syntax)?;
    de.end().map_err(JsonError::Syntax)?;
    Ok(value)
}

/// Parses text with the default bounds.
pub fn parse_str(text: &str) -> Result<Value, JsonError> {
    parse(text.as_bytes(), Bounds::DEFAULT)
}

/// Parses strictly, then into a type.
pub fn parse_as<T: DeserializeOwned>(bytes: &[u8], bounds: Bounds) -> Result<T, JsonError> {
    serde_json::from_value(parse(bytes, bounds)?).map_err(JsonError::Shape)
}

/// Looks at the text outside strings for depth and for integers past 64 bits, before anything
/// recursive sees it.
fn prescan(text: &str, limit: usize) -> Result<(), JsonError> {
    let bytes = text.as_bytes();
    let (mut i, mut depth) = (0, 0_usize);
    while i < bytes.len() {
        match bytes[i] {
            b'"' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return Err(JsonError::TooDeep { limit });
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let start = i;
                while i + 1 < bytes.len()
                    && matches!(bytes[i + 1], b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
                {
                    i += 1;
                }
                let token = &text[start..=i];
                let integer = !token.contains(['.', 'e', 'E']);
                if integer && token.parse::<i64>().is_err() && token.parse::<u64>().is_err() {
                    // A lone '-' and its like are left for the grammar to name.
                    if token.len() > 18 {
                        return Err(JsonError::IntegerTooLarge(token.chars().take(40).collect()));
                    }
                }
            }
            _ => {}
        }
        i += 1;
    }
    Ok(())
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("duplicate key `{key}`")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, needle: &str) {
        let message = parse_str(text).unwrap_err().to_string();
        assert!(message.contains(needle), "{text}: {message}");
    }

    #[test]
    fn refuses_what_serde_json_lets_through() {
        refuses(r#"{"a":1,"a":2}"#, "duplicate key");
        refuses(r#"[{"x":{"k":1,"\u006b":2}}]"#, "duplicate key");
        refuses("123456789012345678901234567890", "64 bits");
        refuses("-9223372036854775809", "64 bits");
        refuses("NaN", "not JSON");
        refuses("1e400", "not JSON");
        refuses(r#""\ud800""#, "not JSON");
        refuses("1 2", "not JSON");
        refuses("", "not JSON");
        refuses(&"[".repeat(5000), "deeper");
    }

    #[test]
    fn keeps_number_types_apart() {
        assert_ne!(parse_str("1").unwrap(), parse_str("1.0").unwrap());
        assert_eq!(
            parse_str("18446744073709551615").unwrap(),
            Value::from(u64::MAX)
        );
        assert_eq!(
            parse_str(r#"{"k":"12345678901234567890123"}"#).unwrap()["k"],
            "12345678901234567890123"
        );
    }

    #[test]
    fn bounds_size() {
        let bounds = Bounds { bytes: 4, depth: 3 };
        assert!(matches!(
            parse(b"[1,2,3]", bounds),
            Err(JsonError::TooLarge { .. })
        ));
        assert!(matches!(
            parse(b"\xff", bounds),
            Err(JsonError::NotUtf8 { at: 0 })
        ));
    }
}
