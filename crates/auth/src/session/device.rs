//! Devices, as their user sees them (<https://spec.matrix.org/v1.19/client-server-api/#device-management>).

use myelin_model::{Requester, Topic};
use myelin_store::schema::auth::{Device, DeviceSeen};
use myelin_store::{Reader, Scan};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::auth::{ATTEMPTS, Applied};
use crate::session::{DeviceProblem, check_display_name, expect_device};
use crate::{Auth, StoreError};

/// The most devices that are listed.
const LISTED: usize = 10_000;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// What its user calls it.
    pub display_name: Option<String>,
    /// The address it was last seen at.
    pub last_seen_ip: Option<String>,
    /// When, to the minute, in milliseconds since the Unix epoch.
    pub last_seen_ts: Option<i64>,
}

/// Why a device could not be renamed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The requester has no such device.
    #[error("there is no such device")]
    Unknown,
    /// It can't be called so.
    #[error(transparent)]
    Problem(#[from] DeviceProblem),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for DeviceError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Auth {
    /// The requester's devices, in the order of their ids; of very many the first ten thousand.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn devices(&self, requester: &Requester) -> Result<Vec<DeviceInfo>, StoreError> {
        self.devices_of(&requester.user_id).await
    }

    /// The same of any user, for whoever may know; see [`Self::whois`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn devices_of(&self, user_id: &OwnedUserId) -> Result<Vec<DeviceInfo>, StoreError> {
        self.devices_after(user_id, None, LISTED).await
    }

    /// The same in the order of their ids, those after one of them, at most `limit`.
    pub(crate) async fn devices_after(
        &self,
        user_id: &OwnedUserId,
        after: Option<&OwnedDeviceId>,
        limit: usize,
    ) -> Result<Vec<DeviceInfo>, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        let devices = snapshot.scan::<Device>(Device::of_user(user_id, after, limit)).await?;
        let seen = Scan::prefix::<DeviceSeen>((user_id.clone(),), limit);
        let seen = match after {
            Some(device_id) => seen.after((device_id.clone(),)),
            None => seen,
        };
        let seen = snapshot.scan::<DeviceSeen>(seen).await?;
        let mut seen = seen.into_iter().peekable();
        // Both are in the order of the device ids.
        let info = |device: Device| {
            while seen.next_if(|row| row.device_id < device.device_id).is_some() {}
            let row = seen.next_if(|row| row.device_id == device.device_id);
            self.info(device, row)
        };
        Ok(devices.into_iter().map(info).collect())
    }

    /// One of the requester's devices.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn device(
        &self,
        requester: &Requester,
        device_id: &OwnedDeviceId,
    ) -> Result<Option<DeviceInfo>, StoreError> {
        self.device_of(&requester.user_id, device_id).await
    }

    /// One device of any user, for whoever may know.
    pub(crate) async fn device_of(
        &self,
        user_id: &OwnedUserId,
        device_id: &OwnedDeviceId,
    ) -> Result<Option<DeviceInfo>, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        let key = (user_id.clone(), device_id.clone());
        let Some(device) = snapshot.get::<Device>(&key).await? else { return Ok(None) };
        let seen = snapshot.get::<DeviceSeen>(&key).await?;
        Ok(Some(self.info(device, seen)))
    }

    /// Gives one of the requester's devices another display name; `None` leaves it as it is.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn rename_device(
        &self,
        requester: &Requester,
        device_id: &OwnedDeviceId,
        display_name: Option<String>,
    ) -> Result<(), DeviceError> {
        check_display_name(display_name.as_deref())?;
        let key = (requester.user_id.clone(), device_id.clone());
        for _ in 0..ATTEMPTS {
            let found = self.engine.get_now::<Device>(&key).await?;
            let device = found.ok_or(DeviceError::Unknown)?;
            if display_name.is_none() || device.display_name == display_name {
                return Ok(());
            }
            let mut batch = self.batch(requester.user_id.as_str());
            expect_device(&mut batch, &device);
            batch.put(&Device { display_name: display_name.clone(), ..device });
            for end in &self.ends {
                end.renamed(&mut batch, &requester.user_id, device_id);
            }
            batch.wake(Topic::user(requester.user_id.as_str()));
            if self.commit(batch, &requester.user_id).await? == Applied::Yes {
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    fn info(&self, device: Device, stored: Option<DeviceSeen>) -> DeviceInfo {
        let stored = stored.map(|row| (row.at, row.ip));
        let (at, ip) = self.seen.newest(device.session).or(stored).unzip();
        DeviceInfo {
            device_id: device.device_id,
            display_name: device.display_name,
            last_seen_ip: ip.flatten(),
            last_seen_ts: at,
        }
    }
}
