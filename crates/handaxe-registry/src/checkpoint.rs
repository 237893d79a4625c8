//! A signed head of the journal, for keeping elsewhere: what a chain alone cannot show (a cut
//! tail, a rollback, a rewrite), a checkpoint does.

use handaxe_types::json::{Bounds, parse_as};
use handaxe_types::{Digest, EventKind, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dsse::{PublicKey, sign};
use crate::error::CheckpointError;
use crate::journal::Entry;
use crate::registry::Registry;

const FORMAT: &str = "handaxe-checkpoint/1";
const PAYLOAD: &str = "application/vnd.handaxe.checkpoint+json";

/// A statement by this home's key: at `at_ms` the journal's newest event was `seq` with `hash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    format: String,
    /// [`Registry::home_id`].
    home: String,
    seq: i64,
    hash: Digest,
    at_ms: i64,
    /// The public key, 64 hexadecimal digits.
    key: String,
    /// Ed25519 over the canonical JSON of every other field, in the encoding of `dsse`; 128
    /// hexadecimal digits.
    signature: String,
}

impl Checkpoint {
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let bounds = Bounds {
            bytes: 64 << 10,
            depth: 4,
        };
        let checkpoint: Self = parse_as(bytes, bounds).map_err(CheckpointError::Malformed)?;
        if checkpoint.format != FORMAT {
            return Err(CheckpointError::Format(
                checkpoint.format.chars().take(40).collect(),
            ));
        }
        Ok(checkpoint)
    }

    pub fn seq(&self) -> i64 {
        self.seq
    }

    pub fn hash(&self) -> Digest {
        self.hash
    }

    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    fn message(&self) -> String {
        canonical_json(&json!({
            "format": self.format,
            "home": self.home,
            "seq": self.seq,
            "hash": self.hash,
            "at_ms": self.at_ms,
            "key": self.key,
        }))
    }

    fn signed_by(&self) -> Result<PublicKey, CheckpointError> {
        PublicKey::from_hex(&self.key)
            .filter(|key| key.verifies(PAYLOAD, self.message().as_bytes(), &self.signature))
            .ok_or(CheckpointError::Signature)
    }
}

impl Registry {
    /// Signs the journal's head. The signing is itself the newest event.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        let (key, event) = self.write("record the checkpoint", |tx| {
            let key = self.signing_key(tx)?;
            let event = self.append(
                tx,
                Entry {
                    kind: EventKind::CheckpointSigned,
                    subject: "journal".to_owned(),
                    detail: json!({ "key": PublicKey::from(&key).id() }),
                    rows: &[],
                },
            )?;
            Ok::<_, CheckpointError>((key, event))
        })?;
        let mut checkpoint = Checkpoint {
            format: FORMAT.to_owned(),
            home: self.home_id().to_owned(),
            seq: event.seq,
            hash: event.hash,
            at_ms: event.at_ms,
            key: PublicKey::from(&key).to_hex(),
            signature: String::new(),
        };
        checkpoint.signature = sign(&key, PAYLOAD, checkpoint.message().as_bytes());
        Ok(checkpoint)
    }

    /// Whether a checkpoint may be judged by at all: signed, of this home, by a key of this home.
    pub(crate) fn trust(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let signer = checkpoint.signed_by()?;
        if checkpoint.home != self.home_id() {
            return Err(CheckpointError::OtherHome(checkpoint.home.clone()));
        }
        if !self.home_keys()?.contains(&signer) {
            return Err(CheckpointError::OtherKey);
        }
        Ok(())
    }
}
