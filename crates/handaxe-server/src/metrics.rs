//! Figures for Prometheus, on a listener of their own: whoever may scrape need not be able to reach
//! any other door, and has no way from here to one.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use handaxe_types::measures;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::{GRACE, HttpError, READ_WITHIN, listen};
use crate::listening;
use crate::service::{Service, ServiceError};

/// Gives the figures as text, in the exposition format.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// A listener that answers `GET /metrics`.
pub struct MetricsServer {
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
}

impl MetricsServer {
    /// Listens; `stop` ends it.
    pub async fn bind(
        service: Arc<Service>,
        addr: SocketAddr,
        render: Render,
        stop: CancellationToken,
    ) -> Result<Self, HttpError> {
        let router = Router::new()
            .route("/metrics", get(scrape))
            .with_state((service, render));
        Ok(Self {
            listener: listen(addr).await?,
            router,
            stop,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> Result<SocketAddr, HttpError> {
        self.listener.local_addr().map_err(HttpError::Serve)
    }

    /// Answers until it is stopped.
    pub async fn serve(self) {
        listening::serve(self.listener, self.router, READ_WITHIN, self.stop, GRACE).await;
    }
}

async fn scrape(State((service, render)): State<(Arc<Service>, Render)>) -> Response {
    let made = tokio::task::spawn_blocking(move || {
        gauges(&service)?;
        Ok::<_, ServiceError>(render())
    })
    .await;
    match made {
        Ok(Ok(text)) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the figures could not be had");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the figures could not be had\n",
            )
                .into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// What is looked up at the moment of asking.
fn gauges(service: &Service) -> Result<(), ServiceError> {
    let standing = service.registry().standing()?;
    metrics::gauge!(measures::APPROVALS_WAITING).set(standing.approvals_waiting as f64);
    for (state, count) in standing.tools {
        metrics::gauge!(measures::TOOLS, "state" => state).set(count as f64);
    }
    let pool = service.pool();
    metrics::gauge!(measures::POOL_READY).set(pool.ready as f64);
    metrics::gauge!(measures::POOL_LIVE).set(pool.live as f64);
    metrics::gauge!(measures::POOL_WAITING).set(pool.waiting as f64);
    Ok(())
}
