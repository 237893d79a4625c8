//! The evidence of a version: two in-toto Statements (v1) about the same subjects, each in a signed
//! envelope, made once, when the version is registered.
//!
//! Formats: <https://github.com/in-toto/attestation/tree/main/spec/v1> for the Statement and the
//! digests, `spec/predicates/test-result.md` there for what was proved, and
//! <https://slsa.dev/spec/v1.0/provenance> for how the tool came to be. `docs/evidence.md` says
//! what each field means.

use std::collections::BTreeMap;

use handaxe_types::{
    Approval, ApprovalId, ApprovalRequest, Author, CapabilityUse, Case, CostReport, Coverage,
    Digest, Finding, FuzzReport, Layer, MutationReport, Origin, Outcome, Profile, Provenance,
    Review, ScoreRow, Scores, StageTime, ToolName, Trial, Verdict, Version,
};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dsse::{Envelope, PublicKey};
use crate::error::{KeyError, RegistryError, Step as _};
use crate::registry::{Registry, get_json, get_text, put_blob};
use crate::stored::{VersionRow, standing};
use crate::views::{Files, made_files};

pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
pub(crate) const STATEMENT: &str = "https://in-toto.io/Statement/v1";
pub(crate) const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
pub(crate) const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// The name of the digest that an approval binds, in a subject's digest set: 64 lower-case
/// hexadecimal digits, see [`handaxe_types::ToolDigest`].
pub(crate) const TOOL_DIGEST: &str = "handaxeTool";

/// Where the build type and the builder are described.
const DESCRIBED: &str = "https://github.com/handaxe/handaxe/blob/main/docs/evidence.md";

/// File of the folder → the predicate in it.
pub(crate) const EVIDENCE_FILES: [(&str, &str); 2] = [
    ("evidence.json", TEST_RESULT),
    ("provenance.json", PROVENANCE),
];

/// What was proved of a tool: the part of the evidence that a re-run is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    pub accepted: bool,
    /// The score card, with the policy's thresholds beside each figure.
    pub card: Vec<ScoreRow>,
    pub scores: Scores,
    pub findings: Vec<Finding>,
    /// What a second reader said, where one was asked.
    #[serde(default)]
    pub review: Option<Review>,
    /// By origin.
    pub cases: BTreeMap<Origin, Vec<CaseEvidence>>,
    /// Each with its seed.
    pub fuzz: Option<FuzzReport>,
    pub mutation: Option<MutationReport>,
    pub coverage: Option<Coverage>,
    pub cost: Option<CostReport>,
    pub capabilities: Option<CapabilityUse>,
    pub stages: Vec<StageTime>,
    pub sandbox: SandboxEvidence,
    /// e.g. `CPython 3.11.7`.
    pub interpreter: String,
}

/// One case and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseEvidence {
    pub name: String,
    /// Of the case as JSON; absent where the trial made the case itself.
    pub digest: Option<Digest>,
    pub held_out: bool,
    pub passed: bool,
    pub outcome: Outcome,
    pub withdrawn: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxEvidence {
    pub profile: Digest,
    /// What that digest is of, where the trial recorded it.
    #[serde(default)]
    pub described: Option<Profile>,
    /// In force for every run.
    pub layers: Vec<Layer>,
    pub runs: u32,
}

impl Proof {
    pub fn of(trial: &Trial, verdict: &Verdict, cases: &[Case]) -> Self {
        let mut by_origin: BTreeMap<Origin, Vec<CaseEvidence>> = BTreeMap::new();
        for result in &trial.cases {
            let case = cases
                .iter()
                .find(|c| c.name == result.name && c.origin == result.origin);
            by_origin
                .entry(result.origin)
                .or_default()
                .push(CaseEvidence {
                    name: result.name.clone(),
                    digest: case.map(|c| Digest::of_json(&json!(c))),
                    held_out: result.held_out,
                    passed: result.passed,
                    outcome: result.outcome,
                    withdrawn: result.withdrawn.clone(),
                });
        }
        Self {
            accepted: verdict.accepted,
            card: verdict.card.clone(),
            scores: verdict.scores.clone(),
            findings: verdict.findings.clone(),
            review: verdict.review.clone(),
            cases: by_origin,
            fuzz: trial.fuzz.clone(),
            mutation: trial.mutation.clone(),
            coverage: trial.coverage.clone(),
            cost: trial.cost.clone(),
            capabilities: trial.capabilities.clone(),
            stages: trial.stages.clone(),
            sandbox: SandboxEvidence {
                profile: trial.profile,
                described: trial.sandbox.clone(),
                layers: trial.layers.clone(),
                runs: trial.sandbox_runs,
            },
            interpreter: trial.interpreter.clone(),
        }
    }

    /// How many cases of each origin passed, were withdrawn or failed; names in the words of the
    /// test-result predicate.
    fn tests(&self, wanted: impl Fn(&CaseEvidence) -> bool) -> Vec<String> {
        self.cases
            .iter()
            .flat_map(|(origin, cases)| cases.iter().map(move |c| (origin, c)))
            .filter(|(_, c)| wanted(c))
            .map(|(origin, c)| format!("{}/{}", origin.as_str(), c.name))
            .collect()
    }
}

