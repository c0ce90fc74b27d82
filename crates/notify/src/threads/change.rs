//! Subscribing to threads and unsubscribing from them.

use myelin_model::{Pos, Requester, RoomNid, Shard, Topic};
use myelin_store::schema::notify::{PushRules, ThreadFollower, ThreadSubscription, UnreadBase};
use myelin_store::schema::rooms::{Event, EventStatus, Member, Membership, RoomById, RoomHead};
use myelin_store::{Batch, CommitError, ReadError, Reader, Snapshot};
use myelin_timeline::{THREAD, Viewer, load_by_id, relation_of, views};
use ruma::{EventId, OwnedUserId, RoomId};

use crate::rules::{filters_threads, parse};
use crate::{ATTEMPTS, Notify};

/// A subscription to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whether a client made it on its own, because of an event.
    pub automatic: bool,
}

/// Why a subscription was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// There is no such thread, the user can't see it, or is not subscribed to it.
    #[error("there is no such thread, or no subscription to it")]
    NotFound,
    /// The event that is to be the cause of an automatic subscription is not in the thread.
    #[error("the event is not in this thread")]
    NotInThread,
    /// The user unsubscribed after the event that is to be the cause of an automatic subscription.
    #[error("the user unsubscribed from this thread after that event")]
    Unsubscribed,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

#[derive(Clone, Copy, Debug)]
enum Change<'a> {
    Subscribe(Option<&'a EventId>),
    Unsubscribe,
}

/// A thread that the user can see, in a room that they are in.
struct Thread {
    key: (OwnedUserId, RoomNid, ruma::OwnedEventId),
    /// What is known of the user's subscription to it.
    known: Option<ThreadSubscription>,
}

impl Notify {
    /// The user's subscription to a thread.
    ///
    /// # Errors
    /// See [`SubscriptionError`].
    pub async fn thread_subscription(
        &self,
        requester: &Requester,
        room_id: &RoomId,
        root: &EventId,
    ) -> Result<Subscription, SubscriptionError> {
        let snapshot = self.engine.snapshot().await?;
        let thread = find(&*snapshot, &self.viewer(requester), room_id, root).await?;
        let known = thread.known.filter(|known| known.subscribed).ok_or(SubscriptionError::NotFound)?;
        Ok(Subscription { automatic: known.automatic })
    }

    /// Subscribes the user to a thread: by their own wish, or because of this event in it. Where they subscribed by their
    /// own wish, it stays that.
    ///
    /// # Errors
    /// See [`SubscriptionError`].
    pub async fn subscribe_to_thread(
        &self,
        requester: &Requester,
        room_id: &RoomId,
        root: &EventId,
        cause: Option<&EventId>,
    ) -> Result<(), SubscriptionError> {
        self.change_subscription(requester, room_id, root, Change::Subscribe(cause)).await
    }

    /// Unsubscribes the user from a thread.
    ///
    /// # Errors
    /// See [`SubscriptionError`].
    pub async fn unsubscribe_from_thread(
        &self,
        requester: &Requester,
        room_id: &RoomId,
        root: &EventId,
    ) -> Result<(), SubscriptionError> {
        self.change_subscription(requester, room_id, root, Change::Unsubscribe).await
    }

    fn viewer(&self, requester: &Requester) -> Viewer {
        Viewer { user_id: requester.user_id.clone(), session: Some(requester.session), now: self.now() }
    }

