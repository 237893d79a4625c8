//! Approved tools that were loaded lately, for as long as nothing at all can have changed them.
//!
//! To read a version and hold it against its approval costs as much as a quick tool's call. What
//! was found stands while the database is as it was: no other connection has committed (SQLite's
//! `data_version`, which any commit of another connection changes, ours or a stranger's), and on
//! this one nothing was written but records of calls, which no verdict on a version hangs on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use handaxe_types::{ApprovalPolicy, Profile, ToolRef};
use rusqlite::Connection;

use crate::error::{RegistryError, Step as _};
use crate::load::ApprovedTool;

/// So many are kept for each connection, the latest used first.
const KEPT: usize = 64;

/// Which connection a reader was given: each counts the others' commits for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The one that writes.
    Writer,
    Reader,
}

/// The state of the database that a verdict was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    via: Via,
    /// Commits of others, as SQLite counts them.
    others: i64,
    /// Times that the writing connection was taken for anything but records of calls.
    own: u64,
}

struct Entry {
    stamp: Stamp,
    wanted: ToolRef,
    profile: Profile,
    policy: Arc<ApprovalPolicy>,
    found: ApprovedTool,
}

#[derive(Default)]
pub(crate) struct Loaded {
    own: AtomicU64,
    entries: Mutex<VecDeque<Entry>>,
}

impl Loaded {
    /// Whoever takes the writing connection says so, while holding it.
    pub(crate) fn may_change(&self) {
        self.own.fetch_add(1, Ordering::AcqRel);
    }

    /// Asked inside the transaction that the answer is to be used in: this begins its snapshot.
    pub(crate) fn stamp(&self, conn: &Connection, via: Via) -> Result<Stamp, RegistryError> {
        // Before the snapshot: a write between the two makes the stamp too old, never too new.
        let own = self.own.load(Ordering::Acquire);
        let others = conn
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut s| s.query_row([], |r| r.get(0)))
            .step("read the database's version")?;
        Ok(Stamp { via, others, own })
    }

    pub(crate) fn find(
        &self,
        stamp: Stamp,
        wanted: &ToolRef,
        profile: &Profile,
        policy: &Arc<ApprovalPolicy>,
    ) -> Option<ApprovedTool> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|e| e.stamp.via != stamp.via || e.stamp == stamp);
        let at = entries.iter().position(|e| {
            e.stamp == stamp
                && e.wanted == *wanted
                && e.profile == *profile
                && Arc::ptr_eq(&e.policy, policy)
        })?;
        let entry = entries.remove(at)?;
        let found = entry.found.clone();
        entries.push_front(entry);
        Some(found)
    }

    pub(crate) fn keep(
        &self,
        stamp: Stamp,
        wanted: &ToolRef,
        profile: &Profile,
        policy: &Arc<ApprovalPolicy>,
        found: &ApprovedTool,
    ) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push_front(Entry {
            stamp,
            wanted: wanted.clone(),
            profile: profile.clone(),
            policy: Arc::clone(policy),
            found: found.clone(),
        });
        entries.truncate(2 * KEPT);
    }
}
