//! `GET` and `POST /oauth2/authorize` (RFC 6749, section 4.1.1): whether a client may act for who is signed in.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, Render, html};
use myelin_auth::{Browser, OauthError};
use myelin_oauth_core::authorization::{self, Answer, Prompt, Request, Wanted};
use myelin_oauth_core::client::ClientMetadata;
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_oauth_core::params::Params;

use super::account::called;
use super::{name_of, named};
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{AUTHORIZE, Next, SIGN_IN, SIGN_UP};
use crate::problem::Problem;

/// Asks the person, or has them sign in first.
pub(crate) async fn get(visit: Visit) -> Response {
    let result = ask(&visit).await;
    visit.answer(result)
}

/// The person has decided.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = decide(&visit, body).await;
    visit.answer(result)
}

/// What a client asks for.
struct Asked {
    request: Request,
    client: ClientMetadata,
}

async fn read(visit: &Visit) -> Result<Asked, Problem> {
    let params = Params::parse(visit.query.as_bytes()).map_err(Problem::Client)?;
    let client_id = authorization::client_id(&params).map_err(Problem::Client)?;
    let client = visit.pages.auth.oauth_client(client_id).await?;
    let unknown = || Refusal::new(ErrorCode::InvalidClient, "The client_id is unknown: register first.");
    let client = client.ok_or_else(|| Problem::Client(unknown()))?;
    match Request::parse(&params, &client) {
        Ok(request) => Ok(Asked { request, client }),
        Err(authorization::Problem::Page(refusal)) => Err(Problem::Client(refusal)),
        Err(authorization::Problem::Redirect(answer, refusal)) => Err(told(visit, &client, &answer, refusal)),
    }
}

/// What is wrong with a request, with the way to tell its client.
fn told(visit: &Visit, client: &ClientMetadata, answer: &Answer, refusal: Refusal) -> Problem {
    let place = answer.with_refusal(&refusal, &visit.pages.issuer());
    Problem::Told { refusal, client: name_of(client, visit).to_owned(), place }
}

async fn ask(visit: &Visit) -> Result<Response, Problem> {
    let Asked { request, client } = read(visit).await?;
    let hint = request.login_hint.as_deref();
    match (request.prompt, &visit.browser) {
        (Prompt::None, browser) => {
            // Nobody approved this client for good: without a question there is no answer.
            let code =
                if browser.is_none() { ErrorCode::LoginRequired } else { ErrorCode::InteractionRequired };
            let refusal = Refusal::new(code, "The user must be asked.");
            Err(told(visit, &client, &request.answer, refusal))
        }
        (Prompt::Create, _) if visit.pages.offers_sign_up() => {
            Ok(see_other(&Next::heeded(&visit.query).through(SIGN_UP, hint)))
        }
        (Prompt::SignIn | Prompt::Create, _) | (_, None) => {
            Ok(see_other(&Next::heeded(&visit.query).through(SIGN_IN, hint)))
        }
        (Prompt::Any, Some(browser)) if hint.is_some_and(|hint| !is_meant(hint, browser)) => {
            Ok(see_other(&Next::heeded(&visit.query).through(SIGN_IN, hint)))
        }
        // Whether they did so is told to the client by `auth_time`.
        (Prompt::Any, Some(browser)) if request.max_age.is_some_and(|age| is_older(visit, browser, age)) => {
            Ok(see_other(&Next::heeded(&visit.query).through(SIGN_IN, Some(browser.user_id.as_str()))))
        }
        (Prompt::Any, Some(browser)) => consent(visit, &request, &client, browser).await,
    }
}

/// Whether somebody showed who they are so many seconds ago, or longer.
fn is_older(visit: &Visit, browser: &Browser, seconds: u32) -> bool {
    let now = i64::try_from(visit.pages.env.clock.now()).unwrap_or(i64::MAX);
    now.saturating_sub(browser.shown_at) >= i64::from(seconds).saturating_mul(1_000)
}

/// Whether a hint may mean who is signed in.
fn is_meant(hint: &str, browser: &Browser) -> bool {
    hint == browser.user_id.as_str() || hint == browser.user_id.localpart()
}

