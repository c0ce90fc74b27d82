//! What `auth` owns: accounts, passwords, devices with their tokens, registration tokens, third-party identifiers, the
//! audit log.
//!
//! Times are milliseconds since the Unix epoch. No secret is stored as such: passwords as argon2id, access and
//! refresh tokens as SHA-256. Registration tokens are kept in the clear, because an operator lists them.

use bytes::Bytes;
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{KeyspaceDef, Scan, keyspace, text_enum};

keyspace! {
    /// An account of this server. Its row stays for ever, so that nobody else gets the user id.
    pub struct Account in "account" {
        key { user_id: OwnedUserId }
        value {
            created_at: i64,
            is_admin: bool,
            /// What kind of user it is, where a tool told (`bot`, `support`).
            user_type: Option<String>,
            locked_at: Option<i64>,
            suspended_at: Option<i64>,
            deactivated_at: Option<i64>,
            /// The user asked at deactivation that what they sent be erased as far as possible.
            erase: bool,
            /// Deactivated, and its rooms have not been left yet.
            departing: bool,
            /// Raised by every change; what depends on the account's state expects the number it saw.
            version: i64,
        }
        index { BY_DEPARTING = "by_departing" (departing) }
    }
}

keyspace! {
    /// The password of an account, if it has one, as a PHC string (argon2id).
    pub struct Password in "password" {
        key { user_id: OwnedUserId }
        value { hash: String, changed_at: i64 }
        index {}
    }
}

keyspace! {
    /// A device: a session of its user.
    pub struct Device in "device" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId }
        value {
            /// The session's number, never used twice: tokens hang on it, transaction ids are unique in it.
            session: i64,
            display_name: Option<String>,
            created_at: i64,
            /// The newest generation of tokens that the client has shown it holds.
            generation: i64,
        }
        index {}
    }
}

keyspace! {
    /// Where and when a device was last seen. Written behind, at most once in a few minutes.
    pub struct DeviceSeen in "device_seen" {
        key { user_id: OwnedUserId, device_id: OwnedDeviceId }
        value { at: i64, ip: Option<String> }
        index {}
    }
}

keyspace! {
    /// An access token, by the SHA-256 of it. It goes in the batch that ends its session, so while it is there its device is.
    pub struct AccessToken in "access_token" {
        key { hash: Bytes }
        value {
            session: i64,
            generation: i64,
            user_id: OwnedUserId,
            device_id: OwnedDeviceId,
            expires_at: Option<i64>,
            /// The device's generation is known to be this token's, so that nothing is left to be written when it is used.
            /// Without it, the device tells.
            shown: Option<bool>,
        }
        index { BY_SESSION = "by_session" (session, generation) }
    }
}

keyspace! {
    /// A refresh token, by the SHA-256 of it. One generation older than the device's is kept to tell a token that
    /// was used up from one that never was.
    pub struct RefreshToken in "refresh_token" {
        key { hash: Bytes }
        value { session: i64, generation: i64, user_id: OwnedUserId, device_id: OwnedDeviceId }
        index { BY_SESSION = "by_session" (session, generation) }
    }
}

keyspace! {
    /// A token by which its user proves to another service who they are (client-server API, "OpenID"), by the SHA-256
    /// of it. Deleted some time after it has expired.
    pub struct OpenIdToken in "openid_token" {
        key { hash: Bytes }
        value {
            user_id: OwnedUserId,
            expires_at: i64,
            /// What its bearer may know at the userinfo endpoint of OpenID Connect; nothing there without.
            scope: Option<String>,
        }
        index { BY_EXPIRY = "by_expiry" (expires_at), BY_USER = "by_user" (user_id, expires_at) }
    }
}

keyspace! {
    /// A token by which a session's user logs in elsewhere, once (client-server API, `/login/get_token`), by the SHA-256
    /// of it. It ends with the session that asked for it (-1: somebody on the pages did); deleted when it is used, or some time
    /// after it has expired.
    pub struct LoginToken in "login_token" {
        key { hash: Bytes }
        value {
            session: i64,
            user_id: OwnedUserId,
            expires_at: i64,
            /// The session at a provider in which it was asked for (`upstream`).
            origin: Option<String>,
        }
        index {
            BY_EXPIRY = "by_expiry" (expires_at),
            BY_SESSION = "by_session" (session, expires_at),
            BY_USER = "by_user" (user_id),
        }
    }
}

keyspace! {
    /// An address by which an account's user can be reached, or a number (client-server API, "Adding Account
    /// Administrative Contact Information"). One belongs to one account. The medium is `email`; the address is in its
    /// canonical form (appendices, "3PID Types").
    pub struct ThirdPartyId in "third_party_id" {
        key { medium: String, address: String }
        value { user_id: OwnedUserId, validated_at: i64, added_at: i64 }
        index { BY_USER = "by_user" (user_id) }
    }
}

