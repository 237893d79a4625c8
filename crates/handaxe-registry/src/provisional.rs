//! One use of a proved draft before a person decided on it, where the policy allows that: by the run
//! that made it, within minutes, and of tools that do nothing but read what they are given.
//!
//! It is no approval: the version stays pending, no other run, client or list sees it, and
//! [`Registry::load_approved`] refuses it as before. What may run is a [`Provisional`], which only
//! [`Registry::mint_provisional`] makes and which one answer uses up. It is in the database and the
//! journal before it is handed out, so a crash leaves a use that is spent.

use std::collections::BTreeMap;

use handaxe_types::{
    ApprovalId, ApprovalState, Asset, Capability, EventKind, Profile, ProvisionalUse, RunId, Spec,
    ToolDigest, ToolName, ToolRef, Version,
};
use rusqlite::{Connection, OptionalExtension as _, Transaction};
use serde_json::json;

use crate::approve::approval_subject;
use crate::error::{RegistryError, Step as _};
use crate::journal::{Entry, Row};
use crate::load::covers;
use crate::registry::{Registry, parse_digest, unknown};
use crate::stored::{ApprovalRow, VersionRow, parse_run};

/// Minutes in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// A draft that may be used for one answer though nobody approved it, with the very bytes that wait.
/// Neither cloned nor made anywhere else: whoever uses it gives it away.
#[derive(Debug)]
pub struct Provisional {
    id: i64,
    tool: i64,
    substance: handaxe_types::Draft,
    record: ProvisionalUse,
}

impl Provisional {
    pub fn name(&self) -> &ToolName {
        &self.record.tool
    }

    pub fn version(&self) -> Version {
        self.record.version
    }

    pub fn tool_ref(&self) -> ToolRef {
        ToolRef {
            name: self.record.tool.clone(),
            version: Some(self.record.version),
        }
    }

    pub fn spec(&self) -> &Spec {
        &self.substance.spec
    }

    /// `tool.py`.
    pub fn code(&self) -> &str {
        &self.substance.code
    }

    pub fn assets(&self) -> &BTreeMap<String, Asset> {
        &self.substance.assets
    }

    /// As the database has it: whose, for which run, until when.
    pub fn record(&self) -> &ProvisionalUse {
        &self.record
    }

    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    pub(crate) fn tool_id(&self) -> i64 {
        self.tool
    }
}

/// Why a draft is not used before it is approved. Refusals are journalled.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionalError {
    #[error("the policy allows no use before approval")]
    Off,
    #[error("there is no approval {0}")]
    NotFound(ApprovalId),
    #[error("approval {id} is {}: nothing waits", state.as_str())]
    Decided {
        id: ApprovalId,
        state: ApprovalState,
    },
    #[error("approval {id} expired")]
    Expired { id: ApprovalId },
    #[error("approval {id} is for another digest than the one that was proved here")]
    DigestChanged { id: ApprovalId },
    #[error("approval {id} waits for another run's tool: only the run that made it may use it")]
    OtherRun { id: ApprovalId },
    #[error("`{tool}` asks for more than to read what it is given: {}", words(.capabilities))]
    Capability {
        tool: ToolRef,
        capabilities: Vec<Capability>,
    },
    /// By this run, under this request, or of these bytes under another.
    #[error("it was used once already while it waited, by run {run}")]
    Spent { run: RunId },
    #[error("these very bytes were rejected before (approval {id})")]
    RejectedBefore { id: ApprovalId },
    #[error("the {minutes} minutes of its use are over")]
    Late { minutes: i64 },
    #[error("it was proved under another sandbox profile than this one")]
    Profile,
    #[error("the record of approval {id} was changed behind the journal")]
    Tampered { id: ApprovalId },
    #[error("whoever asks for it has a name")]
    Nobody,
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

fn words(capabilities: &[Capability]) -> String {
    let words: Vec<&str> = capabilities.iter().map(|c| c.as_str()).collect();
    words.join(", ")
}

impl ProvisionalError {
    pub fn hint(&self) -> String {
        match self {
            Self::Off => {
                "`while_waiting_minutes = 30` under `[approval]` in policy.toml allows it".into()
            }
            Self::NotFound(_) => "`handaxe approvals list`".into(),
            Self::Decided { id, .. }
            | Self::Expired { id }
            | Self::DigestChanged { id }
            | Self::OtherRun { id }
            | Self::RejectedBefore { id } => format!("`handaxe approvals show {id}`"),
            Self::Capability { .. } | Self::Spent { .. } | Self::Late { .. } | Self::Profile => {
                "a person's yes gives its answers: `handaxe approvals list`".into()
            }
            Self::Tampered { .. } => "`handaxe audit verify`".into(),
            Self::Nobody => "sign in, or give the login a name".into(),
            Self::Registry(e) => e.hint().into(),
        }
    }

