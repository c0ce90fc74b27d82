//! Rooms written straight into a memory store, for tests of whoever reads rooms. It writes the rows that the `rooms`
//! service writes, and checks nothing: a test says what happened.

mod rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use myelin_model::{EventNid, Fence, Pos, RoomNid, Shard, Topic};
use myelin_store::memory::MemoryEngine;
use myelin_store::schema::rooms::{
    Event, EventContent, EventStatus, Membership, Room, RoomById, RoomHead, RoomSummary,
};
use myelin_store::schema::sticky::StickyEvent;
use myelin_store::schema::users::{AccountData, GLOBAL, Receipt};
use myelin_store::{Batch, Engine, Reader, Snapshot};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Value, json};

use self::rows::{Live, write_relation, write_state};

/// How far apart live events are numbered.
pub const SPACING: i64 = 1024;

/// A store and the rooms in it.
pub struct World {
    /// The store.
    pub engine: Arc<MemoryEngine>,
    next: AtomicI64,
    rooms: Mutex<HashMap<RoomNid, Live>>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// An event to be sent: fields that few tests need are set on it.
#[derive(Clone, Debug)]
pub struct Draft {
    room: RoomNid,
    sender: OwnedUserId,
    kind: String,
    state_key: Option<String>,
    content: Value,
    session: Option<(i64, String)>,
    notifies: bool,
    sticky: Option<(i64, i64)>,
}

impl Draft {
    /// An event that is no state.
    #[must_use]
    pub fn message(room: RoomNid, sender: &UserId, kind: &str, content: Value) -> Self {
        Self {
            room,
            sender: sender.to_owned(),
            kind: kind.to_owned(),
            state_key: None,
            content,
            session: None,
            notifies: kind == "m.room.message",
            sticky: None,
        }
    }

    /// A state event.
    #[must_use]
    pub fn state(room: RoomNid, sender: &UserId, kind: &str, state_key: &str, content: Value) -> Self {
        Self { state_key: Some(state_key.to_owned()), ..Self::message(room, sender, kind, content) }
    }

    /// Sent by this session with this transaction id.
    #[must_use]
    pub fn from_session(mut self, session: i64, txn_id: &str) -> Self {
        self.session = Some((session, txn_id.to_owned()));
        self
    }

    /// Sticky until this time, in milliseconds since 1970, by this duration (MSC4354).
    #[must_use]
    pub fn sticky(mut self, until: i64, duration: i64) -> Self {
        self.sticky = Some((until, duration));
        self
    }
}

impl World {
    /// An empty store.
    ///
    /// # Panics
    /// Never, in a working store.
    #[must_use]
    pub fn new() -> Self {
        let identity = myelin_store::Identity { server_name: "test".to_owned() };
        let engine = Arc::new(MemoryEngine::new(&identity));
        Self { engine, next: AtomicI64::new(1), rooms: Mutex::default() }
    }

    /// A view of the store as it is now.
    pub async fn snapshot(&self) -> Box<dyn Snapshot> {
        self.engine.snapshot().await.expect("a memory store can be read")
    }

    /// An empty batch.
    #[must_use]
    pub fn batch(&self) -> Batch {
        let shard = Shard::of("test");
        Batch::new(Fence { shard, epoch: self.engine.epoch(shard) })
    }

