//! The journal, a page at a time, newest first.

use std::io;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use handaxe_registry::LogFilter;
use handaxe_types::{Event, EventKind};

use crate::service::{Service, ServiceError};

/// Events that are read at once for an export.
const PAGE: u32 = 1_000;

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

/// The whole journal as JSON Lines, oldest first, a page at a time as it is read.
pub(crate) fn exported(service: Arc<Service>) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    try_unfold(Some(0), move |after: Option<i64>| {
        let service = Arc::clone(&service);
        async move {
            let Some(after) = after else { return Ok(None) };
            let read = move || {
                service.registry().log(&LogFilter {
                    after,
                    limit: Some(PAGE),
                    ..LogFilter::default()
                })
            };
            let page = tokio::task::spawn_blocking(read)
                .await
                .map_err(io::Error::other)?
                .map_err(io::Error::other)?;
            if page.is_empty() {
                return Ok(None);
            }
            let mut lines = Vec::new();
            for event in &page {
                serde_json::to_writer(&mut lines, event)?;
                lines.push(b'\n');
            }
            let full = page.len() == PAGE as usize;
            let next = page.last().filter(|_| full).map(|e| e.seq);
            Ok(Some((lines, next)))
        }
    })
}