    /// A stable word for the journal and for `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Off => "while_waiting_off",
            Self::NotFound(_) => "not_found",
            Self::Decided { .. } => "already_decided",
            Self::Expired { .. } => "expired",
            Self::DigestChanged { .. } => "digest_changed",
            Self::OtherRun { .. } => "other_run",
            Self::Capability { .. } => "capability",
            Self::Spent { .. } => "used_already",
            Self::RejectedBefore { .. } => "rejected_before",
            Self::Late { .. } => "late",
            Self::Profile => "profile_mismatch",
            Self::Tampered { .. } => "tampered",
            Self::Nobody => "no_approver",
            Self::Registry(_) => "registry",
        }
    }
}

impl Registry {
    /// The one use of what waits under `id`, for `run`, which made it, on the word of the person
    /// `asked_by`. `expected` is the digest that the run proved. Recorded when it returns; a refusal
    /// is journalled.
    pub fn mint_provisional(
        &self,
        id: ApprovalId,
        expected: ToolDigest,
        run: &RunId,
        asked_by: &str,
        profile: &Profile,
    ) -> Result<Provisional, ProvisionalError> {
        self.write("record a use before approval", |tx| {
            match self.mint(tx, id, expected, run, asked_by, profile) {
                Err(broken @ ProvisionalError::Registry(_)) => Err(broken),
                Err(refused) => {
                    self.deny(tx, id, run, &refused)?;
                    Ok(Err(refused))
                }
                minted => Ok(minted),
            }
        })?
    }

    /// Whether [`Self::mint_provisional`] would allow it now. Nothing is recorded.
    pub fn may_use_while_waiting(
        &self,
        id: ApprovalId,
        run: &RunId,
        profile: &Profile,
    ) -> Result<bool, RegistryError> {
        self.read(|tx| {
            let Some(row) = ApprovalRow::by_id(tx, id)? else {
                return Ok(false);
            };
            match self.waits(tx, id, row.request.subject, run, profile) {
                Ok(_) => Ok(true),
                Err(ProvisionalError::Registry(broken)) => Err(broken),
                Err(_) => Ok(false),
            }
        })
    }

    /// Asked before each call under it: whether what was minted still waits, unchanged, in time.
    pub fn still_provisional(&self, minted: &Provisional) -> Result<(), ProvisionalError> {
        let id = minted.record.approval;
        self.read(|tx| {
            let row = self.undecided(tx, id)?;
            if row.request.subject != minted.record.digest {
                return Err(ProvisionalError::DigestChanged { id });
            }
            if self.now_ms() > minted.record.until_ms {
                return Err(self.late());
            }
            let rows = [
                Row::new("approval", id.0),
                Row::new("tool_version", minted.tool),
                Row::new("provisional_use", minted.id),
            ];
            for row in rows {
                if !row.unchanged(tx)? {
                    return Err(ProvisionalError::Tampered { id });
                }
            }
            Ok(())
        })
    }

    fn late(&self) -> ProvisionalError {
        ProvisionalError::Late {
            minutes: self.policy().while_waiting_minutes.into(),
        }
    }

    fn undecided(
        &self,
        tx: &Transaction<'_>,
        id: ApprovalId,
    ) -> Result<ApprovalRow, ProvisionalError> {
        let row = ApprovalRow::by_id(tx, id)?.ok_or(ProvisionalError::NotFound(id))?;
        match row.request.state {
            ApprovalState::Waiting if self.now_ms() <= row.request.expires_ms => Ok(row),
            ApprovalState::Waiting | ApprovalState::Expired => {
                Err(ProvisionalError::Expired { id })
            }
            state => Err(ProvisionalError::Decided { id, state }),
        }
    }

    /// Everything that has to hold, but that a person asks.
    fn waits(
        &self,
        tx: &Transaction<'_>,
        id: ApprovalId,
        expected: ToolDigest,
        run: &RunId,
        profile: &Profile,
    ) -> Result<(ApprovalRow, VersionRow, handaxe_types::Draft), ProvisionalError> {
        if self.policy().while_waiting_minutes == 0 {
            return Err(ProvisionalError::Off);
        }
        let row = self.undecided(tx, id)?;
        if row.request.subject != expected {
            return Err(ProvisionalError::DigestChanged { id });
        }
        if row.request.run.as_ref() != Some(run) {
            return Err(ProvisionalError::OtherRun { id });
        }
        if let Some(used) = spent(tx, &row, run)? {
            return Err(ProvisionalError::Spent { run: used });
        }
        let rejected = ApprovalRow::select(
            tx,
            "a.subject = ?1 AND a.state = 'rejected' ORDER BY a.id",
            [expected.to_string()],
        )?;
        if let Some(before) = rejected.first() {
            let id = before.request.id;
            return Err(ProvisionalError::RejectedBefore { id });
        }
        let tool = VersionRow::by_id(tx, row.tool)?;
        let unchanged = Row::new("approval", id.0).unchanged(tx)?
            && Row::new("tool_version", tool.id).unchanged(tx)?;
        let substance = tool.substance(tx).ok().filter(|s| {
            unchanged && s.digest(tool.profile) == expected && s.spec.name == tool.name
        });
        let Some(substance) = substance else {
            return Err(ProvisionalError::Tampered { id });
        };
        let beyond = |c: &&Capability| **c != Capability::ReadFiles;
        let more: Vec<Capability> = (substance.spec.capabilities.iter())
            .filter(beyond)
            .copied()
            .collect();
        if !more.is_empty() {
            return Err(ProvisionalError::Capability {
                tool: tool.tool_ref(),
                capabilities: more,
            });
        }
        if tool.profile != profile.digest() && !covers(tx, &tool, profile)? {
            return Err(ProvisionalError::Profile);
        }
        Ok((row, tool, substance))
    }

