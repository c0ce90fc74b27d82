//! `GET /_myelin/admin/v1/providers`, `POST /_myelin/admin/v1/providers/{providerId}/check`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, UpstreamError};
use serde_json::{Value, json};

use super::shown;
use crate::Error;
use crate::body::{Segment, Unused};

/// Lists the configured providers (there are sixteen at most), with what became of asking each the last time.
pub(crate) async fn get(State(auth): State<Arc<Auth>>) -> Json<Value> {
    let mut listed = Vec::new();
    for provider in auth.providers() {
        let mut line = shown::provider(&auth, provider);
        // Where it was not asked since the start, nothing is said.
        if let Some(works) = auth.provider_health(&provider.id).await {
            line["works"] = works.is_ok().into();
            line["problem"] = works.err().into();
        }
        listed.push(line);
    }
    Json(json!({ "providers": listed }))
}

/// Asks one for its configuration and keys, now.
pub(crate) async fn check(
    State(auth): State<Arc<Auth>>,
    Segment(id): Segment,
    _: Unused,
) -> Result<Json<Value>, Error> {
    let provider = auth.providers().iter().find(|provider| provider.id == id);
    let provider = provider.ok_or_else(unknown)?;
    let mut line = shown::provider(&auth, provider);
    match shown::checked(&mut line, auth.check_provider(&id).await) {
        Ok(()) => Ok(Json(line)),
        Err(UpstreamError::Store(error)) => Err(error.into()),
        // OAuth is switched off, and with it the way to providers.
        Err(_) => Err(unknown()),
    }
}

fn unknown() -> Error {
    Error::not_found("There is no such provider in the configuration.")
}
