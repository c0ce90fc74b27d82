//! Holding received events against their signatures and hashes
//! ([validating](https://spec.matrix.org/latest/server-server-api/#validating-hashes-and-signatures-on-received-events)).

use std::num::NonZeroUsize;

use bytes::Bytes;
use ruma::{OwnedServerName, ServerName, UserId};

use crate::hash::{content_hash, stated_content_hash};
use crate::pdu::parse_checked;
use crate::sign::{signing_key_ids, verify_bytes};
use crate::{
    CanonicalObject, KeyId, KeyValidityRule, Pdu, PduError, RoomRules, SignatureError, VerifyingKey, parallel,
};

/// Seven days in milliseconds: no key counts as valid for longer, however long its server says.
const LONGEST_VALIDITY_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A server's public key, and for which events it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKey {
    /// The key.
    pub key: VerifyingKey,
    /// For which events it counts.
    pub validity: KeyValidity,
}

/// For which events a server's key counts. Times are in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyValidity {
    /// It is in use, and was said to be valid until this time (`valid_until_ts`).
    Until(i64),
    /// It is no longer in use, since this time (`old_verify_keys`, `expired_ts`).
    ExpiredAt(i64),
}

impl KeyValidity {
    /// Whether the key counts for an event made at `event_ts`, judged at the time `now`.
    #[must_use]
    pub fn covers(self, event_ts: i64, rule: KeyValidityRule, now: i64) -> bool {
        match self {
            // "Any keys that are known to have expired prior to the event's origin_server_ts are ignored."
            Self::ExpiredAt(expired) => event_ts <= expired,
            Self::Until(valid_until) => {
                rule == KeyValidityRule::Ignored
                    || event_ts <= valid_until.min(now.saturating_add(LONGEST_VALIDITY_MS))
            }
        }
    }
}

/// Knows servers' keys. It answers from memory: what is missing is fetched beforehand
/// ([`UnverifiedPdu::keys_used`]).
pub trait KeyLookup {
    /// The key `id` of `server`.
    fn server_key(&self, server: &ServerName, id: &KeyId) -> Option<ServerKey>;
}

impl<F: Fn(&ServerName, &KeyId) -> Option<ServerKey>> KeyLookup for F {
    fn server_key(&self, server: &ServerName, id: &KeyId) -> Option<ServerKey> {
        self(server, id)
    }
}

/// An event as received: its form is right, its signatures and hashes are not looked at yet.
#[derive(Debug)]
pub struct UnverifiedPdu {
    pdu: Pdu,
    object: CanonicalObject,
    signed: Vec<u8>,
    signers: Vec<OwnedServerName>,
}

/// An event whose required signatures are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedPdu {
    /// It is complete: its content hash is right.
    Intact(Pdu),
    /// Its content hash does not match, as when it was redacted on the way. This is its redacted copy, and what it was
    /// received as must not be used.
    Redacted(Pdu),
}

impl VerifiedPdu {
    /// The event to go on with.
    #[must_use]
    pub const fn pdu(&self) -> &Pdu {
        match self {
            Self::Intact(pdu) | Self::Redacted(pdu) => pdu,
        }
    }

    /// The event to go on with.
    #[must_use]
    pub fn into_pdu(self) -> Pdu {
        match self {
            Self::Intact(pdu) | Self::Redacted(pdu) => pdu,
        }
    }
}

impl UnverifiedPdu {
    /// Reads an event in federation format, as [`Pdu::parse`] does.
    ///
    /// # Errors
    /// [`PduError`]: such an event is dropped.
    pub fn parse(raw: Bytes, rules: &'static RoomRules) -> Result<Self, PduError> {
        let (pdu, object, signed) = parse_checked(raw, rules)?;
        if stated_content_hash(&object).is_none() {
            return Err(PduError::Malformed { field: "hashes", expected: "an object with a SHA-256 hash" });
        }
        let signers = required_signers(&pdu, &object)?;
        Ok(Self { pdu, object, signed, signers })
    }

    /// [`UnverifiedPdu::parse`] for many events of one room, on up to `threads` threads, in their order.
    #[must_use]
    pub fn parse_all(
        raws: &[Bytes],
        rules: &'static RoomRules,
        threads: NonZeroUsize,
    ) -> Vec<Result<Self, PduError>> {
        parallel::map(raws, threads, |raw| Self::parse(raw.clone(), rules))
    }

    /// The event, to look at; nothing in it is trustworthy yet.
    #[must_use]
    pub const fn pdu(&self) -> &Pdu {
        &self.pdu
    }

