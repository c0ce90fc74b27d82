//! Several requests at once, each from a thread of its own that blocks on its connection.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, ScopedJoinHandle},
};

use anyhow::{Result, anyhow};

/// How many connections prepare a load at once.
const PREPARING: usize = 8;

/// Makes `number` values, a few at once; the order is that of the numbers.
pub(crate) fn map<T: Send>(number: usize, make: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let mut workers = [(); PREPARING];
    let made = each(&mut workers, |_, _| {
        let mut made = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= number {
                return Ok(made);
            }
            made.push((at, make(at)?));
        }
    })?;
    let mut made: Vec<(usize, T)> = made.into_iter().flatten().collect();
    made.sort_by_key(|(at, _)| *at);
    Ok(made.into_iter().map(|(_, value)| value).collect())
}

/// Runs `work` for all of these at once, each in its own thread; those that wait at the barrier before
/// anything else begin together.
pub(crate) fn each<T: Send, R: Send>(
    items: &mut [T],
    work: impl Fn(&mut T, &Barrier) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let start = Barrier::new(items.len());
    thread::scope(|scope| {
        let workers: Vec<_> = items.iter_mut().map(|item| scope.spawn(|| work(item, &start))).collect();
        let ended = workers.into_iter().map(ScopedJoinHandle::join);
        ended.map(|end| end.unwrap_or_else(|_| Err(anyhow!("a thread of the client panicked")))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_in_order_and_each_once() {
        assert_eq!(map(100, Ok).unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn one_failure_fails_all() {
        assert!(map(10, |at| if at == 7 { Err(anyhow!("no")) } else { Ok(()) }).is_err());
    }
}
