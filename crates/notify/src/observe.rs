//! What an event adds to its own commit.

use std::collections::BTreeSet;

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_pdu::Pdu;
use myelin_store::schema::notify::{Notification, RoomHighlight, UnreadBase};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{InviteVerdict, invite_rules};
use ruma::{OwnedUserId, UserId};

use crate::judge::Says;
use crate::ruled::{Common, goes};
use crate::verdict::{Verdict, judge};
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
    /// The room's notification counter before it.
    pub counter: i64,
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
        let verdict = judge(new.pdu, new.may_notify_room, MAX_MENTIONS, may_count);
        let notifies = match &verdict {
            Verdict::Nobody | Verdict::Invited(_) => Notifies::No,
            Verdict::HighlightsAll => Notifies::Yes,
            Verdict::Mentions(_, others) => *others,
        };
        let counter = new.counter + i64::from(notifies == Notifies::Yes);
        let step = (notifies == Notifies::Yes).then_some(counter);
        let highlight = verdict == Verdict::HighlightsAll;
        if highlight {
            batch.put(&RoomHighlight { room: new.room, order: new.order, event: new.event });
        }
        if let Verdict::Mentions(users, _) = verdict {
            mention(snapshot, new, users, step, batch).await?;
        }
        self.judge_ruled(snapshot, new, &ruled, Common { step, highlight }, batch).await?;
        if new.pdu.event_type() == "m.room.member" {
            self.membership_changes(snapshot, new, counter, batch).await?;
        } else if self.is_local(sender) && (notifies == Notifies::Yes || !new.pdu.is_state()) {
            // Who writes has read what is above ("Marking notifications as read"). State is often sent by clients on
            // their own and says nothing of what its sender saw.
            restart(batch, sender, new, new.order, counter);
        }
        Ok(notifies)
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
                    let row = Notification { user_id, room, order, event, step: None, notifies, highlight };
                    batch.put(&row);
                }
            }
            Some("leave" | "ban") => goes(user_id, new, batch),
            _ => {}
        }
        Ok(())
    }
}

/// Writes a highlight for each of these users who is in the room.
async fn mention(
    snapshot: &dyn Snapshot,
    new: &NewEvent<'_>,
    users: BTreeSet<OwnedUserId>,
    step: Option<i64>,
    batch: &mut Batch,
) -> Result<(), ReadError> {
    if users.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = users.into_iter().map(|user_id| (new.room, user_id)).collect();
    let members = snapshot.get_all::<Member>(&keys).await?;
    for member in members.into_iter().flatten().filter(|member| member.membership == Membership::Join) {
        let (user_id, room, order, event) = (member.user_id, new.room, new.order, new.event);
        batch.put(&Notification { user_id, room, order, event, step, notifies: true, highlight: true });
    }
    Ok(())
}

/// Puts a user's base at an order which no earlier event can lie above, so that it needs no look at the one before.
fn restart(batch: &mut Batch, user_id: &UserId, new: &NewEvent<'_>, order: i64, counter: i64) {
    let (user_id, room) = (user_id.to_owned(), new.room);
    forget(batch, &user_id, room, order);
    batch.put(&UnreadBase { user_id, room, order, counter, changed: new.pos });
}

/// Deletes the user's rows up to an order.
pub(crate) fn forget(batch: &mut Batch, user_id: &OwnedUserId, room: RoomNid, order: i64) {
    let rows = Scan::prefix::<Notification>((user_id.clone(), room), usize::MAX);
    batch.delete_range(rows.up_to((order,)));
}
