//! Anthropic Messages. Structured output is a tool that must be called: it takes any schema.

use serde_json::{Value, json};

use super::http::{Wire, Without};
use super::{Finish, ModelReply, ModelRequest, Secret, Tokens};

pub(super) struct Anthropic;

impl Wire for Anthropic {
    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn base_url(&self) -> &'static str {
        "https://api.anthropic.com"
    }

    fn path(&self) -> &'static str {
        "/v1/messages"
    }

    fn needs_key(&self) -> bool {
        true
    }

    fn headers(&self, key: &Secret) -> Vec<(&'static str, String)> {
        vec![
            ("x-api-key", key.reveal().to_owned()),
            ("anthropic-version", "2023-06-01".to_owned()),
        ]
    }

    fn body(&self, model: &str, request: &ModelRequest, without: Without) -> Value {
        let mut body = json!({
            "model": model,
            "system": request.system,
            "messages": request.messages,
            "max_tokens": request.max_tokens,
        });
        if let Some(t) = request
            .temperature
            .filter(|_| !without.has(Without::TEMPERATURE))
        {
            body["temperature"] = json!(t);
        }
        if let Some(schema) = request
            .schema
            .as_ref()
            .filter(|_| !without.has(Without::SCHEMA))
        {
            body["tools"] = json!([{
                "name": "reply",
                "description": "Gives the reply.",
                "input_schema": schema,
            }]);
            body["tool_choice"] = json!({"type": "tool", "name": "reply"});
        }
        body
    }

    fn quirks(&self) -> &'static [(&'static str, u8)] {
        &[
            ("temperature", Without::TEMPERATURE),
            ("tool_choice", Without::SCHEMA),
            ("input_schema", Without::SCHEMA),
        ]
    }

    fn read(&self, body: &Value) -> Result<ModelReply, String> {
        let blocks = body
            .get("content")
            .and_then(Value::as_array)
            .ok_or("it has no content")?;
        let of = |kind: &'static str, field: &'static str| {
            blocks
                .iter()
                .filter(move |b| b.get("type").and_then(Value::as_str) == Some(kind))
                .filter_map(move |b| b.get(field))
        };
        let text = match of("tool_use", "input").next() {
            Some(input) => input.to_string(),
            None => of("text", "text").filter_map(Value::as_str).collect(),
        };
        let finish = match body.get("stop_reason").and_then(Value::as_str) {
            Some("end_turn" | "stop_sequence" | "tool_use") | None => Finish::Stop,
            Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
            Some("refusal") => Finish::Refusal,
            Some(_) => Finish::Other,
        };
        let count = |name: &str| {
            let counted = body.pointer(name).and_then(Value::as_u64);
            counted.unwrap_or_default()
        };
        Ok(ModelReply {
            text,
            usage: Tokens {
                input: count("/usage/input_tokens")
                    .saturating_add(count("/usage/cache_creation_input_tokens"))
                    .saturating_add(count("/usage/cache_read_input_tokens")),
                output: count("/usage/output_tokens"),
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
