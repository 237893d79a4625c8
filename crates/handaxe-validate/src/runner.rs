//! What every stage of a trial runs calls through: the sessions, the bounds, and a count of what
//! the host observed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use handaxe_sandbox::{Call, Cancel, Sandbox, SandboxError, Session, SessionSpec};
use handaxe_types::{Layer, Policy, Progress, Reporter, SandboxResult, Stage};

use crate::invoke::{Arguments, Contract, InvokeError, invoke};
use crate::trial::ValidateError;

/// Calls under way at once.
const PARALLEL: usize = 2;
const OTHER_SEED: u32 = 1;

/// One draft under trial.
pub(crate) struct Runner<'a> {
    sandbox: &'a dyn Sandbox,
    pub(crate) policy: &'a Policy,
    pub(crate) contract: Contract,
    pub(crate) deterministic: bool,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) cancel: &'a Cancel,
    deadline: Instant,
    runs: AtomicU32,
    observed: Mutex<Observed>,
    sessions: [Mutex<Option<Arc<dyn Session>>>; 2],
}

/// What the host saw of all runs of the tool itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) peak_kib: u64,
    pub(crate) longest_ms: f64,
    pub(crate) artifacts: u32,
    /// Layers that every run had; `None` before the first.
    pub(crate) layers: Option<BTreeSet<Layer>>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(
        sandbox: &'a dyn Sandbox,
        policy: &'a Policy,
        contract: Contract,
        deterministic: bool,
        reporter: &'a dyn Reporter,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            sandbox,
            policy,
            contract,
            deterministic,
            reporter,
            cancel,
            deadline: Instant::now() + Duration::from_millis(policy.trial.wall_budget_ms),
            runs: AtomicU32::new(0),
            observed: Mutex::default(),
            sessions: Default::default(),
        }
    }

    /// Under the hash seed of production.
    pub(crate) fn session(&self) -> Result<Arc<dyn Session>, ValidateError> {
        self.opened(0)
    }

    /// Under another hash seed.
    pub(crate) fn other_session(&self) -> Result<Arc<dyn Session>, ValidateError> {
        self.opened(OTHER_SEED)
    }

    fn opened(&self, hash_seed: u32) -> Result<Arc<dyn Session>, ValidateError> {
        let mut slot = self.sessions[hash_seed as usize % 2]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*slot {
            return Ok(Arc::clone(session));
        }
        let session = self.sandbox.open(SessionSpec {
            hash_seed,
            ..SessionSpec::default()
        })?;
        *slot = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Whether the time for the whole trial is over.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Time left for the whole trial.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }

    pub(crate) fn observed(&self) -> Observed {
        self.observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn progress(&self, stage: Stage, done: u32, of: u32, failed: u32) {
        self.reporter.report(Progress::Trial {
            stage,
            done,
            of,
            failed,
        });
    }

    /// One checked call of the tool, or of a contract made from its own.
    pub(crate) fn invoke(
        &self,
        session: &dyn Session,
        contract: &Contract,
        arguments: &Arguments,
    ) -> Result<SandboxResult, InvokeError> {
        if self.cancel.is_cancelled() {
            return Err(InvokeError::Sandbox(SandboxError::Cancelled));
        }
        let ran = invoke(session, contract, arguments, self.cancel);
        let result = match &ran {
            Ok(result) => result,
            Err(InvokeError::Output { result, .. }) => result,
            Err(_) => return ran,
        };
        self.runs.fetch_add(1, Ordering::Relaxed);
        if contract.same_code(&self.contract) {
            self.saw(result);
        }
        ran
    }

    /// One call of a program of ours, or of another tool's.
    pub(crate) fn call(
        &self,
        session: &dyn Session,
        call: &Call,
    ) -> Result<SandboxResult, ValidateError> {
        let run = session.call(call, self.cancel)?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(run)
    }

    fn saw(&self, result: &SandboxResult) {
        let mut seen = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        seen.peak_kib = seen.peak_kib.max(result.usage.max_rss_kib);
        seen.longest_ms = seen.longest_ms.max(result.runtime_ms);
        seen.artifacts += result.artifacts.len() as u32;
        let layers: BTreeSet<Layer> = result.layers.iter().copied().collect();
        seen.layers = Some(match seen.layers.take() {
            Some(before) => before.intersection(&layers).copied().collect(),
            None => layers,
        });
    }
}

/// Maps over items on a few threads; the first error stops the rest.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, ValidateError> + Sync,
) -> Result<Vec<R>, ValidateError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, Result<R, ValidateError>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { return };
                    let result = work(item);
                    if result.is_err() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(i, result);
                }
            });
        }
    });
    done.into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}
