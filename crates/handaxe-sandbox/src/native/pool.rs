//! Children kept ready, and calls that wait for one, first come first served.
//!
//! A thread of its own, the keeper, makes children, hears them out, and takes back what is left of
//! those that served. A call only takes a child that is ready and puts it down again: forks,
//! control groups and closed descriptors cost it nothing.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use handaxe_types::{Layer, Limits, measures};
use rustix::event::{EventfdFlags, PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::NativeConfig;
use super::cgroup::{Group, Groups};
use super::greeting::{Greeting, Warm};
use super::jail::{Ends, Jail, Said, timespec};
use crate::exchange::ending::Ended;
use crate::{Cancel, SandboxError, SessionStats};

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
    /// What it said of itself, and what the host knows of it. Always there once it is ready.
    pub(super) warm: Warm,
    killed: bool,
}

impl Ready {
    pub(super) fn kill(&mut self) {
        if !std::mem::replace(&mut self.killed, true) {
            // Its end takes as long as two calls, and would begin at once on the caller's processor.
            handaxe_jail::wake_without_preempting(self.warm.pid);
            kill(&self.ends);
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill(ends: &Ends) {
    // One that has ended already is as dead as it will be.
    let _ = pidfd_send_signal(ends.pidfd.as_fd(), Signal::KILL);
}

/// A child that was made and has not said yet that it is ready.
struct Coming {
    id: u64,
    ends: Ends,
    greeting: Greeting,
    until: Instant,
}

/// How often waiting looks up, whether it was cancelled or nobody called.
const SLICE: Duration = Duration::from_millis(25);
/// The same for those with at least so many before them: sixty of them looking up as often would
/// take a tenth of the time that goes into their calls.
const FAR: (usize, Duration) = (4, Duration::from_millis(200));
/// How long a child may take to get ready.
const READY_TIME: Duration = Duration::from_secs(20);
/// How often the keeper looks for children that are no longer needed.
const EASE: Duration = Duration::from_secs(2);
/// What an idle child keeps for itself, by measurement, rounded up.
const CHILD_BYTES: u64 = 4 << 20;

/// A call that found no child. Each has a bell of its own: were all of them woken for every child,
/// most of a busy machine's time would go into looking up and lying down again.
struct Waiting {
    ticket: u64,
    class: Class,
    bell: Arc<Condvar>,
}

struct State {
    next_id: u64,
    /// Oldest first.
    idle: VecDeque<(Class, Ready)>,
    /// Asked for, not ready yet.
    coming: HashMap<u64, (Class, Option<Arc<Group>>)>,
    /// Made, or being made, and not ended.
    live: HashMap<u64, Option<Arc<Group>>>,
    /// Ended children that somebody may still ask for.
    ended: HashMap<u64, Ended>,
    /// Calls in the order in which they came.
    waiting: VecDeque<Waiting>,
    /// How many wait for word of how a child ended.
    curious: usize,
    next_ticket: u64,
    /// Served, killed, not put away yet.
    spent: Vec<Ready>,
    /// The kind of the last call: what is kept ready.
    usual: Class,
    /// How many of them. Grows when a call finds none, falls back when none is missed.
    target: usize,
    eased: Instant,
    calls: u64,
    gone: Option<String>,
    /// Why a child could not be made; told to one of those who wait.
    refused: Option<SandboxError>,
    closing: bool,
}

impl State {
    /// Children of a class that are, or will be, there for a call.
    fn there(&self, class: Class) -> usize {
        self.idle.iter().filter(|(c, _)| *c == class).count()
            + self.coming.values().filter(|(c, _)| *c == class).count()
    }

    /// The class of which a child is missing most urgently.
    fn missing(&self) -> Option<Class> {
        let mut counts: HashMap<Class, usize> = HashMap::new();
        for Waiting { class, .. } in &self.waiting {
            let wanted = counts.entry(*class).or_default();
            *wanted += 1;
            if self.there(*class) < *wanted {
                return Some(*class);
            }
        }
        let beyond = counts.get(&self.usual).copied().unwrap_or(0);
        (self.there(self.usual) < self.target + beyond).then_some(self.usual)
    }

    /// Wakes whoever is first in line for a child that is ready, and everyone when there is bad news.
    fn call_next(&self) {
        if self.gone.is_some() || self.refused.is_some() {
            self.waiting.iter().for_each(|w| w.bell.notify_one());
            return;
        }
        let mut called: Vec<(Class, usize)> = Vec::new();
        for waiting in &self.waiting {
            let at = called.iter().position(|(c, _)| *c == waiting.class);
            let at = at.unwrap_or_else(|| {
                let ready = self.idle.iter().filter(|(c, _)| *c == waiting.class);
                called.push((waiting.class, ready.count()));
                called.len() - 1
            });
            if let Some((_, left)) = called.get_mut(at)
                && *left > 0
            {
                *left -= 1;
                waiting.bell.notify_one();
            }
        }
    }
}

pub(super) struct Pool {
    pub(super) jail: Jail,
    pub(super) groups: Arc<Groups>,
    excused: Vec<Layer>,
    /// The fewest that are kept ready.
    least: usize,
    /// The most that are kept ready, by the memory that they may hold.
    ready_most: usize,
    most: usize,
    /// The most that are made at the same time.
    at_once: usize,
    patience: Duration,
    state: Mutex<State>,
    /// Rung for those who ask how a child ended.
    told: Condvar,
    /// Wakes the keeper.
    bell: OwnedFd,
}

impl Pool {
    pub(super) fn new(
        jail: Jail,
        groups: Arc<Groups>,
        config: &NativeConfig,
        excused: Vec<Layer>,
    ) -> Result<Arc<Self>, SandboxError> {
        let most = config.most.max(1);
        let least = config.idle.clamp(1, most);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let afford = usize::try_from(config.idle_bytes / CHILD_BYTES).unwrap_or(usize::MAX);
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = rustix::event::eventfd(0, flags).map_err(|e| SandboxError::Start {
            doing: "making its bell",
            source: e.into(),
        })?;
        let state = State {
            next_id: 0,
            idle: VecDeque::new(),
            coming: HashMap::new(),
            live: HashMap::new(),
            ended: HashMap::new(),
            waiting: VecDeque::new(),
            curious: 0,
            next_ticket: 0,
            spent: Vec::new(),
            usual: Class::of(&Limits::default(), false),
            target: least,
            eased: Instant::now(),
            calls: 0,
            gone: None,
            refused: None,
            closing: false,
        };
        Ok(Arc::new(Self {
            jail,
            groups,
            excused,
            least,
            ready_most: afford.clamp(least, most),
            most,
            // With a second one, the next is begun while they are at it.
            at_once: processors + processors / 2,
            patience: config.patience,
            state: Mutex::new(state),
            told: Condvar::new(),
            bell,
        }))
    }

    /// Whether the keeper could do something about what is missing.
    fn needs_keeper(&self, state: &State) -> bool {
        let Some(class) = state
            .missing()
            .filter(|_| state.coming.len() < self.at_once)
        else {
            return false;
        };
        state.live.len() < self.most || state.idle.iter().any(|(c, _)| *c != class)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // A full counter has rung already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    // ------------------------------------------------------------ the keeper's side

    /// Makes children, hears them out and puts them away until the jail is gone. Runs on a thread
    /// of its own.
    pub(super) fn keep(&self) {
        // Its work is for the calls to come: it does not push aside the one that rang.
        handaxe_jail::wake_without_preempting(0);
        let mut coming: Vec<Coming> = Vec::new();
        loop {
            self.tend();
            let ready = self.wait(&coming);
            let mut told = false;
            if ready[0] {
                let mut count = [0; 8];
                let _ = rustix::io::read(&self.bell, &mut count);
            }
            let mut at = coming.len();
            while at > 0 {
                at -= 1;
                if ready[at + 2] || Instant::now() > coming[at].until {
                    told |= self.advance(&mut coming, at);
                }
            }
            if ready[1] {
                told = true;
                if !self.listen(&mut coming) {
                    return;
                }
            }
            if told {
                self.announce();
            }
        }
    }

    /// Tells the callers that something changed: those whom it concerns.
    fn announce(&self) {
        let state = self.lock();
        state.call_next();
        if state.curious > 0 {
            self.told.notify_all();
        }
    }

    /// Which have something to say: the bell, the jail, and each child that is getting ready.
    fn wait(&self, coming: &[Coming]) -> Vec<bool> {
        let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN), self.jail.awaited()];
        fds.extend(
            coming
                .iter()
                .map(|c| PollFd::new(&c.ends.result, PollFlags::IN)),
        );
        // A failure is a wake-up like any other.
        let _ = poll(&mut fds, Some(&timespec(EASE)));
        fds.iter().map(|fd| !fd.revents().is_empty()).collect()
    }

    /// Hears all that the jail has to say; `false` once it is gone.
    fn listen(&self, coming: &mut Vec<Coming>) -> bool {
        while let Some(said) = self.jail.listen() {
            if matches!(said, Said::Gone) {
                coming.clear();
                self.gone();
                self.announce();
                return false;
            }
            if let (Said::Ended(id, _), Some(place)) = (&said, &self.jail.place) {
                place.remove(*id);
            }
            self.hear(said, coming);
        }
        true
    }

    fn hear(&self, said: Said, coming: &mut Vec<Coming>) {
        let mut state = self.lock();
        match said {
            Said::Child(id, ends) => {
                let until = Instant::now() + READY_TIME;
                let greeting = Greeting::default();
                coming.push(Coming {
                    id,
                    ends,
                    greeting,
                    until,
                });
            }
            Said::Ended(id, ended) => {
                let group = state.live.remove(&id);
                state.idle.retain(|(_, ready)| ready.id != id);
                state.ended.insert(id, ended);
                // Nobody asks for an old one; the map stays small.
                if let Some(old) = id.checked_sub(256) {
                    state.ended.remove(&old);
                }
                // The group goes with its last holder, outside the lock.
                drop(state);
                drop(group);
            }
            Said::NotMade(id, errno) => {
                state.coming.remove(&id);
                state.live.remove(&id);
                let error = std::io::Error::from_raw_os_error(errno);
                tracing::warn!(%error, "the jail could not make a child");
                state.refused = Some(SandboxError::JailDied {
                    doing: "making a child",
                    detail: format!("a child could not be made: {error}"),
                });
            }
            Said::LaunchFailed(reason) => state.gone = Some(reason),
            Said::Gone => {}
        }
    }

    /// Hears more of a child's greeting. Says whether those who wait should look.
    fn advance(&self, coming: &mut Vec<Coming>, at: usize) -> bool {
        let child = &mut coming[at];
        let late = Instant::now() > child.until;
        let heard = child
            .greeting
            .hear(&child.ends, &self.jail, &self.excused, late);
        let Some(heard) = heard.transpose() else {
            return false;
        };
        let Coming { id, ends, .. } = coming.swap_remove(at);
        let mut state = self.lock();
        let Some((class, group)) = state.coming.remove(&id) else {
            return false;
        };
        match heard {
            Ok(warm) => {
                let killed = false;
                state.idle.push_back((
                    class,
                    Ready {
                        id,
                        ends,
                        group,
                        warm,
                        killed,
                    },
                ));
            }
            Err(error) => {
                kill(&ends);
                state.refused = Some(error);
            }
        }
        true
    }

    fn gone(&self) {
        let mut state = self.lock();
        state
            .gone
            .get_or_insert_with(|| "its server ended".to_owned());
        let (idle, spent) = (
            std::mem::take(&mut state.idle),
            std::mem::take(&mut state.spent),
        );
        let (coming, live) = (
            std::mem::take(&mut state.coming),
            std::mem::take(&mut state.live),
        );
        drop(state);
        drop((idle, spent, coming, live));
    }

    /// Puts away what served, and asks for what is missing.
    fn tend(&self) {
        let mut state = self.lock();
        let mut away = std::mem::take(&mut state.spent);
        if state.eased.elapsed() > EASE {
            state.eased = Instant::now();
            state.target = (state.target - 1).max(self.least);
            if state.idle.len() > self.least.max(state.target) && state.waiting.is_empty() {
                away.extend(state.idle.pop_front().map(|(_, ready)| ready));
            }
        }
        drop(state);
        drop(away);
        while let Some((id, class)) = self.place() {
            if let Err(error) = self.ask(id, class) {
                let mut state = self.lock();
                state.coming.remove(&id);
                state.live.remove(&id);
                state.refused = Some(error);
                drop(state);
                self.announce();
                return;
            }
        }
    }

    /// A place for a child that is missing, if there is one.
    fn place(&self) -> Option<(u64, Class)> {
        let mut state = self.lock();
        // A reason not to make children is told before another is tried.
        if state.closing || state.gone.is_some() || state.refused.is_some() {
            return None;
        }
        // Those that get ready at once get ready late, all of them, and push each other's pages out of
        // the caches.
        if state.coming.len() >= self.at_once {
            return None;
        }
        let class = state.missing()?;
        if state.live.len() >= self.most {
            // An idle child of another class gives way, and its place is free once it has ended.
            let at = state.idle.iter().position(|(c, _)| *c != class)?;
            let other = state.idle.remove(at);
            drop(state);
            drop(other);
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.coming.insert(id, (class, None));
        state.live.insert(id, None);
        Some((id, class))
    }

    fn ask(&self, id: u64, class: Class) -> Result<(), SandboxError> {
        let failed = |doing| move |source| SandboxError::Io { doing, source };
        let group = self
            .groups
            .make(id)
            .map_err(failed("making a control group"))?;
        let group = group.map(Arc::new);
        if let Some(group) = &group {
            // The usual limits are set ahead of the call; unusual ones come with it.
            let done = group.limit(&Limits::default());
            done.map_err(failed("setting a control group"))?;
        }
        {
            let mut state = self.lock();
            state.coming.insert(id, (class, group.clone()));
            state.live.insert(id, group.clone());
        }
        let asked = match &group {
            Some(group) => group.with_doors(|doors| self.jail.ask(id, class, doors)),
            None => self.jail.ask(id, class, &[]),
        };
        asked.map_err(|errno| {
            let reason = format!("its server does not listen: {errno}");
            self.lock().gone.get_or_insert(reason.clone());
            SandboxError::JailDied {
                doing: "asking for a child",
                detail: reason,
            }
        })
    }

    // ------------------------------------------------------------ the callers' side

    /// Takes a child that is ready.
    pub(super) fn take(&self, class: Class, cancel: &Cancel) -> Result<Ready, SandboxError> {
        let asked = Instant::now();
        let taken = self.taken(class, cancel);
        metrics::histogram!(measures::QUEUE_SECONDS).record(asked.elapsed());
        taken
    }

    fn taken(&self, class: Class, cancel: &Cancel) -> Result<Ready, SandboxError> {
        let mut state = self.lock();
        state.calls += 1;
        state.usual = class;
        if !state.waiting.iter().any(|w| w.class == class)
            && let Some(ready) = pick(&mut state, class)
        {
            return Ok(ready);
        }
        self.queue(state, class, cancel)
    }

    fn queue<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        class: Class,
        cancel: &Cancel,
    ) -> Result<Ready, SandboxError> {
        let doing = "waiting for a child";
        let until = Instant::now() + self.patience;
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let bell = Arc::new(Condvar::new());
        state.waiting.push_back(Waiting {
            ticket,
            class,
            bell: Arc::clone(&bell),
        });
        // It was missed: more are kept ready from now on.
        if state.calls > 1 {
            state.target = (state.target + 1).min(self.ready_most);
            state.eased = Instant::now();
        }
        if self.needs_keeper(&state) {
            self.ring();
        }
        let taken = loop {
            // Whoever is called out of turn, by a slice's end, leaves those before their children.
            let before = state.waiting.iter().take_while(|w| w.ticket != ticket);
            let before = before.filter(|w| w.class == class).count();
            let ready = state.idle.iter().filter(|(c, _)| *c == class).count();
            if ready > before
                && let Some(ready) = pick(&mut state, class)
            {
                break Ok(ready);
            }
            if let Some(error) = state.refused.take() {
                break Err(error);
            }
            if let Some(reason) = state.gone.clone() {
                drop(state);
                let error = self.jail.died(doing, reason);
                state = self.lock();
                break Err(error);
            }
            if cancel.is_cancelled() {
                break Err(SandboxError::Cancelled);
            }
            if Instant::now() > until {
                let ahead = state
                    .waiting
                    .iter()
                    .position(|w| w.ticket == ticket)
                    .unwrap_or(0);
                break Err(SandboxError::Busy {
                    waited: self.patience,
                    ahead,
                });
            }
            let slice = if before < FAR.0 { SLICE } else { FAR.1 };
            state = bell
                .wait_timeout(state, slice)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        state.waiting.retain(|w| w.ticket != ticket);
        state.call_next();
        let ring = self.needs_keeper(&state);
        drop(state);
        if ring {
            self.ring();
        }
        taken
    }

    /// Puts a child down that has served. The keeper makes its successor: now, or where there is no
    /// place for one yet, when it hears that this one has ended.
    pub(super) fn put_down(&self, mut ready: Ready) {
        ready.kill();
        let mut state = self.lock();
        state.spent.push(ready);
        let ring = self.needs_keeper(&state);
        drop(state);
        if ring {
            self.ring();
        }
    }

    /// How a child ended, once the server has said so.
    pub(super) fn ended(&self, id: u64, patience: Duration) -> Option<Ended> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        state.curious += 1;
        let ended = loop {
            if let Some(ended) = state.ended.remove(&id) {
                break Some(ended);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.gone.is_some() {
                break None;
            }
            state = self
                .told
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        state.curious -= 1;
        ended
    }

    pub(super) fn stats(&self) -> SessionStats {
        let state = self.lock();
        SessionStats {
            calls: state.calls,
            waiting: state.waiting.len(),
            ready: state.idle.len(),
            coming: state.coming.len(),
            live: state.live.len(),
            made: state.next_id,
            kept_ready: state.target,
            ready_processes: state.idle.iter().map(|(_, r)| r.warm.pid).collect(),
        }
    }

    /// No more children; the jail ends.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.jail.shut();
        self.ring();
    }
}

/// The child of a class that got ready last: its pages are the likeliest to be in a cache still.
fn pick(state: &mut State, class: Class) -> Option<Ready> {
    let at = state.idle.iter().rposition(|(c, _)| *c == class)?;
    state.idle.remove(at).map(|(_, ready)| ready)
}
