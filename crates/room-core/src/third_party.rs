//! Signatures of third-party invites
//! (<https://spec.matrix.org/v1.18/server-server-api/#verifying-the-invite>).

use myelin_pdu::{CanonicalObject, KeyId, VerifyingKey};

/// The most signatures and public keys that are tried. Identity servers give one signature and two keys.
const MOST: usize = 32;

/// Whether any of the signatures in `signed` was made by one of these public keys (base64). Who signed, and the name of
/// the key, do not matter.
pub(crate) fn any_signature_fits(signed: &CanonicalObject, public_keys: &[Box<str>]) -> bool {
    let Some(signatures) = signed.get_object("signatures") else { return false };
    let mut message = signed.clone();
    message.retain(|key, _| !matches!(key, "signatures" | "unsigned"));
    let message = message.to_bytes();

    let keys: Vec<_> =
        public_keys.iter().take(MOST).filter_map(|key| VerifyingKey::from_base64(key).ok()).collect();
    let by_entity = signatures.iter().filter_map(|(_, value)| value.as_object());
    let named = by_entity.flat_map(CanonicalObject::iter);
    let ed25519 = named.filter(|(id, _)| id.parse::<KeyId>().is_ok_and(|id| id.is_ed25519()));
    let mut texts = ed25519.filter_map(|(_, signature)| signature.as_str()).take(MOST);
    texts.any(|signature| keys.iter().any(|key| key.verifies(&message, signature)))
}

#[cfg(test)]
mod tests {
    use myelin_pdu::{CanonicalJsonRule, SigningKey, sign_json};

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed("ed25519:0".parse().unwrap(), &[seed; 32]).unwrap()
    }

    fn public(seed: u8) -> Box<str> {
        key(seed).verifying_key().to_base64().into()
    }

    fn signed(seed: u8) -> CanonicalObject {
        let json = br#"{"mxid":"@a:x","token":"t"}"#;
        let mut object = CanonicalObject::parse(json, CanonicalJsonRule::Strict).unwrap();
        sign_json(&mut object, "id.example", &key(seed)).unwrap();
        object
    }

    #[test]
    fn a_signature_by_any_of_the_keys_is_enough() {
        assert!(any_signature_fits(&signed(1), &[public(2), "no key".into(), public(1)]));
    }

    #[test]
    fn a_signature_by_another_key_or_over_another_text_is_not() {
        assert!(!any_signature_fits(&signed(1), &[public(2)]));
        assert!(!any_signature_fits(&signed(1), &[]));
        let mut altered = signed(1);
        altered.insert("mxid", "@b:x");
        assert!(!any_signature_fits(&altered, &[public(1)]));
    }

    #[test]
    fn what_was_never_signed_does_not_fit() {
        let mut bare = signed(1);
        bare.remove("signatures");
        assert!(!any_signature_fits(&bare, &[public(1)]));
        bare.insert("signatures", "text");
        assert!(!any_signature_fits(&bare, &[public(1)]));
    }
}
