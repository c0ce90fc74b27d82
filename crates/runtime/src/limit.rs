//! Rate limits: token buckets by key, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How fast one key may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Requests a second in the long run.
    pub per_second: f64,
    /// Requests at once after a rest.
    pub burst: f64,
}

/// The key of an address where one person is to have one bucket: an IPv6 address stands for its /64, the least that a network
/// gives to one customer (RFC 6177).
#[must_use]
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Token buckets for any number of keys. A key that has been at rest long enough to have a full bucket takes no
/// memory; past `capacity` busy keys, the fullest buckets are forgotten.
#[derive(Debug)]
pub struct RateLimiter<K> {
    quota: Quota,
    capacity: usize,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    fn filled(self, quota: Quota, now: Duration) -> f64 {
        let rest = now.saturating_sub(self.at).as_secs_f64();
        (self.tokens + rest * quota.per_second).min(quota.burst)
    }
}

impl<K: Hash + Eq + Clone> RateLimiter<K> {
    /// A limiter that remembers at most `capacity` busy keys.
    #[must_use]
    pub fn new(quota: Quota, capacity: usize) -> Self {
        Self { quota, capacity: capacity.max(2), buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one token for the key at monotonic time `now`.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub fn take(&self, key: &K, now: Duration) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= self.capacity && !buckets.contains_key(key) {
            shrink(&mut buckets, self.quota, self.capacity, now);
        }
        let fresh = Bucket { tokens: self.quota.burst, at: now };
        let bucket = buckets.entry(key.clone()).or_insert(fresh);
        let tokens = bucket.filled(self.quota, now);
        self.wait(tokens)?;
        *bucket = Bucket { tokens: tokens - 1.0, at: now };
        Ok(())
    }

    /// Whether a token for the key could be taken at monotonic time `now`; takes none. For limits that count only
    /// what failed.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub fn peek(&self, key: &K, now: Duration) -> Result<(), Duration> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get(key).map_or(Ok(()), |bucket| self.wait(bucket.filled(self.quota, now)))
    }

    fn wait(&self, tokens: f64) -> Result<(), Duration> {
        if tokens >= 1.0 {
            return Ok(());
        }
        let wait = (1.0 - tokens) / self.quota.per_second.max(1e-9);
        Err(Duration::from_secs_f64(wait.min(86_400.0)))
    }
}

/// Forgets full buckets; where that is not enough, the fuller half.
fn shrink<K: Hash + Eq>(buckets: &mut HashMap<K, Bucket>, quota: Quota, capacity: usize, now: Duration) {
    buckets.retain(|_, bucket| bucket.filled(quota, now) < quota.burst);
    if buckets.len() >= capacity {
        let mut levels: Vec<f64> = buckets.values().map(|bucket| bucket.filled(quota, now)).collect();
        levels.sort_by(f64::total_cmp);
        let median = levels[levels.len() / 2];
        buckets.retain(|_, bucket| bucket.filled(quota, now) < median);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Quota, RateLimiter};

    #[test]
    fn a_burst_passes_then_the_pace_holds() {
        let limiter = RateLimiter::new(Quota { per_second: 2.0, burst: 3.0 }, 100);
        let at = Duration::from_millis;
        assert!((0..3).all(|_| limiter.take(&"a", at(0)).is_ok()));
        assert_eq!(limiter.take(&"a", at(0)), Err(at(500)));
        assert!(limiter.take(&"b", at(0)).is_ok(), "another key is not affected");
        assert!(limiter.take(&"a", at(500)).is_ok());
        assert!(limiter.take(&"a", at(600)).is_err());
    }

    #[test]
    fn looking_takes_nothing() {
        let limiter = RateLimiter::new(Quota { per_second: 2.0, burst: 1.0 }, 100);
        assert!((0..3).all(|_| limiter.peek(&"a", Duration::ZERO).is_ok()));
        assert!(limiter.take(&"a", Duration::ZERO).is_ok());
        assert_eq!(limiter.peek(&"a", Duration::ZERO), Err(Duration::from_millis(500)));
        assert!(limiter.peek(&"a", Duration::from_millis(500)).is_ok());
    }

    #[test]
    fn memory_stays_bounded_under_a_flood_of_keys() {
        let limiter = RateLimiter::new(Quota { per_second: 0.1, burst: 2.0 }, 64);
        for key in 0..10_000 {
            let _ = limiter.take(&key, Duration::ZERO);
        }
        assert!(limiter.buckets.lock().unwrap().len() <= 64);
    }
}
