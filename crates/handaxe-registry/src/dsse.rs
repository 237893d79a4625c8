//! Signatures over bytes of a named type: the Dead Simple Signing Envelope, v1.0
//! (<https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md>), with Ed25519 (RFC 8032).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use handaxe_types::Digest;
use handaxe_types::json::{self, Bounds, JsonError};
use serde_json::{Value, json};

/// An envelope is evidence about one tool; anything larger is none.
const MAX_BYTES: usize = 32 << 20;

/// More signatures than this are not looked at.
const MAX_SIGNATURES: usize = 16;

/// The public half of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", self.id().short())
    }
}

impl PublicKey {
    /// SHA-256 of the 32 public bytes.
    pub fn id(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0.as_bytes())
    }

    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        VerifyingKey::from_bytes(&bytes).ok().map(Self)
    }

    /// A `PUBLIC KEY` PEM block (RFC 8410).
    pub fn to_pem(&self) -> Option<String> {
        use ed25519_dalek::pkcs8::EncodePublicKey as _;
        use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
        self.0.to_public_key_pem(LineEnding::LF).ok()
    }

    pub fn from_pem(text: &str) -> Option<Self> {
        use ed25519_dalek::pkcs8::DecodePublicKey as _;
        VerifyingKey::from_public_key_pem(text.trim())
            .ok()
            .map(Self)
    }

    /// Strict: no small-order key, no second encoding of a signature.
    pub(crate) fn verifies(&self, payload_type: &str, payload: &[u8], signature: &str) -> bool {
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature, &mut bytes).is_ok()
            && self
                .0
                .verify_strict(&pae(payload_type, payload), &Signature::from_bytes(&bytes))
                .is_ok()
    }
}

impl From<&SigningKey> for PublicKey {
    fn from(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }
}

/// The signature, 128 hexadecimal digits.
pub(crate) fn sign(key: &SigningKey, payload_type: &str, payload: &[u8]) -> String {
    hex::encode(key.sign(&pae(payload_type, payload)).to_bytes())
}

/// DSSE's pre-authentication encoding: what is signed. The lengths keep type and payload apart.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    out.extend_from_slice(payload);
    out
}

#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("it is not a signed envelope")]
    Json(#[source] JsonError),
    #[error("it is not a signed envelope: `{0}` is missing or of the wrong kind")]
    Field(&'static str),
    #[error("its payload is of type `{0}`")]
    PayloadType(String),
}

/// Bytes and who signed them.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub payload: Vec<u8>,
    payload_type: &'static str,
    signatures: Vec<Signed>,
}

#[derive(Clone, Debug)]
struct Signed {
    key_id: String,
    /// 128 hexadecimal digits.
    signature: String,
    /// As the envelope says; it proves nothing about who holds it.
    public: Option<PublicKey>,
}

/// Whose signature an envelope bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// A key that the verifier trusts.
    Trusted(PublicKey),
    /// The signature holds under the key that came with it, and nobody vouches for that key.
    Unknown(PublicKey),
    /// No signature holds.
    Nobody,
}

impl Envelope {
    pub(crate) fn seal(payload_type: &'static str, payload: Vec<u8>, key: &SigningKey) -> Self {
        let public = PublicKey::from(key);
        let signed = Signed {
            key_id: public.id().to_string(),
            signature: sign(key, payload_type, &payload),
            public: Some(public),
        };
        Self {
            payload,
            payload_type,
            signatures: vec![signed],
        }
    }

    /// One line of JSON. `publicKey` is an extension: other readers ignore it, as DSSE asks.
    pub(crate) fn to_json(&self) -> String {
        let signatures: Vec<Value> = self
            .signatures
            .iter()
            .map(|s| {
                let sig = STANDARD.encode(hex::decode(&s.signature).unwrap_or_default());
                json!({ "keyid": s.key_id, "sig": sig, "publicKey": s.public.map(|p| p.to_hex()) })
            })
            .collect();
        json!({
            "payloadType": self.payload_type,
            "payload": STANDARD.encode(&self.payload),
            "signatures": signatures,
        })
        .to_string()
    }

