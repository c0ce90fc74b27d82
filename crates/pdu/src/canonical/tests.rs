use super::*;
use CanonicalJsonRule::{Lenient, Strict};

fn canonical(json: &str, rule: CanonicalJsonRule) -> String {
    String::from_utf8(CanonicalValue::parse(json.as_bytes(), rule).unwrap().to_bytes()).unwrap()
}

fn refusal(json: &str, rule: CanonicalJsonRule) -> CanonicalError {
    CanonicalValue::parse(json.as_bytes(), rule).expect_err(json)
}

/// The examples of <https://spec.matrix.org/latest/appendices/#canonical-json>.
const VECTORS: [(&str, &str); 9] = [
    ("{}", "{}"),
    ("{\n \"one\": 1,\n \"two\": \"Two\"\n}", r#"{"one":1,"two":"Two"}"#),
    (r#"{ "b": "2", "a": "1" }"#, r#"{"a":"1","b":"2"}"#),
    (r#"{"b":"2","a":"1"}"#, r#"{"a":"1","b":"2"}"#),
    (
        r#"{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",
           "three_pids": [{"medium": "email", "address": "john.doe@example.org"},
                          {"medium": "msisdn", "address": "123456789"}]}}}"#,
        r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
    ),
    (r#"{"a": "日本語"}"#, r#"{"a":"日本語"}"#),
    (r#"{"本": 2, "日": 1}"#, r#"{"日":1,"本":2}"#),
    (r#"{"a": "\u65E5"}"#, r#"{"a":"日"}"#),
    (r#"{"a": null}"#, r#"{"a":null}"#),
];

#[test]
fn the_examples_of_the_specification_come_out_as_it_says() {
    for (json, expected) in VECTORS {
        assert_eq!(canonical(json, Strict), expected);
        assert_eq!(canonical(json, Lenient), expected);
    }
    assert_eq!(canonical(r#"{"a": -0, "b": 1e10}"#, Lenient), r#"{"a":0,"b":10000000000}"#);
}

#[test]
fn keys_sort_by_code_point_not_by_utf16_unit() {
    // U+FF5E is one UTF-16 unit above the surrogates that spell U+1F600.
    assert_eq!(canonical(r#"{"😀":1,"～":2}"#, Strict), r#"{"～":2,"😀":1}"#);
}

#[test]
fn every_control_character_has_its_one_escape() {
    let all: String = (0..0x20_u8).map(char::from).chain(['"', '\\', '/', '\u{7f}', 'é']).collect();
    let json = serde_json::to_string(&all).unwrap();
    assert_eq!(
        canonical(&json, Strict),
        "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f\\u0010\\u0011\\u0012\
         \\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f\\\"\\\\/\u{7f}é\""
    );
    assert_eq!(canonical(r#""\/\u0041\ud83d\ude00\b\f""#, Strict), "\"/A😀\\b\\f\"");
}

#[test]
fn what_is_not_json_is_refused() {
    for json in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "tru",
        "nul",
        "truee",
        "1 2",
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"a\nb\"",
        "\"\u{0}\"",
        "//",
        "\u{feff}{}",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "\u{a0}1",
        "{\"a\":1}}",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\uD83D\\u0041\"",
    ] {
        for rule in [Strict, Lenient] {
            assert!(matches!(refusal(json, rule), CanonicalError::Syntax { .. }), "{json:?}");
        }
    }
    assert_eq!(CanonicalValue::parse(b"\"\xff\"", Strict), Err(CanonicalError::NotUtf8 { at: 1 }));
}

#[test]
fn a_repeated_key_is_refused_in_strict_rooms_and_the_last_counts_in_old_ones() {
    let json = r#"{"b":1,"a":2,"b":3,"a":4,"b":5}"#;
    assert_eq!(refusal(json, Strict), CanonicalError::RepeatedKey { key: "a".into() });
    assert_eq!(canonical(json, Lenient), r#"{"a":4,"b":5}"#);
    assert!(matches!(refusal(r#"[{"x":{"\u0061":1,"a":2}}]"#, Strict), CanonicalError::RepeatedKey { .. }));
}

#[test]
fn numbers_outside_canonical_json_are_refused_in_strict_rooms() {
    for (number, error) in [
        ("1.0", CanonicalError::NotAnInteger),
        ("1e3", CanonicalError::NotAnInteger),
        ("-0", CanonicalError::NegativeZero),
        ("9007199254740992", CanonicalError::IntegerOutOfRange),
    ] {
        assert_eq!(refusal(&format!("{{\"a\":[{number}]}}"), Strict), error);
        assert!(CanonicalValue::parse(number.as_bytes(), Lenient).is_ok());
    }
}

#[test]
fn nesting_ends_at_its_bound_and_does_not_exhaust_the_stack() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    for levels in [1, MAX_NESTING] {
        assert_eq!(canonical(&nested(levels), Strict), nested(levels));
        assert_eq!(canonical(&objects(levels), Strict), objects(levels));
        let value = CanonicalValue::parse(nested(levels).as_bytes(), Strict).unwrap();
        assert_eq!(value.check(Strict), Ok(()));
        assert_eq!(CanonicalValue::Array(vec![value]).check(Strict).is_ok(), levels < MAX_NESTING);
    }
    for levels in [MAX_NESTING + 1, 60_000] {
        assert_eq!(refusal(&nested(levels), Strict), CanonicalError::TooDeep);
        assert_eq!(refusal(&objects(levels), Lenient), CanonicalError::TooDeep);
        assert_eq!(refusal(&"[".repeat(levels), Lenient), CanonicalError::TooDeep);
    }
}

#[test]
fn values_put_together_are_held_against_the_rule() {
    let mut object = CanonicalObject::new();
    object.insert("big", MAX_CANONICAL_INTEGER + 1);
    assert_eq!(object.check(Strict), Err(CanonicalError::IntegerOutOfRange));
    assert_eq!(object.check(Lenient), Ok(()));
    object.insert("big", CanonicalValue::parse(b"1.5", Lenient).unwrap());
    assert_eq!(object.check(Strict), Err(CanonicalError::NotAnInteger));
}

#[test]
fn an_object_is_edited_by_key() {
    let mut object = CanonicalObject::parse(br#"{"b":1,"d":2}"#, Strict).unwrap();
    assert_eq!(object.insert("c", "x"), None);
    assert_eq!(object.insert("b", true), Some(CanonicalValue::Integer(1)));
    assert_eq!(object.insert("a", 7), None);
    assert_eq!(format!("{object:?}"), r#"{"a":7,"b":true,"c":"x","d":2}"#);
    assert_eq!(object.remove("d"), Some(CanonicalValue::Integer(2)));
    assert_eq!(object.remove("d"), None);
    object.retain(|key, _| key != "a");
    assert_eq!(format!("{object:?}"), r#"{"b":true,"c":"x"}"#);
    assert!(object.contains_key("c") && !object.contains_key("a") && object.len() == 2);
}

#[test]
fn the_passage_of_the_content_is_found_whatever_stands_around_it() {
    let json = "{ \"x\":{\"content\":1},\n \"c\\u006fntent\" :\t{ \"a\" : [1] } , \"y\":{\"content\":2}}";
    let (_, span) = parse_recording(json.as_bytes(), Strict, "content").unwrap();
    assert_eq!(&json[span], "{ \"a\" : [1] }");
    let json = r#"{"content":1,"content":{}}"#;
    let (_, span) = parse_recording(json.as_bytes(), Lenient, "content").unwrap();
    assert_eq!(&json[span], "{}");
}

#[test]
fn serde_values_and_types_get_the_same_form_as_their_text() {
    #[derive(serde::Serialize)]
    struct Content<'a> {
        z: &'a serde_json::value::RawValue,
        a: Option<u8>,
    }
    let raw = serde_json::value::RawValue::from_string("{ \"y\": 1, \"x\": \"\\u0041\" }".into()).unwrap();
    let value = to_canonical(&Content { z: &raw, a: None }).unwrap();
    assert_eq!(format!("{value:?}"), r#"{"a":null,"z":{"x":"A","y":1}}"#);
    assert_eq!(to_canonical(&1.5), Err(CanonicalError::NotAnInteger));
    assert_eq!(to_canonical(&u64::MAX), Err(CanonicalError::IntegerOutOfRange));

    let json = serde_json::json!({"b": [true, null, -5], "a": {"z": "\n", "y": 9007199254740991_i64}});
    let value = CanonicalValue::try_from(json.clone()).unwrap();
    assert_eq!(value, to_canonical(&json).unwrap());
    assert_eq!(serde_json::to_value(&value).unwrap(), json);
    for bad in [serde_json::json!([1.0]), serde_json::json!({"a": 1_u64 << 53}), serde_json::json!(-0.0)] {
        assert!(CanonicalValue::try_from(bad).is_err());
    }
    let legacy = CanonicalValue::parse(b"[50.50,1e300]", Lenient).unwrap();
    assert_eq!(serde_json::to_string(&legacy).unwrap(), "[50.5,1e+300]");
}
