//! Who asks.

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};

/// The authenticated sender of a request. Every service method that acts for somebody takes one and checks what
/// they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// Whose session it is.
    pub user_id: OwnedUserId,
    /// The session's device; absent for sessions without one, such as an appservice's own.
    pub device_id: Option<OwnedDeviceId>,
    /// Whether the user administers this server.
    pub is_admin: bool,
    /// Whether the account is suspended: it reads and leaves, and does nothing that others would see (client-server API,
    /// "Account suspension").
    pub is_suspended: bool,
    /// The session's number within this store: a transaction id is unique per session.
    pub session: i64,
}

impl Requester {
    /// The server itself, doing something on a user's behalf.
    #[must_use]
    pub fn server_for(user_id: &UserId) -> Self {
        let user_id = user_id.to_owned();
        Self { user_id, device_id: None, is_admin: false, is_suspended: false, session: 0 }
    }

    /// The user.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// The device, if the session has one.
    #[must_use]
    pub fn device_id(&self) -> Option<&DeviceId> {
        self.device_id.as_deref()
    }
}
