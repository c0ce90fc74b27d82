//! `POST /_synapse/admin/v1/send_server_notice`, `PUT /_synapse/admin/v1/send_server_notice/{txnId}`
//! <https://element-hq.github.io/synapse/latest/admin_api/server_notices.html>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use myelin_rooms::{Notice, Rooms, TransactionKey};
use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};
use crate::client::rooms::create::canonical;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    user_id: OwnedUserId,
    #[serde(rename = "type", default = "message")]
    kind: String,
    state_key: Option<String>,
    content: Box<RawValue>,
}

fn message() -> String {
    "m.room.message".to_owned()
}

#[derive(Serialize)]
pub(crate) struct Noticed {
    event_id: OwnedEventId,
}

/// Sends it.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    State(rooms): State<Arc<Rooms>>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Noticed>, Error> {
    send(&auth, &rooms, wanted, None).await
}

/// Sends it once, however often it is asked for.
pub(crate) async fn put(
    State(auth): State<Arc<Auth>>,
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Segment(txn_id): Segment,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Noticed>, Error> {
    let scope = format!("notice/{}", wanted.user_id);
    let transaction = TransactionKey { session: requester.session, scope, txn_id };
    send(&auth, &rooms, wanted, Some(transaction)).await
}

async fn send(
    auth: &Auth,
    rooms: &Rooms,
    wanted: Wanted,
    transaction: Option<TransactionKey>,
) -> Result<Json<Noticed>, Error> {
    let known = auth.account(&wanted.user_id).await?;
    if known.is_none_or(|account| account.deactivated_at.is_some()) {
        return Err(Error::not_found("There is no such user here."));
    }
    let content = canonical(&wanted.content)?;
    let notice = Notice { user_id: wanted.user_id, kind: wanted.kind, state_key: wanted.state_key, content };
    let (sent, _) = rooms.notice(notice, transaction).await?;
    Ok(Json(Noticed { event_id: sent.event_id }))
}
