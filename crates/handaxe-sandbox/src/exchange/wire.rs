//! The frames between the host and a child. What comes back is hostile until it is parsed here.
//!
//! ```text
//! request   "HXRQ" nonce:16 length:u32le  document  source  compiled  limits  files…
//! ready     "HXRY" report:21 "HXGO", once rehearsed; without the last where the report is a failure
//! result    "HXRS" nonce:16 meta:u32le output:u32le  meta  output  files…   and nothing after it
//! ```

use handaxe_types::json::{self, Bounds};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) const NONCE: usize = 16;
/// The most that the result's description may be.
const META_BYTES: usize = 64 << 10;
/// The fixed part of a result.
pub(crate) const HEAD: usize = 4 + NONCE + 8;

#[derive(Serialize)]
pub(crate) struct Request<'a> {
    /// Lengths of the source, its compiled form and the resource limits, which follow the document.
    pub(crate) parts: [usize; 3],
    pub(crate) input: &'a Map<String, Value>,
    /// Directory, name, length; the bytes follow the document in this order.
    pub(crate) files: Vec<(&'a str, &'a str, usize)>,
    pub(crate) file_outputs: &'a [String],
    pub(crate) output_bytes: u64,
    pub(crate) artifact_bytes: u64,
    /// Whether nothing but the scratch may be changed once the files are laid.
    pub(crate) seal: bool,
    /// Only compile the source, and give that: nothing of it runs.
    pub(crate) compile: bool,
}

impl Request<'_> {
    pub(crate) fn encode(
        &self,
        nonce: &[u8; NONCE],
        parts: [&[u8]; 3],
    ) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = Vec::with_capacity(2048 + parts[0].len() + parts[1].len());
        out.extend(b"HXRQ");
        out.extend(nonce);
        out.extend([0; 4]);
        serde_json::to_writer(&mut out, self)?;
        let length = (out.len() - 24) as u32;
        out[20..24].copy_from_slice(&length.to_le_bytes());
        out.extend(parts.into_iter().flatten());
        Ok(out)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Ok,
    ToolError,
    OutputLimit,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) message: String,
    pub(crate) line: Option<u32>,
    pub(crate) errno: Option<String>,
    pub(crate) files: Vec<(String, u64)>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the result does not begin as one")]
    Magic,
    #[error("the result carries another call's nonce")]
    Nonce,
    #[error("the result's description is {0} bytes long")]
    MetaLength(usize),
    #[error("the result's description is malformed")]
    Meta,
    #[error("the result is {bytes} bytes; {limit} were allowed")]
    TooLong { bytes: usize, limit: u64 },
}

/// The lengths that a result announces, checked before a byte more is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) meta: usize,
    pub(crate) output: usize,
}

impl Head {
    pub(crate) fn parse(
        bytes: &[u8; HEAD],
        nonce: &[u8; NONCE],
        limit: u64,
    ) -> Result<Self, FrameError> {
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word) as usize
        };
        if &bytes[..4] != b"HXRS" {
            return Err(FrameError::Magic);
        }
        if &bytes[4..20] != nonce {
            return Err(FrameError::Nonce);
        }
        let head = Self {
            meta: word(20),
            output: word(24),
        };
        if head.meta > META_BYTES {
            return Err(FrameError::MetaLength(head.meta));
        }
        if head.output as u64 > limit {
            return Err(FrameError::TooLong {
                bytes: head.output,
                limit,
            });
        }
        Ok(head)
    }
}

/// What almost every result says of itself, to the byte.
const PLAIN: &[u8] = br#"{"status":"ok","files":[]}"#;

impl Meta {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes == PLAIN {
            return Ok(Self {
                status: Status::Ok,
                kind: String::new(),
                message: String::new(),
                line: None,
                errno: None,
                files: Vec::new(),
            });
        }
        let bounds = Bounds {
            bytes: META_BYTES,
            depth: 4,
        };
        json::parse_as(bytes, bounds).map_err(|_| FrameError::Meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(magic: [u8; 4], nonce: u8, meta: u32, output: u32) -> [u8; HEAD] {
        let mut bytes = [nonce; HEAD];
        bytes[..4].copy_from_slice(&magic);
        bytes[20..24].copy_from_slice(&meta.to_le_bytes());
        bytes[24..].copy_from_slice(&output.to_le_bytes());
        bytes
    }

    #[test]
    fn a_head_is_refused_before_anything_is_kept() {
        let parse = |bytes| Head::parse(&bytes, &[7; NONCE], 100);
        assert_eq!(
            parse(head(*b"HXRS", 7, 5, 100)),
            Ok(Head {
                meta: 5,
                output: 100
            })
        );
        assert_eq!(parse(head(*b"HXRY", 7, 5, 1)), Err(FrameError::Magic));
        assert_eq!(parse(head(*b"HXRS", 8, 5, 1)), Err(FrameError::Nonce));
        assert_eq!(
            parse(head(*b"HXRS", 7, 70_000, 1)),
            Err(FrameError::MetaLength(70_000))
        );
        assert_eq!(
            parse(head(*b"HXRS", 7, 5, u32::MAX)),
            Err(FrameError::TooLong {
                bytes: u32::MAX as usize,
                limit: 100
            })
        );
    }

    #[test]
    fn a_description_is_strict() {
        let good = br#"{"status":"tool_error","kind":"OSError","message":"x","line":3,"errno":"ENOSPC","files":[]}"#;
        assert_eq!(Meta::parse(good).unwrap().errno.as_deref(), Some("ENOSPC"));
        for bad in [
            &b"{}"[..],
            br#"{"status":"ok"}"#,
            br#"{"status":"fine","files":[]}"#,
            br#"{"status":"ok","files":[],"accepted":true}"#,
            br#"{"status":"ok","status":"ok","files":[]}"#,
            br#"{"status":"ok","files":[["a",-1]]}"#,
        ] {
            assert_eq!(Meta::parse(bad).unwrap_err(), FrameError::Meta);
        }
    }
}
