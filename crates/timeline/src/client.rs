//! The form of an event for clients (client-server API, "Room event format"), written around the stored bytes: content
//! goes out as it came in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::rooms::{Event, Room};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::OwnedRoomId;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::load::{contents, load};
use crate::related::{Related, related};
use crate::view::{View, Viewer, ignored_users, views};

/// What an answer wants of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    room_id: bool,
    relations: bool,
    history: bool,
}

impl Format {
    /// Whole: for every endpoint but sync.
    pub const CLIENT: Self = Self { room_id: true, relations: true, history: true };
    /// For lists of state: of state nothing is bundled.
    pub const STATE: Self = Self { room_id: true, relations: false, history: true };
    /// For the timeline of a sync that may leave out events: no `room_id`, relations bundled.
    pub const SYNC: Self = Self { room_id: false, relations: true, history: true };
    /// For a timeline without a gap: the client gets the related events themselves, so nothing is bundled.
    pub const SYNC_LIVE: Self = Self { room_id: false, relations: false, history: true };
    /// For the state sections of a sync: the event alone.
    pub const SYNC_STATE: Self = Self { room_id: false, relations: false, history: false };
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
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let surroundings = Surroundings::read(snapshot, viewer, format, events).await?;
    Ok(events.iter().filter_map(|event| surroundings.write(viewer, format, event, Bundle::Whole)).collect())
}

/// Everything around some events that their client form needs.
#[derive(Default)]
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
        if format.room_id {
            found.read_room_ids(snapshot, events).await?;
        }
        let replaced = |event: &Event| event.replaces.filter(|_| format.history);
        let mut others: Vec<EventNid> =
            events.iter().flat_map(|event| event.redacted_by.into_iter().chain(replaced(event))).collect();
        others.sort_unstable();
        others.dedup();
        let others = if others.is_empty() { Vec::new() } else { load(snapshot, &others).await? };
        if format.history {
            found.read_views(snapshot, viewer, events, &others).await?;
        }
        let seen = |event: &Event| {
            // A redaction is told with what it took; replaced content only to whom may see it.
            event.kind == "m.room.redaction" || found.views.get(&event.event).is_some_and(|view| view.visible)
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

    async fn read_room_ids(&mut self, snapshot: &dyn Snapshot, events: &[Event]) -> Result<(), ReadError> {
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
        let views = views(snapshot, &viewer.user_id, &all).await?;
        self.views = all.iter().map(|event| event.event).zip(views).collect();
        Ok(())
    }

    fn write(&self, viewer: &Viewer, format: Format, event: &Event, bundle: Bundle) -> Option<Box<RawValue>> {
        let stored = self.stored(event.event);
        let is_redaction = event.kind == "m.room.redaction";
        let redacts = if is_redaction { stored.redacts() } else { None };
        let room_id = self.room_ids.get(&event.room).filter(|_| format.room_id);
        let client = ClientEvent {
            content: stored.content_with(redacts.as_deref()),
            event_id: event.event_id.as_str(),
            origin_server_ts: event.origin_server_ts,
            redacts: redacts.as_deref(),
            room_id: room_id.map(|room_id| room_id.as_str()),
            sender: event.sender.as_str(),
            state_key: event.state_key.as_deref(),
            kind: &event.kind,
            unsigned: self.unsigned(viewer, format, event, bundle),
        };
        to_raw_value(&client).ok()
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
        Unsigned {
            age: viewer.now.saturating_sub(event.origin_server_ts).max(0),
            transaction_id: event.txn_id.as_deref().filter(|_| own),
            membership: self.views.get(&event.event).map(|view| view.membership.as_str()),
            prev_content: replaced.map(|replaced| self.stored(replaced.event).content),
            replaces_state: replaced.map(|replaced| replaced.event_id.as_str()),
            redacted_because: redaction
                .filter(|_| whole)
                .and_then(|redaction| self.write(viewer, format, redaction, Bundle::Nothing)),
            relations: whole.then(|| self.relations(viewer, format, event)).flatten(),
        }
    }

    fn relations(&self, viewer: &Viewer, format: Format, event: &Event) -> Option<Relations<'_>> {
        let related = self.related.get(&event.event)?;
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

    fn stored(&self, event: EventNid) -> Stored<'_> {
        let json = self.contents.get(&event).map_or(&b"{}"[..], |json| json);
        // An event whose content was erased is shown as an empty one.
        serde_json::from_slice(json).unwrap_or(Stored { content: empty(), redacts: None })
    }
}

