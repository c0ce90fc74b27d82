//! What the pages reach.

use std::sync::Arc;

use myelin_api::Limits;
use myelin_auth::{Auth, RegistrationMode};
use myelin_media::Media;
use myelin_oauth_core::metadata::issuer;
use myelin_rooms::Rooms;
use myelin_runtime::Env;
use myelin_users::Users;

use crate::brand::Brand;

/// What the pages reach.
#[derive(Clone)]
pub struct Pages {
    /// Accounts, clients and grants.
    pub auth: Arc<Auth>,
    /// Profiles and account data.
    pub users: Arc<Users>,
    /// The pictures that people show.
    pub media: Arc<Media>,
    /// Who is in which room.
    pub rooms: Arc<Rooms>,
    /// What the operator makes of them.
    pub brand: Arc<Brand>,
    /// Clock and randomness.
    pub env: Env,
    /// Rate limits.
    pub limits: Arc<Limits>,
}

/// What somebody needs who makes an account on these pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignUp {
    /// A registration token.
    pub(crate) token: bool,
    /// An e-mail address that they read mails of.
    pub(crate) email: bool,
}

impl Pages {
    /// Whether people may make accounts here.
    #[must_use]
    pub fn offers_sign_up(&self) -> bool {
        self.sign_up().is_some() || self.auth.providers().iter().any(|provider| provider.sign_up)
    }

    /// What they need for it; nothing where they may not.
    pub(crate) fn sign_up(&self) -> Option<SignUp> {
        let config = self.auth.config();
        let email = config.email.required_to_register;
        match config.registration {
            RegistrationMode::Closed => None,
            _ if !config.password_login => None,
            _ if email && !self.auth.sends_email() => None,
            RegistrationMode::Token => Some(SignUp { token: true, email }),
            RegistrationMode::Open => Some(SignUp { token: false, email }),
        }
    }

    /// The same of who is invited.
    pub(crate) fn sign_up_invited(&self) -> SignUp {
        let email = self.auth.config().email.required_to_register && self.auth.sends_email();
        SignUp { token: false, email }
    }

    pub(crate) fn issuer(&self) -> String {
        issuer(&self.auth.config().public_url)
    }

    /// Whether browsers reach the server by HTTPS, so that cookies can be kept to it.
    pub(crate) fn is_https(&self) -> bool {
        self.auth.config().public_url.starts_with("https://")
    }
}
