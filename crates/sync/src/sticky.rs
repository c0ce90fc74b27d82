//! Sticky events (MSC4354) for both faces of sync: read on behalf of a user, a page at a time.
//!
//! Any joined user is shown them, whatever the room's history visibility; but nothing of users they ignore, and nothing that
//! the room keeps no longer.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_store::schema::erasure::Expiry;
use myelin_store::schema::rooms::{Event, EventStatus, Member};
use myelin_store::schema::sticky::StickyEvent;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::rooms::{RoomEntry, RoomKey, Standing};
use myelin_sync_core::sticky::{
    StickyCandidate, StickyMark, StickyPage, StickyPlan, StickyRoom, StickyRows, StickyToken,
};
use myelin_timeline::{Viewer, ignored_users, load};
use ruma::{OwnedRoomId, UserId};

use crate::room_cache::RoomCache;
use crate::user_rooms::{Facts, UserRooms};

/// The most sticky events of one answer, of all rooms together.
pub(crate) const MOST_STICKY: usize = 100;

/// How often a page is looked for beyond events that are not to be told. Those that are sticky no more are soon deleted, so
/// there are seldom many.
const ROUNDS: usize = 8;

/// What is to be looked for, taken from the user's rooms while they are held.
#[derive(Default)]
pub(crate) struct Sought {
    plan: StickyPlan,
    rooms: HashMap<RoomKey, (OwnedRoomId, Arc<Member>)>,
}

/// What was found.
pub(crate) struct Found {
    /// In the order in which they are told.
    pub(crate) events: Vec<Event>,
    /// The answer has all there is up to here; nothing where it has everything.
    pub(crate) end: Option<StickyMark>,
    plan: StickyPlan,
}

impl Sought {
    /// Looks for what the client was not told, in rooms that have sticky events at this time. The new ones are shown to the
    /// client for the first time. Of each the caller says whether the client asks for it, or nothing where it is none of its
    /// business. Costs the rooms in which something happened since.
    pub(crate) async fn new(
        (snapshot, cache): (&dyn Snapshot, &RoomCache),
        rooms: &mut UserRooms,
        token: &StickyToken,
        (new, now): (&HashSet<RoomKey>, i64),
        asked: impl Fn(RoomKey, &Facts, &RoomEntry) -> Option<bool>,
    ) -> Result<Self, ReadError> {
        let near = rooms.list.changed_after(token.mark.near());
        let further = token.behind().chain(new.iter().copied());
        let further = further.filter_map(|room| Some((room, rooms.list.entry(room)?)));
        let has_sticky = |entry: &RoomEntry| {
            entry.standing == Standing::Joined && entry.sticky_until.is_some_and(|until| until > now)
        };
        let found = near.chain(further).filter(|(_, entry)| has_sticky(entry));
        let found: HashSet<RoomNid> = found.map(|(room, _)| RoomNid(room.0)).collect();
        let mut sought = HashMap::new();
        let mut candidates = Vec::new();
        if found.is_empty() {
            return Ok(Self { plan: token.plan(candidates), rooms: sought });
        }
        let found: Vec<RoomNid> = found.into_iter().collect();
        for (nid, facts) in rooms.facts(snapshot, cache, &found).await? {
            let room = RoomKey(nid.0);
            let Some(entry) = rooms.entry(nid) else { continue };
            let Some(wanted) = asked(room, &facts, &entry) else { continue };
            let (member_changed, is_new) = (entry.moved_at, new.contains(&room));
            candidates.push(StickyCandidate { room, member_changed, wanted, is_new });
            sought.insert(room, (facts.room_id.clone(), facts.member));
        }
        Ok(Self { plan: token.plan(candidates), rooms: sought })
    }

