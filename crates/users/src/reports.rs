//! What users report to the server's administrators (client-server API, "Reporting Content").

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use myelin_model::{Pos, Requester};
use myelin_store::schema::users::Report;
use myelin_store::{CommitError, Planned, ReadError, Reader, Scan};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::Users;

/// The longest reason, in bytes.
pub const MAX_REASON: usize = 4_096;

/// How many reports of one user wait at once. Nobody has as many to make before the first are looked at.
pub const MAX_REPORTS: usize = 100;

/// How many reports of all users wait at once: with their events, what an administrator's disk can spare for them.
pub const MOST_WAITING: usize = 10_000;

/// How many are read at once to count them.
const COUNTED: usize = 64;

/// What is reported.
#[derive(Clone, Debug)]
pub enum Reported {
    /// A room, whether or not this server knows it.
    Room(OwnedRoomId),
    /// An event that the reporter sees.
    Event {
        /// Its room.
        room_id: OwnedRoomId,
        /// Its id.
        event_id: OwnedEventId,
        /// The event as they see it, as JSON.
        event: Bytes,
    },
    /// A user, whether or not there is such an account.
    User(OwnedUserId),
}

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The reason is longer than [`MAX_REASON`].
    #[error("a reason may have at most {MAX_REASON} bytes")]
    TooLong,
    /// [`MAX_REPORTS`] of the reporter wait already.
    #[error("too many of your reports wait for an administrator")]
    TooMany,
    /// [`MOST_WAITING`] reports wait already.
    #[error("too many reports wait for an administrator")]
    Full,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Users {
    /// Keeps a report until an administrator dismisses it. What does not exist is written like what does, so that neither
    /// the answer nor its time says which it is.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub async fn report(
        &self,
        requester: &Requester,
        reported: Reported,
        reason: Option<String>,
    ) -> Result<(), ReportError> {
        if reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
            return Err(ReportError::TooLong);
        }
        let reporter = &requester.user_id;
        let waiting = Scan::index::<Report>(Report::BY_REPORTER, (reporter.clone(),), MAX_REPORTS);
        if self.engine.snapshot().await?.scan::<Report>(waiting).await?.len() >= MAX_REPORTS {
            return Err(ReportError::TooMany);
        }
        let all = self.waiting_reports().await?;
        if all.load(Ordering::SeqCst) >= MOST_WAITING {
            tracing::error!(most = MOST_WAITING, "reports wait for an administrator, and no more are taken");
            return Err(ReportError::Full);
        }
        let (room_id, event_id, event, user_id) = match reported {
            Reported::Room(room_id) => (Some(room_id), None, None, None),
            Reported::Event { room_id, event_id, event } => {
                (Some(room_id), Some(event_id), Some(event), None)
            }
            Reported::User(user_id) => (None, None, None, Some(user_id)),
        };
        let mut batch = self.batch(reporter);
        let pos = batch.next_pos();
        let (at, reporter) = (self.now(), reporter.clone());
        batch.put(&Report { pos, at, reporter, room_id, event_id, user_id, event, reason });
        self.engine.commit(batch).await?;
        all.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// How many reports wait: counted once, when the first is made. (Two that come at the same moment may both be the last.)
    async fn waiting_reports(&self) -> Result<&AtomicUsize, ReadError> {
        let count = async || {
            let (mut count, mut after) = (0, Pos::ZERO);
            while count < MOST_WAITING {
                let page = self.reports(Some(after), COUNTED).await?;
                let Some(last) = page.last() else { break };
                (count, after) = (count + page.len(), last.pos);
            }
            Ok(AtomicUsize::new(count))
        };
        self.reports_waiting.get_or_try_init(count).await
    }

    /// Reports that wait, the oldest first, after the given one; at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn reports(&self, after: Option<Pos>, limit: usize) -> Result<Vec<Report>, ReadError> {
        let scan = Scan::prefix::<Report>((), limit);
        let scan = match after {
            Some(pos) => scan.after((pos,)),
            None => scan,
        };
        self.engine.snapshot().await?.scan::<Report>(scan).await
    }

    /// One report.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn report_at(&self, pos: Pos) -> Result<Option<Report>, ReadError> {
        self.engine.get_now::<Report>(&(pos,)).await
    }

    /// Deletes a report; whether there was one.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub async fn dismiss_report(&self, pos: Pos) -> Result<bool, ReportError> {
        let mut attempt = 0;
        loop {
            let Some(report) = self.report_at(pos).await? else { return Ok(false) };
            let mut batch = self.batch(&report.reporter);
            batch.expect_present::<Report>(&(pos,));
            batch.delete::<Report>(&(pos,));
            if let Planned::Done = self.try_commit(batch, &mut attempt).await? {
                if let Some(all) = self.reports_waiting.get() {
                    all.fetch_sub(1, Ordering::SeqCst);
                }
                return Ok(true);
            }
        }
    }
}
