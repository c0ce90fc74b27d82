//! `POST /_matrix/client/v3/keys/device_signing/upload`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Operation};
use myelin_e2ee::{CrossSigningUpload, E2ee, Reauthenticated, Reauthentication};
use myelin_model::Requester;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::uia::{AuthDict, BY_APPROVAL, BY_PASSWORD, require};

/// The body of an upload. Keys are taken as they were sent, since they are signed.
#[derive(Deserialize)]
pub(crate) struct UploadBody {
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
    user_signing_key: Option<Box<RawValue>>,
    auth: Option<AuthDict>,
}

/// Publishes cross-signing keys. The first ones, and the same ones again, need nobody's consent (MSC3967).
pub(crate) async fn post(
    State(e2ee): State<Arc<E2ee>>,
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<UploadBody>,
) -> Result<Json<Value>, Error> {
    let UploadBody { master_key, self_signing_key, user_signing_key, auth: dict } = body;
    let upload = CrossSigningUpload { master_key, self_signing_key, user_signing_key };
    match e2ee.cross_signing_reauthentication(&requester, &upload).await? {
        Reauthentication::NotNeeded => {
            e2ee.upload_cross_signing_keys(&requester, &upload, Reauthenticated::No).await?;
        }
        Reauthentication::Needed => replace(&e2ee, &auth, &requester, &upload, dict).await?,
    }
    Ok(Json(json!({})))
}

/// Replaces keys, when the user has shown that they want it: by their password, or where the session was opened by OAuth 2.0
/// on the account page.
async fn replace(
    e2ee: &E2ee,
    auth: &Auth,
    requester: &Requester,
    upload: &CrossSigningUpload,
    dict: Option<AuthDict>,
) -> Result<(), Error> {
    let keys = parameters(upload)?;
    // Without pages nobody can approve there.
    let is_oauth = auth.config().oauth.enabled && auth.is_oauth(requester).await?;
    // Clients ask again and again until somebody has approved, some without naming a session.
    if is_oauth && auth.take_reset_approval(requester).await? {
        return Ok(e2ee.upload_cross_signing_keys(requester, upload, Reauthenticated::Yes).await?);
    }
    let operation = Operation {
        name: "keys.device_signing",
        asks: Some(requester),
        parameters: &keys,
        flows: if is_oauth { BY_APPROVAL } else { BY_PASSWORD },
    };
    let passed = require(auth, &operation, dict).await?;
    e2ee.upload_cross_signing_keys(requester, upload, Reauthenticated::Yes).await?;
    auth.finish(&passed);
    Ok(())
}

/// The keys in one spelling, so that only these can be uploaded with the authentication.
fn parameters(upload: &CrossSigningUpload) -> Result<Vec<u8>, Error> {
    let value = |raw: &Option<Box<RawValue>>| {
        raw.as_ref().map(|raw| serde_json::from_str::<Value>(raw.get())).transpose()
    };
    let keys = [&upload.master_key, &upload.self_signing_key, &upload.user_signing_key].map(value);
    let keys = keys.into_iter().collect::<Result<Vec<_>, _>>();
    keys.and_then(|keys| serde_json::to_vec(&keys)).map_err(|error| Error::internal(&error))
}
