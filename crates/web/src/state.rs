//! What the pages reach.

use std::sync::Arc;

use myelin_api::Limits;
use myelin_auth::{Auth, RegistrationMode};
use myelin_oauth_core::metadata::issuer;
use myelin_runtime::Env;

/// What the pages reach.
#[derive(Clone)]
pub struct Pages {
    /// Accounts, clients and grants.
    pub auth: Arc<Auth>,
    /// Clock and randomness.
    pub env: Env,
    /// Rate limits.
    pub limits: Arc<Limits>,
}

/// How somebody may make an account on these pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignUp {
    /// Not at all.
    Closed,
    /// With a registration token.
    WithToken,
    /// As they like.
    Open,
}

impl Pages {
    /// Whether people may make accounts here. Where an address must be confirmed first, clients do that.
    #[must_use]
    pub fn offers_sign_up(&self) -> bool {
        self.sign_up() != SignUp::Closed
    }

    pub(crate) fn sign_up(&self) -> SignUp {
        let config = self.auth.config();
        match config.registration {
            _ if config.email.required_to_register => SignUp::Closed,
            RegistrationMode::Closed => SignUp::Closed,
            RegistrationMode::Token => SignUp::WithToken,
            RegistrationMode::Open => SignUp::Open,
        }
    }

    pub(crate) fn issuer(&self) -> String {
        issuer(&self.auth.config().public_url)
    }

    /// Whether browsers reach the server by HTTPS, so that cookies can be kept to it.
    pub(crate) fn is_https(&self) -> bool {
        self.auth.config().public_url.starts_with("https://")
    }
}
