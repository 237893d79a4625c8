//! The only way to a tool that can run.

use std::collections::BTreeMap;
use std::sync::Arc;

use handaxe_types::{
    Approval, ApprovalId, Asset, Digest, Draft, EventKind, Profile, Spec, ToolDigest, ToolName,
    ToolRef, ToolState, Trial, Version,
};
use rusqlite::Transaction;
use serde_json::json;

use crate::error::{LoadError, RegistryError};
use crate::fitness::unfit;
use crate::journal::{Entry, Row};
use crate::registry::{Registry, get_json};
use crate::stored::{ApprovalRow, VersionRow, standing, standing_approval};

/// A version that was approved, with the very bytes that were. Only [`Registry::load_approved`]
/// makes one; holding it is the proof.
#[derive(Clone, Debug)]
pub struct ApprovedTool(Arc<Held>);

#[derive(Debug)]
struct Held {
    id: i64,
    version: Version,
    digest: ToolDigest,
    profile: Digest,
    approval: Approval,
    substance: Draft,
    state: ToolState,
    successor: Option<ToolRef>,
}

impl ApprovedTool {
    pub fn name(&self) -> &ToolName {
        &self.0.substance.spec.name
    }

    pub fn version(&self) -> Version {
        self.0.version
    }

    pub fn tool_ref(&self) -> ToolRef {
        ToolRef {
            name: self.name().clone(),
            version: Some(self.0.version),
        }
    }

    pub fn spec(&self) -> &Spec {
        &self.0.substance.spec
    }

    /// `tool.py`.
    pub fn code(&self) -> &str {
        &self.0.substance.code
    }

    pub fn assets(&self) -> &BTreeMap<String, Asset> {
        &self.0.substance.assets
    }

    /// Recomputed from the bytes above when it was loaded.
    pub fn digest(&self) -> ToolDigest {
        self.0.digest
    }

    /// The sandbox profile that it was approved under.
    pub fn profile(&self) -> Digest {
        self.0.profile
    }

    pub fn approval(&self) -> &Approval {
        &self.0.approval
    }

    /// Active, or deprecated: then [`Self::successor`] may name what to use instead.
    pub fn state(&self) -> ToolState {
        self.0.state
    }

    pub fn successor(&self) -> Option<&ToolRef> {
        self.0.successor.as_ref()
    }

    pub(crate) fn row_id(&self) -> i64 {
        self.0.id
    }
}

impl Registry {
    /// Loads a version for running under the sandbox `profile`, which must be the one that it was
    /// approved under or a stricter one ([`Profile::covers`]): the version named, or the newest
    /// active one (else the newest deprecated one) of the name. A denial is journalled.
    pub fn load_approved(
        &self,
        tool: &ToolRef,
        profile: &Profile,
    ) -> Result<ApprovedTool, LoadError> {
        let loaded = &self.inner.loaded;
        let found = self.read_via(|tx, via| {
            let stamp = loaded.stamp(tx, via)?;
            if let Some(found) = loaded.find(stamp, tool, profile, &self.policy) {
                return Ok(found);
            }
            let found = load(self, tx, tool, profile)?;
            loaded.keep(stamp, tool, profile, &self.policy, &found);
            Ok(found)
        });
        let denied = match found {
            Err(e @ (LoadError::NotFound { .. } | LoadError::Registry(_))) => return Err(e),
            Err(denied) => denied,
            loaded => return loaded,
        };
        self.write::<_, RegistryError>("record the denied run", |tx| {
            self.append(
                tx,
                Entry {
                    kind: EventKind::RunDenied,
                    subject: tool.to_string(),
                    detail: json!({ "reason": denied.kind() }),
                    rows: &[],
                },
            )
        })?;
        Err(denied)
    }
}

