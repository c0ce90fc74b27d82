//! `/oauth2/upstream/{id}`: signing in with an OpenID Connect provider. Leaving for it, coming back, and what there is to decide
//! then: a name for who is new, or whether two accounts are one person's.

use axum::extract::Path;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{Arrived, NameProblem, Pending, RegisterError, SignIn, UpstreamError};
use myelin_oauth_core::upstream::attempt::Stopped;
use url::form_urlencoded::Serializer;

use super::{described, named, wrong};
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::{Messages, fill};
use crate::next::{Next, SIGN_IN, UPSTREAM};
use crate::problem::Problem;
use crate::wish::Wish;

/// Sends the browser to the provider.
pub(crate) async fn leave(Path(id): Path<String>, visit: Visit) -> Response {
    let next = Next::of_query(&visit.params);
    let connects = visit.params.get("connect").ok().flatten().is_some();
    // Whoever wants something that can't be undone shows who they are first.
    let signed_in = visit.browser.as_ref().filter(|browser| visit.pages.auth.is_fresh(browser));
    if connects && signed_in.is_none() {
        return see_other(&Next::Account(Wish::Providers).through(SIGN_IN, None));
    }
    let connects = signed_in.filter(|_| connects);
    // Who is signed in already and comes all the same is to be asked who they are.
    let anew = visit.browser.is_some() && connects.is_none();
    let left = visit.pages.auth.leave_for(&id, visit.secret(), next.path(), connects, anew).await;
    match left {
        Ok(place) => visit.with_secret(see_other(&place)),
        Err(error) => told(&visit, &id, error, &next),
    }
}

/// The browser comes back.
pub(crate) async fn come_back(Path(id): Path<String>, visit: Visit) -> Response {
    match visit.pages.auth.come_back(&id, visit.secret(), &visit.params, &visit.origin()).await {
        Ok(Arrived::SignedIn { sign_in, next }) => {
            let result = go_on(&visit, &sign_in, &Next::of_path(&next)).await;
            visit.answer(result)
        }
        Ok(Arrived::Decides { state }) => {
            let query = Serializer::new(String::new()).append_pair("state", &state).finish();
            see_other(&format!("{UPSTREAM}/{id}/decide?{query}"))
        }
        Err(error) => told(&visit, &id, error, &Next::Nowhere),
    }
}

/// Asks what there is to decide.
pub(crate) async fn ask(Path(id): Path<String>, visit: Visit) -> Response {
    match pending(&visit, &id).await {
        Ok(pending) => show(&visit, &pending, None, StatusCode::OK),
        Err(error) => told(&visit, &id, error, &Next::Nowhere),
    }
}

/// The person has decided.
pub(crate) async fn decide(
    Path(id): Path<String>,
    visit: Visit,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let result = decided(&visit, &id, body).await;
    visit.answer(result)
}

async fn go_on(visit: &Visit, sign_in: &SignIn, next: &Next) -> Result<Response, Problem> {
    match sign_in {
        SignIn::Done(browser) => visit.signed_in(browser, next).await,
        SignIn::Half(half) => Ok(visit.half_signed_in(half, next)),
    }
}

fn state(visit: &Visit) -> &str {
    visit.params.get("state").ok().flatten().unwrap_or_default()
}

async fn pending(visit: &Visit, id: &str) -> Result<Pending, UpstreamError> {
    visit.pages.auth.upstream_pending(id, visit.secret(), state(visit)).await
}

async fn decided(visit: &Visit, id: &str, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let auth = &visit.pages.auth;
    let pending = match pending(visit, id).await {
        Ok(pending) => pending,
        Err(error) => return Ok(told(visit, id, error, &Next::Nowhere)),
    };
    let next = Next::of_path(&pending.next);
    if pending.connects.is_some() {
        let Some(browser) = &visit.browser else {
            return Ok(see_other(&Next::Account(Wish::Providers).through(SIGN_IN, None)));
        };
        return Ok(match auth.upstream_connect(id, visit.secret(), state(visit), browser).await {
            Ok(()) => see_other(&Wish::Providers.path()),
            Err(error) => told(visit, id, error, &next),
        });
    }
    let name = fields.get("user_name").ok().flatten().unwrap_or_default().trim();
    match auth.upstream_sign_up(id, visit.secret(), state(visit), name, &visit.origin()).await {
        Ok(sign_in) => go_on(visit, &sign_in, &next).await,
        Err(UpstreamError::Register(error)) => {
            let again = Pending { localpart: Some(name.to_owned()), ..pending };
            let message = refusal(visit.messages(), &error).to_owned();
            Ok(show(visit, &again, Some(html! { (message) }), StatusCode::BAD_REQUEST))
        }
        Err(error) => Ok(told(visit, id, error, &next)),
    }
}

fn refusal<'m>(messages: &'m Messages, error: &RegisterError) -> &'m str {
    let (say, common) = (&messages.sign_up, &messages.common);
    match error {
        RegisterError::Taken => &say.taken,
        RegisterError::Name(NameProblem::Empty) => &say.name_empty,
        RegisterError::Name(NameProblem::Character(_)) => &say.name_characters,
        RegisterError::Name(NameProblem::Reserved) => &say.name_reserved,
        RegisterError::Name(NameProblem::TooLong) => &say.name_long,
        _ => &common.failed,
    }
}

