//! Who must have signed an event, with which keys, and what a wrong hash does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{draft, key, object, server};
use myelin_pdu::{
    CanonicalObject, EventDraft, KeyId, KeyLookup, KeyValidity, Pdu, RoomVersionId, ServerKey,
    SignatureError, UnverifiedPdu, VerifiedPdu, VerifyError, VerifyingKey, sign_json, verify_all,
    verify_json, verify_pdu,
};
use ruma::{EventId, ServerName, UserId};

const V4: RoomVersionId = RoomVersionId::V4;
const V5: RoomVersionId = RoomVersionId::V5;
const V7: RoomVersionId = RoomVersionId::V7;
const V8: RoomVersionId = RoomVersionId::V8;
const V12: RoomVersionId = RoomVersionId::V12;
const DAY: i64 = 24 * 60 * 60 * 1000;
/// When the events of these tests were made.
const MADE: i64 = 1_700_000_000_000;
const NOW: i64 = MADE + 5;

/// Knows the keys of all servers, valid as given.
fn keys(validity: KeyValidity) -> impl Fn(&ServerName, &KeyId) -> Option<ServerKey> {
    move |server, id| {
        let key = key(server.as_str());
        (key.id() == id).then(|| ServerKey { key: key.verifying_key(), validity })
    }
}

fn forever() -> impl KeyLookup + Sync {
    keys(KeyValidity::Until(i64::MAX))
}

/// The event of `draft`, signed by `signers`.
fn signed(draft: EventDraft, version: RoomVersionId, signers: &[&str]) -> UnverifiedPdu {
    let mut event = draft.into_object(version.rules()).unwrap();
    event.insert("signatures", CanonicalObject::new());
    myelin_pdu::add_content_hash(&mut event);
    for signer in signers {
        myelin_pdu::sign_event(&mut event, version.rules(), signer, &key(signer)).unwrap();
    }
    UnverifiedPdu::parse(event.to_bytes().into(), version.rules()).unwrap()
}

fn member(version: RoomVersionId, content: &str) -> EventDraft {
    EventDraft {
        event_type: "m.room.member".into(),
        state_key: Some("@carol:c.org".into()),
        content: object(content),
        ..draft(version)
    }
}

fn not_signed_by(name: &str) -> Result<VerifiedPdu, VerifyError> {
    Err(VerifyError::Signature { server: server(name).to_owned(), reason: SignatureError::NotSigned })
}

#[test]
fn an_intact_event_by_its_senders_server_passes_in_every_version() {
    for version in RoomVersionId::ALL {
        let made = draft(version).sign(version.rules(), server("a.org"), &key("a.org")).unwrap();
        assert_eq!(verify_pdu(&made, &forever(), NOW), Ok(VerifiedPdu::Intact(made.clone())));
    }
}

#[test]
fn the_server_of_the_sender_must_have_signed() {
    assert_eq!(signed(draft(V12), V12, &[]).verify(&forever(), NOW), not_signed_by("a.org"));
    assert_eq!(signed(draft(V12), V12, &["b.org"]).verify(&forever(), NOW), not_signed_by("a.org"));
    assert!(signed(draft(V12), V12, &["a.org", "b.org"]).verify(&forever(), NOW).is_ok());
}

#[test]
fn the_server_in_the_event_id_must_have_signed_only_where_ids_are_chosen() {
    for version in RoomVersionId::ALL {
        let chosen = version.rules().signatures.event_id_server;
        let draft = EventDraft { event_id: Some(EventId::parse("$e:b.org").unwrap()), ..draft(version) };
        let alone = signed(draft.clone(), version, &["a.org"]);
        assert_eq!(alone.required_signers().len(), if chosen { 2 } else { 1 });
        assert_eq!(alone.verify(&forever(), NOW).is_err(), chosen);
        assert!(signed(draft, version, &["a.org", "b.org"]).verify(&forever(), NOW).is_ok());
    }
}

