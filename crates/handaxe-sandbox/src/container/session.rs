//! A session: an engine, the containers that wait for a call, and what every call does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use handaxe_types::{Layer, Limits, SandboxResult};

use super::ContainerConfig;
use super::engine::{Engine, Size, Stop};
use super::talk::{Line, Ready};
use super::usual_size;
use crate::exchange::request::{PROCESSES, check_files, floor_bytes, floors, input, request};
use crate::native::missing;
use crate::{Call, Cancel, SandboxError, Session, SessionStats};

/// What a session is told by its backend.
pub(crate) struct Opened {
    pub(crate) config: ContainerConfig,
    pub(crate) required: Vec<Layer>,
    /// The tool's process must find exactly these.
    pub(crate) environment: BTreeMap<String, String>,
    /// The kernel inside is not the host's, and so the namespaces are its own affair.
    pub(crate) guest: bool,
}

pub(crate) struct ContainerSession {
    shared: Arc<Shared>,
    mounts: BTreeSet<String>,
    starters: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    engine: Arc<dyn Engine>,
    opened: Opened,
    closed: Arc<AtomicBool>,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    ready: Vec<Warm>,
    /// Containers being started behind the caller's back.
    coming: usize,
    /// Calls under way.
    busy: usize,
    waiting: usize,
    calls: u64,
    made: u64,
}

/// A container whose layers were found in force.
struct Warm {
    size: Size,
    ready: Ready,
    layers: Vec<Layer>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, size: Size, cancel: &Cancel) -> Result<Warm, SandboxError> {
        let stop = Stop::new(cancel, &self.closed);
        let running = self.engine.start(size, &stop)?;
        let ready = Line::new(running).greet(&stop)?;
        self.state().made += 1;
        let layers = self.layers(&ready)?;
        Ok(Warm {
            size,
            ready,
            layers,
        })
    }

    /// Every layer in force, from what the first process found, what the child's hardening reported
    /// and what the host saw to itself; refuses where a required one is not among them.
    fn layers(&self, ready: &Ready) -> Result<Vec<Layer>, SandboxError> {
        let Opened {
            required,
            environment,
            guest,
            ..
        } = &self.opened;
        let mut layers = ready.report.layers.clone();
        layers.extend(ready.line.layers());
        layers.push(Layer::Watchdog);
        if ready.info.uid != 0 {
            layers.push(Layer::UnprivilegedUid);
        }
        if ready.info.environment == *environment {
            layers.push(Layer::EmptyEnvironment);
        }
        for (layer, name) in NAMESPACES {
            let host = fs::read_link(format!("/proc/self/ns/{name}")).ok();
            let theirs = ready.info.namespaces.get(name);
            let apart = theirs
                .is_some_and(|theirs| host.is_some_and(|host| host.as_os_str() != theirs.as_str()));
            if *guest || apart {
                layers.push(layer);
            }
        }
        layers.sort_unstable();
        layers.dedup();
        match required.iter().find(|layer| !layers.contains(layer)) {
            None => Ok(layers),
            Some(layer) => {
                let reason = "the container did not find it in force".to_owned();
                Err(missing(*layer, reason))
            }
        }
    }

    /// A container of this size: one that waits, or a new one.
    fn take(&self, size: Size, cancel: &Cancel) -> Result<Warm, SandboxError> {
        let until = Instant::now() + self.opened.config.patience;
        let mut state = self.state();
        state.calls += 1;
        state.waiting += 1;
        while state.busy >= self.opened.config.most.max(1) {
            if cancel.is_cancelled() || Instant::now() > until {
                state.waiting -= 1;
                return Err(if cancel.is_cancelled() {
                    SandboxError::Cancelled
                } else {
                    SandboxError::Busy {
                        waited: self.opened.config.patience,
                        ahead: state.waiting,
                    }
                });
            }
            let slice = Duration::from_millis(20);
            let waited = self.freed.wait_timeout(state, slice);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
        state.busy += 1;
        let found = state.ready.iter().position(|w| w.size == size);
        let warm = found.map(|at| state.ready.swap_remove(at));
        // What waits for another size would wait for ever.
        let others = if warm.is_none() {
            std::mem::take(&mut state.ready)
        } else {
            Vec::new()
        };
        drop(state);
        drop(others);
        match warm {
            Some(warm) => Ok(warm),
            None => self.start(size, cancel).inspect_err(|_| self.put_back()),
        }
    }

    fn put_back(&self) {
        self.state().busy -= 1;
        self.freed.notify_one();
    }

    /// Starts one more to wait for the next call, unless there are enough.
    fn refill(&self, size: Size) {
        let done = self.start(size, &Cancel::default());
        let mut state = self.state();
        state.coming -= 1;
        match done {
            Ok(warm) if !self.closed.load(Ordering::Acquire) => state.ready.push(warm),
            Ok(warm) => {
                drop(state);
                drop(warm);
            }
            Err(error) => tracing::debug!(%error, "no container was started ahead"),
        }
    }
}

