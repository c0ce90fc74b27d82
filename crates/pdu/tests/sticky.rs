//! Sticky events (MSC4354) as events: what of them is kept, hashed and believed.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{draft, key, object, server};
use myelin_pdu::{EventDraft, MAX_STICKY_MS, Pdu, RoomVersionId, reference_hash};

const TS: i64 = 1_700_000_000_000;

fn made(version: RoomVersionId, sticky: Option<i64>) -> Pdu {
    EventDraft { sticky, ..draft(version) }.sign(version.rules(), server("a.org"), &key("a.org")).unwrap()
}

/// An event with a key more, as another server may send it.
fn with(key: &str, value: &str) -> Pdu {
    let mut event = made(RoomVersionId::V12, None).object();
    event.insert(key, object(&format!(r#"{{"v":{value}}}"#)).get("v").unwrap().clone());
    Pdu::parse(event.to_bytes().into(), RoomVersionId::V12.rules()).unwrap()
}

#[test]
fn what_makes_an_event_sticky_is_hashed_in_every_version_and_goes_with_redaction() {
    for version in RoomVersionId::ALL {
        let (sticky, plain) = (made(version, Some(600_000)), made(version, None));
        assert_eq!(plain.sticky_duration(), None);
        assert_eq!(sticky.sticky_duration(), Some(600_000));
        assert!(
            std::str::from_utf8(sticky.raw()).unwrap().contains(r#""msc4354_sticky":{"duration_ms":600000}"#)
        );
        assert_ne!(
            sticky.object().get("hashes"),
            plain.object().get("hashes"),
            "it is part of the content's hash"
        );
        let read = Pdu::parse(sticky.raw().clone(), version.rules()).unwrap();
        assert_eq!(read.sticky_duration(), Some(600_000));
        let redacted = sticky.redacted().unwrap();
        assert_eq!(redacted.sticky_duration(), None);
        assert!(!redacted.object().contains_key("msc4354_sticky"));
        // The reference hash is of the redacted event, so redaction leaves the id as it was.
        let rules = version.rules();
        assert_eq!(reference_hash(&redacted.object(), rules), reference_hash(&sticky.object(), rules));
    }
}

#[test]
fn a_duration_is_believed_as_far_as_the_msc_allows_it() {
    for (value, believed) in [
        (r#"{"duration_ms":0}"#, Some(0)),
        (r#"{"duration_ms":3600000,"more":[1]}"#, Some(MAX_STICKY_MS)),
        (r#"{"duration_ms":3600001}"#, Some(MAX_STICKY_MS)),
        (r#"{"duration_ms":-1}"#, None),
        (r#"{"duration_ms":"1000"}"#, None),
        (r#"{}"#, None),
        ("7", None),
        ("null", None),
    ] {
        for key in ["msc4354_sticky", "sticky"] {
            assert_eq!(with(key, value).sticky_duration(), believed, "{key} {value}");
        }
    }
}

#[test]
fn an_event_from_the_future_is_sticky_from_when_it_came() {
    let event = made(RoomVersionId::V12, Some(1_000));
    assert_eq!(event.sticky_until(TS + 5_000), Some(TS + 1_000), "it came late and is past already");
    assert_eq!(event.sticky_until(TS - 5_000), Some(TS - 4_000));
    assert_eq!(made(RoomVersionId::V12, None).sticky_until(TS), None);
}
