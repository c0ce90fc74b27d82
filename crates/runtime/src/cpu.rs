//! A bounded pool for work that keeps a core busy.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, available_parallelism};

use tokio::sync::Semaphore;

/// How many jobs may wait in all, whatever the number of cores: everybody who logs in after a power cut.
const LEAST_QUEUE: usize = 512;
/// By how much its threads stand back behind those that answer requests (`nice`): somebody who hashes a password can wait
/// longer than somebody who reads.
#[cfg(target_os = "linux")]
const STANDS_BACK: i32 = 10;

/// Runs CPU-heavy jobs off the async threads: at most so many at once, and at most so many waiting.
#[derive(Clone, Debug)]
pub struct CpuPool {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    threads: Arc<Threads>,
}

/// Too many jobs wait already; the caller should answer "try again later".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is busy with other work of this kind")]
pub struct PoolBusy;

impl CpuPool {
    /// A pool that runs `width` jobs at once and lets `queue` more wait.
    #[must_use]
    pub fn new(width: usize, queue: usize) -> Self {
        let width = width.max(1);
        Self {
            running: Arc::new(Semaphore::new(width)),
            admitted: Arc::new(Semaphore::new(width + queue)),
            threads: Arc::new(Threads { width, jobs: OnceLock::new() }),
        }
    }

    /// One job per core, and 64 waiting for each, or 512.
    #[must_use]
    pub fn per_core() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new(cores, LEAST_QUEUE.max(64 * cores))
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
        let threads = Arc::clone(&self.threads);
        // The runtime knows of jobs by this: it waits for them where it ends, and with a clock that is not real.
        let done = tokio::task::spawn_blocking(move || {
            // The permits end with the job, not with the caller, who may have hung up.
            let _permits = (admitted, running);
            threads.run(job)
        });
        match done.await {
            Ok(Some(done)) => Ok(done),
            Ok(None) | Err(_) => {
                tracing::error!("a job of the CPU pool panicked; this is a bug");
                Err(PoolBusy)
            }
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads that jobs run on, which stand back behind all others. They are started with the first job, and end with the
/// pool.
#[derive(Debug)]
struct Threads {
    width: usize,
    jobs: OnceLock<Sender<Job>>,
}

impl Threads {
    /// Runs a job, and waits for it; nothing where it panicked.
    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let job = Box::new(move || drop(sender.send(job())));
        // Where no thread could be started the job is given back, and runs here.
        if let Err(mpsc::SendError(job)) = self.jobs.get_or_init(|| self.start()).send(job) {
            job();
        }
        receiver.recv().ok()
    }

    fn start(&self) -> Sender<Job> {
        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..self.width {
            let receiver = Arc::clone(&receiver);
            let thread = thread::Builder::new().name(format!("cpu-{number}"));
            if let Err(error) = thread.spawn(move || work(&receiver)) {
                tracing::warn!(%error, "a thread of the CPU pool could not be started");
            }
        }
        sender
    }
}

/// Runs jobs until there will be none any more.
fn work(jobs: &Mutex<Receiver<Job>>) {
    // Of this thread alone: that is what Linux makes of it, and no other system does.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(STANDS_BACK) {
        tracing::debug!(%error, "a thread of the CPU pool does not stand back");
    }
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(job) = next() {
        // Whoever waits sees that nothing came. The panic hook has said why.
        let _ = catch_unwind(AssertUnwindSafe(job));
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

    #[tokio::test]
    async fn a_job_that_panics_is_refused_and_its_thread_goes_on() {
        let pool = CpuPool::new(1, 8);
        let panics = || -> i32 { std::panic::resume_unwind(Box::new("a bug")) };
        assert_eq!(pool.run(panics).await, Err(PoolBusy));
        let thread = || std::thread::current().name().map(str::to_owned);
        assert_eq!(pool.run(thread).await, Ok(Some("cpu-0".to_owned())));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn jobs_stand_back_behind_whoever_answers_requests() {
        let nice = || rustix::process::getpriority_process(None).unwrap_or_default();
        let own = nice();
        assert_eq!(CpuPool::new(1, 0).run(nice).await, Ok((own + super::STANDS_BACK).min(19)));
        assert_eq!(nice(), own);
    }
}
