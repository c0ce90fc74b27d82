//! `GET`, `PUT` and `DELETE /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{threadRootId}/subscription`
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/4306>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::Notify;
use ruma::api::client::threads::{get_thread_subscription, subscribe_thread, unsubscribe_thread};
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::args::Args;

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Args(request): Args<get_thread_subscription::unstable::Request>,
) -> Result<Json<Value>, Error> {
    let subscription = notify.thread_subscription(&requester, &request.room_id, &request.thread_root).await?;
    Ok(Json(json!({ "automatic": subscription.automatic })))
}

pub(crate) async fn put(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Args(request): Args<subscribe_thread::unstable::Request>,
) -> Result<Json<Value>, Error> {
    let cause = request.automatic.as_deref();
    notify.subscribe_to_thread(&requester, &request.room_id, &request.thread_root, cause).await?;
    Ok(Json(json!({})))
}

pub(crate) async fn delete(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Args(request): Args<unsubscribe_thread::unstable::Request>,
) -> Result<Json<Value>, Error> {
    notify.unsubscribe_from_thread(&requester, &request.room_id, &request.thread_root).await?;
    Ok(Json(json!({})))
}
