//! What a user has been notified of (client-server API, "Listing Notifications").
//!
//! There is no list of it in the store. It is read back from the rooms' timelines, newest first over all rooms, by the
//! rules that the user has now.

use std::collections::{BTreeMap, BinaryHeap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use myelin_model::{Pos, Requester, RoomNid};
use myelin_store::schema::erasure::Expiry;
use myelin_store::schema::rooms::{Event, EventStatus, Member, Membership, Room, RoomHead};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{Format, Viewer, client_events, ignored_users};
use ruma::push::Action;
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;

use crate::Notify;
use crate::are_read::are_read;
use crate::judge::{Asker, Rules, Says};
use crate::subjects::subjects;
use crate::threads::subscribed;

/// The most notifications one answer has.
pub const MAX_NOTIFICATIONS: usize = 100;
/// How many events one answer looks at. Where the user is notified seldom, it may have fewer than asked for.
const MAX_LOOKED: usize = 1_000;
/// How many events are read of a room at once.
const CHUNK: usize = 25;
/// In how many rooms it looks.
const MAX_ROOMS: usize = 10_000;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct NotificationsWanted {
    /// Only events before this position; none for the newest.
    pub before: Option<Pos>,
    /// How many.
    pub limit: usize,
    /// Only highlights.
    pub only_highlights: bool,
}

/// Something the user was notified of.
#[derive(Clone, Debug)]
pub struct Notified {
    /// In which room.
    pub room_id: OwnedRoomId,
    /// The event as clients see it.
    pub event: Box<RawValue>,
    /// What the matching rule does.
    pub actions: Vec<Action>,
    /// Whether the user has read it.
    pub read: bool,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// One answer.
#[derive(Clone, Debug, Default)]
pub struct NotificationsPage {
    /// Newest first.
    pub notifications: Vec<Notified>,
    /// Where to go on; none at the end.
    pub next: Option<Pos>,
}

/// A room, and how far back it was looked through.
struct Place {
    room_id: OwnedRoomId,
    member: Member,
    /// Events at or above this order were read.
    read_to: i64,
    /// Events that were read and not yet looked at, newest first, with what the rules say of each.
    next: VecDeque<(Event, Option<Vec<Action>>)>,
}

/// An event that notifies, as it was found.
struct Found {
    event: Event,
    actions: Vec<Action>,
    room_id: OwnedRoomId,
    read: bool,
}

struct Search<'s> {
    snapshot: &'s dyn Snapshot,
    user_id: &'s OwnedUserId,
    rules: Arc<Rules>,
    ignored: HashSet<OwnedUserId>,
    places: BTreeMap<RoomNid, Place>,
    /// What is past its retention is told no more.
    expiry: Expiry,
    /// The rooms by the position of their next event.
    heap: BinaryHeap<(Pos, RoomNid)>,
}

impl Notify {
    /// What the requester has been notified of, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn notifications(
        &self,
        requester: &Requester,
        wanted: &NotificationsWanted,
    ) -> Result<NotificationsPage, ReadError> {
        let snapshot = self.engine.snapshot().await?;
        let user_id = &requester.user_id;
        let rules = self.all_rules(&*snapshot, std::slice::from_ref(user_id)).await?.remove(user_id);
        let Some(rules) = rules else { return Ok(NotificationsPage::default()) };
        let ignored = ignored_users(&*snapshot, user_id).await?;
        let mut search = Search {
            snapshot: &*snapshot,
            user_id,
            rules,
            ignored,
            places: BTreeMap::new(),
            expiry: Expiry::default(),
            heap: BinaryHeap::new(),
        };
        search.begin(wanted.before, self.now()).await?;
        let (found, next) = search.run(wanted).await?;
        let viewer = Viewer { user_id: user_id.clone(), session: Some(requester.session), now: self.now() };
        let events: Vec<Event> = found.iter().map(|found| found.event.clone()).collect();
        let written = client_events(&*snapshot, &viewer, Format::SYNC, &events).await?;
        let notifications = found.into_iter().zip(written).map(|(found, event)| Notified {
            room_id: found.room_id,
            event,
            actions: found.actions,
            read: found.read,
            at: found.event.origin_server_ts,
        });
        Ok(NotificationsPage { notifications: notifications.collect(), next })
    }
}

