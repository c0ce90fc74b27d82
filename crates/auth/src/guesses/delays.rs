//! Delays that grow with every failure, by key, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many failures cost nothing: more than a person has who mistypes, and then remembers.
const FREE: u32 = 9;
/// The first wait; each failure more doubles it.
const FIRST: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// After how long without a failure a key is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3600);

/// Failures by key.
#[derive(Debug)]
pub(super) struct Delays<K> {
    capacity: usize,
    failures: Mutex<HashMap<K, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Duration,
}

impl Failures {
    fn wait(self) -> Duration {
        let Some(beyond) = self.count.checked_sub(FREE + 1) else { return Duration::ZERO };
        FIRST.saturating_mul(1 << beyond.min(16)).min(LONGEST)
    }
}

impl<K: Hash + Eq> Delays<K> {
    /// Of at most so many keys.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(2), failures: Mutex::new(HashMap::new()) }
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<K, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the key may try at monotonic time `now`, or how long it waits.
    pub(super) fn check(&self, key: &K, now: Duration) -> Result<(), Duration> {
        let failures = self.failures();
        let Some(known) = failures.get(key) else { return Ok(()) };
        let wait = (known.last + known.wait()).saturating_sub(now);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// It failed.
    pub(super) fn count(&self, key: K, now: Duration) {
        let mut failures = self.failures();
        if failures.len() >= self.capacity && !failures.contains_key(&key) {
            shrink(&mut failures, self.capacity, now);
        }
        let known = failures.entry(key).or_insert(Failures { count: 0, last: now });
        let is_old = now.saturating_sub(known.last) >= FORGOTTEN;
        let count = if is_old { 1 } else { known.count.saturating_add(1) };
        *known = Failures { count, last: now };
    }

    /// It did not.
    pub(super) fn forget(&self, key: &K) {
        self.failures().remove(key);
    }
}

/// Forgets what is long ago; where that is not enough, who failed the least.
fn shrink<K: Hash + Eq>(failures: &mut HashMap<K, Failures>, capacity: usize, now: Duration) {
    failures.retain(|_, known| now.saturating_sub(known.last) < FORGOTTEN);
    if failures.len() >= capacity {
        let mut counts: Vec<u32> = failures.values().map(|known| known.count).collect();
        counts.sort_unstable();
        let median = counts.get(counts.len() / 2).copied().unwrap_or_default();
        failures.retain(|_, known| known.count > median);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Delays, FORGOTTEN, FREE, LONGEST};

    #[test]
    fn each_failure_doubles_the_wait_until_a_long_rest_or_a_success() {
        let delays = Delays::new(8);
        let mut now = Duration::ZERO;
        for _ in 0..FREE {
            delays.count("a", now);
            assert_eq!(delays.check(&"a", now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            delays.count("a", now);
            let wait = delays.check(&"a", now).unwrap_err();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(delays.check(&"a", now), Ok(()));
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, LONGEST.as_secs(), 1800, 1800]);
        assert_eq!(delays.check(&"b", now), Ok(()), "another key is not affected");
        now += FORGOTTEN;
        delays.count("a", now);
        assert_eq!(delays.check(&"a", now), Ok(()));
        for _ in 0..20 {
            delays.count("a", now);
        }
        delays.forget(&"a");
        assert_eq!(delays.check(&"a", now), Ok(()));
    }

    #[test]
    fn memory_stays_bounded_and_who_fails_the_most_is_remembered() {
        let delays = Delays::new(64);
        for _ in 0..20 {
            delays.count(0, Duration::ZERO);
        }
        for key in 1..10_000 {
            delays.count(key, Duration::ZERO);
            assert!(delays.failures().len() <= 64);
        }
        assert!(delays.check(&0, Duration::ZERO).is_err());
    }
}
