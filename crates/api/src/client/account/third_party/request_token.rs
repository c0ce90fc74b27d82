//! `POST .../email/requestToken` and `.../msisdn/requestToken` of `/_matrix/client/v3/account/3pid`,
//! `/_matrix/client/v3/account/password` and `/_matrix/client/v3/register`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidemailrequesttoken>
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpasswordemailrequesttoken>
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3registeremailrequesttoken>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use myelin_auth::{Auth, EmailPurpose, EmailRequest};
use myelin_language::Language;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::body::Body;
use crate::client::account::bad_request;
use crate::people::accept_language;

/// A mail that is asked for.
#[derive(Deserialize)]
pub(crate) struct TokenBody {
    client_secret: String,
    email: String,
    send_attempt: i64,
    next_link: Option<String>,
}

/// Sends a mail to an address that is to be added.
pub(crate) async fn add(
    State(auth): State<Arc<Auth>>,
    headers: HeaderMap,
    Body(body): Body<TokenBody>,
) -> Result<Json<Value>, Error> {
    request(&auth, EmailPurpose::Add, &headers, body).await
}

/// Sends a mail to an address whose account is to get a new password.
pub(crate) async fn reset(
    State(auth): State<Arc<Auth>>,
    headers: HeaderMap,
    Body(body): Body<TokenBody>,
) -> Result<Json<Value>, Error> {
    request(&auth, EmailPurpose::Reset, &headers, body).await
}

/// Sends a mail to an address by which somebody wants to register.
pub(crate) async fn register(
    State(auth): State<Arc<Auth>>,
    headers: HeaderMap,
    Body(body): Body<TokenBody>,
) -> Result<Json<Value>, Error> {
    auth.registration_flows()?;
    request(&auth, EmailPurpose::Register, &headers, body).await
}

async fn request(
    auth: &Auth,
    purpose: EmailPurpose,
    headers: &HeaderMap,
    body: TokenBody,
) -> Result<Json<Value>, Error> {
    let TokenBody { client_secret, email, send_attempt, next_link } = body;
    let next_link = next_link.filter(|link| !link.is_empty());
    let language = Language::choose([], accept_language(headers));
    let request = EmailRequest { purpose, email, client_secret, send_attempt, next_link, language };
    let sid = auth.request_email(request).await?;
    Ok(Json(json!({ "sid": sid })))
}

/// Refuses a phone number.
pub(crate) async fn msisdn() -> Error {
    bad_request("M_THREEPID_MEDIUM_NOT_SUPPORTED", "This server sends no messages to phones.")
}
