//! How much a run may spend, shared by all roles.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Model, ModelError, ModelId, ModelReply, ModelRequest, Tokens};

/// Which bound stopped a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Tokens,
    WallTime,
}

impl Bound {
    /// As it stands in `stopped_by`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::WallTime => "wall_time",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetExhausted {
    pub bound: Bound,
    /// Tokens, or milliseconds.
    pub limit: u64,
    pub spent: u64,
}

impl fmt::Display for BudgetExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, spent, .. } = self;
        match self.bound {
            Bound::Tokens => write!(
                f,
                "the model budget is used up: {spent} of {limit} tokens, and the next call needs more"
            ),
            Bound::WallTime => write!(
                f,
                "the time budget is used up: {:.1} of {:.1} s",
                *spent as f64 / 1e3,
                *limit as f64 / 1e3
            ),
        }
    }
}

impl std::error::Error for BudgetExhausted {}

/// Tokens and wall time of one run.
#[derive(Debug)]
pub struct Budget {
    tokens: u64,
    spent: AtomicU64,
    wall: Duration,
    start: Instant,
}

impl Budget {
    /// The clock starts now.
    pub fn new(tokens: u64, wall: Duration) -> Self {
        Self {
            tokens,
            spent: AtomicU64::new(0),
            wall,
            start: Instant::now(),
        }
    }

    /// For a role that has no bound but the run's.
    pub fn unbounded() -> Self {
        Self::new(u64::MAX, Duration::MAX)
    }

    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    pub fn deadline(&self) -> Instant {
        // Past the end of the clock there is no deadline; a year is as good as none.
        const YEAR: Duration = Duration::from_hours(365 * 24);
        self.start + self.wall.min(YEAR)
    }

    pub fn charge(&self, usage: Tokens) {
        let _ = self
            .spent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |s| {
                Some(s.saturating_add(usage.total()))
            });
    }

    /// Whether a prompt of `input` tokens and the start of a reply still fit; gives the tokens
    /// left for the reply.
    pub fn check(&self, input: u64) -> Result<u64, BudgetExhausted> {
        let elapsed = self.start.elapsed();
        if elapsed >= self.wall {
            return Err(BudgetExhausted {
                bound: Bound::WallTime,
                limit: self.wall.as_millis() as u64,
                spent: elapsed.as_millis() as u64,
            });
        }
        let spent = self.spent();
        match self.tokens.checked_sub(spent.saturating_add(input)) {
            Some(left) if left > 0 => Ok(left),
            _ => Err(BudgetExhausted {
                bound: Bound::Tokens,
                limit: self.tokens,
                spent,
            }),
        }
    }
}

/// A model that stops when the budget does.
pub struct Budgeted<M> {
    inner: M,
    budget: Arc<Budget>,
}

impl<M: Model> Budgeted<M> {
    pub fn new(inner: M, budget: Arc<Budget>) -> Self {
        Self { inner, budget }
    }
}

#[async_trait]
impl<M: Model> Model for Budgeted<M> {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }

    fn remote(&self) -> Option<&str> {
        self.inner.remote()
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let estimate = request.estimate();
        let left = self.budget.check(estimate)?;
        let mut request = request.clone();
        request.max_tokens = request
            .max_tokens
            .min(u32::try_from(left).unwrap_or(u32::MAX));
        let own_deadline = request.deadline;
        request.deadline = own_deadline.min(self.budget.deadline());
        let result = self.inner.complete(&request).await;
        match &result {
            Ok(reply) => self.budget.charge(reply.usage),
            Err(e) if e.was_read() => self.budget.charge(Tokens {
                input: estimate,
                output: 0,
            }),
            Err(_) => {}
        }
        // A call that ran into the run's own end was stopped by the budget, not by the provider.
        match result {
            Err(ModelError::Timeout { .. }) if self.budget.deadline() < own_deadline => {
                self.budget.check(0)?;
                result
            }
            other => other,
        }
    }

    fn skip(&self, request: &ModelRequest, reply: &ModelReply) {
        self.budget.charge(reply.usage);
        self.inner.skip(request, reply);
    }
}
