//! Supervised background tasks.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns background work and ends it when the server stops. Cheap to clone; clones are one group.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` until it ends. Work that goes on by itself must watch [`Self::stopping`].
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let watched = self.tracker.spawn(work);
        self.tracker.spawn(async move {
            if let Err(error) = watched.await
                && error.is_panic()
            {
                tracing::error!(task = name, "a background task panicked; this is a bug");
            }
        });
    }

    /// Runs what `make` returns, and again (after a pause that grows to 30 s) whenever it panics, so that one bad
    /// input can't end a service for good.
    pub fn supervise<M, F>(&self, name: &'static str, mut make: M)
    where
        M: FnMut() -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let mut pause = Duration::from_millis(100);
            loop {
                match tasks.tracker.spawn(make()).await {
                    Ok(()) => return,
                    Err(error) if error.is_panic() => {
                        tracing::error!(
                            task = name,
                            "a background task panicked and is started again; this is a bug"
                        );
                    }
                    Err(_) => return,
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(30)),
                    () = tasks.stopping() => return,
                }
            }
        });
    }

    /// Resolves when the server is stopping.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Whether the server is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task to stop and waits for them, at most `grace`. Answers whether all ended in time.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::Tasks;

    #[tokio::test(start_paused = true)]
    async fn a_supervised_task_that_panics_runs_again_and_ends_with_the_server() {
        let tasks = Tasks::new();
        let runs = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&runs);
        let inner = tasks.clone();
        tasks.supervise("test", move || {
            let (counter, inner) = (Arc::clone(&counter), inner.clone());
            async move {
                assert!(counter.fetch_add(1, Ordering::SeqCst) >= 2, "the first two runs fail");
                inner.stopping().await;
            }
        });
        tokio::time::timeout(Duration::from_secs(60), async {
            while runs.load(Ordering::SeqCst) < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the task is started a third time");
        assert!(tasks.stop(Duration::from_secs(1)).await);
    }
}
