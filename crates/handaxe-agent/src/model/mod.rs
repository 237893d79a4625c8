//! The one trait between the pipeline and a language model, and everything that stands behind it:
//! three wire formats over one bounded HTTP caller, a cassette, a budget, a memory of paid calls.
//!
//! What may not enter: prompts, parsing of what a model means (that is `roles`), the environment,
//! and the API key in any message, log or `Debug` output.

mod anthropic;
mod budget;
mod cassette;
mod connect;
mod error;
mod events;
mod http;
mod listener;
mod memo;
mod observed;
mod ollama;
mod openai;
mod record;
mod retry;
mod secret;
mod spec;
mod stream;

use std::time::Instant;

use async_trait::async_trait;
use handaxe_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use budget::{Bound, Budget, BudgetExhausted, Budgeted};
pub use cassette::{CassetteError, Header, Origin as CassetteOrigin, Replay};
pub use connect::{HttpOptions, SetupError, Timeouts, plain_client};
pub use error::{ModelError, Phase};
pub use http::{HttpModel, MAX_BODY};
pub use listener::Listener;
pub use memo::{Memo, ReplyStore, StoreError};
pub use observed::Observed;
pub use ollama::probe as probe_ollama;
pub use record::{RecordError, Recorder};
pub use retry::Retries;
pub use secret::Secret;
pub use spec::{Choice, ModelSpec, ProviderEnv, SpecError, choose};

/// `provider:name`, as a person writes it and as the journal records it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelId {
    pub provider: String,
    pub name: String,
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.provider, self.name)
    }
}

/// Something that continues a conversation. Dropping the future cancels the call: the connection
/// is closed, nothing is retried and nothing is charged.
#[async_trait]
pub trait Model: Send + Sync {
    fn id(&self) -> &ModelId;

    /// The host that the conversation is sent to, shown before its first use; `None` where nothing
    /// leaves this machine.
    fn remote(&self) -> Option<&str>;

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError>;

    /// Told when a remembered reply stood in for a call, so that a replay moves past its entry and
    /// a budget counts what was already spent.
    fn skip(&self, _request: &ModelRequest, _reply: &ModelReply) {}
}

#[async_trait]
impl<M: Model + ?Sized> Model for std::sync::Arc<M> {
    fn id(&self) -> &ModelId {
        (**self).id()
    }

    fn remote(&self) -> Option<&str> {
        (**self).remote()
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        (**self).complete(request).await
    }

    fn skip(&self, request: &ModelRequest, reply: &ModelReply) {
        (**self).skip(request, reply);
    }
}

/// Who is speaking to the model. A cassette answers in order per role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    Planner,
    Author,
    Tester,
    Arbiter,
    Reviewer,
}

impl RoleName {
    pub const ALL: [Self; 5] = [
        Self::Planner,
        Self::Author,
        Self::Tester,
        Self::Arbiter,
        Self::Reviewer,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planner => "planner",
            Self::Author => "author",
            Self::Tester => "tester",
            Self::Arbiter => "arbiter",
            Self::Reviewer => "reviewer",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Speaker,
    pub content: String,
}

#[derive(Clone, Debug)]
pub struct ModelRequest {
    pub role: RoleName,
    pub system: String,
    pub messages: Vec<Message>,
    /// JSON Schema of the reply, used where the provider has structured output.
    pub schema: Option<Value>,
    /// At most this many tokens of reply.
    pub max_tokens: u32,
    pub temperature: Option<f32>,
    /// Which of several replies to one prompt this is, from 0.
    pub sample: u32,
    /// Nothing is waited for past this, retries included.
    pub deadline: Instant,
    /// Hears the reply's text as it arrives. Whether anyone listens changes no reply, and is in no
    /// key and no digest.
    pub listener: Option<Listener>,
}

impl ModelRequest {
    /// Of what the model is shown: the system text and the messages.
    pub fn prompt_digest(&self) -> Digest {
        Digest::of_json(&json!({"system": self.system, "messages": self.messages}))
    }

    /// The same question to the same model has the same key, in this process or the next. The
    /// deadline and the reply's length are not in it: they depend on how much budget is left.
    pub fn key(&self, model: &ModelId) -> Digest {
        let mut asked = json!({
            "model": model.to_string(),
            "role": self.role,
            "system": self.system,
            "messages": self.messages,
            "schema": self.schema,
            "temperature": self.temperature,
        });
        if self.sample > 0 {
            asked["sample"] = json!(self.sample);
        }
        Digest::of_json(&asked)
    }

    /// A rough count of the prompt's tokens (four bytes each), for when a provider does not say.
    pub fn estimate(&self) -> u64 {
        let bytes: usize = self.messages.iter().map(|m| m.content.len()).sum();
        ((bytes + self.system.len()) / 4 + 1) as u64
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReply {
    pub text: String,
    pub usage: Tokens,
    pub finish: Finish,
    /// The model that answered, as the provider names it.
    pub model: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
}

impl Tokens {
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    #[default]
    Stop,
    /// It reached `max_tokens`, or its context's end.
    Length,
    /// The provider says that the model declined.
    Refusal,
    Other,
}
