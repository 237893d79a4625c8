//! What must not be written down: one list of secret values, one way of taking them out.

use std::borrow::Cow;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde_json::Value;

/// What stands where a secret was.
pub const REDACTED: &str = "[secret]";
/// Shorter values occur by themselves in any text, and hiding them would hide the text.
pub const MIN_SECRET_CHARS: usize = 6;
/// Values that are kept; a list longer than this is a mistake.
const MAX_SECRETS: usize = 256;

/// The secret values of this process: provider keys, bearer tokens, what the policy names. They are
/// found as they stand and as JSON would write them; other encodings (base64, a part of the value)
/// are not looked for.
#[derive(Default)]
pub struct Redactor {
    /// Longest first, so that a secret within another does not leave the rest of it.
    values: RwLock<Vec<String>>,
}

impl Redactor {
    /// Adds a value; `false` where it is too short to be told from ordinary text, or one too many.
    pub fn add(&self, value: &str) -> bool {
        let value = value.trim();
        if value.chars().count() < MIN_SECRET_CHARS {
            return false;
        }
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        let json = Value::String(value.to_owned()).to_string();
        for form in [value, &json[1..json.len() - 1]] {
            if values.iter().any(|v| v == form) {
                continue;
            }
            if values.len() >= MAX_SECRETS {
                return false;
            }
            values.push(form.to_owned());
        }
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        true
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.values
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Whether a secret is in these bytes.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        values.iter().any(|v| contains(bytes, v.as_bytes()))
    }

    /// The text without its secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        let mut out = Cow::Borrowed(text);
        for value in values.iter() {
            if out.contains(value.as_str()) {
                out = Cow::Owned(out.replace(value.as_str(), REDACTED));
            }
        }
        out
    }

    /// The document without its secrets, in texts and in keys.
    pub fn json(&self, value: &Value) -> Value {
        if self.is_empty() {
            return value.clone();
        }
        self.walk(value)
    }

    /// Depth is bounded by whoever parsed the value.
    fn walk(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text).into_owned()),
            Value::Array(items) => items.iter().map(|v| self.walk(v)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(k, v)| (self.text(k).into_owned(), self.walk(v)))
                .collect(),
            other => other.clone(),
        }
    }
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return false;
    };
    let mut rest = hay;
    while let Some(at) = rest.iter().position(|b| b == first) {
        rest = &rest[at..];
        if rest.starts_with(needle) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor([secret])")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_as_they_stand_and_as_json_writes_them() {
        let redactor = Redactor::default();
        assert!(redactor.is_empty() && !redactor.finds(b"anything"));
        assert!(!redactor.add("short") && !redactor.add("  a  "));
        assert!(redactor.add("sk-live-12345"));
        assert!(redactor.add("sk-live-12345-longer"));
        assert!(redactor.add("quo\"te\\d"));
        for (text, wanted) in [
            ("nothing here", "nothing here"),
            ("key=sk-live-12345.", "key=[secret]."),
            ("sk-live-12345-longer", "[secret]"),
            ("sk-live-12345sk-live-12345", "[secret][secret]"),
            ("a quo\"te\\d b", "a [secret] b"),
            (r#"{"x":"quo\"te\\d"}"#, r#"{"x":"[secret]"}"#),
        ] {
            assert_eq!(redactor.text(text), wanted);
            assert_eq!(redactor.finds(text.as_bytes()), text != wanted, "{text}");
        }
        let document = json!({"sk-live-12345": ["quo\"te\\d", 1, null]});
        assert_eq!(
            redactor.json(&document),
            json!({"[secret]": ["[secret]", 1, null]})
        );
        assert!(!format!("{redactor:?}").contains("live"));
    }
}
