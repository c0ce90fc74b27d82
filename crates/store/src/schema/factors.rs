//! What people show beside their passwords, or in place of them.
//! Owner: `auth`.
//!
//! Times are milliseconds since the Unix epoch. What the server must know itself is sealed with a key that is not in the
//! store; the rest is known by its SHA-256 alone.

use bytes::Bytes;
use ruma::OwnedUserId;

use crate::{KeyspaceDef, Scan, keyspace};

keyspace! {
    /// The secret of an account's authenticator app, confirmed by a code of it. Deleted with the account, or when its user or
    /// an operator removes it.
    pub struct Totp in "totp" {
        key { user_id: OwnedUserId }
        value {
            /// Sealed for this user.
            secret: Bytes,
            /// The newest step of which a code was taken: no older one is (RFC 6238, section 5.2).
            last_step: i64,
            added_at: i64,
            used_at: Option<i64>,
        }
        index {}
    }
}

keyspace! {
    /// A recovery code of an account, by the SHA-256 of it. Deleted when it is used, or when new ones are made.
    pub struct RecoveryCode in "recovery_code" {
        key { user_id: OwnedUserId, hash: Bytes }
        value { made_at: i64 }
        index {}
    }
}

keyspace! {
    /// A passkey of an account (WebAuthn), by the id of its credential. Nothing of it is secret. Deleted with the account, or
    /// when its user or an operator removes it.
    pub struct Passkey in "passkey" {
        key { credential_id: Bytes }
        value {
            user_id: OwnedUserId,
            /// By which an authenticator knows the account: random, the same for all of one account's.
            user_handle: Bytes,
            /// What its user calls it.
            name: String,
            /// Its public key and what its authenticator says of it, as JSON.
            credential: String,
            /// The newest count of signatures; 0 where its authenticator does not count.
            counter: i64,
            added_at: i64,
            used_at: Option<i64>,
        }
        index { BY_USER = "by_user" (user_id, added_at) }
    }
}

keyspace! {
    /// A challenge that a passkey has answered, by the SHA-256 of it, so that it is answered once. Deleted some time after it
    /// has expired.
    pub struct UsedChallenge in "used_challenge" {
        key { hash: Bytes }
        value { expires_at: i64 }
        index { BY_END = "by_end" (expires_at) }
    }
}

impl Passkey {
    /// Those of one account, in the order in which they were added.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, limit: usize) -> Scan {
        Scan::index::<Self>(Self::BY_USER, (user_id.clone(),), limit)
    }
}

impl RecoveryCode {
    /// Those of one account that are left.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, limit: usize) -> Scan {
        Scan::prefix::<Self>((user_id.clone(),), limit)
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<Totp>(),
    super::def::<RecoveryCode>(),
    super::def::<Passkey>(),
    super::def::<UsedChallenge>(),
];
