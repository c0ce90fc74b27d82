//! Time as a port.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, as Matrix writes times.
pub type Millis = u64;

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall time: for `origin_server_ts` and expiry dates. It may jump; nothing is ordered by it.
    fn now(&self) -> Millis;

    /// Time since some fixed moment of this process; never goes back. For measuring and for rate limits.
    fn elapsed(&self) -> Duration;
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicU64,
}

impl ManualClock {
    /// Where every manual clock starts: 2026-01-01T00:00:00Z.
    pub const START: Millis = 1_767_225_600_000;

    /// A clock at [`Self::START`].
    #[must_use]
    pub fn new() -> Self {
        Self { millis: AtomicU64::new(Self::START) }
    }

    /// Moves both wall and monotonic time on.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(by, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.millis.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now() - Self::START)
    }
}
