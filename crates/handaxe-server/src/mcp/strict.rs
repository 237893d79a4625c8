//! Messages as bytes, before the protocol library sees them. It keeps the last of two equal keys
//! and rounds integers past 64 bits, so what it read would not be what was sent; and it says
//! nothing about what it cannot read, so that a client waits for ever. Here every message is read
//! strictly first, and what is refused gets the protocol's own error.

use handaxe_types::json::{self, Bounds};
use rmcp::ErrorData;
use rmcp::model::{ErrorCode, JsonRpcError, RequestId};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The largest message, at every door.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 20;

const BOUNDS: Bounds = Bounds {
    bytes: MAX_MESSAGE_BYTES,
    depth: Bounds::DEFAULT.depth,
};

/// What is said to a message that is not strict JSON; `None` for one that is.
pub(crate) fn refusal(message: &[u8]) -> Option<JsonRpcError> {
    let fault = json::parse(message, BOUNDS).err()?;
    Some(parse_error(&fault.to_string(), asked_under(message)))
}

/// What is said to a message too large to be read.
pub(crate) fn too_large() -> JsonRpcError {
    let text = format!("the message is longer than {MAX_MESSAGE_BYTES} bytes");
    parse_error(&text, None)
}

fn parse_error(what: &str, id: Option<RequestId>) -> JsonRpcError {
    JsonRpcError::new(
        id,
        ErrorData::new(ErrorCode::PARSE_ERROR, what.to_owned(), None),
    )
}

/// The request that a refusal answers, where it can be told: a client that knows which one was
/// refused does not wait for it. An identifier that is there twice is none.
fn asked_under(message: &[u8]) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Request {
        id: Option<RequestId>,
        #[serde(rename = "method")]
        _method: IgnoredAny,
    }
    if message.len() > MAX_MESSAGE_BYTES {
        return None;
    }
    serde_json::from_slice::<Request>(message).ok()?.id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_would_read_otherwise_is_refused() {
        let call = |arguments: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"x","arguments":{arguments}}}}}"#
            )
        };
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        for (arguments, says, told_which) in [
            (r#"{"a":1,"a":2}"#, "duplicate key", true),
            (r#"{"a":1,"\u0061":2}"#, "duplicate key", true),
            (r#"{"a":123456789012345678901}"#, "64 bits", true),
            (r#"{"a":NaN}"#, "not JSON", false),
            (r#"{"a":-Infinity}"#, "not JSON", false),
            (r#"{"a":1e400}"#, "not JSON", true),
            (r#"{"a":"\ud800"}"#, "not JSON", true),
            (deep.as_str(), "deeper", true),
            (r#"{"a":1"#, "not JSON", false),
        ] {
            let refused = refusal(call(arguments).as_bytes()).unwrap();
            let message = &refused.error.message;
            let shown: String = arguments.chars().take(40).collect();
            assert!(message.contains(says), "{shown}: {message}");
            assert_eq!(refused.error.code.0, -32700);
            let expected = told_which.then_some(RequestId::Number(7));
            assert_eq!(refused.id, expected, "{shown}");
        }
        assert!(refusal(call(r#"{"a":[1,2.5,"x"]}"#).as_bytes()).is_none());
    }

    #[test]
    fn a_refusal_names_only_a_request_and_only_one() {
        for (message, id) in [
            (r#"{"id":1,"id":2,"method":"ping"}"#, None),
            (r#"{"id":1,"result":{"a":1,"a":2}}"#, None),
            (r#"{"method":"n","params":{"a":1,"a":2}}"#, None),
            (
                r#"{"id":"k","method":"ping","params":{"a":1,"a":2}}"#,
                Some(RequestId::String("k".into())),
            ),
        ] {
            assert_eq!(refusal(message.as_bytes()).unwrap().id, id, "{message}");
        }
        let huge = vec![b' '; MAX_MESSAGE_BYTES + 1];
        assert!(refusal(&huge).unwrap().error.message.contains("at most"));
    }
}