/// The layers that a namespace is, and its name under `/proc/self/ns`.
const NAMESPACES: [(Layer, &str); 7] = [
    (Layer::UserNamespace, "user"),
    (Layer::PidNamespace, "pid"),
    (Layer::MountNamespace, "mnt"),
    (Layer::NetNamespace, "net"),
    (Layer::IpcNamespace, "ipc"),
    (Layer::UtsNamespace, "uts"),
    (Layer::CgroupNamespace, "cgroup"),
];

impl ContainerSession {
    pub(super) fn new(engine: Arc<dyn Engine>, opened: Opened, mounts: BTreeSet<String>) -> Self {
        let shared = Shared {
            engine,
            opened,
            closed: Arc::default(),
            state: Mutex::default(),
            freed: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            mounts,
            starters: Mutex::default(),
        }
    }

    /// Starts a container, and gives the layers that it was found to have.
    pub(crate) fn confirmed(&self, cancel: &Cancel) -> Result<Vec<Layer>, SandboxError> {
        Ok(self.shared.start(usual_size(), cancel)?.layers)
    }

    fn refill(&self, size: Size) {
        let mut state = self.shared.state();
        if state.ready.len() + state.coming >= self.shared.opened.config.idle {
            return;
        }
        state.coming += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("handaxe-container".to_owned());
        let mut starters = self.starters.lock().unwrap_or_else(PoisonError::into_inner);
        starters.retain(|starter| !starter.is_finished());
        match thread.spawn(move || shared.refill(size)) {
            Ok(starter) => starters.push(starter),
            // The next call starts its own.
            Err(_) => self.shared.state().coming -= 1,
        }
    }

    fn serve(
        &self,
        warm: Warm,
        call: &Call,
        cancel: &Cancel,
    ) -> Result<SandboxResult, SandboxError> {
        let input = input(call, &self.mounts)?;
        let report = &warm.ready.report;
        // The first process and its parent count among the user's.
        let limits = Limits {
            processes: call.limits.processes.saturating_add(2),
            ..call.limits.clone()
        };
        let floors = floors(&limits, report.pages * page_bytes(), warm.ready.base());
        // A guest kernel refuses to hear of that one.
        let guest = self.shared.opened.guest;
        let floors = floor_bytes(floors.filter(|(r, _)| !(guest && *r == PROCESSES)));
        let parts = [call.code.as_bytes(), &[], &floors];
        let mut document = request(call, &input, parts);
        // Sealing is Landlock's; a guest has none, and its tool may write over its own copies.
        document.seal &= warm.layers.contains(&Layer::Landlock);
        let bytes = document.encode(&warm.ready.nonce, parts);
        let mut bytes = bytes.map_err(|e| SandboxError::Io {
            doing: "writing the request",
            source: e.into(),
        })?;
        for file in call.files.iter().chain(&call.assets) {
            bytes.extend_from_slice(&file.bytes);
        }
        warm.ready.serve(call, cancel, &bytes, warm.layers)
    }
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

impl Session for ContainerSession {
    fn call(&self, call: &Call, cancel: &Cancel) -> Result<SandboxResult, SandboxError> {
        check_files(call, &self.mounts)?;
        let size = Size::of(&call.limits);
        let warm = self.shared.take(size, cancel)?;
        self.refill(size);
        let done = self.serve(warm, call, cancel);
        self.shared.put_back();
        done
    }

    fn stats(&self) -> SessionStats {
        let state = self.shared.state();
        SessionStats {
            calls: state.calls,
            waiting: state.waiting,
            ready: state.ready.len(),
            coming: state.coming,
            live: state.ready.len() + state.coming + state.busy,
            made: state.made,
            kept_ready: self.shared.opened.config.idle,
            ready_processes: Vec::new(),
        }
    }
}

impl Drop for ContainerSession {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        let starters =
            std::mem::take(&mut *self.starters.lock().unwrap_or_else(PoisonError::into_inner));
        for starter in starters {
            let _ = starter.join();
        }
        let ready = std::mem::take(&mut self.shared.state().ready);
        drop(ready);
    }
}
