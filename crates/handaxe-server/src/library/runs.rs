//! Runs: the list, and everything that one left behind.

use handaxe_registry::{
    ApprovalDetail, Attempt, ExchangeSummary, Invocation, LogFilter, RunDetail, RunFilter,
    RunSummary,
};
use handaxe_types::{ApprovalState, Event, RunId, RunState};

use crate::service::{Service, ServiceError};

/// Events of one run that a page shows.
const MOST_EVENTS: u32 = 2_000;

/// Which runs to list; an absent field filters nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunQuery {
    pub(crate) state: Option<RunState>,
    pub(crate) text: Option<String>,
    pub(crate) before: Option<RunId>,
    pub(crate) limit: u32,
}

/// Runs, newest first, and where the next page begins.
#[derive(Clone, Debug)]
pub(crate) struct RunList {
    pub(crate) runs: Vec<RunSummary>,
    /// `before` of the next page; `None` on the last.
    pub(crate) next: Option<RunId>,
}

/// Everything of one run.
#[derive(Clone, Debug)]
pub(crate) struct RunView {
    pub(crate) detail: RunDetail,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) exchanges: Vec<ExchangeSummary>,
    pub(crate) invocations: Vec<Invocation>,
    /// Its own events, oldest first.
    pub(crate) events: Vec<Event>,
    /// Requests that it put before a person, oldest first.
    pub(crate) approvals: Vec<ApprovalDetail>,
    /// Its tool may be used once while it waits, where a person asks for that now.
    pub(crate) usable_once: bool,
}

impl RunView {
    /// It stopped before its end and can go on: its process died, it waits, or it failed.
    pub(crate) fn resumable(&self) -> bool {
        let summary = &self.detail.summary;
        !summary.live && !matches!(summary.state, RunState::Done | RunState::Refused)
    }
}

impl Service {
    pub(crate) fn runs(&self, query: &RunQuery) -> Result<RunList, ServiceError> {
        let filter = RunFilter {
            state: query.state,
            question: query.text.clone().filter(|t| !t.is_empty()),
            before: query.before.clone(),
        };
        let limit = query.limit as usize;
        let mut runs = self
            .registry()
            .runs_that(&filter, query.limit.saturating_add(1))?;
        let more = runs.len() > limit;
        runs.truncate(limit);
        let next = runs.last().filter(|_| more).map(|r| r.id.clone());
        Ok(RunList { runs, next })
    }

    pub(crate) fn run_view(&self, id: &RunId) -> Result<RunView, ServiceError> {
        let registry = self.registry();
        let detail = registry
            .run(id)?
            .ok_or_else(|| ServiceError::NoRun(id.to_string()))?;
        let mut approvals = registry.approvals(None)?;
        approvals.retain(|a| a.request.run.as_ref() == Some(id));
        approvals.reverse();
        let waits = approvals
            .iter()
            .find(|a| a.request.state == ApprovalState::Waiting);
        let usable_once = match waits {
            Some(a) if !detail.summary.live => self.may_use_while_waiting(id, a.request.id)?,
            _ => false,
        };
        Ok(RunView {
            usable_once,
            attempts: registry.attempts(id)?,
            exchanges: registry.exchanges(id)?,
            invocations: registry.run_invocations(id)?,
            events: registry.log(&LogFilter {
                subject: Some(id.to_string()),
                limit: Some(MOST_EVENTS),
                ..LogFilter::default()
            })?,
            approvals,
            detail,
        })
    }
}