    fn mint(
        &self,
        tx: &Transaction<'_>,
        id: ApprovalId,
        expected: ToolDigest,
        run: &RunId,
        asked_by: &str,
        profile: &Profile,
    ) -> Result<Provisional, ProvisionalError> {
        if asked_by.trim().is_empty() {
            return Err(ProvisionalError::Nobody);
        }
        let (row, tool, substance) = self.waits(tx, id, expected, run, profile)?;
        let at_ms = self.now_ms();
        let minutes = i64::from(self.policy().while_waiting_minutes);
        let until_ms = row.request.expires_ms.min(at_ms + minutes * MINUTE_MS);
        let asked_by = self.redactor().text(asked_by).into_owned();
        tx.execute(
            "INSERT INTO provisional_use (approval, tool, subject, run, asked_by, at_ms, until_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                id.0,
                tool.id,
                expected.to_string(),
                run.as_str(),
                &asked_by,
                at_ms,
                until_ms,
            ),
        )
        .step("record a use before approval")?;
        let minted = tx.last_insert_rowid();
        self.append(
            tx,
            Entry {
                kind: EventKind::ProvisionalGranted,
                subject: approval_subject(id),
                detail: json!({
                    "tool": tool.name,
                    "version": tool.version,
                    "digest": expected,
                    "run": run,
                    "asked_by": asked_by,
                    "until_ms": until_ms,
                }),
                rows: &[Row::new("provisional_use", minted)],
            },
        )?;
        Ok(Provisional {
            id: minted,
            tool: tool.id,
            substance,
            record: ProvisionalUse {
                tool: tool.name,
                version: tool.version,
                digest: expected,
                approval: id,
                run: run.clone(),
                asked_by,
                at_ms,
                until_ms,
            },
        })
    }

    fn deny(
        &self,
        tx: &Transaction<'_>,
        id: ApprovalId,
        run: &RunId,
        refused: &ProvisionalError,
    ) -> Result<(), RegistryError> {
        self.append(
            tx,
            Entry {
                kind: EventKind::RunDenied,
                subject: approval_subject(id),
                detail: json!({ "provisional": true, "run": run, "reason": refused.kind() }),
                rows: &[],
            },
        )?;
        Ok(())
    }
}

/// The run that had the one use already.
fn spent(
    conn: &Connection,
    row: &ApprovalRow,
    run: &RunId,
) -> Result<Option<RunId>, RegistryError> {
    let request = &row.request;
    let used: Option<String> = conn
        .prepare_cached(
            "SELECT run FROM provisional_use WHERE approval = ?1 OR run = ?2 OR subject = ?3",
        )
        .and_then(|mut s| {
            s.query_row(
                (request.id.0, run.as_str(), request.subject.to_string()),
                |r| r.get(0),
            )
            .optional()
        })
        .step("look for a use before approval")?;
    used.map(|run| parse_run(&run)).transpose()
}

/// The use that was made of what `approval` is about, if any.
pub(crate) fn use_of(
    conn: &Connection,
    approval: &handaxe_types::ApprovalRequest,
) -> Result<Option<ProvisionalUse>, RegistryError> {
    type Columns = (String, String, String, i64, i64);
    let found: Option<Columns> = conn
        .prepare_cached(
            "SELECT subject, run, asked_by, at_ms, until_ms FROM provisional_use
             WHERE approval = ?1",
        )
        .and_then(|mut s| {
            s.query_row([approval.id.0], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
            })
            .optional()
        })
        .step("read a use before approval")?;
    let Some((subject, run, asked_by, at_ms, until_ms)) = found else {
        return Ok(None);
    };
    Ok(Some(ProvisionalUse {
        tool: approval.tool.clone(),
        version: approval.version,
        digest: ToolDigest(parse_digest("digest of a use before approval", &subject)?),
        approval: approval.id,
        run: RunId::parse(&run).ok_or_else(|| unknown("run id", &run))?,
        asked_by,
        at_ms,
        until_ms,
    }))
}
