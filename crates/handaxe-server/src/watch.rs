//! Tells the doors when the library changed, whoever changed it: a person's approval comes from
//! another process, so the database is asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// How soon a new tool is seen.
const EVERY: Duration = Duration::from_millis(250);

/// A number that changes when the list of active tools does.
pub(crate) fn library(
    service: Arc<Service>,
    now: i64,
    stop: CancellationToken,
) -> watch::Receiver<i64> {
    let (tell, told) = watch::channel(now);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tell.closed() => return,
                _ = tick.tick() => {}
            }
            let service = Arc::clone(&service);
            let version = tokio::task::spawn_blocking(move || service.library_version()).await;
            // A database that is busy or away for a moment is asked again.
            let Ok(Ok(version)) = version else { continue };
            tell.send_if_modified(|old| std::mem::replace(old, version) != version);
        }
    });
    told
}
