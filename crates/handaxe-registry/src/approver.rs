//! An approver's key: Ed25519, locked with a passphrase. Argon2id (RFC 9106) makes the passphrase
//! a key, XChaCha20-Poly1305 seals the private half with everything else in the file bound to it.
//!
//! Nothing in here reads a file: whoever asked a person for a passphrase gives bytes.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::SigningKey;
use handaxe_types::json::{Bounds, parse_as};
use handaxe_types::{ApprovalRequest, ApprovalSignature, Digest, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::dsse::{PublicKey, sign};
use crate::error::KeyError;
use crate::registry::random;

const FORMAT: &str = "handaxe-approver-key/1";

/// The least that a passphrase may be, in characters.
pub const MIN_PASSPHRASE: usize = 12;

/// RFC 9106, section 4: the second recommended choice, 64 MiB and three passes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// What a file may ask of this machine before it is refused.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 20;
const MAX_LANES: u32 = 16;

/// Names the type of what an approver signs; a signature for one is none for the other.
pub(crate) const APPROVAL: &str = "application/vnd.handaxe.approval+json";
pub(crate) const KEY: &str = "application/vnd.handaxe.key+json";

/// A key file. Only the passphrase opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    format: String,
    /// Whose it is; approvals and the journal record this name.
    name: String,
    /// The public half, 64 hexadecimal digits.
    public: String,
    kdf: Kdf,
    /// 24 bytes, hexadecimal.
    nonce: String,
    /// The private half, sealed; hexadecimal.
    sealed: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// 16 bytes, hexadecimal.
    salt: String,
}

/// An unlocked key: who holds it can say yes.
pub struct ApproverKey {
    name: String,
    key: SigningKey,
}

impl std::fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApproverKey")
            .field("name", &self.name)
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}

impl SealedKey {
    /// Makes a key and locks it.
    pub fn create(name: &str, passphrase: &str) -> Result<(Self, ApproverKey), KeyError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(KeyError::Name);
        }
        if passphrase.chars().count() < MIN_PASSPHRASE {
            return Err(KeyError::WeakPassphrase {
                least: MIN_PASSPHRASE,
            });
        }
        let secret = Zeroizing::new(random::<32>()?);
        let key = SigningKey::from_bytes(&secret);
        let nonce = random::<24>()?;
        let mut sealed = Self {
            format: FORMAT.to_owned(),
            name: name.to_owned(),
            public: PublicKey::from(&key).to_hex(),
            kdf: Kdf {
                algorithm: "argon2id".to_owned(),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: hex::encode(random::<16>()?),
            },
            nonce: hex::encode(nonce),
            sealed: String::new(),
        };
        let cipher = sealed.cipher(passphrase)?;
        let bytes = cipher
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: secret.as_slice(),
                    aad: sealed.bound().as_bytes(),
                },
            )
            .map_err(|_| KeyError::Seal)?;
        sealed.sealed = hex::encode(bytes);
        let name = sealed.name.clone();
        Ok((sealed, ApproverKey { name, key }))
    }

    /// Reads a key file; bounded, and nothing in it is believed before it is unlocked.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let bounds = Bounds {
            bytes: 16 << 10,
            depth: 4,
        };
        let sealed: Self = parse_as(bytes, bounds).map_err(KeyError::Malformed)?;
        let kdf = &sealed.kdf;
        let known = sealed.format == FORMAT
            && kdf.algorithm == "argon2id"
            && (8 * kdf.lanes..=MAX_MEMORY_KIB).contains(&kdf.memory_kib)
            && (1..=MAX_PASSES).contains(&kdf.passes)
            && (1..=MAX_LANES).contains(&kdf.lanes);
        if known {
            Ok(sealed)
        } else {
            Err(KeyError::Unknown)
        }
    }

    /// Indented JSON, ending in a newline.
    pub fn to_json(&self) -> Result<String, KeyError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|_| KeyError::Seal)?;
        text.push('\n');
        Ok(text)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the file says; proved by unlocking.
    pub fn public(&self) -> Option<PublicKey> {
        PublicKey::from_hex(&self.public)
    }

    /// Opens it. A wrong passphrase and an altered file look the same, as they should.
    pub fn unlock(&self, passphrase: &str) -> Result<ApproverKey, KeyError> {
        let mut nonce = [0; 24];
        hex::decode_to_slice(&self.nonce, &mut nonce).map_err(|_| KeyError::Unknown)?;
        let sealed = hex::decode(&self.sealed).map_err(|_| KeyError::Unknown)?;
        let opened = self
            .cipher(passphrase)?
            .decrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: &sealed,
                    aad: self.bound().as_bytes(),
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Passphrase)?;
        let secret: Zeroizing<[u8; 32]> = Zeroizing::new(
            opened
                .as_slice()
                .try_into()
                .map_err(|_| KeyError::Unknown)?,
        );
        let key = SigningKey::from_bytes(&secret);
        if PublicKey::from(&key).to_hex() != self.public {
            return Err(KeyError::Passphrase);
        }
        Ok(ApproverKey {
            name: self.name.clone(),
            key,
        })
    }

    fn cipher(&self, passphrase: &str) -> Result<XChaCha20Poly1305, KeyError> {
        let kdf = &self.kdf;
        let salt = hex::decode(&kdf.salt).map_err(|_| KeyError::Unknown)?;
        let params = Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(32))
            .map_err(|_| KeyError::Unknown)?;
        let mut key = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice())
            .map_err(|_| KeyError::Unknown)?;
        XChaCha20Poly1305::new_from_slice(key.as_slice()).map_err(|_| KeyError::Seal)
    }

    /// Everything but the sealed bytes: none of it can be changed and the key still open.
    fn bound(&self) -> String {
        canonical_json(&json!({
            "format": self.format,
            "name": self.name,
            "public": self.public,
            "kdf": self.kdf,
            "nonce": self.nonce,
        }))
    }
}

