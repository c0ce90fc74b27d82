//! Signing in with OpenID Connect providers that the operator chose: the driver of `oauth_core::upstream`.
//!
//! Somebody at a provider is somebody here by a link ([`myelin_store::schema::upstream::UpstreamLink`]); it is made when they make
//! their account, when they connect both on the account page, or by name where the operator says that the provider is to be
//! trusted with that. What is begun in a session at the provider (browsers, devices) bears its mark, the *origin*, and ends with
//! it (`logout`).

mod attempt;
pub(crate) mod connect;
mod decide;
mod exchange;
mod keys;
mod known;
mod logout;

use futures_util::future::BoxFuture;
use myelin_oauth_core::upstream::attempt::Stopped;
use myelin_oauth_core::upstream::mapping::Mapping;
use myelin_runtime::Secret;
use myelin_store::Batch;
use myelin_store::schema::upstream::DeviceOrigin;
use ruma::{DeviceId, OwnedUserId, UserId};
use url::Url;

use crate::{Auth, RegisterError, StoreError};

pub use self::attempt::Arrived;
pub use self::connect::{Connection, Disconnected};
pub use self::decide::Pending;
pub use self::exchange::Person;
pub use self::known::ProviderState;
pub(crate) use self::known::Upstreams;

/// What becomes of somebody's first sign-in where an account has the name that they would get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExistingAccount {
    /// They choose another name, or connect the two while they are signed in to it.
    #[default]
    Apart,
    /// It is theirs: the provider decides who has which name. Never an administrator's.
    Theirs,
}

/// A provider, as its operator and this server's agreed.
#[derive(Clone, Debug)]
pub struct UpstreamProvider {
    /// By which it is known here: a part of paths.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its issuer, to the letter.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// How this server shows that there; nothing where PKCE alone has to do.
    pub client_secret: Option<Secret<String>>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What becomes of its claims.
    pub mapping: Mapping,
    /// What becomes of somebody whose name is an account's.
    pub existing: ExistingAccount,
    /// Whether people may make accounts by it.
    pub sign_up: bool,
    /// What becomes of who must show anew who they are, where it does not say when they did.
    pub says_when: SaysWhen,
}

/// What is known of a provider about `auth_time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaysWhen {
    /// It says when somebody showed who they are: who was to do so anew, of whom it does not say that, has not.
    #[default]
    Always,
    /// It may not say so; then that it was asked to ask is enough.
    NotAlways,
}

/// A request to a provider.
#[derive(Debug)]
pub struct ProviderRequest<'a> {
    /// Where it goes: by HTTPS, or on this machine.
    pub url: &'a Url,
    /// The `Authorization` header.
    pub authorization: Option<Secret<String>>,
    /// The form that is posted; without one it is a `GET`.
    pub form: Option<Secret<String>>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderAnswer {
    /// The status.
    pub status: u16,
    /// The body, bounded.
    pub body: Vec<u8>,
}

/// The way to providers. Bounded in time and size, and it follows no redirects.
pub trait ProviderFetch: Send + Sync + 'static {
    /// Sends a request. The error says in plain words what stood in the way.
    fn fetch<'a>(&'a self, request: ProviderRequest<'a>) -> BoxFuture<'a, Result<ProviderAnswer, String>>;
}

/// Who keeps profiles: a new account is called what its user is called elsewhere.
pub trait Newcomers: Send + Sync + 'static {
    /// Sets the display name of an account that was made just now. Where that fails, it has none for the time being.
    fn named<'a>(&'a self, user_id: &'a UserId, display_name: &'a str) -> BoxFuture<'a, ()>;
}

/// Why a sign-in with a provider comes to nothing.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// There is no such provider.
    #[error("there is no provider of this id")]
    Unknown,
    /// It does not go on.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The provider, or the person there, said no: its error code, as far as it is one.
    #[error("the provider said {0}")]
    Denied(String),
    /// The provider can't be used now.
    #[error("{0}")]
    Provider(String),
    /// The person was to show there anew who they are, and was let in without.
    #[error("the provider let somebody in without asking who they are")]
    NotAnew,
    /// The same, where the provider does not say whether they did.
    #[error("the provider does not say when somebody showed who they are")]
    WhenUnsaid,
    /// The account is locked.
    #[error("the account is locked")]
    Locked,
    /// The account was deactivated.
    #[error("the account was deactivated")]
    Gone,
    /// There is no account, and none can be made by this provider.
    #[error("there is no account, and none can be made by this provider")]
    NoAccount,
    /// Somebody else's account here is connected to it, or the account here to somebody else there.
    #[error("one of the two is connected to another account")]
    Connected,
    /// Somebody else is signed in than who began.
    #[error("somebody else is signed in")]
    OtherUser,
    /// Too many sign-ins are under way.
    #[error("too many sign-ins are under way")]
    Busy,
    /// The account can't be made.
    #[error(transparent)]
    Register(RegisterError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for UpstreamError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl From<RegisterError> for UpstreamError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Store(error) => Self::Store(error),
            other => Self::Register(other),
        }
    }
}

impl Auth {
    /// The same, with a way to providers and to who keeps profiles; without them the configured providers are not offered.
    #[must_use]
    pub fn with_providers(
        mut self,
        fetch: std::sync::Arc<dyn ProviderFetch>,
        newcomers: std::sync::Arc<dyn Newcomers>,
    ) -> Self {
        self.upstreams = Some(Upstreams::new(fetch, self.config.upstream.len()));
        self.newcomers = Some(newcomers);
        self
    }

    /// The providers that people may sign in with.
    #[must_use]
    pub fn providers(&self) -> &[UpstreamProvider] {
        if self.upstreams.is_some() { &self.config.upstream } else { &[] }
    }

    /// Whether people of this server may have passwords here, and forget them.
    #[must_use]
    pub fn keeps_passwords(&self) -> bool {
        self.config.password_login
    }

    /// Whether people may log in by typing a name and a password, of this server or of the directory.
    #[must_use]
    pub fn offers_passwords(&self) -> bool {
        self.config.password_login || self.directory.is_some()
    }

    /// Where a provider sends browsers back to: its own path, so that nobody takes one provider's answer for another's.
    #[must_use]
    pub fn redirect_uri(&self, provider: &UpstreamProvider) -> String {
        format!("{}/oauth2/upstream/{}/callback", self.config.public_url, provider.id)
    }

    /// Where a provider tells that somebody signed out there.
    #[must_use]
    pub fn logout_uri(&self, provider: &UpstreamProvider) -> String {
        format!("{}/oauth2/upstream/{}/logout", self.config.public_url, provider.id)
    }

    pub(crate) fn provider(&self, id: &str) -> Result<(&Upstreams, usize, &UpstreamProvider), UpstreamError> {
        let upstreams = self.upstreams.as_ref().ok_or(UpstreamError::Unknown)?;
        let found = self.config.upstream.iter().enumerate().find(|(_, provider)| provider.id == id);
        found.map(|(number, provider)| (upstreams, number, provider)).ok_or(UpstreamError::Unknown)
    }
}

/// Adds the origin of a device to the batch that opens its session.
pub(crate) fn put_origin(
    batch: &mut Batch,
    (user_id, device_id): (&OwnedUserId, &DeviceId),
    origin: Option<&str>,
) {
    if let Some(origin) = origin {
        batch.put(&DeviceOrigin {
            user_id: user_id.clone(),
            device_id: device_id.to_owned(),
            origin: origin.to_owned(),
        });
    }
}
