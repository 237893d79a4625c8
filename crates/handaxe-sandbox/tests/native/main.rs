//! The native sandbox, in a real jail on this machine. Nothing is skipped: a machine that cannot
//! run these cannot run tools either.
//!
//! Every adversarial case goes through a `drill`: a control that succeeds where nothing stops it, the
//! attack as often as `cases.json` says, an honest call, a look at the host. A probe gives what it
//! tried as its output, so that one which did nothing fails.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::semicolon_if_nothing_returned,
    reason = "helpers of tests fail as tests do"
)]

mod batch;
mod drill;
mod environments;
mod escapes;
mod faults;
mod files;
mod frames;
mod fs;
mod kept;
mod kern;
mod landlock;
mod lifecycle;
mod limits;
mod net;
mod outcomes;
mod proc;
mod res;
mod support;
mod tightness;
