//! What people see who open one of these endpoints in a browser. This crate says what is shown, `web` draws it in their language.

use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use myelin_auth::{Confirmation, EmailCredentials, Refusal, Stage};

/// Draws pages.
pub trait People: Send + Sync + 'static {
    /// A page for who sent a request with these headers.
    fn page(&self, headers: &HeaderMap, shown: &Shown<'_>) -> Response;
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// The question whether an address is theirs, for who opened the link in a mail. The answer is the form's `token`.
    Confirm {
        /// The address, and what it is to be used for.
        found: &'a Confirmation,
        /// What was in the link.
        token: &'a str,
        /// Where the answer may lead, beside the server itself: an origin.
        leads_to: Option<&'a str>,
    },
    /// They said yes.
    Confirmed,
    /// The link is good no more.
    LinkEnded,
    /// A stage of interactive authentication. The answer is the form's `session` and what the stage asks for: `password`, `token`,
    /// `email`, or `sid` and `secret`.
    Stage(&'a StagePage<'a>),
    /// They passed it: the page tells the client (client-server API, "Fallback").
    StagePassed,
    /// Nothing waits for it.
    StageEnded,
    /// The request was refused, with this status.
    Refused(StatusCode),
}

/// What is kept of a browser's request, to draw a page for it whatever becomes of the request.
pub(crate) struct Visitor(HeaderMap);

impl Visitor {
    /// Who sent a request with these headers, where they want a page.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let wanted = headers.get(header::ACCEPT)?.to_str().ok()?;
        wanted.contains("text/html").then(|| {
            let language = headers.get(header::ACCEPT_LANGUAGE).cloned();
            Self(language.into_iter().map(|value| (header::ACCEPT_LANGUAGE, value)).collect())
        })
    }

    /// The answer for them: in place of an error for programs, a page that says it and when to come back.
    pub(crate) fn shown(&self, people: &dyn People, response: Response) -> Response {
        let status = response.status();
        let is_page =
            response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind != "application/json");
        if is_page || !(status.is_client_error() || status.is_server_error()) {
            return response;
        }
        let mut page = people.page(&self.0, &Shown::Refused(status));
        if let Some(when) = response.headers().get(header::RETRY_AFTER) {
            page.headers_mut().insert(header::RETRY_AFTER, when.clone());
        }
        page
    }
}

/// A stage that somebody passes in a browser.
#[derive(Clone, Copy, Debug)]
pub struct StagePage<'a> {
    /// The stage.
    pub stage: Stage,
    /// The session of interactive authentication.
    pub session: &'a str,
    /// Who asks, where they have a session.
    pub user_id: Option<&'a str>,
    /// The address to which a mail is on its way, and what is shown when its link was opened.
    pub mail: Option<(&'a str, &'a EmailCredentials)>,
    /// Why the last answer was not enough.
    pub problem: Option<StageProblem>,
}

/// Why an answer was not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageProblem {
    /// It is wrong.
    Refused(Refusal),
    /// No mail can be sent to that address.
    Address,
    /// Too many answers.
    Limited,
    /// The server is busy.
    Busy,
    /// The directory can't be asked.
    Directory,
}

/// The languages that a request says its user reads (RFC 9110, section 12.5.4).
#[must_use]
pub fn accept_language(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
