//! Compiled forms of tools, so that a tool that is called again need not be compiled again.
//!
//! They are made in a child like any other, which compiles and runs nothing of the source, and
//! they go only to children that are about to run that very source. So what a hostile source
//! could do to the compiler, and through it to the bytes that come out, it can do to itself alone:
//! inside the same jail, to the same tool, which it already is. The server never holds them, the
//! host never looks into them, and where there are none the source is compiled as before.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The most that one compiled form may be.
pub(super) const CODE_BYTES: u64 = 1 << 20;
const MOST: usize = 64;

#[derive(Default)]
pub(super) struct Codes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_source: HashMap<Arc<str>, Entry>,
    /// Oldest first.
    order: VecDeque<Arc<str>>,
}

enum Entry {
    /// Called once; most tools never are again.
    Once,
    /// Being compiled, or not to be compiled.
    Source,
    Compiled(Arc<[u8]>),
}

/// What to send of a source.
#[derive(Debug)]
pub(super) enum Form {
    /// As it is.
    Source,
    /// As it is, and now is the time to compile it.
    SourceAgain,
    Compiled(Arc<[u8]>),
}

impl Codes {
    /// What to send for the source now; remembers that it was called.
    pub(super) fn form(&self, source: &Arc<str>) -> Form {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.by_source.get_mut(source) {
            Some(Entry::Compiled(bytes)) => return Form::Compiled(Arc::clone(bytes)),
            Some(Entry::Source) => return Form::Source,
            Some(entry @ Entry::Once) => {
                *entry = Entry::Source;
                return Form::SourceAgain;
            }
            None => {}
        }
        if kept.order.len() >= MOST
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_source.remove(&oldest);
        }
        kept.order.push_back(Arc::clone(source));
        kept.by_source.insert(Arc::clone(source), Entry::Once);
        Form::Source
    }

    pub(super) fn keep(&self, source: &Arc<str>, compiled: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.by_source.get_mut(source) {
            *entry = Entry::Compiled(compiled.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_compiled_when_it_comes_again_and_forgotten_in_time() {
        let codes = Codes::default();
        let source: Arc<str> = "def run(): pass".into();
        assert!(matches!(codes.form(&source), Form::Source));
        assert!(matches!(codes.form(&source), Form::SourceAgain));
        assert!(matches!(codes.form(&source), Form::Source), "under way");
        codes.keep(&source, vec![1]);
        assert!(matches!(codes.form(&source), Form::Compiled(b) if b[..] == [1]));
        for n in 0..MOST {
            codes.form(&n.to_string().into());
        }
        codes.keep(&source, vec![2]);
        assert!(matches!(codes.form(&source), Form::Source));
    }
}