fn load(
    registry: &Registry,
    tx: &Transaction<'_>,
    tool: &ToolRef,
    profile: &Profile,
) -> Result<ApprovedTool, LoadError> {
    let row = choose(tx, tool)?;
    let tool = row.tool_ref();
    if !row.state.runs() {
        let waiting = waiting(tx, row.id)?;
        return Err(match row.state {
            ToolState::Pending => LoadError::NotApproved { tool, waiting },
            state => LoadError::State { tool, state },
        });
    }
    let Some((request, approval)) = standing(tx, row.id)? else {
        let waiting = waiting(tx, row.id)?;
        return Err(LoadError::NotApproved { tool, waiting });
    };
    let substance = match row.substance(tx) {
        Ok(substance) => substance,
        Err(
            RegistryError::BlobDamaged { .. }
            | RegistryError::Unreadable { .. }
            | RegistryError::UnknownWord { .. },
        ) => return Err(LoadError::DigestMismatch { tool }),
        Err(e) => return Err(e.into()),
    };
    let digest = substance.digest(row.profile);
    if digest != approval.subject || digest != row.subject || substance.spec.name != row.name {
        return Err(LoadError::DigestMismatch { tool });
    }
    if row.profile != profile.digest() && !covers(tx, &row, profile)? {
        return Err(LoadError::ProfileMismatch {
            tool,
            approved: row.profile,
            given: Box::new(profile.clone()),
        });
    }
    if let Some(why) = unfit(
        tx,
        registry.home_id(),
        registry.policy(),
        &request,
        &approval,
    )? {
        let id = approval.id;
        return Err(LoadError::Unfit { tool, id, why });
    }
    let recorded = Row::new("tool_version", row.id).unchanged(tx)?
        && Row::new("approval", approval.id.0).unchanged(tx)?;
    if !recorded {
        return Err(LoadError::Tampered { tool });
    }
    Ok(ApprovedTool(Arc::new(Held {
        id: row.id,
        version: row.version,
        digest,
        profile: row.profile,
        approval,
        substance,
        state: row.state,
        successor: row.successor.as_deref().and_then(|s| s.parse().ok()),
    })))
}

/// Whether the profile is stricter than the one that the version was tried under. What that one was
/// stands in the trial; it is believed only where it makes the digest that the approval binds.
pub(crate) fn covers(
    tx: &Transaction<'_>,
    row: &VersionRow,
    profile: &Profile,
) -> Result<bool, RegistryError> {
    let trial: Trial = match get_json(tx, "trial", &row.trial) {
        Ok(trial) => trial,
        Err(RegistryError::BlobDamaged { .. } | RegistryError::Unreadable { .. }) => {
            return Ok(false);
        }
        Err(e) => return Err(e),
    };
    let approved = trial.sandbox.filter(|p| p.digest() == row.profile);
    Ok(approved.is_some_and(|approved| profile.covers(&approved)))
}

/// The version that a reference means.
fn choose(tx: &Transaction<'_>, tool: &ToolRef) -> Result<VersionRow, LoadError> {
    let mut versions = VersionRow::of_name(tx, &tool.name)?;
    let wanted = match tool.version {
        Some(version) => versions.iter().position(|v| v.version == version),
        None => [ToolState::Active, ToolState::Deprecated, ToolState::Pending]
            .into_iter()
            .find_map(|state| versions.iter().position(|v| v.state == state))
            .or_else(|| (!versions.is_empty()).then_some(0)),
    };
    wanted
        .map(|i| versions.swap_remove(i))
        .ok_or_else(|| LoadError::NotFound { tool: tool.clone() })
}

fn waiting(tx: &Transaction<'_>, tool: i64) -> Result<Option<ApprovalId>, RegistryError> {
    let rows = ApprovalRow::select(
        tx,
        "a.tool = ?1 AND a.state = 'waiting' ORDER BY a.id DESC",
        [tool],
    )?;
    Ok(rows.first().map(|row| row.request.id))
}

/// For `verify`: the first version whose stored bytes do not make its digest, and why.
pub(crate) fn subjects_agree(
    tx: &Transaction<'_>,
) -> Result<Option<(String, &'static str)>, RegistryError> {
    for row in VersionRow::select(tx, "?1 ORDER BY id", true)? {
        let makes = row.substance(tx).map(|s| s.digest(row.profile));
        let approval = standing_approval(tx, row.id)?;
        let reason = match makes {
            Ok(digest) if digest != row.subject => "its stored bytes do not make its digest",
            Err(RegistryError::BlobDamaged { .. }) => "some of its bytes are missing",
            Err(e) => return Err(e),
            Ok(digest) if approval.as_ref().is_some_and(|a| a.subject != digest) => {
                "its approval is for another digest"
            }
            Ok(_) if row.state.runs() && approval.is_none() => "it runs without an approval",
            Ok(_) => continue,
        };
        return Ok(Some((format!("tool_version/{}", row.id), reason)));
    }
    Ok(None)
}
