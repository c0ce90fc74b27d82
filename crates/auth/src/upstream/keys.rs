//! A provider's keys, and whether one of them signed a token (RFC 7515, RFC 7517).

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use myelin_oauth_core::upstream::claims::Claims;
use serde::Deserialize;
use serde_json::Value;

/// The most keys of one provider that are looked at.
const MOST: usize = 64;
/// The longest token that is read, in bytes.
const MAX_TOKEN: usize = 64 * 1024;
/// By what tokens may be signed: keys of which only the provider has the secret half.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Public keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<Jwk>);

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsigned {
    /// It is none, or not signed in a way that is taken.
    #[error("it is not signed with a key of the provider's, in a way that this server takes")]
    Form,
    /// The key is unknown; it may be new.
    #[error("it is signed with a key that the provider does not publish")]
    Key,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
}

impl Keys {
    /// Reads a set of keys. Those of kinds that are not known here are left out.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let keys = set.keys.into_iter().take(MOST).filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(keys.collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The claims of a token, with the type that its header names, if one of these keys signed it. What they say is still to
    /// be judged.
    pub(super) fn verify(&self, token: &str) -> Result<(Claims, Option<String>), Unsigned> {
        if token.len() > MAX_TOKEN {
            return Err(Unsigned::Form);
        }
        let header = decode_header(token).map_err(|_| Unsigned::Form)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Unsigned::Form);
        }
        let fits = |key: &&Jwk| {
            let common = &key.common;
            let is_named = header.kid.is_none() || common.key_id == header.kid;
            let is_for_signing = !matches!(common.public_key_use, Some(PublicKeyUse::Encryption));
            let algorithm = common.key_algorithm.map(|algorithm| algorithm.to_string());
            is_named && is_for_signing && algorithm.is_none_or(|named| named == format!("{:?}", header.alg))
        };
        let mut validation = Validation::new(header.alg);
        // Times, issuer and audience are judged on this server's clock, with the rest of the claims.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        let mut problem = Unsigned::Key;
        for key in self.0.iter().filter(fits) {
            let Ok(key) = DecodingKey::from_jwk(key) else { continue };
            match decode::<Claims>(token, &key, &validation) {
                Ok(data) => return Ok((data.claims, data.header.typ)),
                Err(_) => problem = Unsigned::Signature,
            }
        }
        Err(problem)
    }
}
