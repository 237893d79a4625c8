//! The doors that listen: one HTTP server, bound to an address that the edge names. Programs show
//! the bearer token and people a session; neither opens the other's door. What is asked by another
//! name or from another's page is refused (`access`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use handaxe_types::{Digest, measures};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::access::Access;
use crate::api::{self, Api, Problem};
use crate::listening;
use crate::login::Logins;
use crate::mcp::strict::{self, MAX_MESSAGE_BYTES};
use crate::mcp::{Fixture, McpDoor};
use crate::service::{Service, ServiceError};
use crate::web::{self, Web};

/// Requests under way at once; more are told to come back.
const AT_ONCE: usize = 256;
/// Requests a second that are let through over time, and how many may come in one burst.
const PER_SECOND: f64 = 2_000.0;
const BURST: f64 = 4_000.0;
/// In which a request has to be read where the edge says nothing.
pub const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long connections may take to end once the server stops.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot listen on {addr}")]
    Listen {
        addr: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the server broke off")]
    Serve(#[source] std::io::Error),
}

/// What the edge decides.
pub struct HttpOptions {
    pub addr: SocketAddr,
    /// Asked for as `Authorization: Bearer …` on every request of a program.
    pub token: String,
    /// Where people's one-time links wait.
    pub logins: Logins,
    /// Names by which the server may be asked, besides loopback's.
    pub hosts: Vec<String>,
    /// Origins of pages that may ask; none by default.
    pub origins: Vec<String>,
    /// Where a person finds the approval pages, as a URL without its path.
    pub pages: Option<String>,
    /// In which a request's headers have to be whole, and its body begin and keep coming.
    pub read_within: Duration,
}

/// A server that listens and does not answer yet.
pub struct HttpServer {
    listener: TcpListener,
    router: Router,
    service: Option<Arc<Service>>,
    read_within: Duration,
    stop: CancellationToken,
}

struct Gate {
    token: Digest,
    at_once: Arc<Semaphore>,
    bucket: Mutex<(f64, Instant)>,
}

impl HttpServer {
    /// Listens; `stop` ends it.
    pub async fn bind(
        service: Arc<Service>,
        options: HttpOptions,
        stop: CancellationToken,
    ) -> Result<Self, HttpError> {
        let listener = listen(options.addr).await?;
        // Where a client is told to send its person, unless the edge knows a better name for it.
        let pages = match options.pages {
            Some(pages) => pages,
            None => format!(
                "http://{}",
                listener.local_addr().map_err(HttpError::Serve)?
            ),
        };
        let door = McpDoor::open(Arc::clone(&service), "http", Some(pages), stop.clone())?;
        let port = port(&listener)?;
        let access = Arc::new(Access::new(port, options.hosts, options.origins));
        let mcp = transport(move || door.clone(), &access, &stop);
        let web = Web::new(
            Arc::clone(&service),
            access,
            options.logins,
            port,
            stop.clone(),
        );
        let token = Digest::of(options.token.as_bytes());
        let api = Api::new(Arc::clone(&service), Arc::clone(&web), token);
        let gate = Arc::new(Gate {
            token,
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            bucket: Mutex::new((BURST, Instant::now())),
        });
        let router = Router::new()
            .nest_service("/mcp", mcp)
            .layer(from_fn(strictly))
            .layer(from_fn_with_state(Arc::clone(&gate), admit))
            .layer(from_fn_with_state(Arc::clone(&gate), bearer))
            .merge(web::router(web).layer(from_fn_with_state(Arc::clone(&gate), admit)))
            .merge(api::router(api).layer(from_fn_with_state(gate, admit)))
            // Says only that somebody is there.
            .route("/healthz", get(|| async { "ok\n" }))
            .layer(from_fn(observed));
        Ok(Self {
            listener,
            router,
            service: Some(service),
            read_within: options.read_within,
            stop,
        })
    }

    /// What the protocol's conformance suite asks for, behind the same transport and no token.
    pub async fn bind_fixture(
        addr: SocketAddr,
        stop: CancellationToken,
    ) -> Result<Self, HttpError> {
        let listener = listen(addr).await?;
        let fixture = Fixture::default();
        let access = Access::new(port(&listener)?, Vec::new(), Vec::new());
        let mcp = transport(move || fixture.clone(), &access, &stop);
        Ok(Self {
            listener,
            router: Router::new().nest_service("/mcp", mcp),
            service: None,
            read_within: READ_WITHIN,
            stop,
        })
    }

    /// Where it listens: the port is chosen by the system when the address named none.
    pub fn addr(&self) -> Result<SocketAddr, HttpError> {
        self.listener.local_addr().map_err(HttpError::Serve)
    }

    /// Answers until it is stopped.
    pub async fn serve(self) {
        let Self {
            listener,
            router,
            read_within,
            stop,
            service,
        } = self;
        listening::serve(listener, router, read_within, stop, GRACE).await;
        if let Some(service) = service {
            let _ = tokio::task::spawn_blocking(move || service.stop()).await;
        }
    }
}

pub(crate) async fn listen(addr: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(addr)
        .await
        .map_err(|source| HttpError::Listen { addr, source })
}

/// A request as it is told to those who watch: which door, by which method, with what status. No
/// path, no header and no body: tokens travel in all of them.
async fn observed(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let door = match path.split('/').nth(1) {
        Some("mcp") => "mcp",
        Some("api") => "api",
        Some("healthz") => "health",
        _ => "web",
    };
    let span = tracing::info_span!(
        "http_request",
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        handaxe.door = door,
        http.response.status_code = tracing::field::Empty,
    );
    let begun = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("http.response.status_code", i64::from(status));
    metrics::counter!(measures::HTTP_REQUESTS, "door" => door, "status" => status.to_string())
        .increment(1);
    metrics::histogram!(measures::HTTP_SECONDS, "door" => door).record(begun.elapsed());
    response
}

fn port(listener: &TcpListener) -> Result<u16, HttpError> {
    Ok(listener.local_addr().map_err(HttpError::Serve)?.port())
}

/// The protocol over HTTP, with the checks of host, origin and size that every server here has.
fn transport<H: ServerHandler>(
    handler: impl Fn() -> H + Send + Sync + 'static,
    access: &Access,
    stop: &CancellationToken,
) -> StreamableHttpService<H, LocalSessionManager> {
    let mut config = StreamableHttpServerConfig::default()
        .with_cancellation_token(stop.child_token())
        .with_allowed_origins(access.origins().to_vec())
        .enforce_origin_validation();
    config.max_request_body_bytes = MAX_MESSAGE_BYTES;
    config.allowed_hosts.extend(access.hosts().iter().cloned());
    StreamableHttpService::new(
        move || Ok(handler()),
        Arc::new(LocalSessionManager::default()),
        config,
    )
}

/// A program's token, before anything is read.
async fn bearer(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let given = api::bearer(request.headers());
    // Digests are compared, so that the time taken says nothing of how much was right.
    if given.is_none_or(|token| Digest::of(token.as_bytes()) != gate.token) {
        return Problem::new("unauthenticated", "a bearer token is needed").into_response();
    }
    next.run(request).await
}

/// Rate and number at once, whoever asks.
async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if !gate.admit() {
        return Problem::new("too_many", "come back in a second").into_response();
    }
    let Ok(_permit) = Arc::clone(&gate.at_once).try_acquire_owned() else {
        return Problem::new("busy", "too many requests are under way").into_response();
    };
    next.run(request).await
}

