//! `POST /_synapse/admin/v1/send_server_notice`, `PUT /_synapse/admin/v1/send_server_notice/{txnId}`
//! <https://element-hq.github.io/synapse/latest/admin_api/server_notices.html>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use myelin_model::Requester;
use myelin_rooms::{Notice, Rooms, TransactionKey};
use myelin_users::Users;
use ruma::{OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

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
    State(users): State<Arc<Users>>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Noticed>, Error> {
    send(&auth, &rooms, &users, wanted, None).await
}

/// Sends it once, however often it is asked for.
pub(crate) async fn put(
    State(auth): State<Arc<Auth>>,
    State(rooms): State<Arc<Rooms>>,
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Segment(txn_id): Segment,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Noticed>, Error> {
    let scope = format!("notice/{}", wanted.user_id);
    let transaction = TransactionKey { session: requester.session, scope, txn_id };
    send(&auth, &rooms, &users, wanted, Some(transaction)).await
}

async fn send(
    auth: &Auth,
    rooms: &Rooms,
    users: &Users,
    wanted: Wanted,
    transaction: Option<TransactionKey>,
) -> Result<Json<Noticed>, Error> {
    let known = auth.account(&wanted.user_id).await?;
    if known.is_none_or(|account| account.deactivated_at.is_some()) {
        return Err(Error::not_found("There is no such user here."));
    }
    let user_id = wanted.user_id.clone();
    let content = canonical(&wanted.content)?;
    let notice = Notice { user_id: wanted.user_id, kind: wanted.kind, state_key: wanted.state_key, content };
    let (sent, room_id) = rooms.notice(notice, transaction).await?;
    // Clients know the room by its tag.
    let nothing = to_raw_value(&serde_json::json!({})).map_err(|error| Error::internal(&error))?;
    let own = Requester {
        user_id: user_id.clone(),
        device_id: None,
        is_admin: false,
        is_suspended: false,
        session: 0,
    };
    users.set_tag(&own, &user_id, &room_id, "m.server_notice", &nothing).await?;
    Ok(Json(Noticed { event_id: sent.event_id }))
}
