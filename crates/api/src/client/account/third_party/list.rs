//! `GET /_matrix/client/v3/account/3pid`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, ThirdPartyInfo};
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;

/// The requester's addresses.
pub(crate) async fn get(State(auth): State<Arc<Auth>>, Asks(requester): Asks) -> Result<Json<Value>, Error> {
    let shown = |info: ThirdPartyInfo| {
        json!({
            "medium": info.medium,
            "address": info.address,
            "validated_at": info.validated_at,
            "added_at": info.added_at,
        })
    };
    let all: Vec<Value> = auth.third_party_ids(&requester).await?.into_iter().map(shown).collect();
    Ok(Json(json!({ "threepids": all })))
}
