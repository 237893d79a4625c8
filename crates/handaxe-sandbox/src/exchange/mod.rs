//! What every backend does alike with one call: check what goes in, write the request, hear out what
//! comes back, and say how it ended. Nothing here starts or kills anything.

pub(crate) mod artifacts;
#[cfg(feature = "testing")]
pub mod bench;
pub(crate) mod ending;
pub(crate) mod hearing;
pub(crate) mod request;
pub(crate) mod wire;
