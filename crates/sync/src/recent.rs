//! What came into rooms lately, in the form that it has for everyone who was there: read and written once for all the users
//! whom a commit wakes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use myelin_model::RoomNid;
use myelin_store::schema::erasure::lifetimes;
use myelin_store::schema::notify::newest_highlights;
use myelin_store::schema::rooms::{Event, State};
use myelin_store::schema::users::Receipt;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{contents, shared_message, shared_state};
use ruma::{OwnedUserId, UserId};
use rustc_hash::FxHashMap;
use serde_json::value::RawValue;

use crate::as_of::AsOf;
use crate::notifier::Notifier;
use crate::state::{MEMBER, state_events};

/// How many of a room's newest events are kept: who waits is told of one or two.
const MOST_EVENTS: usize = 8;
/// The most rooms of which they are kept, at about 16 KiB each, and 128 KiB at most.
const MOST_ROOMS: usize = 1024;
/// Longer events are not kept, in bytes: whoever is told of one reads it.
const MOST_BYTES: usize = 4096;
/// For how many milliseconds a form is good: the age that it tells is off by so much.
const FORM_LASTS: i64 = 100;

/// The newest events of rooms.
pub(crate) struct Recents(AsOf<Recent>);

/// The newest events of one room, and when what is not among them last changed.
pub(crate) struct Recent {
    /// Newest first.
    events: Vec<Shared>,
    /// The room has no others.
    is_whole: bool,
    /// The position at which its state last changed.
    pub(crate) state_changed: i64,
    /// The position at which a receipt in it last changed.
    pub(crate) receipts_changed: i64,
    /// The order of the newest event that is a highlight for everyone.
    pub(crate) newest_highlight: Option<i64>,
    /// For how many milliseconds it keeps messages, unless for ever.
    lifetime: Option<i64>,
    /// The memberships of those who sent the events.
    senders: FxHashMap<OwnedUserId, Shared>,
}

/// An event, and the form in which it goes out.
pub(crate) struct Shared {
    pub(crate) event: Event,
    json: Option<Bytes>,
    form: Mutex<Option<(i64, Arc<RawValue>)>>,
}

impl Shared {
    fn new(event: Event, json: Option<Bytes>) -> Self {
        let json = json.filter(|json| json.len() <= MOST_BYTES);
        Self { event, json, form: Mutex::default() }
    }

    fn form(
        &self,
        now: i64,
        write: impl Fn(&Event, &Bytes, i64) -> Option<Box<RawValue>>,
    ) -> Option<Arc<RawValue>> {
        let mut form = self.form.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, form)) = &*form
            && (0..FORM_LASTS).contains(&(now - at))
        {
            return Some(Arc::clone(form));
        }
        let made: Arc<RawValue> = write(&self.event, self.json.as_ref()?, now)?.into();
        *form = Some((now, Arc::clone(&made)));
        Some(made)
    }

    /// As a message in a timeline without a gap, to this session; none where its form is not the same for everyone else.
    pub(crate) fn message(&self, session: i64, now: i64) -> Option<Arc<RawValue>> {
        if self.event.session == Some(session) {
            return shared_message(&self.event, self.json.as_ref()?, Some(session), now).map(Arc::from);
        }
        self.form(now, |event, json, now| shared_message(event, json, None, now))
    }
}

impl Recent {
    /// The events after a position, newest first, where they are all that came after it: at most so many.
    pub(crate) fn after(&self, since: i64, most: usize) -> Option<&[Shared]> {
        let new = self.events.iter().take_while(|shared| shared.event.pos.get() > since).count();
        let is_all = self.is_whole || new < self.events.len();
        self.events.get(..new).filter(|_| is_all && new <= most)
    }

    /// The order below which everything is older than these newest events of the room.
    pub(crate) fn start(&self, shown: &[Shared]) -> i64 {
        let top = self.events.first().and_then(|shared| shared.event.order).unwrap_or_default();
        shown.last().and_then(|shared| shared.event.order).unwrap_or(top + 1)
    }

    /// Whether the event is past its time (MSC1763).
    pub(crate) fn is_past(&self, event: &Event, now: i64) -> bool {
        self.lifetime.is_some_and(|lifetime| event.origin_server_ts < now.saturating_sub(lifetime))
    }

    /// The membership of someone who sent one of the events, as state; none where its form is not the same for everyone.
    pub(crate) fn sender(&self, user_id: &str, now: i64) -> Option<Arc<RawValue>> {
        self.senders.get(<&UserId>::try_from(user_id).ok()?)?.form(now, shared_state)
    }
}

