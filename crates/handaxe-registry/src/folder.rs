//! A tool folder read by a doubter: is it what was signed, and by whom? Takes bytes, opens no
//! file, needs no registry: an exported folder is checked on a machine that never saw it made.

use std::collections::BTreeMap;

use handaxe_types::json::{self, Bounds, JsonError};
use handaxe_types::{
    Asset, Author, Case, Digest, Draft, Provenance, Spec, ToolDigest, ToolRef, Version,
};
use serde_json::{Map, Value};

use crate::approver::approval_holds;
use crate::dsse::{Envelope, EnvelopeError, PublicKey, Signer};
use crate::evidence::{
    ApprovalEvidence, EVIDENCE_FILES, PAYLOAD_TYPE, PROVENANCE, Proof, STATEMENT, TEST_RESULT,
    TOOL_DIGEST,
};
use crate::views::Files;

const MAX_SPEC_BYTES: usize = 1 << 20;
const MAX_CASE_BYTES: usize = 16 << 20;

/// Something that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum FolderProblem {
    #[error("{file} is missing")]
    Missing { file: String },
    #[error("{file} is not evidence: {source}")]
    Envelope { file: String, source: EnvelopeError },
    #[error("{file} bears no signature that holds: it was altered, or signed by another key")]
    NotSigned { file: String },
    #[error("{file} does not say what evidence says: {what}")]
    Statement { file: String, what: &'static str },
    #[error(
        "evidence.json and provenance.json are about different things, or signed by different keys"
    )]
    Unlike,
    #[error("{file} is not the file that was signed for")]
    Altered { file: String },
    #[error("{file} would be a part of the tool, and nothing was signed for it")]
    Added { file: String },
    #[error("{file} cannot be read: {source}")]
    Unreadable { file: String, source: SpecError },
    #[error("code, schemas, limits and assets do not make the digest that was approved")]
    ToolDigest,
    #[error("spec.json names {found}, the evidence is about {signed}")]
    Name { found: String, signed: String },
    #[error("it was not approved, or not this: {what}")]
    Approval { what: &'static str },
}

impl FolderProblem {
    /// A stable word for `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Envelope { .. } => "not_evidence",
            Self::NotSigned { .. } => "not_signed",
            Self::Statement { .. } => "statement",
            Self::Unlike => "unlike",
            Self::Altered { .. } => "altered",
            Self::Added { .. } => "added",
            Self::Unreadable { .. } => "unreadable",
            Self::ToolDigest => "tool_digest",
            Self::Name { .. } => "name",
            Self::Approval { .. } => "approval",
        }
    }
}

