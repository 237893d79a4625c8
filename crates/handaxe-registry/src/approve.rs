//! From a waiting request to a registered version. `register` takes a `Granted`, which only
//! `grant` makes, in the same transaction: skipping approval does not compile.

use handaxe_types::{
    Approval, ApprovalId, ApprovalMethod, ApprovalRequest, ApprovalSignature, ApprovalState,
    Author, Draft, EventKind, Provenance, ProvisionalUse, ToolDigest, ToolName, ToolRef, Trial,
    Verdict, Version,
};
use rusqlite::{OptionalExtension as _, Transaction};
use serde::Serialize;
use serde_json::json;

use crate::error::{ApproveError, RegistryError, Step as _, Unfit, ViewError};
use crate::fitness::{signing_approver, unfit};
use crate::journal::{Entry, Row};
use crate::registry::{Registry, get_json};
use crate::search;
use crate::stored::{ApprovalRow, VersionRow};

/// A version that was just registered. Only this module makes one.
#[derive(Debug)]
pub struct RegisteredTool {
    tool: ToolName,
    version: Version,
    approval: Approval,
    view: Option<ViewError>,
}

impl RegisteredTool {
    pub fn name(&self) -> &ToolName {
        &self.tool
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn tool_ref(&self) -> ToolRef {
        ToolRef {
            name: self.tool.clone(),
            version: Some(self.version),
        }
    }

    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Why its folder could not be written, where that is so. It is registered all the same;
    /// [`Registry::rebuild_views`] writes the folder later.
    pub fn view_problem(&self) -> Option<&ViewError> {
        self.view.as_ref()
    }
}

/// A request, and how it was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalDetail {
    #[serde(flatten)]
    pub request: ApprovalRequest,
    pub author: String,
    pub approver: Option<String>,
    pub method: Option<String>,
    pub self_approved: bool,
    pub decided_ms: Option<i64>,
    pub reason: Option<String>,
    pub superseded_by: Option<ApprovalId>,
    /// The one use that was made of it while it waited.
    pub provisional: Option<ProvisionalUse>,
}

/// Everything that the card shows of a waiting draft.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proposal {
    pub approval: ApprovalDetail,
    pub draft: Draft,
    pub trial: Trial,
    pub verdict: Verdict,
}

/// A yes as it comes in.
#[derive(Clone, Copy)]
enum Yes<'a> {
    Said {
        approver: &'a str,
        method: ApprovalMethod,
    },
    Signed(&'a ApprovalSignature),
}

/// A yes that was checked; proof that `register` may go ahead.
struct Granted {
    approval: Approval,
    tool: VersionRow,
}

/// Deciding either changes something or is refused; a refusal is journalled, so it commits too.
type Decided<T> = Result<T, ApproveError>;

impl Registry {
    /// Ends a waiting request without a yes; its version can never run.
    pub(crate) fn close(
        &self,
        tx: &Transaction<'_>,
        row: &ApprovalRow,
        state: ApprovalState,
        by: &str,
        reason: &str,
    ) -> Result<(), RegistryError> {
        tx.execute(
            "UPDATE approval SET state = ?2, approver = ?3, decided_ms = ?4, reason = ?5
             WHERE id = ?1",
            (row.request.id.0, state.as_str(), by, self.now_ms(), reason),
        )
        .step("close the approval request")?;
        tx.execute(
            "UPDATE tool_version SET state = 'retired' WHERE id = ?1 AND state = 'pending'",
            [row.tool],
        )
        .step("retire the draft")?;
        self.append(
            tx,
            Entry {
                kind: EventKind::ApprovalRejected,
                subject: approval_subject(row.request.id),
                detail: json!({
                    "tool": row.request.tool,
                    "version": row.request.version,
                    "state": state,
                    "by": by,
                    "reason": reason,
                }),
                rows: &[
                    Row::new("tool_version", row.tool),
                    Row::new("approval", row.request.id.0),
                ],
            },
        )?;
        Ok(())
    }

    /// Says yes for `approver` to what `expected` is the digest of, and registers it, in one
    /// transaction, where the policy takes a yes that nobody signed. A refused yes is journalled.
    pub fn approve_and_register(
        &self,
        id: ApprovalId,
        expected: ToolDigest,
        approver: &str,
        method: ApprovalMethod,
    ) -> Result<RegisteredTool, ApproveError> {
        self.say_yes(id, expected, Yes::Said { approver, method })
    }