    /// Commits a batch and answers with its first position.
    pub async fn commit(&self, batch: Batch) -> Pos {
        self.engine.commit(batch).await.expect("a memory store can be written").first
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomNid, Live>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nid(&self) -> i64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// The id of a room made here.
    #[must_use]
    pub fn room_id(&self, room: RoomNid) -> OwnedRoomId {
        self.rooms()[&room].room_id.clone()
    }

    /// A room that its creator has joined, with the given history visibility.
    pub async fn room(&self, creator: &UserId, history_visibility: &str) -> RoomNid {
        self.typed_room(creator, history_visibility, None).await
    }

    /// The same with a room type.
    pub async fn typed_room(
        &self,
        creator: &UserId,
        history_visibility: &str,
        room_type: Option<&str>,
    ) -> RoomNid {
        let room = RoomNid(self.nid());
        let room_id = OwnedRoomId::try_from(format!("!room{}:test", room.0)).expect("a room id");
        let mut batch = self.batch();
        let pos = batch.next_pos();
        batch.put(&Room {
            room,
            room_id: room_id.clone(),
            version: "12".to_owned(),
            creator: creator.to_owned(),
            room_type: room_type.map(str::to_owned),
            created: pos,
        });
        batch.put(&RoomById { room_id: room_id.clone(), room });
        self.commit(batch).await;
        let live = Live {
            room_id,
            head: RoomHead::empty(room),
            summary: RoomSummary::empty(room),
            members: HashMap::new(),
            state: HashMap::new(),
            threads: HashMap::new(),
        };
        self.rooms().insert(room, live);
        let create = json!({ "room_version": "12", "type": room_type });
        self.send(Draft::state(room, creator, "m.room.create", "", create)).await;
        self.member(room, creator, creator, Membership::Join).await;
        let visibility = json!({ "history_visibility": history_visibility });
        self.send(Draft::state(room, creator, "m.room.history_visibility", "", visibility)).await;
        room
    }

    /// A text message.
    pub async fn say(&self, room: RoomNid, sender: &UserId, body: &str) -> Event {
        let content = json!({ "msgtype": "m.text", "body": body });
        self.send(Draft::message(room, sender, "m.room.message", content)).await
    }

    /// A change of membership.
    pub async fn member(
        &self,
        room: RoomNid,
        sender: &UserId,
        target: &UserId,
        membership: Membership,
    ) -> Event {
        let content = json!({ "membership": membership.as_str(), "displayname": target.localpart() });
        self.send(Draft::state(room, sender, "m.room.member", target.as_str(), content)).await
    }

    /// Whatever event.
    pub async fn send(&self, draft: Draft) -> Event {
        let mut live = self.rooms().get(&draft.room).cloned().expect("the room was made here");
        let mut batch = self.batch();
        let pos = batch.next_pos();
        let event = self.write_event(&mut batch, &mut live, &draft, pos);
        if let Some(state_key) = &draft.state_key {
            write_state(&mut batch, &mut live, &event, state_key, &draft.content);
        }
        write_relation(&mut batch, &mut live, &event, &draft.content);
        batch.put(&live.head);
        batch.wake(Topic::Room(draft.room));
        let first = self.commit(batch).await;
        live.resolve(first);
        self.rooms().insert(draft.room, live);
        Event { pos: first, ..event }
    }

    fn write_event(&self, batch: &mut Batch, live: &mut Live, draft: &Draft, pos: Pos) -> Event {
        let event = EventNid(self.nid());
        let event_id = OwnedEventId::try_from(format!("$event{}", event.0)).expect("an event id");
        live.head.last_order += SPACING;
        live.head.last_pos = pos;
        live.head.counter += i64::from(draft.notifies);
        if matches!(draft.kind.as_str(), "m.room.message" | "m.room.encrypted" | "m.room.create") {
            live.head.bump_pos = pos;
        }
        let key = draft.state_key.clone().map(|state_key| (draft.kind.clone(), state_key));
        let row = Event {
            event,
            event_id: event_id.clone(),
            room: draft.room,
            order: Some(live.head.last_order),
            pos,
            status: EventStatus::Accepted,
            kind: draft.kind.clone(),
            state_key: draft.state_key.clone(),
            sender: draft.sender.clone(),
            origin_server_ts: event.0,
            depth: live.head.last_order / SPACING,
            counter: live.head.counter,
            replaces: key.as_ref().and_then(|key| live.state.get(key).copied()),
            redacted_by: None,
            session: draft.session.as_ref().map(|(session, _)| *session),
            txn_id: draft.session.as_ref().map(|(_, txn_id)| txn_id.clone()),
            sticky_until: draft.sticky.map(|(until, _)| until),
        };
        if let Some(key) = key {
            live.state.insert(key, event);
        }
        let mut pdu = json!({
            "type": draft.kind, "sender": draft.sender, "content": draft.content, "room_id": live.room_id,
            "origin_server_ts": event.0, "depth": 1, "prev_events": [], "auth_events": [],
        });
        if let Some(state_key) = &draft.state_key {
            pdu["state_key"] = json!(state_key);
        }
        if let Some((until, duration)) = draft.sticky {
            pdu["msc4354_sticky"] = json!({ "duration_ms": duration });
            live.head.sticky_until = live.head.sticky_until.max(Some(until));
            batch.put(&StickyEvent { room: draft.room, pos, event, sender: draft.sender.clone(), until });
        }
        batch.put(&row);
        batch.put(&EventContent { event, json: Bytes::from(pdu.to_string()) });
        row
    }

    /// Sends a redaction and takes the content of its target, keeping what redaction keeps of members only.
    pub async fn redact(&self, sender: &UserId, target: &Event) -> Event {
        let content = json!({ "redacts": target.event_id });
        let redaction = self.send(Draft::message(target.room, sender, "m.room.redaction", content)).await;
        let mut batch = self.batch();
        batch.put(&Event { redacted_by: Some(redaction.event), sticky_until: None, ..target.clone() });
        batch.delete::<StickyEvent>(&(target.room, target.pos));
        let pdu = json!({ "type": target.kind, "sender": target.sender, "content": {} });
        batch.put(&EventContent { event: target.event, json: Bytes::from(pdu.to_string()) });
        self.commit(batch).await;
        redaction
    }

    /// Account data of a user; global where the room is [`GLOBAL`].
    pub async fn account_data(&self, user: &UserId, room: RoomNid, kind: &str, content: Value) -> Pos {
        let mut batch = self.batch();
        let changed = batch.next_pos();
        let content = Bytes::from(content.to_string());
        batch.put(&AccountData { user_id: user.to_owned(), room, kind: kind.to_owned(), content, changed });
        batch.wake(Topic::user(user.as_str()));
        self.commit(batch).await
    }

    /// Makes a user ignore another.
    pub async fn ignore(&self, user: &UserId, ignored: &UserId) {
        let content = json!({ "ignored_users": { ignored.as_str(): {} } });
        self.account_data(user, GLOBAL, "m.ignored_user_list", content).await;
    }

    /// A receipt for an event.
    pub async fn receipt(&self, user: &UserId, kind: &str, thread: &str, event: &Event) -> Pos {
        let mut batch = self.batch();
        let changed = batch.next_pos();
        batch.put(&Receipt {
            room: event.room,
            user_id: user.to_owned(),
            kind: kind.to_owned(),
            thread: thread.to_owned(),
            event_id: event.event_id.clone(),
            order: event.order.unwrap_or_default(),
            at: 1,
            changed,
        });
        batch.wake(Topic::Room(event.room));
        self.commit(batch).await
    }

    /// The event rows of the room's timeline, oldest first.
    pub async fn timeline(&self, room: RoomNid) -> Vec<Event> {
        let scan = myelin_store::Scan::index::<Event>(Event::BY_ORDER, (room,), usize::MAX);
        self.snapshot().await.scan::<Event>(scan).await.expect("a memory store can be read")
    }
}
