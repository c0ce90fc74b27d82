//! Delayed events (MSC4140): events that are sent when a time is over unless their sender says otherwise, such as the
//! leaving of a call by who has lost the connection.
//!
//! Each is a row with a status. Whoever changes it expects the status that it saw, so that of a restart and the end of
//! the delay, or of two requests, one wins. Sending goes through [`DelayStatus::Sending`], and the event bears the
//! delay's id as its transaction, so that a crash in between neither loses it nor sends it twice.

mod behind;
mod restarts;
mod worker;

use restarts::{InMemory, Restarts};

use bytes::Bytes;
use myelin_model::{Requester, Shard};
use myelin_pdu::{CanonicalJsonRule, CanonicalObject};
use myelin_store::schema::auth::Account;
use myelin_store::schema::delayed::{DelayStatus, DelayedEvent};
use myelin_store::{Batch, CommitError, Durability, Reader, Scan, Turns};
use ruma::{OwnedRoomId, OwnedUserId};

use crate::{Draft, Rooms, SendError, Sent, TransactionKey};

/// The longest delay, in milliseconds: a day.
pub const MAX_DELAY: i64 = 24 * 3_600 * 1_000;
/// The most events that one user may have waiting.
pub const MAX_SCHEDULED: usize = 100;
/// The most events that are done with and are listed.
const MOST_FINALISED: usize = 100;
/// How long one that is done with is remembered, in milliseconds.
const REMEMBERED: i64 = 24 * 3_600 * 1_000;
/// The scope of the transactions by which delayed events are sent.
pub(crate) const SCOPE: &str = "delayed";

/// Why a delayed event was not scheduled or changed.
#[derive(Debug, thiserror::Error)]
pub enum DelayError {
    /// The delay is negative, or longer than [`MAX_DELAY`].
    #[error("the delay must be between 1 and {MAX_DELAY} milliseconds")]
    OutOfRange,
    /// The user has [`MAX_SCHEDULED`] waiting.
    #[error("you may have at most {MAX_SCHEDULED} delayed events")]
    TooMany,
    /// There is none of this id, or none of the user's.
    #[error("there is no such delayed event")]
    NotFound,
    /// It is done with in another way.
    #[error("the delayed event was {} already", .0.as_str())]
    Finalised(DelayStatus),
    /// The store can't be read or written.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<myelin_store::ReadError> for DelayError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Send(error.into())
    }
}

/// What to do with a delayed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayAction {
    /// Count its delay anew.
    Restart,
    /// Send it now.
    Send,
    /// Never send it.
    Cancel,
}

/// An event to send later.
#[derive(Clone, Debug)]
pub struct Delayed {
    /// Where.
    pub room_id: OwnedRoomId,
    /// Its type.
    pub kind: String,
    /// Its state key, if it is state.
    pub state_key: Option<String>,
    /// Its content.
    pub content: CanonicalObject,
    /// After how many milliseconds.
    pub delay: i64,
    /// For how many milliseconds it is to be sticky once it is sent (MSC4354), if at all.
    pub sticky: Option<i64>,
    /// The request's transaction id; the same request again schedules nothing more.
    pub txn_id: Option<String>,
}

/// What the requests and the workers share.
#[derive(Debug)]
pub(crate) struct Delays {
    /// Told of each change: something may be due earlier.
    changed: tokio::sync::Notify,
    restarts: Restarts,
    /// Told when there is a restart to write.
    restarted: tokio::sync::Notify,
    /// Taken by an event's shard by whoever changes its row, but for the time of one that runs in memory.
    turns: Turns,
}

impl Delays {
    /// As the server starts, in milliseconds since 1970.
    pub(crate) fn new(started: i64) -> Self {
        let (changed, restarted) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        Self { changed, restarts: Restarts::new(started), restarted, turns: Turns::default() }
    }

    /// Restarts an event in memory, if that can be done.
    fn restart(&self, delay_id: &str, owner: Option<&OwnedUserId>, now: i64) -> bool {
        let restarted = self.restarts.restart(delay_id, owner.map(|owner| &**owner), now);
        if restarted == InMemory::First {
            self.restarted.notify_one();
        }
        restarted != InMemory::No
    }
}

