//! `GET /_matrix/client/v3/pushrules/`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules>

use std::sync::Arc;

use axum::extract::State;
use myelin_notify::Notify;

use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
) -> Result<RawAnswer, Error> {
    Ok(RawAnswer(notify.push_rules(&requester).await?.into_all()))
}
