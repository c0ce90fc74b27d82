//! The form of an event for clients (client-server API, "Room event format"), written around the stored bytes: content
//! goes out as it came in.

use std::borrow::Cow;

use bytes::Bytes;
use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::erasure::Expiry;
use myelin_store::schema::rooms::{DELAY_PREFIX, Event, EventStatus, Membership, Room};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::OwnedRoomId;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::form::{
    self, ClientEvent, EventRef, Reference, Relations, Stored, ThreadRelation, Unsigned, with_edit,
};
use crate::load::{contents, load};
use crate::related::{Related, related};
use crate::view::{View, Viewer, ignored_users, views};

/// What an answer wants of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    room_id: bool,
    relations: bool,
    history: bool,
    stable_sticky: bool,
}

impl Format {
    /// Whole: for every endpoint but sync.
    pub const CLIENT: Self = Self { room_id: true, relations: true, history: true, stable_sticky: false };
    /// For lists of state: of state nothing is bundled.
    pub const STATE: Self = Self { room_id: true, relations: false, history: true, stable_sticky: false };
    /// For the timeline of a sync that may leave out events: relations bundled, and no `room_id` but in the bundled events.
    pub const SYNC: Self = Self { room_id: false, relations: true, history: true, stable_sticky: false };
    /// For a timeline without a gap: the client gets the related events themselves, so nothing is bundled.
    pub const SYNC_LIVE: Self =
        Self { room_id: false, relations: false, history: true, stable_sticky: false };
    /// For the state sections of a sync: the event alone.
    pub const SYNC_STATE: Self =
        Self { room_id: false, relations: false, history: false, stable_sticky: false };

    /// The same for a client that knows sticky events by the names that MSC4354 is to have, and not by those it has until
    /// it is accepted.
    #[must_use]
    pub const fn with_stable_sticky(self) -> Self {
        Self { stable_sticky: true, ..self }
    }
}

/// The events as clients see them, in their order. It does not decide whether the viewer may see them (see
/// [`crate::visible`]); what is bundled with them, and what they replaced, is shown only if the viewer may.
///
/// # Errors
/// When the store can't be read.
pub async fn client_events(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    format: Format,
    events: &[Event],
) -> Result<Vec<Box<RawValue>>, ReadError> {
    Ok(ClientEvents::read(snapshot, viewer, format, events).await?.each())
}

/// Events that are written only when the answer is: a list of a hundred thousand members has its client form in memory
/// once, in the answer's body.
#[derive(Debug)]
pub struct ClientEvents<'e> {
    viewer: Viewer,
    format: Format,
    events: Cow<'e, [Event]>,
    surroundings: Surroundings,
}

impl<'e> ClientEvents<'e> {
    /// The events as [`client_events`] has them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn read(
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        format: Format,
        events: impl Into<Cow<'e, [Event]>>,
    ) -> Result<Self, ReadError> {
        let events = events.into();
        let surroundings = if events.is_empty() {
            Surroundings::default()
        } else {
            Surroundings::read(snapshot, viewer, format, &events).await?
        };
        Ok(Self { viewer: viewer.clone(), format, events, surroundings })
    }

    /// About how many bytes of JSON they make.
    #[must_use]
    pub fn size(&self) -> usize {
        /// What stands around a content: ids, sender, times, `unsigned`.
        const AROUND: usize = 384;
        let contents: usize = self.surroundings.contents.values().map(Bytes::len).sum();
        contents + self.events.len() * AROUND
    }

    fn each(&self) -> Vec<Box<RawValue>> {
        let write = |event| self.surroundings.write(&self.viewer, self.format, event, Bundle::Whole);
        self.events.iter().filter_map(write).collect()
    }
}

impl Serialize for ClientEvents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = |event| self.surroundings.form(&self.viewer, self.format, event, Bundle::Whole);
        serializer.collect_seq(self.events.iter().map(form))
    }
}

/// The form that a message has in the timeline of a sync without a gap ([`Format::SYNC_LIVE`]), if it is the same for
/// everyone who has been in the room since before it, but for the `session` that sent it. `None` of events that more has
/// to be read for. `now` is in milliseconds since 1970.
#[must_use]
pub fn shared_message(event: &Event, json: &Bytes, session: Option<i64>, now: i64) -> Option<Box<RawValue>> {
    let is_plain = event.state_key.is_none()
        && event.order.is_some()
        && event.status == EventStatus::Accepted
        && event.redacted_by.is_none()
        && event.sticky_until.is_none()
        && event.kind != "m.room.redaction";
    let seen = View { visible: true, membership: Membership::Join };
    is_plain.then(|| alone(event, json, (Some(seen), session), Format::SYNC_LIVE, now)).flatten()
}