    /// The same by an approver's key ([`crate::ApproverKey::sign_approval`]); the approver is whom
    /// the key was enrolled for.
    pub fn approve_signed(
        &self,
        id: ApprovalId,
        expected: ToolDigest,
        signature: &ApprovalSignature,
    ) -> Result<RegisteredTool, ApproveError> {
        self.say_yes(id, expected, Yes::Signed(signature))
    }

    fn say_yes(
        &self,
        id: ApprovalId,
        expected: ToolDigest,
        yes: Yes<'_>,
    ) -> Result<RegisteredTool, ApproveError> {
        let decided = self.write("approve the draft", |tx| {
            let who = match yes {
                Yes::Said { approver, .. } => approver.to_owned(),
                Yes::Signed(signature) => format!("key {}", signature.key.short()),
            };
            let decided = self
                .grant(tx, id, expected, yes)
                .and_then(|granted| self.register(tx, granted));
            self.settle(tx, id, &who, decided)
        })?;
        let mut registered = decided?;
        registered.view = self
            .write_tool_view(&registered.tool, registered.version)
            .err();
        Ok(registered)
    }

    /// Opens a request again whose yes does not count any more (the policy asks for more now, or
    /// the key was revoked): the version waits, as it did before the yes.
    pub fn renew_approval(&self, id: ApprovalId) -> Result<ApprovalRequest, ApproveError> {
        self.write("open the approval again", |tx| {
            let row = ApprovalRow::by_id(tx, id)?.ok_or(ApproveError::NotFound(id))?;
            let tool = VersionRow::by_id(tx, row.tool)?;
            let request = &row.request;
            let decided = ApproveError::AlreadyDecided {
                id,
                state: request.state,
            };
            let Some(approval) = row.approval()?.filter(|_| tool.state.runs()) else {
                return Err(decided);
            };
            if unfit(tx, self.home_id(), self.policy(), request, &approval)?.is_none() {
                return Err(decided);
            }
            let lasts = request.expires_ms.saturating_sub(request.created_ms);
            tx.execute(
                "UPDATE approval SET state = 'waiting', expires_ms = ?2, approver = NULL,
                     method = NULL, self_approved = NULL, decided_ms = NULL WHERE id = ?1",
                (id.0, self.now_ms().saturating_add(lasts)),
            )
            .step("open the approval again")?;
            tx.execute(
                "UPDATE tool_version SET state = 'pending' WHERE id = ?1",
                [tool.id],
            )
            .step("take the tool back to waiting")?;
            search::index(tx, tool.id)?;
            self.append(
                tx,
                Entry {
                    kind: EventKind::ApprovalRequested,
                    subject: approval_subject(id),
                    detail: json!({ "tool": tool.name, "version": tool.version, "again": true }),
                    rows: &[
                        Row::new("approval", id.0),
                        Row::new("tool_version", tool.id),
                    ],
                },
            )?;
            Ok(approval_row(tx, id)?.request)
        })
    }

    /// Says no.
    pub fn reject(&self, id: ApprovalId, approver: &str, reason: &str) -> Result<(), ApproveError> {
        self.write("reject the draft", |tx| {
            let row = self.waiting(tx, id, approver);
            let decided = row.and_then(|row| {
                Ok(self.close(tx, &row, ApprovalState::Rejected, approver, reason)?)
            });
            self.settle(tx, id, approver, decided)
        })?
    }

    /// Journals a refusal, so that the transaction has something to commit; storage failures roll
    /// it back instead.
    fn settle<T>(
        &self,
        tx: &Transaction<'_>,
        id: ApprovalId,
        approver: &str,
        decided: Decided<T>,
    ) -> Result<Decided<T>, ApproveError> {
        match decided {
            Err(broken @ (ApproveError::Registry(_) | ApproveError::Key(_))) => Err(broken),
            Err(refusal) => {
                if let (ApproveError::Expired { .. }, Some(row)) =
                    (&refusal, ApprovalRow::by_id(tx, id)?)
                    && row.request.state == ApprovalState::Waiting
                {
                    self.close(tx, &row, ApprovalState::Expired, approver, "expired")?;
                }
                self.append(
                    tx,
                    Entry {
                        kind: EventKind::ApprovalRefused,
                        subject: approval_subject(id),
                        detail: json!({ "approver": approver, "reason": refusal.kind() }),
                        rows: &[],
                    },
                )?;
                Ok(Err(refusal))
            }
            granted => Ok(granted),
        }
    }

