//! The browsers in which somebody is signed in to the pages.

use axum::response::Response;
use maud::{Markup, html};
use myelin_auth::{Browser, OwnBrowser};
use myelin_oauth_core::params::Params;

use super::devices::moment;
use super::menu::{framed, note};
use crate::browser::Visit;
use crate::messages::fill;
use crate::problem::Problem;
use crate::wish::Wish;

/// Lists them.
pub(super) async fn show(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    list(visit, browser, None).await
}

/// Signs out in one, or in all but this one.
pub(super) async fn end(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let (say, auth) = (&visit.messages().browsers, &visit.pages.auth);
    let done = match fields.get("end").ok().flatten() {
        Some("others") => auth.end_own_other_browsers(browser).await?,
        Some(id) => auth.end_own_browser(browser, id).await?,
        None => return list(visit, browser, None).await,
    };
    list(visit, browser, done.then_some(say.ended.as_str())).await
}

async fn list(visit: &Visit, browser: &Browser, message: Option<&str>) -> Result<Response, Problem> {
    let say = &visit.messages().browsers;
    let browsers = visit.pages.auth.own_browsers(browser).await?;
    let body = html! {
        (note(message))
        p.soft { (say.explain) }
        ul.devices {
            @for own in &browsers {
                li {
                    p { bdi { (own.user_agent.as_deref().unwrap_or(&say.unnamed)) } }
                    (told(visit, own))
                    @if !own.is_this { (form(visit, browser, &own.id, &say.end)) }
                }
            }
        }
        @if browsers.len() > 1 {
            form method="post" action=(Wish::Browsers.path()) {
                (visit.form_token())
                input type="hidden" name="user" value=(browser.user_id);
                input type="hidden" name="end" value="others";
                button.quiet { (say.end_others) }
            }
        }
    };
    Ok(visit.page(html! { (say.title) }, framed(visit, browser, &Wish::Browsers, &body)))
}

fn told(visit: &Visit, own: &OwnBrowser) -> Markup {
    let say = &visit.messages().browsers;
    html! {
        p.soft {
            @if own.is_this { strong { (say.this) } " · " }
            @if let Some(since) = moment(own.authenticated_at) {
                (fill(&say.since, &[("date", &html! { time { (since) } })]))
            }
            @if let Some(seen) = own.seen_at.and_then(moment).filter(|_| !own.is_this) {
                " · " (fill(&visit.messages().account.seen, &[("date", &html! { time { (seen) } })]))
            }
        }
    }
}

fn form(visit: &Visit, browser: &Browser, id: &str, button: &str) -> Markup {
    html! {
        form.inline method="post" action=(Wish::Browsers.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            input type="hidden" name="end" value=(id);
            button.link { (button) }
        }
    }
}
