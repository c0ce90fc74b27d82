//! Clients that register themselves (RFC 7591).

use std::net::IpAddr;
use std::sync::PoisonError;

use myelin_oauth_core::client::{ClientMetadata, GrantType};
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_store::schema::oauth::{OauthClient, OauthGrant};
use myelin_store::{CommitError, Durability, Reader, Scan};

use super::OauthError;
use crate::auth::ATTEMPTS;
use crate::{Auth, StoreError};

/// For how long a client is kept that nobody uses, in milliseconds: a sign-in takes minutes, and begins with a
/// registration.
const KEPT: i64 = 3 * DAY;
/// How exactly it is known when one was used, in milliseconds.
const DAY: i64 = 86_400_000;
/// How many unused clients one round looks at.
const SWEPT: usize = 256;
/// How many rounds of that one maintenance makes.
const SWEEPS: usize = 64;

/// A client, as it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredClient {
    /// Its id: the same for whoever registers the same.
    pub client_id: String,
    /// What it registered.
    pub metadata: ClientMetadata,
    /// When it was first registered, in milliseconds since the Unix epoch.
    pub registered_at: i64,
}

impl Auth {
    /// Registers a client, for who asks from this address. Who registers what is registered already gets the same.
    ///
    /// # Errors
    /// Why it can't be registered.
    pub async fn register_client(
        &self,
        json: &[u8],
        address: Option<IpAddr>,
    ) -> Result<RegisteredClient, OauthError> {
        let metadata = ClientMetadata::parse(json)?;
        let client_id = metadata.client_id();
        for _ in 0..ATTEMPTS {
            if let Some(row) = self.client_row(&client_id).await? {
                // To keep one that nobody uses counts like another: else what is registered once could be kept for ever.
                if self.is_due(&row) && self.take_client(address).is_ok() {
                    self.touch_client(&client_id).await?;
                }
                return Ok(RegisteredClient { client_id, metadata, registered_at: row.created_at });
            }
            self.take_client(address)?;
            let now = self.now();
            let row = OauthClient {
                client_id: client_id.clone(),
                metadata: metadata.canonical(),
                created_at: now,
                used_at: now,
            };
            let mut batch = self.batch("oauth_client");
            batch.insert(&row);
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(RegisteredClient { client_id, metadata, registered_at: now }),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(StoreError::from(error).into()),
            }
        }
        Err(StoreError::Contended.into())
    }

    /// What a client registered; nothing for one that is unknown.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn oauth_client(&self, client_id: &str) -> Result<Option<ClientMetadata>, StoreError> {
        let row = self.client_row(client_id).await?;
        Ok(row.and_then(|row| ClientMetadata::parse(row.metadata.as_bytes()).ok()))
    }

    /// The same with what there is to say of it, for operators.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn registered_client(&self, client_id: &str) -> Result<Option<RegisteredClient>, StoreError> {
        let row = self.client_row(client_id).await?;
        Ok(row.and_then(|row| {
            let metadata = ClientMetadata::parse(row.metadata.as_bytes()).ok()?;
            Some(RegisteredClient { client_id: row.client_id, metadata, registered_at: row.created_at })
        }))
    }

    /// Counts a registration that is written, where the operator has limits.
    fn take_client(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        if !self.config.limit_failures {
            return Ok(());
        }
        self.oauth.take_client(address, self.env.clock.elapsed())
    }

    async fn client_row(&self, client_id: &str) -> Result<Option<OauthClient>, StoreError> {
        Ok(self.engine.get_now::<OauthClient>(&(client_id.to_owned(),)).await?)
    }

    /// Whether it is time to note that a client is used.
    fn is_due(&self, row: &OauthClient) -> bool {
        self.now().saturating_sub(row.used_at) >= DAY
    }

    /// A client that may go this way to tokens.
    pub(super) async fn client_for(
        &self,
        client_id: &str,
        grant_type: GrantType,
    ) -> Result<ClientMetadata, OauthError> {
        let client = self.oauth_client(client_id).await?;
        let unknown = "The client is not registered; register it at the registration endpoint.";
        let client = client.ok_or_else(|| Refusal::new(ErrorCode::InvalidClient, unknown))?;
        if !client.may(grant_type) {
            let why = "The client has not registered for this grant type.";
            return Err(Refusal::new(ErrorCode::UnauthorizedClient, why).into());
        }
        Ok(client)
    }

    /// Notes that a client is used, so that it is kept. Nothing for one that is unknown.
    pub(super) async fn touch_client(&self, client_id: &str) -> Result<Option<OauthClient>, StoreError> {
        let key = (client_id.to_owned(),);
        for _ in 0..ATTEMPTS {
            let Some(row) = self.client_row(client_id).await? else { return Ok(None) };
            if !self.is_due(&row) {
                return Ok(Some(row));
            }
            let now = self.now();
            let mut batch = self.batch("oauth_client");
            batch.expect_column::<OauthClient>(&key, "used_at", &row.used_at);
            batch.put(&OauthClient { used_at: now, ..row.clone() });
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(Some(row)),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Contended)
    }

    /// Forgets clients that nobody has used for some days, unless a session is a grant to them (client-server API, "Dynamic
    /// client registration flow"). Where there are many, it goes on where it stopped the last time: those that stay are not
    /// in the way of the others.
    pub(crate) async fn prune_clients(&self) -> Result<(), StoreError> {
        for _ in 0..SWEEPS {
            let after = self.swept.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let unused = Scan::index::<OauthClient>(OauthClient::BY_USE, (), SWEPT);
            let unused = unused.before((self.now().saturating_sub(KEPT),));
            let unused = match after {
                Some(after) => unused.after(after),
                None => unused,
            };
            let snapshot = self.engine.snapshot().await?;
            let clients = snapshot.scan::<OauthClient>(unused).await?;
            let last = clients.last().map(|last| (last.used_at, last.client_id.clone()));
            let is_end = last.is_none();
            *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = last;
            if is_end {
                return Ok(());
            }
            let of_client = |client: &OauthClient| {
                Scan::index::<OauthGrant>(OauthGrant::BY_CLIENT, (client.client_id.clone(),), 1)
            };
            let grants = snapshot.scan_all::<OauthGrant>(clients.iter().map(of_client).collect()).await?;
            drop(snapshot);
            let mut batch = self.batch("oauth_client");
            batch.durability = Durability::MayLag;
            for (client, _) in clients.iter().zip(grants).filter(|(_, grants)| grants.is_empty()) {
                let key = (client.client_id.clone(),);
                // One that is used meanwhile is no more what it was.
                batch.expect_column::<OauthClient>(&key, "used_at", &client.used_at);
                batch.delete::<OauthClient>(&key);
            }
            match self.engine.commit(batch).await {
                // The next maintenance sees to those.
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