    fn waiting(
        &self,
        tx: &Transaction<'_>,
        id: ApprovalId,
        approver: &str,
    ) -> Result<ApprovalRow, ApproveError> {
        let row = ApprovalRow::by_id(tx, id)?.ok_or(ApproveError::NotFound(id))?;
        if approver.trim().is_empty() {
            return Err(ApproveError::NoApprover);
        }
        match row.request.state {
            ApprovalState::Waiting if self.now_ms() <= row.request.expires_ms => Ok(row),
            ApprovalState::Waiting | ApprovalState::Expired => Err(ApproveError::Expired { id }),
            state => Err(ApproveError::AlreadyDecided { id, state }),
        }
    }

    fn grant(
        &self,
        tx: &Transaction<'_>,
        id: ApprovalId,
        expected: ToolDigest,
        yes: Yes<'_>,
    ) -> Result<Granted, ApproveError> {
        let (approver, method, signature) = match yes {
            Yes::Said { approver, method } => (approver.to_owned(), method, None),
            Yes::Signed(signature) => {
                let key = signing_approver(tx, self.home_id(), self.policy(), signature.key)?
                    .map_err(|why| ApproveError::Unfit { id, why })?;
                (key.name, ApprovalMethod::Key, Some(signature.clone()))
            }
        };
        let row = self.waiting(tx, id, &approver)?;
        if expected != row.request.subject {
            return Err(ApproveError::DigestChanged { id });
        }
        let tool = VersionRow::by_id(tx, row.tool)?;
        let unchanged = Row::new("approval", id.0).unchanged(tx)?
            && Row::new("tool_version", tool.id).unchanged(tx)?
            && tool
                .substance(tx)
                .is_ok_and(|draft| draft.digest(tool.profile) == expected);
        if !unchanged {
            return Err(ApproveError::Tampered { id });
        }
        let provenance: Provenance = get_json(tx, "provenance", &tool.provenance)?;
        let self_approved = matches!(&provenance.author, Author::Person { name }
            if name.trim().eq_ignore_ascii_case(approver.trim()));
        let approval = Approval {
            id,
            subject: expected,
            approver,
            method,
            self_approved,
            at_ms: self.now_ms(),
            signature,
        };
        match unfit(tx, self.home_id(), self.policy(), &row.request, &approval)? {
            None => {}
            Some(Unfit::SelfApproval { approver }) => {
                return Err(ApproveError::SelfApproval { id, approver });
            }
            Some(why) => return Err(ApproveError::Unfit { id, why }),
        }
        tx.execute(
            "UPDATE approval SET state = 'approved', approver = ?2, method = ?3,
                 self_approved = ?4, decided_ms = ?5 WHERE id = ?1",
            (
                id.0,
                &approval.approver,
                method.as_str(),
                self_approved,
                approval.at_ms,
            ),
        )
        .step("record the approval")?;
        let mut rows = vec![Row::new("approval", id.0)];
        if let Some(signature) = &approval.signature {
            tx.execute(
                "INSERT INTO approval_signature (id, key, signature) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET key = excluded.key, signature = excluded.signature",
                (id.0, signature.key.to_string(), &signature.signature),
            )
            .step("record the approver's signature")?;
            rows.push(Row::new("approval_signature", id.0));
        }
        self.append(
            tx,
            Entry {
                kind: EventKind::ApprovalGranted,
                subject: approval_subject(id),
                detail: json!({
                    "tool": tool.name,
                    "version": tool.version,
                    "digest": expected,
                    "approver": approval.approver,
                    "method": method,
                    "self_approved": self_approved,
                    "key": approval.signature.as_ref().map(|s| s.key),
                }),
                rows: &rows,
            },
        )?;
        Ok(Granted { approval, tool })
    }

