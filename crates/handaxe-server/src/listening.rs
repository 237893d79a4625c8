//! How connections are taken and read. A client that sends its request a byte at a time holds a
//! connection for a stated time and no longer: its headers have to be whole within it, and so has
//! its body, plus a second for every [`LEAST_RATE`] bytes that came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Problem;

/// Bytes of a body in a second, of what takes longer than the stated time.
const LEAST_RATE: u64 = 64 << 10;
/// Connections at once; more wait in the system's queue.
const MOST_CONNECTIONS: usize = 512;
/// Between tries where the system gives no more descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers until `stop`, then lets what is under way end for at most `grace`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    within: Duration,
    stop: CancellationToken,
    grace: Duration,
) {
    let router = router.layer(from_fn_with_state(within, unhurried));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(within);
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            taken = take(&listener, &room) => taken,
        };
        let Some((stream, place)) = taken else {
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // How one connection ends is its client's affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
}

async fn take(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not taken");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

/// Cuts off a body that does not come.
async fn unhurried(State(within): State<Duration>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let late = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&late);
    let request = request.map(|body| paced(body, within, told));
    let response = next.run(request).await;
    if !late.load(Ordering::Relaxed) {
        return response;
    }
    let mut response =
        Problem::new("slow", "the request's body did not come in time").into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// The same body, for as long as it keeps coming.
fn paced(body: Body, within: Duration, late: Arc<AtomicBool>) -> Body {
    let begun = Instant::now();
    let start = (Some(body.into_data_stream()), 0_u64, late);
    Body::from_stream(stream::unfold(
        start,
        move |(body, read, late)| async move {
            let mut body = body?;
            let until = begun + within + Duration::from_secs(read / LEAST_RATE);
            match tokio::time::timeout_at(until, body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    let read = read.saturating_add(bytes.len() as u64);
                    Some((Ok(bytes), (Some(body), read, late)))
                }
                Ok(Some(Err(error))) => Some((Err(error), (None, read, late))),
                Ok(None) => None,
                Err(elapsed) => {
                    late.store(true, Ordering::Relaxed);
                    Some((Err(axum::Error::new(elapsed)), (None, read, late)))
                }
            }
        },
    ))
}
