//! What a container's first process says, taken apart. It is trusted, and parsed as if it were not.

use std::collections::BTreeMap;

use handaxe_types::json::{self, Bounds};
use serde::Deserialize;

/// The most that one frame holds.
const MOST: usize = 64 << 10;
const HEAD: usize = 5;

/// One frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Info(Info),
    /// Bytes of the child's standard output (1), standard error (2) or result (3); none: closed.
    Bytes(u8, Vec<u8>),
    Used(Used),
    Ended {
        /// As `wait` gives it.
        status: i32,
        used: Used,
    },
}

/// Who the first process found itself to be.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Info {
    pub(crate) uid: u32,
    pub(crate) pid: u32,
    /// `user` → `user:[4026531837]`.
    pub(crate) namespaces: BTreeMap<String, String>,
    pub(crate) environment: BTreeMap<String, String>,
}

/// What the child used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) seconds: f64,
    pub(crate) max_rss_kib: u64,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    #[error("a frame of {0} bytes")]
    Length(usize),
    #[error("a malformed frame of kind {0}")]
    Malformed(char),
}

/// Bytes as they come, until they are frames.
#[derive(Debug, Default)]
pub(crate) struct Frames(Vec<u8>);

impl Frames {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame. Refuses a long one before it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FramingError> {
        let Some((head, rest)) = self.0.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let kind = head[0];
        if !b"I123TX".contains(&kind) {
            return Err(FramingError::Kind(kind));
        }
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MOST {
            return Err(FramingError::Length(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = parse(kind, body)?;
        self.0.drain(..HEAD + length);
        Ok(Some(frame))
    }
}

fn parse(kind: u8, body: &[u8]) -> Result<Frame, FramingError> {
    let malformed = || FramingError::Malformed(char::from(kind));
    Ok(match kind {
        b'I' => {
            let bounds = Bounds {
                bytes: 16 << 10,
                depth: 4,
            };
            Frame::Info(json::parse_as(body, bounds).map_err(|_| malformed())?)
        }
        b'T' => Frame::Used(used(body).ok_or_else(malformed)?),
        b'X' => {
            let (status, rest) = body.split_first_chunk().ok_or_else(malformed)?;
            Frame::Ended {
                status: i32::from_le_bytes(*status),
                used: used(rest).ok_or_else(malformed)?,
            }
        }
        number => Frame::Bytes(number - b'0', body.to_vec()),
    })
}

fn used(body: &[u8]) -> Option<Used> {
    let (seconds, rest) = body.split_first_chunk()?;
    let seconds = f64::from_le_bytes(*seconds);
    let max_rss_kib = u64::from_le_bytes(rest.try_into().ok()?);
    let sane = (0.0..1e9).contains(&seconds);
    sane.then_some(Used {
        seconds,
        max_rss_kib,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn frames_come_in_any_pieces() {
        let said = br#"{"uid":1000,"pid":1,"namespaces":{"pid":"pid:[3]"},"environment":{}}"#;
        let mut used = 0.5_f64.to_le_bytes().to_vec();
        used.extend(77_u64.to_le_bytes());
        let ended = [&9_i32.to_le_bytes()[..], &used].concat();
        let all = [
            frame(b'I', said),
            frame(b'1', b"hello"),
            frame(b'T', &used),
            frame(b'3', b""),
            frame(b'X', &ended),
        ]
        .concat();
        for piece in [1, 3, 7, all.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for part in all.chunks(piece) {
                frames.feed(part);
                while let Some(frame) = frames.next().unwrap() {
                    found.push(frame);
                }
            }
            assert_eq!(found.len(), 5, "pieces of {piece}");
            assert!(matches!(&found[0], Frame::Info(i) if i.uid == 1000));
            assert_eq!(found[1], Frame::Bytes(1, b"hello".to_vec()));
            assert!(matches!(found[4], Frame::Ended { status: 9, used } if used.max_rss_kib == 77));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_at_once() {
        for (bytes, error) in [
            (b"Z\0\0\0\0".to_vec(), FramingError::Kind(b'Z')),
            (
                b"1\xff\xff\xff\xff".to_vec(),
                FramingError::Length(u32::MAX as usize),
            ),
            (frame(b'T', b"short"), FramingError::Malformed('T')),
            (frame(b'T', &[0xff; 16]), FramingError::Malformed('T')),
            (frame(b'X', &[0; 3]), FramingError::Malformed('X')),
            (frame(b'I', b"{}"), FramingError::Malformed('I')),
        ] {
            let mut frames = Frames::default();
            frames.feed(&bytes);
            assert_eq!(frames.next(), Err(error));
        }
    }
}
