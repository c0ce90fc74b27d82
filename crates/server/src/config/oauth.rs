//! OAuth 2.0.

use serde::{Deserialize, Serialize};

use super::Provider;

/// The shortest secret of services, in characters.
const MIN_SECRET: usize = 16;

/// Logging in through the browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth {
    /// Whether clients may do so.
    pub enabled: bool,
    /// What a service shows that may ask about tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_secret: Option<String>,
    /// OpenID Connect providers that people may sign in with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Provider>,
}

impl Default for Oauth {
    fn default() -> Self {
        Self { enabled: true, introspection_secret: None, providers: Vec::new() }
    }
}

/// Logging in and registering by the legacy API, without a browser.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LegacyLogin {
    /// Whether clients may log in with a password (`m.login.password`).
    pub password: bool,
    /// Whether they may with a login token (`m.login.token`), and get one (`/login/get_token`, `m.login.sso`).
    pub token: bool,
    /// Whether they may make accounts (`/register`), as far as `registration` lets anybody.
    pub registration: bool,
}

impl Default for LegacyLogin {
    fn default() -> Self {
        Self { password: true, token: true, registration: true }
    }
}

impl Oauth {
    /// What is wrong, with its key.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let is_short = self.introspection_secret.as_ref().is_some_and(|secret| secret.len() < MIN_SECRET);
        is_short.then_some(("oauth.introspection_secret", "must have at least 16 characters"))
    }
}
