//! The author: spec, code and its own cases, in fenced blocks.
//!
//! Not as structured output: a module of Python inside one JSON string costs a model quality, and
//! free-form schemas do not fit the providers' strict modes. A reply that comes as one JSON object
//! is read all the same.

use handaxe_types::{
    Author, Capability, Case, Digest, Draft, Origin, Provenance, Spec, StaticPolicy, ToolRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::reply::{self, ReplyFault, clip};
use super::{Exchange, Repair, Role, RoleName};

#[derive(Clone, Debug)]
pub struct AuthorBrief<'a> {
    pub question: &'a str,
    pub request: &'a ToolRequest,
    /// Names of the attached files.
    pub files: &'a [String],
    /// What of the data the model may see; `null` for nothing.
    pub preview: &'a Value,
    /// The person's `IN => OUT` pairs; never goldens.
    pub examples: &'a [Case],
    pub code_policy: &'a StaticPolicy,
    /// The version that is to be extended.
    pub base: Option<&'a Base>,
    pub repair: Option<Repair<'a>>,
}

/// What an extension starts from. Not its cases: they are held out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Base {
    pub spec: Spec,
    pub code: String,
}

/// What the author wrote, before it is a draft.
pub(super) struct Authored {
    spec: Spec,
    code: String,
    cases: Vec<Case>,
    invocation: Map<String, Value>,
}

#[derive(Deserialize)]
struct RawSpec {
    description: String,
    input_schema: Map<String, Value>,
    output_schema: Map<String, Value>,
    #[serde(default)]
    capabilities: Vec<Capability>,
    deterministic: Option<bool>,
    #[serde(default)]
    invocation: Map<String, Value>,
}

impl Role for AuthorBrief<'_> {
    type Reply = Authored;
    const NAME: RoleName = RoleName::Author;

    fn template(&self) -> &'static str {
        match self.repair {
            None => "author.md",
            Some(_) => "author_repair.md",
        }
    }

    fn context(&self) -> Value {
        let mut context = json!({
            "question": self.question,
            "request": {
                "name": self.request.name,
                "purpose": self.request.purpose,
                "domain": self.request.domain,
            },
            "files": self.files,
            "preview": self.preview,
            "examples": self.examples,
            "base": self.base,
            "imports": self.code_policy.imports,
            "forbidden": self.code_policy.names,
            "max_kib": self.code_policy.max_bytes >> 10,
        });
        if let Some(repair) = &self.repair {
            let own = repair.previous.cases.iter();
            let own: Vec<&Case> = own.filter(|c| c.origin == Origin::Author).collect();
            context["repair"] = json!({
                "attempt": repair.attempt,
                "spec": repair.previous.spec,
                "code": repair.previous.code,
                "cases": own,
                "invocation": repair.previous.provenance.invocation,
                "findings": repair.findings,
                "template": repair.template,
                "failures": repair.failures,
            });
        }
        context
    }

    fn schema(&self) -> Option<Value> {
        None
    }

    fn read(&self, text: &str) -> Result<Authored, ReplyFault> {
        let parts = reply::authored(text)?;
        let raw: RawSpec = reply::shape(parts.spec, "the spec")?;
        let spec = Spec {
            // Name and domain as planned, and gated, before any code was written.
            name: self.request.name.clone(),
            description: clip(&raw.description, 1000),
            input_schema: Value::Object(raw.input_schema),
            output_schema: Value::Object(raw.output_schema),
            domain: self.request.domain.clone(),
            capabilities: raw.capabilities,
            // The host's to set; a model's wish is not asked for.
            limits: handaxe_types::Limits::default(),
            deterministic: raw.deterministic.unwrap_or(true),
        };
        Ok(Authored {
            spec,
            code: parts.code,
            cases: reply::typed_cases(parts.cases, Origin::Author)?,
            invocation: match parts.invocation {
                Some(given) => reply::shape(given, "the invocation")?,
                None => raw.invocation,
            },
        })
    }
}

impl AuthorBrief<'_> {
    /// With whose words it was made: this attempt's exchanges after those of the ones before.
    pub(super) fn draft(&self, authored: Authored, exchanges: &[Exchange]) -> Draft {
        let earlier = self.repair.as_ref().map(|r| &r.previous.provenance.author);
        let (mut prompts, mut replies): (Vec<Digest>, Vec<Digest>) = match earlier {
            Some(Author::Model {
                prompts, replies, ..
            }) => (prompts.clone(), replies.clone()),
            _ => Default::default(),
        };
        prompts.extend(exchanges.iter().map(|e| e.prompt));
        replies.extend(exchanges.iter().map(|e| e.reply_digest));
        Draft {
            spec: authored.spec,
            code: authored.code,
            cases: authored.cases,
            assets: std::collections::BTreeMap::new(),
            provenance: Provenance {
                author: Author::Model {
                    model: exchanges
                        .last()
                        .map(|e| e.model.clone())
                        .unwrap_or_default(),
                    prompts,
                    replies,
                },
                why: self.question.to_owned(),
                recipe: None,
                invocation: authored.invocation,
            },
        }
    }
}
