//! What somebody signs in with beside their password: their authenticator app and their recovery codes.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{AccountError, Browser, TotpEnrolment, TotpError};
use myelin_oauth_core::params::Params;
use myelin_runtime::Secret;

use super::super::alert;
use super::devices::date;
use super::menu::framed;
use super::{form, passkeys};
use crate::browser::{Visit, see_other};
use crate::messages::fill;
use crate::problem::Problem;
use crate::qr;
use crate::wish::Wish;

/// What there is.
pub(super) async fn show(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    let say = &visit.messages().second_step;
    let factors = visit.pages.auth.second_factors(browser).await?;
    let link = |wish: Wish, text: &str| html! { p { a href=(wish.path()) { (text) } } };
    let body = html! {
        p { (if factors.is_on() { &say.on } else { &say.off }) }
        (passkeys::list(visit, browser).await?)
        h2 { (say.app) }
        @match factors.totp_added_at {
            Some(at) => {
                @if let Some(date) = date(at) {
                    p.soft { (fill(&say.app_since, &[("date", &html! { time datetime=(date) { (date) } })])) }
                }
                (link(Wish::AddTotp, &say.app_change))
                (link(Wish::RemoveTotp, &say.app_remove))
            }
            None => {
                p.soft { (say.why) }
                (link(Wish::AddTotp, &say.app_add))
            }
        }
        @if factors.is_on() {
            h2 { (say.codes) }
            @if factors.recovery_codes == 0 {
                p { strong { (say.codes_none) } }
            } @else {
                p.soft { (fill(&say.codes_left, &[("count", &factors.recovery_codes)])) }
            }
            (link(Wish::RecoveryCodes, &say.codes_make))
        }
    };
    Ok(visit.page(html! { (say.manage_title) }, framed(visit, browser, &Wish::SecondStep, &body)))
}

/// How an app is set up.
pub(super) fn add(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    let enrolment = visit.pages.auth.begin_totp(browser)?;
    Ok(enrol(visit, browser, &enrolment, (StatusCode::OK, None)))
}

/// The app shows a code.
pub(super) async fn added(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let (auth, say) = (&visit.pages.auth, &visit.messages().second_step);
    let field = |name| fields.get(name).ok().flatten().unwrap_or_default();
    let (sealed, code) = (field("enrolment"), field("code"));
    let again = |enrolment: &TotpEnrolment, message: &str| {
        enrol(visit, browser, enrolment, (StatusCode::FORBIDDEN, Some(html! { (message) })))
    };
    match auth.confirm_totp(browser, sealed, code).await {
        Ok(codes) if codes.is_empty() => Ok(done(visit, &say.added)),
        Ok(codes) => Ok(shown(visit, &say.added, &codes)),
        Err(TotpError::Code) => match auth.resume_totp(browser, sealed) {
            Some(enrolment) => Ok(again(&enrolment, &say.wrong)),
            None => Ok(again(&auth.begin_totp(browser)?, &say.add_ended)),
        },
        Err(TotpError::Ended) => Ok(again(&auth.begin_totp(browser)?, &say.add_ended)),
        Err(TotpError::Account(error)) => Err(failed(&error)),
    }
}

fn enrol(
    visit: &Visit,
    browser: &Browser,
    enrolment: &TotpEnrolment,
    (status, message): (StatusCode, Option<Markup>),
) -> Response {
    let say = &visit.messages().second_step;
    let secret: Vec<&str> = groups(&enrolment.provisioning.secret);
    let body = html! {
        p { (say.add_scan) }
        @if let Some(picture) = qr::picture(&enrolment.provisioning.uri, &say.add_picture) { (picture) }
        p { (say.add_secret) }
        code.secret { (secret.join(" ")) }
        p.soft { (say.passwords_alone) }
        (alert(message))
        form method="post" action=(Wish::AddTotp.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            input type="hidden" name="enrolment" value=(enrolment.sealed);
            div.field {
                label for="code" { (say.add_code) }
                input #code name="code" required inputmode="numeric" autocomplete="one-time-code" maxlength="16";
            }
            button { (say.add_button) }
        }
        p.foot { a href=(Wish::SecondStep.path()) { (visit.messages().account.cancel) } }
    };
    visit.page_with(status, html! { (say.add_title) }, body, None)
}

/// A secret in groups of four, as people type it.
fn groups(secret: &str) -> Vec<&str> {
    (0..secret.len()).step_by(4).filter_map(|at| secret.get(at..(at + 4).min(secret.len()))).collect()
}

/// Whether the app is to go.
pub(super) async fn remove(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    let say = &visit.messages().second_step;
    let factors = visit.pages.auth.second_factors(browser).await?;
    let warning = if factors.passkeys > 0 { &say.remove_warning_passkeys } else { &say.remove_warning };
    let body = html! {
        p { strong { (warning) } }
        (form(visit, browser, &Wish::RemoveTotp, &html! {}, &say.remove_button))
    };
    Ok(visit.page(html! { (say.remove_title) }, body))
}

/// It goes.
pub(super) async fn removed(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    visit.pages.auth.remove_totp(browser).await.map_err(|error| failed(&error))?;
    Ok(done(visit, &visit.messages().second_step.removed))
}

/// Whether there are to be new codes.
pub(super) fn codes(visit: &Visit, browser: &Browser) -> Response {
    let say = &visit.messages().second_step;
    let body = html! {
        p { strong { (say.make_warning) } }
        (form(visit, browser, &Wish::RecoveryCodes, &html! {}, &say.make_button))
    };
    visit.page(html! { (say.make_title) }, body)
}

/// There are.
pub(super) async fn made(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    // Codes for nothing would only be in the way of who finds them.
    if !visit.pages.auth.second_factors(browser).await?.is_on() {
        return Ok(see_other(&Wish::SecondStep.path()));
    }
    let codes = visit.pages.auth.make_recovery_codes(browser).await.map_err(|error| failed(&error))?;
    Ok(shown(visit, &visit.messages().second_step.made, &codes))
}

/// Recovery codes, this once.
pub(super) fn shown(visit: &Visit, message: &str, codes: &[Secret<String>]) -> Response {
    let say = &visit.messages().second_step;
    let body = html! {
        p { (message) }
        p { strong { (say.keep) } }
        ul.codes { @for code in codes { li { code { (code.expose()) } } } }
        p.soft { (say.keep_once) }
        p.foot { a href=(Wish::SecondStep.path()) { (say.manage_title) } }
    };
    visit.page(html! { (say.codes) }, body)
}

/// What was done.
pub(super) fn done(visit: &Visit, message: &str) -> Response {
    let say = &visit.messages().second_step;
    let body = html! {
        p { (message) }
        p.foot { a href=(Wish::SecondStep.path()) { (say.manage_title) } }
    };
    visit.page(html! { (visit.messages().done.title) }, body)
}

/// The account could not be changed.
pub(super) fn failed(error: &AccountError) -> Problem {
    tracing::error!(%error, "a second factor could not be changed");
    Problem::Failed
}
