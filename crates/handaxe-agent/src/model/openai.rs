//! OpenAI chat completions, and the many servers that speak them.

use serde_json::{Value, json};

use super::events::Framing;
use super::http::{Wire, Without};
use super::stream::{Fold, append, at};
use super::{Finish, ModelReply, ModelRequest, Secret, Tokens};

pub(super) struct OpenAi;

impl Wire for OpenAi {
    fn provider(&self) -> &'static str {
        "openai"
    }

    fn base_url(&self) -> &'static str {
        "https://api.openai.com/v1"
    }

    fn path(&self) -> &'static str {
        "/chat/completions"
    }

    fn needs_key(&self) -> bool {
        true
    }

    fn headers(&self, key: &Secret) -> Vec<(&'static str, String)> {
        vec![("authorization", format!("Bearer {}", key.reveal()))]
    }

    fn body(&self, model: &str, request: &ModelRequest, without: Without) -> Value {
        let mut messages = vec![json!({"role": "system", "content": request.system})];
        messages.extend(request.messages.iter().map(|m| json!(m)));
        let mut body = json!({"model": model, "messages": messages});
        let stream = !without.has(Without::STREAM);
        body["stream"] = json!(stream);
        if stream && !without.has(Without::STREAM_USAGE) {
            // Else the tokens of a stream are not counted.
            body["stream_options"] = json!({"include_usage": true});
        }
        // Newer models take only the long name, older servers only the short one.
        let length = if without.has(Without::USUAL_MAX_TOKENS) {
            "max_tokens"
        } else {
            "max_completion_tokens"
        };
        body[length] = json!(request.max_tokens);
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
            // Not `strict`: that refuses the free-form objects that inputs and schemas are.
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": "reply", "strict": false, "schema": schema},
            });
        }
        body
    }

    fn quirks(&self) -> &'static [(&'static str, u8)] {
        &[
            ("max_completion_tokens", Without::USUAL_MAX_TOKENS),
            ("temperature", Without::TEMPERATURE),
            ("response_format", Without::SCHEMA),
            ("json_schema", Without::SCHEMA),
            ("schema", Without::SCHEMA),
            ("stream_options", Without::STREAM_USAGE),
            ("stream", Without::STREAM),
        ]
    }

    fn read(&self, body: &Value) -> Result<ModelReply, String> {
        let choice = body
            .pointer("/choices/0")
            .ok_or("there is no choice in it")?;
        let message = choice.get("message").ok_or("the choice has no message")?;
        let refusal = message.get("refusal").and_then(Value::as_str);
        let calls = message
            .get("tool_calls")
            .filter(|c| c.as_array().is_some_and(|c| !c.is_empty()));
        let content = match message.get("content") {
            Some(Value::String(text)) => text.clone(),
            // Some servers send parts.
            Some(Value::Array(parts)) => parts
                .iter()
                .filter_map(|p| p.get("text").and_then(Value::as_str))
                .collect(),
            _ => String::new(),
        };
        // No tools were offered; who reads the reply says so to the model.
        let text = match (refusal, calls) {
            (Some(refusal), _) => refusal.to_owned(),
            (None, Some(calls)) if content.is_empty() => json!({"tool_calls": calls}).to_string(),
            _ => content,
        };
        let reason = choice.get("finish_reason").and_then(Value::as_str);
        let finish = match reason {
            _ if refusal.is_some() => Finish::Refusal,
            Some("stop") | None => Finish::Stop,
            Some("length") => Finish::Length,
            Some("content_filter") => Finish::Refusal,
            Some(_) => Finish::Other,
        };
        let count = |name: &str| {
            let counted = body.pointer(name).and_then(Value::as_u64);
            counted.unwrap_or_default()
        };
        Ok(ModelReply {
            text,
            usage: Tokens {
                input: count("/usage/prompt_tokens"),
                output: count("/usage/completion_tokens"),
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

impl Fold for OpenAi {
    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// The first choice's `delta`s are pieces of its `message`.
    fn fold(&self, whole: &mut Value, mut event: Value) -> Result<String, String> {
        for name in ["model", "usage"] {
            if let Some(said) = event.get_mut(name).filter(|v| !v.is_null()) {
                whole[name] = said.take();
            }
        }
        let Some(choice) = event.pointer("/choices/0") else {
            // The last event counts the tokens and has no choice.
            return Ok(String::new());
        };
        if choice.get("index").and_then(Value::as_u64).unwrap_or(0) != 0 {
            return Ok(String::new());
        }
        if !whole["choices"].is_array() {
            whole["choices"] = json!([{"message": {}}]);
        }
        let ours = &mut whole["choices"][0];
        if let Some(reason) = choice.get("finish_reason").filter(|r| !r.is_null()) {
            ours["finish_reason"] = reason.clone();
        }
        let empty = json!({});
        let delta = choice.get("delta").unwrap_or(&empty);
        for name in ["content", "refusal"] {
            if let Some(text) = delta.get(name).and_then(Value::as_str) {
                append(ours, &format!("/message/{name}"), text);
            }
        }
        if let Some(calls) = delta.get("tool_calls").and_then(Value::as_array) {
            // Nothing can be called. Who reads the reply says so, and names the first.
            let call = at(ours, "/message/tool_calls");
            if !call.is_array() {
                *call = json!([{"function": {}}]);
            }
            for name in ["name", "arguments"] {
                let said = calls
                    .iter()
                    .filter_map(|c| c.get("function")?.get(name)?.as_str());
                for text in said {
                    append(&mut call[0], &format!("/function/{name}"), text);
                }
            }
        }
        let text = delta.get("content").and_then(Value::as_str);
        Ok(text.unwrap_or_default().to_owned())
    }

    fn is_whole(&self, whole: &Value) -> bool {
        whole
            .pointer("/choices/0/finish_reason")
            .is_some_and(Value::is_string)
    }
}
