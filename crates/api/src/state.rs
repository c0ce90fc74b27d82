//! What the endpoints reach: one handle for each service, taken by name with `State<Arc<Service>>`.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use futures_util::future::BoxFuture;
use myelin_auth::Auth;
use myelin_e2ee::E2ee;
use myelin_media::{Media, Previews};
use myelin_model::Requester;
use myelin_notify::Notify;
use myelin_oauth_core::metadata::ServerMetadata;
use myelin_rooms::Rooms;
use myelin_runtime::{Env, Quota, RateLimiter, neighbourhood};
use myelin_search::Search;
use ruma::{OwnedServerName, UserId};

use crate::{Access, Error, People, Support};

/// Turns an access token into the one who asks. `auth` provides it; OAuth tokens will pass the same door.
pub trait Authenticate: Send + Sync + 'static {
    /// Whose token it is.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Requester, Error>>;

    /// The same, for a route that the holder of a locked account may call ([`Access::LoggingOut`]).
    fn authenticate_locked<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Requester, Error>> {
        self.authenticate(token)
    }

    /// A session was used, from this address. Must not wait for anything.
    fn seen(&self, _requester: &Requester, _address: Option<IpAddr>) {}
}

/// This server's name, for endpoints that tell it.
#[derive(Clone, Debug)]
pub struct ServerName(pub OwnedServerName);

/// What the authorization server says of itself; nothing where OAuth 2.0 is not served.
#[derive(Clone, Debug)]
pub struct Oauth(pub Option<Arc<ServerMetadata>>);

/// What the endpoints reach. They never take it whole.
#[derive(Clone)]
pub struct ApiState {
    /// Clock, randomness and pools.
    pub env: Env,
    /// Who a token belongs to.
    pub tokens: Arc<dyn Authenticate>,
    /// Accounts, sessions and devices.
    pub auth: Arc<Auth>,
    /// Device keys, one-time keys, cross-signing, to-device messages, key backups.
    pub e2ee: Arc<E2ee>,
    /// Rate limits.
    pub limits: Arc<Limits>,
    /// Rooms: making, changing and reading them.
    pub rooms: Arc<Rooms>,
    /// Full-text search.
    pub search: Arc<Search>,
    /// Profiles, account data, receipts, filters, typing, presence, the user directory.
    pub users: Arc<myelin_users::Users>,
    /// Push rules and what they say of events.
    pub notify: Arc<Notify>,
    /// What is new.
    pub sync: Arc<myelin_sync::Sync>,
    /// This server's name.
    pub server_name: ServerName,
    /// How to reach who runs this server.
    pub support: Arc<Support>,
    /// Uploads and thumbnails.
    pub media: Arc<Media>,
    /// What web pages say of themselves.
    pub previews: Arc<Previews>,
    /// The authorization server's metadata.
    pub oauth: Oauth,
    /// Draws what people see.
    pub people: Arc<dyn People>,
}

/// The state of the router. It is cloned several times for every request, so it is one reference.
#[derive(Clone)]
pub(crate) struct Services(Arc<ApiState>);

impl Services {
    pub(crate) fn new(state: ApiState) -> Self {
        Self(Arc::new(state))
    }
}

impl Deref for Services {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.0
    }
}

macro_rules! reached {
    ($($name:ident: $service:ty),* $(,)?) => {
        $(impl FromRef<Services> for $service {
            fn from_ref(services: &Services) -> Self {
                services.$name.clone()
            }
        })*
    };
}
reached! {
    env: Env,
    auth: Arc<Auth>,
    e2ee: Arc<E2ee>,
    rooms: Arc<Rooms>,
    search: Arc<Search>,
    users: Arc<myelin_users::Users>,
    notify: Arc<Notify>,
    sync: Arc<myelin_sync::Sync>,
    server_name: ServerName,
    support: Arc<Support>,
    media: Arc<Media>,
    previews: Arc<Previews>,
    oauth: Oauth,
    people: Arc<dyn People>,
}

/// Rate limits by class. `limits.enabled = false` lifts every one.
#[derive(Debug)]
pub struct Limits {
    classes: Option<Classes>,
}

