//! What goes wrong, as a page says it.

use std::time::Duration;

use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{OauthError, StoreError};
use myelin_oauth_core::error::Refusal;

use crate::messages::{Messages, fill};

/// Why a page does not do what was wanted.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A client asked for something that can't be, and nobody knows where to tell it.
    Client(Refusal),
    /// The same, and it is told at this address when the person follows a link there. The browser is not sent by itself:
    /// anybody may register a client, and the server's address would lead wherever they like (RFC 9700, section 4.11.2).
    Told {
        /// What is wrong.
        refusal: Refusal,
        /// What the client is called.
        client: String,
        /// Where the link leads.
        place: String,
    },
    /// A form that is not one of ours, or was open for too long.
    Form,
    /// Too many attempts.
    Limited(Duration),
    /// The server failed; it has said so in its log.
    Failed,
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a page failed");
        Self::Failed
    }
}

impl From<OauthError> for Problem {
    fn from(error: OauthError) -> Self {
        match error {
            OauthError::Refused(refusal) => Self::Client(refusal),
            OauthError::Store(error) => error.into(),
        }
    }
}

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Client(_) | Self::Told { .. } => StatusCode::BAD_REQUEST,
            Self::Form => StatusCode::FORBIDDEN,
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn body(&self, messages: &Messages) -> Markup {
        let Messages { problem, common, .. } = messages;
        match self {
            Self::Client(refusal) => html! {
                p { (problem.explain) }
                p.soft { (problem.for_developers) " " bdi lang="en" { (refusal.description) } }
            },
            Self::Told { refusal, client, place } => html! {
                p { (problem.explain) }
                p { a href=(place) rel="noreferrer" { (fill(&problem.back, &[("client", &html! { bdi { (client) } })])) } }
                p.soft { (problem.for_developers) " " bdi lang="en" { (refusal.description) } }
            },
            Self::Form => html! { p { (problem.form) } },
            Self::Limited(_) => html! { p { (common.wait) } },
            Self::Failed => html! { p { (common.failed) } },
        }
    }
}
