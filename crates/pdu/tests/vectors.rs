//! The test vectors of the specification
//! (<https://spec.matrix.org/latest/appendices/#cryptographic-test-vectors>).

#![allow(clippy::unwrap_used, reason = "tests")]

use myelin_pdu::{
    CanonicalJsonRule, CanonicalObject, InvalidKey, RoomVersionId, SigningKey, hash_and_sign_event,
    sign_json, verify_json,
};

fn key() -> SigningKey {
    let seed = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";
    SigningKey::from_seed_base64("ed25519:1".parse().unwrap(), seed).unwrap()
}

fn object(json: &str) -> CanonicalObject {
    CanonicalObject::parse(json.as_bytes(), CanonicalJsonRule::Strict).unwrap()
}

fn signature(object: &CanonicalObject) -> &str {
    object.get_object("signatures").unwrap().get_object("domain").unwrap().get_str("ed25519:1").unwrap()
}

#[test]
fn json_is_signed_as_the_appendices_show() {
    for (json, expected) in [
        ("{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            r#"{"one": 1, "two": "Two"}"#,
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut object = object(json);
        sign_json(&mut object, "domain", &key()).unwrap();
        assert_eq!(signature(&object), expected);
        assert_eq!(verify_json(&object, "domain", |_| Some(key().verifying_key())), Ok(()));
    }
}

#[test]
fn events_are_hashed_and_signed_as_the_appendices_show() {
    for (json, hash, expected) in [
        (
            r#"{"room_id": "!x:domain", "sender": "@a:domain", "origin": "domain", "origin_server_ts": 1000000,
                "signatures": {}, "hashes": {}, "type": "X", "content": {}, "prev_events": [], "auth_events": [],
                "depth": 3, "unsigned": {"age_ts": 1000000}}"#,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            r#"{"content": {"body": "Here is the message content"}, "event_id": "$0:domain", "origin": "domain",
                "origin_server_ts": 1000000, "type": "m.room.message", "room_id": "!r:domain",
                "sender": "@u:domain", "signatures": {}, "unsigned": {"age_ts": 1000000}}"#,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ] {
        for version in [RoomVersionId::V1, RoomVersionId::V4, RoomVersionId::V10] {
            let mut event = object(json);
            hash_and_sign_event(&mut event, version.rules(), "domain", &key()).unwrap();
            assert_eq!(event.get_object("hashes").unwrap().get_str("sha256"), Some(hash));
            assert_eq!(signature(&event), expected);
            assert_eq!(event.get_object("unsigned").unwrap().len(), 1, "unsigned stays");
        }
    }
}

#[test]
fn a_seed_is_read_with_or_without_padding_and_only_if_it_is_32_bytes() {
    let read = |seed: &str| {
        SigningKey::from_seed_base64("ed25519:1".parse().unwrap(), seed).map(|key| key.verifying_key())
    };
    let seed = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";
    assert_eq!(read(&format!("{seed}=")), read(seed));
    for wrong in ["", "YJDB", &seed[1..], &format!("{seed}AAA"), &"A".repeat(400), "?"] {
        assert_eq!(read(wrong), Err(InvalidKey::Base64), "{wrong}");
    }
    assert!(SigningKey::from_seed_base64("rsa:1".parse().unwrap(), seed).is_err());
}
