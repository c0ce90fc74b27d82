//! The pages, by path.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next as Inner, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use http::{Method, StatusCode};
use maud::html;
use myelin_api::{ClientAddress, RateClass, Times};
use myelin_language::Language;
use myelin_oauth_core::params::MAX_BYTES;
use tower_http::catch_panic::CatchPanicLayer;

use crate::brand::Brand;
use crate::browser::Visit;
use crate::layout::Page;
use crate::messages::Messages;
use crate::next::{
    ACCOUNT, AUTHORIZE, DONE, FORGOT, LINK, PASSKEY_SCRIPT, PICTURE, SECOND_STEP, SIGN_IN, SIGN_OUT, SIGN_UP,
    SSO, TERMS,
};
use crate::pages::{
    account, authorize, done, forgot, link, logo, passkey_script, second_step, sign_in, sign_out, sign_up,
    sso, terms, upstream,
};
use crate::problem::Problem;
use crate::state::Pages;

/// Every page, with its methods.
pub const ROUTES: &[(&str, &[Method])] = &[
    (AUTHORIZE, &[Method::GET, Method::POST]),
    (SIGN_IN, &[Method::GET, Method::POST]),
    (SECOND_STEP, &[Method::GET, Method::POST]),
    (PASSKEY_SCRIPT, &[Method::GET]),
    (LOGO_FILE, &[Method::GET]),
    (SIGN_UP, &[Method::GET, Method::POST]),
    (FORGOT, &[Method::GET, Method::POST]),
    (SIGN_OUT, &[Method::POST]),
    (DONE, &[Method::GET]),
    (LINK, &[Method::GET, Method::POST]),
    (ACCOUNT, &[Method::GET, Method::POST]),
    (TERMS, &[Method::GET, Method::POST]),
    (PICTURE, &[Method::GET, Method::POST]),
    (SSO, &[Method::GET, Method::POST]),
    (LEAVE, &[Method::GET]),
    (COME_BACK, &[Method::GET]),
    (DECIDE, &[Method::GET, Method::POST]),
];

/// The path of one logo.
const LOGO_FILE: &str = "/oauth2/logo/{id}";
/// The paths of one provider.
const LEAVE: &str = "/oauth2/upstream/{id}";
const COME_BACK: &str = "/oauth2/upstream/{id}/callback";
const DECIDE: &str = "/oauth2/upstream/{id}/decide";

/// Whether a path is a page's.
#[must_use]
pub fn is_page(path: &str) -> bool {
    ROUTES.iter().any(|(page, _)| is_of(page, path))
}

/// Whether a path is one of a page whose path may have a part to fill in.
fn is_of(page: &str, path: &str) -> bool {
    let Some((before, after)) = page.split_once("{id}") else { return page == path };
    let id = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// The router over the pages.
pub fn router(pages: Pages) -> Router {
    let brand = Arc::clone(&pages.brand);
    let post = |handler: MethodRouter<Pages>, class| {
        handler.layer(from_fn_with_state((pages.clone(), class), limited))
    };
    Router::new()
        .route(AUTHORIZE, get(authorize::get).merge(on(MethodFilter::POST, authorize::post)))
        .route(
            SIGN_IN,
            get(sign_in::get).merge(post(on(MethodFilter::POST, sign_in::post), RateClass::Login)),
        )
        .route(
            SECOND_STEP,
            get(second_step::get).merge(post(on(MethodFilter::POST, second_step::post), RateClass::Login)),
        )
        .route(
            SIGN_UP,
            get(sign_up::get).merge(post(on(MethodFilter::POST, sign_up::post), RateClass::Login)),
        )
        .route(FORGOT, get(forgot::get).merge(post(on(MethodFilter::POST, forgot::post), RateClass::Login)))
        .route(PASSKEY_SCRIPT, get(passkey_script::get))
        .route(LOGO_FILE, get(logo::get))
        .route(SIGN_OUT, on(MethodFilter::POST, sign_out::post))
        .route(DONE, get(done::get))
        .route(LINK, get(link::get).merge(post(on(MethodFilter::POST, link::post), RateClass::Login)))
        .route(SSO, get(sso::get).merge(on(MethodFilter::POST, sso::post)))
        .route(ACCOUNT, get(account::get).merge(on(MethodFilter::POST, account::post)))
        .route(TERMS, get(terms::get).merge(on(MethodFilter::POST, terms::post)))
        .route(
            PICTURE,
            get(account::picture::get).merge(
                on(MethodFilter::POST, account::picture::post)
                    .layer(DefaultBodyLimit::max(account::picture::MAX_BODY)),
            ),
        )
        .route(LEAVE, post(on(MethodFilter::GET, upstream::leave), RateClass::Login))
        .route(COME_BACK, get(upstream::come_back))
        .route(DECIDE, get(upstream::ask).merge(on(MethodFilter::POST, upstream::decide)))
        .layer(from_fn_with_state((pages.clone(), RateClass::Normal), limited))
        .layer(from_fn_with_state((pages.clone(), times()), measured))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .layer(CatchPanicLayer::custom(move |_| panicked(&brand)))
        .with_state(pages)
}

/// How long the requests of each page took.
type PageTimes = Arc<Vec<(&'static str, Method, Times)>>;

fn times() -> PageTimes {
    let methods = ROUTES.iter().flat_map(|(path, methods)| methods.iter().map(move |method| (*path, method)));
    let times = methods.map(|(path, method)| (path, method.clone(), Times::new(method.as_str(), path)));
    Arc::new(times.collect())
}

/// Notes how long a request took, as those of programs.
async fn measured(
    State((pages, times)): State<(Pages, PageTimes)>,
    request: Request,
    next: Inner,
) -> Response {
    let start = pages.env.clock.elapsed();
    let place = {
        let (path, method) = (request.uri().path(), request.method());
        times.iter().position(|page| page.0 == path && page.1 == method)
    };
    let response = next.run(request).await;
    if let Some((_, _, times)) = place.and_then(|place| times.get(place)) {
        times.note(response.status(), pages.env.clock.elapsed().saturating_sub(start));
    }
    response
}

/// Counts a request against its address.
async fn limited(
    State((pages, class)): State<(Pages, RateClass)>,
    request: Request,
    next: Inner,
) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    if let Some(ClientAddress(address)) = address
        && let Err(error) = pages.limits.check_address(class, address, &pages.env)
    {
        let (parts, _) = request.into_parts();
        let problem = Problem::Limited(error.retry_after().unwrap_or_default());
        return Visit::of_nobody(&parts, &pages).problem(&problem);
    }
    next.run(request).await
}

/// A page panicked: a bug. The panic's message has been logged by the panic hook.
fn panicked(brand: &Brand) -> Response {
    let language = Language::default();
    let messages = Messages::of(language);
    let title = html! { (messages.problem.title) };
    let body = html! { p { (messages.common.failed) } };
    Page::plain((language, brand), StatusCode::INTERNAL_SERVER_ERROR, title, body).into_response()
}