fn show(visit: &Visit, pending: &Pending, message: Option<Markup>, status: StatusCode) -> Response {
    let say = &visit.messages().upstream;
    let provider = html! { bdi { (pending.provider) } };
    let called = named(pending.called.as_deref().unwrap_or(&pending.provider));
    if let Some(user_id) = &pending.connects {
        let words: [(&str, &dyn maud::Render); 3] =
            [("provider", &provider), ("called", &called), ("user", &named(user_id.as_str()))];
        let body = html! {
            p { (fill(&say.connect_intro, &words)) }
            p { strong { (fill(&say.connect_careful, &words)) } }
            form method="post" {
                (visit.form_token())
                button { (say.connect_button) }
            }
            p.foot { a href=(Wish::Providers.path()) { (visit.messages().account.cancel) } }
        };
        return visit.page_with(status, fill(&say.connect_title, &[("provider", &provider)]), body, None);
    }
    let (sign_up, common) = (&visit.messages().sign_up, &visit.messages().common);
    let server = visit.called();
    let next = Next::of_path(&pending.next);
    let described = described(message.as_ref(), Some("user_name_hint"));
    let body = html! {
        p.soft { (fill(&say.name_intro, &[("provider", &provider), ("called", &called), ("server", &server)])) }
        (wrong(message))
        form method="post" {
            (visit.form_token())
            div.field {
                label for="user_name" { (common.user_name) }
                input #user_name name="user_name" value=[pending.localpart.as_deref()] required
                    autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false"
                    maxlength="255" autofocus
                    aria-describedby=[described];
                small #user_name_hint { (fill(&sign_up.user_name_hint, &[("server", &visit.server())])) }
            }
            button { (sign_up.button) }
        }
        p.foot.soft {
            (fill(&say.name_mine, &[("provider", &provider)])) " "
            a href=(next.through(SIGN_IN, None)) { (sign_up.sign_in) }
        }
    };
    visit.page_with(status, html! { (say.name_title) }, body, None)
}

/// Why it came to nothing, with the way to try again.
fn told(visit: &Visit, id: &str, error: UpstreamError, next: &Next) -> Response {
    let say = &visit.messages().upstream;
    let known = visit.pages.auth.providers().iter().find(|provider| provider.id == id);
    let name = known.map_or_else(String::new, |provider| provider.name.clone());
    let (status, message) = match &error {
        UpstreamError::Unknown => (StatusCode::NOT_FOUND, &say.unknown),
        UpstreamError::Stopped(Stopped::OtherBrowser) => (StatusCode::FORBIDDEN, &say.other_browser),
        UpstreamError::Stopped(Stopped::OtherProvider) => (StatusCode::FORBIDDEN, &say.other_provider),
        UpstreamError::Stopped(Stopped::Expired | Stopped::Repeated) => {
            (StatusCode::BAD_REQUEST, &say.expired)
        }
        UpstreamError::Denied(code) => {
            tracing::info!(provider = id, code, "a provider let nobody in");
            (StatusCode::FORBIDDEN, &say.denied)
        }
        UpstreamError::Provider(problem) => {
            tracing::warn!(provider = id, problem, "nobody can sign in with a provider");
            (StatusCode::BAD_GATEWAY, &say.unreachable)
        }
        UpstreamError::NotAnew => (StatusCode::FORBIDDEN, &say.not_anew),
        UpstreamError::WhenUnsaid => {
            tracing::warn!(provider = id, "a provider does not say when people signed in (auth_time)");
            (StatusCode::FORBIDDEN, &say.when_unsaid)
        }
        UpstreamError::Locked => (StatusCode::FORBIDDEN, &visit.messages().sign_in.locked),
        UpstreamError::Gone => (StatusCode::FORBIDDEN, &say.gone),
        UpstreamError::NoAccount => (StatusCode::FORBIDDEN, &say.no_account),
        UpstreamError::Connected => (StatusCode::CONFLICT, &say.connected),
        UpstreamError::OtherUser => (StatusCode::FORBIDDEN, &say.other_user),
        UpstreamError::Busy => (StatusCode::SERVICE_UNAVAILABLE, &visit.messages().common.busy),
        UpstreamError::Register(problem) => {
            tracing::warn!(provider = id, %problem, "an account could not be made");
            (StatusCode::BAD_REQUEST, &visit.messages().common.failed)
        }
        UpstreamError::Store(_) => return failed(visit, error),
    };
    let provider = html! { bdi { (name) } };
    let body = html! {
        p { (fill(message, &[("provider", &provider), ("server", &visit.called())])) }
        p { a href=(next.through(SIGN_IN, None)) { (say.again) } }
    };
    visit.page_with(status, html! { (visit.messages().problem.title) }, body, None)
}

fn failed(visit: &Visit, error: UpstreamError) -> Response {
    let problem = match error {
        UpstreamError::Store(error) => error.into(),
        _ => Problem::Failed,
    };
    visit.problem(&problem)
}

/// The ways to sign in elsewhere. Links, not forms: a form may lead to this server only, and nothing is changed by them.
pub(super) fn offers(visit: &Visit, next: &Next) -> Markup {
    let say = &visit.messages().upstream;
    let providers = visit.pages.auth.providers();
    html! {
        @if !providers.is_empty() {
            @if visit.pages.auth.offers_passwords() { p.or.soft { (say.or) } }
            @for provider in providers {
                p.elsewhere {
                    a.button href=(next.through(&format!("{UPSTREAM}/{}", provider.id), None)) {
                        (fill(&say.offer, &[("provider", &html! { bdi { (provider.name) } })]))
                    }
                }
            }
        }
    }
}
