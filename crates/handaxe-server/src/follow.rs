//! A run as it goes on: what the journal gets, and what the run is at, until it ends or waits. The
//! database is asked, so that a run of another process is followed too.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use handaxe_registry::LogFilter;
use handaxe_types::{Event, RunId, RunState};
use tokio_util::sync::CancellationToken;

use crate::feed::Live;
use crate::service::{Service, ServiceError};

/// How soon news are seen.
const EVERY: Duration = Duration::from_millis(250);
/// Events of one look.
const AT_ONCE: u32 = 200;

#[derive(Clone, Debug)]
pub(crate) enum News {
    Event(Event),
    Live(Live),
    /// Nobody works on it any more. The last.
    Ended(RunState),
}

struct Follower {
    service: Arc<Service>,
    run: RunId,
    /// The last event that was told.
    after: i64,
    /// The journal's last event when it was last looked at.
    head: i64,
    revision: u64,
    over: bool,
}

/// News of a run in batches, events after number `after` first. Ends with the run, or with `stop`.
pub(crate) fn follow(
    service: Arc<Service>,
    run: RunId,
    after: i64,
    stop: CancellationToken,
) -> impl Stream<Item = Vec<News>> + Send {
    let follower = Follower {
        service,
        run,
        after,
        head: -1,
        revision: 0,
        over: false,
    };
    unfold(Some(follower), move |follower| {
        let stop = stop.clone();
        async move {
            let mut follower = follower.filter(|f| !f.over)?;
            loop {
                let look = tokio::task::spawn_blocking(move || {
                    let news = follower.look();
                    (follower, news)
                });
                // A database that is away is not waited for: whoever follows asks again.
                let (back, news) = look.await.ok()?;
                let news = news.ok()?;
                if !news.is_empty() {
                    return Some((news, Some(back)));
                }
                follower = back;
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep(EVERY) => {}
                }
            }
        }
    })
}

impl Follower {
    fn look(&mut self) -> Result<Vec<News>, ServiceError> {
        let registry = self.service.registry();
        let mut news = Vec::new();
        // Before the events: of one that is over, they are all there.
        let filter = registry.run(&self.run)?;
        let summary = filter
            .ok_or_else(|| ServiceError::NoRun(self.run.to_string()))?
            .summary;
        let head = registry.last_event()?;
        let mut more = false;
        if head > self.head {
            let events = registry.log(&LogFilter {
                subject: Some(self.run.to_string()),
                after: self.after,
                limit: Some(AT_ONCE),
                ..LogFilter::default()
            })?;
            more = events.len() == AT_ONCE as usize;
            self.after = events.last().map_or(self.after, |e| e.seq);
            if !more {
                self.head = head;
                // What is not of this run need not be looked through again.
                self.after = self.after.max(head);
            }
            news.extend(events.into_iter().map(News::Event));
        }
        if let Some(live) = self.service.live(&self.run)
            && live.revision != self.revision
        {
            self.revision = live.revision;
            news.push(News::Live(live));
        }
        if !summary.live && !more {
            self.over = true;
            news.push(News::Ended(summary.state));
        }
        Ok(news)
    }
}