impl Recents {
    pub(crate) fn new(notifier: Arc<Notifier>) -> Self {
        Self(AsOf::new(notifier, MOST_ROOMS))
    }

    /// What is known of these rooms without reading.
    pub(crate) fn known(&self, position: i64, rooms: &[RoomNid]) -> FxHashMap<RoomNid, Arc<Recent>> {
        self.0.at(position, rooms).0
    }

    /// The newest events of these rooms as of the snapshot.
    pub(crate) async fn read(
        &self,
        snapshot: &dyn Snapshot,
        rooms: &[RoomNid],
    ) -> Result<FxHashMap<RoomNid, Arc<Recent>>, ReadError> {
        let position = snapshot.position().get();
        let (mut found, missing) = self.0.at(position, rooms);
        if missing.is_empty() {
            return Ok(found);
        }
        let read: Vec<(RoomNid, Arc<Recent>)> = read(snapshot, &missing).await?;
        self.0.keep(position, &read);
        found.extend(read);
        Ok(found)
    }
}

async fn read(snapshot: &dyn Snapshot, rooms: &[RoomNid]) -> Result<Vec<(RoomNid, Arc<Recent>)>, ReadError> {
    let newest = |room: &RoomNid| {
        // Events without an order sort first and are not part of the timeline.
        let scan = Scan::index::<Event>(Event::BY_ORDER, (*room,), MOST_EVENTS).backward();
        scan.after((None::<i64>,))
    };
    let events = snapshot.scan_all::<Event>(rooms.iter().map(newest).collect()).await?;
    let last = |room: &RoomNid| Scan::index::<State>(State::BY_CHANGE, (*room,), 1).backward();
    let state = snapshot.scan_all::<State>(rooms.iter().map(last).collect()).await?;
    let last = |room: &RoomNid| Scan::index::<Receipt>(Receipt::BY_CHANGE, (*room,), 1).backward();
    let receipts = snapshot.scan_all::<Receipt>(rooms.iter().map(last).collect()).await?;
    let highlights = newest_highlights(snapshot, rooms).await?;
    let lifetimes = lifetimes(snapshot, rooms).await?;
    let mut senders = read_senders(snapshot, &events).await?;
    let nids = events.iter().flatten().filter(|event| event.state_key.is_none()).map(|event| event.event);
    let mut contents = contents(snapshot, &nids.collect::<Vec<_>>()).await?;
    let mut found = Vec::with_capacity(rooms.len());
    let each = rooms.iter().zip(events).zip(state).zip(receipts).zip(highlights);
    for ((((room, events), state), receipts), newest_highlight) in each {
        let is_whole = events.len() < MOST_EVENTS;
        let shared = |event: Event| {
            let json = contents.remove(&event.event);
            Shared::new(event, json)
        };
        let recent = Recent {
            events: events.into_iter().map(shared).collect(),
            is_whole,
            state_changed: state.first().map_or(0, |row| row.changed.get()),
            receipts_changed: receipts.first().map_or(0, |row| row.changed.get()),
            newest_highlight,
            lifetime: lifetimes.get(room).copied(),
            senders: senders.remove(room).unwrap_or_default(),
        };
        found.push((*room, Arc::new(recent)));
    }
    Ok(found)
}

/// The memberships of those who sent these events, by room.
async fn read_senders(
    snapshot: &dyn Snapshot,
    events: &[Vec<Event>],
) -> Result<FxHashMap<RoomNid, FxHashMap<OwnedUserId, Shared>>, ReadError> {
    let sent = events.iter().flatten().map(|event| (event.room, event.sender.as_str()));
    let sent: BTreeSet<_> = sent.collect();
    let keys: Vec<_> =
        sent.iter().map(|(room, sender)| (*room, MEMBER.to_owned(), (*sender).to_owned())).collect();
    let rows: Vec<State> = snapshot.get_all::<State>(&keys).await?.into_iter().flatten().collect();
    let mut events = state_events(snapshot, rows.iter().map(|row| row.event)).await?;
    let nids: Vec<_> = rows.iter().map(|row| row.event).collect();
    let mut contents = contents(snapshot, &nids).await?;
    let mut senders: FxHashMap<RoomNid, FxHashMap<OwnedUserId, Shared>> = FxHashMap::default();
    for row in rows {
        let Some(event) = events.remove(&row.event) else { continue };
        let Ok(user_id) = OwnedUserId::try_from(row.state_key) else { continue };
        let json = contents.remove(&row.event);
        senders.entry(row.room).or_default().insert(user_id, Shared::new(event, json));
    }
    Ok(senders)
}