    /// The rooms that are to be read.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = RoomNid> {
        self.plan.rooms.iter().map(|room| RoomNid(room.room.0))
    }

    /// The ids of the rooms that have anything.
    pub(crate) fn room_ids(&self) -> HashMap<RoomNid, OwnedRoomId> {
        self.rooms.iter().map(|(room, (room_id, _))| (RoomNid(room.0), room_id.clone())).collect()
    }

    /// Reads the next events, at most so many.
    pub(crate) async fn read(
        mut self,
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        most: usize,
    ) -> Result<Found, ReadError> {
        if self.plan.rooms.is_empty() {
            return Ok(Found { events: Vec::new(), end: None, plan: self.plan });
        }
        self.read_joins(snapshot).await?;
        let mut page = self.read_page(snapshot, viewer, most).await?;
        for _ in 0..ROUNDS {
            let Some(end) = page.end.filter(|_| page.events.is_empty()) else { break };
            self.plan.rooms.iter_mut().for_each(|room| room.after = room.after.max(end));
            page = self.read_page(snapshot, viewer, most).await?;
        }
        let numbers: Vec<EventNid> = page.events.iter().map(|(_, event)| *event).collect();
        let mut events = load(snapshot, &numbers).await?;
        let rooms: BTreeSet<RoomNid> = page.events.iter().map(|(room, _)| RoomNid(room.0)).collect();
        let rooms: Vec<RoomNid> = rooms.into_iter().collect();
        let expiry = Expiry::read(snapshot, &rooms, viewer.now).await?;
        events.retain(|event| {
            matches!(event.status, EventStatus::Accepted | EventStatus::Partial) && !expiry.has_taken(event)
        });
        Ok(Found { events, end: page.end, plan: self.plan })
    }

    /// When the user joined, of the rooms where that matters.
    async fn read_joins(&mut self, snapshot: &dyn Snapshot) -> Result<(), ReadError> {
        let known = &self.rooms;
        let mut rooms: Vec<(&mut StickyRoom, &Member)> = self
            .plan
            .rooms
            .iter_mut()
            .filter(|room| room.needs_join())
            .filter_map(|room| known.get(&room.room).map(|(_, member)| (room, &**member)))
            .collect();
        let scan = |(_, member): &(&mut StickyRoom, &Member)| {
            Scan::index::<Event>(Event::BY_ORDER, (member.room, member.joined_at), 1)
        };
        let found = snapshot.scan_all::<Event>(rooms.iter().map(scan).collect()).await?;
        for ((room, member), mut found) in rooms.iter_mut().zip(found) {
            let joined = found.pop().map_or(member.changed, |event| event.pos);
            room.joined = joined.get();
        }
        Ok(())
    }

    async fn read_page(
        &self,
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        most: usize,
    ) -> Result<StickyPage<EventNid>, ReadError> {
        let limit = most + 1;
        let scan = |room: &StickyRoom| {
            let scan = Scan::prefix::<StickyEvent>((RoomNid(room.room.0),), limit);
            scan.after((Pos::new(room.from()),))
        };
        let found = snapshot.scan_all::<StickyEvent>(self.plan.rooms.iter().map(scan).collect()).await?;
        let ignored = match found.iter().all(Vec::is_empty) {
            true => Default::default(),
            false => ignored_users(snapshot, &viewer.user_id).await?,
        };
        let told = |row: &StickyEvent| {
            let ignores = ignored.contains::<UserId>(&row.sender);
            (row.until > viewer.now && !ignores).then_some(row.event)
        };
        let rows = |found: Vec<StickyEvent>| StickyRows {
            complete: found.len() < limit,
            rows: found.iter().map(|row| (row.pos.get(), told(row))).collect(),
        };
        let read = self.plan.rooms.iter().copied().zip(found.into_iter().map(rows)).collect();
        Ok(StickyPage::cut(read, most))
    }
}

/// Events by their rooms, those of each in the order they had.
pub(crate) fn by_room(events: Vec<Event>) -> HashMap<RoomNid, Vec<Event>> {
    let mut rooms: HashMap<RoomNid, Vec<Event>> = HashMap::new();
    for event in events {
        rooms.entry(event.room).or_default().push(event);
    }
    rooms
}

/// Those of a room that its timeline in the same answer does not show.
pub(crate) fn unshown(events: Vec<Event>, timeline: &[Event]) -> impl Iterator<Item = Event> {
    let shown: HashSet<EventNid> = timeline.iter().map(|event| event.event).collect();
    events.into_iter().filter(move |event| !shown.contains(&event.event))
}

impl Found {
    /// Where the client stands when it has these.
    pub(crate) fn next(self, token: &StickyToken, position: i64) -> StickyToken {
        token.next(self.plan, self.end, position)
    }
}
