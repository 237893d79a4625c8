//! What changed from one version of a tool to another.

use handaxe_agent::text_diff;
use handaxe_registry::ToolDetail;
use handaxe_types::{ToolName, ToolRef, Version};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::service::{Service, ServiceError};

/// Unified diffs, empty where nothing changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VersionDiff {
    #[schema(value_type = String)]
    pub(crate) name: ToolName,
    #[schema(value_type = u32, minimum = 1)]
    pub(crate) from: Version,
    #[schema(value_type = u32, minimum = 1)]
    pub(crate) to: Version,
    pub(crate) code: String,
    pub(crate) input_schema: String,
    pub(crate) output_schema: String,
    /// Description, domain, capabilities, limits, determinism.
    pub(crate) promise: String,
    /// Every row of either score card whose figure or standing differs.
    pub(crate) scores: Vec<ScoreChange>,
}

/// A row of the score card, before and after; absent where that version has no such row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ScoreChange {
    pub(crate) name: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

impl Service {
    /// From one version to another, in this order, whichever is newer.
    pub(crate) fn version_diff(
        &self,
        name: &ToolName,
        from: Version,
        to: Version,
    ) -> Result<VersionDiff, ServiceError> {
        let old = self.tool_detail(&exactly(name, from))?;
        let new = self.tool_detail(&exactly(name, to))?;
        let diff = |file: &str, part: fn(&ToolDetail) -> String| {
            text_diff(
                &part(&old),
                &part(&new),
                &format!("{name}@{from}/{file}"),
                &format!("{name}@{to}/{file}"),
            )
        };
        Ok(VersionDiff {
            name: name.clone(),
            from,
            to,
            code: diff("tool.py", |d| d.code.clone()),
            input_schema: diff("input", |d| format!("{:#}\n", d.spec.input_schema)),
            output_schema: diff("output", |d| format!("{:#}\n", d.spec.output_schema)),
            promise: diff("spec", |d| {
                let spec = &d.spec;
                let promise = json!({
                    "description": spec.description, "domain": spec.domain,
                    "capabilities": spec.capabilities, "limits": spec.limits,
                    "deterministic": spec.deterministic,
                });
                format!("{promise:#}\n")
            }),
            scores: score_changes(&old, &new),
        })
    }
}

fn exactly(name: &ToolName, version: Version) -> ToolRef {
    ToolRef {
        name: name.clone(),
        version: Some(version),
    }
}

fn score_changes(old: &ToolDetail, new: &ToolDetail) -> Vec<ScoreChange> {
    let (before, after) = (&old.verdict.card, &new.verdict.card);
    let value = |card: &[handaxe_types::ScoreRow], name: &str| {
        let row = card.iter().find(|r| r.name == name);
        row.map(|r| r.value.clone())
    };
    let names = before.iter().chain(
        after
            .iter()
            .filter(|row| !before.iter().any(|b| b.name == row.name)),
    );
    names
        .map(|row| ScoreChange {
            name: row.name.clone(),
            from: value(before, &row.name),
            to: value(after, &row.name),
        })
        .filter(|change| change.from != change.to)
        .collect()
}
