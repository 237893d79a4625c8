//! A signed head of the journal, for keeping elsewhere: what a chain alone cannot show (a cut
//! tail, a rollback, a rewrite), a checkpoint does.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use handaxe_types::json::{Bounds, parse_as};
use handaxe_types::{Digest, EventKind, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::CheckpointError;
use crate::journal::Entry;
use crate::registry::{Registry, private_dir, random};

const FORMAT: &str = "handaxe-checkpoint/1";

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
    /// Ed25519 over the canonical JSON of every other field, 128 hexadecimal digits.
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

    fn signed_by(&self) -> Result<VerifyingKey, CheckpointError> {
        let mut key = [0; 32];
        let mut signature = [0; 64];
        hex::decode_to_slice(&self.key, &mut key).map_err(|_| CheckpointError::Signature)?;
        hex::decode_to_slice(&self.signature, &mut signature)
            .map_err(|_| CheckpointError::Signature)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| CheckpointError::Signature)?;
        key.verify_strict(
            self.message().as_bytes(),
            &Signature::from_bytes(&signature),
        )
        .map_err(|_| CheckpointError::Signature)?;
        Ok(key)
    }
}

impl Registry {
    /// Signs the journal's head. The signing is itself the newest event.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        let key = self.signing_key()?;
        let public = hex::encode(key.verifying_key().as_bytes());
        let event = self.write("record the checkpoint", |tx| {
            self.append(
                tx,
                Entry {
                    kind: EventKind::CheckpointSigned,
                    subject: "journal".to_owned(),
                    detail: json!({ "key": public }),
                    rows: &[],
                },
            )
        })?;
        let mut checkpoint = Checkpoint {
            format: FORMAT.to_owned(),
            home: self.home_id().to_owned(),
            seq: event.seq,
            hash: event.hash,
            at_ms: event.at_ms,
            key: public,
            signature: String::new(),
        };
        let signature = key.sign(checkpoint.message().as_bytes());
        checkpoint.signature = hex::encode(signature.to_bytes());
        Ok(checkpoint)
    }

    /// Whether a checkpoint may be judged by at all: signed, of this home, by this home's key.
    pub(crate) fn trust(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let signer = checkpoint.signed_by()?;
        if checkpoint.home != self.home_id() {
            return Err(CheckpointError::OtherHome(checkpoint.home.clone()));
        }
        if signer != self.signing_key()?.verifying_key() {
            return Err(CheckpointError::OtherKey);
        }
        Ok(())
    }

    fn key_path(&self) -> PathBuf {
        self.home().join("keys").join("journal.pem")
    }

    /// Reads the home's key, making it first where there is none.
    fn signing_key(&self) -> Result<SigningKey, CheckpointError> {
        let path = self.key_path();
        let failed = |doing| {
            let path = path.clone();
            move |source| CheckpointError::Key {
                doing,
                path,
                source,
            }
        };
        match read_key(&path) {
            Err(CheckpointError::Key { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound => {}
            found => return found,
        }
        let dir = self.home().join("keys");
        private_dir(&dir).map_err(failed("make the directory of"))?;
        let key = SigningKey::from_bytes(&random::<32>()?);
        let pem = key
            .to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF)
            .map_err(|_| CheckpointError::KeyFormat { path: path.clone() })?;
        // A link fails where the name is taken, so of two processes one makes the key and both
        // read the same.
        let draft = dir.join(format!(".new-{}", hex::encode(random::<8>()?)));
        let made =
            write_key(&draft, pem.as_bytes()).and_then(|()| std::fs::hard_link(&draft, &path));
        let removed = std::fs::remove_file(&draft);
        match made {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed("make")(e));
            }
            _ => removed.map_err(failed("make"))?,
        }
        File::open(&dir)
            .and_then(|d| d.sync_all())
            .map_err(failed("make"))?;
        read_key(&path)
    }
}

fn write_key(path: &Path, pem: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(pem)?;
    file.sync_all()
}

fn read_key(path: &Path) -> Result<SigningKey, CheckpointError> {
    let failed = |source| CheckpointError::Key {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(CheckpointError::KeyMode {
            path: path.to_owned(),
            mode,
        });
    }
    let mut pem = String::new();
    file.take(4096).read_to_string(&mut pem).map_err(failed)?;
    SigningKey::from_pkcs8_pem(&pem).map_err(|_| CheckpointError::KeyFormat {
        path: path.to_owned(),
    })
}
