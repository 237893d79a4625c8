//! MCP over standard input and output: one client, for as long as it keeps the pipe.

use std::sync::Arc;

use rmcp::ServiceExt as _;
use tokio_util::sync::CancellationToken;

use super::McpDoor;
use super::lines::StrictLines;
use crate::service::{Service, ServiceError};

#[derive(Debug, thiserror::Error)]
pub enum McpError {
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("the client did not open the protocol")]
    Initialize(#[source] Box<rmcp::service::ServerInitializeError>),
    #[error("the connection's task broke off")]
    Task(#[from] tokio::task::JoinError),
}

/// Serves until the client goes away or `stop`.
pub async fn serve_stdio(
    service: Arc<Service>,
    pages: Option<String>,
    stop: CancellationToken,
) -> Result<(), McpError> {
    let door = McpDoor::open(Arc::clone(&service), "mcp", pages, stop.clone())?;
    let (from, to) = rmcp::transport::io::stdio_pipes();
    let served = door.serve_with_ct(StrictLines::new(from, to), stop).await;
    let running = match served {
        Ok(running) => running,
        // A client that goes away before it says anything is not an error.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(e) => return Err(McpError::Initialize(Box::new(e))),
    };
    running.waiting().await?;
    let _ = tokio::task::spawn_blocking(move || service.stop()).await;
    Ok(())
}
