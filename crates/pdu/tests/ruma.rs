//! The same events through this crate and through ruma: hashes, ids, redaction, signatures.
//!
//! ruma knows strict canonical JSON only, so events of rooms before version 6 take part as far as their numbers allow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use myelin_pdu::{
    CanonicalJsonRule, CanonicalObject, CanonicalValue, EventReferenceFormat, KeyId, KeyValidity, Pdu,
    RoomVersionId, ServerKey, SigningKey, UnverifiedPdu, VerifiedPdu, content_hash, hash_and_sign_event,
    redact, reference_hash, sign_json,
};
use proptest::prelude::*;
use ruma::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};
use ruma::room_version_rules::RoomVersionRules;
use ruma::serde::Base64;
use ruma::signatures::{self, Ed25519KeyPair};

const SEED: [u8; 32] = [7; 32];

fn our_key() -> SigningKey {
    SigningKey::from_seed("ed25519:k".parse().unwrap(), &SEED).unwrap()
}

fn their_key() -> Ed25519KeyPair {
    // RFC 8410: the PKCS#8 frame of an ed25519 seed.
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(SEED);
    Ed25519KeyPair::from_der(&der, "k".to_owned()).unwrap()
}

fn their_rules(version: RoomVersionId) -> RoomVersionRules {
    ruma::RoomVersionId::try_from(version.as_str()).unwrap().rules().unwrap()
}

fn theirs(json: &[u8]) -> CanonicalJsonObject {
    serde_json::from_slice(json).unwrap()
}

fn ours(json: &[u8]) -> CanonicalObject {
    CanonicalObject::parse(json, CanonicalJsonRule::Strict).unwrap()
}

fn spelling(object: &CanonicalJsonObject) -> String {
    CanonicalJsonValue::Object(object.clone()).to_string()
}

fn our_spelling(object: &CanonicalObject) -> String {
    String::from_utf8(object.to_bytes()).unwrap()
}

fn json_value() -> impl Strategy<Value = CanonicalValue> {
    let leaf = prop_oneof![
        Just(CanonicalValue::Null),
        any::<bool>().prop_map(CanonicalValue::Bool),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(CanonicalValue::Integer),
        (-3_i64..100).prop_map(CanonicalValue::Integer),
        any::<String>().prop_map(CanonicalValue::String),
        "[@$!#][a-z]{1,3}:[a-c]\\.org".prop_map(CanonicalValue::String),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(CanonicalValue::Array),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|entries| CanonicalValue::Object(entries.into_iter().collect())),
        ]
    })
}

/// Keys that some redaction rule knows, and others.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "membership", "join_authorised_via_users_server", "third_party_invite", "signed", "creator", "room_version",
            "join_rule", "allow", "ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users",
            "users_default", "notifications", "aliases", "history_visibility", "redacts", "body", "additional_creators",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn top_level_key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec!["origin", "membership", "prev_state", "unsigned", "redacts", "age_ts", "event_id"])
            .prop_map(str::to_owned),
        1 => "[a-z]{1,8}",
    ]
}

fn event_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "m.room.member",
        "m.room.create",
        "m.room.join_rules",
        "m.room.power_levels",
        "m.room.aliases",
        "m.room.history_visibility",
        "m.room.redaction",
        "m.room.message",
        "m.room.server_acl",
    ])
}

prop_compose! {
    /// An event of the form of versions 3 and later, without hashes and signatures.
    fn event()(
        kind in event_type(),
        content in prop::collection::vec((key(), json_value()), 0..8),
        extra in prop::collection::vec((top_level_key(), json_value()), 0..4),
        state_key in prop::option::of("[a-z]{0,3}"),
        third_party in prop::option::of(prop::collection::vec((key(), json_value()), 0..3)),
        depth in 0..=9_007_199_254_740_991_i64,
    ) -> CanonicalObject {
        let mut event: CanonicalObject = extra.into_iter().collect();
        let mut content: CanonicalObject = content.into_iter().collect();
        // ruma refuses member events whose membership is no string before it redacts them.
        if content.get("membership").is_some_and(|value| value.as_str().is_none()) {
            content.insert("membership", "join");
        }
        // Where it is no object, ruma keeps it; the specification allows its `signed` only, and Synapse removes it.
        content.remove("third_party_invite");
        if let Some(invite) = third_party {
            content.insert("third_party_invite", invite.into_iter().collect::<CanonicalObject>());
        }
        event.insert("type", kind);
        event.insert("content", content);
        event.insert("sender", "@alice:a.org");
        event.insert("room_id", "!r:a.org");
        event.insert("depth", depth);
        event.insert("origin_server_ts", 1_700_000_000_000_i64);
        event.insert("prev_events", vec!["$a".into(), "$b".into()]);
        event.insert("auth_events", Vec::new());
        if let Some(state_key) = state_key {
            event.insert("state_key", state_key);
        }
        event
    }
}

