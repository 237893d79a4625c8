//! A tool before anyone has said yes to it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Case, Digest, Spec};

/// Spec, code and the author's own cases. Nothing can run it but a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub spec: Spec,
    /// `tool.py`, UTF-8.
    pub code: String,
    pub cases: Vec<Case>,
    /// Name → bytes, mounted read-only beside the code.
    #[serde(default)]
    pub assets: BTreeMap<String, Asset>,
    pub provenance: Provenance,
}

/// An asset's bytes; base64 in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Asset(pub Vec<u8>);

impl std::fmt::Debug for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asset({} bytes)", self.0.len())
    }
}

impl Serialize for Asset {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Asset {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        STANDARD
            .decode(text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// Who wrote a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Author {
    Composer,
    /// `provider:name` and the digests of the exchange, in order.
    Model {
        model: String,
        prompts: Vec<Digest>,
        replies: Vec<Digest>,
    },
    Person {
        name: String,
    },
}

/// Why and how a draft came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub author: Author,
    /// The question that it was written for, or the words of whoever imported it.
    pub why: String,
    /// The composer's general plan: two tools with the same recipe do the same work. `None` for
    /// other authors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Value>,
    /// The arguments that answer the very question it was written for.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub invocation: Map<String, Value>,
}

/// What an approval binds: code, spec (schemas, limits, capabilities), assets and the sandbox
/// profile. Cases are evidence, not substance, so a case added later does not void an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ToolDigest(pub Digest);

impl std::fmt::Display for ToolDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Draft {
    /// The digest under a sandbox profile.
    pub fn digest(&self, profile: Digest) -> ToolDigest {
        tool_digest(&self.spec, &self.code, &self.assets, profile)
    }

    /// The recipe's digest, for exact reuse.
    pub fn recipe_digest(&self) -> Option<Digest> {
        self.provenance.recipe.as_ref().map(Digest::of_json)
    }
}

fn tool_digest(
    spec: &Spec,
    code: &str,
    assets: &BTreeMap<String, Asset>,
    profile: Digest,
) -> ToolDigest {
    let spec = json!(spec);
    let assets: Map<String, Value> = assets
        .iter()
        .map(|(n, a)| (n.clone(), json!(Digest::of(&a.0))))
        .collect();
    ToolDigest(Digest::of_json(&json!({
        "assets": assets,
        "code": Digest::of(code.as_bytes()),
        "profile": profile,
        "spec": spec,
    })))
}
