//! Ending sessions, with everything that hangs on them.

use myelin_model::{Requester, Topic};
use myelin_store::schema::auth::{Device, DeviceSeen};
use myelin_store::schema::oauth::OauthGrant;
use myelin_store::schema::upstream::DeviceOrigin;
use myelin_store::{Batch, Reader};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::auth::{ATTEMPTS, Applied, ENDS_PER_COMMIT};
use crate::session::delete_tokens;
use crate::{Act, Auth, StoreError};

impl Auth {
    /// Ends the session of an access token and deletes its device.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn logout(&self, token: &str) -> Result<(), StoreError> {
        self.end_by_token(token, Act::LogOut).await.map(drop)
    }

    /// Ends every session of the requester, on the pages too, and what was approved for others.
    ///
    /// # Errors
    /// When the store fails; some sessions may have ended.
    pub async fn logout_all(&self, requester: &Requester) -> Result<(), StoreError> {
        self.end_approvals_of(&requester.user_id).await?;
        self.end_all(&requester.user_id, None).await.map(drop)
    }

    /// Deletes these devices of the requester's; those that are gone already don't matter. Whether the requester may
    /// has been settled by interactive authentication.
    ///
    /// # Errors
    /// When the store fails; some sessions may have ended.
    pub async fn delete_devices(
        &self,
        requester: &Requester,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), StoreError> {
        self.end_devices(&requester.user_id, device_ids).await
    }

    /// The same of anybody.
    pub(crate) async fn delete_devices_of(
        &self,
        user_id: &OwnedUserId,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), StoreError> {
        self.end_devices(user_id, device_ids).await
    }

    async fn end_devices(
        &self,
        user_id: &OwnedUserId,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), StoreError> {
        for some in device_ids.chunks(ENDS_PER_COMMIT) {
            let keys: Vec<_> = some.iter().map(|device_id| (user_id.clone(), device_id.clone())).collect();
            let mut attempt = 0;
            loop {
                let found = self.engine.snapshot().await?.get_all::<Device>(&keys).await?;
                let devices: Vec<Device> = found.into_iter().flatten().collect();
                if devices.is_empty() {
                    break;
                }
                let mut batch = self.batch(user_id.as_str());
                self.extend_ends(&mut batch, user_id, &devices).await?;
                attempt += 1;
                match self.commit(batch, user_id).await? {
                    Applied::Yes => break,
                    Applied::Conflict if attempt < ATTEMPTS => {}
                    Applied::Conflict => return Err(StoreError::Contended),
                }
            }
        }
        Ok(())
    }

    /// Ends every session of the user but the one to keep; answers which.
    pub(crate) async fn end_all(
        &self,
        user_id: &OwnedUserId,
        keep: Option<&OwnedDeviceId>,
    ) -> Result<Vec<OwnedDeviceId>, StoreError> {
        let mut ended = Vec::new();
        let mut after: Option<OwnedDeviceId> = None;
        loop {
            let scan = Device::of_user(user_id, after.as_ref(), ENDS_PER_COMMIT);
            let devices = self.engine.snapshot().await?.scan::<Device>(scan).await?;
            let Some(last) = devices.last() else { return Ok(ended) };
            after = Some(last.device_id.clone());
            let ids = devices.into_iter().map(|device| device.device_id);
            let ids: Vec<OwnedDeviceId> = ids.filter(|id| Some(id) != keep).collect();
            self.end_devices(user_id, &ids).await?;
            ended.extend(ids);
        }
    }

    /// Adds the end of these sessions of the user to the batch.
    pub(crate) async fn extend_ends(
        &self,
        batch: &mut Batch,
        user_id: &OwnedUserId,
        devices: &[Device],
    ) -> Result<(), StoreError> {
        let ids: Vec<OwnedDeviceId> = devices.iter().map(|device| device.device_id.clone()).collect();
        if !ids.is_empty() {
            let snapshot = self.engine.snapshot().await?;
            for end in &self.ends {
                end.extend_all(&*snapshot, batch, user_id, &ids).await?;
            }
        }
        for device in devices {
            let key = (device.user_id.clone(), device.device_id.clone());
            // A device of the same id made since has another session, which is not the one to end.
            batch.expect_column::<Device>(&key, "session", &device.session);
            batch.delete::<Device>(&key);
            batch.delete::<DeviceSeen>(&key);
            batch.delete::<OauthGrant>(&key);
            batch.delete::<DeviceOrigin>(&key);
            delete_tokens(batch, device.session);
            for end in &self.ends {
                end.extend(batch, &device.user_id, &device.device_id);
            }
            batch.wake(Topic::user(device.user_id.as_str()));
        }
        Ok(())
    }
}
