//! Locks by name, in bounded memory.

use tokio::sync::{Mutex, MutexGuard};

/// How many names share a lock with others.
const STRIPES: usize = 64;

/// A fixed number of locks. Each is held for a few syncs of the disk, so that names which share one hardly notice.
pub(crate) struct Stripes {
    locks: Vec<Mutex<()>>,
}

impl Stripes {
    pub(crate) fn new() -> Self {
        Self { locks: (0..STRIPES).map(|_| Mutex::default()).collect() }
    }

    /// Waits for the lock that this number falls to.
    pub(crate) async fn lock(&self, number: u16) -> MutexGuard<'_, ()> {
        self.locks[usize::from(number) % STRIPES].lock().await
    }
}
