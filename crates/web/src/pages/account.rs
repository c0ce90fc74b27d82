//! `GET` and `POST /account`: what people do with their accounts themselves
//! <https://spec.matrix.org/v1.19/client-server-api/#oauth-20-account-management>

mod activity;
mod browsers;
mod confirm;
mod devices;
mod emails;
mod export;
mod menu;
mod passkeys;
pub(super) mod password;
pub(crate) mod picture;
mod profile;
mod providers;
mod reset;
mod second_step;

pub(super) use self::devices::called;

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{Browser, EndedDevice, Erase};
use myelin_oauth_core::params::Params;

use super::named;
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{Next, SIGN_IN, SIGN_OUT};
use crate::problem::Problem;
use crate::wish::Wish;

/// Shows the page of what is wanted.
pub(crate) async fn get(visit: Visit) -> Response {
    let wish = Wish::of(&visit.params);
    let result = match known(&visit, &wish) {
        Some(browser) => show(&visit, browser, &wish).await,
        None => Ok(sign_in_first(&visit, &wish)),
    };
    visit.answer(result)
}

/// Does what is wanted.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = act(&visit, body).await;
    visit.answer(result)
}

/// Who is signed in, and has been for a short time only where what they want can't be undone.
fn known<'v>(visit: &'v Visit, wish: &Wish) -> Option<&'v Browser> {
    let fits = |browser: &&Browser| !wish.is_grave() || visit.pages.auth.is_fresh(browser);
    visit.browser.as_ref().filter(fits)
}

fn sign_in_first(visit: &Visit, wish: &Wish) -> Response {
    let hint = visit.browser.as_ref().map(|browser| browser.user_id.as_str());
    see_other(&Next::Account(wish.clone()).through(SIGN_IN, hint))
}

async fn show(visit: &Visit, browser: &Browser, wish: &Wish) -> Result<Response, Problem> {
    let say = &visit.messages().account;
    match wish {
        Wish::Overview => devices::list(visit, browser).await,
        Wish::View(device_id) => devices::one(visit, browser, device_id).await,
        Wish::End(device_id) => devices::end(visit, browser, device_id).await,
        Wish::Profile => profile::show(visit, browser).await,
        Wish::Password => password::show(visit, browser).await,
        Wish::Emails => emails::show(visit, browser).await,
        Wish::Browsers => browsers::show(visit, browser).await,
        Wish::Activity(before) => activity::show(visit, browser, *before).await,
        Wish::Export => Ok(export::show(visit, browser)),
        Wish::SecondStep => second_step::show(visit, browser).await,
        Wish::AddTotp => second_step::add(visit, browser),
        Wish::RemoveTotp => second_step::remove(visit, browser).await,
        Wish::AddPasskey => passkeys::add(visit, browser, (StatusCode::OK, None)).await,
        Wish::EditPasskey(id) => passkeys::edit(visit, browser, id).await,
        Wish::RecoveryCodes => Ok(second_step::codes(visit, browser)),
        Wish::Confirm(session) => confirm::show(visit, browser, session).await,
        Wish::Providers => providers::list(visit, browser).await,
        Wish::Reset(device_id) => reset::show(visit, browser, device_id.as_deref()).await,
        Wish::Deactivate => {
            let erase = html! {
                div.check {
                    input #erase name="erase" type="checkbox" value="yes";
                    label for="erase" { (say.erase) }
                }
            };
            let body = html! {
                (person(visit, browser))
                p { strong { (say.deactivate_warning) } }
                (form(visit, browser, wish, &erase, &say.deactivate_button))
            };
            Ok(visit.page(html! { (say.deactivate_title) }, body))
        }
    }
}

async fn act(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let wish = Wish::of(&visit.params);
    let Some(browser) = known(visit, &wish) else { return Ok(sign_in_first(visit, &wish)) };
    visit.count(browser)?;
    // Somebody else signed in meanwhile, in another window: who decides is to know for whom.
    if fields.get("user").ok().flatten() != Some(browser.user_id.as_str()) {
        return show(visit, browser, &wish).await;
    }
    let (auth, say) = (&visit.pages.auth, &visit.messages().account);
    match &wish {
        Wish::Overview | Wish::SecondStep | Wish::Activity(_) => show(visit, browser, &wish).await,
        Wish::View(device_id) => devices::rename(visit, browser, device_id, &fields).await,
        Wish::Profile => profile::save(visit, browser, &fields).await,
        Wish::Password => password::save(visit, browser, &fields).await,
        Wish::Emails => emails::act(visit, browser, &fields).await,
        Wish::Browsers => browsers::end(visit, browser, &fields).await,
        Wish::Export => export::download(visit, browser).await,
        Wish::AddTotp => second_step::added(visit, browser, &fields).await,
        Wish::RemoveTotp => second_step::removed(visit, browser).await,
        Wish::RecoveryCodes => second_step::made(visit, browser).await,
        Wish::Confirm(session) => confirm::save(visit, browser, session).await,
        Wish::AddPasskey => passkeys::added(visit, browser, &fields).await,
        Wish::EditPasskey(id) => passkeys::edited(visit, browser, id, &fields).await,
        Wish::End(device_id) => {
            let shown = fields.get("opened").ok().flatten().unwrap_or_default();
            match auth.end_own_device(browser, &device_id.as_str().into(), shown).await? {
                EndedDevice::Yes => Ok(done(visit, &say.ended, true)),
                EndedDevice::Gone => Ok(done(visit, &say.gone, true)),
                EndedDevice::Reopened => show(visit, browser, &wish).await,
            }
        }
        Wish::Providers => providers::act(visit, browser, &fields).await,
        Wish::Reset(device_id) => reset::allow(visit, browser, device_id.as_deref()).await,
        Wish::Deactivate => deactivate(visit, browser, &fields).await,
    }
}

async fn deactivate(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let wants = fields.get("erase").ok().flatten().is_some();
    let erase = if wants { Erase::Yes } else { Erase::No };
    if let Err(error) = visit.pages.auth.deactivate_own(browser, erase).await {
        tracing::error!(%error, "an account could not be deactivated");
        return Err(Problem::Failed);
    }
    visit.signed_out(done(visit, &visit.messages().account.deactivated, false)).await
}

fn done(visit: &Visit, message: &str, leads_back: bool) -> Response {
    let say = &visit.messages().account;
    let body = html! {
        p { (message) }
        @if leads_back { p { a href=(Wish::Overview.path()) { (say.back) } } }
    };
    visit.page(html! { (visit.messages().done.title) }, body)
}

/// Who is signed in, and the way to be somebody else.
fn person(visit: &Visit, browser: &Browser) -> Markup {
    let say = &visit.messages().consent;
    html! {
        div.person {
            p { (fill(&say.signed_in_as, &[("user", &named(browser.user_id.as_str()))])) }
            form.inline method="post" action=(SIGN_OUT) {
                (visit.form_token())
                button.link { (visit.messages().done.sign_out) }
            }
        }
    }
}

/// The form that does what is wanted, with a way out.
fn form(visit: &Visit, browser: &Browser, wish: &Wish, fields: &Markup, button: &str) -> Markup {
    html! {
        form method="post" action=(wish.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            (fields)
            button.grave { (button) }
        }
        p.foot { a href=(Wish::Overview.path()) { (visit.messages().account.cancel) } }
    }
}