/// The form that a state event has in the state section of a sync ([`Format::SYNC_STATE`]). `None` of events that more has
/// to be read for. `now` is in milliseconds since 1970.
#[must_use]
pub fn shared_state(event: &Event, json: &Bytes, now: i64) -> Option<Box<RawValue>> {
    let is_plain = event.redacted_by.is_none() && event.sticky_until.is_none();
    is_plain.then(|| alone(event, json, (None, None), Format::SYNC_STATE, now)).flatten()
}

/// The form of an event that nothing has to be read for.
fn alone(
    event: &Event,
    json: &Bytes,
    (view, session): (Option<View>, Option<i64>),
    format: Format,
    now: i64,
) -> Option<Box<RawValue>> {
    let mut around = Surroundings::default();
    around.contents.insert(event.event, json.clone());
    around.views.extend(view.map(|view| (event.event, view)));
    let viewer = Viewer { user_id: event.sender.clone(), session, now };
    around.write(&viewer, format, event, Bundle::Nothing)
}

/// Everything around some events that their client form needs.
#[derive(Debug, Default)]
struct Surroundings {
    contents: FxHashMap<EventNid, Bytes>,
    /// Redactions, and replaced state that the viewer may see.
    others: FxHashMap<EventNid, Event>,
    views: FxHashMap<EventNid, View>,
    related: FxHashMap<EventNid, Related>,
    room_ids: FxHashMap<RoomNid, OwnedRoomId>,
}

impl Surroundings {
    async fn read(
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        format: Format,
        events: &[Event],
    ) -> Result<Self, ReadError> {
        let mut found = Self::default();
        if format.relations {
            let ignored = ignored_users(snapshot, &viewer.user_id).await?;
            found.related = related(snapshot, viewer, &ignored, events).await?;
        }
        // Bundled events have a `room_id` everywhere: they are formatted as normal, and clients take an encrypted event
        // without one for a to-device message.
        let bundling = |event: &&Event| found.related.get(&event.event).is_some_and(Related::bundles_events);
        let named: Vec<&Event> = events.iter().filter(|event| format.room_id || bundling(event)).collect();
        found.read_room_ids(snapshot, &named).await?;
        let replaced = |event: &Event| event.replaces.filter(|_| format.history);
        let mut others: Vec<EventNid> =
            events.iter().flat_map(|event| event.redacted_by.into_iter().chain(replaced(event))).collect();
        others.sort_unstable();
        others.dedup();
        let others = if others.is_empty() { Vec::new() } else { load(snapshot, &others).await? };
        if format.history {
            found.read_views(snapshot, viewer, events, &others).await?;
        }
        let redactions: FxHashSet<EventNid> = events.iter().filter_map(|event| event.redacted_by).collect();
        let redacted_in: Vec<RoomNid> =
            events.iter().filter(|event| event.redacted_by.is_some()).map(|event| event.room).collect();
        let expiry = if redacted_in.is_empty() {
            Expiry::default()
        } else {
            Expiry::read(snapshot, &redacted_in, viewer.now).await?
        };
        let seen = |event: &Event| {
            // A redaction (which may be a ban, MSC4293) is told with what it took; replaced content only to whom may see it.
            redactions.contains(&event.event) && !expiry.has_taken(event)
                || found.views.get(&event.event).is_some_and(|view| view.visible)
        };
        found.others = others.into_iter().filter(seen).map(|event| (event.event, event)).collect();
        let mut wanted: Vec<EventNid> = events.iter().map(|event| event.event).collect();
        wanted.extend(found.others.keys());
        for related in found.related.values() {
            let thread = related.thread.as_ref();
            let bundled = [
                related.edit.as_ref(),
                thread.map(|thread| &thread.latest),
                thread.and_then(|thread| thread.latest_edit.as_ref()),
            ];
            wanted.extend(bundled.into_iter().flatten().map(|event| event.event));
        }
        wanted.sort_unstable();
        wanted.dedup();
        found.contents = contents(snapshot, &wanted).await?;
        Ok(found)
    }

    async fn read_room_ids(&mut self, snapshot: &dyn Snapshot, events: &[&Event]) -> Result<(), ReadError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut rooms: Vec<RoomNid> = events.iter().map(|event| event.room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        let keys: Vec<_> = rooms.iter().map(|room| (*room,)).collect();
        let rows = snapshot.get_all::<Room>(&keys).await?;
        self.room_ids = rows.into_iter().flatten().map(|row| (row.room, row.room_id)).collect();
        Ok(())
    }

