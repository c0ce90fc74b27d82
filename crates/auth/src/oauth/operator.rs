//! What operators see and end: sessions, and clients with the sessions that were granted to them.

use myelin_oauth_core::client::ClientMetadata;
use myelin_store::schema::auth::Device;
use myelin_store::schema::oauth::{OauthClient, OauthGrant};
use myelin_store::{Reader, Scan};
use ruma::{OwnedDeviceId, OwnedUserId};

use super::RegisteredClient;
use crate::auth::{ATTEMPTS, Applied, ENDS_PER_COMMIT};
use crate::{Act, Actor, Auth, StoreError};

impl Auth {
    /// Ends a session of a user, with its device; whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_session(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        device_id: &OwnedDeviceId,
    ) -> Result<bool, StoreError> {
        let key = (user_id.clone(), device_id.clone());
        for _ in 0..ATTEMPTS {
            let found = self.engine.get_now::<Device>(&key).await?;
            let Some(device) = found else { return Ok(false) };
            let mut batch = self.batch(user_id.as_str());
            let detail = Some(device_id.to_string());
            self.record(&mut batch, actor, Act::DeviceEnd, Some(user_id), detail);
            self.extend_ends(&mut batch, user_id, &[device]).await?;
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(true);
            }
        }
        Err(StoreError::Contended)
    }

    /// Ends every session of a user, on the pages too, and what they approved and nobody used; how many devices went.
    ///
    /// # Errors
    /// When the store fails; some sessions may have ended.
    pub async fn end_sessions(&self, actor: &Actor, user_id: &OwnedUserId) -> Result<usize, StoreError> {
        self.end_approvals_of(user_id).await?;
        let ended = self.end_all(user_id, None).await?.len();
        let mut batch = self.batch(user_id.as_str());
        self.record(&mut batch, actor, Act::SessionsEnd, Some(user_id), None);
        self.engine.commit(batch).await?;
        Ok(ended)
    }

    /// The next clients in the order of their ids, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn oauth_clients(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RegisteredClient>, StoreError> {
        let scan = Scan::prefix::<OauthClient>((), limit);
        let scan = match after {
            Some(client_id) => scan.after((client_id.to_owned(),)),
            None => scan,
        };
        let rows = self.engine.snapshot().await?.scan::<OauthClient>(scan).await?;
        let client = |row: OauthClient| {
            let metadata = ClientMetadata::parse(row.metadata.as_bytes()).ok()?;
            Some(RegisteredClient { client_id: row.client_id, metadata, registered_at: row.created_at })
        };
        Ok(rows.into_iter().filter_map(client).collect())
    }

    /// Removes a client, and ends the sessions that were granted to it: how many; nothing where there is no such client. It
    /// may register again, and then asks its users anew.
    ///
    /// # Errors
    /// When the store fails; some sessions may have ended.
    pub async fn remove_client(&self, actor: &Actor, client_id: &str) -> Result<Option<usize>, StoreError> {
        let key = (client_id.to_owned(),);
        if self.engine.get_now::<OauthClient>(&key).await?.is_none() {
            return Ok(None);
        }
        // First the client, so that nothing more is granted to it.
        let mut batch = self.batch("oauth_client");
        batch.delete::<OauthClient>(&key);
        self.record(&mut batch, actor, Act::OauthClientRemove, None, Some(client_id.to_owned()));
        self.engine.commit(batch).await?;
        let mut ended = 0;
        loop {
            let grants = Scan::index::<OauthGrant>(OauthGrant::BY_CLIENT, key.clone(), ENDS_PER_COMMIT);
            let grants = self.engine.snapshot().await?.scan::<OauthGrant>(grants).await?;
            if grants.is_empty() {
                return Ok(Some(ended));
            }
            for OauthGrant { user_id, device_id, .. } in grants {
                ended += usize::from(self.end_session(actor, &user_id, &device_id).await?);
            }
        }
    }
}