#[test]
fn the_server_that_authorised_a_join_must_have_signed_where_joins_can_be_restricted() {
    let join = |version, membership: &str| {
        let authorised = r#""join_authorised_via_users_server":"@bob:b.org""#;
        member(version, &format!(r#"{{"membership":"{membership}",{authorised}}}"#))
    };
    assert_eq!(signed(join(V8, "join"), V8, &["a.org"]).verify(&forever(), NOW), not_signed_by("b.org"));
    assert!(signed(join(V8, "join"), V8, &["a.org", "b.org"]).verify(&forever(), NOW).is_ok());
    assert!(signed(join(V7, "join"), V7, &["a.org"]).verify(&forever(), NOW).is_ok());
    assert!(signed(join(V8, "leave"), V8, &["a.org"]).verify(&forever(), NOW).is_ok());
    let malformed = member(V12, r#"{"membership":"join","join_authorised_via_users_server":7}"#);
    let malformed = malformed.sign(V12.rules(), server("a.org"), &key("a.org")).unwrap();
    assert!(matches!(verify_pdu(&malformed, &forever(), NOW), Err(VerifyError::Pdu(_))));
}

#[test]
fn an_invite_by_way_of_a_third_party_needs_no_signature_of_its_sender() {
    let invite = |membership: &str| {
        member(V12, &format!(r#"{{"membership":"{membership}","third_party_invite":{{"signed":{{}}}}}}"#))
    };
    assert!(signed(invite("invite"), V12, &["c.org"]).verify(&forever(), NOW).is_ok());
    assert_eq!(signed(invite("join"), V12, &["c.org"]).verify(&forever(), NOW), not_signed_by("a.org"));
    let message = EventDraft { event_type: "m.room.message".into(), ..invite("invite") };
    assert_eq!(signed(message, V12, &["c.org"]).verify(&forever(), NOW), not_signed_by("a.org"));
}

#[test]
fn a_key_counts_up_to_its_end_and_seven_days_ahead_at_most_from_version_5_on() {
    let verdict = |version, validity, now| {
        signed(draft(version), version, &["a.org"]).verify(&keys(validity), now).map(|_| ()).map_err(
            |error| match error {
                VerifyError::Signature { reason, .. } => reason,
                VerifyError::Pdu(error) => panic!("{error}"),
            },
        )
    };
    let expired = Err(SignatureError::ExpiredKey);
    for version in [V5, V12] {
        assert_eq!(verdict(version, KeyValidity::Until(MADE), NOW), Ok(()));
        assert_eq!(verdict(version, KeyValidity::Until(MADE - 1), NOW), expired);
        assert_eq!(verdict(version, KeyValidity::Until(i64::MAX), MADE - 7 * DAY), Ok(()));
        assert_eq!(verdict(version, KeyValidity::Until(i64::MAX), MADE - 7 * DAY - 1), expired);
        assert_eq!(verdict(version, KeyValidity::Until(i64::MAX), i64::MAX), Ok(()));
    }
    assert_eq!(verdict(V4, KeyValidity::Until(0), NOW), Ok(()));
    for version in [V4, V12] {
        assert_eq!(verdict(version, KeyValidity::ExpiredAt(MADE), NOW), Ok(()));
        assert_eq!(verdict(version, KeyValidity::ExpiredAt(MADE - 1), NOW), expired);
    }
}

#[test]
fn unknown_keys_are_passed_over_but_one_known_key_must_be_right() {
    let unknown = |_: &ServerName, _: &KeyId| None;
    assert_eq!(
        signed(draft(V12), V12, &["a.org"]).verify(&unknown, NOW),
        Err(VerifyError::Signature {
            server: server("a.org").to_owned(),
            reason: SignatureError::UnknownKey
        })
    );
    let with = |id: &str, signature: &str| {
        let mut event = signed(draft(V12), V12, &["a.org"]).pdu().object();
        myelin_pdu::add_signature(&mut event, "a.org", &id.parse().unwrap(), signature.to_owned()).unwrap();
        UnverifiedPdu::parse(event.to_bytes().into(), V12.rules()).unwrap()
    };
    assert!(with("ed25519:other", "AAAA").verify(&forever(), NOW).is_ok());
    assert!(with("rsa:a", "AAAA").verify(&forever(), NOW).is_ok());
    let all_known = |server: &ServerName, _: &KeyId| {
        Some(ServerKey { key: key(server.as_str()).verifying_key(), validity: KeyValidity::Until(i64::MAX) })
    };
    for wrong in ["AAAA", "", "?", &"A".repeat(86), &"A".repeat(5000)] {
        assert_eq!(
            with("ed25519:other", wrong).verify(&all_known, NOW),
            Err(VerifyError::Signature {
                server: server("a.org").to_owned(),
                reason: SignatureError::Wrong { key: "ed25519:other".parse().unwrap() }
            })
        );
    }
}

#[test]
fn the_keys_to_fetch_are_those_of_the_required_signatures() {
    let event = signed(draft(V12), V12, &["a.org", "b.org"]);
    let used: Vec<_> = event.keys_used().map(|(server, id)| format!("{server} {id}")).collect();
    assert_eq!(used, ["a.org ed25519:a"]);
}

#[test]
fn an_event_whose_content_was_changed_is_only_good_redacted() {
    for version in RoomVersionId::ALL {
        let made = draft(version).sign(version.rules(), server("a.org"), &key("a.org")).unwrap();
        let mut event = made.object();
        event.insert("content", object(r#"{"body":"changed"}"#));
        let changed = UnverifiedPdu::parse(event.to_bytes().into(), version.rules()).unwrap();
        let Ok(VerifiedPdu::Redacted(redacted)) = changed.verify(&forever(), NOW) else {
            panic!("{version}")
        };
        assert_eq!(redacted.content(), b"{}");
        assert_eq!(redacted, made.redacted().unwrap());
        assert_eq!(redacted.event_id(), made.event_id());
        // A redacted copy passes on: its signatures hold, its content hash does not.
        assert_eq!(verify_pdu(&redacted, &forever(), NOW), Ok(VerifiedPdu::Redacted(redacted)));
    }
}

#[test]
fn an_event_whose_protected_fields_were_changed_is_dropped() {
    for (field, value) in
        [("depth", 8.into()), ("type", "m.room.other".into()), ("origin_server_ts", 1.into())]
    {
        let mut event = signed(draft(V12), V12, &["a.org"]).pdu().object();
        let _: Option<_> = event.insert(field, {
            let value: myelin_pdu::CanonicalValue = value;
            value
        });
        let changed = UnverifiedPdu::parse(event.to_bytes().into(), V12.rules()).unwrap();
        assert!(matches!(
            changed.verify(&forever(), NOW),
            Err(VerifyError::Signature { reason: SignatureError::Wrong { .. }, .. })
        ));
    }
    let mut event = signed(draft(V12), V12, &["a.org"]).pdu().object();
    event.insert("unsigned", object(r#"{"age":1}"#));
    let changed = Pdu::parse(event.to_bytes().into(), V12.rules()).unwrap();
    assert!(
        matches!(verify_pdu(&changed, &forever(), NOW), Ok(VerifiedPdu::Intact(_))),
        "unsigned is not covered"
    );
}

#[test]
fn an_event_without_a_readable_hash_is_dropped() {
    let made = draft(V12).sign(V12.rules(), server("a.org"), &key("a.org")).unwrap();
    for hashes in ["{}", r#"{"sha256":1}"#, r#"{"sha256":"short"}"#, r#"{"sha256":"?"}"#] {
        let mut event = made.object();
        event.insert("hashes", object(hashes));
        assert!(UnverifiedPdu::parse(event.to_bytes().into(), V12.rules()).is_err(), "{hashes}");
    }
}

#[test]
fn keys_and_signatures_of_small_order_are_refused() {
    // The neutral element as key and nonce, with s = 0, satisfies the loose equation for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = VerifyingKey::from_bytes(&neutral).unwrap();
    let mut signature = [0; 64];
    signature[0] = 1;
    let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, signature);
    assert!(!weak.verifies(b"anything", &signature));
}

/// Knows the keys of all servers, and how often it was asked.
struct CountingKeys(AtomicUsize);

impl KeyLookup for CountingKeys {
    fn server_key(&self, server: &ServerName, id: &KeyId) -> Option<ServerKey> {
        self.0.fetch_add(1, Ordering::Relaxed);
        forever().server_key(server, id)
    }
}

#[test]
fn many_events_get_their_own_verdicts_in_their_order_on_any_number_of_threads() {
    let raws: Vec<_> = (0..100)
        .map(|index| {
            let draft = EventDraft { depth: index, ..draft(V12) };
            let signer = if index % 7 == 3 { "b.org" } else { "a.org" };
            signed(draft, V12, &[signer]).pdu().raw().clone()
        })
        .collect();
    for threads in [1, 2, 5] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let parsed: Vec<_> =
            UnverifiedPdu::parse_all(&raws, V12.rules(), threads).into_iter().map(Result::unwrap).collect();
        let keys = CountingKeys(AtomicUsize::new(0));
        for (index, verdict) in verify_all(&parsed, &keys, NOW, threads).into_iter().enumerate() {
            match verdict {
                Ok(verified) => assert_eq!(verified.pdu().depth(), i64::try_from(index).unwrap()),
                Err(_) => assert_eq!(index % 7, 3),
            }
        }
        assert_eq!(keys.0.into_inner(), 86, "each event once");
    }
}

#[test]
fn any_json_can_be_signed_and_verified_for_any_entity() {
    let user = UserId::parse("@alice:a.org").unwrap();
    let mut keys = object(r#"{"device_id":"D","unsigned":{"x":1}}"#);
    sign_json(&mut keys, user.as_str(), &key("a.org")).unwrap();
    let lookup = |id: &KeyId| (id.as_str() == "ed25519:a").then(|| key("a.org").verifying_key());
    assert_eq!(verify_json(&keys, user.as_str(), lookup), Ok(()));
    assert_eq!(verify_json(&keys, "@bob:a.org", lookup), Err(SignatureError::NotSigned));
    keys.insert("unsigned", 3_i64);
    assert_eq!(verify_json(&keys, user.as_str(), lookup), Ok(()));
    keys.insert("device_id", "E");
    assert!(matches!(verify_json(&keys, user.as_str(), lookup), Err(SignatureError::Wrong { .. })));
    let mut malformed = object(r#"{"signatures":[]}"#);
    assert!(sign_json(&mut malformed, "a.org", &key("a.org")).is_err());
    assert_eq!(malformed, object(r#"{"signatures":[]}"#));
}
