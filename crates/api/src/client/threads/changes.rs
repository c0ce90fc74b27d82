//! `GET /_matrix/client/unstable/io.element.msc4308/thread_subscriptions`
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/4308>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_model::Pos;
use myelin_sync::{Sync, ThreadsAnswer};
use myelin_sync_core::token::{ConnectionPos, ThreadsToken};
use serde::Deserialize;

use crate::Error;
use crate::access::Asks;
use crate::args::Query;

#[derive(Deserialize)]
pub(crate) struct Wish {
    dir: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<u64>,
}

pub(crate) async fn get(
    State(sync): State<Arc<Sync>>,
    Asks(requester): Asks,
    Query(wish): Query<Wish>,
) -> Result<Json<ThreadsAnswer>, Error> {
    match wish.dir.as_deref() {
        Some("b") => {}
        Some(_) => return Err(Error::invalid_param("The changes can be read backwards only: `dir` is `b`.")),
        None => return Err(Error::missing_param("`dir` is missing.")),
    }
    if wish.limit == Some(0) {
        return Err(Error::invalid_param("The limit must be at least 1."));
    }
    let from = wish.from.map(|from| from.parse::<ThreadsToken>()).transpose();
    let from = from.map_err(|_| Error::invalid_param("`from` is no token of this endpoint."))?;
    let to = wish.to.map(|to| to.parse::<ConnectionPos>()).transpose();
    let to = to.map_err(|_| Error::invalid_param("`to` is no `pos` of a sliding sync."))?;
    let to = to.map(|to| Pos::new(to.position));
    Ok(Json(sync.thread_subscriptions(&requester, from, to, wish.limit).await?))
}
