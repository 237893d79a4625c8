//! Whoever hears a reply while it arrives.

use tokio::sync::mpsc;

/// Takes the text of a reply piece by piece, in order. What it hears is a model's words: to be
/// shown, and never believed before the whole has been read.
#[derive(Clone, Debug)]
pub struct Listener(mpsc::UnboundedSender<String>);

impl Listener {
    /// A listener and what it hears. Not more waits here than a reply may hold
    /// ([`super::MAX_BODY`]).
    pub fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// One that has gone hears nothing, and nobody minds.
    pub(super) fn hear(&self, text: String) {
        let _ = self.0.send(text);
    }
}
