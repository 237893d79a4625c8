//! One `ask`, `make` or `import`, from start to end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Short, sortable by time, unique in a home: 10 hex digits of milliseconds, 6 random.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    pub fn new(at_ms: i64, random: [u8; 3]) -> Self {
        let [a, b, c] = random;
        Self(format!(
            "r{:010x}{a:02x}{b:02x}{c:02x}",
            at_ms & 0xff_ffff_ffff
        ))
    }

    /// Accepts only what [`RunId::new`] makes, so that an id is always a safe file name.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('r')?;
        let ok = rest.len() == 16
            && rest
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ok.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        Self::parse(&s).ok_or_else(|| "not a run id".to_owned())
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way, or its process died: `runs resume` finishes it.
    Running,
    Waiting,
    Done,
    Refused,
    Failed,
}

impl RunState {
    /// Every one, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::Running,
        Self::Waiting,
        Self::Done,
        Self::Refused,
        Self::Failed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}
