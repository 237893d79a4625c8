//! Tool names, versions, and `name@version`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `[a-z][a-z0-9_]{2,47}`: nothing confusable can be written in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolName(String);

#[derive(Debug, thiserror::Error)]
pub enum NameError {
    #[error("`{0}` is not a tool name: use 3 to 48 of a-z, 0-9 and _, starting with a letter")]
    Name(String),
    #[error("`{0}` is not a version: use 1, 2, 3 …")]
    Version(String),
}

impl ToolName {
    pub fn new(name: &str) -> Result<Self, NameError> {
        let ok = (3..=48).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if ok {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError::Name(
                name.chars()
                    .take(60)
                    .flat_map(char::escape_default)
                    .collect(),
            ))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ToolName {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        Self::new(&s)
    }
}

impl From<ToolName> for String {
    fn from(n: ToolName) -> Self {
        n.0
    }
}

/// 1, 2, 3 …; immutable once registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `name` or `name@version`, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToolRef {
    pub name: ToolName,
    pub version: Option<Version>,
}

impl FromStr for ToolRef {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let (name, version) = match s.split_once('@') {
            None => (s, None),
            Some((name, v)) => {
                let n: u32 = v.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                    NameError::Version(v.chars().take(20).flat_map(char::escape_default).collect())
                })?;
                (name, Some(Version(n)))
            }
        };
        Ok(Self {
            name: ToolName::new(name)?,
            version,
        })
    }
}

impl fmt::Display for ToolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => write!(f, "{}", self.name),
            Some(v) => write!(f, "{}@{v}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["abc", "a_1", "sentiment_analyzer"] {
            assert!(ToolName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "1ab",
            "Abc",
            "a-b-c",
            "аbc",
            "a\nb",
            "../etc",
            &"a".repeat(49),
        ] {
            assert!(ToolName::new(bad).is_err(), "{bad}");
        }
        assert_eq!("abc@3".parse::<ToolRef>().unwrap().to_string(), "abc@3");
        for bad in ["abc@0", "abc@", "abc@x", "abc@-1", "abc@1@2"] {
            assert!(bad.parse::<ToolRef>().is_err(), "{bad}");
        }
    }
}
