//! A conversation in a file: JSON Lines, a header and then replies, given back in order per role.
//!
//! ```text
//! {"kind":"scripted","note":"one repair"}
//! {"role":"planner","reply":{"route":"make", …}}
//! {"role":"author","reply":["```python","…","```"]}
//! {"role":"author","fault":"cut_off"}
//! {"role":"tester","repeat":"x","times":10000000}
//! ```
//!
//! `scripted` was written by hand; a `recording` was made by [`super::Recorder`] from a live
//! provider, and each of its entries answers only the prompt that it was recorded for.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use handaxe_types::Digest;
use handaxe_types::json::{self, Bounds, JsonError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Finish, MAX_BODY, Model, ModelError, ModelId, ModelReply, ModelRequest, Phase, RoleName, Tokens,
};

const MAX_FILE: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Scripted,
    Recording,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub kind: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Every line after it: a reply, a repeated text, or a fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) role: RoleName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prompt_digest: Option<Digest>,
    /// Text; or lines of text; or an object, which is given as its JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeat: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    #[serde(default)]
    pub(super) finish: Finish,
    #[serde(default)]
    pub(super) usage: Tokens,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
}

impl Entry {
    pub(super) fn recorded(request: &ModelRequest, reply: &ModelReply) -> Self {
        Self {
            role: request.role,
            prompt_digest: Some(request.prompt_digest()),
            reply: Some(Value::String(reply.text.clone())),
            repeat: None,
            times: None,
            fault: None,
            finish: reply.finish,
            usage: reply.usage,
            model: Some(reply.model.clone()),
        }
    }
}

/// An error kind that a script can ask for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    Unauthorized,
    RateLimited,
    Server,
    Connect,
    Timeout,
    TooLarge,
    CutOff,
    Malformed,
}