async fn decide(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let form = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let Asked { request, client } = read(visit).await?;
    let Some(browser) = &visit.browser else {
        return Ok(see_other(&Next::heeded(&visit.query).through(SIGN_IN, None)));
    };
    // Somebody else signed in meanwhile, in another window: who decides is to know for whom.
    if form.get("user").ok().flatten() != Some(browser.user_id.as_str()) {
        return consent(visit, &request, &client, browser).await;
    }
    visit.count(browser)?;
    let issuer = visit.pages.issuer();
    let result = match form.get("decision").ok().flatten() {
        Some("approve") => visit.pages.auth.approve(browser, &request).await,
        _ => Err(Refusal::new(ErrorCode::AccessDenied, "The user said no.").into()),
    };
    match result {
        Ok(code) => Ok(see_other(&request.answer.with_code(code.expose(), &issuer))),
        Err(OauthError::Refused(refusal)) => Ok(see_other(&request.answer.with_refusal(&refusal, &issuer))),
        Err(OauthError::Store(error)) => Err(error.into()),
    }
}

async fn consent(
    visit: &Visit,
    request: &Request,
    client: &ClientMetadata,
    browser: &Browser,
) -> Result<Response, Problem> {
    let say = &visit.messages().consent;
    let name = name_of(client, visit);
    let target = request.answer.target();
    let again = Next::heeded(&visit.query);
    let wanted = wanted(visit, browser, (request, client), name).await?;
    let body = html! {
        div.person {
            p { (fill(&say.signed_in_as, &[("user", &named(browser.user_id.as_str()))])) }
            p { a href=(again.through(SIGN_IN, None)) { (say.not_you) } }
        }
        (wanted)
        @if target.is_app() {
            p.soft { (say.sent_to_app) }
        } @else {
            p.soft { (fill(&say.sent_to, &[("place", &target.csp_source())])) }
        }
        form method="post" action={ (AUTHORIZE) "?" (visit.query) } {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            button name="decision" value="approve" { (say.approve) }
            button.quiet name="decision" value="deny" { (say.deny) }
        }
        (links(visit, client, name))
    };
    let title = fill(&say.title, &[("client", &html! { bdi { (name) } })]);
    Ok(visit.page_with(StatusCode::OK, title, body, Some(target.csp_source())))
}

/// The device that the client will be; where the person has one of this id, that one's session ends.
pub(super) async fn device_of(visit: &Visit, browser: &Browser, device_id: &str) -> Result<Markup, Problem> {
    let say = &visit.messages().consent;
    let shown = html! { bdi { (device_id) } };
    Ok(match visit.pages.auth.own_device(browser, &device_id.into()).await? {
        None => html! { p.soft { (fill(&say.device, &[("device", &shown)])) } },
        Some(taken) => {
            let name = called(visit, &taken);
            html! { p { strong { (fill(&say.replaces, &[("device", &shown), ("name", &name)])) } } }
        }
    })
}

/// What the client will be able to do, or to know.
async fn wanted(
    visit: &Visit,
    browser: &Browser,
    (request, client): (&Request, &ClientMetadata),
    name: &str,
) -> Result<Markup, Problem> {
    let say = &visit.messages().consent;
    let device = match request.wanted.device_id() {
        Some(device_id) => Some(device_of(visit, browser, device_id).await?),
        None => None,
    };
    let words: [(&str, &dyn Render); 2] = [("client", &named(name)), ("host", &client.client_uri.host())];
    // Where the answer goes to the client's own host, that vouches for it; who gets an app's answer is anybody's guess.
    let is_app = request.answer.target().is_app();
    Ok(match &request.wanted {
        Wanted::Session(_) => html! {
            p { (fill(if is_app { &say.wants_unproved } else { &say.wants }, &words)) }
            ul {
                li { (say.account) }
                li { (say.messages) }
            }
            @if let Some(device) = device { (device) }
        },
        Wanted::Identity(scope) => html! {
            p { (fill(&say.wants_to_know, &words)) }
            ul {
                li { (say.name) }
                @if scope.has("email") { li { (say.email) } }
            }
            @if is_app { p { strong { (say.careful) } } }
        },
    })
}

/// The client's own terms and policy.
pub(super) fn links(visit: &Visit, client: &ClientMetadata, name: &str) -> Markup {
    let say = &visit.messages().consent;
    let language = visit.language.tag();
    let pages = [(client.tos_uri.get(language), &say.terms), (client.policy_uri.get(language), &say.policy)];
    let pages: Vec<_> = pages.into_iter().filter_map(|(page, text)| Some((page?, text))).collect();
    html! {
        @if !pages.is_empty() {
            p.foot.soft {
                (fill(&say.links, &[("client", &html! { bdi { (name) } })]))
                @for (number, (page, text)) in pages.into_iter().enumerate() {
                    @if number > 0 { " ·" }
                    " " a href=(page) target="_blank" rel="noopener noreferrer" { (text) }
                }
            }
        }
    }
}
