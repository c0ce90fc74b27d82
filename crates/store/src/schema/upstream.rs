//! Signing in with providers of OpenID Connect: whose accounts are whose, and who is on the way. Owner: `auth`.
//!
//! Times are milliseconds since the Unix epoch. An **origin** is the session at a provider that something here was begun in:
//! the provider's id, a colon, and a digest of the session's id there.

use bytes::Bytes;
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{KeyspaceDef, Scan, keyspace, text_enum};

keyspace! {
    /// Somebody at a provider is somebody here: one account there is one here, and the other way round. It goes with the
    /// account here, or when its user takes it away.
    pub struct UpstreamLink in "upstream_link" {
        key {
            provider: String,
            /// Who it is there (`sub`).
            subject: String,
        }
        value {
            user_id: OwnedUserId,
            /// What they are called there, for themselves to know it by.
            name: Option<String>,
            linked_at: i64,
        }
        index { BY_USER = "by_user" (user_id, provider) }
    }
}

/// How far a sign-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamStage {
    /// The browser is at the provider.
    Left,
    /// It came back.
    Back,
    /// Who it is is known, and something is to be decided.
    Known,
}
text_enum!(UpstreamStage { Left = "left", Back = "back", Known = "known" });

keyspace! {
    /// A sign-in with a provider, by the SHA-256 of its state. Deleted when it is done, or some time after it has expired.
    pub struct UpstreamAttempt in "upstream_attempt" {
        key { hash: Bytes }
        value {
            provider: String,
            /// The SHA-256 of what only the browser has that left.
            browser: Bytes,
            stage: UpstreamStage,
            /// Who was signed in, where an account is to be connected.
            connects: Option<OwnedUserId>,
            /// The page that is gone on to.
            next: String,
            /// Who it is and what was made of their claims, as JSON, once that is known.
            identity: Option<String>,
            expires_at: i64,
            /// Since when the person must have shown the provider who they are, where they were to do so again.
            since: Option<i64>,
        }
        index { BY_END = "by_end" (expires_at) }
    }
}

keyspace! {
    /// The origin of a device: in which session at a provider its session was approved. It goes with the device.
    pub struct DeviceOrigin in "device_origin" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId }
        value { origin: String }
        index { BY_ORIGIN = "by_origin" (origin) }
    }
}

keyspace! {
    /// A logout token that was taken, by the SHA-256 of its provider and its id, so that it is not taken again.
    pub struct UpstreamLogout in "upstream_logout" {
        key { hash: Bytes }
        value { forgotten_at: i64 }
        index { BY_END = "by_end" (forgotten_at) }
    }
}

impl UpstreamLink {
    /// The accounts elsewhere of one account here.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, limit: usize) -> Scan {
        Scan::index::<Self>(Self::BY_USER, (user_id.clone(),), limit)
    }
}

impl DeviceOrigin {
    /// Those of one user.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, limit: usize) -> Scan {
        Scan::prefix::<Self>((user_id.clone(),), limit)
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<UpstreamLink>(),
    super::def::<UpstreamAttempt>(),
    super::def::<DeviceOrigin>(),
    super::def::<UpstreamLogout>(),
];
