//! Everything that a tool's page shows of one version.

use std::collections::BTreeMap;

use handaxe_registry::{
    Inspection, Invocation, RunSummary, ToolDetail, ToolSummary, inspect_folder,
};
use handaxe_types::{RunId, ToolRef};

use super::UsageDay;
use crate::service::{Service, ServiceError};

/// Days of use that a page shows.
pub(crate) const PAGE_DAYS: i64 = 90;
/// Calls that a page lists.
const MOST_CALLS: u32 = 500;

pub(crate) struct ToolView {
    pub(crate) detail: ToolDetail,
    /// All of the name, newest first.
    pub(crate) versions: Vec<ToolSummary>,
    /// Its folder as a doubter finds it; `None` where it was never registered.
    pub(crate) inspection: Option<Inspection>,
    /// The last 90 days, oldest first.
    pub(crate) days: Vec<UsageDay>,
    /// The newest calls, newest first.
    pub(crate) calls: Vec<Invocation>,
    /// Runs whose answers rest on it, newest first, with the number of its calls.
    pub(crate) runs: Vec<(RunSummary, usize)>,
    /// Tools that name it as what takes their place.
    pub(crate) replaces: Vec<ToolRef>,
}

impl Service {
    /// The version that `tool` names; without one the newest that runs, else the newest.
    pub(crate) fn tool_view(&self, tool: &ToolRef) -> Result<Option<ToolView>, ServiceError> {
        let registry = self.registry();
        let versions = registry.versions(&tool.name)?;
        let newest = || {
            let runs = versions.iter().find(|v| v.state.runs());
            runs.or_else(|| versions.first()).map(|v| v.version)
        };
        let Some(version) = tool.version.or_else(newest) else {
            return Ok(None);
        };
        let exact = ToolRef {
            name: tool.name.clone(),
            version: Some(version),
        };
        let Some(detail) = registry.tool(&exact)? else {
            return Ok(None);
        };
        let keys = registry.home_keys()?;
        let folder = registry.folder(&exact)?;
        let calls = registry.tool_invocations(&exact, MOST_CALLS)?;
        let mut by_run: BTreeMap<&RunId, usize> = BTreeMap::new();
        for run in calls.iter().filter_map(|c| c.run.as_ref()) {
            *by_run.entry(run).or_default() += 1;
        }
        let mut runs = Vec::new();
        for (run, n) in by_run {
            if let Some(found) = registry.run(run)? {
                runs.push((found.summary, n));
            }
        }
        runs.sort_by_key(|(run, _)| std::cmp::Reverse(run.created_ms));
        Ok(Some(ToolView {
            inspection: folder.map(|(_, files)| inspect_folder(&files, &keys)),
            days: self.usage_days(&exact, PAGE_DAYS)?,
            replaces: self.replaced_by(&exact)?,
            detail,
            versions,
            calls,
            runs,
        }))
    }

    fn replaced_by(&self, tool: &ToolRef) -> Result<Vec<ToolRef>, ServiceError> {
        let name = tool.to_string();
        let all = self.registry().tools(&[])?;
        let named = all
            .into_iter()
            .filter(|t| t.successor.as_deref() == Some(name.as_str()));
        Ok(named
            .map(|t| ToolRef {
                name: t.name,
                version: Some(t.version),
            })
            .collect())
    }
}