    fn register(
        &self,
        tx: &Transaction<'_>,
        granted: Granted,
    ) -> Result<RegisteredTool, ApproveError> {
        let Granted { approval, tool } = granted;
        let statement = self.attest(tx, &tool)?;
        // One that was taken back to waiting keeps the successor that it named.
        let deprecated = tool.successor.is_some();
        tx.execute(
            "UPDATE tool_version SET state = ?3, evidence = ?2 WHERE id = ?1",
            (
                tool.id,
                statement.to_string(),
                if deprecated { "deprecated" } else { "active" },
            ),
        )
        .step("register the tool")?;
        search::index(tx, tool.id)?;
        self.append(
            tx,
            Entry {
                kind: EventKind::ToolRegistered,
                subject: tool.tool_ref().to_string(),
                detail: json!({
                    "digest": approval.subject,
                    "approval": approval.id,
                    "evidence": statement,
                }),
                rows: &[Row::new("tool_version", tool.id)],
            },
        )?;
        Ok(RegisteredTool {
            tool: tool.name,
            version: tool.version,
            approval,
            view: None,
        })
    }

    pub fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalDetail>, RegistryError> {
        self.read(|tx| {
            ApprovalRow::by_id(tx, id)?
                .map(|row| detail(tx, self.now_ms(), row))
                .transpose()
        })
    }

    /// The draft, trial and verdict that a request is about.
    pub fn proposal(&self, id: ApprovalId) -> Result<Option<Proposal>, RegistryError> {
        self.read(|tx| {
            let Some(row) = ApprovalRow::by_id(tx, id)? else {
                return Ok(None);
            };
            let tool = VersionRow::by_id(tx, row.tool)?;
            Ok(Some(Proposal {
                draft: tool.draft(tx)?,
                trial: get_json(tx, "trial", &tool.trial)?,
                verdict: get_json(tx, "verdict", &tool.verdict)?,
                approval: detail(tx, self.now_ms(), row)?,
            }))
        })
    }

    pub(crate) fn approvals_of(
        &self,
        tx: &Transaction<'_>,
        tool: i64,
    ) -> Result<Vec<ApprovalDetail>, RegistryError> {
        ApprovalRow::select(tx, "a.tool = ?1 ORDER BY a.id DESC", [tool])?
            .into_iter()
            .map(|row| detail(tx, self.now_ms(), row))
            .collect()
    }

    /// Requests, newest first; those in one state, or all.
    pub fn approvals(
        &self,
        state: Option<ApprovalState>,
    ) -> Result<Vec<ApprovalDetail>, RegistryError> {
        self.read(|tx| {
            let rows = ApprovalRow::select(tx, "1 ORDER BY a.id DESC", [])?;
            let details = rows.into_iter().map(|row| detail(tx, self.now_ms(), row));
            let wanted = |d: &ApprovalDetail| state.is_none_or(|s| d.request.state == s);
            details
                .filter(|d| d.as_ref().map_or(true, wanted))
                .collect()
        })
    }
}

/// A request past its time is shown as expired, though no one has tried it since.
fn detail(
    tx: &Transaction<'_>,
    now_ms: i64,
    row: ApprovalRow,
) -> Result<ApprovalDetail, RegistryError> {
    let author = tx
        .query_row(
            "SELECT author FROM tool_version WHERE id = ?1",
            [row.tool],
            |r| r.get(0),
        )
        .optional()
        .step("read the author")?
        .unwrap_or_default();
    let mut request = row.request;
    let provisional = crate::provisional::use_of(tx, &request)?;
    if request.state == ApprovalState::Waiting && now_ms > request.expires_ms {
        request.state = ApprovalState::Expired;
    }
    Ok(ApprovalDetail {
        request,
        author,
        approver: row.approver,
        method: row.method,
        self_approved: row.self_approved,
        decided_ms: row.decided_ms,
        reason: row.reason,
        superseded_by: row.superseded_by,
        provisional,
    })
}

pub(crate) fn approval_row(
    tx: &Transaction<'_>,
    id: ApprovalId,
) -> Result<ApprovalRow, RegistryError> {
    ApprovalRow::by_id(tx, id)?.ok_or_else(|| crate::registry::unknown("approval", &id.to_string()))
}

pub(crate) fn approval_subject(id: ApprovalId) -> String {
    format!("approval {id}")
}
