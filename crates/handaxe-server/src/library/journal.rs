//! The journal, a page at a time, newest first.

use handaxe_registry::LogFilter;
use handaxe_types::{Event, EventKind};

use crate::service::{Service, ServiceError};

/// Which events to list; an absent field filters nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct JournalQuery {
    pub(crate) kind: Option<EventKind>,
    pub(crate) actor: Option<String>,
    /// A run, `name@version`, `approval 7`; a bare tool name means all its versions.
    pub(crate) subject: Option<String>,
    pub(crate) since_ms: Option<i64>,
    pub(crate) until_ms: Option<i64>,
    /// Only events before this number.
    pub(crate) before: Option<i64>,
    pub(crate) limit: u32,
}

/// Events, newest first, and where the next page begins.
#[derive(Clone, Debug)]
pub(crate) struct JournalPage {
    pub(crate) events: Vec<Event>,
    /// `before` of the next page; `None` on the last.
    pub(crate) next: Option<i64>,
}

impl Service {
    pub(crate) fn journal(&self, query: &JournalQuery) -> Result<JournalPage, ServiceError> {
        let limit = query.limit as usize;
        let mut events = self.registry().log(&LogFilter {
            kind: query.kind,
            actor: query.actor.clone(),
            subject: query.subject.clone(),
            since_ms: query.since_ms,
            until_ms: query.until_ms,
            after: 0,
            before: query.before,
            newest_first: true,
            // One more says whether there is a next page.
            limit: Some(query.limit.saturating_add(1)),
        })?;
        let more = events.len() > limit;
        events.truncate(limit);
        let next = events.last().filter(|_| more).map(|e| e.seq);
        Ok(JournalPage { events, next })
    }
}