#[derive(Debug)]
struct Classes {
    by_address: RateLimiter<IpAddr>,
    logins: RateLimiter<IpAddr>,
    by_user: RateLimiter<String>,
    sends: RateLimiter<String>,
    uploads: RateLimiter<String>,
    previews: RateLimiter<String>,
    rare_by_user: RateLimiter<String>,
    rare_by_address: RateLimiter<IpAddr>,
    pages_by_user: RateLimiter<String>,
}

/// What a request counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClass {
    /// Reads and small writes: generous.
    Normal,
    /// Events into rooms.
    Send,
    /// Files.
    Upload,
    /// Looks at the web.
    Preview,
    /// Guessing a password or making accounts: strict, by address.
    Login,
    /// What one does a few times a day: a login on another device, a report, a mail.
    Rare,
}

impl Limits {
    /// The limits in force, or none at all.
    #[must_use]
    pub fn new(enabled: bool) -> Self {
        const KEYS: usize = 16_384;
        let quota = |per_second, burst| Quota { per_second, burst };
        Self {
            classes: enabled.then(|| Classes {
                by_address: RateLimiter::new(quota(100.0, 400.0), KEYS),
                logins: RateLimiter::new(quota(0.5, 20.0), KEYS),
                by_user: RateLimiter::new(quota(50.0, 400.0), KEYS),
                sends: RateLimiter::new(quota(10.0, 100.0), KEYS),
                uploads: RateLimiter::new(quota(5.0, 100.0), KEYS),
                previews: RateLimiter::new(quota(1.0, 60.0), KEYS),
                rare_by_user: RateLimiter::new(quota(1.0 / 30.0, 10.0), KEYS),
                rare_by_address: RateLimiter::new(quota(1.0 / 30.0, 10.0), KEYS),
                pages_by_user: RateLimiter::new(quota(1.0 / 5.0, 60.0), KEYS),
            }),
        }
    }

    /// Counts a request that carries no session.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`, with when to come back.
    pub fn check_address(&self, class: RateClass, address: IpAddr, env: &Env) -> Result<(), Error> {
        let Some(classes) = &self.classes else { return Ok(()) };
        let limiter = match class {
            RateClass::Login => &classes.logins,
            RateClass::Rare => &classes.rare_by_address,
            _ => &classes.by_address,
        };
        limiter.take(&neighbourhood(address), env.clock.elapsed()).map_err(Error::limit_exceeded)
    }

    /// Counts what somebody decides on the pages, from whatever address: codes and tokens come of it, and rows.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`, with when to come back.
    pub fn check_person(&self, user_id: &UserId, env: &Env) -> Result<(), Error> {
        let Some(classes) = &self.classes else { return Ok(()) };
        let taken = classes.pages_by_user.take(&user_id.to_string(), env.clock.elapsed());
        taken.map_err(Error::limit_exceeded)
    }

    /// Counts a request of a session.
    pub(crate) fn check_user(&self, class: RateClass, requester: &Requester, env: &Env) -> Result<(), Error> {
        let Some(classes) = &self.classes else { return Ok(()) };
        let limiter = match class {
            RateClass::Send => &classes.sends,
            RateClass::Upload => &classes.uploads,
            RateClass::Preview => &classes.previews,
            RateClass::Rare => &classes.rare_by_user,
            RateClass::Normal | RateClass::Login => &classes.by_user,
        };
        limiter.take(&requester.user_id.to_string(), env.clock.elapsed()).map_err(Error::limit_exceeded)
    }
}

/// What the guard of a route needs to know about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) access: Access,
    pub(crate) class: RateClass,
    /// Whether it shows that the user is there and does something.
    pub(crate) is_activity: bool,
    /// Whether a suspended user may call it. Where that depends on the request, they may, and the handler decides.
    pub(crate) is_for_suspended: bool,
    /// How it refuses.
    pub(crate) dialect: Dialect,
}

/// The form of an error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// With an `errcode`.
    Matrix,
    /// With an `error`.
    Oauth,
    /// As [`Dialect::Matrix`], and as a page for who opened the route in a browser.
    People,
}

impl Rule {
    /// Anyone, whenever they like.
    pub(crate) const PUBLIC: Self = Self {
        access: Access::Public,
        class: RateClass::Normal,
        is_activity: false,
        is_for_suspended: true,
        dialect: Dialect::Matrix,
    };
}
