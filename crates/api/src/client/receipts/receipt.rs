//! `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::{Marks, Thread, Users};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::object::{Segments, named};

#[derive(Deserialize)]
pub(crate) struct ReceiptBody {
    #[serde(default, deserialize_with = "given")]
    thread_id: Option<Value>,
}

/// Tells `null` from a field that is left out.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Clients that know no threads send no body.
pub(crate) async fn post(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Segments([room_id, kind, event_id]): Segments<3>,
    Body(body): Body<ReceiptBody>,
) -> Result<Json<Value>, Error> {
    let room_id: OwnedRoomId = named(&room_id, "a room by a room id")?;
    let event_id: OwnedEventId = named(&event_id, "an event by an event id")?;
    let marks = Marks { thread: thread(body.thread_id)?, ..Marks::default() };
    let marks = match kind.as_str() {
        "m.read" => Marks { read: Some(event_id), ..marks },
        "m.read.private" => Marks { read_private: Some(event_id), ..marks },
        "m.fully_read" => Marks { fully_read: Some(event_id), ..marks },
        _ => return Err(Error::invalid_param("A receipt is m.read, m.read.private or m.fully_read.")),
    };
    users.mark_read(&requester, &room_id, &marks).await?;
    Ok(Json(json!({})))
}

fn thread(thread_id: Option<Value>) -> Result<Thread, Error> {
    let Some(thread_id) = thread_id else { return Ok(Thread::Unthreaded) };
    match thread_id.as_str() {
        Some("main") => Ok(Thread::Main),
        Some(root) => OwnedEventId::try_from(root).map(Thread::Root).map_err(|_| {
            Error::invalid_param("The thread_id must be main or the event id of a thread's root.")
        }),
        None => Err(Error::invalid_param("The thread_id must be a string.")),
    }
}