/// The yes, with all that it takes to check a signed one elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalEvidence {
    #[serde(flatten)]
    pub approval: Approval,
    /// The approver's public key where the yes was signed, hexadecimal.
    pub approver_key: Option<String>,
    /// [`Registry::home_id`].
    pub home: String,
    pub tool: ToolName,
    pub version: Version,
    pub requested_ms: i64,
    pub expires_ms: i64,
}

impl ApprovalEvidence {
    /// The request as the approver signed it.
    pub(crate) fn request(&self) -> ApprovalRequest {
        ApprovalRequest {
            id: self.approval.id,
            tool: self.tool.clone(),
            version: self.version,
            subject: self.approval.subject,
            run: None,
            state: handaxe_types::ApprovalState::Approved,
            created_ms: self.requested_ms,
            expires_ms: self.expires_ms,
            why: String::new(),
        }
    }
}

/// The evidence of a version, opened for reading; whether it holds is
/// [`crate::inspect_folder`]'s to say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The key that signed.
    pub key: Digest,
    /// The Statement with the test result.
    pub test_result: Value,
    /// The Statement with the provenance.
    pub provenance: Value,
}

impl Registry {
    /// The files of a version's folder, by their relative paths; `None` for one that was never
    /// registered.
    pub fn folder(
        &self,
        tool: &handaxe_types::ToolRef,
    ) -> Result<Option<(handaxe_types::ToolRef, Files)>, RegistryError> {
        self.read(|tx| {
            let versions = VersionRow::of_name(tx, &tool.name)?;
            let row = match tool.version {
                Some(version) => versions.iter().find(|v| v.version == version),
                None => versions.iter().find(|v| v.state.runs()),
            };
            row.filter(|row| row.evidence.is_some())
                .map(|row| Ok((row.tool_ref(), crate::views::tool_files(tx, row)?)))
                .transpose()
        })
    }

    /// Signs both statements about a version and stores them; returns the digest that they are
    /// stored under. The files that they name are stored with them.
    pub(crate) fn attest(
        &self,
        tx: &Transaction<'_>,
        tool: &VersionRow,
    ) -> Result<Digest, KeyError> {
        let mut subjects = vec![json!({
            "name": tool.tool_ref().to_string(),
            "digest": { TOOL_DIGEST: tool.subject },
        })];
        for (name, bytes) in made_files(tx, tool)? {
            let digest = put_blob(tx, &bytes)?;
            subjects.push(json!({ "name": name, "digest": { "sha256": digest } }));
        }
        let key = self.signing_key(tx)?;
        let statement = |predicate_type: &str, predicate: Value| {
            let statement = json!({
                "_type": STATEMENT,
                "subject": subjects,
                "predicateType": predicate_type,
                "predicate": predicate,
            });
            Envelope::seal(PAYLOAD_TYPE, statement.to_string().into_bytes(), &key).to_json()
        };
        let bundle = format!(
            "{}\n{}\n",
            statement(TEST_RESULT, test_result(tx, tool)?),
            statement(PROVENANCE, self.provenance(tx, tool)?)
        );
        Ok(put_blob(tx, bundle.as_bytes())?)
    }

    fn provenance(&self, tx: &Transaction<'_>, tool: &VersionRow) -> Result<Value, RegistryError> {
        let provenance: Provenance = get_json(tx, "provenance", &tool.provenance)?;
        let (model, mut dependencies) = match &provenance.author {
            Author::Composer => ("composer".to_owned(), Vec::new()),
            Author::Person { name } => (format!("person:{name}"), Vec::new()),
            Author::Model {
                model,
                prompts,
                replies,
            } => {
                let named = |what: &'static str, digests: &[Digest]| {
                    let resources = digests.iter().enumerate();
                    resources
                        .map(|(i, d)| resource(&format!("{what}/{}", i + 1), &d.to_string()))
                        .collect::<Vec<_>>()
                };
                let mut all = named("prompt", prompts);
                all.extend(named("reply", replies));
                (model.clone(), all)
            }
        };
        let run = run_of(tx, tool)?;
        if let Some((task, _)) = &run {
            dependencies.insert(0, resource("task.json", task));
        }
        let attempts = attempts_of(tx, tool)?;
        Ok(json!({
            "buildDefinition": {
                "buildType": format!("{DESCRIBED}#how-a-tool-is-made-v1"),
                "externalParameters": { "task": tool.why, "model": model },
                "internalParameters": {
                    "recipe": provenance.recipe.as_ref().map(Digest::of_json),
                    "attempts": attempts.len(),
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": format!("{DESCRIBED}#the-builder"),
                    "version": { "handaxe": env!("CARGO_PKG_VERSION") },
                },
                "metadata": {
                    "invocationId": tool.run,
                    "startedOn": run.map(|(_, ms)| rfc3339(ms)),
                    "finishedOn": rfc3339(tool.created_ms),
                },
                "byproducts": attempts.into_iter().flatten().collect::<Vec<_>>(),
            },
            "handaxe_approval": self.approval_evidence(tx, tool)?,
        }))
    }

    fn approval_evidence(
        &self,
        tx: &Transaction<'_>,
        tool: &VersionRow,
    ) -> Result<Option<ApprovalEvidence>, RegistryError> {
        let Some((request, approval)) = standing(tx, tool.id)? else {
            return Ok(None);
        };
        let approver_key = approval
            .signature
            .as_ref()
            .map(|s| crate::keys::approver_key(tx, self.home_id(), self.policy(), s.key))
            .transpose()?
            .flatten()
            .map(|k| k.public);
        Ok(Some(ApprovalEvidence {
            approval,
            approver_key,
            home: self.home_id().to_owned(),
            tool: request.tool,
            version: request.version,
            requested_ms: request.created_ms,
            expires_ms: request.expires_ms,
        }))
    }
}

