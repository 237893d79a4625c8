//! The host's own part of a call, without a child: for `benches/host.rs` alone.

use std::sync::Arc;

use handaxe_types::json::{self, Bounds};
use serde_json::Value;

use super::hearing::{End, Hearing};
use super::request::{input, request};
use super::wire::NONCE;
use crate::Call;

const NONCE_OF_BENCH: [u8; NONCE] = [7; NONCE];

/// The bytes that a call sends to its child, as they are made for every call.
pub fn request_bytes(call: &Call) -> Option<Vec<u8>> {
    let code = Arc::clone(&call.code);
    let given = input(call, &std::collections::BTreeSet::new()).ok()?;
    request(call, &given, [code.as_bytes(), &[], &[]])
        .encode(&NONCE_OF_BENCH, [code.as_bytes(), &[], &[]])
        .ok()
}

/// A good reply with this output, as a child would write it.
pub fn reply_bytes(output: &Value) -> Vec<u8> {
    let meta = br#"{"status":"ok","files":[]}"#;
    let output = output.to_string();
    let mut bytes = b"HXRS".to_vec();
    bytes.extend(NONCE_OF_BENCH);
    bytes.extend((meta.len() as u32).to_le_bytes());
    bytes.extend((output.len() as u32).to_le_bytes());
    bytes.extend_from_slice(meta);
    bytes.extend_from_slice(output.as_bytes());
    bytes
}

/// The output of a reply, heard in parts of at most `part` bytes and strictly parsed.
pub fn heard(call: &Call, reply: &[u8], part: usize) -> Option<Value> {
    let mut hearing = Hearing::new(call, NONCE_OF_BENCH);
    for bytes in reply.chunks(part.max(1)) {
        hearing.frame(bytes);
    }
    hearing.end.get_or_insert(End::Closed);
    json::parse(&hearing.output()?, Bounds::DEFAULT).ok()
}
