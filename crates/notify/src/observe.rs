//! What an event adds to its own commit.

use std::collections::BTreeSet;

use myelin_model::{EventNid, Pos, RoomNid, Topic};
use myelin_pdu::Pdu;
use myelin_store::schema::notify::{Notification, ThreadBase, ThreadSubscription, UnreadBase};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{InviteVerdict, invite_rules, thread_of};
use ruma::{EventId, OwnedEventId, OwnedUserId, UserId};
use serde_json::Value;

use crate::judge::Says;
use crate::ruled::{Common, goes};
use crate::verdict::{Looked, Others, Verdict, judge};
use crate::{Notifies, Notify};

/// How many of the users that a message mentions are looked at; who comes after them is notified like everyone else.
pub const MAX_MENTIONS: usize = 50;

/// An event that is about to be committed at the live end of its room.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// The room.
    pub room: RoomNid,
    /// The event.
    pub event: EventNid,
    /// Its bytes and header.
    pub pdu: &'a Pdu,
    /// Its place in the timeline.
    pub order: i64,
    /// When it is learnt.
    pub pos: Pos,
    /// The room's notification counter before it, which counts the main timeline.
    pub counter: i64,
    /// The order of the newest event in a thread that notifies anyone, before it.
    pub thread_order: Option<i64>,
    /// How many members the room has, after it.
    pub joined: i64,
    /// Whether its sender may notify the whole room (`notifications.room` of the power levels).
    pub may_notify_room: bool,
}

impl Notify {
    /// Judges one event, by the default push rules and by those of members who have their own, and adds what follows to
    /// the batch that commits it. Answers what the default rules say.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn observe(
        &self,
        snapshot: &dyn Snapshot,
        new: &NewEvent<'_>,
        batch: &mut Batch,
    ) -> Result<Notifies, ReadError> {
        let sender = new.pdu.sender();
        let ruled = self.ruled(snapshot, new).await?;
        let may_count =
            |user_id: &UserId| self.is_local(user_id) && user_id != sender && !ruled.contains(user_id);
        let content: Looked = new.pdu.content_as().unwrap_or_default();
        let verdict = judge(new.pdu, &content, new.may_notify_room, MAX_MENTIONS, may_count);
        let thread = thread(snapshot, new.room, &content.relates_to).await?;
        let others = match &verdict {
            Verdict::Nobody | Verdict::Invited(_) => Others::None,
            Verdict::HighlightsAll => Others::All,
            Verdict::Mentions(_, Others::Subscribers) => subscribers(snapshot, new.room, &thread).await?,
            Verdict::Mentions(_, others) => *others,
        };
        let notifies = match (others, &thread) {
            (Others::All, None) => Notifies::Yes,
            (Others::All | Others::Subscribers, Some(_)) => Notifies::InThread,
            (Others::None | Others::Subscribers, _) => Notifies::No,
        };
        let counter = new.counter + i64::from(notifies == Notifies::Yes);
        let step = (notifies == Notifies::Yes).then_some(counter);
        let highlight = verdict == Verdict::HighlightsAll;
        let common = Common { others, step, highlight, thread: thread.as_ref() };
        common.write(new, batch);
        let mut told = notifies != Notifies::No;
        if let Verdict::Mentions(users, _) = verdict {
            told |= mention(snapshot, new, users, &common, batch).await?;
        }
        told |= self.judge_ruled(snapshot, new, &ruled, &common, batch).await?;
        if new.pdu.event_type() == "m.room.member" {
            self.membership_changes(snapshot, new, counter, batch).await?;
        } else if self.is_local(sender) && (notifies != Notifies::No || !new.pdu.is_state()) {
            // State is often sent by clients on their own and says nothing of what its sender saw.
            wrote(snapshot, new, thread.as_ref(), counter, batch).await?;
        }
        Ok(if told && thread.is_some() { Notifies::InThread } else { notifies })
    }

    /// Where the count of someone begins who comes in, and that none is left of someone who goes.
    async fn membership_changes(
        &self,
        snapshot: &dyn Snapshot,
        new: &NewEvent<'_>,
        counter: i64,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let target = new.pdu.state_key().and_then(|user_id| UserId::parse(user_id).ok());
        let Some(user_id) = target.filter(|user_id| self.is_local(user_id)) else { return Ok(()) };
        match new.pdu.membership() {
            Some("join") => {
                let member = snapshot.get::<Member>(&(new.room, user_id.clone())).await?;
                // A new name or picture of someone who is in the room changes nothing of what they have read.
                if member.is_none_or(|member| member.membership != Membership::Join) {
                    restart(batch, &user_id, new, new.order, counter);
                    self.comes(snapshot, new, user_id, counter, batch).await?;
                }
            }
            Some("invite") => {
                goes(user_id.clone(), new, batch);
                // The invite itself is above the base: it is what notifies.
                restart(batch, &user_id, new, new.order - 1, counter);
                let Says { notifies, highlight } = self.judge_invite(snapshot, new, &user_id).await?;
                let inviter = new.pdu.sender();
                if notifies && invite_rules(snapshot, &user_id).await?.judge(inviter) == InviteVerdict::Allow
                {
                    let (room, order, event) = (new.room, new.order, new.event);
                    let (thread, step) = (None, None);
                    batch.put(&Notification {
                        user_id,
                        room,
                        order,
                        event,
                        thread,
                        step,
                        notifies,
                        highlight,
                    });
                }
            }
            Some("leave" | "ban") => goes(user_id, new, batch),
            _ => {}
        }
        Ok(())
    }
}

