//! What starts containers: a runtime on this machine, or a daemon's interface. Everything else is
//! alike for both.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use handaxe_types::{Layer, Limits};

use crate::{Cancel, SandboxError};

/// How long a container may take from being asked for to being ready.
pub(crate) const START_TIME: Duration = Duration::from_secs(30);

/// A session's end of an engine: files laid out, ready to start containers that see them.
pub(crate) trait Engine: Send + Sync {
    /// Starts one container. What it may use at most is in `size`.
    fn start(&self, size: Size, stop: &Stop) -> Result<Running, SandboxError>;
}

/// A container under way: the host's ends of its three streams, none of which blocks.
pub(crate) struct Running {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) body: Box<dyn Body>,
}

/// Its owner. Dropping it kills the container and waits until nothing of it is left.
pub(crate) trait Body: Send {
    /// Kills everything in it, and waits until it is dead.
    fn kill(&mut self);

    /// Layers that the host itself saw to.
    fn layers(&self) -> Vec<Layer>;
}

/// What a container is made for. A call gets one of exactly its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) memory_bytes: u64,
    pub(crate) scratch_bytes: u64,
    pub(crate) scratch_inodes: u64,
}

impl Size {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            scratch_bytes: limits.scratch_bytes,
            scratch_inodes: limits.scratch_inodes,
        }
    }

    /// What the container as a whole may hold of memory: the call's, its scratch, its attached
    /// files, and the two interpreters' own pages.
    pub(crate) fn whole_memory(self) -> u64 {
        const INTERPRETERS: u64 = 96 << 20;
        self.memory_bytes
            .saturating_add(self.scratch_bytes)
            .saturating_add(INTERPRETERS)
    }
}

/// Why work on a container need not go on: the caller's cancel flag, the session's end, or time.
pub(crate) struct Stop {
    cancel: Cancel,
    closed: Arc<AtomicBool>,
    pub(crate) until: Instant,
}

impl Stop {
    pub(crate) fn new(cancel: &Cancel, closed: &Arc<AtomicBool>) -> Self {
        Self {
            cancel: cancel.clone(),
            closed: Arc::clone(closed),
            until: Instant::now() + START_TIME,
        }
    }

    pub(crate) fn check(&self, doing: &'static str) -> Result<(), SandboxError> {
        if self.cancel.is_cancelled() || self.closed.load(Ordering::Acquire) {
            return Err(SandboxError::Cancelled);
        }
        if Instant::now() > self.until {
            let source = std::io::ErrorKind::TimedOut.into();
            return Err(SandboxError::Start { doing, source });
        }
        Ok(())
    }
}
