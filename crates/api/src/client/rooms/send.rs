//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::{Draft, Rooms, TransactionKey};
use myelin_users::Users;
use ruma::OwnedEventId;
use ruma::api::client::message::send_message_event::v3::{Request, Response};

use super::create::canonical;
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let kind = request.event_type.to_string();
    let content = canonical(request.body.json())?;
    // A redaction may be sent like any event (MSC4169); what it redacts stands in its content then.
    let redacts = match (kind.as_str(), content.get_str("redacts")) {
        ("m.room.redaction", Some(target)) => Some(
            OwnedEventId::try_from(target)
                .map_err(|_| Error::bad_json("The event to redact is not named by an event id."))?,
        ),
        ("m.room.redaction", None) => return Err(Error::bad_json("A redaction must say what it redacts.")),
        _ => None,
    };
    let transaction = TransactionKey {
        session: requester.session,
        scope: format!("send/{}/{kind}", request.room_id),
        txn_id: request.txn_id.to_string(),
    };
    let draft = Draft { sender: requester.user_id.clone(), kind, state_key: None, content, redacts };
    let sent = rooms.send(&request.room_id, draft, Some(transaction)).await?;
    // After the event, so that no sync answers with the end of typing alone and is late for what was typed.
    users.typing().stop(sent.room, &requester.user_id);
    Ok(Answer(Response::new(sent.event_id)))
}
