//! The keys that sign ID tokens: two for each month, one of Ed25519 and one of RSA, which every client of OpenID Connect knows.
//!
//! The key of Ed25519 is made of one secret of the server's and the month, and stored nowhere. One of RSA can't be made so by a
//! library that is up to it: it is drawn at random, and stored sealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use myelin_oauth_core::identity::{IdToken, IdTokenAlgorithm};
use myelin_pdu::SigningKey;
use myelin_runtime::{RsaKey, Secret};
use myelin_store::schema::oauth::IdentityKey;
use myelin_store::{Durability, Scan};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::{Auth, StoreError};

/// For how long a key signs, in milliseconds.
const MONTH: i64 = 30 * 86_400_000;
/// What a stored key is sealed for.
const PURPOSE: &str = "ID tokens";
/// What stands before the seed of an Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The keys of RSA that were read or made, by their months.
pub(crate) type RsaKeys = Mutex<BTreeMap<i64, Arc<RsaMonth>>>;

/// What signs now.
pub(crate) enum Signer {
    EdDsa(MonthKey),
    Rs256(Arc<RsaMonth>),
}

/// The key of Ed25519 of one month.
pub(crate) struct MonthKey {
    id: String,
    seed: [u8; 32],
    public: String,
}

/// The key of RSA of one month.
#[derive(Debug)]
pub(crate) struct RsaMonth {
    id: String,
    key: RsaKey,
    modulus: String,
    exponent: String,
}

impl MonthKey {
    fn new(secret: &Secret<[u8; 32]>, month: i64) -> Option<Self> {
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose()).ok()?;
        let seed =
            mac.chain_update(b"ID tokens").chain_update(month.to_be_bytes()).finalize().into_bytes().into();
        let key = SigningKey::from_seed("ed25519:0".parse().ok()?, &seed).ok()?;
        let public = key.verifying_key().to_base64().replace('+', "-").replace('/', "_");
        Some(Self { id: id_of(&public), seed, public })
    }

    fn sign(&self, claims: &IdToken<'_>) -> Option<Secret<String>> {
        let key = EncodingKey::from_ed_der(&[&PKCS8[..], &self.seed].concat());
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &key).ok().map(Secret::new)
    }

    fn published(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.id, "x": self.public,
        })
    }
}

impl RsaMonth {
    fn new(key: RsaKey) -> Self {
        let (modulus, exponent) = key.public();
        let (modulus, exponent) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
        Self { id: id_of(&modulus), key, modulus, exponent }
    }

    /// A JWT (RFC 7515, section 5.1).
    fn sign(&self, claims: &IdToken<'_>) -> Option<Secret<String>> {
        let header = json!({"typ": "JWT", "alg": IdTokenAlgorithm::Rs256.as_str(), "kid": self.id});
        let encoded = |json: String| URL_SAFE_NO_PAD.encode(json);
        let message =
            format!("{}.{}", encoded(header.to_string()), encoded(serde_json::to_string(claims).ok()?));
        let signature = self.key.sign(message.as_bytes())?;
        Some(Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    fn published(&self) -> Value {
        json!({
            "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.id, "n": self.modulus, "e": self.exponent,
        })
    }
}

impl Signer {
    /// The claims as a token.
    pub(crate) fn sign(&self, claims: &IdToken<'_>) -> Option<Secret<String>> {
        match self {
            Self::EdDsa(key) => key.sign(claims),
            Self::Rs256(key) => key.sign(claims),
        }
    }
}

impl Auth {
    /// The public keys by which ID tokens are known (RFC 7517): those of this month, of the one before, and of the one after, so
    /// that nobody meets a token with a key that they could not have known.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn identity_keys(&self) -> Result<Value, StoreError> {
        let now = self.month();
        let months = (now - 1)..=(now + 1);
        let keys = months.clone().filter_map(|month| MonthKey::new(&self.config.identity_secret, month));
        let mut published: Vec<Value> = keys.map(|key| key.published()).collect();
        for month in months {
            // Nothing was signed last month with a key that was not made then.
            if let Some(key) = self.rsa_key(month, month >= now).await? {
                published.push(key.published());
            }
        }
        Ok(json!({ "keys": published }))
    }

    /// What signs ID tokens now.
    pub(crate) async fn signer(&self, algorithm: IdTokenAlgorithm) -> Result<Signer, StoreError> {
        match algorithm {
            IdTokenAlgorithm::EdDsa => {
                let key = MonthKey::new(&self.config.identity_secret, self.month());
                key.map(Signer::EdDsa).ok_or(StoreError::Unsealable)
            }
            IdTokenAlgorithm::Rs256 => {
                let key = self.rsa_key(self.month(), true).await?;
                key.map(Signer::Rs256).ok_or(StoreError::Unsealable)
            }
        }
    }

    fn month(&self) -> i64 {
        self.now().div_euclid(MONTH)
    }

    /// The key of a month; where it `may_make` one, there is one. Whoever asks meanwhile waits, so that one is made.
    async fn rsa_key(&self, month: i64, may_make: bool) -> Result<Option<Arc<RsaMonth>>, StoreError> {
        let mut known = self.identity_keys.lock().await;
        if let Some(key) = known.get(&month) {
            return Ok(Some(Arc::clone(key)));
        }
        let row = self.engine.get_now::<IdentityKey>(&(month,)).await?;
        let opened = row.and_then(|row| self.sealer.open(PURPOSE, &month.to_string(), &row.sealed));
        let key = match opened.and_then(|der| RsaKey::from_pkcs8(&der)) {
            Some(key) => key,
            // One that can't be opened any more signs nothing, and another one takes its place.
            None if may_make => self.make_rsa_key(month).await?,
            None => return Ok(None),
        };
        let key = Arc::new(RsaMonth::new(key));
        let now = self.month();
        known.retain(|month, _| (now - 1..=now + 1).contains(month));
        known.insert(month, Arc::clone(&key));
        Ok(Some(key))
    }

    /// Makes one, and stores it before it is used.
    async fn make_rsa_key(&self, month: i64) -> Result<RsaKey, StoreError> {
        let made = self.env.cpu.run(RsaKey::generate).await.map_err(|_| StoreError::Contended)?;
        let key = made.ok_or(StoreError::Unsealable)?;
        let der = key.to_pkcs8().ok_or(StoreError::Unsealable)?;
        let sealed = self.sealer.seal(PURPOSE, &month.to_string(), der.expose());
        let sealed = Bytes::from(sealed.ok_or(StoreError::Unsealable)?);
        let mut batch = self.batch("identity_key");
        batch.put(&IdentityKey { month, sealed, made_at: self.now() });
        self.engine.commit(batch).await?;
        Ok(key)
    }

    /// Forgets keys by which no token is known any more.
    pub(crate) async fn prune_identity_keys(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("identity_key");
        batch.durability = Durability::MayLag;
        batch.delete_range(Scan::prefix::<IdentityKey>((), usize::MAX).up_to((self.month() - 2,)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}

/// What a key is called: the beginning of its public half's digest.
fn id_of(public: &str) -> String {
    let mut id = URL_SAFE_NO_PAD.encode(Sha256::digest(public));
    id.truncate(16);
    id
}
