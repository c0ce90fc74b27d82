use myelin_pdu::{CanonicalJsonRule, RoomVersionId};
use serde_json::{Value, json};

use super::*;

fn parse(event_type: &str, content: impl AsRef<str>) -> Content {
    let object = CanonicalObject::parse(content.as_ref().as_bytes(), CanonicalJsonRule::Lenient).unwrap();
    Content::parse(&RoomVersionId::V12.rules().auth, event_type, &object)
}

fn levels(content: &Value) -> Result<Levels, String> {
    match parse(key::POWER_LEVELS, content.to_string()) {
        Content::PowerLevels(levels) => levels.map_err(|error| error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn power_levels_that_are_not_integers_are_named() {
    for (content, message) in [
        (json!({"ban": "50"}), "`content.ban` is not an integer"),
        (json!({"users_default": 1.5}), "`content.users_default` is not an integer"),
        (json!({"events": []}), "`content.events` is not an object"),
        (json!({"notifications": {"room": null}}), "`content.notifications.room` is not an integer"),
        (json!({"users": {"@a:x": "100"}}), "`content.users.@a:x` is not an integer"),
        (json!({"users": {"alice": 100}}), "`content.users.alice` is not a valid user id"),
        (json!({"users": null}), "`content.users` is not an object"),
    ] {
        assert_eq!(levels(&content).unwrap_err(), message);
    }
}

#[test]
fn older_versions_read_levels_in_more_spellings() {
    let level = |version: RoomVersionId, spelt: &str| {
        let content = format!(r#"{{"users":{{"@a:x":{spelt}}}}}"#);
        let object = CanonicalObject::parse(content.as_bytes(), CanonicalJsonRule::Lenient).unwrap();
        let levels = Levels::parse(version.rules().auth.power_level_format, &object).ok()?;
        levels.users.get("@a:x").copied()
    };
    for (spelt, v5, v9, v10) in [
        ("50", Some(50), Some(50), Some(50)),
        (r#"" +050 ""#, Some(50), Some(50), None),
        (r#""-7""#, Some(-7), Some(-7), None),
        ("50.9", Some(50), None, None),
        ("-1.5", Some(-1), None, None),
        ("1e300", None, None, None),
        (r#""5_0""#, None, None, None),
        (r#""""#, None, None, None),
        (r#""+-5""#, None, None, None),
        ("null", None, None, None),
    ] {
        assert_eq!(level(RoomVersionId::V5, spelt), v5, "{spelt} in version 5");
        assert_eq!(level(RoomVersionId::V9, spelt), v9, "{spelt} in version 9");
        assert_eq!(level(RoomVersionId::V10, spelt), v10, "{spelt} in version 10");
    }
}

#[test]
fn power_levels_know_a_stated_default_from_an_absent_one() {
    let levels = levels(&json!({"ban": 50, "users": {"@a:x": -3}, "unrelated": "text"})).unwrap();
    assert_eq!(levels.field(LevelField::Ban), Some(50));
    assert_eq!(levels.field(LevelField::Kick), None);
    assert_eq!(levels.users["@a:x"], -3);
}

#[test]
fn only_false_keeps_other_servers_out() {
    for (content, local_only) in
        [(json!({}), false), (json!({"m.federate": true}), false), (json!({"m.federate": false}), true)]
    {
        let Content::Create(create) = parse(key::CREATE, content.to_string()) else { panic!() };
        assert_eq!(create.local_only, local_only);
    }
}

#[test]
fn additional_creators_must_be_a_list_of_user_ids() {
    for (content, fits) in [
        (json!({}), true),
        (json!({"additional_creators": []}), true),
        (json!({"additional_creators": ["@a:x", "@b:y"]}), true),
        (json!({"additional_creators": "@a:x"}), false),
        (json!({"additional_creators": null}), false),
        (json!({"additional_creators": ["a"]}), false),
        (json!({"additional_creators": [1]}), false),
    ] {
        let Content::Create(create) = parse(key::CREATE, content.to_string()) else { panic!() };
        assert_eq!(create.additional_creators.is_ok(), fits, "{content}");
    }
}

#[test]
fn a_redemption_without_signed_has_neither_user_nor_token() {
    let Content::Member(member) = parse(key::MEMBER, r#"{"third_party_invite":7}"#) else { panic!() };
    let redemption = member.third_party_invite.unwrap();
    assert_eq!((redemption.mxid(), redemption.token()), (None, None));
}

#[test]
fn a_join_rule_that_is_no_text_lets_nobody_in() {
    let Content::JoinRules(rule) = parse(key::JOIN_RULES, r#"{"join_rule":["public"]}"#) else { panic!() };
    assert!(matches!(rule, JoinRule::Unknown(_)));
    assert!(matches!(parse(key::JOIN_RULES, "{}"), Content::JoinRules(JoinRule::Invite)));
}

#[test]
fn a_membership_that_is_no_text_is_none() {
    let Content::Member(member) = parse(key::MEMBER, r#"{"membership":1}"#) else { panic!() };
    assert_eq!(member.membership, None);
}

#[test]
fn all_public_keys_of_a_third_party_invite_count() {
    let content = json!({"public_key": "A", "public_keys": [{"public_key": "B"}, {}, {"public_key": "C"}]});
    let Content::ThirdPartyInvite(invite) = parse(key::THIRD_PARTY_INVITE, content.to_string()) else {
        panic!()
    };
    assert_eq!(invite.public_keys, ["A", "B", "C"].map(Into::into));
}
