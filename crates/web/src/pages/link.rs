//! `GET` and `POST /link` (RFC 8628, section 3.3): the code that a device shows, and whether that device may act for who is
//! signed in.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{Browser, DeviceToDecide};
use myelin_oauth_core::device::{Decision, UserCode};

use super::authorize::{device_of, links};
use super::{described, name_of, named, wrong};
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{LINK, Next, SIGN_IN, user_code};
use crate::problem::Problem;

/// Asks for the code.
pub(crate) async fn get(visit: Visit) -> Response {
    let code = user_code(&visit.params);
    if visit.browser.is_none() {
        return see_other(&Next::Link(code).through(SIGN_IN, None));
    }
    form(&visit, StatusCode::OK, &code.map(|code| code.shown()).unwrap_or_default(), None)
}

/// The person has typed the code, or decided about the device that shows it.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = decide(&visit, body).await;
    visit.answer(result)
}

async fn decide(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let code = user_code(&fields);
    let Some(browser) = &visit.browser else {
        return Ok(see_other(&Next::Link(code).through(SIGN_IN, None)));
    };
    visit.count(browser)?;
    let auth = &visit.pages.auth;
    let found = match &code {
        Some(code) => auth.device_to_decide(code).await?,
        None => None,
    };
    let (Some(code), Some(found)) = (code, found) else {
        let typed = fields.get("user_code").ok().flatten().unwrap_or_default();
        return Ok(unknown(visit, typed));
    };
    let decision = match fields.get("decision").ok().flatten() {
        Some("approve") => Decision::Approve,
        Some("deny") => Decision::Deny,
        _ => return check(visit, &code, &found, browser).await,
    };
    // Somebody else signed in meanwhile, in another window.
    if fields.get("user").ok().flatten() != Some(browser.user_id.as_str()) {
        return check(visit, &code, &found, browser).await;
    }
    if !auth.decide_device(browser, &code, decision).await? {
        return Ok(unknown(visit, &code.shown()));
    }
    let say = &visit.messages().device;
    let message = if decision == Decision::Approve { &say.approved } else { &say.denied };
    Ok(visit.page(html! { (visit.messages().done.title) }, html! { p { (message) } }))
}

fn unknown(visit: &Visit, typed: &str) -> Response {
    let message = html! { (visit.messages().device.unknown) };
    form(visit, StatusCode::BAD_REQUEST, typed, Some(message))
}

fn form(visit: &Visit, status: StatusCode, code: &str, message: Option<Markup>) -> Response {
    let say = &visit.messages().device;
    let described = described(message.as_ref(), Some("code_hint"));
    let body = html! {
        p { (say.intro) }
        (wrong(message))
        form method="post" action=(LINK) {
            (visit.form_token())
            div.field {
                label for="user_code" { (say.code) }
                input.code #user_code name="user_code" value=(code) required autocomplete="off"
                    autocapitalize="characters" autocorrect="off" spellcheck="false" maxlength="32" autofocus
                    aria-describedby=[described];
                small #code_hint { (say.code_hint) }
            }
            button { (say.button) }
        }
    };
    visit.page_with(status, html! { (say.title) }, body, None)
}

async fn check(
    visit: &Visit,
    code: &UserCode,
    found: &DeviceToDecide,
    browser: &Browser,
) -> Result<Response, Problem> {
    let (say, consent) = (&visit.messages().device, &visit.messages().consent);
    let client = &found.client;
    let name = name_of(client, visit);
    let shown = html! { code { (code.shown()) } };
    let device = device_of(visit, browser, &found.device_id).await?;
    let body = html! {
        div.person {
            p { (fill(&consent.signed_in_as, &[("user", &named(browser.user_id.as_str()))])) }
            p { a href=(Next::Link(Some(code.clone())).through(SIGN_IN, None)) { (consent.not_you) } }
        }
        p { (fill(&say.check, &[("code", &shown)])) }
        p { strong { (say.careful) } }
        p { (fill(&consent.wants_unproved, &[("client", &named(name)), ("host", &client.client_uri.host())])) }
        ul {
            li { (consent.account) }
            li { (consent.messages) }
        }
        (device)
        form method="post" action=(LINK) {
            (visit.form_token())
            input type="hidden" name="user_code" value=(code.shown());
            input type="hidden" name="user" value=(browser.user_id);
            button name="decision" value="approve" { (consent.approve) }
            button.quiet name="decision" value="deny" { (consent.deny) }
        }
        (links(visit, client, name))
    };
    Ok(visit.page(fill(&say.check_title, &[("client", &html! { bdi { (name) } })]), body))
}
