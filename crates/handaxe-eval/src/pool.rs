//! Many items over a few threads, in whatever order they end; the results in the items' order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Told how many items are done, of how many.
pub type Tick<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Works on every item, `jobs` at a time. A panic of `work` ends the whole.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    tick: Tick<'_>,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, 64) {
            scope.spawn(|| {
                while let Some((at, item)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).map(|item| (at, item))
                } {
                    let result = work(item);
                    if let Ok(mut results) = results.lock() {
                        results.push((at, result));
                    }
                    tick(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_order_of_the_items() {
        let items: Vec<u32> = (0..100).collect();
        let told = AtomicUsize::new(0);
        let tick = |_: usize, of: usize| {
            assert_eq!(of, 100);
            told.fetch_add(1, Ordering::Relaxed);
        };
        for jobs in [0, 1, 3, 1000] {
            let out = each(&items, jobs, &tick, |n| n * 2);
            assert_eq!(out, items.iter().map(|n| n * 2).collect::<Vec<_>>());
        }
        assert_eq!(told.into_inner(), 400);
    }
}
