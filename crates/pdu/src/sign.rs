//! Signing JSON and events
//! ([signing JSON](https://spec.matrix.org/latest/appendices/#signing-json),
//! [signing events](https://spec.matrix.org/latest/server-server-api/#signing-events)).

use crate::hash::{content_hash, signing_bytes};
use crate::{CanonicalObject, CanonicalValue, KeyId, RoomRules, SigningKey, VerifyingKey, base64};

/// Signs `object` as `entity` (a server name or a user id) and adds the signature to it.
///
/// # Errors
/// [`MalformedSignatures`] if `signatures` is there in another shape than objects in an object; nothing is changed.
pub fn sign_json(
    object: &mut CanonicalObject,
    entity: &str,
    key: &SigningKey,
) -> Result<(), MalformedSignatures> {
    let signature = key.sign(&json_signing_bytes(object));
    add_signature(object, entity, key.id(), signature)
}

/// Signs an event as the server `server_name` and adds the signature to it; its hashes must be there already.
///
/// # Errors
/// As [`sign_json`].
pub fn sign_event(
    event: &mut CanonicalObject,
    rules: &RoomRules,
    server_name: &str,
    key: &SigningKey,
) -> Result<(), MalformedSignatures> {
    let signature = key.sign(&signing_bytes(event, rules));
    add_signature(event, server_name, key.id(), signature)
}

/// Replaces `hashes` by the content hash, then signs as [`sign_event`] does.
///
/// # Errors
/// As [`sign_json`]; the hash is set nevertheless.
pub fn hash_and_sign_event(
    event: &mut CanonicalObject,
    rules: &RoomRules,
    server_name: &str,
    key: &SigningKey,
) -> Result<(), MalformedSignatures> {
    add_content_hash(event);
    sign_event(event, rules, server_name, key)
}

/// Replaces `hashes` by the content hash.
pub fn add_content_hash(event: &mut CanonicalObject) {
    let hash = base64::encode(&content_hash(event));
    let hashes: CanonicalObject = [("sha256".to_owned(), hash.into())].into_iter().collect();
    event.insert("hashes", hashes);
}

/// Whether `entity` signed `object` with one of the keys that `lookup` knows.
///
/// Signatures by keys that are unknown or of another algorithm than ed25519 are passed over; those by known keys must
/// all be right, and there must be one.
///
/// # Errors
/// [`SignatureError`]
pub fn verify_json(
    object: &CanonicalObject,
    entity: &str,
    lookup: impl Fn(&KeyId) -> Option<VerifyingKey>,
) -> Result<(), SignatureError> {
    verify_bytes(object.get("signatures"), &json_signing_bytes(object), entity, |id| {
        lookup(id).ok_or(SignatureError::UnknownKey)
    })
}

/// The keys `entity` signed with, according to `signatures`, as far as their signatures can be verified.
pub(crate) fn signing_key_ids<'a>(
    signatures: Option<&'a CanonicalValue>,
    entity: &str,
) -> impl Iterator<Item = (KeyId, &'a str)> + use<'a> {
    signatures
        .and_then(CanonicalValue::as_object)
        .and_then(|signatures| signatures.get_object(entity))
        .into_iter()
        .flat_map(CanonicalObject::iter)
        .filter_map(|(id, signature)| Some((id.parse::<KeyId>().ok()?, signature.as_str()?)))
        .filter(|(id, _)| id.is_ed25519())
}

/// [`verify_json`] over bytes already made; `lookup` says why a key does not count.
pub(crate) fn verify_bytes(
    signatures: Option<&CanonicalValue>,
    message: &[u8],
    entity: &str,
    lookup: impl Fn(&KeyId) -> Result<VerifyingKey, SignatureError>,
) -> Result<(), SignatureError> {
    // What is reported if no signature counts: the reason why the last one did not.
    let mut outcome = Err(SignatureError::NotSigned);
    for (id, signature) in signing_key_ids(signatures, entity) {
        match lookup(&id) {
            Ok(key) if key.verifies(message, signature) => outcome = Ok(()),
            Ok(_) => return Err(SignatureError::Wrong { key: id }),
            Err(reason) => outcome = outcome.or(Err(reason)),
        }
    }
    outcome
}

/// Adds a signature made elsewhere, beside those already there.
///
/// # Errors
/// As [`sign_json`].
pub fn add_signature(
    object: &mut CanonicalObject,
    entity: &str,
    key: &KeyId,
    signature: String,
) -> Result<(), MalformedSignatures> {
    let signatures = object_under(object, "signatures")?;
    object_under(signatures, entity)?.insert(key.as_str(), signature);
    Ok(())
}

/// The object under `key`, made if nothing is there.
fn object_under<'a>(
    object: &'a mut CanonicalObject,
    key: &str,
) -> Result<&'a mut CanonicalObject, MalformedSignatures> {
    if !object.contains_key(key) {
        object.insert(key, CanonicalObject::new());
    }
    match object.get_mut(key) {
        Some(CanonicalValue::Object(inner)) => Ok(inner),
        _ => Err(MalformedSignatures),
    }
}

fn json_signing_bytes(object: &CanonicalObject) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    object.write_filtered(&mut bytes, |key| !matches!(key, "signatures" | "unsigned"));
    bytes
}

/// `signatures` is not an object of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signatures must be an object of objects")]
pub struct MalformedSignatures;

/// Why an object does not count as signed by an entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It bears no ed25519 signature of the entity.
    #[error("there is no ed25519 signature")]
    NotSigned,
    /// None of the keys it is signed with is known.
    #[error("none of the signing keys is known")]
    UnknownKey,
    /// The known keys it is signed with were not valid when the event was made.
    #[error("the signing key was not valid at the event's time")]
    ExpiredKey,
    /// A signature by a known key is wrong.
    #[error("the signature by {key} is wrong")]
    Wrong {
        /// The key.
        key: KeyId,
    },
}
