//! Signing keys and their names.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::Signer as _;

use crate::base64;

/// A signing key identifier such as `ed25519:auto`: the algorithm and the key's name
/// ([signing details](https://spec.matrix.org/latest/appendices/#signing-details)).
///
/// Any algorithm can be named; only `ed25519` can be verified.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// The longest identifier that is read, in bytes. The specification has no bound.
    pub const MAX_LENGTH: usize = 255;

    /// The identifier as the protocol writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// Whether signatures by this key can be verified.
    #[must_use]
    pub fn is_ed25519(&self) -> bool {
        self.algorithm() == "ed25519"
    }
}

impl FromStr for KeyId {
    type Err = InvalidKey;

    fn from_str(id: &str) -> Result<Self, InvalidKey> {
        match id.split_once(':') {
            Some((algorithm, name))
                if !algorithm.is_empty() && !name.is_empty() && id.len() <= Self::MAX_LENGTH =>
            {
                Ok(Self(id.into()))
            }
            _ => Err(InvalidKey::Id),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The secret half of an ed25519 key, with its identifier. The secret is overwritten when it is dropped, and never
/// printed.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    secret: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// The key made from a seed of 32 random bytes.
    ///
    /// # Errors
    /// [`InvalidKey::Algorithm`] if `id` does not name an ed25519 key.
    pub fn from_seed(id: KeyId, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        if !id.is_ed25519() {
            return Err(InvalidKey::Algorithm);
        }
        Ok(Self { id, secret: ed25519_dalek::SigningKey::from_bytes(seed) })
    }

    /// The key made from a seed in base64, with or without padding, as key files hold it.
    ///
    /// # Errors
    /// [`InvalidKey::Base64`] if it is not 32 bytes, or as [`SigningKey::from_seed`].
    pub fn from_seed_base64(id: KeyId, seed: &str) -> Result<Self, InvalidKey> {
        Self::from_seed(id, &*base64::decode_secret(seed).ok_or(InvalidKey::Base64)?)
    }

    /// The identifier under which its signatures stand.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.secret.verifying_key())
    }

    /// The signature over `message`, in unpadded base64.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        base64::encode(&self.secret.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The public half of an ed25519 key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// The key from base64, with or without padding.
    ///
    /// # Errors
    /// [`InvalidKey::Base64`] if it is not 32 bytes, [`InvalidKey::Point`] if they are not a point of the curve.
    pub fn from_base64(key: &str) -> Result<Self, InvalidKey> {
        Self::from_bytes(&base64::decode(key).ok_or(InvalidKey::Base64)?)
    }

    /// The key from its 32 bytes.
    ///
    /// # Errors
    /// [`InvalidKey::Point`] if they are not a point of the curve.
    pub fn from_bytes(key: &[u8; 32]) -> Result<Self, InvalidKey> {
        ed25519_dalek::VerifyingKey::from_bytes(key).map(Self).map_err(|_| InvalidKey::Point)
    }

    /// The key in unpadded base64.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64::encode(self.0.as_bytes())
    }

    /// Whether `signature` (base64, with or without padding) is this key's over `message`.
    ///
    /// The check is the strict one, of a single signature: keys and nonces of small order and other spellings of a
    /// signature are refused. Batch verification may accept what this refuses, and servers that disagree on a
    /// signature split the room.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        base64::decode(signature).is_some_and(|bytes| {
            self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
        })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.to_base64())
    }
}

/// Why a key or its identifier cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// An identifier is not `algorithm:name`, or too long.
    #[error("a signing key identifier must be algorithm:name, of at most 255 bytes")]
    Id,
    /// A key to sign with is not ed25519.
    #[error("only ed25519 keys can sign")]
    Algorithm,
    /// A public key is not 32 bytes in base64.
    #[error("an ed25519 key must be 32 bytes in base64")]
    Base64,
    /// A public key is not a point of the curve.
    #[error("the 32 bytes are not an ed25519 key")]
    Point,
}
