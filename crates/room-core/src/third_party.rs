//! Signatures of third-party invites
//! (<https://spec.matrix.org/v1.18/server-server-api/#verifying-the-invite>).

use myelin_pdu::{CanonicalObject, KeyId, VerifyingKey};

/// The most signatures and public keys that are tried. Identity servers give one signature and two keys.
const MOST: usize = 32;

/// The first of these public keys (base64, standard or URL-safe) that made any of the signatures in `signed`. Who signed, and
/// the name of the key, do not matter.
#[must_use]
pub fn fitting_key<'k>(signed: &CanonicalObject, public_keys: &'k [Box<str>]) -> Option<&'k str> {
    let signatures = signed.get_object("signatures")?;
    let mut message = signed.clone();
    message.retain(|key, _| !matches!(key, "signatures" | "unsigned"));
    let message = message.to_bytes();

    let parsed = public_keys.iter().take(MOST).filter_map(|key| Some((&**key, verifying_key(key)?)));
    let keys: Vec<(&str, VerifyingKey)> = parsed.collect();
    let by_entity = signatures.iter().filter_map(|(_, value)| value.as_object());
    let named = by_entity.flat_map(CanonicalObject::iter);
    let ed25519 = named.filter(|(id, _)| id.parse::<KeyId>().is_ok_and(|id| id.is_ed25519()));
    let mut texts = ed25519.filter_map(|(_, signature)| signature.as_str()).take(MOST);
    texts
        .find_map(|signature| keys.iter().find(|(_, key)| key.verifies(&message, signature)))
        .map(|(text, _)| *text)
}

/// A public key as identity servers write it: unpadded base64 in either alphabet.
#[must_use]
pub fn verifying_key(text: &str) -> Option<VerifyingKey> {
    VerifyingKey::from_base64(&text.replace('-', "+").replace('_', "/")).ok()
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

    fn none_fits(signed: &CanonicalObject, keys: &[Box<str>]) -> bool {
        fitting_key(signed, keys).is_none()
    }

    #[test]
    fn a_signature_by_any_of_the_keys_is_enough() {
        let keys = [public(2), "no key".into(), public(1)];
        assert_eq!(fitting_key(&signed(1), &keys), Some(&*public(1)));
        let url_safe: Vec<Box<str>> =
            (0..64).map(public).map(|key| key.replace('+', "-").replace('/', "_").into()).collect();
        for seed in 0..64 {
            let key = &url_safe[usize::from(seed)..=usize::from(seed)];
            assert!(fitting_key(&signed(seed), key).is_some(), "{key:?}");
        }
    }

    #[test]
    fn a_signature_by_another_key_or_over_another_text_is_not() {
        assert!(none_fits(&signed(1), &[public(2)]));
        assert!(none_fits(&signed(1), &[]));
        let mut altered = signed(1);
        altered.insert("mxid", "@b:x");
        assert!(none_fits(&altered, &[public(1)]));
    }

    #[test]
    fn what_was_never_signed_does_not_fit() {
        let mut bare = signed(1);
        bare.remove("signatures");
        assert!(none_fits(&bare, &[public(1)]));
        bare.insert("signatures", "text");
        assert!(none_fits(&bare, &[public(1)]));
    }
}
