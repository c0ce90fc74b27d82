//! The live end of a room as its owner knows it: what the next event is planned on.

use myelin_model::{Pos, RoomNid};
use myelin_room_core::machine::Extremity;
use myelin_room_core::order_key::OrderKey;
use myelin_store::schema::rooms::{Event, Membership, RoomHead};

use crate::extremities;
use crate::rows::Placed;

/// Types of events that move a room up its members' lists (MSC4186, `bump_stamp`).
const BUMPING: &[&str] = &[
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "org.matrix.msc3381.poll.start",
    "m.beacon_info",
    "org.matrix.msc3672.beacon_info",
];

/// Which commit gives the position in `bump_pos` its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bumped {
    /// An earlier one: it is a position.
    Before,
    /// The one under way: it is a placeholder of that batch.
    UnderWay,
    /// The one being planned: it is a placeholder of that batch.
    Planned,
}

/// The head row, as planned: it runs ahead of the store by the commits under way.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) row: RoomHead,
    bumped: Bumped,
}

impl Head {
    /// The head that the store has.
    pub(crate) fn stored(row: RoomHead) -> Self {
        Self { row, bumped: Bumped::Before }
    }

    /// The head of a room that has no event yet.
    pub(crate) fn new(room: RoomNid) -> Self {
        let last_order = OrderKey::FIRST.0 - OrderKey::SPACING;
        Self::stored(RoomHead { last_order, ..RoomHead::empty(room) })
    }

    /// Moves on to an event of the group being planned.
    pub(crate) fn advance(&mut self, placed: &Placed<'_>) {
        self.row.last_order = placed.order;
        self.row.last_pos = placed.pos;
        self.row.counter = placed.counter;
        self.row.sticky_until = self.row.sticky_until.max(placed.sticky_until);
        self.row.extremities = extremities::write(&[Extremity::from(placed.pdu)]);
        if BUMPING.contains(&placed.pdu.event_type()) {
            self.row.bump_pos = placed.pos;
            self.bumped = Bumped::Planned;
        }
    }

    /// What notified up to this event was deleted.
    pub(crate) fn forget_up_to(&mut self, event: &Event) {
        if event.order > self.row.gone_order {
            (self.row.gone_order, self.row.gone_counter) = (event.order, Some(event.counter));
        }
    }

    /// The planned group goes to the store; none is under way.
    pub(crate) fn seal(&mut self) -> &RoomHead {
        if self.bumped == Bumped::Planned {
            self.bumped = Bumped::UnderWay;
        }
        &self.row
    }

    /// The group under way is in the store; its positions begin at `first`.
    pub(crate) fn committed(&mut self, first: Pos) {
        if self.bumped == Bumped::UnderWay {
            self.row.bump_pos = self.row.bump_pos.as_pending().map_or(self.row.bump_pos, |n| first.nth(n));
            self.bumped = Bumped::Before;
        }
    }

    /// Counts a change of one membership.
    pub(crate) fn count(&mut self, before: Option<Membership>, after: Membership) {
        let one = |membership: Option<Membership>, wanted| i64::from(membership == Some(wanted));
        let delta = |wanted| one(Some(after), wanted) - one(before, wanted);
        self.row.joined += delta(Membership::Join);
        self.row.invited += delta(Membership::Invite);
    }
}

#[cfg(test)]
mod tests {
    use myelin_model::RoomNid;
    use myelin_store::schema::rooms::Membership::{Ban, Invite, Join, Leave};

    use super::Head;

    #[test]
    fn memberships_are_counted_by_what_changed() {
        let mut head = Head::new(RoomNid(1));
        for (before, after, joined, invited) in [
            (None, Join, 1, 0),
            (None, Invite, 1, 1),
            (Some(Invite), Join, 2, 0),
            (Some(Join), Join, 2, 0),
            (Some(Join), Ban, 1, 0),
            (Some(Ban), Leave, 1, 0),
        ] {
            head.count(before, after);
            assert_eq!((head.row.joined, head.row.invited), (joined, invited), "{before:?} -> {after:?}");
        }
    }
}
