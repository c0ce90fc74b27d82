//! Spreading independent work over threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many items a thread claims at once: enough that claiming costs nothing, few enough that threads end together.
const CLAIM: usize = 8;

/// Applies `work` to every item on up to `threads` threads, the calling one among them, and gives the results in the
/// order of the items.
///
/// A thread that cannot be started is done without.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    threads: NonZeroUsize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let claims = items.len().div_ceil(CLAIM);
    let helpers = threads.get().min(claims).saturating_sub(1);
    if helpers == 0 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut results = Vec::new();
        loop {
            let claim = next.fetch_add(1, Ordering::Relaxed);
            let Some(items) = items.chunks(CLAIM).nth(claim) else { return results };
            results.push((claim, items.iter().map(&work).collect::<Vec<_>>()));
        }
    };
    let mut results = thread::scope(|scope| {
        let spawned: Vec<_> =
            (0..helpers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, run).ok()).collect();
        let mut results = run();
        for thread in spawned {
            match thread.join() {
                Ok(theirs) => results.extend(theirs),
                // A panic in `work` is a bug; it goes on where it would have gone without threads.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(claim, _)| *claim);
    results.into_iter().flat_map(|(_, results)| results).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items_whatever_the_number_of_threads() {
        for items in [0, 1, 7, 8, 9, 100, 1001_usize] {
            let items: Vec<_> = (0..items).collect();
            let expected: Vec<_> = items.iter().map(|item| item * 2).collect();
            for threads in [1, 2, 3, 16] {
                let threads = NonZeroUsize::new(threads).unwrap();
                assert_eq!(map(&items, threads, |item| item * 2), expected);
            }
        }
    }
}
