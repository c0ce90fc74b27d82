//! `GET` and `POST /_matrix/client/unstable/email/submit_token`: the page that the link in a mail opens.
//!
//! Opening it changes nothing, since programs that look for bad links in mails open it too; the person presses its button.
//! A program that posts JSON gets JSON, as of
//! <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv2validateemailsubmittoken>.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use myelin_auth::{Auth, Confirmation};
use serde::Deserialize;
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::Error;
use crate::args::Whole;
use crate::body::parse;
use crate::client::account::bad_request;
use crate::people::{People, Shown};

#[derive(Deserialize)]
struct TokenBody {
    token: String,
}

/// Asks the person.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    State(people): State<Arc<dyn People>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let token = field(query.unwrap_or_default().as_bytes());
    let Some(found) = auth.email_to_confirm(&token).await? else {
        return Ok(people.page(&headers, &Shown::LinkEnded));
    };
    let leads_to = next_url(&found).map(|url| url.origin().ascii_serialization());
    let shown = Shown::Confirm { found: &found, token: &token, leads_to: leads_to.as_deref() };
    Ok(people.page(&headers, &shown))
}

/// The person has pressed the button, or a program does the same.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    State(people): State<Arc<dyn People>>,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, Error> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        let TokenBody { token } = parse(&body)?;
        return match auth.confirm_email(&token).await? {
            Some(_) => Ok(Json(json!({ "success": true })).into_response()),
            None => Err(bad_request("M_TOKEN_INCORRECT", "The token is wrong, was used, or has expired.")),
        };
    }
    let Some(found) = auth.confirm_email(&field(&body)).await? else {
        return Ok(people.page(&headers, &Shown::LinkEnded));
    };
    if let Some(next) = next_url(&found) {
        let location = [(header::LOCATION, next.as_str()), (header::REFERRER_POLICY, "no-referrer")];
        return Ok((StatusCode::SEE_OTHER, location).into_response());
    }
    Ok(people.page(&headers, &Shown::Confirmed))
}

fn next_url(found: &Confirmation) -> Option<Url> {
    found.next_link.as_deref().and_then(|link| Url::parse(link).ok())
}

/// The token of a query or a form.
fn field(text: &[u8]) -> String {
    let found = form_urlencoded::parse(text).find(|(name, _)| name == "token");
    found.map(|(_, token)| token.into_owned()).unwrap_or_default()
}
