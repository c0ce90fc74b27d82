//! Sessions: devices with their tokens.

pub(crate) mod authenticate;
pub(crate) mod cache;
pub(crate) mod device;
pub(crate) mod end;
pub(crate) mod login;
pub(crate) mod login_token;
pub(crate) mod refresh;
pub(crate) mod seen;
pub(crate) mod token;

use std::time::Duration;

use bytes::Bytes;
use myelin_model::Topic;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{AccessToken, Account, Device, LoginToken, RefreshToken};
use myelin_store::schema::e2ee::CrossSigningKey;
use myelin_store::schema::oauth::{OauthGrant, ResetApproval};
use myelin_store::schema::upstream::DeviceOrigin;
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::session::token::Kind;
use crate::{Auth, StoreError};

/// The longest device id that a client may choose, in bytes.
const MAX_DEVICE_ID: usize = 255;
/// The longest display name of a device, in bytes.
const MAX_DISPLAY_NAME: usize = 255;
/// How many cross-signing keys a user has at most: master, self-signing, user-signing.
const CROSS_SIGNING_KEYS: usize = 3;

/// Whether the client can renew its access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshTokens {
    /// It can't, so the access token does not expire.
    #[default]
    Unsupported,
    /// It can.
    Supported,
}

/// How the tokens that are issued are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal<'a> {
    /// Not at all.
    None,
    /// By a refresh token.
    Plain,
    /// By a refresh token that bears the mark of its grant.
    Marked(&'a str),
}

impl From<RefreshTokens> for Renewal<'_> {
    fn from(wanted: RefreshTokens) -> Self {
        match wanted {
            RefreshTokens::Unsupported => Self::None,
            RefreshTokens::Supported => Self::Plain,
        }
    }
}

/// What a client asks of a session to be.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// The device; made up if absent. A device that exists loses its tokens to the new session.
    pub device_id: Option<OwnedDeviceId>,
    /// The name of a new device; an existing one keeps its own.
    pub display_name: Option<String>,
    /// Whether it comes with a refresh token.
    pub refresh: RefreshTokens,
}

/// Why a device can't be named so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceProblem {
    /// Empty or too long.
    #[error("a device id has between 1 and 255 bytes")]
    Id,
    /// Too long.
    #[error("the device's display name is too long: it may have 255 bytes")]
    DisplayName,
    /// The id is that of one of the user's cross-signing keys, from which signatures could not tell it.
    #[error("this id is that of a cross-signing key")]
    CrossSigningKey,
}

/// Why a session was not opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Device(DeviceProblem),
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for OpenError {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

/// Tokens that were made durable just now. They are not kept in the clear anywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Whose session it is.
    pub user_id: OwnedUserId,
    /// Its device.
    pub device_id: OwnedDeviceId,
    /// What authenticates requests.
    pub access_token: Secret<String>,
    /// What renews the access token, where the client asked for it.
    pub refresh_token: Option<Secret<String>>,
    /// How long the access token lives; `None`: until it is revoked.
    pub expires_in: Option<Duration>,
}

impl NewSession {
    pub(crate) fn check(&self) -> Result<(), DeviceProblem> {
        if self
            .device_id
            .as_ref()
            .is_some_and(|id| id.as_str().is_empty() || id.as_str().len() > MAX_DEVICE_ID)
        {
            return Err(DeviceProblem::Id);
        }
        check_display_name(self.display_name.as_deref())
    }
}

pub(crate) fn check_display_name(name: Option<&str>) -> Result<(), DeviceProblem> {
    let fits = name.is_none_or(|name| name.len() <= MAX_DISPLAY_NAME);
    if fits { Ok(()) } else { Err(DeviceProblem::DisplayName) }
}

/// Expects that the device is as it was read: neither replaced, nor refreshed, nor renamed since.
pub(crate) fn expect_device(batch: &mut Batch, device: &Device) {
    let key = (device.user_id.clone(), device.device_id.clone());
    batch.expect_column::<Device>(&key, "session", &device.session);
    batch.expect_column::<Device>(&key, "generation", &device.generation);
    batch.expect_column::<Device>(&key, "display_name", &device.display_name);
}

/// Expects that nobody locked, deactivated or otherwise changed the account since it was read.
pub(crate) fn expect_account(batch: &mut Batch, account: &Account) {
    batch.expect_column::<Account>(&(account.user_id.clone(),), "version", &account.version);
}

