//! `GET /_matrix/client/v3/notifications`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_model::Pos;
use myelin_notify::{NotificationsWanted, Notified, Notify};
use ruma::OwnedRoomId;
use ruma::push::Action;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Error;
use crate::access::Asks;
use crate::args::Query;

/// How many notifications are answered with where the client does not say.
const DEFAULT_LIMIT: usize = 20;

#[derive(Deserialize)]
pub(crate) struct Wish {
    from: Option<String>,
    limit: Option<usize>,
    only: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Page {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    notifications: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    actions: Vec<Action>,
    event: Box<RawValue>,
    read: bool,
    room_id: OwnedRoomId,
    ts: i64,
}

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Query(wish): Query<Wish>,
) -> Result<Json<Page>, Error> {
    let before = wish.from.as_deref().map(position).transpose()?;
    let limit = wish.limit.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 {
        return Err(Error::invalid_param("The limit must be at least 1."));
    }
    let only_highlights = match wish.only.as_deref() {
        None | Some("") => false,
        Some("highlight") => true,
        Some(_) => return Err(Error::invalid_param("`only` can be `highlight`.")),
    };
    let page =
        notify.notifications(&requester, &NotificationsWanted { before, limit, only_highlights }).await?;
    let next_token = page.next.map(|next| next.to_string());
    Ok(Json(Page { next_token, notifications: page.notifications.into_iter().map(Item::from).collect() }))
}

fn position(token: &str) -> Result<Pos, Error> {
    let number = token.parse::<i64>().ok().filter(|number| *number >= 0);
    number.map(Pos::new).ok_or_else(|| Error::invalid_param("`from` is no token of this endpoint."))
}

impl From<Notified> for Item {
    fn from(notified: Notified) -> Self {
        let Notified { room_id, event, actions, read, at } = notified;
        Self { actions, event, read, room_id, ts: at }
    }
}
