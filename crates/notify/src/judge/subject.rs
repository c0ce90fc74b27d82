//! What rules judge: an event and what surrounds it.

use myelin_pdu::Pdu;
use ruma::RoomId;
use serde_json::{Value, json};

/// An event, and what of its room conditions ask for.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) event: Value,
    /// The body of its content, in lower case: many rules look at it.
    pub(crate) body: Option<String>,
    /// How many members the room has.
    pub(crate) joined: i64,
    /// Whether the sender may notify the whole room.
    pub(crate) may_notify_room: bool,
}

/// What rules ask of the one whom they judge for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asker<'a> {
    /// Their display name in the room.
    pub(crate) display_name: Option<&'a str>,
    /// Whether they are subscribed to the thread that the event is in; none where it is in no thread, and of users who
    /// never subscribed to any.
    pub(crate) subscribed: Option<bool>,
}

impl Subject {
    pub(crate) fn of(pdu: &Pdu, joined: i64, may_notify_room: bool) -> Self {
        // What can't be read as JSON matches no condition.
        let event = serde_json::from_slice(pdu.raw()).unwrap_or_else(|_| json!({}));
        Self::new(event, pdu.room_id(), joined, may_notify_room)
    }

    /// Ordinary messages of a room: from nobody in particular, with nothing in them that rules could look for.
    pub(crate) fn ordinary(room_id: &RoomId) -> [Self; 2] {
        let message = json!({ "type": "m.room.message", "content": { "msgtype": "m.text" } });
        let encrypted = json!({ "type": "m.room.encrypted", "content": {} });
        [message, encrypted].map(|event| Self::new(event, room_id, 3, false))
    }

    pub(crate) fn new(mut event: Value, room_id: &RoomId, joined: i64, may_notify_room: bool) -> Self {
        let body = event["content"]["body"].as_str().map(str::to_lowercase);
        if let Some(event) = event.as_object_mut() {
            // The create event of some room versions does not say it.
            event.insert("room_id".to_owned(), Value::from(room_id.as_str()));
        }
        Self { event, body, joined, may_notify_room }
    }
}
