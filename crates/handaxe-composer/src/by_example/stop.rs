//! How a search is told to end before it is done.

/// Whether to stop: asked at every step, so it is to be cheap, and having said yes it says so ever
/// after. What a stopped search has found by then is not to be used: a simpler program may have been
/// left out.
pub type Stop<'a> = &'a dyn Fn() -> bool;

/// Lets a search run to its own bounds.
pub(super) const NEVER: Stop<'static> = &|| false;