/// Why a spec or a case of a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("{0}")]
    Json(#[from] JsonError),
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    #[error("line {line}: {source}")]
    Case { line: usize, source: JsonError },
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// What a folder turned out to be. Whatever is in it was read from the folder; it counts where
/// [`Inspection::problems`] is empty, and for as much as the signer is worth.
#[derive(Debug, Default)]
pub struct Inspection {
    pub problems: Vec<FolderProblem>,
    /// Files that no signature is about, and that are no part of the tool.
    pub not_covered: Vec<String>,
    pub tool: Option<ToolRef>,
    pub subject: Option<ToolDigest>,
    pub signer: Option<PublicKey>,
    /// Whether the signer is one of the keys that the reader trusts.
    pub trusted: bool,
    pub approval: Option<ApprovalEvidence>,
    pub proof: Option<Proof>,
    /// The tool with all its cases, for proving it again.
    pub draft: Option<Draft>,
}

/// Checks a folder's files (by their relative paths) against its evidence: signatures, digests,
/// the approval's binding. `trusted` are the keys whose word the reader takes.
pub fn inspect_folder(files: &Files, trusted: &[PublicKey]) -> Inspection {
    let mut found = Inspection::default();
    let mut statements: BTreeMap<&str, Value> = BTreeMap::new();
    let mut signers = Vec::new();
    for (file, predicate_type) in EVIDENCE_FILES {
        match open(files, file, predicate_type, trusted) {
            Ok((signer, statement)) => {
                signers.push(signer);
                statements.insert(predicate_type, statement);
            }
            Err(problem) => found.problems.push(problem),
        }
    }
    let (Some(test_result), Some(provenance)) =
        (statements.get(TEST_RESULT), statements.get(PROVENANCE))
    else {
        return found;
    };
    if test_result["subject"] != provenance["subject"]
        || signers.windows(2).any(|pair| pair[0] != pair[1])
    {
        found.problems.push(FolderProblem::Unlike);
        return found;
    }
    if let Some(signer) = signers.first() {
        found.trusted = matches!(signer, Signer::Trusted(_));
        found.signer = match signer {
            Signer::Trusted(key) | Signer::Unknown(key) => Some(*key),
            Signer::Nobody => None,
        };
    }
    subjects(files, &test_result["subject"], &mut found);
    match serde_json::from_value(test_result["predicate"]["handaxe_proof"].clone()) {
        Ok(proof) => found.proof = Some(proof),
        Err(_) => found.problems.push(FolderProblem::Statement {
            file: "evidence.json".to_owned(),
            what: "it holds no proof that can be read here",
        }),
    }
    tool(files, provenance, &mut found);
    approval(provenance, &mut found);
    found
}

fn open(
    files: &Files,
    file: &str,
    predicate_type: &str,
    trusted: &[PublicKey],
) -> Result<(Signer, Value), FolderProblem> {
    let name = || file.to_owned();
    let bytes = files
        .get(file)
        .ok_or_else(|| FolderProblem::Missing { file: name() })?;
    let envelope =
        Envelope::parse(bytes, PAYLOAD_TYPE).map_err(|source| FolderProblem::Envelope {
            file: name(),
            source,
        })?;
    let signer = envelope.signer(trusted);
    if signer == Signer::Nobody {
        return Err(FolderProblem::NotSigned { file: name() });
    }
    let wrong = |what| FolderProblem::Statement { file: name(), what };
    let statement = json::parse(
        &envelope.payload,
        Bounds {
            bytes: 32 << 20,
            ..Bounds::DEFAULT
        },
    )
    .map_err(|_| wrong("its payload is not JSON"))?;
    if statement["_type"] != STATEMENT {
        return Err(wrong("it is not an in-toto Statement v1"));
    }
    if statement["predicateType"] != predicate_type {
        return Err(wrong("it holds another predicate than belongs there"));
    }
    Ok((signer, statement))
}

/// Every file that is signed for is there and as it was; nothing was added to the tool.
fn subjects(files: &Files, subjects: &Value, found: &mut Inspection) {
    let mut signed: Vec<String> = EVIDENCE_FILES
        .iter()
        .map(|(f, _)| (*f).to_owned())
        .collect();
    for subject in subjects.as_array().into_iter().flatten() {
        let Some(name) = subject["name"].as_str() else {
            continue;
        };
        if let Some(digest) = subject["digest"][TOOL_DIGEST].as_str() {
            found.tool = name.parse().ok();
            found.subject = Digest::parse(digest).ok().map(ToolDigest);
            continue;
        }
        let file = name.to_owned();
        match files.get(name) {
            None => found.problems.push(FolderProblem::Missing { file }),
            Some(bytes) if subject["digest"]["sha256"] != Digest::of(bytes).to_string() => {
                found.problems.push(FolderProblem::Altered { file });
            }
            Some(_) => {}
        }
        signed.push(name.to_owned());
    }
    for needed in ["tool.py", "spec.json", "cases.jsonl"] {
        if !signed.iter().any(|s| s == needed) {
            found.problems.push(FolderProblem::Statement {
                file: "evidence.json".to_owned(),
                what: "it is not about the tool's code, spec and cases",
            });
            break;
        }
    }
    for file in files.keys().filter(|f| !signed.contains(f)) {
        if file.starts_with("assets/") {
            let file = file.clone();
            found.problems.push(FolderProblem::Added { file });
        } else {
            found.not_covered.push(file.clone());
        }
    }
}

/// The folder makes the very tool that the evidence is about.
fn tool(files: &Files, provenance: &Value, found: &mut Inspection) {
    let draft = match read_draft(files, provenance) {
        Ok(draft) => draft,
        Err((file, source)) => {
            let file = file.to_owned();
            return found
                .problems
                .push(FolderProblem::Unreadable { file, source });
        }
    };
    let (Some(tool), Some(subject)) = (&found.tool, found.subject) else {
        return found.problems.push(FolderProblem::Statement {
            file: "evidence.json".to_owned(),
            what: "it names no tool with its digest",
        });
    };
    if draft.spec.name != tool.name {
        found.problems.push(FolderProblem::Name {
            found: draft.spec.name.to_string(),
            signed: tool.to_string(),
        });
    }
    let profile = found.proof.as_ref().map(|p| p.sandbox.profile);
    if profile.is_some_and(|profile| draft.digest(profile) != subject) {
        found.problems.push(FolderProblem::ToolDigest);
    }
    found.draft = Some(draft);
}

fn approval(provenance: &Value, found: &mut Inspection) {
    let wrong = |what| FolderProblem::Approval { what };
    let Ok(evidence) = serde_json::from_value::<ApprovalEvidence>(
        provenance["predicate"]["handaxe_approval"].clone(),
    ) else {
        return found.problems.push(wrong("the evidence names no approval"));
    };
    if Some(evidence.approval.subject) != found.subject {
        found
            .problems
            .push(wrong("the approval is for another digest"));
    }
    if found
        .tool
        .as_ref()
        .is_none_or(|t| t.name != evidence.tool || t.version != Some(evidence.version))
    {
        found
            .problems
            .push(wrong("the approval is for another tool or version"));
    }
    if evidence.approval.at_ms > evidence.expires_ms {
        found
            .problems
            .push(wrong("the approval came after its request had expired"));
    }
    let by_key = evidence.approval.method == handaxe_types::ApprovalMethod::Key;
    let holds = evidence
        .approval
        .signature
        .as_ref()
        .is_some_and(|signature| {
            evidence
                .approver_key
                .as_deref()
                .and_then(PublicKey::from_hex)
                .is_some_and(|key| {
                    approval_holds(&key, &evidence.home, &evidence.request(), signature)
                })
        });
    if (by_key || evidence.approval.signature.is_some()) && !holds {
        found
            .problems
            .push(wrong("the approver's signature does not hold"));
    }
    found.approval = Some(evidence);
}

fn read_draft<'a>(files: &Files, provenance: &Value) -> Result<Draft, (&'a str, SpecError)> {
    let file = |name: &'static str| files.get(name).map_or(&[][..], Vec::as_slice);
    let (spec, _) = read_spec(file("spec.json")).map_err(|e| ("spec.json", e))?;
    let cases = read_cases(file("cases.jsonl")).map_err(|e| ("cases.jsonl", e))?;
    let code = std::str::from_utf8(file("tool.py"))
        .map_err(|_| ("tool.py", SpecError::NotUtf8))?
        .to_owned();
    let assets = files
        .iter()
        .filter_map(|(name, bytes)| {
            let name = name.strip_prefix("assets/")?;
            Some((name.to_owned(), Asset(bytes.clone())))
        })
        .collect();
    let why = &provenance["predicate"]["buildDefinition"]["externalParameters"]["task"];
    Ok(Draft {
        spec,
        code,
        cases,
        assets,
        provenance: Provenance {
            author: Author::Composer,
            why: why.as_str().unwrap_or_default().to_owned(),
            recipe: None,
            invocation: Map::new(),
        },
    })
}

/// Reads a folder's `spec.json`, and the version that a registered tool's has.
pub fn read_spec(bytes: &[u8]) -> Result<(Spec, Option<Version>), SpecError> {
    let bounds = Bounds {
        bytes: MAX_SPEC_BYTES,
        ..Bounds::DEFAULT
    };
    let mut value = json::parse(bytes, bounds)?;
    let mut version = None;
    // The folders of registered tools carry these; a folder is a tool whoever wrote it.
    if let Some(map) = value.as_object_mut() {
        version = map
            .remove("version")
            .and_then(|v| serde_json::from_value(v).ok());
        for generated in ["digest", "state"] {
            map.remove(generated);
        }
    }
    Ok((serde_json::from_value(value)?, version))
}

/// Reads a folder's `cases.jsonl` with the origins that it says.
pub fn read_cases(bytes: &[u8]) -> Result<Vec<Case>, SpecError> {
    let bounds = Bounds {
        bytes: MAX_CASE_BYTES,
        ..Bounds::DEFAULT
    };
    bytes
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
        .map(|(i, line)| {
            json::parse_as(line, bounds).map_err(|source| SpecError::Case {
                line: i + 1,
                source,
            })
        })
        .collect()
}
