//! The one HTTP caller: bounded, patient for as long as the deadline, and suspicious of the reply.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use handaxe_types::json::{self, Bounds, JsonError};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{sleep, timeout_at};

use super::connect::{client, endpoint, host_of, is_loopback};
use super::retry::{dice, retry_after};
use super::stream::{Fold, is_streamed};
use super::{
    HttpOptions, Listener, Model, ModelError, ModelId, ModelReply, ModelRequest, ModelSpec, Phase,
    Secret, SetupError, Tokens, anthropic, ollama, openai,
};

/// The largest reply that is read, in bytes.
pub const MAX_BODY: usize = 4 << 20;
/// Of an error's body, for its message.
const MAX_ERROR_BODY: usize = 64 << 10;
const MAX_DETAIL: usize = 300;

/// Parts of a request that some servers reject, left out once they have.
#[derive(Clone, Copy, Default)]
pub(super) struct Without(u8);

impl Without {
    pub(super) const SCHEMA: u8 = 1;
    pub(super) const TEMPERATURE: u8 = 2;
    /// The field for the reply's length goes by its other name.
    pub(super) const USUAL_MAX_TOKENS: u8 = 4;
    /// The reply comes in one.
    pub(super) const STREAM: u8 = 8;
    /// A stream's tokens are not counted by the server.
    pub(super) const STREAM_USAGE: u8 = 16;

    pub(super) fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }

    fn and(self, part: u8, so: bool) -> Self {
        Self(if so { self.0 | part } else { self.0 })
    }
}

/// One provider's JSON. No input or output happens in here.
pub(super) trait Wire: Fold {
    fn provider(&self) -> &'static str;
    fn base_url(&self) -> &'static str;
    /// Appended to the base URL.
    fn path(&self) -> &'static str;
    fn needs_key(&self) -> bool;
    fn headers(&self, key: &Secret) -> Vec<(&'static str, String)>;
    fn body(&self, model: &str, request: &ModelRequest, without: Without) -> Value;
    /// What in a rejection's message (lower case) means that a part of the request has to go.
    fn quirks(&self) -> &'static [(&'static str, u8)];
    fn read(&self, body: &Value) -> Result<ModelReply, String>;
}

/// A model behind HTTP: the only kind that a recording can be made of.
pub struct HttpModel {
    id: ModelId,
    pub(super) wire: Box<dyn Wire>,
    client: Client,
    url: Url,
    pub(super) host: String,
    local: bool,
    headers: HeaderMap,
    pub(super) options: HttpOptions,
    without: AtomicU8,
}

