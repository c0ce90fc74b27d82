//! Changing the password. Who does has signed in a short time ago.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{AccountError, Browser, OtherSessions, PasswordProblem};
use myelin_oauth_core::params::Params;
use myelin_runtime::Secret;

use super::super::alert;
use super::menu::{framed, note};
use crate::browser::Visit;
use crate::messages::fill;
use crate::problem::Problem;
use crate::strength;
use crate::wish::Wish;

/// Asks for the new one, where it is kept here.
pub(super) async fn show(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    if visit.pages.auth.keeps_password(&browser.user_id).await? {
        return Ok(form(visit, browser, StatusCode::OK, &html! {}));
    }
    let say = &visit.messages().password;
    let body = framed(visit, browser, &Wish::Password, &html! { p { (say.elsewhere) } });
    Ok(visit.page(html! { (say.title) }, body))
}

/// Changes it.
pub(super) async fn save(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let password = fields.get("password").ok().flatten().unwrap_or_default();
    let others = others(fields);
    let auth = &visit.pages.auth;
    match auth.change_own_password(browser, Secret::new(password.to_owned()), others).await {
        Ok(()) => {
            let done = note(Some(&visit.messages().password.saved));
            Ok(form(visit, browser, StatusCode::OK, &done))
        }
        Err(error) => {
            let (status, message) = refusal(visit, error)?;
            Ok(form(visit, browser, status, &alert(Some(message))))
        }
    }
}

/// What becomes of devices, as a form says.
pub(in crate::pages) fn others(fields: &Params) -> OtherSessions {
    let ends = fields.get("end_devices").ok().flatten().is_some();
    if ends { OtherSessions::End } else { OtherSessions::Keep }
}

/// Why a password was not taken.
pub(in crate::pages) fn refusal(visit: &Visit, error: AccountError) -> Result<(StatusCode, Markup), Problem> {
    let (say, common) = (&visit.messages().sign_up, &visit.messages().common);
    Ok(match error {
        AccountError::Password(PasswordProblem::Weak { least }) => {
            (StatusCode::BAD_REQUEST, fill(&say.password_short, &[("least", &least)]))
        }
        AccountError::Password(PasswordProblem::Guessable(guess)) => {
            (StatusCode::BAD_REQUEST, strength::guessed(visit, guess))
        }
        AccountError::Password(PasswordProblem::Breached) => {
            (StatusCode::BAD_REQUEST, html! { (visit.messages().strength.breached) })
        }
        AccountError::Password(PasswordProblem::TooLong) => {
            (StatusCode::BAD_REQUEST, html! { (say.password_long) })
        }
        AccountError::Elsewhere => (StatusCode::FORBIDDEN, html! { (visit.messages().password.elsewhere) }),
        AccountError::Busy => (StatusCode::SERVICE_UNAVAILABLE, html! { (common.busy) }),
        AccountError::Unknown | AccountError::LastWay => return Err(Problem::Failed),
        AccountError::Store(error) => return Err(error.into()),
    })
}

/// The fields for a new password.
pub(in crate::pages) fn fields(visit: &Visit) -> Markup {
    let say = &visit.messages().password;
    let least = visit.pages.auth.config().min_password_chars;
    html! {
        div.field {
            label for="password" { (say.new) }
            input #password name="password" type="password" required autocomplete="new-password"
                minlength=(least) maxlength="1024" aria-describedby="password_hint";
            small #password_hint { (fill(&visit.messages().sign_up.password_hint, &[("least", &least)])) }
        }
        div.check {
            input #end_devices name="end_devices" type="checkbox" value="yes";
            label for="end_devices" { (say.end_devices) }
        }
        p.soft { (say.history) }
    }
}

fn form(visit: &Visit, browser: &Browser, status: StatusCode, message: &Markup) -> Response {
    let say = &visit.messages().password;
    let body = html! {
        (message)
        p { (say.explain) }
        form method="post" action=(Wish::Password.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            (fields(visit))
            button { (say.button) }
        }
    };
    let body = framed(visit, browser, &Wish::Password, &body);
    visit.page_with(status, html! { (say.title) }, body, None)
}
