//! Listing, showing, and the states of a registered version.

use handaxe_types::{
    Digest, EventKind, Provenance, RunId, Spec, ToolDigest, ToolName, ToolRef, ToolState, Trial,
    Verdict, Version,
};
use rusqlite::{OptionalExtension as _, Transaction};
use serde::Serialize;
use serde_json::json;

use crate::approve::ApprovalDetail;
use crate::error::{RegistryError, StateError, Step as _};
use crate::invocations::{ToolUsage, usage_of};
use crate::journal::{Entry, Row};
use crate::registry::{Registry, get_json, get_text};
use crate::search;
use crate::stored::{VersionRow, standing_approval};

/// A line of `tools list`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolSummary {
    pub name: ToolName,
    pub version: Version,
    pub state: ToolState,
    pub description: String,
    pub domain: String,
    pub author: String,
    pub why: String,
    pub created_ms: i64,
    pub successor: Option<String>,
    pub usage: ToolUsage,
}

/// Everything that `tools show` answers of one version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolDetail {
    #[serde(flatten)]
    pub summary: ToolSummary,
    pub digest: ToolDigest,
    pub profile: Digest,
    pub run: Option<RunId>,
    pub spec: Spec,
    pub code: String,
    pub cases: Vec<handaxe_types::Case>,
    pub provenance: Provenance,
    pub trial: Trial,
    pub verdict: Verdict,
    /// The in-toto statement; absent until it is registered.
    pub evidence: Option<crate::Evidence>,
    /// Newest first.
    pub approvals: Vec<ApprovalDetail>,
}

/// What may be done to a registered version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It still runs, is offered no more, and may name what replaces it.
    Deprecate {
        successor: Option<ToolRef>,
    },
    Retire,
    /// Back to active; only what was approved once.
    Restore,
    Quarantine,
    /// For good.
    Revoke,
}

impl StateChange {
    fn target(&self) -> ToolState {
        match self {
            Self::Deprecate { .. } => ToolState::Deprecated,
            Self::Retire => ToolState::Retired,
            Self::Restore => ToolState::Active,
            Self::Quarantine => ToolState::Quarantined,
            Self::Revoke => ToolState::Revoked,
        }
    }

    fn participle(&self) -> &'static str {
        match self {
            Self::Deprecate { .. } => "deprecated",
            Self::Retire => "retired",
            Self::Restore => "restored",
            Self::Quarantine => "quarantined",
            Self::Revoke => "revoked",
        }
    }
}

/// From → to. `Pending` is left only through approval, `Revoked` never.
const TRANSITIONS: &[(ToolState, &[ToolState])] = {
    use ToolState::{Active, Deprecated, Pending, Quarantined, Retired, Revoked};
    &[
        (Pending, &[]),
        (Active, &[Deprecated, Retired, Quarantined, Revoked]),
        (Deprecated, &[Active, Retired, Quarantined, Revoked]),
        (Retired, &[Active, Revoked]),
        (Quarantined, &[Active, Retired, Revoked]),
        (Revoked, &[]),
    ]
};

fn legal(from: ToolState, to: ToolState) -> bool {
    TRANSITIONS
        .iter()
        .any(|(f, targets)| *f == from && targets.contains(&to))
}

impl Registry {
    /// Changes the state of the version that `tool` names (without a version: the newest one that
    /// may be so changed), and says which it was.
    pub fn change_state(
        &self,
        tool: &ToolRef,
        change: &StateChange,
        reason: &str,
    ) -> Result<ToolRef, StateError> {
        self.write("change the tool's state", |tx| {
            let to = change.target();
            let row = pick(tx, tool, to)?;
            let tool = row.tool_ref();
            if !legal(row.state, to) {
                return Err(StateError::Illegal {
                    tool,
                    from: row.state,
                    to: change.participle(),
                });
            }
            if to.runs() && standing_approval(tx, row.id)?.is_none() {
                return Err(StateError::NeverApproved(tool));
            }
            let successor = match change {
                StateChange::Deprecate {
                    successor: Some(successor),
                } => Some(successor_of(tx, &row, successor)?.to_string()),
                _ => None,
            };
            tx.execute(
                "UPDATE tool_version SET state = ?2, successor = ?3 WHERE id = ?1",
                (row.id, to.as_str(), &successor),
            )
            .step("change the tool's state")?;
            search::index(tx, row.id)?;
            self.append(
                tx,
                Entry {
                    kind: EventKind::ToolStateChanged,
                    subject: tool.to_string(),
                    detail: json!({
                        "from": row.state,
                        "to": to,
                        "successor": successor,
                        "reason": reason,
                    }),
                    rows: &[Row::new("tool_version", row.id)],
                },
            )?;
            Ok(tool)
        })
    }

    /// Every version in one of `states` (all where it is empty), by name, newest version first.
    pub fn tools(&self, states: &[ToolState]) -> Result<Vec<ToolSummary>, RegistryError> {
        self.read(|tx| {
            VersionRow::select(tx, "?1 ORDER BY name, version DESC", true)?
                .into_iter()
                .filter(|row| states.is_empty() || states.contains(&row.state))
                .map(|row| Ok(summary(tx, &row)?.0))
                .collect()
        })
    }

