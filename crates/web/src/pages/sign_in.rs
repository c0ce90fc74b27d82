//! `GET` and `POST /oauth2/sign-in`: who the person is.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{EmailAddress, Identifier, LoginError, SignIn};
use myelin_runtime::Secret;

use super::upstream::offers;
use super::{described, name_of, named, wrong};
use crate::browser::Visit;
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{FORGOT, Next, SIGN_IN, SIGN_UP};
use crate::passkey::{self, Answered};
use crate::problem::Problem;

/// Asks for name and password.
pub(crate) async fn get(visit: Visit) -> Response {
    let hint = visit.params.get("hint").ok().flatten().unwrap_or_default().to_owned();
    let result = form(&visit, StatusCode::OK, &hint, None).await;
    visit.answer(result)
}

/// Signs the person in.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = sign_in(&visit, body).await;
    visit.answer(result)
}

async fn sign_in(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let field = |name| fields.get(name).ok().flatten().unwrap_or_default();
    let (name, password) = (field("user_name").trim(), Secret::new(field("password").to_owned()));
    let messages = visit.messages();
    if let Some(Answered { challenge, answer }) = passkey::answered(&fields) {
        let answered = (challenge, answer);
        return match visit.pages.auth.sign_in_by_passkey(None, answered, &visit.origin()).await {
            Ok(browser) => visit.signed_in(&browser, &Next::of_query(&visit.params)).await,
            Err(error) => {
                let message = passkey::refusal(visit, error)?;
                form(visit, StatusCode::FORBIDDEN, name, Some(message)).await
            }
        };
    }
    let (status, message) = match visit.pages.auth.sign_in(&meant(name), password, &visit.origin()).await {
        Ok(SignIn::Done(browser)) => return visit.signed_in(&browser, &Next::of_query(&visit.params)).await,
        Ok(SignIn::Half(half)) => return Ok(visit.half_signed_in(&half, &Next::of_query(&visit.params))),
        Err(LoginError::Store(error)) => return Err(error.into()),
        Err(LoginError::Limited(wait)) => return Err(Problem::Limited(wait)),
        Err(LoginError::Directory) => (StatusCode::SERVICE_UNAVAILABLE, &messages.common.directory),
        Err(LoginError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, &messages.common.busy),
        Err(LoginError::Locked) => (StatusCode::FORBIDDEN, &messages.sign_in.locked),
        Err(LoginError::Wrong | LoginError::Token | LoginError::Device(_) | LoginError::SecondFactor) => {
            (StatusCode::FORBIDDEN, &messages.sign_in.wrong)
        }
    };
    form(visit, status, name, Some(html! { (message) })).await
}

/// Whom somebody means: an account by its name, or by an address of it.
fn meant(name: &str) -> Identifier {
    let is_address = !name.starts_with('@') && EmailAddress::parse(name).is_some();
    if is_address { Identifier::Email(name.to_owned()) } else { Identifier::User(name.to_owned()) }
}

async fn form(
    visit: &Visit,
    status: StatusCode,
    name: &str,
    message: Option<Markup>,
) -> Result<Response, Problem> {
    let (say, common) = (&visit.messages().sign_in, &visit.messages().common);
    let next = Next::of_query(&visit.params);
    let server = visit.called();
    let described = described(message.as_ref(), None);
    let client = client_name(visit, &next).await?;
    let is_named = !name.is_empty();
    let challenge = visit.pages.auth.ask_for_passkey();
    let names = if challenge.is_some() { "username webauthn" } else { "username" };
    let body = html! {
        p.soft {
            @if let Some(client) = &client {
                (fill(&say.intro_client, &[("server", &server), ("client", &named(client))]))
            } @else {
                (fill(&say.intro, &[("server", &server)]))
            }
        }
        (wrong(message))
        @if visit.pages.auth.offers_passwords() {
        form method="post" action={ (SIGN_IN) "?" (visit.query) } {
            (visit.form_token())
            div.field {
                label for="user_name" { (common.user_name) }
                input #user_name name="user_name" value=(name) required autocomplete=(names)
                    autocapitalize="none" autocorrect="off" spellcheck="false" maxlength="255" autofocus[!is_named]
                    aria-describedby=[described.as_deref().filter(|_| !is_named)];
            }
            div.field {
                label for="password" { (common.password) }
                input #password name="password" type="password" required autocomplete="current-password"
                    maxlength="1024" autofocus[is_named]
                    aria-describedby=[described.as_deref().filter(|_| is_named)];
            }
            button { (say.button) }
            @if let Some(challenge) = &challenge {
                (passkey::button(visit, challenge, &visit.messages().passkey.sign_in, true))
            }
        }
        @if visit.pages.auth.sends_email() && visit.pages.auth.keeps_passwords() {
            p.foot.soft { a href=(next.through(FORGOT, None)) { (visit.messages().forgot.link) } }
        }
        } @else if let Some(challenge) = &challenge {
            form method="post" action={ (SIGN_IN) "?" (visit.query) } {
                (visit.form_token())
                (passkey::button(visit, challenge, &visit.messages().passkey.sign_in, false))
            }
        }
        (offers(visit, &next))
        @if visit.pages.offers_sign_up() {
            p.foot.soft { (say.no_account) " " a href=(next.through(SIGN_UP, None)) { (say.create) } }
        }
    };
    let title = html! { (say.title) };
    Ok(match challenge {
        Some(_) => visit.page_asking(status, title, body),
        None => visit.page_with(status, title, body, None),
    })
}

/// The client for which somebody signs in.
pub(super) async fn client_name(visit: &Visit, next: &Next) -> Result<Option<String>, Problem> {
    let Some(params) = next.params() else { return Ok(None) };
    let Some(client_id) = params.get("client_id").ok().flatten() else { return Ok(None) };
    let client = visit.pages.auth.oauth_client(client_id).await?;
    Ok(client.map(|client| name_of(&client, visit).to_owned()))
}
