//! Any bytes, read as canonical JSON: what is accepted has one spelling that reads back the same, the strict reading is
//! part of the lenient one, and both are JSON to serde too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use myelin_pdu::{CanonicalJsonRule, CanonicalValue};

fuzz_target!(|json: &[u8]| {
    let strict = CanonicalValue::parse(json, CanonicalJsonRule::Strict);
    let lenient = CanonicalValue::parse(json, CanonicalJsonRule::Lenient);
    for (value, rule) in [(&strict, CanonicalJsonRule::Strict), (&lenient, CanonicalJsonRule::Lenient)] {
        let Ok(value) = value else { continue };
        let bytes = value.to_bytes();
        assert_eq!(value.check(rule), Ok(()));
        assert_eq!(CanonicalValue::parse(&bytes, rule).as_ref(), Ok(value));
        let _raw: &serde_json::value::RawValue = serde_json::from_slice(json).expect("JSON to serde too");
    }
    if let Ok(strict) = strict {
        assert_eq!(lenient.as_ref(), Ok(&strict));
        // serde_json gives up at 128 levels.
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(json) {
            assert_eq!(CanonicalValue::try_from(value), Ok(strict));
        }
    }
});
