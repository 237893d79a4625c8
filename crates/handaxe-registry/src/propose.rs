//! From an accepting verdict to a request that waits for a person. What is not proved is not
//! even shown to one.

use handaxe_types::{
    ApprovalId, ApprovalRequest, ApprovalState, CaseResult, Draft, EventKind, Origin, RunId,
    ToolDigest, ToolName, Trial, Verdict,
};
use rusqlite::Transaction;
use serde_json::json;

use crate::approve::{approval_row, approval_subject};
use crate::error::{ProposeError, RegistryError, Step as _};
use crate::journal::{Entry, Row};
use crate::registry::{Registry, put_blob, put_json};
use crate::stored::{ApprovalRow, author_name, run_exists};

impl Registry {
    /// Puts a proved draft before a person, as the next version of its name, `pending`.
    /// `draft.cases` should be all the cases of the trial, whoever wrote them: they become the
    /// tool's `cases.jsonl` (the digest does not cover them). Proposing
    /// the same draft again within a run returns the same request, so a resumed run may; another
    /// draft of the same name within a run takes the place of the one before.
    pub fn propose(
        &self,
        draft: &Draft,
        trial: &Trial,
        verdict: &Verdict,
        run: Option<&RunId>,
        expires_ms: i64,
    ) -> Result<ApprovalRequest, ProposeError> {
        let subject = check_proposal(draft, trial, verdict)?;
        self.write("propose the draft", |tx| {
            if let Some(run) = run {
                if !run_exists(tx, run)? {
                    return Err(ProposeError::UnknownRun(run.clone()));
                }
                let same = ApprovalRow::select(
                    tx,
                    "a.run = ?1 AND a.subject = ?2 AND t.name = ?3
                     AND a.state IN ('waiting', 'approved') ORDER BY a.id DESC",
                    (run.as_str(), subject.to_string(), draft.spec.name.as_str()),
                )?;
                if let Some(row) = same.into_iter().next() {
                    return Ok(row.request);
                }
            }
            crate::names::check(tx, &draft.spec.name)?;
            let tool = self.insert_version(tx, draft, trial, verdict, run, subject)?;
            let now = self.now_ms();
            tx.execute(
                "INSERT INTO approval (tool, subject, run, state, created_ms, expires_ms)
                 VALUES (?1, ?2, ?3, 'waiting', ?4, ?5)",
                (
                    tool,
                    subject.to_string(),
                    run.map(RunId::as_str),
                    now,
                    expires_ms,
                ),
            )
            .step("store the approval request")?;
            let id = ApprovalId(tx.last_insert_rowid());
            if let Some(run) = run {
                self.supersede(tx, run, &draft.spec.name, id)?;
            }
            let request = approval_row(tx, id)?.request;
            self.append(
                tx,
                Entry {
                    kind: EventKind::ApprovalRequested,
                    subject: approval_subject(id),
                    detail: json!({
                        "tool": draft.spec.name,
                        "version": request.version,
                        "digest": subject,
                        "author": author_name(&draft.provenance.author),
                        "run": run,
                    }),
                    rows: &[Row::new("tool_version", tool), Row::new("approval", id.0)],
                },
            )?;
            Ok(request)
        })
    }

    fn insert_version(
        &self,
        tx: &Transaction<'_>,
        draft: &Draft,
        trial: &Trial,
        verdict: &Verdict,
        run: Option<&RunId>,
        subject: ToolDigest,
    ) -> Result<i64, RegistryError> {
        let assets = draft
            .assets
            .iter()
            .map(|(name, asset)| Ok((name.clone(), json!(put_blob(tx, &asset.0)?))))
            .collect::<Result<serde_json::Map<_, _>, RegistryError>>()?;
        let cases = crate::views::case_lines(draft.cases.iter())?;
        tx.execute(
            "INSERT INTO tool_version (name, version, state, subject, profile, recipe, code, spec,
                 cases, assets, provenance, trial, verdict, author, why, run, created_ms)
             VALUES (?1,
                 (SELECT coalesce(max(version), 0) + 1 FROM tool_version WHERE name = ?1),
                 'pending', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            rusqlite::params![
                draft.spec.name.as_str(),
                subject.to_string(),
                trial.profile.to_string(),
                draft.recipe_digest().map(|d| d.to_string()),
                put_blob(tx, draft.code.as_bytes())?.to_string(),
                put_json(tx, "spec", &draft.spec)?.to_string(),
                put_blob(tx, cases.as_bytes())?.to_string(),
                serde_json::Value::Object(assets).to_string(),
                put_json(tx, "provenance", &draft.provenance)?.to_string(),
                put_json(tx, "trial", trial)?.to_string(),
                put_json(tx, "verdict", verdict)?.to_string(),
                author_name(&draft.provenance.author),
                draft.provenance.why,
                run.map(RunId::as_str),
                self.now_ms(),
            ],
        )
        .step("store the draft")?;
        Ok(tx.last_insert_rowid())
    }

    /// An edited draft was proposed: what waited of the same run and name waits no more.
    fn supersede(
        &self,
        tx: &Transaction<'_>,
        run: &RunId,
        name: &ToolName,
        by: ApprovalId,
    ) -> Result<(), RegistryError> {
        let waiting = ApprovalRow::select(
            tx,
            "a.run = ?1 AND t.name = ?2 AND a.state = 'waiting' AND a.id <> ?3",
            (run.as_str(), name.as_str(), by.0),
        )?;
        for row in waiting {
            tx.execute(
                "UPDATE approval SET superseded_by = ?2 WHERE id = ?1",
                (row.request.id.0, by.0),
            )
            .step("supersede the approval request")?;
            let reason = format!("superseded by approval {by}");
            self.close(tx, &row, ApprovalState::Rejected, self.actor(), &reason)?;
        }
        Ok(())
    }
}

/// Only an accepting verdict, over at least one case, about this very draft under one profile.
fn check_proposal(
    draft: &Draft,
    trial: &Trial,
    verdict: &Verdict,
) -> Result<ToolDigest, ProposeError> {
    if !verdict.accepted {
        return Err(ProposeError::Refused);
    }
    let mut counted = trial.cases.iter().filter(|c| c.withdrawn.is_none());
    if !counted.clone().any(|c| c.passed) {
        return Err(ProposeError::NoCases);
    }
    if let Some(failed) = counted.find(|c| !c.passed) {
        return Err(ProposeError::Contradicted {
            case: failed.name.clone(),
        });
    }
    let golden = |c: &&CaseResult| c.origin == Origin::User && c.withdrawn.is_some();
    if let Some(withdrawn) = trial.cases.iter().find(golden) {
        return Err(ProposeError::Contradicted {
            case: withdrawn.name.clone(),
        });
    }
    let subject = draft.digest(trial.profile);
    for (what, found) in [("trial", trial.subject), ("verdict", verdict.subject)] {
        if found != subject {
            return Err(ProposeError::SubjectMismatch { what });
        }
    }
    match draft.assets.keys().find(|name| !plain_name(name)) {
        Some(name) => Err(ProposeError::AssetName(
            name.chars().take(80).flat_map(char::escape_debug).collect(),
        )),
        None => Ok(subject),
    }
}

/// One component that means the same on every file system.
fn plain_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
