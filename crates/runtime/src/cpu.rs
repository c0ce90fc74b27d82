//! A bounded pool for work that keeps a core busy.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

/// Runs CPU-heavy jobs off the async threads: at most so many at once, and at most so many waiting.
#[derive(Clone, Debug)]
pub struct CpuPool {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// Too many jobs wait already; the caller should answer "try again later".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is busy with other work of this kind")]
pub struct PoolBusy;

impl CpuPool {
    /// A pool that runs `width` jobs at once and lets `queue` more wait.
    #[must_use]
    pub fn new(width: usize, queue: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(width.max(1))),
            admitted: Arc::new(Semaphore::new(width.max(1) + queue)),
        }
    }

    /// One job per core, and 64 waiting for each.
    #[must_use]
    pub fn per_core() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new(cores, 64 * cores)
    }

    /// Runs the job and answers with its result.
    ///
    /// # Errors
    /// [`PoolBusy`] when too many wait, or when the job panicked.
    pub async fn run<T, J>(&self, job: J) -> Result<T, PoolBusy>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| PoolBusy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PoolBusy)?;
        let done = tokio::task::spawn_blocking(move || {
            // The permits end with the job, not with the caller, who may have hung up.
            let _permits = (admitted, running);
            job()
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a job of the CPU pool panicked; this is a bug");
            PoolBusy
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuPool, PoolBusy};

    #[tokio::test]
    async fn a_full_pool_refuses_at_once_and_recovers() {
        let pool = CpuPool::new(1, 0);
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(move || gate.recv().is_ok()).await }
        });
        while pool.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 1).await, Err(PoolBusy));
        release.send(()).expect("the job still waits");
        assert_eq!(first.await.expect("the task ends"), Ok(true));
        assert_eq!(pool.run(|| 2).await, Ok(2));
    }
}
