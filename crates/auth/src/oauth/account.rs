//! What people do on the account pages: look at their devices, end one, allow that their cross-signing keys be replaced.

use std::collections::HashMap;
use std::sync::Arc;

use myelin_model::Requester;
use myelin_oauth_core::client::ClientMetadata;
use myelin_store::schema::auth::Device;
use myelin_store::schema::oauth::{OauthClient, OauthGrant, ResetApproval};
use myelin_store::{Durability, Reader, Scan};
use ruma::{OwnedDeviceId, OwnedUserId};

use super::{Browser, expect_browser};
use crate::auth::{ATTEMPTS, Applied};
use crate::{Act, Actor, Auth, Deactivated, DeviceInfo, Erase, StoreError};

/// For how long somebody who has shown who they are need not do so again for what can't be undone, in milliseconds.
const FRESH: i64 = 10 * 60_000;
/// For how long keys may be replaced after that was allowed, in milliseconds.
const APPROVED: i64 = 10 * 60_000;
/// The most devices that a page lists.
const LISTED: usize = 1_000;

/// A device, as its owner sees it on the account page.
#[derive(Clone, Debug)]
pub struct OwnDevice {
    /// What there is to say of every device.
    pub info: DeviceInfo,
    /// The client that it was granted to, where it is known.
    pub client: Option<Arc<ClientMetadata>>,
    /// Another text whenever it is another session: what is decided about one holds for no other.
    pub opened: String,
}

/// What became of a device that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedDevice {
    /// It ended.
    Yes,
    /// There is none.
    Gone,
    /// A session was opened anew under its id since it was shown.
    Reopened,
}

impl Auth {
    /// Whether who is signed in has shown who they are a short time ago.
    #[must_use]
    pub fn is_fresh(&self, browser: &Browser) -> bool {
        self.now().saturating_sub(browser.shown_at) < FRESH
    }

