//! A call that nobody waits for any more is stopped: its client went away, and with it the request
//! that holds this value.

use handaxe_sandbox::Cancel;

#[derive(Default)]
pub(crate) struct Gone(Cancel);

impl Gone {
    /// What stops the call.
    pub(crate) fn cancel(&self) -> Cancel {
        self.0.clone()
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
