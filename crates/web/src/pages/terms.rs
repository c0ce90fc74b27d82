//! `GET` and `POST /oauth2/terms`: what who is signed in has still to accept before they go on.
//!
//! Whoever made an account on the page for that accepted them there; whoever came by a provider, was given an account by an
//! operator, or accepted another version, does it here. [`must_come_first`] says which pages wait for it.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use maud::{Markup, html};
use myelin_auth::Terms;
use myelin_language::Language;

use super::named;
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{ACCOUNT, AUTHORIZE, DONE, LINK, Next, PICTURE, SIGN_IN, SIGN_OUT, SSO, TERMS};
use crate::problem::Problem;
use crate::wish::Wish;

/// Whether a page waits until everything is accepted. Who doesn't want to may take their data and go.
pub(crate) fn must_come_first(visit: &Visit, path: &str) -> bool {
    let leaves = || matches!(Wish::of(&visit.params), Wish::Export | Wish::Deactivate);
    matches!(path, AUTHORIZE | LINK | PICTURE | SSO | DONE) || (path == ACCOUNT && !leaves())
}

/// Asks.
pub(crate) async fn get(visit: Visit) -> Response {
    let result = ask(&visit).await;
    visit.answer(result)
}

/// The person has accepted.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = accept(&visit, body).await;
    visit.answer(result)
}

async fn ask(visit: &Visit) -> Result<Response, Problem> {
    let next = Next::of_query(&visit.params);
    let Some(browser) = &visit.browser else { return Ok(see_other(&next.through(SIGN_IN, None))) };
    let due = visit.pages.auth.terms_due(&browser.user_id).await?;
    if due.is_empty() {
        return Ok(see_other(&next.path()));
    }
    let (say, account) = (&visit.messages().terms, &visit.messages().account);
    let body = html! {
        div.person {
            p { (fill(&visit.messages().consent.signed_in_as, &[("user", &named(browser.user_id.as_str()))])) }
            form.inline method="post" action=(SIGN_OUT) {
                (visit.form_token())
                button.link { (visit.messages().done.sign_out) }
            }
        }
        p { (fill(&say.explain, &[("server", &visit.called())])) }
        ul {
            @for terms in &due { li { (link(visit.language, terms)) } }
        }
        form method="post" action={ (TERMS) "?" (visit.query) } {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            @for terms in &due { input type="hidden" name={ "terms." (terms.id) } value=(terms.version); }
            button { (say.button) }
        }
        p.foot.soft {
            (say.otherwise) " "
            a href=(Wish::Export.path()) { (visit.messages().menu.export) } " · "
            a href=(Wish::Deactivate.path()) { (account.deactivate) }
        }
    };
    Ok(visit.page(html! { (say.title) }, body))
}

async fn accept(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let next = Next::of_query(&visit.params);
    let Some(browser) = &visit.browser else { return Ok(see_other(&next.through(SIGN_IN, None))) };
    // Somebody else signed in meanwhile, in another window: who accepts is to know for whom.
    if fields.get("user").ok().flatten() == Some(browser.user_id.as_str()) {
        visit.count(browser)?;
        let version =
            |terms: &Terms| fields.get(&format!("terms.{}", terms.id)).ok().flatten().map(str::to_owned);
        let all = &visit.pages.auth.config().terms;
        let shown: Vec<_> =
            all.iter().filter_map(|terms| Some((terms.id.clone(), version(terms)?))).collect();
        visit.pages.auth.accept_terms(browser, &shown).await?;
    }
    ask(visit).await
}

/// A document, in a language.
pub(crate) fn link(language: Language, terms: &Terms) -> Markup {
    html! {
        @if let Some(text) = terms.text(language.tag()) {
            a href=(text.url) target="_blank" rel="noopener noreferrer" { (text.name) }
        }
    }
}

/// The box that who makes an account ticks.
pub(super) fn field(visit: &Visit) -> Markup {
    let terms = &visit.pages.auth.config().terms;
    let links = html! {
        @for (number, terms) in terms.iter().enumerate() {
            @if number > 0 { ", " }
            (link(visit.language, terms))
        }
    };
    html! {
        @if !terms.is_empty() {
            div.check {
                input #terms name="terms" type="checkbox" value="yes" required;
                label for="terms" { (fill(&visit.messages().terms.accept, &[("terms", &links)])) }
            }
        }
    }
}
