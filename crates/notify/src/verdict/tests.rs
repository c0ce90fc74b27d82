//! The rules as code against the rules as data, evaluated by ruma.

use bytes::Bytes;
use myelin_model::default_push_rules;
use myelin_pdu::{Pdu, RoomVersionId};
use proptest::prelude::*;
use proptest::sample::select;
use ruma::power_levels::NotificationPowerLevels;
use ruma::push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset};
use ruma::room_version_rules::{AuthorizationRules, RoomPowerLevelsRules};
use ruma::serde::Raw;
use ruma::{OwnedUserId, UserId, owned_room_id};
use serde_json::{Value, json};

use super::{Others, Verdict, judge};

const SENDER: &str = "@sender:here.test";
const READER: &str = "@reader:here.test";

fn id(user_id: &str) -> OwnedUserId {
    UserId::parse(user_id).unwrap()
}

/// What a verdict means for one reader, who may be subscribed to the thread that the event is in, or told only of threads
/// that they are: notified, and highlighted.
fn outcome(verdict: &Verdict, reader: &UserId, in_thread: Option<bool>) -> (bool, bool) {
    match verdict {
        Verdict::Nobody => (false, false),
        Verdict::Invited(user_id) => (user_id == reader, false),
        Verdict::HighlightsAll => (true, true),
        Verdict::Mentions(users, _) if users.contains(reader) => (true, true),
        Verdict::Mentions(_, Others::None) => (false, false),
        Verdict::Mentions(_, Others::Subscribers) => (in_thread == Some(true), false),
        Verdict::Mentions(_, Others::All) => (in_thread != Some(false), false),
    }
}

/// What ruma makes of the rules as data.
fn by_ruma(event: &Value, sender_level: i32, subscribed: bool) -> (bool, bool) {
    let content: Value = serde_json::from_str(&default_push_rules(&id(READER))).unwrap();
    let rules: Ruleset = serde_json::from_value(content["global"].clone()).unwrap();
    let levels = PushConditionPowerLevelsCtx::new(
        [(id(SENDER), sender_level.into())].into(),
        0.into(),
        NotificationPowerLevels::new(),
        RoomPowerLevelsRules::new(&AuthorizationRules::V11, []),
    );
    let room = PushConditionRoomCtx::new(owned_room_id!("!r:here.test"), 5_u8.into(), id(READER), "R".into());
    let event = Raw::<Value>::from_json_string(event.to_string()).unwrap();
    let room = room.with_power_levels(levels);
    let room = room.with_has_thread_subscription_fn(move |_| Box::pin(async move { subscribed }));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let actions = runtime.block_on(rules.get_actions(&event, &room));
    let notifies = actions.iter().any(ruma::push::Action::should_notify);
    (notifies, actions.iter().any(ruma::push::Action::is_highlight))
}

fn events() -> impl Strategy<Value = Value> {
    let kinds = [
        "m.room.message",
        "m.room.encrypted",
        "m.room.member",
        "m.room.tombstone",
        "m.room.server_acl",
        "m.reaction",
        "m.call.invite",
        "m.room.topic",
        "m.sticker",
        "M.Room.Message",
        "org.matrix.msc3381.poll.start",
        "org.matrix.msc3381.poll.end",
        "org.matrix.msc3381.poll.response",
    ];
    let state_keys = [None, Some(""), Some(READER), Some(SENDER)];
    let msgtypes = [json!(null), json!("m.text"), json!("m.notice"), json!("M.NOTICE"), json!(7)];
    let memberships = [json!(null), json!("join"), json!("invite"), json!(true)];
    let mentions = [
        json!(null),
        json!({}),
        json!({ "user_ids": [READER] }),
        json!({ "user_ids": [SENDER, 3, null, READER] }),
        json!({ "user_ids": ["@other:here.test", "no id"] }),
        json!({ "user_ids": READER }),
        json!({ "room": true }),
        json!({ "room": "true" }),
        json!({ "room": true, "user_ids": [READER] }),
        json!([READER]),
    ];
    let relations = [
        json!(null),
        json!({ "rel_type": "m.replace", "event_id": "$a" }),
        json!({ "rel_type": "m.thread", "event_id": "$a" }),
        json!("m.replace"),
    ];
    let contents = (
        select(msgtypes.to_vec()),
        select(memberships.to_vec()),
        select(mentions.to_vec()),
        select(relations.to_vec()),
    );
    (select(kinds.to_vec()), select(state_keys.to_vec()), contents).prop_map(|(kind, state_key, content)| {
        let (msgtype, membership, mentions, relates_to) = content;
        let fields = [
            ("msgtype", msgtype),
            ("membership", membership),
            ("m.mentions", mentions),
            ("m.relates_to", relates_to),
        ];
        let content: Value = fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(k, v)| (k.to_owned(), v))
            .collect();
        let mut event = json!({
            "type": kind, "content": content, "sender": SENDER, "room_id": "!r:here.test", "depth": 1,
            "origin_server_ts": 1, "prev_events": [], "auth_events": [], "hashes": {}, "signatures": {},
        });
        if let Some(state_key) = state_key {
            event["state_key"] = json!(state_key);
        }
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn code_and_data_agree_on_every_event(event in events(), sender_level in select(vec![0, 50]), subscribed: bool) {
        let raw = Bytes::from(event.to_string());
        let pdu = Pdu::parse(raw, RoomVersionId::V11.rules()).unwrap();
        let verdict = judge(&pdu, &pdu.content_as().unwrap_or_default(), sender_level >= 50, 50, |_| true);
        let is_in_thread = event["content"]["m.relates_to"]["rel_type"] == "m.thread";
        let outcome = outcome(&verdict, &id(READER), is_in_thread.then_some(subscribed));
        prop_assert_eq!(outcome, by_ruma(&event, sender_level, subscribed), "{:?}", verdict);
    }
}

#[test]
fn only_so_many_mentions_are_looked_at() {
    let users: Vec<OwnedUserId> =
        (0..80).map(|n| UserId::parse(format!("@user{n:02}:here.test")).unwrap()).collect();
    let event = json!({
        "type": "m.room.message", "content": { "m.mentions": { "user_ids": users } }, "sender": SENDER,
        "room_id": "!r:here.test", "depth": 1, "origin_server_ts": 1, "prev_events": [], "auth_events": [],
        "hashes": {}, "signatures": {},
    });
    let pdu = Pdu::parse(Bytes::from(event.to_string()), RoomVersionId::V11.rules()).unwrap();
    let verdict =
        judge(&pdu, &pdu.content_as().unwrap_or_default(), false, 50, |user_id| *user_id != users[0]);
    assert_eq!(verdict, Verdict::Mentions(users[1..51].iter().cloned().collect(), Others::All));
}
