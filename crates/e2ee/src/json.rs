//! Keys as canonical JSON.

use bytes::Bytes;
use myelin_pdu::{CanonicalError, CanonicalJsonRule, CanonicalObject, CanonicalValue};
use serde_json::value::RawValue;

/// Reads a value that was uploaded. Signed JSON must have a canonical form.
pub(crate) fn value(raw: &RawValue) -> Result<CanonicalValue, CanonicalError> {
    CanonicalValue::parse(raw.get().as_bytes(), CanonicalJsonRule::Strict)
}

/// Reads an object that was uploaded.
pub(crate) fn object(raw: &RawValue) -> Result<CanonicalObject, CanonicalError> {
    CanonicalObject::parse(raw.get().as_bytes(), CanonicalJsonRule::Strict)
}

/// Reads back what this crate stored. `None` where the store is damaged: such a key counts as absent, since no client
/// could use it either.
pub(crate) fn stored(json: &[u8]) -> Option<CanonicalObject> {
    CanonicalObject::parse(json, CanonicalJsonRule::Strict).ok()
}

/// What is stored of a key object: everything but `unsigned`, which is the server's to add.
pub(crate) fn to_store(object: &CanonicalObject) -> Bytes {
    let mut object = object.clone();
    object.remove("unsigned");
    Bytes::from(object.to_bytes())
}

/// What a signature is made over: the object without `signatures` and `unsigned`.
pub(crate) fn signed_part(object: &CanonicalObject) -> Vec<u8> {
    let mut object = object.clone();
    object.remove("signatures");
    object.remove("unsigned");
    object.to_bytes()
}

/// Adds signatures to those that the object has.
pub(crate) fn add_signatures<'s>(
    object: &mut CanonicalObject,
    signatures: impl Iterator<Item = (&'s str, &'s str, &'s str)>,
) {
    let mut all = object.get_object("signatures").cloned().unwrap_or_default();
    for (signer, key, signature) in signatures {
        let mut of_signer = all.get_object(signer).cloned().unwrap_or_default();
        of_signer.insert(key, signature.to_owned());
        all.insert(signer, of_signer);
    }
    object.insert("signatures", all);
}
