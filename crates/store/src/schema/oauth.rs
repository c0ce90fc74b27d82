//! OAuth 2.0: who registered, what was approved, which tokens came of it, and who is signed in on the pages.
//! Owner: `auth`.
//!
//! Times are milliseconds since the Unix epoch. Codes and the cookies of browsers are known by their SHA-256 alone.

use bytes::Bytes;
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{KeyspaceDef, Scan, keyspace, text_enum};

keyspace! {
    /// A client that registered itself. Its id is the digest of its metadata. Deleted when nobody used it for some time
    /// and no session is a grant to it.
    pub struct OauthClient in "oauth_client" {
        key { client_id: String }
        value {
            /// What it registered, as canonical JSON.
            metadata: String,
            created_at: i64,
            /// When it was last registered or approved, to the day.
            used_at: i64,
        }
        index { BY_USE = "by_use" (used_at) }
    }
}

keyspace! {
    /// An authorization code, by the SHA-256 of it. One that was redeemed is kept for some time, to know one that comes back.
    pub struct OauthCode in "oauth_code" {
        key { hash: Bytes }
        value {
            client_id: String,
            redirect_uri: String,
            /// The PKCE challenge: the SHA-256 of the verifier, in base64url.
            challenge: String,
            scope: String,
            /// Who approved.
            user_id: OwnedUserId,
            expires_at: i64,
            is_redeemed: bool,
            /// When the row goes.
            forgotten_at: i64,
            /// The session at a provider in which it was approved (`upstream`).
            origin: Option<String>,
            /// What the client sent along for the ID token, and when its user showed who they are.
            nonce: Option<String>,
            authenticated_at: Option<i64>,
        }
        index { BY_END = "by_end" (forgotten_at), BY_USER = "by_user" (user_id) }
    }
}

/// How far a device code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceCodeStage {
    /// Nobody has decided.
    Pending,
    /// Its user said yes.
    Approved,
    /// Its user said no.
    Denied,
    /// Tokens were issued.
    Issued,
}
text_enum!(DeviceCodeStage { Pending = "pending", Approved = "approved", Denied = "denied", Issued = "issued" });

keyspace! {
    /// A device code, by the SHA-256 of it, with the short code that its user types elsewhere. Kept some time after it has
    /// expired.
    pub struct OauthDeviceCode in "oauth_device_code" {
        key { hash: Bytes }
        value {
            user_code: String,
            client_id: String,
            scope: String,
            stage: DeviceCodeStage,
            /// Who decided.
            user_id: Option<OwnedUserId>,
            /// How long the client waits between two questions, in milliseconds.
            poll_interval: i64,
            polled_at: Option<i64>,
            expires_at: i64,
            /// When the row goes.
            forgotten_at: i64,
            /// The session at a provider in which it was approved (`upstream`).
            origin: Option<String>,
        }
        index {
            BY_USER_CODE = "by_user_code" (user_code),
            BY_END = "by_end" (forgotten_at),
            BY_USER = "by_user" (user_id),
        }
    }
}

keyspace! {
    /// What a device was given to by OAuth 2.0: its session is this grant, and both end together. A session of the legacy
    /// API has none.
    pub struct OauthGrant in "oauth_grant" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId }
        value {
            client_id: String,
            scope: String,
            /// The SHA-256 of the mark that every refresh token of the grant bears, by which one that is kept no more is known.
            family: Bytes,
            /// The generation of its first tokens.
            generation: i64,
            created_at: i64,
        }
        index { BY_FAMILY = "by_family" (family), BY_CLIENT = "by_client" (client_id) }
    }
}

keyspace! {
    /// The RSA key that signs ID tokens in one month of thirty days since the Unix epoch, sealed. Made the month before, so that it
    /// is known when it is used; deleted when the one after it is as old.
    pub struct IdentityKey in "identity_key" {
        key { month: i64 }
        value {
            /// The key as PKCS #8, sealed.
            sealed: Bytes,
            made_at: i64,
        }
        index {}
    }
}

keyspace! {
    /// A browser in which somebody is signed in to the pages, by the SHA-256 of its cookie.
    pub struct BrowserSession in "browser_session" {
        key { hash: Bytes }
        value {
            user_id: OwnedUserId,
            /// When they last showed who they are. A password that was changed later ends it.
            authenticated_at: i64,
            expires_at: i64,
            /// What the browser says of itself.
            user_agent: Option<String>,
            /// When it was last seen, to the hour.
            seen_at: Option<i64>,
            /// The session at a provider in which they signed in (`upstream`).
            origin: Option<String>,
            /// When they last showed there who they are, where it was there; 0 where the provider does not say.
            shown_at: Option<i64>,
        }
        index {
            BY_USER = "by_user" (user_id, expires_at),
            BY_END = "by_end" (expires_at),
            BY_ORIGIN = "by_origin" (origin),
        }
    }
}

keyspace! {
    /// A browser in which somebody has signed in before, by the SHA-256 of what it shows to be known again: who guesses
    /// the password elsewhere does not keep its user out. It stays when they sign out.
    pub struct KnownBrowser in "known_browser" {
        key { hash: Bytes }
        value { user_id: OwnedUserId, expires_at: i64 }
        index { BY_USER = "by_user" (user_id, expires_at), BY_END = "by_end" (expires_at) }
    }
}

keyspace! {
    /// Somebody allowed on the pages that their cross-signing keys be replaced, once, from one of their sessions. Deleted when
    /// they were, or some time after it has expired.
    pub struct ResetApproval in "cross_signing_approval" {
        key { user_id: OwnedUserId }
        value {
            expires_at: i64,
            /// The session that may.
            session: Option<i64>,
        }
        index { BY_END = "by_end" (expires_at) }
    }
}

impl OauthGrant {
    /// The grant whose refresh tokens bear the mark with this SHA-256.
    #[must_use]
    pub fn of_family(family: &Bytes) -> Scan {
        Scan::index::<Self>(Self::BY_FAMILY, (family.clone(),), 1)
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<OauthClient>(),
    super::def::<OauthCode>(),
    super::def::<OauthDeviceCode>(),
    super::def::<OauthGrant>(),
    super::def::<BrowserSession>(),
    super::def::<IdentityKey>(),
    super::def::<KnownBrowser>(),
    super::def::<ResetApproval>(),
];
