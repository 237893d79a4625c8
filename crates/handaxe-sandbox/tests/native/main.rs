//! The native sandbox, in a real jail on this machine. Nothing is skipped: a machine that cannot
//! run these cannot run tools either.
//!
//! Every attack here has its positive control (the same probe succeeds outside, or with a layer
//! taken away), and gives what it tried as its output, so that a probe which did nothing fails.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::semicolon_if_nothing_returned,
    reason = "helpers of tests fail as tests do"
)]

mod batch;
mod escapes;
mod faults;
mod files;
mod frames;
mod lifecycle;
mod limits;
mod outcomes;
mod support;
mod tightness;