/// Adds an edit to the client form of the event that it replaces.
fn with_edit(event: &RawValue, edit: Box<RawValue>) -> Option<Box<RawValue>> {
    let mut fields: BTreeMap<&str, Cow<'_, RawValue>> = serde_json::from_str(event.get()).ok()?;
    let unsigned = fields.get("unsigned").cloned();
    let mut unsigned: BTreeMap<&str, Cow<'_, RawValue>> = match &unsigned {
        Some(unsigned) => serde_json::from_str(unsigned.get()).ok()?,
        None => BTreeMap::new(),
    };
    let relations = to_raw_value(&Relations { replace: Some(edit), thread: None, reference: None }).ok()?;
    unsigned.insert("m.relations", Cow::Owned(relations));
    fields.insert("unsigned", Cow::Owned(to_raw_value(&unsigned).ok()?));
    to_raw_value(&fields).ok()
}

/// Whether what is bundled with an event is written into it. Bundled events carry nothing bundled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bundle {
    Whole,
    Nothing,
}

fn empty<'a>() -> &'a RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

/// The passages of a stored event that go out as they are.
#[derive(Clone, Copy, Deserialize)]
struct Stored<'a> {
    #[serde(borrow, default = "empty")]
    content: &'a RawValue,
    #[serde(borrow, default)]
    redacts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Redacts {
    redacts: Option<String>,
}

impl<'a> Stored<'a> {
    /// The event a redaction is about, from either place: top level before room version 11, content since.
    fn redacts(&self) -> Option<String> {
        if let Some(top) = self.redacts {
            return serde_json::from_str(top.get()).ok();
        }
        serde_json::from_str::<Redacts>(self.content.get()).ok()?.redacts
    }

    /// The content; that of a redaction says what it redacts in every room version ("m.room.redaction").
    fn content_with(&self, redacts: Option<&str>) -> Cow<'a, RawValue> {
        let Some(redacts) = redacts.filter(|_| self.redacts.is_some()) else {
            return Cow::Borrowed(self.content);
        };
        let mut content: BTreeMap<String, &RawValue> =
            serde_json::from_str(self.content.get()).unwrap_or_default();
        let Ok(id) = to_raw_value(redacts) else { return Cow::Borrowed(self.content) };
        content.insert("redacts".to_owned(), &id);
        to_raw_value(&content).map_or(Cow::Borrowed(self.content), Cow::Owned)
    }
}

#[derive(Serialize)]
struct ClientEvent<'a> {
    content: Cow<'a, RawValue>,
    event_id: &'a str,
    origin_server_ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
    sender: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    unsigned: Unsigned<'a>,
}

#[derive(Serialize)]
struct Unsigned<'a> {
    age: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces_state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_because: Option<Box<RawValue>>,
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    relations: Option<Relations<'a>>,
}

#[derive(Serialize)]
struct Relations<'a> {
    #[serde(rename = "m.replace", skip_serializing_if = "Option::is_none")]
    replace: Option<Box<RawValue>>,
    #[serde(rename = "m.thread", skip_serializing_if = "Option::is_none")]
    thread: Option<ThreadRelation>,
    #[serde(rename = "m.reference", skip_serializing_if = "Option::is_none")]
    reference: Option<Reference<'a>>,
}

#[derive(Serialize)]
struct ThreadRelation {
    count: i64,
    current_user_participated: bool,
    latest_event: Box<RawValue>,
}

#[derive(Serialize)]
struct Reference<'a> {
    chunk: Vec<EventRef<'a>>,
}

#[derive(Serialize)]
struct EventRef<'a> {
    event_id: &'a str,
}
