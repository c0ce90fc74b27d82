//! Showing an app that it is them, for who has no password
//! (<https://spec.matrix.org/v1.19/client-server-api/#fallback>). They have signed in a short time ago, in whatever way they do.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use myelin_auth::Browser;

use super::devices::{called, told};
use super::{form, person};
use crate::browser::Visit;
use crate::messages::fill;
use crate::problem::Problem;
use crate::wish::Wish;

/// Asks whether it is them who wants that.
pub(super) async fn show(visit: &Visit, browser: &Browser, session: &str) -> Result<Response, Problem> {
    let auth = &visit.pages.auth;
    let device = match auth.to_confirm(browser, session) {
        Some(device_id) => auth.own_device(browser, &device_id).await?,
        None => None,
    };
    let say = &visit.messages().confirm;
    let Some(device) = device else { return Ok(gone(visit)) };
    let wish = Wish::Confirm(session.to_owned());
    let body = html! {
        (person(visit, browser))
        div.person {
            p { (fill(&say.device, &[("device", &html! { strong { (called(visit, &device)) } })])) }
            (told(visit, &device))
        }
        p { (say.explain) }
        p { strong { (say.careful) } }
        (form(visit, browser, &wish, &html! {}, &say.button))
    };
    Ok(visit.page(html! { (say.title) }, body))
}

/// It is.
pub(super) async fn save(visit: &Visit, browser: &Browser, session: &str) -> Result<Response, Problem> {
    let is_noted = visit.pages.auth.confirm(browser, session).await?;
    let messages = visit.messages();
    let told =
        || visit.page_telling(html! { (messages.done.title) }, html! { p { (messages.confirm.done) } });
    Ok(if is_noted { told() } else { gone(visit) })
}

fn gone(visit: &Visit) -> Response {
    let say = &visit.messages().confirm;
    visit.page_with(StatusCode::NOT_FOUND, html! { (say.title) }, html! { p { (say.gone) } }, None)
}