impl Search<'_> {
    /// The rooms that the user is in, each from its newest event before the position.
    async fn begin(&mut self, before: Option<Pos>, now: i64) -> Result<(), ReadError> {
        let scan = Scan::index::<Member>(Member::BY_USER, (self.user_id.clone(),), MAX_ROOMS);
        let mut members = self.snapshot.scan::<Member>(scan).await?;
        members.retain(|member| member.membership == Membership::Join);
        let by_room: Vec<_> = members.iter().map(|member| (member.room,)).collect();
        let rooms = self.snapshot.get_all::<Room>(&by_room).await?;
        let heads = self.snapshot.get_all::<RoomHead>(&by_room).await?;
        let nids: Vec<RoomNid> = members.iter().map(|member| member.room).collect();
        self.expiry = Expiry::read(self.snapshot, &nids, now).await?;
        let mut ahead = Vec::new();
        for ((member, room), head) in members.into_iter().zip(rooms).zip(heads) {
            let (Some(room), Some(head)) = (room, head) else { continue };
            let (nid, read_to) = (member.room, head.last_order.saturating_add(1));
            if before.is_some_and(|before| head.last_pos >= before) {
                ahead.push((nid, member.joined_at.unwrap_or_default()..read_to));
            } else {
                self.heap.push((head.last_pos, nid));
            }
            let (room_id, next) = (room.room_id, VecDeque::new());
            self.places.insert(nid, Place { room_id, member, read_to, next });
        }
        let Some(before) = before else { return Ok(()) };
        for (room, event) in last_before(self.snapshot, ahead, before).await? {
            if let (Some(place), Some(order)) = (self.places.get_mut(&room), event.order) {
                place.read_to = order.saturating_add(1);
                self.heap.push((event.pos, room));
            }
        }
        Ok(())
    }

    /// What notifies, until there is enough of it, and where to go on.
    async fn run(&mut self, wanted: &NotificationsWanted) -> Result<(Vec<Found>, Option<Pos>), ReadError> {
        let mut found = Vec::new();
        let mut next = None;
        let mut looked = 0;
        while let Some((pos, room)) = self.heap.pop() {
            if found.len() >= wanted.limit.min(MAX_NOTIFICATIONS) || looked >= MAX_LOOKED {
                // Everything after this event was looked at.
                next = Some(Pos::new(pos.get().saturating_add(1)));
                break;
            }
            looked += 1;
            self.fill(room).await?;
            let Some(place) = self.places.get_mut(&room) else { continue };
            if let Some((event, Some(actions))) = place.next.pop_front()
                && (Says::of(&actions).highlight || !wanted.only_highlights)
            {
                found.push(Found { room_id: place.room_id.clone(), event, actions, read: false });
            }
            self.fill(room).await?;
            if let Some((event, _)) = self.places.get(&room).and_then(|place| place.next.front()) {
                self.heap.push((event.pos, room));
            }
        }
        let events: Vec<&Event> = found.iter().map(|found| &found.event).collect();
        let read = are_read(self.snapshot, self.user_id, &events).await?;
        for (found, read) in found.iter_mut().zip(read) {
            found.read = read;
        }
        Ok((found, next))
    }

    /// Reads on in a room of which nothing is left to look at.
    async fn fill(&mut self, room: RoomNid) -> Result<(), ReadError> {
        let Some(place) = self.places.get_mut(&room).filter(|place| place.next.is_empty()) else {
            return Ok(());
        };
        let scan = Scan::index::<Event>(Event::BY_ORDER, (room,), CHUNK).backward();
        let scan = scan.after((place.member.joined_at,)).before((Some(place.read_to),));
        let events = self.snapshot.scan::<Event>(scan).await?;
        place.read_to = events.last().and_then(|event| event.order).unwrap_or(i64::MIN);
        let subjects = subjects(self.snapshot, &events).await?;
        let subscribed = subscribed(self.snapshot, self.user_id, &events).await?;
        for ((event, subject), subscribed) in events.into_iter().zip(subjects).zip(subscribed) {
            let may = event.status == EventStatus::Accepted
                && event.redacted_by.is_none()
                && event.sender != *self.user_id
                && !self.ignored.contains(&event.sender)
                && !self.expiry.has_taken(&event);
            let asker = Asker { display_name: place.member.display_name.as_deref(), subscribed };
            let actions =
                subject.filter(|_| may).map(|subject| self.rules.actions(&subject, &asker).to_vec());
            place.next.push_back((event, actions.filter(|actions| Says::of(actions).notifies)));
        }
        Ok(())
    }
}

/// Where in a room the last event before a position is looked for.
struct Span {
    room: RoomNid,
    /// Below it, what there is was seen to come before the position.
    low: i64,
    /// From it on, what there is was seen not to.
    high: i64,
    best: Option<Event>,
}

impl Span {
    fn middle(&self) -> i64 {
        self.low.midpoint(self.high).saturating_add(1).min(self.high)
    }
}

/// The newest event of each room before a position, given with the orders between which it is. Within a room positions
/// grow with the order, so that halving finds it.
async fn last_before(
    snapshot: &dyn Snapshot,
    rooms: Vec<(RoomNid, Range<i64>)>,
    before: Pos,
) -> Result<Vec<(RoomNid, Event)>, ReadError> {
    let span = |(room, orders): (RoomNid, Range<i64>)| Span {
        room,
        low: orders.start,
        high: orders.end,
        best: None,
    };
    let mut spans: Vec<Span> = rooms.into_iter().map(span).collect();
    // Orders are 64 bits wide.
    for _ in 0..64 {
        let mut open: Vec<&mut Span> = spans.iter_mut().filter(|span| span.low < span.high).collect();
        if open.is_empty() {
            break;
        }
        let scans = open.iter().map(|span| {
            let timeline = Scan::index::<Event>(Event::BY_ORDER, (span.room,), 1).backward();
            timeline.from((Some(span.low),)).before((Some(span.middle()),))
        });
        let found = snapshot.scan_all::<Event>(scans.collect()).await?;
        for (span, mut found) in open.iter_mut().zip(found) {
            match found.pop() {
                Some(event) if event.pos >= before => span.high = event.order.unwrap_or(span.low),
                found => {
                    span.low = span.middle();
                    span.best = found.or(span.best.take());
                }
            }
        }
    }
    Ok(spans.into_iter().filter_map(|span| Some((span.room, span.best?))).collect())
}