impl HttpModel {
    pub fn new(spec: &ModelSpec, options: HttpOptions) -> Result<Self, SetupError> {
        let (wire, name): (Box<dyn Wire>, _) = match spec {
            ModelSpec::OpenAi { name } => (Box::new(openai::OpenAi), name),
            ModelSpec::Anthropic { name } => (Box::new(anthropic::Anthropic), name),
            ModelSpec::Ollama { name } => (Box::new(ollama::Ollama), name),
            ModelSpec::Replay { .. } | ModelSpec::Composer => {
                return Err(SetupError::NotHttp(spec.to_string()));
            }
        };
        if wire.needs_key() && options.key.is_none() && options.base_url.is_none() {
            return Err(SetupError::NoKey {
                provider: wire.provider(),
            });
        }
        let base = options.base_url.as_deref().unwrap_or(wire.base_url());
        let url = endpoint(base, wire.path())?;
        if options.key.is_some() && url.scheme() != "https" && !is_loopback(&url) {
            return Err(SetupError::PlainKey {
                host: host_of(&url),
            });
        }
        let mut headers = HeaderMap::new();
        for (name, value) in options.key.iter().flat_map(|key| wire.headers(key)) {
            let mut value = HeaderValue::from_str(&value).map_err(|_| SetupError::BadKey)?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let host = host_of(&url);
        Ok(Self {
            id: ModelId {
                provider: wire.provider().to_owned(),
                name: name.clone(),
            },
            client: client(&url, &options)?,
            local: is_loopback(&url),
            wire,
            url,
            host,
            headers,
            options,
            without: AtomicU8::new(0),
        })
    }

    /// One request and the whole of its reply.
    async fn attempt(
        &self,
        body: &Value,
        listener: Option<&Listener>,
        deadline: Instant,
    ) -> Result<Got, ModelError> {
        let begun = Instant::now();
        let sending = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .json(body)
            .send();
        let response = match timeout_at(deadline.into(), sending).await {
            Err(_) => return Err(self.timeout(Phase::Total, begun)),
            Ok(Err(e)) => return Err(self.send_error(e.without_url(), begun)),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        let asked = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| retry_after(v, SystemTime::now()));
        if let Some(listener) = listener.filter(|_| status.is_success() && is_streamed(&response)) {
            let whole = self
                .read_stream(response, listener, deadline, begun)
                .await?;
            return Ok(Got::Whole(whole));
        }
        if status.is_success() {
            let bytes = self.read_body(response, deadline, begun).await?;
            return Ok(Got::Body(bytes));
        }
        // What an error says is worth a moment, not the whole deadline.
        let moment = deadline.min(Instant::now() + self.options.timeouts.idle);
        let detail = self.read_detail(response, moment).await;
        Ok(Got::Status(status, asked, detail))
    }

    async fn read_body(
        &self,
        mut response: Response,
        deadline: Instant,
        begun: Instant,
    ) -> Result<Vec<u8>, ModelError> {
        if response
            .content_length()
            .is_some_and(|n| n > MAX_BODY as u64)
        {
            return Err(self.too_large(MAX_BODY));
        }
        let mut bytes = Vec::new();
        loop {
            let idle = Instant::now() + self.options.timeouts.idle;
            let chunk = match timeout_at(deadline.min(idle).into(), response.chunk()).await {
                Err(_) if deadline <= idle => return Err(self.timeout(Phase::Total, begun)),
                Err(_) => return Err(self.timeout(Phase::Idle, begun)),
                Ok(Err(e)) => return Err(self.cut_off(bytes.len(), Some(e.without_url()))),
                Ok(Ok(None)) => return Ok(bytes),
                Ok(Ok(Some(chunk))) => chunk,
            };
            if bytes.len() + chunk.len() > MAX_BODY {
                return Err(self.too_large(MAX_BODY));
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    /// The provider's message, as far as it came.
    async fn read_detail(&self, mut response: Response, moment: Instant) -> String {
        let mut bytes = Vec::new();
        while bytes.len() < MAX_ERROR_BODY {
            match timeout_at(moment.into(), response.chunk()).await {
                Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
                _ => break,
            }
        }
        bytes.truncate(MAX_ERROR_BODY);
        let text = json::parse(&bytes, Bounds::DEFAULT)
            .ok()
            .and_then(|v| error_message(&v))
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
        self.plain(&text)
    }

    /// Someone else's text, fit to be shown: without the key, bounded, escaped.
    pub(super) fn plain(&self, text: &str) -> String {
        let scrubbed = match &self.options.key {
            Some(key) => key.scrub(text),
            None => text.to_owned(),
        };
        let mut shown = String::new();
        for c in scrubbed.trim().chars().take(MAX_DETAIL) {
            if c.is_control() {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        if shown.is_empty() {
            shown.push_str("no message");
        }
        shown
    }

    pub(super) fn too_large(&self, limit: usize) -> ModelError {
        ModelError::TooLarge {
            host: self.host.clone(),
            limit,
        }
    }

    pub(super) fn cut_off(&self, received: usize, source: Option<reqwest::Error>) -> ModelError {
        ModelError::CutOff {
            host: self.host.clone(),
            received,
            source,
        }
    }

    pub(super) fn malformed(&self, shape: &str) -> ModelError {
        ModelError::Malformed {
            host: self.host.clone(),
            detail: self.plain(shape),
        }
    }

    pub(super) fn timeout(&self, phase: Phase, begun: Instant) -> ModelError {
        ModelError::Timeout {
            host: self.host.clone(),
            phase,
            after: begun.elapsed(),
        }
    }

    fn send_error(&self, e: reqwest::Error, begun: Instant) -> ModelError {
        if e.is_timeout() {
            self.timeout(Phase::Connect, begun)
        } else if e.is_connect() {
            ModelError::Connect {
                host: self.host.clone(),
                attempts: 1,
                source: Some(e),
            }
        } else {
            self.cut_off(0, Some(e))
        }
    }

    fn read_body_json(&self, bytes: &[u8]) -> Result<Value, ModelError> {
        let bounds = Bounds {
            bytes: MAX_BODY,
            ..Bounds::DEFAULT
        };
        json::parse(bytes, bounds).map_err(|source| match source {
            // Without a length or chunks, an early end shows only as JSON that stops.
            JsonError::Syntax(e) if e.is_eof() && !bytes.is_empty() => {
                self.cut_off(bytes.len(), None)
            }
            source => ModelError::NotJson {
                host: self.host.clone(),
                source,
            },
        })
    }

    fn read_reply(&self, value: &Value, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let mut reply = self
            .wire
            .read(value)
            .map_err(|shape| self.malformed(&error_message(value).unwrap_or(shape)))?;
        // A server that does not count is not free of the budget.
        if reply.usage == Tokens::default() {
            reply.usage = Tokens {
                input: request.estimate(),
                output: reply.text.len() as u64 / 4,
            };
        }
        Ok(reply)
    }

    /// Notes which part of the request the server will not have; `false` where that is no news.
    fn leave_out(&self, detail: &str) -> bool {
        let detail = detail.to_lowercase();
        let quirks = self.wire.quirks().iter();
        let part = quirks
            .filter(|(sign, _)| detail.contains(sign))
            .map(|q| q.1)
            .next();
        part.is_some_and(|part| self.without.fetch_or(part, Ordering::Relaxed) & part == 0)
    }

    /// What a status other than success means.
    fn status_error(
        &self,
        status: StatusCode,
        attempts: u32,
        asked: Option<Duration>,
        detail: String,
    ) -> ModelError {
        let (host, code) = (self.host.clone(), status.as_u16());
        match code {
            401 | 403 => ModelError::Unauthorized {
                host,
                status: code,
                detail,
            },
            429 => ModelError::RateLimited {
                host,
                attempts,
                retry_after: asked,
                detail,
            },
            300..=399 => ModelError::Redirected { host, status: code },
            500..=599 => ModelError::Server {
                host,
                status: code,
                attempts,
                detail,
            },
            _ => ModelError::Rejected {
                host,
                status: code,
                detail,
            },
        }
    }
}

/// What came back of one attempt.
enum Got {
    Body(Vec<u8>),
    /// What a stream came to.
    Whole(Value),
    Status(StatusCode, Option<Duration>, String),
}

#[async_trait]
impl Model for HttpModel {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn remote(&self) -> Option<&str> {
        (!self.local).then_some(self.host.as_str())
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let mut attempts = 0;
        loop {
            let listener = request.listener.as_ref();
            let without = Without(self.without.load(Ordering::Relaxed))
                .and(Without::STREAM, listener.is_none());
            let body = self.wire.body(&self.id.name, request, without);
            attempts += 1;
            let listener = listener.filter(|_| !without.has(Without::STREAM));
            let (asked, error) = match self.attempt(&body, listener, request.deadline).await {
                Ok(Got::Body(bytes)) => {
                    let reply = self.read_reply(&self.read_body_json(&bytes)?, request)?;
                    if let Some(listener) = &request.listener {
                        // From a server that does not stream.
                        listener.hear(reply.text.clone());
                    }
                    return Ok(reply);
                }
                Ok(Got::Whole(whole)) => return self.read_reply(&whole, request),
                // Bounded: each part is left out once.
                Ok(Got::Status(status, _, detail))
                    if matches!(status.as_u16(), 400 | 422) && self.leave_out(&detail) =>
                {
                    attempts -= 1;
                    continue;
                }
                Ok(Got::Status(status, asked, detail)) => {
                    (asked, self.status_error(status, attempts, asked, detail))
                }
                Err(ModelError::Connect { host, source, .. }) => (
                    None,
                    ModelError::Connect {
                        host,
                        attempts,
                        source,
                    },
                ),
                Err(error) => (None, error),
            };
            let wait = self.options.retries.wait(attempts, asked, dice());
            let in_time = Instant::now()
                .checked_add(wait)
                .is_some_and(|then| then < request.deadline);
            if !passes(&error) || attempts > self.options.retries.max || !in_time {
                return Err(error);
            }
            tracing::debug!(host = self.host, attempts, ?wait, "retrying: {error}");
            sleep(wait).await;
        }
    }
}

/// Failures that another attempt may not meet, and after which nothing was paid.
fn passes(error: &ModelError) -> bool {
    match error {
        // An account without money stays so.
        ModelError::RateLimited { detail, .. } => !detail.contains("quota"),
        ModelError::Server { .. } | ModelError::Connect { .. } => true,
        ModelError::Timeout { phase, .. } => *phase == Phase::Connect,
        // Overloaded, as some say once they have begun.
        ModelError::BrokenOff { received, .. } => *received == 0,
        _ => false,
    }
}

/// `{"error":{"message":…}}`, `{"error":…}` or `{"message":…}`.
pub(super) fn error_message(value: &Value) -> Option<String> {
    let error = value.get("error").unwrap_or(value);
    let text = error
        .get("message")
        .or(Some(error))
        .and_then(Value::as_str)?;
    let code = error.get("code").and_then(Value::as_str);
    Some(match code {
        Some(code) if !text.contains(code) => format!("{text} ({code})"),
        _ => text.to_owned(),
    })
}
