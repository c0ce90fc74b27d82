//! Work on whole rooms that an administrator orders, page by page.
//!
//! A job is a row. Whoever orders it is answered when the row is durable; a worker does one page of each running job in turn,
//! and each page leaves the row so that doing it twice does no harm. So a crash costs a page at most.

mod purge_history;
mod purge_room;
mod shut_down;

pub use purge_history::Before;
pub(crate) use purge_history::{kept, oldest_from};
pub use purge_room::PurgeError;

use std::sync::Arc;
use std::time::Duration;

use myelin_store::schema::moderation::{JobKind, JobStatus, RoomJob};
use myelin_store::{Batch, ReadError, Reader, Scan, reserve_ids};
use ruma::RoomId;

use crate::{Rooms, SendError, load};

/// How many jobs run at once; more wait for their turn.
const AT_ONCE: usize = 16;
/// How many jobs a list shows.
const MOST_SHOWN: usize = 1_000;
/// For how long a job that has ended is shown, in milliseconds.
const SHOWN_FOR: i64 = 30 * 86_400_000;
/// How often the rows are looked at without being told to.
const PAUSE: Duration = Duration::from_secs(60);
/// How long to wait after a page that could not be done for a reason that passes.
const RETRY: Duration = Duration::from_secs(1);

impl Rooms {
    /// The newest jobs, the latest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn jobs(&self) -> Result<Vec<RoomJob>, ReadError> {
        let scan = Scan::prefix::<RoomJob>((), MOST_SHOWN).backward();
        self.deps.engine.snapshot().await?.scan::<RoomJob>(scan).await
    }

    /// A job that may be ordered.
    pub(crate) async fn new_job(
        &self,
        kind: JobKind,
        room_id: &RoomId,
        message: Option<&str>,
    ) -> Result<RoomJob, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(SendError::NoSuchRoom)?;
        drop(snapshot);
        let job = reserve_ids(&*self.deps.engine, "room_job", 1).await?.take().ok_or(SendError::Busy)?;
        Ok(RoomJob {
            job,
            kind,
            room,
            room_id: room_id.to_owned(),
            message: message.map(str::to_owned),
            before_ts: None,
            before_order: None,
            status: JobStatus::Running,
            cursor: None,
            done: 0,
            problem: None,
            started_at: self.job_time(),
            ended_at: None,
        })
    }

    /// Orders a job; it begins at once.
    pub(crate) async fn order(&self, job: RoomJob) -> Result<RoomJob, SendError> {
        self.put_job(&job).await?;
        self.jobs_changed.notify_one();
        Ok(job)
    }

    /// Starts the worker.
    pub(crate) fn start_jobs(self: &Arc<Self>) {
        let rooms = Arc::clone(self);
        self.deps.env.tasks.supervise("room jobs", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.work_until(rooms.deps.env.tasks.stopping()).await }
        });
    }

    async fn work_until(&self, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            let pause = match self.work().await {
                Ok(()) => PAUSE,
                Err(error) => {
                    // The store tells the operator of a full disk; every try would be too often.
                    if !matches!(error, SendError::Full) {
                        tracing::warn!(%error, "a room's job waits until the room can be written again");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = self.jobs_changed.notified(), if pause == PAUSE => {}
                () = tokio::time::sleep(pause) => {}
                () = &mut stopping => return,
            }
        }
    }

    /// One page of each running job in turn, until none is left.
    async fn work(&self) -> Result<(), SendError> {
        self.forget_jobs().await?;
        loop {
            let scan = Scan::index::<RoomJob>(RoomJob::BY_STATUS, (JobStatus::Running,), AT_ONCE);
            let jobs = self.deps.engine.snapshot().await?.scan::<RoomJob>(scan).await?;
            if jobs.is_empty() {
                return Ok(());
            }
            for job in jobs {
                if self.deps.env.tasks.is_stopping() {
                    return Ok(());
                }
                self.work_on(job).await?;
            }
        }
    }

    async fn work_on(&self, job: RoomJob) -> Result<(), SendError> {
        let done = match job.kind {
            JobKind::ShutDown => self.shut_down_page(&job).await,
            JobKind::PurgeHistory => self.purge_history_page(&job).await,
            JobKind::PurgeRoom => self.purge_room_page(&job).await,
        };
        match done {
            Err(error) if !error.is_passing() => {
                tracing::warn!(%error, job = job.job, room = %job.room_id, "a room's job can't go on");
                let ended_at = Some(self.job_time());
                let problem = Some(error.to_string());
                self.put_job(&RoomJob { status: JobStatus::Failed, problem, ended_at, ..job }).await
            }
            other => other,
        }
    }

    pub(crate) async fn put_job(&self, job: &RoomJob) -> Result<(), SendError> {
        let mut batch = Batch::new(self.deps.fence(&job.room_id));
        batch.put(job);
        self.deps.engine.commit(batch).await?;
        Ok(())
    }

    pub(crate) fn job_time(&self) -> i64 {
        i64::try_from(self.deps.env.clock.now()).unwrap_or(i64::MAX)
    }

    /// Deletes what ended long ago.
    async fn forget_jobs(&self) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let rows = snapshot.scan::<RoomJob>(Scan::prefix::<RoomJob>((), AT_ONCE)).await?;
        drop(snapshot);
        let long_ago = self.job_time().saturating_sub(SHOWN_FOR);
        let mut batch = Batch::new(self.deps.provisional_fence());
        for row in rows.iter().filter(|row| row.ended_at.is_some_and(|ended| ended < long_ago)) {
            batch.delete::<RoomJob>(&(row.job,));
        }
        if !batch.is_empty() {
            self.deps.engine.commit(batch).await?;
        }
        Ok(())
    }
}
