//! Making, reading and limiting events, in every room version.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use bytes::Bytes;
use common::{create, draft, key, object, server};
use myelin_pdu::{
    CanonicalError, CanonicalObject, CanonicalValue, EventDraft, EventIdFormat, EventReference, Pdu,
    PduError, RoomIdFormat, RoomVersionId, hash_from_event_id, limits, reference_hash,
};
use ruma::EventId;

const V1: RoomVersionId = RoomVersionId::V1;
const V5: RoomVersionId = RoomVersionId::V5;
const V11: RoomVersionId = RoomVersionId::V11;
const V12: RoomVersionId = RoomVersionId::V12;

fn make(draft: EventDraft, version: RoomVersionId) -> Result<Pdu, PduError> {
    draft.sign(version.rules(), server("a.org"), &key("a.org"))
}

/// A message whose event was changed by `change` after it was signed.
fn altered(version: RoomVersionId, change: impl FnOnce(&mut CanonicalObject)) -> Result<Pdu, PduError> {
    let mut event = make(draft(version), version).unwrap().object();
    change(&mut event);
    Pdu::parse(event.to_bytes().into(), version.rules())
}

#[test]
fn an_event_made_here_reads_back_the_same_in_every_version() {
    for version in RoomVersionId::ALL {
        let made = make(draft(version), version).unwrap();
        let read = Pdu::parse(made.raw().clone(), version.rules()).unwrap();
        assert_eq!(read, made, "{version}");
        for pdu in [&made, &read] {
            assert_eq!(pdu.sender(), "@alice:a.org");
            assert_eq!(pdu.sender_server(), "a.org");
            assert_eq!(pdu.event_type(), "m.room.message");
            assert_eq!((pdu.state_key(), pdu.is_state(), pdu.membership()), (None, false, None));
            assert_eq!((pdu.depth(), pdu.origin_server_ts()), (7, 1_700_000_000_000));
            assert_eq!(pdu.prev_events().len(), 2);
            assert_eq!(pdu.auth_events().len(), 1);
            assert_eq!(pdu.content(), br#"{"body":"hello","msgtype":"m.text"}"#);
            assert_eq!(&pdu.raw()[pdu.content_range()], pdu.content());
            assert_eq!(pdu.content_as::<serde_json::Value>().unwrap()["body"], "hello");
            assert_eq!(pdu.reference_hash(), reference_hash(&pdu.object(), version.rules()));
            assert_eq!(pdu.rules().version, version);
            assert!(pdu.states_room_id());
        }
    }
}

#[test]
fn event_ids_have_the_alphabet_of_their_version() {
    // The same event, such that its hash tells the alphabets apart, differs between v3 and v4 only in its id.
    let differing = (0..64_i64).filter(|ts| {
        let made = |version| {
            let draft = EventDraft { origin_server_ts: *ts, ..draft(version) };
            make(draft, version).unwrap().event_id().as_str().to_owned()
        };
        let (v3, v4) = (made(RoomVersionId::V3), made(RoomVersionId::V4));
        assert_eq!((v3.len(), v4.len()), (44, 44));
        assert_eq!(v3.replace('+', "-").replace('/', "_"), v4);
        v3 != v4
    });
    assert!(differing.count() > 0);
}

#[test]
fn in_version_12_the_create_event_makes_the_room_id() {
    let made = create(V12);
    assert_eq!(made.room_id().as_str()[1..], made.event_id().as_str()[1..]);
    assert!(made.room_id().as_str().starts_with('!'));
    assert!(!made.states_room_id());
    assert!(!made.object().contains_key("room_id"));
    assert_eq!(Pdu::parse(made.raw().clone(), V12.rules()).unwrap().room_id(), made.room_id());

    let mut stating = made.object();
    stating.insert("room_id", "!r:a.org");
    let stating = Pdu::parse(stating.to_bytes().into(), V12.rules()).unwrap();
    assert!(stating.states_room_id(), "the authorisation rules reject it, so it must be readable");

    let missing = |version, kind: &str| {
        altered(version, |event| {
            event.remove("room_id");
            event.insert("type", kind);
        })
    };
    assert_eq!(missing(V12, "m.room.message"), Err(PduError::Missing { field: "room_id" }));
    assert_eq!(missing(V11, "m.room.create"), Err(PduError::Missing { field: "room_id" }));
    assert!(missing(V12, "m.room.create").is_ok());
    for version in RoomVersionId::ALL {
        let own = version.rules().room_id_format == RoomIdFormat::CreateEventHash;
        assert_eq!(create(version).states_room_id(), !own);
    }
}

#[test]
fn ids_and_hashes_lead_to_each_other_where_ids_are_hashes() {
    for version in RoomVersionId::ALL {
        let pdu = make(draft(version), version).unwrap();
        let hash = hash_from_event_id(pdu.event_id(), version.rules());
        let chosen = version.rules().event_id_format == EventIdFormat::Chosen;
        assert_eq!(hash, (!chosen).then(|| pdu.reference_hash()));
        assert_eq!(chosen, EventReference::from(&pdu).reference_hash.is_some());
    }
}

#[test]
fn old_versions_need_a_chosen_id_and_the_hashes_of_what_they_refer_to() {
    let without_id = EventDraft { event_id: None, ..draft(V1) };
    assert_eq!(make(without_id, V1), Err(PduError::Missing { field: "event_id" }));
    let event_id = EventId::parse("$p:a.org").unwrap();
    let without_hash = EventDraft { prev_events: vec![event_id.clone().into()], ..draft(V1) };
    assert_eq!(make(without_hash, V1), Err(PduError::MissingReferenceHash { event_id }));
    let without_server = EventDraft { event_id: Some(EventId::parse("$p").unwrap()), ..draft(V1) };
    assert!(matches!(make(without_server, V1), Err(PduError::Malformed { field: "event_id", .. })));
}

#[test]
fn a_redaction_names_its_target_where_its_version_writes_it() {
    for version in RoomVersionId::ALL {
        let target = EventId::parse("$target:a.org").unwrap();
        let draft = EventDraft {
            event_type: "m.room.redaction".into(),
            redacts: Some(target.clone()),
            ..draft(version)
        };
        let pdu = make(draft, version).unwrap();
        assert_eq!(pdu.redacts(), Some(&*target));
        let in_content = pdu.content_object().contains_key("redacts");
        assert_eq!(in_content, !pdu.object().contains_key("redacts"));
        assert_eq!(in_content, version >= V11);
        assert_eq!(pdu.redacted().unwrap().redacts().is_some(), in_content);
    }
}

#[test]
fn what_must_be_there_must_be_there_and_be_what_it_must_be() {
    for version in [RoomVersionId::V4, V12] {
        for field in [
            "type",
            "sender",
            "content",
            "origin_server_ts",
            "depth",
            "prev_events",
            "auth_events",
            "signatures",
            "room_id",
        ] {
            let missing = altered(version, |event| drop(event.remove(field)));
            assert_eq!(missing, Err(PduError::Missing { field }));
            let wrong = altered(version, |event| drop(event.insert(field, CanonicalValue::Null)));
            assert!(
                matches!(wrong, Err(PduError::Malformed { field: named, .. }) if named == field),
                "{field}"
            );
        }
    }
    for (field, value) in [
        ("sender", "alice:a.org"),
        ("sender", "@alice"),
        ("sender", "@alice:not a server"),
        ("room_id", "r:a.org"),
        ("room_id", ""),
    ] {
        let wrong = altered(V12, |event| drop(event.insert(field, value)));
        assert!(matches!(wrong, Err(PduError::Malformed { field: named, .. }) if named == field), "{value}");
    }
    assert!(matches!(
        altered(V12, |event| drop(event.insert("state_key", 1_i64))),
        Err(PduError::Malformed { field: "state_key", .. })
    ));
    assert_eq!(Pdu::parse(Bytes::from_static(b"[]"), V12.rules()), Err(CanonicalError::NotAnObject.into()));
}

#[test]
fn event_references_have_the_form_of_their_version() {
    let pair = CanonicalValue::Array(vec!["$p:a.org".into(), CanonicalObject::new().into()]);
    for version in RoomVersionId::ALL {
        let pairs = altered(version, |event| drop(event.insert("prev_events", vec![pair.clone()])));
        let ids = altered(version, |event| drop(event.insert("prev_events", vec!["$p:a.org".into()])));
        assert_eq!((pairs.is_ok(), ids.is_ok()), (version < RoomVersionId::V3, version >= RoomVersionId::V3));
    }
    let no_id = altered(V12, |event| drop(event.insert("auth_events", vec!["p".into()])));
    assert!(matches!(no_id, Err(PduError::Malformed { field: "auth_events", .. })));
}

#[test]
fn each_limit_holds_to_the_byte_and_has_its_own_error() {
    // Two bytes a character, so that characters and bytes are told apart.
    let exactly = |prefix: &str, suffix: &str| {
        let fill = limits::MAX_ID_BYTES - prefix.len() - suffix.len();
        format!("{prefix}{}{}{suffix}", "é".repeat(fill / 2), "x".repeat(fill % 2))
    };
    for (field, value, error) in [
        ("sender", exactly("@", ":a.org"), PduError::SenderTooLong),
        ("room_id", exactly("!", ":a.org"), PduError::RoomIdTooLong),
        ("state_key", exactly("", ""), PduError::StateKeyTooLong),
        ("type", exactly("", ""), PduError::TypeTooLong),
    ] {
        assert!(altered(V12, |event| drop(event.insert(field, &*value))).is_ok(), "{field}");
        let longer = altered(V12, |event| drop(event.insert(field, format!("{value}y"))));
        assert_eq!(longer, Err(error.clone()));
        assert!(error.is_too_large());
    }
    let id = exactly("$", ":a.org");
    assert!(altered(V1, |event| drop(event.insert("event_id", &*id))).is_ok());
    let longer = altered(V1, |event| drop(event.insert("event_id", format!("{id}y"))));
    assert_eq!(longer, Err(PduError::EventIdTooLong));
    let longer = altered(V12, |event| drop(event.insert("prev_events", vec![format!("{id}y").into()])));
    assert_eq!(longer, Err(PduError::EventIdTooLong));

    let ids = |count| vec![CanonicalValue::from("$p"); count];
    assert!(altered(V12, |event| drop(event.insert("prev_events", ids(20)))).is_ok());
    let more = altered(V12, |event| drop(event.insert("prev_events", ids(21))));
    assert_eq!(more, Err(PduError::TooManyPrevEvents));
    assert!(altered(V12, |event| drop(event.insert("auth_events", ids(10)))).is_ok());
    let more = altered(V12, |event| drop(event.insert("auth_events", ids(11))));
    assert_eq!(more, Err(PduError::TooManyAuthEvents));
}

#[test]
fn depth_ends_where_its_version_says() {
    let with_depth = |version, depth: i64| altered(version, |event| drop(event.insert("depth", depth)));
    assert!(with_depth(V5, i64::MAX).is_ok());
    assert!(with_depth(V12, (1 << 53) - 1).is_ok());
    assert_eq!(with_depth(V12, 1 << 53), Err(CanonicalError::IntegerOutOfRange.into()));
    for version in [V5, V12] {
        assert!(with_depth(version, 0).is_ok());
        assert_eq!(with_depth(version, -1), Err(PduError::DepthOutOfRange));
        let deepest = make(EventDraft { depth: i64::MAX, ..draft(version) }, version).unwrap();
        assert_eq!(deepest.depth(), version.rules().max_depth, "a draft stays at the limit");
    }
    let huge = make(draft(V5), V5).unwrap().raw().to_vec();
    let huge = String::from_utf8(huge).unwrap().replace("\"depth\":7", "\"depth\":9223372036854775808");
    assert_eq!(Pdu::parse(huge.into(), V5.rules()), Err(PduError::DepthOutOfRange));
}

#[test]
fn an_event_may_take_65536_bytes_of_canonical_json_besides_unsigned() {
    let filled = |bytes: usize| {
        let mut draft = draft(V12);
        draft.content.insert("body", "x".repeat(bytes));
        make(draft, V12)
    };
    let empty = filled(0).unwrap().raw().len();
    let room = limits::MAX_PDU_BYTES - empty;
    let largest = filled(room).unwrap();
    assert_eq!(largest.raw().len(), limits::MAX_PDU_BYTES);
    assert_eq!(filled(room + 1), Err(PduError::TooLarge { bytes: limits::MAX_PDU_BYTES + 1 }));

    let mut with_unsigned = largest.object();
    with_unsigned
        .insert("unsigned", [("age".to_owned(), 5_i64.into())].into_iter().collect::<CanonicalObject>());
    assert!(Pdu::parse(with_unsigned.to_bytes().into(), V12.rules()).is_ok());
    let spaced = format!("{}{}", " ".repeat(70_000), String::from_utf8(largest.raw().to_vec()).unwrap());
    assert_eq!(Pdu::parse(spaced.into(), V12.rules()).unwrap().event_id(), largest.event_id());
    let bloated = vec![b' '; limits::MAX_RECEIVED_BYTES + 1];
    assert_eq!(Pdu::parse(bloated.into(), V12.rules()), Err(PduError::ReceivedTooLarge));
    assert_eq!(
        largest.signed_by(server("b.org"), &key("b.org")).map_err(|error| error.is_too_large()),
        Err(true)
    );
}

#[test]
fn numbers_that_canonical_json_lacks_keep_their_spelling_in_old_rooms_and_end_an_event_in_new_ones() {
    let levels = r#"{"users":{"@alice:a.org":100.0,"@bob:a.org":50.57},"ban":99999999999999999999}"#;
    let raw = |version: RoomVersionId| {
        let text = String::from_utf8(make(draft(version), version).unwrap().raw().to_vec()).unwrap();
        text.replace(r#"{"body":"hello","msgtype":"m.text"}"#, levels)
    };
    let pdu = Pdu::parse(raw(V5).into(), V5.rules()).unwrap();
    assert_eq!(
        format!("{:?}", pdu.content_object()),
        r#"{"ban":99999999999999999999,"users":{"@alice:a.org":100.0,"@bob:a.org":50.57}}"#
    );
    let CanonicalValue::Legacy(level) =
        pdu.content_object().get_object("users").unwrap().get("@bob:a.org").unwrap().clone()
    else {
        panic!("no float")
    };
    assert!((level.to_f64() - 50.57).abs() < f64::EPSILON);
    assert_eq!(
        Pdu::parse(raw(RoomVersionId::V6).into(), RoomVersionId::V6.rules()),
        Err(CanonicalError::NotAnInteger.into())
    );
}

#[test]
fn a_draft_cannot_smuggle_what_its_version_forbids() {
    let mut draft = draft(V12);
    draft.content.insert("n", i64::MAX);
    assert_eq!(make(draft, V12), Err(CanonicalError::IntegerOutOfRange.into()));
}

#[test]
fn a_second_server_signs_beside_the_first() {
    let pdu = make(draft(V12), V12).unwrap();
    let signed = pdu.signed_by(server("b.org"), &key("b.org")).unwrap();
    assert_eq!(signed.event_id(), pdu.event_id());
    let object = signed.object();
    let signatures = object.get_object("signatures").unwrap();
    assert_eq!(signatures.iter().map(|(server, _)| server).collect::<Vec<_>>(), ["a.org", "b.org"]);
}

#[test]
fn neither_content_nor_secrets_are_printed() {
    let pdu = make(draft(V12), V12).unwrap();
    assert!(!format!("{pdu:?}").contains("hello"));
    assert_eq!(format!("{:?}", key("a.org")), "SigningKey { id: ed25519:a, .. }");
}

#[test]
fn member_events_show_their_membership() {
    let pdu = object(
        r#"{"type":"m.room.member","state_key":"@alice:a.org","sender":"@alice:a.org","room_id":"!r:a.org",
            "content":{"membership":"join"},"depth":1,"origin_server_ts":0,"prev_events":[],"auth_events":[],
            "hashes":{},"signatures":{}}"#,
    );
    let pdu = Pdu::from_object(&pdu, V11.rules()).unwrap();
    assert_eq!(pdu.membership(), Some("join"));
    assert!(pdu.is_state_of("m.room.member", "@alice:a.org"));
}