    async fn change_subscription(
        &self,
        requester: &Requester,
        room_id: &RoomId,
        root: &EventId,
        change: Change<'_>,
    ) -> Result<(), SubscriptionError> {
        let viewer = self.viewer(requester);
        let user_id = &viewer.user_id;
        let _turn = self.turns.of(Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let thread = find(&*snapshot, &viewer, room_id, root).await?;
            let mut batch = self.batch(user_id);
            let changes = match change {
                Change::Subscribe(cause) => subscribe(&*snapshot, &viewer, &mut batch, thread, cause).await?,
                Change::Unsubscribe => unsubscribe(&*snapshot, &mut batch, thread).await?,
            };
            if !changes {
                return Ok(());
            }
            drop(snapshot);
            batch.wake(Topic::user(user_id.as_str()));
            attempt += 1;
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The thread, if the user is in its room and can see its root. What they subscribed to they may see.
async fn find(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    room_id: &RoomId,
    root: &EventId,
) -> Result<Thread, SubscriptionError> {
    let user_id = &viewer.user_id;
    let not_found = SubscriptionError::NotFound;
    let Some(RoomById { room, .. }) = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await? else {
        return Err(not_found);
    };
    let member = snapshot.get::<Member>(&(room, user_id.to_owned())).await?;
    if member.is_none_or(|member| member.membership != Membership::Join) {
        return Err(not_found);
    }
    let key = (user_id.to_owned(), room, root.to_owned());
    let known = snapshot.get::<ThreadSubscription>(&key).await?;
    if known.is_none() && seen(snapshot, viewer, room, root).await?.is_none() {
        return Err(not_found);
    }
    Ok(Thread { key, known })
}

/// An event of the room's timeline that the user can see.
async fn seen(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    room: RoomNid,
    event_id: &EventId,
) -> Result<Option<Event>, ReadError> {
    let found = load_by_id(snapshot, &[event_id]).await?.pop().flatten();
    let stands = |event: &Event| {
        let is_accepted = matches!(event.status, EventStatus::Accepted | EventStatus::Partial);
        event.room == room && event.order.is_some() && is_accepted
    };
    let Some(event) = found.filter(stands) else { return Ok(None) };
    let view = views(snapshot, viewer, &[&event]).await?.pop();
    Ok(view.filter(|view| view.visible).map(|_| event))
}

/// Where the cause of an automatic subscription stands. It states itself that it is in the thread.
async fn cause_order(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    thread: &Thread,
    cause: &EventId,
) -> Result<i64, SubscriptionError> {
    let (_, room, root) = &thread.key;
    let Some(event) = seen(snapshot, viewer, *room, cause).await? else {
        return Err(SubscriptionError::NotInThread);
    };
    let relation = relation_of(snapshot, event.event).await?;
    if relation.is_none_or(|relation| relation.rel_type != THREAD || relation.target != *root) {
        return Err(SubscriptionError::NotInThread);
    }
    event.order.ok_or(SubscriptionError::NotInThread)
}

/// Says whether anything changes.
async fn subscribe(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    batch: &mut Batch,
    thread: Thread,
    cause: Option<&EventId>,
) -> Result<bool, SubscriptionError> {
    let cause = match cause {
        Some(cause) => Some(cause_order(snapshot, viewer, &thread, cause).await?),
        None => None,
    };
    let order = match (&thread.known, cause) {
        (Some(known), Some(_)) if known.subscribed => return Ok(false),
        (Some(known), None) if known.subscribed && !known.automatic => return Ok(false),
        // What it notified of stays unread.
        (Some(known), None) if known.subscribed => known.order,
        (Some(known), Some(cause)) if cause <= known.order => return Err(SubscriptionError::Unsubscribed),
        // What came since the cause is told of, too: the client may not have been there to subscribe at once.
        (_, Some(cause)) => cause.saturating_sub(1),
        (_, None) => last_order(snapshot, thread.key.1).await?,
    };
    let is_first = follow(snapshot, batch, &thread.key.0).await?;
    put(
        batch,
        &thread,
        ThreadSubscription {
            user_id: thread.key.0.clone(),
            room: thread.key.1,
            root: thread.key.2.clone(),
            subscribed: true,
            automatic: cause.is_some(),
            order,
            changed: Pos::ZERO,
        },
    );
    if is_first {
        recount(snapshot, batch, &thread).await?;
    }
    Ok(true)
}

/// Says whether anything changes. What is unread in the thread is no news any more, but for mentions.
async fn unsubscribe(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    thread: Thread,
) -> Result<bool, SubscriptionError> {
    let Some(known) = thread.known.clone().filter(|known| known.subscribed) else { return Ok(false) };
    let order = last_order(snapshot, thread.key.1).await?;
    put(batch, &thread, ThreadSubscription { subscribed: false, automatic: false, order, ..known });
    recount(snapshot, batch, &thread).await?;
    Ok(true)
}

/// Puts the row into the batch, under the expectation that the user still is in the room and that nothing came between.
fn put(batch: &mut Batch, thread: &Thread, mut row: ThreadSubscription) {
    let (user_id, room, _) = &thread.key;
    batch.expect_column::<Member>(&(*room, user_id.clone()), "membership", &Membership::Join);
    match &thread.known {
        Some(known) => batch.expect_column::<ThreadSubscription>(&thread.key, "changed", &known.changed),
        None => batch.expect_absent::<ThreadSubscription>(&thread.key),
    }
    row.changed = batch.next_pos();
    batch.put(&row);
}

/// Makes the user one who follows threads; says whether they were none.
async fn follow(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    user_id: &OwnedUserId,
) -> Result<bool, ReadError> {
    let key = (user_id.clone(),);
    if snapshot.get::<ThreadFollower>(&key).await?.is_some() {
        return Ok(false);
    }
    let stored = snapshot.get::<PushRules>(&key).await?;
    match &stored {
        Some(stored) => batch.expect_column::<PushRules>(&key, "changed", &stored.changed),
        None => batch.expect_absent::<PushRules>(&key),
    }
    let content = stored.map(|stored| stored.content).unwrap_or_default();
    let filters = filters_threads(&parse(&content, user_id));
    batch.put(&ThreadFollower { user_id: user_id.clone(), filters });
    Ok(true)
}

/// Lets syncs show the user's counts in the room anew.
async fn recount(snapshot: &dyn Snapshot, batch: &mut Batch, thread: &Thread) -> Result<(), ReadError> {
    let (user_id, room, _) = &thread.key;
    let key = (user_id.clone(), *room);
    if let Some(base) = snapshot.get::<UnreadBase>(&key).await? {
        batch.expect_column::<UnreadBase>(&key, "changed", &base.changed);
        let changed = batch.next_pos();
        batch.put(&UnreadBase { changed, ..base });
    }
    Ok(())
}

/// The newest order of the room's timeline.
async fn last_order(snapshot: &dyn Snapshot, room: RoomNid) -> Result<i64, ReadError> {
    Ok(snapshot.get::<RoomHead>(&(room,)).await?.map_or(0, |head| head.last_order))
}
