//! What keeps two runs that ask for the same from making it twice.

use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

use handaxe_types::{ApprovalRequest, ToolDigest};

use crate::error::RegistryError;
use crate::registry::Registry;
use crate::stored::ApprovalRow;

/// Nothing slower than a few runs in the sandbox happens while the lock is held.
const PATIENCE: Duration = Duration::from_mins(2);

impl Registry {
    /// Held while a run looks once more whether its tool is there by now, and registers it: one
    /// run at a time, over all processes of this home. Given back when dropped, or by death.
    pub fn registering(&self) -> std::io::Result<File> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.home().join("registering.lock"))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(std::io::Error::from(std::io::ErrorKind::TimedOut));
                }
                Err(TryLockError::Error(e)) => return Err(e),
            }
        }
    }

    /// The request that waits for a person over exactly this digest.
    pub fn waiting_for(
        &self,
        subject: ToolDigest,
    ) -> Result<Option<ApprovalRequest>, RegistryError> {
        self.read(|tx| {
            let rows = ApprovalRow::select(
                tx,
                "a.subject = ?1 AND a.state = 'waiting' AND a.expires_ms > ?2 ORDER BY a.id",
                (subject.to_string(), self.now_ms()),
            )?;
            Ok(rows.into_iter().next().map(|row| row.request))
        })
    }
}
