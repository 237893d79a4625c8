//! A reply that arrives in pieces. Each provider folds its events into the body that it would have
//! sent in one, which is then read by the one reader of such bodies: what a role makes of a reply
//! does not depend on how it came.

use std::time::Instant;

use handaxe_types::json::{self, Bounds};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use super::events::{Event, Events, Flood, Framing, MAX_EVENT, MAX_EVENTS};
use super::http::{HttpModel, MAX_BODY, error_message};
use super::{Listener, ModelError, Phase};

/// Of a whole stream, in bytes: a token brings some hundred bytes of frame with it.
const MAX_STREAM: usize = 32 << 20;

/// How a provider's events are put together.
pub(super) trait Fold: Send + Sync {
    fn framing(&self) -> Framing;
    /// Puts an event into `whole`, which begins as `{}`; gives the text that came with it.
    fn fold(&self, whole: &mut Value, event: Value) -> Result<String, String>;
    /// Whether nothing is missing in `whole`.
    fn is_whole(&self, whole: &Value) -> bool;
}

/// Whether what a server sends is the stream it was asked for. One that knows none sends the whole.
pub(super) fn is_streamed(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    !kind.eq_ignore_ascii_case("application/json")
}

/// What came so far.
struct Gathered {
    whole: Value,
    /// Bytes of text.
    text: usize,
    events: usize,
    done: bool,
}

impl HttpModel {
    /// Reads a stream to its end; gives the body that it amounts to.
    pub(super) async fn read_stream(
        &self,
        mut response: Response,
        listener: &Listener,
        deadline: Instant,
        begun: Instant,
    ) -> Result<Value, ModelError> {
        let fold = self.wire.as_ref();
        let mut events = Events::new(fold.framing());
        let mut gathered = Gathered {
            whole: json!({}),
            text: 0,
            events: 0,
            done: false,
        };
        let mut received = 0;
        while !gathered.done {
            // A model that has begun to speak goes on; before that it may be thinking.
            let idle = match gathered.text {
                0 => deadline,
                _ => Instant::now() + self.options.timeouts.idle,
            };
            let piece = timeout_at(deadline.min(idle).into(), response.chunk()).await;
            let piece = match piece {
                // Some servers say all and leave the door open.
                Err(_) | Ok(Err(_)) if fold.is_whole(&gathered.whole) => break,
                Err(_) if deadline <= idle => return Err(self.timeout(Phase::Total, begun)),
                Err(_) => return Err(self.timeout(Phase::Idle, begun)),
                Ok(Err(e)) => return Err(self.cut_off(received, Some(e.without_url()))),
                Ok(Ok(None)) => {
                    let last = events.end().map_err(|flood| self.flood(&flood))?;
                    self.gather(last, &mut gathered, listener)?;
                    break;
                }
                Ok(Ok(Some(piece))) => piece,
            };
            received += piece.len();
            if received > MAX_STREAM {
                return Err(self.too_large(MAX_STREAM));
            }
            let found = events.feed(&piece).map_err(|flood| self.flood(&flood))?;
            self.gather(found, &mut gathered, listener)?;
        }
        if gathered.done || fold.is_whole(&gathered.whole) {
            return Ok(gathered.whole);
        }
        if gathered.events == 0 && received > 0 {
            return Err(self.malformed("it is no stream of events"));
        }
        Err(self.cut_off(received, None))
    }

    fn gather(
        &self,
        found: Vec<Event>,
        gathered: &mut Gathered,
        listener: &Listener,
    ) -> Result<(), ModelError> {
        for event in found {
            let data = match event {
                Event::Data(data) if !gathered.done => data,
                // What is said after the end is not heard.
                Event::Data(_) | Event::Done => {
                    gathered.done = true;
                    return Ok(());
                }
            };
            gathered.events += 1;
            let bounds = Bounds {
                bytes: MAX_EVENT,
                ..Bounds::DEFAULT
            };
            let value = json::parse(&data, bounds).map_err(|source| ModelError::NotJson {
                host: self.host.clone(),
                source,
            })?;
            if value.get("error").is_some_and(|e| !e.is_null()) {
                let said = error_message(&value).unwrap_or_default();
                return Err(ModelError::BrokenOff {
                    host: self.host.clone(),
                    received: gathered.text,
                    detail: self.plain(&said),
                });
            }
            let text = self.wire.fold(&mut gathered.whole, value);
            let text = text.map_err(|shape| self.malformed(&shape))?;
            gathered.text += text.len();
            if gathered.text > MAX_BODY {
                return Err(self.too_large(MAX_BODY));
            }
            if !text.is_empty() {
                listener.hear(text);
            }
        }
        Ok(())
    }

    fn flood(&self, flood: &Flood) -> ModelError {
        match flood {
            Flood::Event => self.too_large(MAX_EVENT),
            Flood::Events => ModelError::TooManyEvents {
                host: self.host.clone(),
                limit: MAX_EVENTS,
            },
        }
    }
}

/// Adds to the text at `pointer`, which is made where it is not there.
pub(super) fn append(whole: &mut Value, pointer: &str, more: &str) {
    let at = at(whole, pointer);
    match at {
        Value::String(text) => text.push_str(more),
        _ => *at = Value::String(more.to_owned()),
    }
}

/// The place under keys (no indices), made where it is not there.
pub(super) fn at<'a>(whole: &'a mut Value, pointer: &str) -> &'a mut Value {
    let mut here = whole;
    for key in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = json!({});
        }
        here = &mut here[key];
    }
    here
}
