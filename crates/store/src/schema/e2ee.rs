//! What `e2ee` owns: device keys, one-time and fallback keys, cross-signing keys and signatures, device-list changes,
//! to-device inboxes, key backups.
//!
//! Keys are kept as the canonical JSON of what was uploaded. Device ids that may be missing (a session without a
//! device) are the empty string in [`ToDeviceTransaction`].

pub mod read;

use bytes::Bytes;
use myelin_model::Pos;
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId};

use crate::{KeyspaceDef, keyspace, text_enum};

keyspace! {
    /// The identity keys of a device, as its owner uploaded them (client-server API, "Device keys").
    pub struct DeviceKeys in "device_keys" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId }
        value {
            /// Canonical JSON without `unsigned`.
            json: Bytes,
            changed: Pos,
        }
        index {}
    }
}

keyspace! {
    /// A one-time key that nobody has claimed yet. Claiming it deletes the row.
    pub struct OneTimeKey in "one_time_key" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId, algorithm: String, key_id: String }
        value {
            /// The key object or string, in canonical JSON.
            json: Bytes,
            /// The commit that brought it: keys are handed out in this order (MSC4225).
            uploaded: Pos,
        }
        index { BY_AGE = "by_age" (user_id, device_id, algorithm, uploaded) }
    }
}

keyspace! {
    /// How many one-time keys a device has, for each algorithm it ever uploaded.
    pub struct OneTimeKeyCount in "one_time_key_count" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId, algorithm: String }
        value {
            /// Rows of [`OneTimeKey`].
            unclaimed: i64,
            /// Rows of [`ClaimedKey`].
            remembered: i64,
        }
        index {}
    }
}

keyspace! {
    /// A one-time key that was handed out: a client that repeats its upload because it never saw the answer must not
    /// bring it back. The oldest are forgotten.
    pub struct ClaimedKey in "claimed_one_time_key" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId, algorithm: String, key_id: String }
        value {
            /// The key itself, without its signatures.
            public_key: String,
            claimed: Pos,
        }
        index { BY_AGE = "by_age" (user_id, device_id, algorithm, claimed) }
    }
}

keyspace! {
    /// The key that is handed out, again and again, when a device has run out of one-time keys.
    pub struct FallbackKey in "fallback_key" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId, algorithm: String }
        value {
            key_id: String,
            /// The key object or string, in canonical JSON.
            json: Bytes,
            /// Whether it was handed out since it was uploaded.
            used: bool,
        }
        index {}
    }
}

/// What a cross-signing key is for (client-server API, "Cross-signing").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyUsage {
    /// The user's identity: signs the other two.
    Master,
    /// Signs the user's own devices.
    SelfSigning,
    /// Signs other users' master keys.
    UserSigning,
}
text_enum!(KeyUsage { Master = "master", SelfSigning = "self_signing", UserSigning = "user_signing" });

keyspace! {
    /// A user's cross-signing key.
    pub struct CrossSigningKey in "cross_signing_key" {
        key { user_id: OwnedUserId, usage: KeyUsage }
        value {
            /// The ed25519 key in unpadded base64, which is also its id.
            public_key: String,
            /// Canonical JSON without `unsigned`.
            json: Bytes,
            changed: Pos,
        }
        index {}
    }
}

keyspace! {
    /// A signature that was added to a key after its upload. `key` is a device id or the public key of a master key.
    pub struct KeySignature in "key_signature" {
        key {
            user_id: OwnedUserId,
            key: String,
            /// Who signed. Signatures on other users' keys are shown to their maker only.
            signer: OwnedUserId,
            /// With which key, such as `ed25519:base64`.
            signing_key: String,
        }
        value { signature: String }
        index {}
    }
}

keyspace! {
    /// When a user's devices, their keys or names, or the user's cross-signing keys last changed in a way that others
    /// can see.
    pub struct DeviceListChange in "device_list_change" {
        key { user_id: OwnedUserId }
        value { changed: Pos }
        index { BY_CHANGE = "by_change" (changed) }
    }
}

keyspace! {
    /// When `signer` last signed the master key of another user: news for the signer's own devices only.
    pub struct UserSignatureChange in "user_signature_change" {
        key { signer: OwnedUserId, user_id: OwnedUserId }
        value { changed: Pos }
        index { BY_CHANGE = "by_change" (signer, changed) }
    }
}

keyspace! {
    /// A message that waits in the inbox of a device.
    pub struct ToDevice in "to_device" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId, pos: Pos }
        value {
            sender: OwnedUserId,
            kind: String,
            /// The JSON object as sent.
            content: Bytes,
        }
        index {}
    }
}

keyspace! {
    /// A `/sendToDevice` request that was carried out, wholly or up to a target.
    pub struct ToDeviceTransaction in "to_device_transaction" {
        key {
            user_id: OwnedUserId,
            /// Empty for a session without a device.
            device_id: String,
            session: i64,
            txn_id: String,
        }
        value {
            /// The last target whose inbox has the message, as `user_id`, a line break and `device_id`; absent when
            /// every inbox has it.
            reached: Option<String>,
            at: i64,
        }
        index { BY_TIME = "by_time" (user_id, device_id, at) }
    }
}

keyspace! {
    /// A version of a user's key backup. Deleted versions stay, empty, so that their numbers are never given again.
    pub struct KeyBackup in "key_backup" {
        key { user_id: OwnedUserId, version: i64 }
        value {
            deleted: bool,
            algorithm: String,
            /// The JSON object as sent.
            auth_data: Bytes,
            /// How many sessions it holds.
            count: i64,
            /// Raised by every change of its sessions.
            etag: i64,
        }
        index { BY_STATE = "by_state" (user_id, deleted, version) }
    }
}

keyspace! {
    /// The encrypted key of one session in a backup (client-server API, "Server-side key backups").
    pub struct BackedUpSession in "key_backup_session" {
        key { user_id: OwnedUserId, version: i64, room_id: OwnedRoomId, session_id: String }
        value {
            first_message_index: i64,
            forwarded_count: i64,
            is_verified: bool,
            /// The JSON object as sent.
            session_data: Bytes,
            /// The device that uploaded it, for whoever looks into a bad backup.
            device_id: Option<OwnedDeviceId>,
        }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<DeviceKeys>(),
    super::def::<OneTimeKey>(),
    super::def::<OneTimeKeyCount>(),
    super::def::<ClaimedKey>(),
    super::def::<FallbackKey>(),
    super::def::<CrossSigningKey>(),
    super::def::<KeySignature>(),
    super::def::<DeviceListChange>(),
    super::def::<UserSignatureChange>(),
    super::def::<ToDevice>(),
    super::def::<ToDeviceTransaction>(),
    super::def::<KeyBackup>(),
    super::def::<BackedUpSession>(),
];