    /// The devices of who is signed in, the one that was seen last first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_devices(&self, browser: &Browser) -> Result<Vec<OwnDevice>, StoreError> {
        self.sessions_of(&browser.user_id).await
    }

    /// The same of any user, for operators.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions_of(&self, user_id: &OwnedUserId) -> Result<Vec<OwnDevice>, StoreError> {
        let mut infos = self.devices_of(user_id).await?;
        infos.sort_by_key(|info| std::cmp::Reverse(info.last_seen_ts));
        infos.truncate(LISTED);
        self.with_clients(user_id, infos).await
    }

    /// A page of a user's sessions in the order of their devices' ids, after the given one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions_page(
        &self,
        user_id: &OwnedUserId,
        after: Option<&OwnedDeviceId>,
        limit: usize,
    ) -> Result<Vec<OwnDevice>, StoreError> {
        let infos = self.devices_after(user_id, after, limit).await?;
        self.with_clients(user_id, infos).await
    }

    async fn with_clients(
        &self,
        user_id: &OwnedUserId,
        infos: Vec<DeviceInfo>,
    ) -> Result<Vec<OwnDevice>, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        let keys: Vec<_> = infos.iter().map(|info| (user_id.clone(), info.device_id.clone())).collect();
        let grants = snapshot.get_all::<OauthGrant>(&keys).await?;
        let mut named: Vec<_> = grants.iter().flatten().map(|grant| (grant.client_id.clone(),)).collect();
        named.sort_unstable();
        named.dedup();
        let rows = snapshot.get_all::<OauthClient>(&named).await?;
        // Each is read once, however many devices it has.
        let read = |row: OauthClient| {
            let metadata = ClientMetadata::parse(row.metadata.as_bytes()).ok()?;
            Some((row.client_id, Arc::new(metadata)))
        };
        let clients: HashMap<String, Arc<ClientMetadata>> =
            rows.into_iter().flatten().filter_map(read).collect();
        let own = |(info, grant): (DeviceInfo, Option<OauthGrant>)| OwnDevice {
            client: grant.as_ref().and_then(|grant| clients.get(&grant.client_id)).cloned(),
            opened: opened(grant.as_ref()),
            info,
        };
        Ok(infos.into_iter().zip(grants).map(own).collect())
    }

    /// One device of who is signed in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_device(
        &self,
        browser: &Browser,
        device_id: &OwnedDeviceId,
    ) -> Result<Option<OwnDevice>, StoreError> {
        let key = (browser.user_id.clone(), device_id.clone());
        let Some(info) = self.device_of(&browser.user_id, device_id).await? else { return Ok(None) };
        let snapshot = self.engine.snapshot().await?;
        let grant = snapshot.get::<OauthGrant>(&key).await?;
        let client = match &grant {
            Some(grant) => snapshot.get::<OauthClient>(&(grant.client_id.clone(),)).await?,
            None => None,
        };
        let client = client.and_then(|row| ClientMetadata::parse(row.metadata.as_bytes()).ok());
        Ok(Some(OwnDevice { client: client.map(Arc::new), opened: opened(grant.as_ref()), info }))
    }

    /// Ends a device of who is signed in, as it was shown to them ([`OwnDevice::opened`]).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_own_device(
        &self,
        browser: &Browser,
        device_id: &OwnedDeviceId,
        shown: &str,
    ) -> Result<EndedDevice, StoreError> {
        let user_id = &browser.user_id;
        let key = (user_id.clone(), device_id.clone());
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let found = snapshot.get::<Device>(&key).await?;
            let Some(device) = found else { return Ok(EndedDevice::Gone) };
            let grant = snapshot.get::<OauthGrant>(&key).await?;
            drop(snapshot);
            if opened(grant.as_ref()) != shown {
                return Ok(EndedDevice::Reopened);
            }
            let mut batch = self.batch(user_id.as_str());
            match &grant {
                Some(grant) => batch.expect_column::<OauthGrant>(&key, "family", &grant.family),
                None => batch.expect_absent::<OauthGrant>(&key),
            }
            let detail = Some(device_id.to_string());
            self.record(&mut batch, &Actor::User(user_id.clone()), Act::DeviceEnd, Some(user_id), detail);
            self.extend_ends(&mut batch, user_id, &[device]).await?;
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(EndedDevice::Yes);
            }
        }
        Err(StoreError::Contended)
    }

    /// Allows that the cross-signing keys of who is signed in be replaced, once and soon, from one of their devices and from
    /// no other: a token that was stolen elsewhere gains nothing by asking at the same time. Whether there is such a
    /// device, and they are still signed in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn allow_reset(
        &self,
        browser: &Browser,
        device_id: &OwnedDeviceId,
    ) -> Result<bool, StoreError> {
        let user_id = &browser.user_id;
        let key = (user_id.clone(), device_id.clone());
        let Some(device) = self.engine.get_now::<Device>(&key).await? else { return Ok(false) };
        let expires_at = self.now().saturating_add(APPROVED);
        let mut batch = self.batch(user_id.as_str());
        expect_browser(&mut batch, browser);
        batch.expect_column::<Device>(&key, "session", &device.session);
        batch.put(&ResetApproval { user_id: user_id.clone(), expires_at, session: Some(device.session) });
        let detail = Some(device_id.to_string());
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::CrossSigningAllow, Some(user_id), detail);
        Ok(self.commit(batch, user_id).await? == Applied::Yes)
    }

    /// The devices of who is signed in that asked a short time ago whether their cross-signing keys may be replaced, the last
    /// one first.
    #[must_use]
    pub fn asking_for_reset(&self, browser: &Browser) -> Vec<OwnedDeviceId> {
        self.uia.asking(&browser.user_id, self.env.clock.elapsed())
    }

    /// Whether the requester's session was opened by OAuth 2.0.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_oauth(&self, requester: &Requester) -> Result<bool, StoreError> {
        let Some(device_id) = &requester.device_id else { return Ok(false) };
        let snapshot = self.engine.snapshot().await?;
        let grant = snapshot.get::<OauthGrant>(&(requester.user_id.clone(), device_id.clone())).await?;
        Ok(grant.is_some())
    }

    /// Uses up what the user allowed a short time ago: that their cross-signing keys be replaced from this session. Whether
    /// they did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_reset_approval(&self, requester: &Requester) -> Result<bool, StoreError> {
        let user_id = &requester.user_id;
        let key = (user_id.clone(),);
        let approval = self.engine.get_now::<ResetApproval>(&key).await?;
        let is_good = |approval: &ResetApproval| {
            approval.expires_at > self.now() && approval.session == Some(requester.session)
        };
        if !approval.as_ref().is_some_and(is_good) {
            return Ok(false);
        }
        let mut batch = self.batch(user_id.as_str());
        batch.expect_column::<ResetApproval>(&key, "session", &Some(requester.session));
        batch.delete::<ResetApproval>(&key);
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::CrossSigningReset, Some(user_id), None);
        // Of two who want to use it, one does.
        Ok(self.commit(batch, user_id).await? == Applied::Yes)
    }

    /// Deactivates the account of who is signed in; see [`Auth::deactivate`].
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn deactivate_own(
        &self,
        browser: &Browser,
        erase: Erase,
    ) -> Result<Deactivated, crate::AccountError> {
        self.deactivate(&Actor::User(browser.user_id.clone()), &browser.user_id, erase).await
    }

    /// Forgets approvals that nobody used.
    pub(crate) async fn prune_approvals(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("cross_signing_approval");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<ResetApproval>(ResetApproval::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}

/// By what one session of a device is told from another: its grant. A session of the legacy API is just that.
fn opened(grant: Option<&OauthGrant>) -> String {
    let family = |grant: &OauthGrant| grant.family.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    grant.map(family).unwrap_or_default()
}
