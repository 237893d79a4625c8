//! Tests of what people run: the built binary, and the shape of the workspace.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start the built binary and its controls"
)]

#[cfg(test)]
mod api;
#[cfg(test)]
mod ask;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod cli_reference;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod critical;
#[cfg(test)]
mod door;
#[cfg(test)]
mod eval;
#[cfg(test)]
mod every_door;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod export;
#[cfg(test)]
mod gaps;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod mcp_crash;
#[cfg(test)]
mod mcp_external;
#[cfg(test)]
mod mcp_people;
#[cfg(test)]
mod mcp_strict;
#[cfg(test)]
mod minds;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod sandbox_cli;
#[cfg(test)]
mod script;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod web;
#[cfg(test)]
mod workspace;
