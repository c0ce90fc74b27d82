//! Grants: how one begins, as the session of a device, and how it ends.

use bytes::Bytes;
use myelin_model::Topic;
use myelin_oauth_core::scope::Scope;
use myelin_store::schema::auth::{Account, Device};
use myelin_store::schema::oauth::OauthGrant;
use myelin_store::{Batch, Reader, Snapshot};
use ruma::OwnedDeviceId;

use super::{OauthError, OauthTokens, invalid_grant};
use crate::auth::{ATTEMPTS, Applied};
use crate::session::token;
use crate::session::{NewSession, OpenError, RefreshTokens, Renewal, expect_account};
use crate::upstream::put_origin;
use crate::{Act, Actor, Auth, StoreError};

/// A grant that begins.
pub(super) struct NewGrant<'a> {
    /// The code that it comes of, whichever kind.
    pub(super) code: &'a str,
    pub(super) client_id: &'a str,
    pub(super) client_name: Option<&'a str>,
    pub(super) scope: &'a str,
    pub(super) account: &'a Account,
    /// The session at a provider in which it was approved.
    pub(super) origin: Option<&'a str>,
}

/// The SHA-256 of the mark of what came of a code, by which its grant is found.
pub(super) fn family_of(code: &str) -> Bytes {
    family_of_mark(&token::mark(code))
}

/// The same, from a refresh token's mark.
pub(super) fn family_of_mark(mark: &str) -> Bytes {
    Bytes::copy_from_slice(&token::hash(mark))
}

impl Auth {
    /// Adds the session of the grant to the batch. The device's tokens of before end with whatever grant they came of.
    ///
    /// The first tokens are of a generation that none was used of: until one is, an answer that was lost can be told from
    /// one that arrived.
    pub(super) async fn open_grant(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        grant: &NewGrant<'_>,
        number: i64,
    ) -> Result<OauthTokens, OauthError> {
        let scope = Scope::parse(grant.scope)?;
        let user_id = &grant.account.user_id;
        expect_account(batch, grant.account);
        let session = NewSession {
            device_id: Some(OwnedDeviceId::from(scope.device_id())),
            display_name: grant.client_name.map(str::to_owned),
            refresh: RefreshTokens::Supported,
        };
        session.check().map_err(|_| invalid_grant())?;
        let device = match self.open_device(batch, snapshot, user_id, (&session, number)).await {
            Ok(device) => device,
            Err(OpenError::Device(_)) => return Err(invalid_grant()),
            Err(OpenError::Store(error)) => return Err(error.into()),
        };
        put_origin(batch, (user_id, &device.device_id), grant.origin);
        let generation = device.generation + 1;
        let mark = token::mark(grant.code);
        batch.put(&OauthGrant {
            user_id: user_id.clone(),
            device_id: device.device_id.clone(),
            client_id: grant.client_id.to_owned(),
            scope: scope.as_str().to_owned(),
            family: family_of_mark(&mark),
            generation,
            created_at: self.now(),
        });
        let detail = Some(format!("{} {}", device.device_id, grant.client_id));
        self.record(batch, &Actor::User(user_id.clone()), Act::OauthLogIn, Some(user_id), detail);
        let issued = self.issue(batch, &device, generation, Renewal::Marked(&mark));
        Ok(OauthTokens { issued, scope: scope.as_str().to_owned() })
    }

    /// Ends the grant whose mark this is the SHA-256 of, with its device; nothing where it has ended, or the device was
    /// given to another since.
    pub(super) async fn end_family(&self, family: &Bytes, why: Act) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let grant = snapshot.scan::<OauthGrant>(OauthGrant::of_family(family)).await?.pop();
            let Some(OauthGrant { user_id, device_id, .. }) = grant else { return Ok(()) };
            let key = (user_id.clone(), device_id);
            let Some(device) = snapshot.get::<Device>(&key).await? else { return Ok(()) };
            drop(snapshot);
            let mut batch = self.batch(user_id.as_str());
            batch.expect_column::<OauthGrant>(&key, "family", family);
            let detail = Some(device.device_id.to_string());
            self.record(&mut batch, &Actor::User(user_id.clone()), why, Some(&user_id), detail);
            self.extend_ends(&mut batch, &user_id, &[device]).await?;
            batch.wake(Topic::user(user_id.as_str()));
            if self.commit(batch, &user_id).await? == Applied::Yes {
                return Ok(());
            }
        }
        Err(StoreError::Contended)
    }
}