#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    #[error("cannot read the recorded conversation")]
    Read(#[source] std::io::Error),
    #[error("the recorded conversation is larger than {MAX_FILE} bytes")]
    TooLarge,
    #[error("the recorded conversation is not UTF-8")]
    NotUtf8,
    #[error("the recorded conversation is empty")]
    Empty,
    #[error("line {line} of the recorded conversation cannot be read")]
    Line { line: usize, source: JsonError },
    #[error("line {line} of the recorded conversation: {reason}")]
    Entry { line: usize, reason: &'static str },
}

/// Answers from a file. Never remote, and nothing can make a recording of it.
pub struct Replay {
    id: ModelId,
    header: Header,
    entries: BTreeMap<RoleName, Vec<Entry>>,
    /// How many of each role's entries were given.
    given: Mutex<BTreeMap<RoleName, usize>>,
}

impl Replay {
    pub fn open(path: &Path) -> Result<Self, CassetteError> {
        let file = std::fs::File::open(path).map_err(CassetteError::Read)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(CassetteError::Read)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(CassetteError::TooLarge);
        }
        let text = String::from_utf8(bytes).map_err(|_| CassetteError::NotUtf8)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self::parse(&name.to_string_lossy(), &text)
    }

    /// `name` is what the journal calls it, after `replay:`.
    pub fn parse(name: &str, text: &str) -> Result<Self, CassetteError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(i, line)| (i + 1, line))
            .filter(|(_, line)| !line.trim().is_empty());
        let (line, first) = lines.next().ok_or(CassetteError::Empty)?;
        let header: Header = json::parse_as(first.as_bytes(), Bounds::DEFAULT)
            .map_err(|source| CassetteError::Line { line, source })?;
        let recording = header.kind == Origin::Recording;
        if recording
            && [&header.provider, &header.model, &header.date]
                .iter()
                .any(|f| f.is_none())
        {
            let reason = "a recording names its provider, model and date";
            return Err(CassetteError::Entry { line, reason });
        }
        let mut entries: BTreeMap<RoleName, Vec<Entry>> = BTreeMap::new();
        for (line, text) in lines {
            let entry: Entry = json::parse_as(text.as_bytes(), Bounds::DEFAULT)
                .map_err(|source| CassetteError::Line { line, source })?;
            let wrong = |reason| Err(CassetteError::Entry { line, reason });
            let kinds = [
                entry.reply.is_some(),
                entry.repeat.is_some() && entry.times.is_some(),
                entry.fault.is_some(),
            ];
            if kinds.iter().filter(|k| **k).count() != 1 {
                return wrong("exactly one of `reply`, `repeat` with `times`, and `fault`");
            }
            if recording && (entry.prompt_digest.is_none() || entry.reply.is_none()) {
                return wrong("a recording holds replies, each with its `prompt_digest`");
            }
            entries.entry(entry.role).or_default().push(entry);
        }
        Ok(Self {
            id: ModelId {
                provider: "replay".to_owned(),
                name: name.to_owned(),
            },
            header,
            entries,
            given: Mutex::default(),
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Entries that were not asked for.
    pub fn left_over(&self) -> usize {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = self.entries.values().map(Vec::len).sum();
        all.saturating_sub(given.values().sum())
    }

    /// The index of the role's next entry.
    fn advance(&self, role: RoleName) -> usize {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let next = given.entry(role).or_default();
        *next += 1;
        *next - 1
    }
}

#[async_trait]
impl Model for Replay {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn remote(&self) -> Option<&str> {
        None
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let role = request.role;
        let at = self.advance(role);
        let missing = |reason| ModelError::NoRecording {
            role,
            index: at + 1,
            reason,
        };
        let entry = self
            .entries
            .get(&role)
            .and_then(|entries| entries.get(at))
            .ok_or_else(|| missing("it ends before"))?;
        if entry
            .prompt_digest
            .is_some_and(|d| d != request.prompt_digest())
        {
            return Err(missing("it was recorded for another prompt"));
        }
        if let Some(fault) = entry.fault {
            return Err(fault_error(fault));
        }
        let text = entry_text(entry).ok_or_else(|| fault_error(Fault::TooLarge))?;
        Ok(ModelReply {
            usage: if entry.usage == Tokens::default() {
                Tokens {
                    input: request.estimate(),
                    output: text.len() as u64 / 4,
                }
            } else {
                entry.usage
            },
            text,
            finish: entry.finish,
            model: entry
                .model
                .clone()
                .or_else(|| self.header.model.clone())
                .unwrap_or_else(|| "scripted".to_owned()),
        })
    }

    fn skip(&self, request: &ModelRequest, _reply: &ModelReply) {
        self.advance(request.role);
    }
}

/// `None` past the size that a provider's reply may have.
fn entry_text(entry: &Entry) -> Option<String> {
    let text = match (&entry.reply, &entry.repeat) {
        (Some(Value::String(text)), _) => text.clone(),
        (Some(Value::Array(lines)), _) if lines.iter().all(Value::is_string) => lines
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("\n"),
        (Some(other), _) => other.to_string(),
        (None, Some(part)) => {
            let times = entry.times.unwrap_or_default();
            if part.len().saturating_mul(times) > MAX_BODY {
                return None;
            }
            part.repeat(times)
        }
        (None, None) => String::new(),
    };
    (text.len() <= MAX_BODY).then_some(text)
}

fn fault_error(fault: Fault) -> ModelError {
    let host = "replay".to_owned();
    let detail = "scripted".to_owned();
    match fault {
        Fault::Unauthorized => ModelError::Unauthorized {
            host,
            status: 401,
            detail,
        },
        Fault::RateLimited => ModelError::RateLimited {
            host,
            attempts: 1,
            retry_after: None,
            detail,
        },
        Fault::Server => ModelError::Server {
            host,
            status: 500,
            attempts: 1,
            detail,
        },
        Fault::Connect => ModelError::Connect {
            host,
            attempts: 1,
            source: None,
        },
        Fault::Timeout => ModelError::Timeout {
            host,
            phase: Phase::Total,
            after: Duration::ZERO,
        },
        Fault::TooLarge => ModelError::TooLarge {
            host,
            limit: MAX_BODY,
        },
        Fault::CutOff => ModelError::CutOff {
            host,
            received: 0,
            source: None,
        },
        Fault::Malformed => ModelError::Malformed { host, detail },
    }
}