/// Whether anyone is subscribed to the thread.
async fn subscribers(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    thread: &Option<OwnedEventId>,
) -> Result<Others, ReadError> {
    let Some(root) = thread else { return Ok(Others::None) };
    let by_thread = ThreadSubscription::BY_THREAD;
    let scan = Scan::index::<ThreadSubscription>(by_thread, (room, root.clone(), true), 1);
    let found = snapshot.scan::<ThreadSubscription>(scan).await?;
    Ok(if found.is_empty() { Others::None } else { Others::Subscribers })
}

/// Writes a highlight for each of these users who is in the room. Answers whether any is.
async fn mention(
    snapshot: &dyn Snapshot,
    new: &NewEvent<'_>,
    users: BTreeSet<OwnedUserId>,
    common: &Common<'_>,
    batch: &mut Batch,
) -> Result<bool, ReadError> {
    if users.is_empty() {
        return Ok(false);
    }
    let keys: Vec<_> = users.into_iter().map(|user_id| (new.room, user_id)).collect();
    let mut members = snapshot.get_all::<Member>(&keys).await?.into_iter().flatten().collect::<Vec<_>>();
    members.retain(|member| member.membership == Membership::Join);
    let mentioned = !members.is_empty();
    for member in members {
        batch.wake(Topic::user(member.user_id.as_str()));
        batch.put(&common.but_for(new, member.user_id, Says { notifies: true, highlight: true }));
    }
    Ok(mentioned)
}

/// The root of the thread that the event comes into. (A parent of which only the same commit knows is not found: what
/// relates to it otherwise than by a thread counts in the main timeline.)
async fn thread(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    relates_to: &Value,
) -> Result<Option<OwnedEventId>, ReadError> {
    let target = relates_to["event_id"].as_str().and_then(|target| EventId::parse(target).ok());
    match (relates_to["rel_type"].as_str(), target) {
        (Some(rel_type), Some(target)) => thread_of(snapshot, room, rel_type, &target).await,
        _ => Ok(None),
    }
}

/// Who writes has read what is above ("Marking notifications as read"): in the thread that they write in.
async fn wrote(
    snapshot: &dyn Snapshot,
    new: &NewEvent<'_>,
    thread: Option<&OwnedEventId>,
    counter: i64,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    let (user_id, room, order) = (new.pdu.sender(), new.room, new.order);
    batch.wake(Topic::user(user_id.as_str()));
    if let Some(root) = thread {
        batch.put(&ThreadBase { user_id: user_id.to_owned(), room, root: root.clone(), order });
        return Ok(());
    }
    let Some(thread_order) = new.thread_order else {
        restart(batch, user_id, new, order, counter);
        return Ok(());
    };
    let key = (user_id.to_owned(), room);
    match snapshot.get::<UnreadBase>(&key).await? {
        // Something in a thread may be unread.
        Some(base) if base.order < thread_order => {
            batch.expect_column::<UnreadBase>(&key, "order", &base.order);
            batch.put(&UnreadBase { main_order: order, counter, changed: new.pos, ..base });
        }
        _ => restart(batch, user_id, new, order, counter),
    }
    Ok(())
}

/// Puts a user's base at an order which no earlier event can lie above, so that it needs no look at the one before.
fn restart(batch: &mut Batch, user_id: &UserId, new: &NewEvent<'_>, order: i64, counter: i64) {
    let (user_id, room) = (user_id.to_owned(), new.room);
    forget(batch, &user_id, room, order);
    batch.put(&UnreadBase { user_id, room, order, main_order: order, counter, changed: new.pos });
}

/// Deletes the user's rows up to an order.
pub(crate) fn forget(batch: &mut Batch, user_id: &OwnedUserId, room: RoomNid, order: i64) {
    let rows = Scan::prefix::<Notification>((user_id.clone(), room), usize::MAX);
    batch.delete_range(rows.up_to((order,)));
}
