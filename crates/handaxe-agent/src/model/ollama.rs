//! Ollama's `/api/chat`, and the question whether a server is there.

use std::time::Duration;

use handaxe_types::json::{self, Bounds};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::connect::client;
use super::events::Framing;
use super::http::{Wire, Without};
use super::stream::{Fold, append};
use super::{Finish, HttpOptions, ModelReply, ModelRequest, Secret, Timeouts, Tokens};

const LOCAL: &str = "http://127.0.0.1:11434";

pub(super) struct Ollama;

impl Wire for Ollama {
    fn provider(&self) -> &'static str {
        "ollama"
    }

    fn base_url(&self) -> &'static str {
        LOCAL
    }

    fn path(&self) -> &'static str {
        "/api/chat"
    }

    fn needs_key(&self) -> bool {
        false
    }

    fn headers(&self, key: &Secret) -> Vec<(&'static str, String)> {
        vec![("authorization", format!("Bearer {}", key.reveal()))]
    }

    fn body(&self, model: &str, request: &ModelRequest, without: Without) -> Value {
        let mut messages = vec![json!({"role": "system", "content": request.system})];
        messages.extend(request.messages.iter().map(|m| json!(m)));
        // The server's default context is small and a longer prompt is cut silently; in a few
        // sizes only, because a new one reloads the model.
        let wanted = request.estimate() + u64::from(request.max_tokens);
        let sizes = [8 << 10, 16 << 10, 32 << 10];
        let context = sizes.into_iter().find(|s| *s >= wanted).unwrap_or(64 << 10);
        let mut body = json!({
            "model": model,
            "messages": messages,
            "stream": !without.has(Without::STREAM),
            "options": {"num_predict": request.max_tokens, "num_ctx": context},
        });
        if let Some(t) = request
            .temperature
            .filter(|_| !without.has(Without::TEMPERATURE))
        {
            body["options"]["temperature"] = json!(t);
        }
        if let Some(schema) = request
            .schema
            .as_ref()
            .filter(|_| !without.has(Without::SCHEMA))
        {
            body["format"] = schema.clone();
        }
        body
    }

    fn quirks(&self) -> &'static [(&'static str, u8)] {
        &[
            ("format", Without::SCHEMA),
            ("schema", Without::SCHEMA),
            ("stream", Without::STREAM),
        ]
    }

    fn read(&self, body: &Value) -> Result<ModelReply, String> {
        let message = body.get("message").ok_or("it has no message")?;
        if body.get("done").and_then(Value::as_bool) == Some(false) {
            return Err("the server stopped before the reply was done".to_owned());
        }
        let content = message.get("content").and_then(Value::as_str);
        let content = content.unwrap_or_default();
        let text = match message.get("tool_calls") {
            Some(calls) if content.is_empty() => json!({"tool_calls": calls}).to_string(),
            _ => content.to_owned(),
        };
        let finish = match body.get("done_reason").and_then(Value::as_str) {
            Some("stop") | None => Finish::Stop,
            Some("length") => Finish::Length,
            Some(_) => Finish::Other,
        };
        let count = |name: &str| {
            let counted = body.get(name).and_then(Value::as_u64);
            counted.unwrap_or_default()
        };
        Ok(ModelReply {
            text,
            usage: Tokens {
                input: count("prompt_eval_count"),
                output: count("eval_count"),
            },
            finish,
            model: body
                .get("model")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

impl Fold for Ollama {
    fn framing(&self) -> Framing {
        Framing::Lines
    }

    /// Each line is a reply of its own with the next piece of the message; the last has the rest.
    fn fold(&self, whole: &mut Value, event: Value) -> Result<String, String> {
        let Value::Object(fields) = event else {
            return Err("a line of it is no object".to_owned());
        };
        let mut text = String::new();
        for (name, value) in fields {
            if name != "message" {
                whole[name] = value;
                continue;
            }
            if let Some(more) = value.get("content").and_then(Value::as_str) {
                append(whole, "/message/content", more);
                more.clone_into(&mut text);
            }
            if let Some(calls) = value.get("tool_calls") {
                whole["message"]["tool_calls"] = calls.clone();
            }
        }
        Ok(text)
    }

    fn is_whole(&self, whole: &Value) -> bool {
        whole.get("done").and_then(Value::as_bool) == Some(true)
    }
}

/// The models that a local server offers, at most 200; `None` where none answers in `patience`.
pub async fn probe(base_url: Option<&str>, patience: Duration) -> Option<Vec<String>> {
    let base = base_url.unwrap_or(LOCAL).trim_end_matches('/');
    let url = Url::parse(&format!("{base}/api/tags")).ok()?;
    let options = HttpOptions {
        timeouts: Timeouts {
            connect: patience,
            idle: patience,
        },
        ..HttpOptions::default()
    };
    let client = client(&url, &options).ok()?;
    let asking = async {
        let mut response = client.get(url).send().await.ok()?.error_for_status().ok()?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > 1 << 20 {
                return None;
            }
        }
        let body = json::parse(&bytes, Bounds::DEFAULT).ok()?;
        let models = body.get("models")?.as_array()?;
        let names = models.iter().filter_map(|m| m.get("name")?.as_str());
        Some(names.take(200).map(str::to_owned).collect())
    };
    timeout(patience, asking).await.ok()?
}