fn test_result(tx: &Transaction<'_>, tool: &VersionRow) -> Result<Value, RegistryError> {
    let trial: Trial = get_json(tx, "trial", &tool.trial)?;
    let verdict: Verdict = get_json(tx, "verdict", &tool.verdict)?;
    let proof = Proof::of(&trial, &verdict, &tool.cases(tx)?);
    let result = match (verdict.accepted, verdict.scores.warnings) {
        (true, 0) => "PASSED",
        (true, _) => "WARNED",
        (false, _) => "FAILED",
    };
    Ok(json!({
        "result": result,
        "configuration": [
            resource("cases.jsonl", &tool.cases),
            resource("sandbox profile", &tool.profile.to_string()),
        ],
        "passedTests": proof.tests(|c| c.passed && c.withdrawn.is_none()),
        "warnedTests": proof.tests(|c| c.withdrawn.is_some()),
        "failedTests": proof.tests(|c| !c.passed && c.withdrawn.is_none()),
        "handaxe_proof": proof,
    }))
}

/// An in-toto `ResourceDescriptor`.
fn resource(name: &str, sha256: &str) -> Value {
    json!({ "name": name, "digest": { "sha256": sha256 } })
}

fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| at.to_string())
}

/// The digest of the task that the run was given, and when it began.
fn run_of(tx: &Transaction<'_>, tool: &VersionRow) -> Result<Option<(String, i64)>, RegistryError> {
    tool.run
        .as_ref()
        .map(|run| {
            tx.query_row(
                "SELECT task, created_ms FROM run WHERE id = ?1",
                [run.as_str()],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .step("read the run's task")
        })
        .transpose()
}

/// Of each attempt of the run, its draft and its verdict.
fn attempts_of(tx: &Transaction<'_>, tool: &VersionRow) -> Result<Vec<Vec<Value>>, RegistryError> {
    const DOING: &str = "read the run's attempts";
    let run = tool.run.as_ref().map_or("", |run| run.as_str());
    let mut statement = tx
        .prepare_cached("SELECT n, draft, verdict FROM attempt WHERE run = ?1 ORDER BY n")
        .step(DOING)?;
    let attempts = statement
        .query_map([run], |r| {
            let n: i64 = r.get(0)?;
            let (draft, verdict): (Option<String>, Option<String>) = (r.get(1)?, r.get(2)?);
            Ok([("draft", draft), ("verdict", verdict)]
                .into_iter()
                .filter_map(|(what, d)| d.map(|d| resource(&format!("attempt/{n}/{what}"), &d)))
                .collect())
        })
        .step(DOING)?;
    attempts.collect::<Result<_, _>>().step(DOING)
}

/// The stored bundle, a line an envelope: file name → bytes of that file.
pub(crate) fn bundle_files(tx: &Transaction<'_>, digest: &str) -> Result<Files, RegistryError> {
    let bundle = get_text(tx, digest)?;
    Ok(EVIDENCE_FILES
        .iter()
        .zip(bundle.lines())
        .map(|((name, _), line)| ((*name).to_owned(), format!("{line}\n").into_bytes()))
        .collect())
}

/// The statements of a stored bundle; `None` where it is not one.
pub(crate) fn open_bundle(
    tx: &Transaction<'_>,
    digest: &str,
) -> Result<Option<Evidence>, RegistryError> {
    let bundle = get_text(tx, digest)?;
    let keys = crate::keys::home_keys(tx)?;
    let mut opened = bundle.lines().map(|line| {
        let envelope = Envelope::parse(line.as_bytes(), PAYLOAD_TYPE).ok()?;
        let key = match envelope.signer(&keys) {
            crate::dsse::Signer::Trusted(key) | crate::dsse::Signer::Unknown(key) => key,
            crate::dsse::Signer::Nobody => return None,
        };
        Some((
            key,
            serde_json::from_slice::<Value>(&envelope.payload).ok()?,
        ))
    });
    let (first, second) = (opened.next().flatten(), opened.next().flatten());
    Ok(first
        .zip(second)
        .map(|((key, test_result), (_, provenance))| Evidence {
            key: PublicKey::id(&key),
            test_result,
            provenance,
        }))
}

/// For a message about an approval in evidence.
impl std::fmt::Display for ApprovalEvidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ApprovalId(id) = self.approval.id;
        write!(f, "approval {id} by {}", self.approval.approver)
    }
}
