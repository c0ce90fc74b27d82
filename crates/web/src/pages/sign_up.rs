//! `GET` and `POST /oauth2/sign-up`: an account for who has none, as far as the operator lets people make them.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{Actor, LoginError, NameProblem, NewAccount, PasswordProblem, RegisterError};
use myelin_oauth_core::params::Params;
use myelin_runtime::Secret;
use ruma::OwnedUserId;

use super::sign_in::client_name;
use super::{alert, named};
use crate::browser::Visit;
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{Next, SIGN_IN, SIGN_UP};
use crate::problem::Problem;
use crate::state::SignUp;

/// What somebody filled in, for the form that is shown again.
#[derive(Default)]
struct Filled {
    name: String,
    token: String,
}

/// Asks for what an account needs.
pub(crate) async fn get(visit: Visit) -> Response {
    let hint = visit.params.get("hint").ok().flatten().unwrap_or_default();
    // Of a user id only the name is filled in.
    let name = hint.trim_start_matches('@').split(':').next().unwrap_or_default().to_owned();
    let result = form(&visit, StatusCode::OK, &Filled { name, ..Filled::default() }, None).await;
    visit.answer(result)
}

/// Makes the account, and signs its user in.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = sign_up(&visit, body).await;
    visit.answer(result)
}

async fn sign_up(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    if visit.pages.sign_up() == SignUp::Closed {
        return form(visit, StatusCode::FORBIDDEN, &Filled::default(), None).await;
    }
    let field = |name| fields.get(name).ok().flatten().unwrap_or_default();
    let filled =
        Filled { name: field("user_name").trim().to_owned(), token: field("token").trim().to_owned() };
    let user_id = match create(visit, &filled, &fields).await {
        Ok(user_id) => user_id,
        Err(RegisterError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let (status, message) = refusal(visit, &error);
            return form(visit, status, &filled, Some(message)).await;
        }
    };
    match visit.pages.auth.sign_in_new(&user_id).await {
        Ok(browser) => visit.signed_in(&browser, &Next::of_query(&visit.params)).await,
        Err(LoginError::Store(error)) => Err(error.into()),
        Err(_) => Err(Problem::Failed),
    }
}

async fn create(visit: &Visit, filled: &Filled, fields: &Params) -> Result<OwnedUserId, RegisterError> {
    let auth = &visit.pages.auth;
    let user_id = auth.available(&filled.name).await?;
    let password = fields.get("password").ok().flatten().unwrap_or_default();
    let registration_token = match visit.pages.sign_up() {
        SignUp::WithToken if filled.token.is_empty() => return Err(RegisterError::Token),
        SignUp::WithToken => Some(filled.token.clone()),
        SignUp::Open | SignUp::Closed => None,
    };
    let new = NewAccount {
        registration_token,
        ..NewAccount::new(user_id.clone(), Secret::new(password.to_owned()))
    };
    Ok(auth.create_account(&Actor::User(user_id), new).await?.user_id)
}

fn refusal(visit: &Visit, error: &RegisterError) -> (StatusCode, Markup) {
    let (say, common) = (&visit.messages().sign_up, &visit.messages().common);
    let message = match error {
        RegisterError::Taken => &say.taken,
        RegisterError::Name(NameProblem::Empty) => &say.name_empty,
        RegisterError::Name(NameProblem::Character(_)) => &say.name_characters,
        RegisterError::Name(NameProblem::Reserved) => &say.name_reserved,
        RegisterError::Name(NameProblem::TooLong) => &say.name_long,
        RegisterError::Password(PasswordProblem::Weak { least }) => {
            return (StatusCode::BAD_REQUEST, fill(&say.password_short, &[("least", least)]));
        }
        RegisterError::Password(PasswordProblem::TooLong) => &say.password_long,
        RegisterError::Token => &say.token_wrong,
        RegisterError::Closed => &say.closed,
        RegisterError::Busy => return (StatusCode::SERVICE_UNAVAILABLE, html! { (common.busy) }),
        RegisterError::Device(_) | RegisterError::EmailInUse | RegisterError::Store(_) => &common.failed,
    };
    (StatusCode::BAD_REQUEST, html! { (message) })
}

async fn form(
    visit: &Visit,
    status: StatusCode,
    filled: &Filled,
    message: Option<Markup>,
) -> Result<Response, Problem> {
    let (say, common) = (&visit.messages().sign_up, &visit.messages().common);
    let next = Next::of_query(&visit.params);
    let sign_up = visit.pages.sign_up();
    let body = if sign_up == SignUp::Closed {
        html! { p { (say.closed) } }
    } else {
        let server = visit.server();
        let client = client_name(visit, &next).await?;
        let least = visit.pages.auth.config().min_password_chars;
        html! {
            p.soft {
                @if let Some(client) = &client {
                    (fill(&say.intro_client, &[("server", &server), ("client", &named(client))]))
                } @else {
                    (fill(&say.intro, &[("server", &server)]))
                }
            }
            (alert(message))
            form method="post" action={ (SIGN_UP) "?" (visit.query) } {
                (visit.form_token())
                div.field {
                    label for="user_name" { (common.user_name) }
                    input #user_name name="user_name" value=(filled.name) required autocomplete="username"
                        autocapitalize="none" autocorrect="off" spellcheck="false" maxlength="255" autofocus
                        aria-describedby="user_name_hint";
                    small #user_name_hint { (fill(&say.user_name_hint, &[("server", &server)])) }
                }
                div.field {
                    label for="password" { (common.password) }
                    input #password name="password" type="password" required autocomplete="new-password"
                        minlength=(least) maxlength="1024" aria-describedby="password_hint";
                    small #password_hint { (fill(&say.password_hint, &[("least", &least)])) }
                }
                @if sign_up == SignUp::WithToken {
                    div.field {
                        label for="token" { (say.token) }
                        input #token name="token" value=(filled.token) required autocomplete="off" autocapitalize="none"
                            autocorrect="off" spellcheck="false" maxlength="64" aria-describedby="token_hint";
                        small #token_hint { (say.token_hint) }
                    }
                }
                button { (say.button) }
            }
        }
    };
    let body = html! {
        (body)
        p.foot.soft { (say.have_account) " " a href=(next.through(SIGN_IN, None)) { (say.sign_in) } }
    };
    let status = if sign_up == SignUp::Closed { StatusCode::FORBIDDEN } else { status };
    Ok(visit.page_with(status, html! { (say.title) }, body, None))
}