    /// One version: the one named, or the newest active, or the newest of all.
    pub fn tool(&self, tool: &ToolRef) -> Result<Option<ToolDetail>, RegistryError> {
        self.read(|tx| {
            let versions = VersionRow::of_name(tx, &tool.name)?;
            let row = match tool.version {
                Some(version) => versions.iter().find(|v| v.version == version),
                None => versions
                    .iter()
                    .find(|v| v.state == ToolState::Active)
                    .or_else(|| versions.first()),
            };
            row.map(|row| self.tool_detail(tx, row)).transpose()
        })
    }

    /// The versions of a name, newest first.
    pub fn versions(&self, name: &ToolName) -> Result<Vec<ToolSummary>, RegistryError> {
        self.read(|tx| {
            VersionRow::of_name(tx, name)?
                .iter()
                .map(|row| Ok(summary(tx, row)?.0))
                .collect()
        })
    }

    fn tool_detail(
        &self,
        tx: &Transaction<'_>,
        row: &VersionRow,
    ) -> Result<ToolDetail, RegistryError> {
        let (summary, spec) = summary(tx, row)?;
        let evidence = row.evidence.as_deref();
        Ok(ToolDetail {
            summary,
            digest: row.subject,
            profile: row.profile,
            run: row.run.clone(),
            spec,
            code: get_text(tx, &row.code)?,
            cases: row.cases(tx)?,
            provenance: get_json(tx, "provenance", &row.provenance)?,
            trial: get_json(tx, "trial", &row.trial)?,
            verdict: get_json(tx, "verdict", &row.verdict)?,
            evidence: evidence
                .map(|e| crate::evidence::open_bundle(tx, e))
                .transpose()?
                .flatten(),
            approvals: self.approvals_of(tx, row.id)?,
        })
    }

    /// The newest active version made by the recipe with this digest (`Draft::recipe_digest`).
    pub fn find_by_recipe(&self, recipe: Digest) -> Result<Option<ToolRef>, RegistryError> {
        self.read(|tx| {
            let found = VersionRow::select(
                tx,
                "recipe = ?1 AND state = 'active' ORDER BY id DESC LIMIT 1",
                recipe.to_string(),
            )?;
            Ok(found.first().map(VersionRow::tool_ref))
        })
    }
}

fn summary(tx: &Transaction<'_>, row: &VersionRow) -> Result<(ToolSummary, Spec), RegistryError> {
    let spec = row.spec(tx)?;
    let summary = ToolSummary {
        name: row.name.clone(),
        version: row.version,
        state: row.state,
        description: spec.description.clone(),
        domain: spec.domain.clone(),
        author: row.author.clone(),
        why: row.why.clone(),
        created_ms: row.created_ms,
        successor: row.successor.clone(),
        usage: usage_of(tx, row.id)?,
    };
    Ok((summary, spec))
}

fn pick(tx: &Transaction<'_>, tool: &ToolRef, to: ToolState) -> Result<VersionRow, StateError> {
    let mut versions = VersionRow::of_name(tx, &tool.name)?;
    let wanted = match tool.version {
        Some(version) => versions.iter().position(|v| v.version == version),
        None => versions
            .iter()
            .position(|v| legal(v.state, to))
            .or_else(|| (!versions.is_empty()).then_some(0)),
    };
    wanted
        .map(|i| versions.swap_remove(i))
        .ok_or_else(|| StateError::NotFound(tool.clone()))
}

/// The successor as `name@version`: active, and not the deprecated version itself.
fn successor_of(
    tx: &Transaction<'_>,
    of: &VersionRow,
    successor: &ToolRef,
) -> Result<ToolRef, StateError> {
    let id: Option<(i64, u32)> = tx
        .query_row(
            "SELECT id, version FROM tool_version
             WHERE name = ?1 AND state = 'active' AND id <> ?2 AND (?3 IS NULL OR version = ?3)
             ORDER BY version DESC LIMIT 1",
            (
                successor.name.as_str(),
                of.id,
                successor.version.map(|v| v.0),
            ),
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .optional()
        .step("look for the successor")?;
    match id {
        Some((_, version)) => Ok(ToolRef {
            name: successor.name.clone(),
            version: Some(Version(version)),
        }),
        None => Err(StateError::NoSuccessor(successor.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, so that a changed rule shows in review.
    #[test]
    fn transitions() {
        use ToolState::{Active, Deprecated, Pending, Quarantined, Retired, Revoked};
        let all = [Pending, Active, Deprecated, Retired, Quarantined, Revoked];
        let drawn: Vec<String> = all
            .iter()
            .map(|from| {
                all.iter()
                    .map(|to| if legal(*from, *to) { 'x' } else { '.' })
                    .collect()
            })
            .collect();
        assert_eq!(
            drawn,
            ["......", "..xxxx", ".x.xxx", ".x...x", ".x.x.x", "......"]
        );
    }
}
