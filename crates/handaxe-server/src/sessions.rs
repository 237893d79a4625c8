//! Warm sessions for every call that brings no files of its own. A session holds nothing of any
//! tool, so that all of them can share it; a call is a fresh process in it as always.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use handaxe_sandbox::{
    Call, Cancel, Interpreter, Profile, Sandbox, SandboxError, Session, SessionSpec, SessionStats,
};
use handaxe_types::{LayerStatus, SandboxResult};

/// Those that are open, by the seed of their hashes.
type Kept = Arc<Mutex<BTreeMap<u32, Arc<dyn Session>>>>;

/// So many: one for calls, and one for those that are looked at a second time, under another seed.
/// To open one takes as long as twenty calls.
const MOST: usize = 2;

/// A sandbox whose plain sessions are opened once and kept.
pub(crate) struct SharedSessions {
    inner: Arc<dyn Sandbox>,
    kept: Kept,
}

impl SharedSessions {
    pub(crate) fn new(inner: Arc<dyn Sandbox>) -> Self {
        Self {
            inner,
            kept: Arc::default(),
        }
    }
}

impl SharedSessions {
    /// Of the session for calls, while there is one.
    pub(crate) fn stats(&self) -> SessionStats {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let plain = kept.get(&SessionSpec::default().hash_seed);
        plain.map(|s| s.stats()).unwrap_or_default()
    }
}

impl Sandbox for SharedSessions {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn interpreter(&self) -> &Interpreter {
        self.inner.interpreter()
    }

    fn profile(&self) -> &Profile {
        self.inner.profile()
    }

    fn layers(&self) -> &[LayerStatus] {
        self.inner.layers()
    }

    fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Session>, SandboxError> {
        let seed = spec.hash_seed;
        if !spec.mounts.is_empty() {
            return self.inner.open(spec);
        }
        // Held while it opens: the calls that come meanwhile want this very session.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match kept.get(&seed) {
            Some(session) => Arc::clone(session),
            None if kept.len() < MOST => {
                let session = self.inner.open(spec)?;
                kept.insert(seed, Arc::clone(&session));
                session
            }
            None => {
                drop(kept);
                return self.inner.open(spec);
            }
        };
        drop(kept);
        Ok(Arc::new(Lent {
            session,
            seed,
            kept: Arc::clone(&self.kept),
        }))
    }
}

/// The kept session in a caller's hands; one that has died is not lent again.
struct Lent {
    session: Arc<dyn Session>,
    seed: u32,
    kept: Kept,
}

impl Session for Lent {
    fn call(&self, call: &Call, cancel: &Cancel) -> Result<SandboxResult, SandboxError> {
        let result = self.session.call(call, cancel);
        if let Err(
            SandboxError::JailDied { .. } | SandboxError::Protocol { .. } | SandboxError::Io { .. },
        ) = &result
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |kept: &Arc<dyn Session>| Arc::ptr_eq(kept, &self.session);
            if kept.get(&self.seed).is_some_and(same) {
                kept.remove(&self.seed);
            }
        }
        result
    }

    fn stats(&self) -> SessionStats {
        self.session.stats()
    }
}