/// Deletes every token of the session, those for logging in elsewhere too.
pub(crate) fn delete_tokens(batch: &mut Batch, session: i64) {
    batch.delete_range(Scan::index::<AccessToken>(AccessToken::BY_SESSION, (session,), usize::MAX));
    batch.delete_range(Scan::index::<RefreshToken>(RefreshToken::BY_SESSION, (session,), usize::MAX));
    batch.delete_range(Scan::index::<LoginToken>(LoginToken::BY_SESSION, (session,), usize::MAX));
}

impl Auth {
    /// Adds a session of the user to the batch: a new device, to which `number` goes, or new tokens for the one it had. The
    /// number is taken before the snapshot is ([`Auth::next_session`]).
    pub(crate) async fn open_session(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
        (new, number): (&NewSession, i64),
    ) -> Result<Issued, OpenError> {
        let device = self.open_device(batch, snapshot, user_id, (new, number)).await?;
        Ok(self.issue(batch, &device, device.generation, new.refresh.into()))
    }

    /// Adds the user's device to the batch, new or as it was, without tokens and without a grant: whatever there were of
    /// them end.
    pub(crate) async fn open_device(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
        (new, number): (&NewSession, i64),
    ) -> Result<Device, OpenError> {
        let made_up = || OwnedDeviceId::from(self.env.random.capitals(10));
        let device_id = new.device_id.clone().unwrap_or_else(made_up);
        let found = snapshot.get::<Device>(&(user_id.clone(), device_id.clone())).await?;
        let device = match found {
            Some(mut device) => {
                expect_device(batch, &device);
                delete_tokens(batch, device.session);
                let key = (device.user_id.clone(), device.device_id.clone());
                batch.delete::<OauthGrant>(&key);
                batch.delete::<DeviceOrigin>(&key);
                self.forget_approval(batch, snapshot, &device).await?;
                device.generation += 1;
                batch.put(&device);
                device
            }
            None => {
                let keys = Scan::prefix::<CrossSigningKey>((user_id.clone(),), CROSS_SIGNING_KEYS);
                let keys = snapshot.scan::<CrossSigningKey>(keys).await?;
                if keys.iter().any(|key| key.public_key == device_id.as_str()) {
                    return Err(OpenError::Device(DeviceProblem::CrossSigningKey));
                }
                let device = Device {
                    user_id: user_id.clone(),
                    device_id,
                    session: number,
                    display_name: new.display_name.clone(),
                    created_at: self.now(),
                    generation: 1,
                };
                batch.insert(&device);
                device
            }
        };
        batch.wake(Topic::user(user_id.as_str()));
        Ok(device)
    }

    /// Adds to the batch that what was allowed to the device's session of before is not allowed to the new one.
    async fn forget_approval(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        device: &Device,
    ) -> Result<(), StoreError> {
        let key = (device.user_id.clone(),);
        let approval = snapshot.get::<ResetApproval>(&key).await?;
        if approval.is_some_and(|approval| approval.session == Some(device.session)) {
            batch.delete::<ResetApproval>(&key);
        }
        Ok(())
    }

    /// Adds one generation of tokens to the batch.
    pub(crate) fn issue(
        &self,
        batch: &mut Batch,
        device: &Device,
        generation: i64,
        renewal: Renewal<'_>,
    ) -> Issued {
        let expires_in = (renewal != Renewal::None).then_some(self.config.access_token_lifetime);
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let access = token::mint(&self.env.random, Kind::Access);
        batch.put(&AccessToken {
            hash: Bytes::copy_from_slice(&token::hash(access.expose())),
            session: device.session,
            generation,
            user_id: device.user_id.clone(),
            device_id: device.device_id.clone(),
            expires_at: expires_in.map(|lifetime| self.now().saturating_add(millis(lifetime))),
            shown: (generation <= device.generation).then_some(true),
        });
        let refresh_token = match renewal {
            Renewal::None => None,
            Renewal::Plain => Some(token::mint(&self.env.random, Kind::Refresh)),
            Renewal::Marked(mark) => Some(token::mint_marked(&self.env.random, mark)),
        };
        if let Some(refresh) = &refresh_token {
            batch.put(&RefreshToken {
                hash: Bytes::copy_from_slice(&token::hash(refresh.expose())),
                session: device.session,
                generation,
                user_id: device.user_id.clone(),
                device_id: device.device_id.clone(),
            });
        }
        Issued {
            user_id: device.user_id.clone(),
            device_id: device.device_id.clone(),
            access_token: access,
            refresh_token,
            expires_in,
        }
    }
}
