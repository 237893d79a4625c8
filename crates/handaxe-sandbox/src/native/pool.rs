//! Children kept ready, and calls that wait for one, first come first served.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use handaxe_types::Limits;
use rustix::process::{Signal, pidfd_send_signal};

use super::cgroup::{Group, Groups};
use super::jail::{Ended, Ends, Jail, Said};
use crate::{Cancel, SandboxError};

/// What is fixed when a child is made, because it can no longer be changed once it is hardened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Class {
    pub(super) scratch_bytes: u64,
    pub(super) scratch_inodes: u64,
    /// Whether files can be laid for it: `/data` and `/assets` are then its own.
    pub(super) files: bool,
}

impl Class {
    pub(super) fn of(limits: &Limits, files: bool) -> Self {
        // At least a page and the root's own inode, or there is no file system to speak of.
        Self {
            scratch_bytes: limits.scratch_bytes.max(4096),
            scratch_inodes: limits.scratch_inodes.max(2),
            files,
        }
    }
}

/// A child that waits for its call. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) id: u64,
    pub(super) ends: Ends,
    pub(super) group: Option<Arc<Group>>,
}

impl Ready {
    pub(super) fn kill(&self) {
        // One that has ended already is as dead as it will be.
        let _ = pidfd_send_signal(self.ends.pidfd.as_fd(), Signal::KILL);
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The longest that a call waits for a child.
const WAIT: Duration = Duration::from_mins(1);
/// How often waiting looks up.
const SLICE: Duration = Duration::from_millis(25);

#[derive(Default)]
struct State {
    next_id: u64,
    idle: VecDeque<(Class, Ready)>,
    /// Asked for, not there yet.
    coming: HashMap<u64, (Class, Option<Arc<Group>>)>,
    /// Made, or being made, and not ended.
    live: HashMap<u64, Option<Arc<Group>>>,
    /// Ended children that somebody may still ask for.
    ended: HashMap<u64, Ended>,
    /// Calls in the order in which they came.
    waiting: VecDeque<(u64, Class)>,
    next_ticket: u64,
    gone: Option<String>,
    /// Why a child could not be made; told to one of those who wait.
    refused: Option<String>,
    closing: bool,
}

pub(super) struct Pool {
    pub(super) jail: Jail,
    pub(super) groups: Arc<Groups>,
    idle: usize,
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Pool {
    pub(super) fn new(jail: Jail, groups: Arc<Groups>, idle: usize, most: usize) -> Arc<Self> {
        let (idle, most) = (idle.max(1), most.max(1));
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Self {
            jail,
            groups,
            idle,
            most,
            state,
            changed,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what the jail says until it is gone. Runs on a thread of its own.
    pub(super) fn keep(&self) {
        loop {
            let said = self.jail.listen();
            let mut state = self.lock();
            match said {
                Said::Child(id, ends) => {
                    if let Some((class, group)) = state.coming.remove(&id) {
                        state.idle.push_back((class, Ready { id, ends, group }));
                    }
                }
                Said::Ended(id, ended) => {
                    // The group goes with its last holder, outside the lock.
                    let group = state.live.remove(&id);
                    state.idle.retain(|(_, ready)| ready.id != id);
                    state.ended.insert(id, ended);
                    // Nobody asks for an old one; the map stays small.
                    let old = id.saturating_sub(256);
                    state.ended.retain(|id, _| *id >= old);
                    drop(state);
                    drop(group);
                    state = self.lock();
                    self.refill(&mut state);
                }
                Said::NotMade(id, errno) => {
                    state.coming.remove(&id);
                    state.live.remove(&id);
                    let error = std::io::Error::from_raw_os_error(errno);
                    tracing::warn!(%error, "the jail could not make a child");
                    state.refused = Some(format!("a child could not be made: {error}"));
                }
                Said::LaunchFailed(reason) => state.gone = Some(reason),
                Said::Gone => {
                    state
                        .gone
                        .get_or_insert_with(|| "its server ended".to_owned());
                    state.idle.clear();
                    state.coming.clear();
                    state.live.clear();
                    drop(state);
                    self.changed.notify_all();
                    return;
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Asks for children until calls that wait, and the next to come, have theirs.
    fn refill(&self, state: &mut State) {
        let mut wanted: HashMap<Class, usize> = HashMap::new();
        for (_, class) in &state.waiting {
            *wanted.entry(*class).or_default() += 1;
        }
        for (class, count) in wanted {
            let there = state.idle.iter().filter(|(c, _)| *c == class).count()
                + state.coming.values().filter(|(c, _)| *c == class).count();
            for _ in there..count {
                self.make_room(state, class);
                if !self.request(state, class) {
                    return;
                }
            }
        }
    }

    /// Where the session is full, an idle child of another class gives way.
    fn make_room(&self, state: &mut State, class: Class) {
        if state.live.len() < self.most {
            return;
        }
        if let Some(at) = state.idle.iter().position(|(c, _)| *c != class) {
            state.idle.remove(at);
        }
    }

    /// Asks for one child, if there is room.
    fn request(&self, state: &mut State, class: Class) -> bool {
        if state.live.len() >= self.most || state.closing || state.gone.is_some() {
            return false;
        }
        let id = state.next_id;
        state.next_id += 1;
        let group = match self.groups.make(id) {
            Ok(group) => group.map(Arc::new),
            Err(error) => {
                state.refused = Some(format!("a control group could not be made: {error}"));
                return false;
            }
        };
        // The usual limits are set ahead of the call; unusual ones come with it.
        let doors: Vec<OwnedFd> = match group.as_ref().map_or(Ok(Vec::new()), |g| {
            g.limit(&Limits::default())?;
            g.doors()
        }) {
            Ok(doors) => doors,
            Err(error) => {
                state.refused = Some(format!("a control group could not be opened: {error}"));
                return false;
            }
        };
        if let Err(errno) = self.jail.ask(id, class, &doors) {
            state
                .gone
                .get_or_insert_with(|| format!("its server does not listen: {errno}"));
            return false;
        }
        state.live.insert(id, group.clone());
        state.coming.insert(id, (class, group));
        true
    }

    /// Makes children of a class ahead of need.
    pub(super) fn warm(&self, class: Class) {
        let mut state = self.lock();
        for _ in 0..self.idle {
            if !self.request(&mut state, class) {
                break;
            }
        }
    }

    /// Takes a child, and asks for its successor.
    pub(super) fn take(&self, class: Class, cancel: &Cancel) -> Result<Ready, SandboxError> {
        let doing = "waiting for a child";
        let until = Instant::now() + WAIT;
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back((ticket, class));
        let taken = loop {
            let first = state
                .waiting
                .iter()
                .find(|(_, c)| *c == class)
                .map(|(t, _)| *t);
            if first == Some(ticket)
                && let Some(at) = state.idle.iter().position(|(c, _)| *c == class)
                && let Some((_, ready)) = state.idle.remove(at)
            {
                break Ok(ready);
            }
            if let Some(reason) = state.gone.clone() {
                drop(state);
                let error = self.jail.died(doing, reason);
                state = self.lock();
                break Err(error);
            }
            if let Some(detail) = state.refused.take() {
                break Err(SandboxError::JailDied { doing, detail });
            }
            if cancel.is_cancelled() {
                break Err(SandboxError::Cancelled);
            }
            if Instant::now() > until {
                let source = std::io::ErrorKind::TimedOut.into();
                break Err(SandboxError::Io { doing, source });
            }
            self.refill(&mut state);
            state = self
                .changed
                .wait_timeout(state, SLICE)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        state.waiting.retain(|(t, _)| *t != ticket);
        drop(state);
        self.changed.notify_all();
        taken
    }

    /// Makes a successor for a child that was taken. Called once the caller's own work is under
    /// way, so that it does not wait for it.
    pub(super) fn replace(&self, class: Class) {
        let mut state = self.lock();
        let there = state.idle.iter().filter(|(c, _)| *c == class).count()
            + state.coming.values().filter(|(c, _)| *c == class).count();
        if there < self.idle {
            self.make_room(&mut state, class);
            self.request(&mut state, class);
        }
    }

    /// How a child ended, once the server has said so.
    pub(super) fn ended(&self, id: u64, patience: Duration) -> Option<Ended> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if let Some(ended) = state.ended.remove(&id) {
                return Some(ended);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.gone.is_some() {
                return None;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// No more children; the jail ends.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.jail.shut();
    }
}
