//! OAuth 2.0: the driver of `oauth-core`.
//!
//! A grant is a device with a client's name on it ([`myelin_store::schema::oauth::OauthGrant`]): its tokens are the
//! device's tokens and pass the same door. Deleting the device ends the grant, revoking the grant deletes the device, and
//! what else hangs on a device (keys, pushers) goes the same way in both.

mod account;
pub(crate) mod approvals;
mod approve;
mod browser;
mod clients;
mod device;
mod grant;
mod introspect;
mod operator;
mod own;
mod redeem;
mod refresh;
mod revoke;

use std::net::IpAddr;
use std::time::Duration;

use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_runtime::{Quota, RateLimiter, Secret, neighbourhood};

use crate::{Issued, StoreError};

pub use self::account::{EndedDevice, OwnDevice};
pub use self::browser::{Browser, NewBrowser};
pub(crate) use self::browser::{How, LIFETIME as BROWSER_LIFETIME, There, expect_browser, is_usable};
pub use self::clients::RegisteredClient;
pub use self::device::{DeviceAuthorization, DeviceToDecide};
pub use self::introspect::Introspection;
pub use self::own::{OwnActivity, OwnBrowser};
pub use self::redeem::Redeemed;

/// What an operator decides about OAuth 2.0.
#[derive(Clone, Debug)]
pub struct OauthConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// What a service shows that may ask about tokens; none may where there is none.
    pub introspection_secret: Option<Secret<String>>,
}

impl Default for OauthConfig {
    fn default() -> Self {
        Self { enabled: true, introspection_secret: None }
    }
}

/// Tokens of a session that was opened or renewed just now.
#[derive(Clone, Debug)]
pub struct OauthTokens {
    /// The tokens.
    pub issued: Issued,
    /// What is granted.
    pub scope: String,
}

/// Why nothing is granted.
#[derive(Debug, thiserror::Error)]
pub enum OauthError {
    /// The request can't be granted: the RFC's code says why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for OauthError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// What bounds the rows that anybody can have written: registrations and device codes. What is registered already does not
/// count until it would be kept longer. No address alone uses up what is for all.
#[derive(Debug)]
pub(crate) struct OauthLimits {
    clients: RateLimiter<()>,
    clients_of: RateLimiter<IpAddr>,
    device_codes: RateLimiter<()>,
    siblings: RateLimiter<i64>,
}

impl OauthLimits {
    pub(crate) fn new() -> Self {
        // With the days that an unused registration lives: 150,000 of them at most. With the time that a device code is
        // kept, and until they are swept: 50,000.
        let clients = Quota { per_second: 0.5, burst: 5_000.0 };
        let clients_of = Quota { per_second: 1.0 / 180.0, burst: 20.0 };
        let device_codes = Quota { per_second: 5.0, burst: 5_000.0 };
        let siblings = Quota { per_second: 1.0 / 60.0, burst: 1.0 };
        Self {
            clients: RateLimiter::new(clients, 2),
            clients_of: RateLimiter::new(clients_of, 16_384),
            device_codes: RateLimiter::new(device_codes, 2),
            siblings: RateLimiter::new(siblings, 16_384),
        }
    }

    fn take_client(&self, address: Option<IpAddr>, now: Duration) -> Result<(), Refusal> {
        if let Some(address) = address {
            self.clients_of.take(&neighbourhood(address), now).map_err(|_| busy())?;
        }
        self.clients.take(&(), now).map_err(|_| busy())
    }

    fn take_sibling(&self, session: i64, now: Duration) -> Result<(), Refusal> {
        self.siblings.take(&session, now).map_err(|_| busy())
    }

    fn take_device_code(&self, now: Duration) -> Result<(), Refusal> {
        self.device_codes.take(&(), now).map_err(|_| busy())
    }
}

fn busy() -> Refusal {
    let why = "Too many of these at the moment; try again later.";
    Refusal::new(ErrorCode::TemporarilyUnavailable, why)
}

/// The one answer to whatever is shown and gives nothing.
fn invalid_grant() -> OauthError {
    let why = "The code or token is unknown, was used already, has expired, or belongs to another client.";
    Refusal::new(ErrorCode::InvalidGrant, why).into()
}

/// The account is locked: its sessions wait. A client that is told 4xx takes itself for logged out (client-server API,
/// "Refresh token grant"), so this is no 4xx.
fn locked() -> OauthError {
    Refusal::new(ErrorCode::TemporarilyUnavailable, "The account is locked; its sessions wait.").into()
}