    /// The servers that must have signed it: the sender's (not for an invite by way of a third party), the one in its
    /// id (v1, v2), and the one that authorised a restricted join (v8 and later).
    #[must_use]
    pub fn required_signers(&self) -> &[OwnedServerName] {
        &self.signers
    }

    /// The keys its required signatures name, for fetching those that are not at hand.
    pub fn keys_used(&self) -> impl Iterator<Item = (&ServerName, KeyId)> {
        self.signers.iter().flat_map(|server| {
            signing_key_ids(self.object.get("signatures"), server.as_str())
                .map(|(id, _)| (AsRef::<ServerName>::as_ref(server), id))
        })
    }

    /// Verifies the signatures and the content hash. `now` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// [`VerifyError`]: the event is dropped.
    pub fn verify(&self, keys: &(impl KeyLookup + ?Sized), now: i64) -> Result<VerifiedPdu, VerifyError> {
        for server in &self.signers {
            self.verify_signature_of(server, keys, now)
                .map_err(|reason| VerifyError::Signature { server: server.clone(), reason })?;
        }
        if stated_content_hash(&self.object) == Some(content_hash(&self.object)) {
            return Ok(VerifiedPdu::Intact(self.pdu.clone()));
        }
        Ok(VerifiedPdu::Redacted(self.pdu.redacted()?))
    }

    /// Whether `server` signed the event, whether it had to or not: policy servers and invited servers, for example.
    ///
    /// # Errors
    /// [`SignatureError`]
    pub fn verify_signature_of(
        &self,
        server: &ServerName,
        keys: &(impl KeyLookup + ?Sized),
        now: i64,
    ) -> Result<(), SignatureError> {
        let (made_at, rule) = (self.pdu.origin_server_ts(), self.pdu.rules().key_validity);
        verify_bytes(self.object.get("signatures"), &self.signed, server.as_str(), |id| {
            let known = keys.server_key(server, id).ok_or(SignatureError::UnknownKey)?;
            if known.validity.covers(made_at, rule, now) {
                Ok(known.key)
            } else {
                Err(SignatureError::ExpiredKey)
            }
        })
    }
}

/// Verifies one event that was parsed before; see [`UnverifiedPdu::verify`].
///
/// # Errors
/// [`VerifyError`]
pub fn verify_pdu(pdu: &Pdu, keys: &(impl KeyLookup + ?Sized), now: i64) -> Result<VerifiedPdu, VerifyError> {
    UnverifiedPdu::parse(pdu.raw().clone(), pdu.rules())?.verify(keys, now)
}

/// Verifies many events, each by itself, on up to `threads` threads, and gives the outcomes in their order.
#[must_use]
pub fn verify_all(
    pdus: &[UnverifiedPdu],
    keys: &(impl KeyLookup + Sync + ?Sized),
    now: i64,
    threads: NonZeroUsize,
) -> Vec<Result<VerifiedPdu, VerifyError>> {
    parallel::map(pdus, threads, |pdu| pdu.verify(keys, now))
}

fn required_signers(pdu: &Pdu, object: &CanonicalObject) -> Result<Vec<OwnedServerName>, PduError> {
    let rules = pdu.rules().signatures;
    let mut signers = Vec::with_capacity(2);
    let mut require = |server: &ServerName| {
        if !signers.iter().any(|signer: &OwnedServerName| signer == server) {
            signers.push(server.to_owned());
        }
    };
    let content = object.get_object("content");
    let is_third_party_invite = pdu.membership() == Some("invite")
        && content.is_some_and(|content| content.contains_key("third_party_invite"));
    if !is_third_party_invite {
        require(pdu.sender_server());
    }
    if rules.event_id_server
        && let Some(server) = pdu.event_id().server_name()
    {
        require(server);
    }
    // MSC3083 asks for it on joins; on other events the key is content like any other.
    if rules.authorising_server
        && pdu.membership() == Some("join")
        && let Some(user) = content.and_then(|content| content.get("join_authorised_via_users_server"))
    {
        const FIELD: &str = "join_authorised_via_users_server";
        let malformed = PduError::Malformed { field: FIELD, expected: "a user id" };
        let user = user.as_str().and_then(|user| <&UserId>::try_from(user).ok()).ok_or(malformed)?;
        require(user.server_name());
    }
    Ok(signers)
}

/// Why a received event is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A server that must have signed it has not, or not rightly.
    #[error("{server} has not signed the event: {reason}")]
    Signature {
        /// The server.
        server: OwnedServerName,
        /// What is wrong.
        reason: SignatureError,
    },
    /// It is no event at all.
    #[error(transparent)]
    Pdu(#[from] PduError),
}
