use myelin_pdu::{AuthRules, RoomVersionId};
use serde_json::{Value, json};

use super::*;
use crate::{auth::tests::event, key};

fn with<T>(
    version: RoomVersionId,
    create: &Value,
    levels: Option<Value>,
    read: impl Fn(PowerLevels<'_>) -> T,
) -> T {
    let rules: &AuthRules = &version.rules().auth;
    let create = event("@alice:x", key::CREATE, Some(""), create);
    let levels = levels.map(|content| event("@alice:x", key::POWER_LEVELS, Some(""), &content));
    read(PowerLevels::new(rules, &create, levels.as_ref()))
}

#[test]
fn without_an_event_the_creator_has_100_and_defaults_hold() {
    with(RoomVersionId::V11, &json!({}), None, |power| {
        assert_eq!(power.user_level("@alice:x"), Level::Of(100));
        assert_eq!(power.user_level("@bob:x"), Level::Of(0));
        assert_eq!((power.invite(), power.kick(), power.ban(), power.redact()), (0, 50, 50, 50));
        assert_eq!(power.to_send("m.room.topic", EventClass::State), 50);
        assert_eq!(power.to_send("m.room.message", EventClass::Message), 0);
        assert_eq!(power.notification("room"), 50);
    });
}

#[test]
fn with_an_event_the_creator_of_version_11_has_what_it_says() {
    with(RoomVersionId::V11, &json!({}), Some(json!({"users_default": 7})), |power| {
        assert_eq!(power.user_level("@alice:x"), Level::Of(7));
    });
}

#[test]
fn creators_of_version_12_have_unlimited_power() {
    let create = json!({"additional_creators": ["@bob:x"]});
    with(
        RoomVersionId::V12,
        &create,
        Some(json!({"users": {"@carol:x": 9_007_199_254_740_991_i64}})),
        |power| {
            for creator in ["@alice:x", "@bob:x"] {
                assert_eq!(power.user_level(creator), Level::Unlimited);
                assert!(power.is_creator(creator));
            }
            assert!(power.user_level("@alice:x") > power.user_level("@carol:x"));
        },
    );
    with(RoomVersionId::V11, &create, None, |power| assert_eq!(power.user_level("@bob:x"), Level::Of(0)));
}

#[test]
fn a_listed_type_has_its_level_whatever_its_class() {
    let levels = json!({"events": {"m.room.topic": 10}, "events_default": 5, "state_default": 60,
        "notifications": {"room": 20}});
    with(RoomVersionId::V12, &json!({}), Some(levels), |power| {
        assert_eq!(power.to_send("m.room.topic", EventClass::State), 10);
        assert_eq!(power.to_send("m.room.name", EventClass::State), 60);
        assert_eq!(power.to_send("m.room.message", EventClass::Message), 5);
        assert_eq!(power.notification("room"), 20);
        assert!(!power.may_send("@bob:x", "m.room.message", EventClass::Message));
        assert!(power.may_send("@alice:x", "m.room.name", EventClass::State));
    });
}

#[test]
fn redacting_takes_power_or_the_same_server() {
    with(RoomVersionId::V12, &json!({}), Some(json!({"users": {"@mod:y": 50}})), |power| {
        assert!(power.may_redact("@mod:y", "@bob:x"));
        assert!(power.may_redact("@carol:x", "@bob:x"));
        assert!(!power.may_redact("@carol:z", "@bob:x"));
        assert!(power.may_redact("@alice:x", "@bob:z"));
    });
}
