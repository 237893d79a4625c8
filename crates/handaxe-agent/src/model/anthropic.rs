//! Anthropic Messages. Structured output is a tool that must be called: it takes any schema.

use handaxe_types::json::{self, Bounds};
use serde_json::{Value, json};

use super::events::Framing;
use super::http::{Wire, Without};
use super::stream::{Fold, append, at};
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
            "stream": !without.has(Without::STREAM),
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
            ("stream", Without::STREAM),
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
            // Of a stream that was cut at its length.
            Some(Value::String(unfinished)) => unfinished.clone(),
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

/// Blocks of one reply: what was asked for is one, with a few words before it.
const MAX_BLOCKS: u64 = 64;

impl Fold for Anthropic {
    fn framing(&self) -> Framing {
        Framing::Events
    }

    fn fold(&self, whole: &mut Value, mut event: Value) -> Result<String, String> {
        let kind = event.get("type").and_then(Value::as_str);
        let mut text = String::new();
        match kind.unwrap_or_default() {
            "message_start" => {
                *whole = event
                    .get_mut("message")
                    .map(Value::take)
                    .unwrap_or_default();
                let message = whole.as_object_mut().ok_or("its message is no object")?;
                message.insert("content".to_owned(), json!([]));
            }
            "content_block_start" | "content_block_delta" | "content_block_stop" => {
                text = block(whole, &event)?;
            }
            "message_delta" => {
                if let Some(reason) = event.pointer("/delta/stop_reason") {
                    whole["stop_reason"] = reason.clone();
                }
                let counted = at(whole, "/usage");
                if !counted.is_object() {
                    *counted = json!({});
                }
                let more = event.get("usage").and_then(Value::as_object);
                if let (Some(counted), Some(more)) = (counted.as_object_mut(), more) {
                    counted.extend(more.clone());
                }
            }
            "message_stop" => whole["ended"] = json!(true),
            // Pings, and kinds of later versions.
            _ => {}
        }
        Ok(text)
    }

    fn is_whole(&self, whole: &Value) -> bool {
        whole.get("ended").is_some()
    }
}

/// A step of one block of the content; the text that came with it.
fn block(whole: &mut Value, event: &Value) -> Result<String, String> {
    let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
    let blocks = whole.get_mut("content").and_then(Value::as_array_mut);
    let blocks = blocks.ok_or("a block came before the message")?;
    if index >= MAX_BLOCKS {
        return Err(format!("it has more than {MAX_BLOCKS} blocks"));
    }
    let index = index as usize;
    while blocks.len() <= index {
        blocks.push(json!({}));
    }
    let block = &mut blocks[index];
    if let Some(begun) = event.get("content_block") {
        *block = begun.clone();
        if block.get("type").and_then(Value::as_str) == Some("tool_use") {
            block["input"] = json!("");
        }
        let text = block.get("text").and_then(Value::as_str);
        return Ok(text.unwrap_or_default().to_owned());
    }
    let Some(delta) = event.get("delta") else {
        finish(block);
        return Ok(String::new());
    };
    let of = |name: &str| delta.get(name).and_then(Value::as_str).map(str::to_owned);
    let (field, more) = match (of("text"), of("partial_json")) {
        (Some(text), _) => ("/text", text),
        (None, Some(json)) => ("/input", json),
        // Thoughts and signatures are not the reply.
        (None, None) => return Ok(String::new()),
    };
    append(block, field, &more);
    Ok(more)
}

/// The JSON of a call is whole: read as strictly as any other. What cannot be read stays text, and
/// the role that reads it says so.
fn finish(block: &mut Value) {
    let Some(text) = block.get("input").and_then(Value::as_str) else {
        return;
    };
    let text = if text.trim().is_empty() { "{}" } else { text };
    if let Ok(input) = json::parse(text.as_bytes(), Bounds::DEFAULT) {
        block["input"] = input;
    }
}
