//! `GET` and `POST /oauth2/forgot`: a new password for who reads the mails of their account.
//!
//! Two steps, as in making an account: the address, then, when the link in the mail was opened, the password. Whether an
//! account has the address is told to nobody but in the mail.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{EmailCredentials, EmailError, EmailPurpose, EmailRequest};
use myelin_oauth_core::params::Params;
use myelin_runtime::Secret;

use super::account::password::{fields as password_fields, others, refusal};
use super::{alert, described, named, wrong};
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{FORGOT, Next, SIGN_IN};
use crate::problem::Problem;

/// Letters and digits in the secret that goes with a confirmation.
const SECRET: usize = 32;

/// Asks for the address.
pub(crate) async fn get(visit: Visit) -> Response {
    address(&visit, "", StatusCode::OK, None)
}

/// Goes a step on.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = go_on(&visit, body).await;
    visit.answer(result)
}

async fn go_on(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let field = |name| fields.get(name).ok().flatten().unwrap_or_default();
    if !visit.pages.auth.sends_email() {
        return Ok(see_other(&Next::of_query(&visit.params).through(SIGN_IN, None)));
    }
    if field("sid").is_empty() {
        return ask(visit, field("email").trim()).await;
    }
    let (sid, client_secret) = (field("sid").to_owned(), field("secret").to_owned());
    set(visit, &fields, field("email"), EmailCredentials { sid, client_secret }).await
}

/// Has a mail sent, if the address belongs to an account.
async fn ask(visit: &Visit, email: &str) -> Result<Response, Problem> {
    let client_secret = visit.pages.env.random.alphanumeric(SECRET);
    let request = EmailRequest {
        purpose: EmailPurpose::Reset,
        email: email.to_owned(),
        client_secret: client_secret.clone(),
        send_attempt: 1,
        next_link: None,
        language: Some(visit.language),
    };
    match visit.pages.auth.request_email(request).await {
        Ok(sid) => Ok(password(visit, email, &EmailCredentials { sid, client_secret }, StatusCode::OK, None)),
        Err(EmailError::Limited(wait)) => Err(Problem::Limited(wait)),
        Err(EmailError::Store(error)) => Err(error.into()),
        Err(_) => {
            let message = html! { (visit.messages().sign_up.email_wrong) };
            Ok(address(visit, email, StatusCode::BAD_REQUEST, Some(message)))
        }
    }
}

/// Sets the password, if the link was opened.
async fn set(
    visit: &Visit,
    fields: &Params,
    email: &str,
    confirmation: EmailCredentials,
) -> Result<Response, Problem> {
    let auth = &visit.pages.auth;
    let Some(confirmed) = auth.confirmed_email(EmailPurpose::Reset, &confirmation).await? else {
        let message = html! { (visit.messages().sign_up.not_confirmed) };
        return Ok(password(visit, email, &confirmation, StatusCode::BAD_REQUEST, Some(message)));
    };
    let new = fields.get("password").ok().flatten().unwrap_or_default();
    match auth.reset_password_by_email(&confirmed, Secret::new(new.to_owned()), others(fields)).await {
        Ok(()) => Ok(done(visit)),
        Err(error) => {
            let (status, message) = refusal(visit, error)?;
            Ok(password(visit, email, &confirmation, status, Some(message)))
        }
    }
}

fn address(visit: &Visit, email: &str, status: StatusCode, message: Option<Markup>) -> Response {
    let say = &visit.messages().forgot;
    let described = described(message.as_ref(), None);
    let body = html! {
        @if visit.pages.auth.sends_email() {
            p { (say.explain) }
            (wrong(message))
            form method="post" action={ (FORGOT) "?" (visit.query) } {
                (visit.form_token())
                div.field {
                    label for="email" { (visit.messages().sign_up.email) }
                    input #email name="email" type="email" value=(email) required autocomplete="email"
                        maxlength="320" autofocus aria-describedby=[described];
                }
                button { (visit.messages().sign_up.next) }
            }
        } @else {
            p { (say.off) }
        }
        (back(visit))
    };
    visit.page_with(status, html! { (say.title) }, body, None)
}

fn password(
    visit: &Visit,
    email: &str,
    confirmation: &EmailCredentials,
    status: StatusCode,
    message: Option<Markup>,
) -> Response {
    let say = &visit.messages().forgot;
    let body = html! {
        p { (fill(&say.sent, &[("address", &named(email))])) }
        p { (say.open) }
        (alert(message))
        form method="post" action={ (FORGOT) "?" (visit.query) } {
            (visit.form_token())
            input type="hidden" name="email" value=(email);
            input type="hidden" name="sid" value=(confirmation.sid);
            input type="hidden" name="secret" value=(confirmation.client_secret);
            (password_fields(visit))
            button { (visit.messages().password.button) }
        }
        (back(visit))
    };
    visit.page_with(status, html! { (say.title) }, body, None)
}

fn done(visit: &Visit) -> Response {
    let body = html! {
        p { (visit.messages().forgot.done) }
        (back(visit))
    };
    visit.page(html! { (visit.messages().done.title) }, body)
}

fn back(visit: &Visit) -> Markup {
    let next = Next::of_query(&visit.params);
    html! { p.foot { a href=(next.through(SIGN_IN, None)) { (visit.messages().sign_up.sign_in) } } }
}
