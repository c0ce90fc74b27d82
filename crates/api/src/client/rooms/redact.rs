//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid>

use std::sync::Arc;

use axum::extract::State;
use axum::response;
use myelin_pdu::CanonicalObject;
use myelin_rooms::{Draft, Rooms, TransactionKey};
use myelin_sync::Sync;
use ruma::api::client::redact::redact_event::v3::{Request, Response};

use super::suspended::may_redact;
use crate::Error;
use crate::access::Asks;
use crate::answer::{Answer, answering};
use crate::args::Args;

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    State(sync): State<Arc<Sync>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<response::Response, Error> {
    may_redact(&rooms, &requester, &request.room_id, &request.event_id).await?;
    let mut content = CanonicalObject::default();
    if let Some(reason) = request.reason {
        content.insert("reason", reason);
    }
    let transaction = TransactionKey {
        session: requester.session,
        scope: format!("redact/{}/{}", request.room_id, request.event_id),
        txn_id: request.txn_id.to_string(),
    };
    let sending = sync.sending(&requester);
    let draft = Draft {
        sender: requester.user_id,
        kind: "m.room.redaction".to_owned(),
        state_key: None,
        content,
        redacts: Some(request.event_id),
        sticky: None,
    };
    let sent = rooms.send(&request.room_id, draft, Some(transaction)).await?;
    Ok(answering(sending, Answer(Response::new(sent.event_id))))
}