impl Rooms {
    /// Schedules an event, and answers with the id of the delay. Whether the user may send it is judged when it is sent.
    ///
    /// # Errors
    /// See [`DelayError`].
    pub async fn delay(&self, requester: &Requester, delayed: Delayed) -> Result<String, DelayError> {
        let txn = delayed.txn_id.map(|txn_id| format!("{}/{}/{txn_id}", delayed.room_id, delayed.kind));
        let _turn = self.turns.of(Shard::of(requester.user_id.as_str())).await;
        let snapshot = self.deps.engine.snapshot().await?;
        if txn.is_some() {
            let same = Scan::index::<DelayedEvent>(DelayedEvent::BY_TXN, (requester.session, txn.clone()), 1);
            if let Some(row) = snapshot.scan::<DelayedEvent>(same).await?.pop() {
                return Ok(row.delay_id);
            }
        }
        if !(1..=MAX_DELAY).contains(&delayed.delay) {
            return Err(DelayError::OutOfRange);
        }
        let pending = (requester.user_id.clone(), DelayStatus::Pending);
        let pending = Scan::index::<DelayedEvent>(DelayedEvent::BY_USER, pending, MAX_SCHEDULED);
        if snapshot.scan::<DelayedEvent>(pending).await?.len() >= MAX_SCHEDULED {
            return Err(DelayError::TooMany);
        }
        drop(snapshot);
        let now = self.now();
        let delay_id = self.deps.env.random.alphanumeric(32);
        let row = DelayedEvent {
            delay_id: delay_id.clone(),
            user_id: requester.user_id.clone(),
            session: requester.session,
            txn,
            content: Bytes::from(delayed.content.to_bytes()),
            kind: delayed.kind,
            state_key: delayed.state_key,
            delay: delayed.delay,
            status: DelayStatus::Pending,
            due: now.saturating_add(delayed.delay),
            wake: now.saturating_add(delayed.delay),
            finalised: None,
            event_id: None,
            error: None,
            sticky: delayed.sticky,
            restarted: None,
            room_id: delayed.room_id,
        };
        let mut batch = Batch::new(self.deps.fence(&row.room_id));
        batch.insert(&row);
        self.deps.engine.commit(batch).await.map_err(SendError::from)?;
        self.delays.changed.notify_one();
        Ok(delay_id)
    }

    /// Changes a delayed event. With an `owner` it must be theirs; without one, knowing its id is enough. The same action
    /// on one that is done with by it succeeds again.
    ///
    /// # Errors
    /// See [`DelayError`].
    pub async fn change_delayed(
        &self,
        delay_id: &str,
        owner: Option<&OwnedUserId>,
        action: DelayAction,
    ) -> Result<(), DelayError> {
        if action == DelayAction::Restart && self.delays.restart(delay_id, owner, self.now()) {
            return Ok(());
        }
        if let Some(sending) = self.change_written(delay_id, owner, action).await? {
            self.send_delayed(sending).await?;
            self.delays.changed.notify_one();
        }
        Ok(())
    }

    /// The same by a commit; answers with the event if it is to be sent now.
    async fn change_written(
        &self,
        delay_id: &str,
        owner: Option<&OwnedUserId>,
        action: DelayAction,
    ) -> Result<Option<DelayedEvent>, DelayError> {
        let _turn = self.delays.turns.of(Shard::of(delay_id)).await;
        loop {
            let snapshot = self.deps.engine.snapshot().await?;
            let row = snapshot.get::<DelayedEvent>(&(delay_id.to_owned(),)).await?;
            drop(snapshot);
            let row = row.filter(|row| owner.is_none_or(|owner| row.user_id == *owner));
            let row = row.ok_or(DelayError::NotFound)?;
            match (row.status, action) {
                (DelayStatus::Pending, _) => {}
                (DelayStatus::Sending | DelayStatus::Sent | DelayStatus::Failed, DelayAction::Send)
                | (DelayStatus::Cancelled, DelayAction::Cancel) => return Ok(None),
                (status, _) => return Err(DelayError::Finalised(status)),
            }
            let due = self.delays.restarts.take(&row);
            let now = self.now();
            let changed = match action {
                DelayAction::Restart if self.restart(&row, now).await? => return Ok(None),
                DelayAction::Restart => continue,
                DelayAction::Send => {
                    DelayedEvent { status: DelayStatus::Sending, due: now, wake: now, ..row.clone() }
                }
                DelayAction::Cancel => {
                    finalised(DelayedEvent { due, ..row.clone() }, DelayStatus::Cancelled, now)
                }
            };
            if self.swap(&row, &changed).await? {
                self.delays.restarts.forget(delay_id);
                self.delays.changed.notify_one();
                return Ok((action == DelayAction::Send).then_some(changed));
            }
        }
    }

