//! Rooms that go on for the user as for everyone else in them: messages came, and nothing else. They are written from what
//! is kept of the room, without reading, so that a message to thousands who wait costs each of them little.

use std::sync::Arc;

use myelin_model::RoomNid;
use myelin_store::schema::notify::{Counts, LiveEnd, PlainCount};
use myelin_store::schema::rooms::{Event, Membership};
use myelin_store::{ReadError, Snapshot};
use myelin_sync_core::connection::TimelineSent;
use myelin_sync_core::lazy::LazyMembers;
use myelin_sync_core::rooms::Standing;
use myelin_sync_core::token::PageToken;
use serde_json::value::RawValue;

use crate::recent::{Recent, Recents};
use crate::sliding::room::{Due, WrittenRoom};
use crate::sliding::room_answer::RoomAnswer;
use crate::user_rooms::UserRooms;

/// For how many rooms of one answer what is kept of them is read. Who has more to catch up on was away, and is alone with it.
const MOST: usize = 8;

/// What a room is due, whole.
pub(crate) struct Followed {
    timeline: Vec<Arc<RawValue>>,
    /// Memberships of senders whom the client does not know.
    state: Vec<Arc<RawValue>>,
    people: Vec<String>,
    shown: Vec<Event>,
    prev_batch: String,
    unread: Counts,
    lazy: LazyMembers,
}

/// Who follows.
#[derive(Clone, Copy)]
pub(super) struct Follower {
    pub(super) session: i64,
    /// In milliseconds since 1970.
    pub(super) now: i64,
    pub(super) needs_shown: NeedsShown,
}

/// Whether the events that are shown are needed beside the form in which they go out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NeedsShown {
    Never,
    /// For the receipts that go with them, where the room's were not told yet.
    UntilReceipts,
    /// For sticky events, which are not told twice.
    Always,
}

/// Finds out which of these rooms just go on.
pub(super) async fn follow(
    snapshot: &dyn Snapshot,
    recents: &Recents,
    rooms: &mut UserRooms,
    due: &mut [Due],
    follower: Follower,
) -> Result<(), ReadError> {
    let mut due: Vec<&mut Due> = due.iter_mut().filter(|due| may_follow(due)).collect();
    if due.is_empty() || due.len() > MOST {
        return Ok(());
    }
    let nids: Vec<RoomNid> = due.iter().map(|due| due.room()).collect();
    let recent = recents.read(snapshot, &nids).await?;
    let counts = rooms.plain_counts(snapshot, &nids).await?;
    for (due, count) in due.iter_mut().zip(counts) {
        if let (Some(recent), Some(count)) = (recent.get(&due.room()), count) {
            due.followed = Followed::new(due, recent, &count, rooms, follower);
        }
    }
    Ok(())
}

fn may_follow(due: &Due) -> bool {
    let (wish, member) = (&due.due, &due.facts.member);
    let goes_on = wish.known.is_some() && !wish.widen && wish.new_state.is_none();
    goes_on && wish.standing == Standing::Joined && member.membership == Membership::Join
}

impl Followed {
    /// The room's new messages, if the user sees all of them and they are all that is new.
    fn new(
        due: &Due,
        recent: &Recent,
        count: &PlainCount,
        rooms: &UserRooms,
        follower: Follower,
    ) -> Option<Self> {
        let (known, config) = (due.due.known.as_ref()?, &due.due.config);
        if recent.state_changed > known.up_to {
            return None;
        }
        let unread = count.at(LiveEnd::from(&due.facts.head), recent.newest_highlight)?;
        let new = recent.after(known.up_to, config.timeline_limit as usize)?;
        let joined_at = due.facts.member.joined_at?;
        let sees = |event: &Event| {
            event.order.is_some_and(|order| order >= joined_at)
                && !rooms.ignores(&event.sender)
                && !recent.is_past(event, follower.now)
        };
        let mut timeline = Vec::with_capacity(new.len());
        for shared in new.iter().rev() {
            let form = sees(&shared.event).then(|| shared.message(follower.session, follower.now));
            timeline.push(form.flatten()?);
        }
        let mut lazy = known.lazy.clone();
        let (mut state, mut people) = (Vec::new(), Vec::new());
        if config.required_state.is_lazy() {
            let senders = new.iter().rev().map(|shared| &*shared.event.sender);
            for sender in lazy.need(senders.map(ruma::UserId::as_str)) {
                state.push(recent.sender(sender, follower.now)?);
                people.push(sender.to_owned());
            }
        }
        let needs_shown = match follower.needs_shown {
            NeedsShown::Never => false,
            NeedsShown::UntilReceipts => known.receipts == 0,
            NeedsShown::Always => true,
        };
        let shown = if needs_shown { new } else { &[] };
        let shown = shown.iter().rev().map(|shared| shared.event.clone()).collect();
        let prev_batch = PageToken::Before(recent.start(new)).to_string();
        Some(Self { timeline, state, people, shown, prev_batch, unread, lazy })
    }

    /// The room as it goes out.
    pub(super) fn write(self, due: &Due) -> WrittenRoom {
        let head = &due.facts.head;
        let new = u32::try_from(self.timeline.len()).unwrap_or(u32::MAX);
        let answer = RoomAnswer {
            is_dm: due.due.told_is_dm(),
            required_state: self.state,
            num_live: Some(self.timeline.len()),
            timeline: self.timeline,
            prev_batch: Some(self.prev_batch),
            joined_count: Some(head.joined),
            invited_count: Some(head.invited),
            notification_count: Some(self.unread.notifications),
            highlight_count: Some(self.unread.highlights),
            bump_stamp: Some(head.bump_pos.get()),
            ..RoomAnswer::default()
        };
        WrittenRoom {
            room: due.room(),
            room_id: due.facts.room_id.to_string(),
            answer,
            timeline: TimelineSent::Continued(new),
            lazy: self.lazy,
            shown: self.shown,
            people: self.people,
        }
    }
}
