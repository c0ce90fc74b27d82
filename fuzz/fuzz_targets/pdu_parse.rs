//! Any bytes, read as an event of any room version: what is accepted survives every way there and back under one id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use myelin_pdu::{Pdu, RoomVersionId};

fuzz_target!(|input: (u8, &[u8])| {
    let (version, raw) = input;
    let version = RoomVersionId::ALL[usize::from(version) % RoomVersionId::ALL.len()];
    let Ok(pdu) = Pdu::parse(raw.to_vec().into(), version.rules()) else { return };
    let canonical = Pdu::from_object(&pdu.object(), version.rules()).expect("its object is an event");
    assert_eq!(canonical.event_id(), pdu.event_id());
    assert_eq!(canonical.room_id(), pdu.room_id());
    assert_eq!(canonical.content_object(), pdu.content_object());
    let stored = Pdu::from_stored(pdu.raw().clone(), pdu.event_id().to_owned(), version.rules());
    assert_eq!(stored.as_ref(), Ok(&pdu));
    let redacted = pdu.redacted().expect("its redacted copy is an event");
    let read = Pdu::parse(redacted.raw().clone(), version.rules()).expect("it reads back");
    assert_eq!(read.event_id(), pdu.event_id());
    assert_eq!(read.reference_hash(), pdu.reference_hash());
    assert_eq!(read.membership(), pdu.membership());
    assert_eq!(read.state_key(), pdu.state_key());
    assert_eq!(read.prev_events(), pdu.prev_events());
});