    /// Reads an envelope of one type; whatever its fields claim is checked by [`Self::signer`].
    pub(crate) fn parse(bytes: &[u8], payload_type: &'static str) -> Result<Self, EnvelopeError> {
        let bounds = Bounds {
            bytes: MAX_BYTES,
            depth: 8,
        };
        let value = json::parse(bytes, bounds).map_err(EnvelopeError::Json)?;
        let text = |of: &Value, field: &'static str| {
            of[field]
                .as_str()
                .map(str::to_owned)
                .ok_or(EnvelopeError::Field(field))
        };
        let found = text(&value, "payloadType")?;
        if found != payload_type {
            let found = found.chars().take(80).collect();
            return Err(EnvelopeError::PayloadType(found));
        }
        let payload = STANDARD
            .decode(text(&value, "payload")?)
            .map_err(|_| EnvelopeError::Field("payload"))?;
        let list = value["signatures"]
            .as_array()
            .filter(|l| !l.is_empty())
            .ok_or(EnvelopeError::Field("signatures"))?;
        let signatures = list
            .iter()
            .take(MAX_SIGNATURES)
            .map(|s| {
                let sig = STANDARD
                    .decode(text(s, "sig")?)
                    .map_err(|_| EnvelopeError::Field("sig"))?;
                Ok(Signed {
                    key_id: s["keyid"].as_str().unwrap_or_default().to_owned(),
                    signature: hex::encode(sig),
                    public: s["publicKey"].as_str().and_then(PublicKey::from_hex),
                })
            })
            .collect::<Result<_, EnvelopeError>>()?;
        Ok(Self {
            payload,
            payload_type,
            signatures,
        })
    }

    /// Who signed: a trusted key where one did, whatever the envelope says of itself.
    pub(crate) fn signer(&self, trusted: &[PublicKey]) -> Signer {
        let holds = |s: &Signed, key: &PublicKey| {
            key.verifies(self.payload_type, &self.payload, &s.signature)
        };
        for signed in &self.signatures {
            if let Some(key) = trusted.iter().find(|key| holds(signed, key)) {
                return Signer::Trusted(*key);
            }
        }
        self.signatures
            .iter()
            .find_map(|s| {
                s.public
                    .filter(|key| s.key_id == key.id().to_string() && holds(s, key))
            })
            .map_or(Signer::Nobody, Signer::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.in-toto+json";

    /// The test vector of the DSSE specification (`protocol.md`, "Test Vectors").
    #[test]
    fn encoding_is_the_published_one() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn only_what_was_signed_verifies() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = PublicKey::from(&key);
        let envelope = Envelope::seal(TYPE, b"{}".to_vec(), &key);
        let text = envelope.to_json();
        let back = Envelope::parse(text.as_bytes(), TYPE).unwrap();
        assert_eq!(back.signer(&[public]), Signer::Trusted(public));
        assert_eq!(back.signer(&[]), Signer::Unknown(public));
        let other = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(
            back.signer(&[PublicKey::from(&other)]),
            Signer::Unknown(public)
        );
        let mut altered = back.clone();
        altered.payload = b"{ }".to_vec();
        assert_eq!(altered.signer(&[public]), Signer::Nobody);
        // A key id that is not the key's own.
        let mut renamed = back.clone();
        renamed.signatures[0].key_id = PublicKey::from(&other).id().to_string();
        assert_eq!(renamed.signer(&[]), Signer::Nobody);
        // The same bytes under another type.
        assert!(matches!(
            Envelope::parse(text.replace("in-toto", "in-tutu").as_bytes(), TYPE),
            Err(EnvelopeError::PayloadType(_))
        ));
        assert!(!public.verifies("other/type", b"{}", &back.signatures[0].signature));
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"payloadType":"application/vnd.in-toto+json"}"#,
            r#"{"payloadType":"application/vnd.in-toto+json","payload":"!","signatures":[]}"#,
            r#"{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[]}"#,
            r#"{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[{"sig":1}]}"#,
        ] {
            assert!(Envelope::parse(text.as_bytes(), TYPE).is_err(), "{text}");
        }
    }

    #[test]
    fn pem_and_hex_round_trip() {
        let public = PublicKey::from(&SigningKey::from_bytes(&[9; 32]));
        assert_eq!(PublicKey::from_hex(&public.to_hex()), Some(public));
        assert_eq!(PublicKey::from_pem(&public.to_pem().unwrap()), Some(public));
        assert_eq!(PublicKey::from_pem("-----BEGIN"), None);
    }
}
