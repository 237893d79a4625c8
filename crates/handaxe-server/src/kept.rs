//! Results too large to put into a reply, and files that tools produced: kept for a while under a
//! URI, bounded in number and bytes, oldest gone first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

const MOST: usize = 256;
const MOST_BYTES: usize = 256 << 20;

/// One thing kept.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) uri: String,
    pub(crate) name: String,
    pub(crate) mime: &'static str,
    pub(crate) bytes: Arc<[u8]>,
}

/// Shared by the connections of one server.
#[derive(Debug, Default)]
pub struct Kept {
    items: Mutex<(u64, VecDeque<Item>)>,
}

impl Kept {
    /// Keeps bytes under a new URI; `None` when they are more than everything may be.
    pub(crate) fn keep(&self, name: &str, mime: &'static str, bytes: Vec<u8>) -> Option<Item> {
        if bytes.len() > MOST_BYTES {
            return None;
        }
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.0 += 1;
        let item = Item {
            uri: format!("handaxe://results/{}/{name}", items.0),
            name: name.to_owned(),
            mime,
            bytes: bytes.into(),
        };
        items.1.push_back(item.clone());
        while items.1.len() > MOST
            || items.1.iter().map(|i| i.bytes.len()).sum::<usize>() > MOST_BYTES
        {
            items.1.pop_front();
        }
        Some(item)
    }

    pub(crate) fn find(&self, uri: &str) -> Option<Item> {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.1.iter().find(|i| i.uri == uri).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Item> {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.1.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_oldest_first() {
        let kept = Kept::default();
        let first = kept.keep("a", "text/plain", vec![1]).unwrap();
        assert!(kept.find(&first.uri).is_some());
        for _ in 0..MOST {
            kept.keep("b", "text/plain", vec![0; 10]).unwrap();
        }
        assert!(kept.find(&first.uri).is_none());
        assert_eq!(kept.all().len(), MOST);
        assert!(
            kept.keep("c", "text/plain", vec![0; MOST_BYTES + 1])
                .is_none()
        );
        kept.keep("d", "text/plain", vec![0; MOST_BYTES]).unwrap();
        assert_eq!(kept.all().len(), 1);
    }
}
