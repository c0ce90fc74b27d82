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
use myelin_auth::{Auth, Confirmation, EmailPurpose};
use serde::Deserialize;
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::Error;
use crate::args::Whole;
use crate::body::parse;
use crate::client::account::bad_request;
use crate::page::{Page, escaped};

#[derive(Deserialize)]
struct TokenBody {
    token: String,
}

/// Asks the person.
pub(crate) async fn get(State(auth): State<Arc<Auth>>, RawQuery(query): RawQuery) -> Result<Response, Error> {
    let token = field(query.unwrap_or_default().as_bytes());
    let Some(found) = auth.email_to_confirm(&token).await? else { return Ok(expired()) };
    let wish = match found.purpose {
        EmailPurpose::Register => "make an account with it",
        EmailPurpose::Add => "add it to your account",
        EmailPurpose::Reset => "choose a new password for your account",
    };
    let body = format!(
        "<p>Is <strong>{}</strong> your address, and did you ask to {wish}?</p>\n\
         <form method=\"post\" action=\"submit_token\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{}\">\n\
         <button type=\"submit\">Yes, confirm</button>\n</form>\n\
         <p>If you did not ask for this, close this page, and nothing changes.</p>",
        escaped(&found.address),
        escaped(&token),
    );
    let next = next_url(&found).map(|url| url.origin().ascii_serialization());
    Ok(Page { status: StatusCode::OK, title: "Confirm your e-mail address", body, form_leads_to: next }
        .into_response())
}

/// The person has pressed the button, or a program does the same.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
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
    let Some(found) = auth.confirm_email(&field(&body)).await? else { return Ok(expired()) };
    if let Some(next) = next_url(&found) {
        let location = [(header::LOCATION, next.as_str()), (header::REFERRER_POLICY, "no-referrer")];
        return Ok((StatusCode::SEE_OTHER, location).into_response());
    }
    let body =
        "<p>Your address is confirmed. You can close this page and go on where you began.</p>".to_owned();
    Ok(Page { status: StatusCode::OK, title: "Thank you", body, form_leads_to: None }.into_response())
}

fn next_url(found: &Confirmation) -> Option<Url> {
    found.next_link.as_deref().and_then(|link| Url::parse(link).ok())
}

/// The token of a query or a form.
fn field(text: &[u8]) -> String {
    let found = form_urlencoded::parse(text).find(|(name, _)| name == "token");
    found.map(|(_, token)| token.into_owned()).unwrap_or_default()
}

fn expired() -> Response {
    let body = "<p>This link was used already, or has expired. Go back to where you began and have a new mail sent.</p>";
    let (title, status) = ("This link is not valid", StatusCode::BAD_REQUEST);
    Page { status, title, body: body.to_owned(), form_leads_to: None }.into_response()
}