    async fn read_views(
        &mut self,
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        events: &[Event],
        others: &[Event],
    ) -> Result<(), ReadError> {
        let all: Vec<&Event> = events.iter().chain(others).collect();
        let views = views(snapshot, viewer, &all).await?;
        self.views = all.iter().map(|event| event.event).zip(views).collect();
        Ok(())
    }

    fn write(&self, viewer: &Viewer, format: Format, event: &Event, bundle: Bundle) -> Option<Box<RawValue>> {
        to_raw_value(&self.form(viewer, format, event, bundle)).ok()
    }

    fn form<'a>(
        &'a self,
        viewer: &Viewer,
        format: Format,
        event: &'a Event,
        bundle: Bundle,
    ) -> ClientEvent<'a> {
        let json = self.contents.get(&event.event);
        let (content, redacts) = match json {
            Some(json) if event.kind == "m.room.redaction" => Stored::of_redaction(json),
            _ => (Cow::Borrowed(self.content(event.event)), None),
        };
        let room_id = self.room_ids.get(&event.room).filter(|_| format.room_id);
        let sticky = json.filter(|_| event.sticky_until.is_some()).and_then(|json| form::sticky(json));
        ClientEvent {
            content,
            event_id: event.event_id.as_str(),
            origin_server_ts: event.origin_server_ts,
            redacts,
            room_id: room_id.map(|room_id| room_id.as_str()),
            sender: event.sender.as_str(),
            state_key: event.state_key.as_deref(),
            kind: &event.kind,
            unstable_sticky: sticky.filter(|_| !format.stable_sticky),
            sticky: sticky.filter(|_| format.stable_sticky),
            unsigned: self.unsigned(viewer, format, event, bundle),
        }
    }

    fn unsigned<'a>(
        &'a self,
        viewer: &Viewer,
        format: Format,
        event: &'a Event,
        bundle: Bundle,
    ) -> Unsigned<'a> {
        let own = event.session.is_some() && event.session == viewer.session;
        let replaced = event.replaces.and_then(|replaced| self.others.get(&replaced));
        let redaction = event.redacted_by.and_then(|redaction| self.others.get(&redaction));
        let whole = bundle == Bundle::Whole;
        let sticky_ttl =
            event.sticky_until.map(|until| until.saturating_sub(viewer.now)).filter(|ttl| *ttl > 0);
        Unsigned {
            age: viewer.now.saturating_sub(event.origin_server_ts).max(0),
            transaction_id: event.txn_id.as_deref().filter(|id| own && !id.starts_with(DELAY_PREFIX)),
            delay_id: event.txn_id.as_deref().and_then(|id| id.strip_prefix(DELAY_PREFIX)).filter(|_| own),
            unstable_sticky_ttl: sticky_ttl.filter(|_| !format.stable_sticky),
            sticky_ttl: sticky_ttl.filter(|_| format.stable_sticky),
            membership: self.views.get(&event.event).map(|view| view.membership.as_str()),
            prev_content: replaced.map(|replaced| self.content(replaced.event)),
            replaces_state: replaced.map(|replaced| replaced.event_id.as_str()),
            redacted_because: redaction
                .filter(|_| whole)
                .and_then(|redaction| self.write(viewer, format, redaction, Bundle::Nothing)),
            relations: whole.then(|| self.relations(viewer, format, event)).flatten(),
        }
    }

    fn relations(&self, viewer: &Viewer, format: Format, event: &Event) -> Option<Relations<'_>> {
        let related = self.related.get(&event.event)?;
        let format = Format { room_id: true, ..format };
        let write = |event: &Event| self.write(viewer, format, event, Bundle::Nothing);
        let thread = related.thread.as_ref().and_then(|thread| {
            let latest = write(&thread.latest)?;
            let latest_event = match thread.latest_edit.as_ref().and_then(write) {
                Some(edit) => with_edit(&latest, edit)?,
                None => latest,
            };
            let current_user_participated = thread.participated;
            Some(ThreadRelation { count: thread.replies, current_user_participated, latest_event })
        });
        let reference = (!related.references.is_empty()).then(|| Reference {
            chunk: related
                .references
                .iter()
                .map(|event_id| EventRef { event_id: event_id.as_str() })
                .collect(),
        });
        Some(Relations { replace: related.edit.as_ref().and_then(write), thread, reference })
    }

    /// The content; that of an event whose JSON was erased is empty.
    fn content(&self, event: EventNid) -> &RawValue {
        self.contents.get(&event).map_or_else(form::empty, |json| form::content(json))
    }
}

/// Whether what is bundled with an event is written into it. Bundled events carry nothing bundled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bundle {
    Whole,
    Nothing,
}
