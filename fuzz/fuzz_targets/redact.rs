//! Any object, redacted under any room version: redaction is done once, and changes no reference hash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use myelin_pdu::{CanonicalObject, RoomVersionId, redact, reference_hash};

fuzz_target!(|json: &[u8]| {
    for version in RoomVersionId::ALL {
        let rules = version.rules();
        let Ok(event) = CanonicalObject::parse(json, rules.canonical_json) else { continue };
        let redacted = redact(&event, rules);
        assert_eq!(redact(&redacted, rules), redacted);
        assert_eq!(reference_hash(&redacted, rules), reference_hash(&event, rules));
        assert!(redacted.len() <= event.len());
    }
});
