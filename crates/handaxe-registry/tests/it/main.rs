//! The registry as its callers see it, and as someone with `sqlite3` and bad intent sees it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod approvals;
mod common;
mod concurrency;
mod crash;
mod dense;
mod evidence;
mod figures;
mod keys;
mod loaded;
mod opening;
mod provisional;
mod retrieval;
mod runs;
mod search;
mod tamper;
mod unseen;
mod views;
