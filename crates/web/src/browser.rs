//! One request of a browser: who is signed in, in which language, and how pages are answered to it.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use maud::{Markup, html};
use myelin_api::{ClientAddress, accept_language};
use myelin_auth::{Browser, HalfSignedIn, NewBrowser, NewHalf, Origin};
use myelin_language::Language;
use myelin_oauth_core::params::Params;
use myelin_runtime::Secret;

use crate::cookie::Cookie;
use crate::guard;
use crate::layout::{Page, Script};
use crate::messages::Messages;
use crate::next::{Next, SECOND_STEP, TERMS};
use crate::pages::terms;
use crate::problem::Problem;
use crate::state::Pages;

/// Letters and digits in the token of a form.
const FORM_TOKEN: usize = 32;

/// Letters and digits by which a page's policy knows its script.
const NONCE: usize = 22;

/// A request of a browser.
pub(crate) struct Visit {
    /// What the pages reach.
    pub(crate) pages: Pages,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its query, as it was sent.
    pub(crate) query: String,
    /// The same, read; empty where it can't be.
    pub(crate) params: Params,
    /// The address that it came from.
    address: Option<IpAddr>,
    /// The language of the answer.
    pub(crate) language: Language,
    /// Who is signed in.
    pub(crate) browser: Option<Browser>,
    /// What forms repeat.
    form_token: String,
    /// Whether the browser does not have it yet.
    is_new_token: bool,
}

impl FromRequestParts<Pages> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Response> {
        let mut visit = Self::of_nobody(parts, pages);
        if let Some(cookie) = Cookie::Session.read(&visit.headers, pages.is_https()) {
            match pages.auth.browser(cookie).await {
                Ok(browser) => visit.browser = browser,
                Err(error) => return Err(visit.problem(&error.into())),
            }
        }
        let path = parts.uri.path();
        let owes_terms = visit.browser.as_ref().is_some_and(|browser| browser.owes_terms);
        if owes_terms && terms::must_come_first(&visit, path) {
            return Err(see_other(&visit.here(path).through(TERMS, None)));
        }
        Ok(visit)
    }
}