fn version() -> impl Strategy<Value = RoomVersionId> {
    prop::sample::select(RoomVersionId::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_value_is_spelt_as_ruma_spells_it(value in json_value()) {
        let bytes = value.to_bytes();
        let theirs: CanonicalJsonValue = serde_json::from_slice(&bytes).unwrap();
        let their_spelling = theirs.to_string();
        prop_assert_eq!(their_spelling.as_bytes(), &bytes[..]);
        prop_assert_eq!(CanonicalValue::parse(&bytes, CanonicalJsonRule::Strict).unwrap(), value.clone());
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(CanonicalValue::parse(pretty.as_bytes(), CanonicalJsonRule::Lenient).unwrap(), value);
    }

    #[test]
    fn any_event_has_the_hashes_redaction_and_signature_that_ruma_gives_it(event in event(), version in version()) {
        let rules = their_rules(version);
        let mut theirs = theirs(&event.to_bytes());
        let mut ours = event;

        signatures::hash_and_sign_event("a.org", &their_key(), &mut theirs, &rules.redaction).unwrap();
        hash_and_sign_event(&mut ours, version.rules(), "a.org", &our_key()).unwrap();
        prop_assert_eq!(our_spelling(&ours), spelling(&theirs));

        prop_assert_eq!(Base64::new(content_hash(&ours)), signatures::content_hash(&theirs).unwrap());
        let their_hash = signatures::reference_hash(&theirs, &rules).unwrap();
        let hash = reference_hash(&ours, version.rules());
        let spelt = if rules.event_id_format == ruma::room_version_rules::EventIdFormatVersion::V3 {
            Base64::<ruma::serde::base64::UrlSafe, _>::new(hash).encode()
        } else {
            Base64::<ruma::serde::base64::Standard, _>::new(hash).encode()
        };
        prop_assert_eq!(&spelt, &their_hash);

        let redacted = ruma::canonical_json::redact(theirs, &rules.redaction, None).unwrap();
        prop_assert_eq!(our_spelling(&redact(&ours, version.rules())), spelling(&redacted));
        prop_assert_eq!(reference_hash(&redact(&ours, version.rules()), version.rules()), hash);
    }

    #[test]
    fn any_parsed_event_bears_the_id_that_ruma_gives_it(event in event(), version in version()) {
        prop_assume!(!version.rules().signatures.event_id_server);
        let mut event = event;
        hash_and_sign_event(&mut event, version.rules(), "a.org", &our_key()).unwrap();
        let raw = serde_json::to_vec_pretty(&event).unwrap();
        let pdu = Pdu::parse(raw.clone().into(), version.rules()).unwrap();
        let id = format!("${}", signatures::reference_hash(&theirs(&raw), &their_rules(version)).unwrap());
        prop_assert_eq!(pdu.event_id().as_str(), id);
        prop_assert_eq!(pdu.content_object(), event.get_object("content").unwrap().clone());
        prop_assert_eq!(&pdu.raw()[..], &raw[..]);
        let redacted = pdu.redacted().unwrap();
        prop_assert_eq!(redacted.event_id(), pdu.event_id());
        let stored = Pdu::from_stored(pdu.raw().clone(), pdu.event_id().to_owned(), version.rules()).unwrap();
        prop_assert_eq!(stored, pdu);
    }

    #[test]
    fn any_object_is_signed_as_ruma_signs_it(entries in prop::collection::vec((key(), json_value()), 0..6)) {
        let mut ours: CanonicalObject = entries.into_iter().collect();
        ours.remove("signatures");
        let mut theirs = theirs(&ours.to_bytes());
        sign_json(&mut ours, "a.org", &our_key()).unwrap();
        signatures::sign_json("a.org", &their_key(), &mut theirs).unwrap();
        prop_assert_eq!(our_spelling(&ours), spelling(&theirs));
    }

    /// Whatever is done to a signed event, both sides say the same of it.
    #[test]
    fn a_tampered_event_gets_the_verdict_that_ruma_gives_it(
        event in event(),
        version in version(),
        tampering in prop::option::of((prop_oneof![top_level_key(), Just("content".to_owned()), Just("depth".to_owned())], json_value())),
        redact_first in any::<bool>(),
    ) {
        let mut event = event;
        // Who must sign is compared elsewhere, where both read the same rule; here it is the sender alone.
        if let Some(CanonicalValue::Object(content)) = event.get_mut("content") {
            content.remove("third_party_invite");
            content.remove("join_authorised_via_users_server");
            content.insert("membership", "join");
        }
        event.insert("event_id", "$x:a.org");
        if version.rules().event_reference_format == EventReferenceFormat::IdAndHash {
            event.insert("prev_events", Vec::new());
        }
        hash_and_sign_event(&mut event, version.rules(), "a.org", &our_key()).unwrap();
        if redact_first {
            event = redact(&event, version.rules());
        }
        if let Some((key, value)) = tampering {
            prop_assume!(key != "event_id");
            event.insert(key, value);
        }
        let raw = event.to_bytes();
        let Ok(pdu) = UnverifiedPdu::parse(raw.into(), version.rules()) else { return Ok(()) };
        let object = ours(pdu.pdu().raw());
        prop_assume!(object.get_object("content").is_some_and(|content| !content.contains_key("third_party_invite")
            && !content.contains_key("join_authorised_via_users_server")
            && content.get("membership").is_none_or(|membership| membership.as_str().is_some())));
        let our_verdict = match pdu.verify(&|_: &ruma::ServerName, _: &KeyId| Some(ServerKey {
            key: our_key().verifying_key(),
            validity: KeyValidity::Until(i64::MAX),
        }), 1_700_000_000_000) {
            Ok(VerifiedPdu::Intact(_)) => "intact",
            Ok(VerifiedPdu::Redacted(_)) => "redacted",
            Err(_) => "refused",
        };
        let keys = BTreeMap::from([("ed25519:k".to_owned(), Base64::new(their_key().public_key().to_vec()))]);
        let keys = BTreeMap::from([("a.org".to_owned(), keys)]);
        let their_verdict = match signatures::verify_event(&keys, &theirs(pdu.pdu().raw()), &their_rules(version)) {
            Ok(signatures::Verified::All) => "intact",
            Ok(signatures::Verified::Signatures) => "redacted",
            Err(_) => "refused",
        };
        prop_assert_eq!(our_verdict, their_verdict);
    }
}
