//! Proof that who redeems a code is who asked for it (RFC 7636), by SHA-256 only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a verifier, in the URL-safe alphabet of base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Reads a challenge: 32 bytes in base64url without padding.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    /// The challenge that a verifier meets; none if it can't be one (RFC 7636, section 4.1).
    #[must_use]
    pub fn of(verifier: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let fits = (43..=128).contains(&verifier.len()) && verifier.bytes().all(legal);
        fits.then(|| Self(URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))))
    }

    /// Whether the verifier is the one that the challenge was made of.
    #[must_use]
    pub fn is_met_by(&self, verifier: &str) -> bool {
        Self::of(verifier).is_some_and(|made| bool::from(made.0.as_bytes().ct_eq(self.0.as_bytes())))
    }

    /// The challenge as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn the_example_of_the_rfc_is_met_by_its_verifier_only() {
        // RFC 7636, appendix B.
        let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(challenge.is_met_by(verifier));
        assert!(!challenge.is_met_by(&verifier.replace('d', "e")));
        assert!(!challenge.is_met_by(challenge.as_str()), "plain is not S256");
    }

    #[test]
    fn what_is_no_hash_and_what_is_no_verifier_is_refused() {
        for text in
            ["", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"]
        {
            assert!(Challenge::parse(text).is_none(), "{text}");
        }
        for verifier in ["short", &"a".repeat(129), &"\u{e9}".repeat(43), &format!("{} ", "a".repeat(43))] {
            assert!(Challenge::of(verifier).is_none(), "{verifier}");
        }
    }
}
