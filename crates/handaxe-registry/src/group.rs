//! Calls that end at the same time are written in one transaction: the disk is waited for once.
//!
//! Each caller still returns only when its own call is durable. Whoever gets the connection next
//! writes for all who wait (group commit, as in DeWitt et al., "Implementation techniques for main
//! memory database systems", 1984).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{RegistryError, Step as _};
use crate::invocations::NewCall;
use crate::registry::Registry;

const DOING: &str = "record the call";
/// Calls in one transaction.
const MOST: usize = 256;

/// Calls that wait for whoever writes next.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<VecDeque<Arc<Slot>>>);

struct Slot {
    call: NewCall,
    done: Mutex<Option<Result<i64, RegistryError>>>,
}

impl Slot {
    fn done(&self) -> MutexGuard<'_, Option<Result<i64, RegistryError>>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    pub(crate) fn write_call(&self, call: NewCall) -> Result<i64, RegistryError> {
        let mine = Arc::new(Slot {
            call,
            done: Mutex::new(None),
        });
        let waiting = &self.inner.calls;
        waiting.queue().push_back(Arc::clone(&mine));
        let mut conn = self.lock_for_calls();
        loop {
            if let Some(done) = mine.done().take() {
                return done;
            }
            let group: Vec<Arc<Slot>> = {
                let mut queue = waiting.queue();
                let n = queue.len().min(MOST);
                queue.drain(..n).collect()
            };
            if group.is_empty() {
                // Whoever took it broke off before it was written.
                return alone(&mut conn, &mine.call);
            }
            match together(&mut conn, &group) {
                Ok(ids) => {
                    for (slot, id) in group.iter().zip(ids) {
                        *slot.done() = Some(Ok(id));
                    }
                }
                // One of them may be at fault: each has its own try and its own error.
                Err(_) => {
                    for slot in &group {
                        *slot.done() = Some(alone(&mut conn, &slot.call));
                    }
                }
            }
        }
    }
}

fn together(conn: &mut Connection, group: &[Arc<Slot>]) -> Result<Vec<i64>, RegistryError> {
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .step(DOING)?;
    let ids = group
        .iter()
        .map(|slot| slot.call.record(&tx))
        .collect::<Result<Vec<_>, _>>()?;
    tx.commit().step(DOING)?;
    Ok(ids)
}

fn alone(conn: &mut Connection, call: &NewCall) -> Result<i64, RegistryError> {
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .step(DOING)?;
    let id = call.record(&tx)?;
    tx.commit().step(DOING)?;
    Ok(id)
}
