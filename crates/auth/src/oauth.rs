//! OAuth 2.0: the driver of `oauth-core`.
//!
//! A grant is a device with a client's name on it ([`myelin_store::schema::oauth::OauthGrant`]): its tokens are the
//! device's tokens and pass the same door. Deleting the device ends the grant, revoking the grant deletes the device, and
//! what else hangs on a device (keys, pushers) goes the same way in both.

mod approve;
mod browser;
mod clients;
mod device;
mod grant;
mod introspect;
mod redeem;
mod refresh;
mod revoke;

use std::time::Duration;

use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_runtime::{Quota, RateLimiter, Secret};

use crate::{Issued, StoreError};

pub use self::browser::{Browser, NewBrowser};
pub use self::clients::RegisteredClient;
pub use self::device::{DeviceAuthorization, DeviceToDecide};
pub use self::introspect::Introspection;

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

/// What bounds the rows that anybody can have written: registrations and device codes, of all the world together. What is
/// registered already, or used, does not count.
#[derive(Debug)]
pub(crate) struct OauthLimits {
    clients: RateLimiter<()>,
    device_codes: RateLimiter<()>,
}

impl OauthLimits {
    pub(crate) fn new() -> Self {
        // With the week that an unused registration lives: 61,000 of them at most. With the time that a device code is
        // kept: 45,000.
        let clients = Quota { per_second: 0.1, burst: 1_000.0 };
        let device_codes = Quota { per_second: 0.5, burst: 500.0 };
        Self { clients: RateLimiter::new(clients, 2), device_codes: RateLimiter::new(device_codes, 2) }
    }

    fn take(limiter: &RateLimiter<()>, now: Duration) -> Result<(), Refusal> {
        let busy = "Too many of these at the moment; try again later.";
        limiter.take(&(), now).map_err(|_| Refusal::new(ErrorCode::TemporarilyUnavailable, busy))
    }
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
