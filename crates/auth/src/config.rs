//! What an operator decides about accounts and sessions.

use std::time::Duration;

use myelin_language::Language;
use myelin_runtime::Secret;
use ruma::OwnedServerName;

use crate::email::mail::Sender;
use crate::{EmailConfig, OauthConfig, Terms, TurnConfig, UpstreamProvider};

/// Who may make an account for themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Nobody; operators make accounts.
    #[default]
    Closed,
    /// Whoever has a registration token.
    Token,
    /// Everybody.
    Open,
}

/// What one password hash costs (argon2id, RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl PasswordCost {
    /// The first choice of OWASP's Password Storage Cheat Sheet for argon2id.
    pub const OWASP: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
}

/// Which ways of the legacy API are open to clients that don't log in through the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacyLogins {
    /// `m.login.password`.
    pub password: bool,
    /// `m.login.token`, and what gives such tokens: `/login/get_token` and `m.login.sso`.
    pub token: bool,
    /// `/register`; the pages, operators and their tools make accounts all the same.
    pub registration: bool,
}

impl Default for LegacyLogins {
    fn default() -> Self {
        Self { password: true, token: true, registration: true }
    }
}

/// The configuration of [`crate::Auth`].
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The server's name: the domain of its user ids.
    pub server_name: OwnedServerName,
    /// What people read that it is called, where that is not its name.
    pub service_name: Option<String>,
    /// The base URL that clients are told to use.
    pub public_url: String,
    /// Who may register.
    pub registration: RegistrationMode,
    /// Turns on shared-secret registration.
    pub registration_shared_secret: Option<Secret<String>>,
    /// How long an access token lives that came with a refresh token. Others don't expire.
    pub access_token_lifetime: Duration,
    /// How many characters a password that a user chooses has at least.
    pub min_password_chars: usize,
    /// How hard a password is to guess at least that a user chooses: 0 (anything) to 4, as zxcvbn estimates it.
    pub min_password_score: u8,
    /// What a password hash costs.
    pub password_cost: PasswordCost,
    /// Whether wrong passwords are counted against the account.
    pub limit_failures: bool,
    /// How long the audit log keeps an entry.
    pub audit_kept: Duration,
    /// The language of pages and mails for who reads none of those that there are, or has not said.
    pub language: Language,
    /// How e-mail is used.
    pub email: EmailConfig,
    /// The TURN servers that users are told of.
    pub turn: Option<TurnConfig>,
    /// OAuth 2.0.
    pub oauth: OauthConfig,
    /// What the keys of ID tokens are made of.
    pub identity_secret: Secret<[u8; 32]>,
    /// Whether people may log in with a password of this server's.
    pub password_login: bool,
    /// The providers that people may sign in with.
    pub upstream: Vec<UpstreamProvider>,
    /// What everybody accepts who uses an account.
    pub terms: Vec<Terms>,
    /// What there is beside it.
    pub legacy: LegacyLogins,
}

impl AuthConfig {
    /// The defaults: registration closed, tokens of an hour, an audit log of half a year.
    #[must_use]
    pub fn new(server_name: OwnedServerName, public_url: String) -> Self {
        Self {
            server_name,
            service_name: None,
            public_url,
            registration: RegistrationMode::Closed,
            registration_shared_secret: None,
            access_token_lifetime: Duration::from_secs(3600),
            min_password_chars: 8,
            min_password_score: 2,
            password_cost: PasswordCost::OWASP,
            limit_failures: true,
            audit_kept: Duration::from_secs(180 * 86_400),
            language: Language::default(),
            email: EmailConfig::default(),
            turn: None,
            oauth: OauthConfig::default(),
            identity_secret: Secret::new([0; 32]),
            password_login: true,
            upstream: Vec::new(),
            terms: Vec::new(),
            legacy: LegacyLogins::default(),
        }
    }

    /// What the server is called, for people.
    #[must_use]
    pub fn called(&self) -> &str {
        self.service_name.as_deref().unwrap_or(self.server_name.as_str())
    }

    /// As whom the server writes mails.
    pub(crate) fn sender(&self) -> Sender<'_> {
        Sender { called: self.called(), server_name: &self.server_name }
    }
}
