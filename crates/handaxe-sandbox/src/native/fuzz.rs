//! Every frame that the host parses, mutated from good ones under a fixed seed: nothing panics,
//! nothing is taken for more than it is, and every result has a kind. `HANDAXE_FUZZ_ROUNDS` asks
//! for more rounds.

use std::time::Duration;

use handaxe_types::{Limits, Outcome, SandboxResult, Usage};
use serde_json::{Map, json};

use super::greeting;
use super::jail::{heard as launched, understand};
use crate::Call;
use crate::exchange::hearing::{End, Hearing};
use crate::exchange::wire::NONCE;

/// Xorshift, because a fuzz that fails must fail again.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    /// A few changes to some bytes.
    pub(crate) fn mutate(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), self.next() as u8),
                2 => bytes.extend_from_within(at.min(bytes.len())..),
                3 => bytes
                    .splice(
                        at.min(bytes.len())..,
                        good[self.below(good.len())..].iter().copied(),
                    )
                    .for_each(drop),
                4 if at + 4 <= bytes.len() => {
                    let word = [0, 1, u32::MAX, 1 << 31, 65_536][self.below(5)];
                    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
                }
                _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
        bytes
    }
}

pub(crate) fn rounds() -> usize {
    let wanted = std::env::var("HANDAXE_FUZZ_ROUNDS");
    wanted.map_or(20_000, |n| n.parse().unwrap())
}

const TAG: [u8; NONCE] = [7; NONCE];

fn call() -> Call {
    Call {
        code: "".into(),
        input: Map::new(),
        files: Vec::new(),
        assets: Vec::new(),
        file_inputs: Vec::new(),
        file_outputs: vec!["f".to_owned()],
        artifacts: Some(std::env::temp_dir().join("handaxe-no-such-directory")),
        limits: Limits::default(),
    }
}

fn frame(meta: &str, output: &str) -> Vec<u8> {
    let mut bytes = b"HXRS".to_vec();
    bytes.extend(TAG);
    bytes.extend((meta.len() as u32).to_le_bytes());
    bytes.extend((output.len() as u32).to_le_bytes());
    bytes.extend(meta.as_bytes());
    bytes.extend(output.as_bytes());
    bytes
}

/// What the host makes of these bytes, however they are cut.
fn heard(bytes: &[u8], draw: &mut Draw) -> Option<SandboxResult> {
    let call = call();
    let mut heard = Hearing::new(&call, TAG);
    let mut left = bytes;
    while !left.is_empty() && heard.end.is_none() {
        let (part, rest) = left.split_at(1 + draw.below(left.len()));
        heard.frame(part);
        left = rest;
    }
    if heard.end.is_none() {
        heard.end = Some(End::Closed);
    }
    // An `Err` is an artefact that could not be kept: the directory is none.
    let result = heard.result(Vec::new(), Duration::ZERO, Usage::default(), None, false);
    result.ok()
}

#[test]
fn a_result_is_whole_or_none() {
    let good = [
        frame(r#"{"status":"ok","files":[]}"#, r#"{"a":[1,2.5,null,"é"]}"#),
        frame(
            r#"{"status":"tool_error","kind":"OSError","message":"m","line":3,"errno":"ENOSPC","files":[]}"#,
            "",
        ),
        frame(
            r#"{"status":"output_limit","kind":"OutputLimit","message":"m","files":[]}"#,
            "",
        ),
        frame(r#"{"status":"ok","files":[["f",3]]}"#, r#"{"f":"f"}"#),
    ];
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let first = heard(&good[0], &mut draw).unwrap();
    assert_eq!(first.output, Some(json!({"a": [1, 2.5, null, "é"]})));
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..rounds() {
        let bytes = draw.mutate(&good[round % good.len()]);
        let Some(result) = heard(&bytes, &mut draw) else {
            continue;
        };
        if result.output.is_some() {
            // Only one whole frame with our tag gets here.
            assert!(bytes.starts_with(b"HXRS") && bytes[4..20] == TAG);
            assert_eq!(result.outcome, Outcome::Ok);
            accepted += 1;
        } else {
            assert_ne!(result.outcome, Outcome::Ok);
            refused += 1;
        }
    }
    // The mutator neither spoils everything nor nothing.
    assert!(accepted > 0 && refused > accepted, "{accepted} {refused}");
}

#[test]
fn the_servers_words_are_understood_or_not() {
    let mut ended = b"X".to_vec();
    ended.extend(9_u64.to_le_bytes());
    ended.extend(9_i32.to_le_bytes());
    ended.extend(0.5_f64.to_le_bytes());
    ended.extend(0.25_f64.to_le_bytes());
    ended.extend(15_000_u64.to_le_bytes());
    let mut not_made = b"F".to_vec();
    not_made.extend(9_u64.to_le_bytes());
    not_made.extend(11_i32.to_le_bytes());
    let failed = br#"{"failed":{"reason":"x","layer":null,"errno":null}}"#.to_vec();
    let made = [&b"C"[..], &9_u64.to_le_bytes()].concat();
    let mut draw = Draw(0x2545_f491_4f6c_dd1d);
    for good in [&ended, &not_made, &failed] {
        assert!(understand(good, Vec::new()).is_some());
    }
    // Without its five descriptors a child is none.
    assert!(understand(&made, Vec::new()).is_none());
    for _ in 0..rounds() {
        for good in [&ended, &not_made, &failed, &made] {
            let _ = understand(&draw.mutate(good), Vec::new());
        }
    }
}

#[test]
fn the_launchers_word_is_a_list_of_layers_or_a_refusal() {
    let good = [
        &br#"{"started":{"layers":["unprivileged_uid","seccomp"]}}"#[..],
        br#"{"failed":{"reason":"failed to x","layer":"landlock","errno":38}}"#,
        br#"{"failed":{"reason":"failed to y","layer":null,"errno":null}}"#,
    ];
    assert_eq!(launched(good[0]).unwrap().len(), 2);
    let mut draw = Draw(0x1234_5678_9abc_def1);
    let (mut told, mut refused) = (0, 0);
    for round in 0..rounds() {
        let bytes = draw.mutate(good[round % good.len()]);
        match launched(&bytes) {
            Ok(_) => {
                let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                assert!(value["started"].is_object(), "{value}");
                told += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    assert!(told > 0 && refused > told, "{told} {refused}");
}

#[test]
fn a_childs_first_word_is_a_report_or_a_refusal() {
    let mut good = [0; greeting::WHOLE];
    good[..4].copy_from_slice(b"HXRY");
    good[greeting::WHOLE - 4..].copy_from_slice(b"HXGO");
    let mut draw = Draw(0x0f1e_2d3c_4b5a_6978);
    let mut reports = 0;
    for _ in 0..rounds() {
        let bytes = draw.mutate(&good);
        let mut said = [0; greeting::WHOLE];
        let len = bytes.len().min(said.len());
        said[..len].copy_from_slice(&bytes[..len]);
        if greeting::parse(&said).is_ok() {
            // No step failed, and it says that it rehearsed.
            assert!(said.starts_with(b"HXRY\0") && said.ends_with(b"HXGO"));
            reports += 1;
        }
    }
    assert!(reports > 0);
}
