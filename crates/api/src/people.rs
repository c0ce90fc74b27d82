//! What people see who open one of these endpoints in a browser. This crate says what is shown, `web` draws it in their language.

use axum::response::Response;
use http::{HeaderMap, header};
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
