//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`, and its older form `POST .../send/{eventType}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use myelin_model::Requester;
use myelin_rooms::{Delayed, Draft, Rooms, TransactionKey};
use myelin_sync::Sync;
use myelin_users::Users;
use ruma::api::client::message::send_message_event::v3::{Request, Response as Sent};
use ruma::{OwnedEventId, OwnedRoomId, RoomId};
use serde_json::value::RawValue;

use super::create::canonical;
use super::sticky::AskedSticky;
use super::suspended::may_redact;
use crate::Error;
use crate::access::Asks;
use crate::answer::{Answer, answering};
use crate::args::{Args, Path};
use crate::body::Body;
use crate::client::delayed::{AskedDelay, Generation, Scheduled};

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    State(users): State<Arc<Users>>,
    State(sync): State<Arc<Sync>>,
    Asks(requester): Asks,
    AskedDelay(delay): AskedDelay,
    AskedSticky(sticky): AskedSticky,
    Args(request): Args<Request>,
) -> Result<Response, Error> {
    let kind = request.event_type.to_string();
    if let Some(delay) = delay {
        if requester.is_suspended {
            return Err(Error::user_suspended());
        }
        let delayed = Delayed {
            room_id: request.room_id,
            kind,
            state_key: None,
            content: canonical(request.body.json())?,
            delay,
            sticky,
            txn_id: Some(request.txn_id.to_string()),
        };
        let delayed = rooms.delay(&requester, delayed).await;
        let delay_id = delayed.map_err(|error| Generation::Unstable.error(error))?;
        return Ok(Json(Scheduled { delay_id }).into_response());
    }
    let transaction = TransactionKey {
        session: requester.session,
        scope: format!("send/{}/{kind}", request.room_id),
        txn_id: request.txn_id.to_string(),
    };
    let sender = Sender { rooms: &rooms, users: &users, requester: &requester, sticky };
    let sending = sync.sending(&requester);
    let sent = sender.send(&request.room_id, kind, request.body.json(), Some(transaction)).await?;
    Ok(answering(sending, Answer(Sent::new(sent))))
}

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    AskedSticky(sticky): AskedSticky,
    Path((room_id, kind)): Path<(OwnedRoomId, String)>,
    Body(content): Body<Box<RawValue>>,
) -> Result<Answer<Sent>, Error> {
    let sender = Sender { rooms: &rooms, users: &users, requester: &requester, sticky };
    Ok(Answer(Sent::new(sender.send(&room_id, kind, &content, None).await?)))
}

struct Sender<'a> {
    rooms: &'a Rooms,
    users: &'a Users,
    requester: &'a Requester,
    sticky: Option<i64>,
}

impl Sender<'_> {
    async fn send(
        &self,
        room_id: &RoomId,
        kind: String,
        content: &RawValue,
        transaction: Option<TransactionKey>,
    ) -> Result<OwnedEventId, Error> {
        let content = canonical(content)?;
        // A redaction may be sent like any event (MSC4169); what it redacts stands in its content then.
        let redacts = match (kind.as_str(), content.get_str("redacts")) {
            ("m.room.redaction", Some(target)) => Some(
                OwnedEventId::try_from(target)
                    .map_err(|_| Error::bad_json("The event to redact is not named by an event id."))?,
            ),
            ("m.room.redaction", None) => {
                return Err(Error::bad_json("A redaction must say what it redacts."));
            }
            _ => None,
        };
        match &redacts {
            Some(target) => may_redact(self.rooms, self.requester, room_id, target).await?,
            None if self.requester.is_suspended => return Err(Error::user_suspended()),
            None => {}
        }
        let user_id = &self.requester.user_id;
        let draft =
            Draft { sender: user_id.clone(), kind, state_key: None, content, redacts, sticky: self.sticky };
        let sent = self.rooms.send(room_id, draft, transaction).await?;
        // After the event, so that no sync answers with the end of typing alone and is late for what was typed.
        self.users.typing().stop(sent.room, user_id);
        Ok(sent.event_id)
    }
}
