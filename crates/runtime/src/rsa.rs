//! RSA keys (RFC 8017), for signatures that must be readable to who knows nothing else.
//!
//! The library makes them of the system's randomness, and of no seed: in a world that repeats, they alone are others each time.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

use crate::Secret;

/// A key of 2048 bits. The library does all arithmetic with it in constant time, and blinds what it signs.
pub struct RsaKey(KeyPair);

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey")
    }
}

impl RsaKey {
    /// A new one. It takes a tenth of a second or more: on the pool ([`crate::CpuPool`]), please.
    #[must_use]
    pub fn generate() -> Option<Self> {
        KeyPair::generate(KeySize::Rsa2048).ok().map(Self)
    }

    /// The one that was written as PKCS #8.
    #[must_use]
    pub fn from_pkcs8(der: &Secret<Vec<u8>>) -> Option<Self> {
        KeyPair::from_pkcs8(der.expose()).ok().map(Self)
    }

    /// All of it, as PKCS #8 (RFC 5208).
    #[must_use]
    pub fn to_pkcs8(&self) -> Option<Secret<Vec<u8>>> {
        let der: Pkcs8V1Der<'_> = self.0.as_der().ok()?;
        Some(Secret::new(der.as_ref().to_vec()))
    }

    /// The modulus and the exponent: big-endian, without zeros in front.
    #[must_use]
    pub fn public(&self) -> (Vec<u8>, Vec<u8>) {
        let key = self.0.public_key();
        let bytes = |number: aws_lc_rs::io::Positive<'_>| number.big_endian_without_leading_zero().to_vec();
        (bytes(key.modulus()), bytes(key.exponent()))
    }

    /// Signs by RSASSA-PKCS1-v1_5 with SHA-256, which JWTs call `RS256`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::RsaKey;

    #[test]
    fn what_it_signs_is_known_by_its_public_half_and_a_key_that_was_written_is_the_same() {
        let key = RsaKey::generate().unwrap();
        let read = RsaKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(key.public(), read.public());
        let (n, e) = key.public();
        assert_eq!((n.len(), &*e), (256, &[1, 0, 1][..]));
        let signature = read.sign(b"so it is").unwrap();
        let public = RsaPublicKeyComponents { n, e };
        public.verify(&RSA_PKCS1_2048_8192_SHA256, b"so it is", &signature).unwrap();
        assert!(public.verify(&RSA_PKCS1_2048_8192_SHA256, b"so it is not", &signature).is_err());
        assert_eq!(format!("{key:?}"), "RsaKey");
    }
}
