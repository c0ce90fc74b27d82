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

impl RecoveryCode {
    /// Those of one account that are left.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, limit: usize) -> Scan {
        Scan::prefix::<Self>((user_id.clone(),), limit)
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[super::def::<Totp>(), super::def::<RecoveryCode>()];
