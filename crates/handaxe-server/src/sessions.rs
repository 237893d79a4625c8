//! One warm session for every call that brings no files of its own. A session holds nothing of any
//! tool, so that all of them can share it; a call is a fresh process in it as always.

use std::sync::{Arc, Mutex, PoisonError};

use handaxe_sandbox::{
    Call, Cancel, Interpreter, Profile, Sandbox, SandboxError, Session, SessionSpec, SessionStats,
};
use handaxe_types::{LayerStatus, SandboxResult};

/// A sandbox whose plain sessions are opened once and kept.
pub(crate) struct SharedSessions {
    inner: Arc<dyn Sandbox>,
    plain: Arc<Mutex<Option<Arc<dyn Session>>>>,
}

impl SharedSessions {
    pub(crate) fn new(inner: Arc<dyn Sandbox>) -> Self {
        Self {
            inner,
            plain: Arc::default(),
        }
    }
}

impl SharedSessions {
    /// Of the kept session, while there is one.
    pub(crate) fn stats(&self) -> SessionStats {
        let plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        plain.as_ref().map(|s| s.stats()).unwrap_or_default()
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
        if !spec.mounts.is_empty() || spec.hash_seed != SessionSpec::default().hash_seed {
            return self.inner.open(spec);
        }
        // Held while it opens: the calls that come meanwhile want this very session.
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match &*plain {
            Some(session) => Arc::clone(session),
            None => Arc::clone(plain.insert(self.inner.open(spec)?)),
        };
        drop(plain);
        Ok(Arc::new(Lent {
            session,
            plain: Arc::clone(&self.plain),
        }))
    }
}

/// The kept session in a caller's hands; one that has died is not lent again.
struct Lent {
    session: Arc<dyn Session>,
    plain: Arc<Mutex<Option<Arc<dyn Session>>>>,
}

impl Session for Lent {
    fn call(&self, call: &Call, cancel: &Cancel) -> Result<SandboxResult, SandboxError> {
        let result = self.session.call(call, cancel);
        if let Err(
            SandboxError::JailDied { .. } | SandboxError::Protocol { .. } | SandboxError::Io { .. },
        ) = &result
        {
            let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
            if plain
                .as_ref()
                .is_some_and(|p| Arc::ptr_eq(p, &self.session))
            {
                *plain = None;
            }
        }
        result
    }

    fn stats(&self) -> SessionStats {
        self.session.stats()
    }
}
