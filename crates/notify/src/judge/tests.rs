//! The judge against ruma's, on events and rules that are put together at random. (Without line breaks, which ruma lets no
//! wildcard of a keyword match.)

use proptest::prelude::*;
use proptest::sample::select;
use ruma::power_levels::NotificationPowerLevels;
use ruma::push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset};
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};
use ruma::serde::Raw;
use ruma::{owned_room_id, owned_user_id, room_id};
use serde_json::{Value, json};

use super::{Asker, Rules, Says, Subject};

fn by_ruma(rules: &Ruleset, event: &Value, joined: u32, level: i32, subscribed: bool) -> Says {
    let levels = PushConditionPowerLevelsCtx::new(
        [(owned_user_id!("@sender:here.test"), level.into())].into(),
        0.into(),
        NotificationPowerLevels::new(),
        RoomPowerLevelsRules::new(&AuthorizationRules::V11, []),
    );
    let (room, reader) = (owned_room_id!("!r:here.test"), owned_user_id!("@reader:here.test"));
    let room = PushConditionRoomCtx::new(room, joined.into(), reader, "Rita Reader".into());
    let event = Raw::<Value>::from_json_string(event.to_string()).unwrap();
    let room = room.with_power_levels(levels);
    let room = room.with_has_thread_subscription_fn(move |_| Box::pin(async move { subscribed }));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Says::of(runtime.block_on(rules.get_actions(&event, &room)))
}

fn texts() -> impl Strategy<Value = &'static str> {
    select(vec![
        "cake",
        "Cake",
        "pancakes",
        "a cake!",
        "@cake",
        "c\u{e9}cake",
        "",
        "cake cakes",
        "Rita Reader",
        "ritareader",
        "m.text",
        "1",
        "a_cake",
        "cake_",
        "so much cake lies",
        "liecakelie",
    ])
}

fn patterns() -> impl Strategy<Value = &'static str> {
    select(vec![
        "cake", "CAKE", "*", "?", "c*e", "c?ke", "cake*lie", "", "*cake", "cake?", "@cake", "a.b", "\u{e9}*",
    ])
}

fn keys() -> impl Strategy<Value = &'static str> {
    select(vec![
        "content.body",
        "type",
        "content",
        "content.m\\.x",
        "content.m.x",
        "sender",
        "room_id",
        "state_key",
        "content.list",
        "content.deep.er",
        "content.n",
        "nothing",
        "",
    ])
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![texts().prop_map(Value::from), select(vec![json!(1), json!(true), json!(null), json!(-5)]),]
}

fn conditions() -> impl Strategy<Value = Value> {
    let event_match = (keys(), patterns())
        .prop_map(|(key, pattern)| json!({ "kind": "event_match", "key": key, "pattern": pattern }));
    let is = (keys(), scalars())
        .prop_map(|(key, value)| json!({ "kind": "event_property_is", "key": key, "value": value }));
    let contains = (keys(), scalars())
        .prop_map(|(key, value)| json!({ "kind": "event_property_contains", "key": key, "value": value }));
    let count = select(vec!["2", "==2", "<3", ">2", ">=2", "<=1"])
        .prop_map(|is| json!({ "kind": "room_member_count", "is": is }));
    let others = select(vec![
        json!({ "kind": "contains_display_name" }),
        json!({ "kind": "sender_notification_permission", "key": "room" }),
        json!({ "kind": "io.element.msc4306.thread_subscription", "subscribed": true }),
        json!({ "kind": "io.element.msc4306.thread_subscription", "subscribed": false }),
        json!({ "kind": "org.example.unknown", "x": 1 }),
    ]);
    prop_oneof![5 => event_match, 2 => is, 2 => contains, 1 => count, 2 => others]
}

fn actions() -> impl Strategy<Value = Value> {
    select(vec![
        json!([]),
        json!(["notify"]),
        json!(["dont_notify"]),
        json!(["notify", { "set_tweak": "highlight" }]),
        json!(["notify", { "set_tweak": "highlight", "value": false }]),
    ])
}

fn rulesets() -> impl Strategy<Value = Value> {
    let rule = || (prop::collection::vec(conditions(), 0..3), actions(), prop::bool::weighted(0.8));
    let rule = || {
        rule().prop_map(|(conditions, actions, enabled)| {
        json!({ "conditions": conditions, "actions": actions, "enabled": enabled, "default": false })
    })
    };
    let content = (patterns(), actions()).prop_map(|(pattern, actions)| {
        json!({ "pattern": pattern, "actions": actions, "enabled": true, "default": false })
    });
    let named = |ids: Vec<&'static str>| {
        (select(ids), actions()).prop_map(|(rule_id, actions)| {
            json!({ "rule_id": rule_id, "actions": actions, "enabled": true, "default": false })
        })
    };
    let numbered = |rules: Vec<Value>| {
        let each = rules.into_iter().enumerate().map(|(n, mut rule)| {
            rule["rule_id"] = json!(n.to_string());
            rule
        });
        Value::Array(each.collect())
    };
    (
        prop::collection::vec(rule(), 0..3).prop_map(numbered),
        prop::collection::vec(content, 0..3).prop_map(numbered),
        prop::collection::vec(rule(), 0..2).prop_map(numbered),
        prop::collection::vec(named(vec!["!r:here.test", "!other:here.test"]), 0..2),
        prop::collection::vec(named(vec!["@sender:here.test", "@other:here.test"]), 0..2),
        prop::collection::vec(rule(), 0..3).prop_map(numbered),
    )
        .prop_map(|(over, content, post, room, sender, under)| {
            json!({
                "override": over, "content": content, "postcontent": post, "room": room, "sender": sender,
                "underride": under,
            })
        })
}

fn events() -> impl Strategy<Value = Value> {
    let content = (texts(), scalars(), prop::collection::vec(scalars(), 0..3), scalars());
    let state_keys = select(vec![None, Some(""), Some("cake")]);
    (content, state_keys, any::<bool>()).prop_map(|((body, x, list, er), state_key, in_thread)| {
        let mut content = json!({ "body": body, "m.x": x, "list": list, "deep": { "er": er }, "n": 1 });
        if in_thread {
            content["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": "$root" });
        }
        let mut event = json!({
            "type": "cake", "sender": "@sender:here.test", "room_id": "!r:here.test", "content": content,
        });
        if let Some(state_key) = state_key {
            event["state_key"] = json!(state_key);
        }
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn both_say_the_same(rules in rulesets(), event in events(), joined in 1..4_u32, level in select(vec![0, 50]), subscribed: bool) {
        let ruleset: Ruleset = serde_json::from_value(rules).unwrap();
        let expected = by_ruma(&ruleset, &event, joined, level, subscribed);
        let in_thread = event["content"].get("m.relates_to").is_some();
        let reader = Asker { display_name: Some("Rita Reader"), subscribed: in_thread.then_some(subscribed) };
        let subject = Subject::new(event, room_id!("!r:here.test"), joined.into(), level >= 50);
        let says = Rules::new(&ruleset).says(&subject, &reader);
        prop_assert_eq!(says, Says { highlight: expected.highlight && expected.notifies, ..expected });
    }
}
