//! `GET` and `POST /oauth2/sso`: whether a client of the legacy API may act for who is signed in
//! <https://spec.matrix.org/v1.19/client-server-api/#client-login-via-sso>

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::html;
use myelin_auth::Browser;
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_oauth_core::legacy::LegacyRedirect;

use super::named;
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{DONE, Next, SIGN_IN, SIGN_UP, place};
use crate::problem::Problem;

/// Asks the person, or has them sign in first.
pub(crate) async fn get(visit: Visit) -> Response {
    let result = wanted(&visit).map(|place| match &visit.browser {
        Some(browser) => consent(&visit, &place, browser),
        None => {
            let registers = visit.params.get("action").ok().flatten() == Some("register");
            let page = if registers && visit.pages.offers_sign_up() { SIGN_UP } else { SIGN_IN };
            see_other(&Next::Sso(place).through(page, None))
        }
    });
    visit.answer(result)
}

/// The person has decided.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = decide(&visit, body).await;
    visit.answer(result)
}

fn wanted(visit: &Visit) -> Result<LegacyRedirect, Problem> {
    let missing = "redirect_url is missing, or no URL that a browser may be sent to.";
    place(&visit.params).ok_or_else(|| Problem::Client(Refusal::new(ErrorCode::InvalidRequest, missing)))
}

async fn decide(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let form = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let place = wanted(visit)?;
    let Some(browser) = &visit.browser else {
        return Ok(see_other(&Next::Sso(place).through(SIGN_IN, None)));
    };
    // Somebody else signed in meanwhile, in another window: who decides is to know for whom.
    if form.get("user").ok().flatten() != Some(browser.user_id.as_str()) {
        return Ok(consent(visit, &place, browser));
    }
    if form.get("decision").ok().flatten() != Some("approve") {
        return Ok(see_other(DONE));
    }
    visit.count(browser)?;
    match visit.pages.auth.login_token_of(browser).await? {
        Some(new) => Ok(see_other(&place.with_token(new.token.expose()))),
        // They were signed out meanwhile.
        None => Ok(see_other(&Next::Sso(place).through(SIGN_IN, None))),
    }
}

fn consent(visit: &Visit, place: &LegacyRedirect, browser: &Browser) -> Response {
    let say = &visit.messages().consent;
    let shown = place.shown();
    let next = Next::Sso(place.clone());
    let body = html! {
        div.person {
            p { (fill(&say.signed_in_as, &[("user", &named(browser.user_id.as_str()))])) }
            p { a href=(next.through(SIGN_IN, None)) { (say.not_you) } }
        }
        p { (fill(&say.wants_there, &[("place", &named(&shown))])) }
        ul {
            li { (say.account) }
            li { (say.messages) }
        }
        p { strong { (say.careful) } }
        form method="post" action=(next.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            button name="decision" value="approve" { (say.approve) }
            button.quiet name="decision" value="deny" { (say.deny) }
        }
    };
    let title = fill(&say.title, &[("client", &html! { bdi { (shown) } })]);
    visit.page_with(StatusCode::OK, title, body, Some(place.csp_source()))
}
