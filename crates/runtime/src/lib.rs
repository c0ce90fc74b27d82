//! The only door to time, randomness, tasks and CPU pools.
//!
//! Everything else in the server takes them from an [`Env`], so that a test can run the whole server on virtual time
//! and a seed, and so that every task has a name and ends when the server does.

mod clock;
mod cpu;
mod limit;
mod random;
mod rsa;
mod seal;
mod secret;
mod tasks;

pub use clock::{Clock, ManualClock, Millis, SystemClock};
pub use cpu::{CpuPool, PoolBusy};
pub use limit::{Quota, RateLimiter, neighbourhood};
pub use random::Random;
pub use rsa::RsaKey;
pub use seal::{SealKey, Sealer};
pub use secret::Secret;
pub use tasks::Tasks;

use std::sync::Arc;

/// What a service needs of the world. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Random,
    /// Background work.
    pub tasks: Tasks,
    /// CPU-heavy work (password hashing, thumbnails, state resolution), bounded.
    pub cpu: CpuPool,
}

impl Env {
    /// The real world: the system's clock and entropy, one CPU job per core.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            random: Random::from_entropy(),
            tasks: Tasks::new(),
            cpu: CpuPool::per_core(),
        }
    }

    /// A world that repeats: a clock that only tests move, and randomness from a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> (Self, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new());
        let env = Self {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Random::from_seed(seed),
            tasks: Tasks::new(),
            cpu: CpuPool::per_core(),
        };
        (env, clock)
    }
}
