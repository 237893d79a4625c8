//! What the pages and the HTTP API show, read once and for both: the same figures at every door.
//! Reads only; what changes something is the service's own.

mod detail;
mod diff;
mod insight;
mod journal;
mod runs;
mod tools;

pub(crate) use detail::ToolView;
pub(crate) use diff::VersionDiff;
pub(crate) use insight::{Insight, ToolWorth};
pub(crate) use journal::{JournalQuery, exported};
pub(crate) use runs::{RunQuery, RunView};
pub(crate) use tools::{Proof, ToolCard, ToolList, ToolQuery, ToolSort, UsageDay};

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Days that a card's sparkline covers.
pub(crate) const CARD_DAYS: i64 = 30;
