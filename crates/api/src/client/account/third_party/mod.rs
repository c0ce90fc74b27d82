//! The addresses by which a user can be reached
//! (<https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information>).
//!
//! This server validates addresses itself, and binds none to an identity server.

pub(crate) mod add;
pub(crate) mod bind;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod request_token;
pub(crate) mod submit_token;
pub(crate) mod unbind;

use http::StatusCode;
use myelin_auth::{EmailCredentials, EmailError, ThirdPartyError};
use serde::Deserialize;

use super::bad_request;
use crate::Error;

/// By what a client names the session in which an address was confirmed. An identity server that it names besides is of
/// no matter: the homeserver has validated.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    sid: String,
    client_secret: String,
}

impl From<Credentials> for EmailCredentials {
    fn from(credentials: Credentials) -> Self {
        Self { sid: credentials.sid, client_secret: credentials.client_secret }
    }
}

impl From<EmailError> for Error {
    fn from(error: EmailError) -> Self {
        match error {
            EmailError::Off => bad_request("M_THREEPID_MEDIUM_NOT_SUPPORTED", "This server sends no e-mail."),
            EmailError::Address => Self::invalid_param("This is no e-mail address that mail can be sent to."),
            EmailError::Secret => Self::invalid_param(
                "`client_secret` has between 1 and 255 of the characters 0-9 a-z A-Z . = _ -",
            ),
            EmailError::NextLink => {
                Self::invalid_param("`next_link` must be a web address that this server's operator allows.")
            }
            EmailError::Limited(wait) => Self::limit_exceeded(wait),
            EmailError::Store(error) => error.into(),
        }
    }
}

impl From<ThirdPartyError> for Error {
    fn from(error: ThirdPartyError) -> Self {
        match error {
            ThirdPartyError::NotValidated => bad_request(
                "M_THREEPID_AUTH_FAILED",
                "The address has not been confirmed in this session: open the link in the mail first.",
            ),
            ThirdPartyError::InUse => {
                bad_request("M_THREEPID_IN_USE", "The address belongs to another account.")
            }
            ThirdPartyError::TooMany => Self::new(
                StatusCode::FORBIDDEN,
                "M_THREEPID_DENIED",
                "An account has at most 32 addresses; remove one first.",
            ),
            ThirdPartyError::Unknown => Self::not_found("There is no such account."),
            ThirdPartyError::Store(error) => error.into(),
        }
    }
}