    /// The user's delayed events that wait, the next first, and those lately done with, the last first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn delayed_events(
        &self,
        user: &OwnedUserId,
    ) -> Result<(Vec<DelayedEvent>, Vec<DelayedEvent>), SendError> {
        self.delays.changed.notify_one();
        let snapshot = self.deps.engine.snapshot().await?;
        let of =
            |status, limit| Scan::index::<DelayedEvent>(DelayedEvent::BY_USER, (user.clone(), status), limit);
        let done = [DelayStatus::Sent, DelayStatus::Failed, DelayStatus::Cancelled];
        let mut scans = vec![of(DelayStatus::Pending, MAX_SCHEDULED)];
        scans.extend(done.map(|status| of(status, MOST_FINALISED).backward()));
        let mut found = snapshot.scan_all::<DelayedEvent>(scans).await?.into_iter();
        let pending = found.next().unwrap_or_default().into_iter();
        let mut pending: Vec<DelayedEvent> = pending.map(|row| self.with_due(row)).collect();
        pending.sort_by_key(|row| row.due);
        let mut finalised: Vec<DelayedEvent> = found.flatten().collect();
        finalised.sort_by_key(|row| std::cmp::Reverse(row.finalised));
        Ok((pending, finalised))
    }

    /// One delayed event of the user's.
    ///
    /// # Errors
    /// See [`DelayError`].
    pub async fn delayed_event(
        &self,
        user: &OwnedUserId,
        delay_id: &str,
    ) -> Result<DelayedEvent, DelayError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let row = snapshot.get::<DelayedEvent>(&(delay_id.to_owned(),)).await?;
        let row = row.filter(|row| row.user_id == *user).ok_or(DelayError::NotFound)?;
        Ok(self.with_due(row))
    }

    /// A row with the time at which its event is to be sent.
    fn with_due(&self, row: DelayedEvent) -> DelayedEvent {
        DelayedEvent { due: self.delays.restarts.due(&row), ..row }
    }

    /// A batch that is written if nobody else has changed the row.
    fn unless_changed(&self, row: &DelayedEvent) -> Batch {
        let mut batch = Batch::new(self.deps.fence(&row.room_id));
        let key = (row.delay_id.clone(),);
        batch.expect_column::<DelayedEvent>(&key, "status", &row.status);
        batch.expect_column::<DelayedEvent>(&key, "due", &row.due);
        batch
    }

    /// Writes a changed row where nobody else has changed it; says whether that was so.
    async fn swap(&self, before: &DelayedEvent, after: &DelayedEvent) -> Result<bool, SendError> {
        let mut batch = self.unless_changed(before);
        batch.put(after);
        self.was_unchanged(batch).await
    }

    /// Counts the delay anew and has it run in memory from then on; says whether nobody else had changed the row.
    async fn restart(&self, row: &DelayedEvent, now: i64) -> Result<bool, SendError> {
        let due = now.saturating_add(row.delay);
        // Always another time than before: a change that was planned on the row as it was must fail.
        let due = if due == row.due { due.saturating_add(1) } else { due };
        let after = DelayedEvent { due, restarted: row.restarted.or(Some(now)), ..row.clone() };
        let mut batch = self.unless_changed(row);
        batch.durability = Durability::MayLag;
        // It is looked at when it would have been due, and then left until it is: no index changes.
        match row.restarted {
            None => batch.put(&after),
            Some(_) => {
                batch.add::<DelayedEvent>(&(row.delay_id.clone(),), "due", due.saturating_sub(row.due));
            }
        }
        let restarted = self.was_unchanged(batch).await?;
        if restarted {
            self.delays.restarts.run(&after);
        }
        Ok(restarted)
    }

    async fn was_unchanged(&self, batch: Batch) -> Result<bool, SendError> {
        match self.deps.engine.commit(batch).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends an event that is marked as being sent, and notes how that ended.
    async fn send_delayed(&self, row: DelayedEvent) -> Result<(), SendError> {
        let sent = self.send_row(&row).await;
        let now = self.now();
        let after = match sent {
            Ok(sent) => {
                let after = finalised(row.clone(), DelayStatus::Sent, now);
                DelayedEvent { event_id: Some(sent.event_id), ..after }
            }
            // It may go through later; the worker tries again.
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => {
                let after = finalised(row.clone(), DelayStatus::Failed, now);
                DelayedEvent { error: Some(error.to_string()), ..after }
            }
        };
        self.swap(&row, &after).await.map(drop)
    }

    /// Refuses what somebody scheduled who was suspended since.
    async fn check_standing(&self, user: &OwnedUserId) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let account = snapshot.get::<Account>(&(user.clone(),)).await?;
        let suspended = account.is_some_and(|account| account.suspended_at.is_some());
        if suspended { Err(crate::Refusal::Suspended.into()) } else { Ok(()) }
    }

    async fn send_row(&self, row: &DelayedEvent) -> Result<Sent, SendError> {
        let content = CanonicalObject::parse(&row.content, CanonicalJsonRule::Strict)
            .map_err(|error| crate::Refusal::NoEvent(error.to_string()))?;
        self.check_standing(&row.user_id).await?;
        let draft = Draft {
            sender: row.user_id.clone(),
            kind: row.kind.clone(),
            state_key: row.state_key.clone(),
            content,
            redacts: None,
            sticky: row.sticky,
        };
        let transaction =
            TransactionKey { session: row.session, scope: SCOPE.to_owned(), txn_id: row.delay_id.clone() };
        self.send(&row.room_id, draft, Some(transaction)).await
    }

    fn now(&self) -> i64 {
        i64::try_from(self.deps.env.clock.now()).unwrap_or(i64::MAX)
    }
}

fn finalised(row: DelayedEvent, status: DelayStatus, now: i64) -> DelayedEvent {
    DelayedEvent { status, finalised: Some(now), wake: now.saturating_add(REMEMBERED), ..row }
}
