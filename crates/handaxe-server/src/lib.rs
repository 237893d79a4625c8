//! The doors that stay open. One [`Service`] knows what may be asked of Handaxe; each door turns
//! its own wire into that and back, so that no two doors can differ on what an approval is.
//!
//! What may not enter: no program approves, and no door of theirs has a way to ask for it; a person
//! does, signed in, in `web`. Wire types stop in the door that speaks them: the MCP library is
//! named in `mcp` alone. Nothing here prints or reads an environment; the edge gives roots, tokens
//! and models.

#![forbid(unsafe_code)]

mod access;
mod api;
mod decisions;
mod feed;
mod follow;
mod gone;
mod http;
mod jobs;
mod kept;
mod library;
mod listening;
mod login;
mod mcp;
mod metrics;
mod roots;
mod service;
mod sessions;
mod uploads;
mod watch;
mod web;

pub use api::openapi;
pub use http::{HttpError, HttpOptions, HttpServer, READ_WITHIN};
pub use kept::Kept;
pub use login::{LINK_LIFE, LoginError, Logins};
pub use mcp::{ExternalServers, McpDoor, McpError, Reach, serve_stdio};
pub use metrics::{MetricsServer, Render};
pub use roots::{Roots, RootsError};
pub use service::{MindSource, Parts, Service, ServiceError};
pub use uploads::UploadError;
