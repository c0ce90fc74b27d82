//! Accounts: making, changing and ending them.

pub(crate) mod deactivate;
pub(crate) mod lock;
pub(crate) mod password;
pub(crate) mod register;
pub(crate) mod register_available;
pub(crate) mod registration_token_validity;
pub(crate) mod suspend;
pub(crate) mod third_party;
pub(crate) mod whoami;
pub(crate) mod whois;

use http::StatusCode;
use myelin_auth::{AccountError, PasswordProblem, RegisterError};

use crate::Error;

fn bad_request(errcode: &'static str, message: &str) -> Error {
    Error::new(StatusCode::BAD_REQUEST, errcode, message)
}

impl From<PasswordProblem> for Error {
    fn from(problem: PasswordProblem) -> Self {
        match problem {
            PasswordProblem::Weak { least } => {
                bad_request("M_WEAK_PASSWORD", &format!("The password needs at least {least} characters."))
            }
            PasswordProblem::Guessable(_) | PasswordProblem::Breached => {
                bad_request("M_WEAK_PASSWORD", &format!("Please choose another password: {problem}."))
            }
            PasswordProblem::TooLong => {
                Self::invalid_param("The password is too long: it may have 1024 bytes.")
            }
        }
    }
}

impl From<RegisterError> for Error {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Closed => Self::forbidden("Registration is closed on this server."),
            RegisterError::Name(problem) => {
                bad_request("M_INVALID_USERNAME", &format!("This user name can't be had: {problem}."))
            }
            RegisterError::Taken => bad_request("M_USER_IN_USE", "This user name is taken."),
            RegisterError::Password(problem) => problem.into(),
            RegisterError::Device(problem) => problem.into(),
            RegisterError::Token => Self::forbidden("The registration token is not valid any more."),
            RegisterError::EmailInUse => {
                bad_request("M_THREEPID_IN_USE", "The e-mail address belongs to an account already.")
            }
            RegisterError::Busy => Self::busy(),
            RegisterError::Store(error) => error.into(),
        }
    }
}

impl From<AccountError> for Error {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Unknown => Self::not_found("There is no such account."),
            AccountError::Password(problem) => problem.into(),
            AccountError::Elsewhere => Self::forbidden(
                "The password of this account is not kept on this server; it is changed where it is kept.",
            ),
            AccountError::LastWay => Self::forbidden("This is the only way to sign in to the account."),
            AccountError::Busy => Self::busy(),
            AccountError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