/// Reads a message strictly before the protocol library does; what is refused gets the protocol's
/// own error.
async fn strictly(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let (status, error) = match to_bytes(body, MAX_MESSAGE_BYTES).await {
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, strict::too_large()),
        Ok(bytes) => match strict::refusal(&bytes) {
            None => return next.run(Request::from_parts(head, Body::from(bytes))).await,
            Some(error) => (StatusCode::BAD_REQUEST, error),
        },
    };
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, serde_json::json!(error).to_string()).into_response()
}

impl Gate {
    /// A token bucket.
    fn admit(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let refilled = now.duration_since(bucket.1).as_secs_f64() * PER_SECOND;
        *bucket = ((bucket.0 + refilled).min(BURST), now);
        if bucket.0 < 1.0 {
            return false;
        }
        bucket.0 -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn gate(at_once: usize, left: f64) -> Arc<Gate> {
        Arc::new(Gate {
            token: Digest::of(b"token"),
            at_once: Arc::new(Semaphore::new(at_once)),
            bucket: Mutex::new((left, Instant::now())),
        })
    }

    /// The status of one request through the gate.
    fn asked(gate: Arc<Gate>) -> String {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let router = Router::new()
            .route("/", get(|| async { "ok" }))
            .layer(from_fn_with_state(gate, admit));
        let stop = CancellationToken::new();
        let end = stop.clone();
        let (addr, serving) = runtime.block_on(async {
            let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
            let addr = listener.local_addr().unwrap();
            let serving = listening::serve(listener, router, READ_WITHIN, end, GRACE);
            (addr, tokio::spawn(serving))
        });
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        stop.cancel();
        runtime.block_on(serving).unwrap();
        reply.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[test]
    fn the_gate_bounds_rate_and_number() {
        assert_eq!(asked(gate(1, 1.0)), "200");
        // Empty, and filled again at its rate from a moment ago on: the next beat is too far.
        assert_eq!(asked(gate(1, -1e6)), "429");
        assert_eq!(asked(gate(0, 1.0)), "503");
        let bucket = gate(1, 2.0);
        let let_in: Vec<bool> = (0..3).map(|_| bucket.admit()).collect();
        assert_eq!(let_in[..2], [true, true]);
        let idle = Mutex::new((
            0.0,
            Instant::now()
                .checked_sub(Duration::from_mins(1))
                .unwrap_or_else(Instant::now),
        ));
        let idle = Gate {
            bucket: idle,
            ..Arc::into_inner(gate(1, 0.0)).unwrap()
        };
        let burst = (0..20_000).take_while(|_| idle.admit()).count();
        assert!(burst < 20_000, "a burst has an end");
    }
}
