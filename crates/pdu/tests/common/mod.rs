//! Events and keys to test with.

#![allow(dead_code, reason = "each test file uses a part")]

use myelin_pdu::{
    CanonicalJsonRule, CanonicalObject, EventDraft, EventIdFormat, EventReference, Pdu, RoomIdFormat,
    RoomVersionId, SigningKey,
};
use ruma::{EventId, RoomId, ServerName, UserId};

pub(crate) fn server(name: &str) -> &ServerName {
    name.try_into().unwrap()
}

/// The key of a server: made of its name, and named by its first letter.
pub(crate) fn key(server: &str) -> SigningKey {
    let mut seed = [0; 32];
    seed[..server.len()].copy_from_slice(server.as_bytes());
    SigningKey::from_seed(format!("ed25519:{}", &server[..1]).parse().unwrap(), &seed).unwrap()
}

pub(crate) fn object(json: &str) -> CanonicalObject {
    CanonicalObject::parse(json.as_bytes(), CanonicalJsonRule::Strict).unwrap()
}

/// A message by Alice.
pub(crate) fn draft(version: RoomVersionId) -> EventDraft {
    let reference =
        |id: &str| EventReference { event_id: EventId::parse(id).unwrap(), reference_hash: Some([3; 32]) };
    EventDraft {
        room_id: Some(RoomId::parse("!r:a.org").unwrap()),
        sender: UserId::parse("@alice:a.org").unwrap(),
        event_type: "m.room.message".into(),
        state_key: None,
        content: object(r#"{"msgtype":"m.text","body":"hello"}"#),
        redacts: None,
        prev_events: vec![reference("$p:a.org"), reference("$q:a.org")],
        auth_events: vec![reference("$a:a.org")],
        depth: 7,
        origin_server_ts: 1_700_000_000_000,
        event_id: (version.rules().event_id_format == EventIdFormat::Chosen)
            .then(|| EventId::parse("$e:a.org").unwrap()),
        unsigned: None,
        sticky: None,
    }
}

/// Alice's create event.
pub(crate) fn create(version: RoomVersionId) -> Pdu {
    let own_id = version.rules().room_id_format == RoomIdFormat::CreateEventHash;
    let draft = EventDraft {
        room_id: (!own_id).then(|| RoomId::parse("!r:a.org").unwrap()),
        event_type: "m.room.create".into(),
        state_key: Some(String::new()),
        content: object(&format!(r#"{{"room_version":"{version}"}}"#)),
        prev_events: Vec::new(),
        auth_events: Vec::new(),
        depth: 1,
        ..draft(version)
    };
    draft.sign(version.rules(), server("a.org"), &key("a.org")).unwrap()
}
