//! `GET /_matrix/client/v3/keys/changes`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges>

use std::sync::Arc;

use axum::extract::State;
use myelin_e2ee::E2ee;
use myelin_model::Pos;
use myelin_sync_core::token::PageToken;
use ruma::api::client::keys::get_key_changes::v3::{Request, Response};

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

/// Whose devices a client should look at again. `to` is no more than a hint, as the specification has it: what
/// changed after it is told as well.
pub(crate) async fn get(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let from = position(&request.from)?;
    position(&request.to)?;
    let changes = e2ee.key_changes(&requester, from).await?;
    Ok(Answer(Response::new(changes.changed.into_iter().collect(), changes.left.into_iter().collect())))
}

/// The position in a token of either sync.
fn position(token: &str) -> Result<Pos, Error> {
    match token.parse() {
        Ok(PageToken::At(position)) => Ok(Pos::new(position)),
        _ => Err(Error::invalid_param("`from` and `to` must be tokens of a sync with this server.")),
    }
}