impl ApproverKey {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from(&self.key)
    }

    /// The yes to one request of one home, and to nothing else.
    pub fn sign_approval(&self, home_id: &str, request: &ApprovalRequest) -> ApprovalSignature {
        ApprovalSignature {
            key: self.public().id(),
            signature: sign(
                &self.key,
                APPROVAL,
                approval_message(home_id, request).as_bytes(),
            ),
        }
    }

    pub(crate) fn vouch(&self, message: &str) -> String {
        sign(&self.key, KEY, message.as_bytes())
    }
}

/// What an approver signs: which request, of which home, for which version and which digest.
pub(crate) fn approval_message(home_id: &str, request: &ApprovalRequest) -> String {
    canonical_json(&json!({
        "home": home_id,
        "approval": request.id,
        "tool": request.tool,
        "version": request.version,
        "subject": request.subject,
        "requested_ms": request.created_ms,
        "expires_ms": request.expires_ms,
    }))
}

/// What a voucher signs: that this key is this person's, in this home.
pub(crate) fn key_message(home_id: &str, public: &PublicKey, name: &str) -> String {
    canonical_json(&json!({
        "home": home_id,
        "key": public.id(),
        "name": name,
    }))
}

/// Whether a signature is this key's yes to this request.
pub(crate) fn approval_holds(
    public: &PublicKey,
    home_id: &str,
    request: &ApprovalRequest,
    signature: &ApprovalSignature,
) -> bool {
    let message = approval_message(home_id, request);
    signature.key == public.id()
        && public.verifies(APPROVAL, message.as_bytes(), &signature.signature)
}

/// The id of the key with these public bytes, for a file that names it.
pub(crate) fn key_of(text: &str) -> Result<Digest, KeyError> {
    Digest::parse(text).map_err(|_| KeyError::NotFound(text.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens_it_and_nothing_in_it_can_be_changed() {
        let (sealed, key) = SealedKey::create("alice", "correct horse battery").unwrap();
        let text = sealed.to_json().unwrap();
        assert!(!text.contains(&hex::encode(key.key.to_bytes())));
        let back = SealedKey::parse(text.as_bytes()).unwrap();
        assert_eq!(
            back.unlock("correct horse battery").unwrap().public(),
            key.public()
        );
        assert!(matches!(
            back.unlock("correct horse batterz"),
            Err(KeyError::Passphrase)
        ));
        let mut altered = back.clone();
        altered.name = "mallory".into();
        assert!(altered.unlock("correct horse battery").is_err());
        let mut altered = back.clone();
        altered.public = PublicKey::from(&SigningKey::from_bytes(&[1; 32])).to_hex();
        assert!(altered.unlock("correct horse battery").is_err());
        let mut altered = back;
        altered.kdf.passes = 1;
        assert!(altered.unlock("correct horse battery").is_err());
    }

    #[test]
    fn weak_passphrases_and_hostile_files_are_refused() {
        assert!(matches!(
            SealedKey::create("alice", "short"),
            Err(KeyError::WeakPassphrase { .. })
        ));
        for name in ["", "  ", "a\nb"] {
            assert!(matches!(
                SealedKey::create(name, "correct horse battery"),
                Err(KeyError::Name)
            ));
        }
        let (sealed, _) = SealedKey::create("alice", "correct horse battery").unwrap();
        let text = sealed.to_json().unwrap();
        for (from, to) in [
            ("65536", "4294967295"),
            ("\"passes\": 3", "\"passes\": 4000000000"),
            ("argon2id", "none"),
            ("\"lanes\": 4", "\"lanes\": 0"),
            ("handaxe-approver-key/1", "other"),
        ] {
            assert!(text.contains(from));
            let hostile = text.replace(from, to);
            assert!(SealedKey::parse(hostile.as_bytes()).is_err(), "{to}");
        }
        assert!(SealedKey::parse(b"{}").is_err());
    }
}
