//! The accounts elsewhere that somebody signs in with.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{Browser, Connection, Disconnected, UpstreamProvider};
use myelin_oauth_core::params::Params;

use super::super::{alert, named};
use super::menu::framed;
use crate::browser::{Visit, see_other};
use crate::messages::fill;
use crate::next::{Next, SIGN_IN, UPSTREAM};
use crate::problem::Problem;
use crate::wish::Wish;

/// All providers, and which of them are connected.
pub(super) async fn list(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    show(visit, browser, StatusCode::OK, None).await
}

/// Takes one away.
pub(super) async fn act(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let auth = &visit.pages.auth;
    if !auth.is_fresh(browser) {
        let hint = Some(browser.user_id.as_str());
        return Ok(see_other(&Next::Account(Wish::Providers).through(SIGN_IN, hint)));
    }
    let Some(provider) = fields.get("disconnect").ok().flatten() else { return list(visit, browser).await };
    match auth.disconnect(browser, provider).await? {
        Disconnected::Yes | Disconnected::NotConnected => list(visit, browser).await,
        Disconnected::LastWay => {
            let message = html! { (visit.messages().upstream.last_way) };
            show(visit, browser, StatusCode::CONFLICT, Some(message)).await
        }
    }
}

async fn show(
    visit: &Visit,
    browser: &Browser,
    status: StatusCode,
    message: Option<Markup>,
) -> Result<Response, Problem> {
    let say = &visit.messages().upstream;
    let held = visit.pages.auth.connections(browser).await?;
    let body = html! {
        p.soft { (say.connections_intro) }
        (alert(message))
        ul.devices {
            @for provider in visit.pages.auth.providers() {
                li { (entry(visit, browser, provider, held.iter().find(|one| one.provider == provider.id))) }
            }
        }
    };
    let body = framed(visit, browser, &Wish::Providers, &body);
    Ok(visit.page_with(status, html! { (say.connections_title) }, body, None))
}

fn entry(visit: &Visit, browser: &Browser, provider: &UpstreamProvider, held: Option<&Connection>) -> Markup {
    let say = &visit.messages().upstream;
    html! {
        p { bdi { (provider.name) } }
        @match held {
            Some(connection) => {
                @if let Some(called) = &connection.called {
                    p.soft { (fill(&say.connected_as, &[("called", &named(called))])) }
                }
                form.inline method="post" action=(Wish::Providers.path()) {
                    (visit.form_token())
                    input type="hidden" name="user" value=(browser.user_id);
                    button.link name="disconnect" value=(provider.id) {
                        (fill(&say.disconnect, &[("provider", &html! { bdi { (provider.name) } })]))
                    }
                }
            }
            None => {
                p { a href={ (UPSTREAM) "/" (provider.id) "?connect=yes" } {
                    (fill(&say.connect, &[("provider", &html! { bdi { (provider.name) } })]))
                } }
            }
        }
    }
}