impl Visit {
    /// The request, before anybody looked who is signed in.
    pub(crate) fn of_nobody(parts: &Parts, pages: &Pages) -> Self {
        let headers = parts.headers.clone();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let params = Params::parse(query.as_bytes()).unwrap_or_default();
        let language = {
            let inner = Next::of_query(&params).params();
            let locales = inner.as_ref().unwrap_or(&params).get("ui_locales").ok().flatten();
            let client = locales.unwrap_or_default().split(' ');
            Language::choose(client, accept_language(&headers)).unwrap_or(pages.auth.config().language)
        };
        let known = Cookie::Form.read(&headers, pages.is_https()).filter(|token| token.len() == FORM_TOKEN);
        let (form_token, is_new_token) = match known {
            Some(token) => (token.to_owned(), false),
            None => (pages.env.random.alphanumeric(FORM_TOKEN), true),
        };
        let address = parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address);
        let (pages, browser) = (pages.clone(), None);
        Self { pages, address, query, params, language, browser, form_token, is_new_token, headers }
    }

    /// From where it comes, for who shows a password.
    pub(crate) fn origin(&self) -> Origin {
        let known = Cookie::Known.read(&self.headers, self.pages.is_https());
        let user_agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let mut origin = Origin::of(self.address);
        origin.language = Some(self.language);
        origin.browser = known.map(|known| Secret::new(known.to_owned()));
        origin.user_agent = user_agent.map(str::to_owned);
        origin
    }

    /// This page, as the place to come back to.
    fn here(&self, path: &str) -> Next {
        Next::of_path(&if self.query.is_empty() { path.to_owned() } else { format!("{path}?{}", self.query) })
    }

    pub(crate) fn messages(&self) -> &'static Messages {
        Messages::of(self.language)
    }

    /// What the server is called.
    pub(crate) fn called(&self) -> &str {
        self.pages.brand.name()
    }

    /// The name that user ids end with.
    pub(crate) fn server(&self) -> &str {
        self.pages.auth.config().server_name.as_str()
    }

    /// Counts what somebody does on the pages against them, wherever they are.
    pub(crate) fn count(&self, browser: &Browser) -> Result<(), Problem> {
        let counted = self.pages.limits.check_person(&browser.user_id, &self.pages.env);
        counted.map_err(|error| Problem::Limited(error.retry_after().unwrap_or_default()))
    }

    /// What only this browser has.
    pub(crate) fn secret(&self) -> &str {
        &self.form_token
    }

    /// The answer, with that for the browser to keep.
    pub(crate) fn with_secret(&self, mut response: Response) -> Response {
        if self.is_new_token {
            set(&mut response, Cookie::Form.set(&self.form_token, self.pages.is_https(), None));
        }
        response
    }

    /// What every form has.
    pub(crate) fn form_token(&self) -> Markup {
        html! { input type="hidden" name=(guard::FIELD) value=(self.form_token); }
    }

    /// A page.
    pub(crate) fn page(&self, title: Markup, body: Markup) -> Response {
        self.page_with(StatusCode::OK, title, body, None)
    }

    /// A page with a status, and a form whose answer leads elsewhere.
    pub(crate) fn page_with(
        &self,
        status: StatusCode,
        title: Markup,
        body: Markup,
        form_leads_to: Option<String>,
    ) -> Response {
        self.sent(Page { status, form_leads_to, ..self.plain(title, body) })
    }

    /// A page whose button asks the browser for a passkey.
    pub(crate) fn page_asking(&self, status: StatusCode, title: Markup, body: Markup) -> Response {
        let script = Script::Passkeys { nonce: self.pages.env.random.alphanumeric(NONCE) };
        self.sent(Page { status, script, ..self.plain(title, body) })
    }

    /// A page that shows a picture of this server.
    pub(crate) fn page_with_picture(&self, status: StatusCode, title: Markup, body: Markup) -> Response {
        self.sent(Page { status, has_picture: true, ..self.plain(title, body) })
    }

    /// A page that tells the client by which somebody came that they are done.
    pub(crate) fn page_telling(&self, title: Markup, body: Markup) -> Response {
        self.sent(Page { script: Script::Tells, ..self.plain(title, body) })
    }

    fn plain(&self, title: Markup, body: Markup) -> Page<'_> {
        Page::plain((self.language, &self.pages.brand), StatusCode::OK, title, body)
    }

    fn sent(&self, page: Page<'_>) -> Response {
        self.with_secret(page.into_response())
    }

    /// The page of a problem.
    pub(crate) fn problem(&self, problem: &Problem) -> Response {
        let messages = self.messages();
        let title = html! { (messages.problem.title) };
        let mut response = self.page_with(problem.status(), title, problem.body(messages), None);
        if let Problem::Limited(wait) = problem {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// The answer, or the page of the problem.
    pub(crate) fn answer(&self, result: Result<Response, Problem>) -> Response {
        result.unwrap_or_else(|problem| self.problem(&problem))
    }

    /// Signs the browser in, and sends it on. Whoever was signed in in it is not any more.
    pub(crate) async fn signed_in(&self, new: &NewBrowser, next: &Next) -> Result<Response, Problem> {
        let https = self.pages.is_https();
        if let Some(before) = Cookie::Session.read(&self.headers, https) {
            self.pages.auth.sign_out(before).await?;
        }
        let mut response = see_other(&next.path());
        set(&mut response, Cookie::Session.set(new.cookie.expose(), https, Some(new.lifetime)));
        if Cookie::Half.read(&self.headers, https).is_some() {
            set(&mut response, Cookie::Half.clear(https));
        }
        let (known, lifetime) = &new.known;
        set(&mut response, Cookie::Known.set(known.expose(), https, Some(*lifetime)));
        Ok(response)
    }

    /// Remembers that the browser's person has shown their password, and asks for the second step.
    pub(crate) fn half_signed_in(&self, half: &NewHalf, next: &Next) -> Response {
        let mut response = see_other(&next.through(SECOND_STEP, None));
        let cookie = Cookie::Half.set(half.cookie.expose(), self.pages.is_https(), Some(half.lifetime));
        set(&mut response, cookie);
        response
    }

    /// Who is half signed in in the browser.
    pub(crate) fn half(&self) -> Option<HalfSignedIn> {
        let cookie = Cookie::Half.read(&self.headers, self.pages.is_https())?;
        self.pages.auth.half_signed_in(cookie)
    }

    /// Signs the browser out.
    pub(crate) async fn signed_out(&self, mut response: Response) -> Result<Response, Problem> {
        let https = self.pages.is_https();
        if let Some(cookie) = Cookie::Session.read(&self.headers, https) {
            self.pages.auth.sign_out(cookie).await?;
        }
        set(&mut response, Cookie::Session.clear(https));
        Ok(response)
    }
}

/// Sends the browser elsewhere, by `GET`.
pub(crate) fn see_other(place: &str) -> Response {
    let mut response = Redirect::to(place).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The place may have a code in it, and this one a client's request.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn set(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
