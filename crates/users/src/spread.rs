//! Bringing a changed profile to the rooms of its user.
//!
//! The change and a row that says it is to be spread are one commit. A task goes through the user's rooms in the order of
//! their numbers, some at a time and all waiting users in turn, and notes how far it came; after a crash it goes on from
//! there. A room that shows the profile already is passed over, so that nothing is sent twice.

use std::error::Error;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use myelin_store::schema::rooms::{Member, Membership, Room};
use myelin_store::schema::users::{Profile, ProfileSpread as Job};
use myelin_store::{CommitError, ReadError, Reader, Scan};
use ruma::{OwnedRoomId, RoomId, UserId};

use crate::Users;

/// How many changed profiles are looked at in a round.
const JOBS: usize = 1_024;

/// How many users are served at once.
const AT_ONCE: usize = 8;

/// How many rooms of a user are seen to before the others have their turn.
const SLICE: usize = 64;

/// How long to wait after a failure; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A room could not take the profile now; it is tried again.
pub type SpreadError = Box<dyn Error + Send + Sync>;

/// Shows a profile in rooms. `rooms` is behind it.
pub trait ProfileSpread: Send + Sync + 'static {
    /// Sends a new join event of the user with their profile as it is now into a room they have joined. A room that
    /// refuses, or that they have left meanwhile, is left as it is and no error.
    fn spread<'a>(
        &'a self,
        user_id: &'a UserId,
        room_id: &'a RoomId,
    ) -> BoxFuture<'a, Result<(), SpreadError>>;
}

/// Why a slice of a user's rooms was not seen to.
#[derive(Debug, thiserror::Error)]
enum SliceError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("a room could not take the profile")]
    Room(#[source] SpreadError),
}

/// The next rooms of a user.
struct Slice {
    /// Those that show another profile.
    stale: Vec<OwnedRoomId>,
    /// The job as it is after them; none if they are the last.
    next: Option<Job>,
}

impl Users {
    /// Spreads profiles until the server stops.
    pub(crate) async fn spread_profiles(&self, rooms: &dyn ProfileSpread) {
        let stopping = self.env.tasks.stopping();
        tokio::pin!(stopping);
        let mut pause = PAUSE;
        while !self.env.tasks.is_stopping() {
            match self.spread_round(rooms).await {
                Ok(Round::Done) => {
                    pause = PAUSE;
                    tokio::select! {
                        () = &mut stopping => return,
                        () = self.spread_wanted.notified() => {}
                    }
                }
                Ok(Round::MoreToDo) => pause = PAUSE,
                Err(error) => {
                    report(&error);
                    tokio::select! {
                        () = &mut stopping => return,
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    }
                }
            }
        }
    }

    /// One slice for every waiting user. An error of one user does not keep the others from theirs.
    async fn spread_round(&self, rooms: &dyn ProfileSpread) -> Result<Round, SliceError> {
        let jobs = self.engine.snapshot().await?.scan::<Job>(Scan::prefix::<Job>((), JOBS)).await?;
        if jobs.is_empty() {
            return Ok(Round::Done);
        }
        let slices = stream::iter(jobs).map(|job| self.spread_slice(rooms, job));
        let results: Vec<_> = slices.buffer_unordered(AT_ONCE).collect().await;
        results.into_iter().collect::<Result<Vec<()>, _>>().map(|_| Round::MoreToDo)
    }

    async fn spread_slice(&self, rooms: &dyn ProfileSpread, job: Job) -> Result<(), SliceError> {
        let slice = self.next_slice(&job).await?;
        for room_id in &slice.stale {
            if self.env.tasks.is_stopping() {
                return Ok(());
            }
            rooms.spread(&job.user_id, room_id).await.map_err(SliceError::Room)?;
        }
        let key = (job.user_id.clone(),);
        let mut batch = self.batch(&job.user_id);
        batch.expect_column::<Job>(&key, "changed", &job.changed);
        match &slice.next {
            Some(next) => batch.put(next),
            None => batch.delete::<Job>(&key),
        }
        match self.engine.commit(batch).await {
            // The profile has changed once more: its job begins with the first room again.
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn next_slice(&self, job: &Job) -> Result<Slice, ReadError> {
        let snapshot = self.engine.snapshot().await?;
        let profile = snapshot.get::<Profile>(&(job.user_id.clone(),)).await?;
        let shown = profile.map(|profile| (profile.display_name, profile.avatar_url)).unwrap_or_default();
        let rooms = Scan::index::<Member>(Member::BY_USER, (job.user_id.clone(),), SLICE).after((job.done,));
        let members = snapshot.scan::<Member>(rooms).await?;
        let last = members.last().filter(|_| members.len() == SLICE).map(|member| member.room);
        let stale = members.into_iter().filter(|member| {
            member.membership == Membership::Join
                && (&member.display_name, &member.avatar_url) != (&shown.0, &shown.1)
        });
        let keys: Vec<_> = stale.map(|member| (member.room,)).collect();
        let stale = snapshot.get_all::<Room>(&keys).await?.into_iter().flatten();
        let stale = stale.map(|room| room.room_id).collect();
        Ok(Slice { stale, next: last.map(|done| Job { done, ..job.clone() }) })
    }
}

fn report(error: &SliceError) {
    // The store tells the operator of a full disk; every try would be too often.
    if matches!(error, SliceError::Commit(CommitError::Full)) {
        return;
    }
    let error: &(dyn Error + 'static) = error;
    tracing::warn!(error, "a changed profile has not reached all rooms yet; trying again");
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// There was nothing to do.
    Done,
    /// There may be more.
    MoreToDo,
}

#[cfg(test)]
mod tests;