/// What somebody shows that an e-mail address is theirs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmailPurpose {
    /// To make an account.
    Register,
    /// To add it to their account.
    Add,
    /// To get a new password for the account that it belongs to.
    Reset,
}
text_enum!(EmailPurpose { Register = "register", Add = "add", Reset = "reset" });

keyspace! {
    /// Somebody is to show that they read the mail for an address. Deleted when what it was for is done, or some time
    /// after it has expired. Its id is made from the address, the purpose and the client's secret: who asks again gets the
    /// same.
    pub struct EmailValidation in "email_validation" {
        key { sid: String }
        value {
            purpose: EmailPurpose,
            address: String,
            /// The SHA-256 of the client's secret.
            secret_hash: Bytes,
            /// The number of the client's last attempt to have a mail sent, and how many were.
            send_attempt: i64,
            sends: i64,
            /// Where the browser goes afterwards.
            next_link: Option<String>,
            expires_at: i64,
            validated_at: Option<i64>,
        }
        index { BY_EXPIRY = "by_expiry" (expires_at) }
    }
}

keyspace! {
    /// A token that a mail carries, by the SHA-256 of it. Every mail of a session has its own, and each is good as long
    /// as the session.
    pub struct EmailToken in "email_token" {
        key { hash: Bytes }
        value { sid: String, expires_at: i64 }
        index { BY_SID = "by_sid" (sid), BY_EXPIRY = "by_expiry" (expires_at) }
    }
}

keyspace! {
    /// A token that lets its bearer register (client-server API, "Token-authenticated registration").
    pub struct RegistrationToken in "registration_token" {
        key { token: String }
        value {
            /// How many accounts it is good for; null is any number.
            uses_allowed: Option<i64>,
            /// How many were made with it.
            completed: i64,
            expires_at: Option<i64>,
            created_at: i64,
            created_by: String,
        }
        index {}
    }
}

keyspace! {
    /// A link by which somebody makes an account, once, by the SHA-256 of what it shows. Deleted when it is used, or some time
    /// after it has expired.
    pub struct Invitation in "invitation" {
        key { hash: Bytes }
        value {
            /// Whether the account administers the server.
            is_admin: bool,
            expires_at: i64,
            created_at: i64,
            /// A user id, the door an operator came through, or `set-up`.
            created_by: String,
        }
        index { BY_END = "by_end" (expires_at) }
    }
}

keyspace! {
    /// The language in which an account's user last signed in on the pages, as a tag (BCP 47). Deleted when the account is
    /// deactivated.
    pub struct AccountLanguage in "account_language" {
        key { user_id: OwnedUserId }
        value { language: String }
        index {}
    }
}

keyspace! {
    /// That a user has accepted a document of the operator's. It stays with the account, which is never deleted.
    pub struct TermsAccepted in "terms_accepted" {
        key { user_id: OwnedUserId, document: String }
        value { version: String, at: i64 }
        index {}
    }
}

keyspace! {
    /// Who did what to which account, and when. Kept for a limited time.
    pub struct Audit in "audit_log" {
        key { pos: myelin_model::Pos }
        value {
            at: i64,
            /// A user id, or the door an operator came through.
            actor: String,
            /// What was done, such as `login` or `account.lock`.
            action: String,
            user_id: Option<OwnedUserId>,
            /// What more there is to say; never a secret.
            detail: Option<String>,
        }
        index { BY_TIME = "by_time" (at), BY_USER = "by_user" (user_id) }
    }
}

impl Device {
    /// Devices of one user in the order of their ids, after the given one.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, after: Option<&OwnedDeviceId>, limit: usize) -> Scan {
        let scan = Scan::prefix::<Self>((user_id.clone(),), limit);
        match after {
            Some(device_id) => scan.after((device_id.clone(),)),
            None => scan,
        }
    }
}

impl ThirdPartyId {
    /// The identifiers of one account.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, limit: usize) -> Scan {
        Scan::index::<Self>(Self::BY_USER, (user_id.clone(),), limit)
    }
}

impl Audit {
    /// What was done to one account, newest first.
    #[must_use]
    pub fn of_user(user_id: &OwnedUserId, limit: usize) -> Scan {
        let scan = Scan::index::<Self>(Self::BY_USER, (Some(user_id.clone()),), limit);
        scan.backward()
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<Account>(),
    super::def::<Password>(),
    super::def::<Device>(),
    super::def::<DeviceSeen>(),
    super::def::<AccessToken>(),
    super::def::<RefreshToken>(),
    super::def::<OpenIdToken>(),
    super::def::<LoginToken>(),
    super::def::<ThirdPartyId>(),
    super::def::<EmailValidation>(),
    super::def::<EmailToken>(),
    super::def::<RegistrationToken>(),
    super::def::<Invitation>(),
    super::def::<TermsAccepted>(),
    super::def::<AccountLanguage>(),
    super::def::<Audit>(),
];
