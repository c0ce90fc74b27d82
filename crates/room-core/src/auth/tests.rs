use std::collections::BTreeMap;

use myelin_pdu::{CanonicalObject, RoomVersionId};
use serde_json::{Value, json};

use super::*;
use crate::{
    content::Content,
    event::EventFields,
    key::{EventType, StateKey},
};

/// A room as a plain map, with events whose ids are their keys.
pub(crate) struct Room12 {
    pub(crate) rules: SupportedRules,
    pub(crate) state: BTreeMap<StateKey, Event>,
}

impl StateView for Room12 {
    fn state(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        self.state.get(&StateKey::new(event_type, state_key))
    }
}

pub(crate) fn object(value: &Value) -> CanonicalObject {
    CanonicalObject::try_from(value.as_object().unwrap().clone()).unwrap()
}

pub(crate) fn event(sender: &str, event_type: &str, state_key: Option<&str>, content: &Value) -> Event {
    Event::new(EventFields {
        event_id: format!("${event_type}/{}", state_key.unwrap_or("-")).into(),
        room_id: (event_type != key::CREATE).then(|| "!m.room.create/".into()),
        sender: sender.into(),
        event_type: EventType::from(event_type),
        state_key: state_key.map(Into::into),
        origin_server_ts: 0,
        depth: 1,
        prev_events: if event_type == key::CREATE { Box::new([]) } else { Box::new(["$before".into()]) },
        auth_events: Box::new([]),
        redacts: None,
        content: Content::parse(&RoomVersionId::V12.rules().auth, event_type, &object(content)),
    })
}

fn membership(sender: &str, target: &str, membership: &str) -> Event {
    event(sender, key::MEMBER, Some(target), &json!({"membership": membership}))
}

impl Room12 {
    /// Alice created the room; Bob has power 50, Carol none; Mallory is banned; Ivan is invited, Ken knocks.
    fn of(version: RoomVersionId, create: &Value, join_rule: &str) -> Self {
        let rules = SupportedRules::new(version.rules()).unwrap();
        let mut users = json!({"@bob:x": 50, "@boss:x": 100});
        if !rules.auth.creators_are_privileged() {
            users["@alice:x"] = json!(100);
        }
        let mut room = Self { rules, state: BTreeMap::new() };
        room.add(event("@alice:x", key::CREATE, Some(""), create));
        room.add(event(
            "@alice:x",
            key::POWER_LEVELS,
            Some(""),
            &json!({"users": users, "invite": 50, "events": {"m.room.name": 60, "m.reaction": 10}}),
        ));
        room.add(event("@alice:x", key::JOIN_RULES, Some(""), &json!({"join_rule": join_rule})));
        for user in ["alice", "bob", "boss", "carol"] {
            room.add(membership(&format!("@{user}:x"), &format!("@{user}:x"), "join"));
        }
        room.add(membership("@alice:x", "@mallory:x", "ban"));
        room.add(membership("@alice:x", "@ivan:x", "invite"));
        room.add(membership("@ken:x", "@ken:x", "knock"));
        room
    }

    fn v12() -> Self {
        Self::of(RoomVersionId::V12, &json!({"room_version": "12"}), "invite")
    }

    fn v11() -> Self {
        Self::of(RoomVersionId::V11, &json!({"room_version": "11"}), "invite")
    }

    fn with_join_rule(join_rule: &str) -> Self {
        Self::of(RoomVersionId::V12, &json!({"room_version": "12"}), join_rule)
    }

    fn add(&mut self, event: Event) {
        self.state.insert(event.key().unwrap().to_key(), event);
    }

    fn check(&self, event: &Event) -> Result<(), Rejection> {
        check_state(self.rules, event, self)
    }

    #[track_caller]
    fn allows(&self, event: &Event) {
        assert_eq!(self.check(event), Ok(()), "{event:?} by {}", event.sender);
    }

    #[track_caller]
    fn refuses(&self, event: &Event, why: &str) {
        let refusal = self.check(event).expect_err("should be refused").to_string();
        assert!(refusal.contains(why), "{event:?} by {}: {refusal:?} does not say {why:?}", event.sender);
    }
}

#[test]
fn rooms_of_version_1_are_unsupported_and_say_so() {
    for version in RoomVersionId::ALL {
        let expected = version != RoomVersionId::V1;
        assert_eq!(SupportedRules::new(version.rules()).is_ok(), expected, "{version}");
    }
    let error = SupportedRules::new(RoomVersionId::V1.rules()).unwrap_err();
    assert_eq!(error.to_string(), "rooms of version 1 are not supported yet");
}

#[test]
fn only_members_send() {
    let room = Room12::v12();
    let message = |sender| event(sender, "m.room.message", None, &json!({}));
    room.allows(&message("@carol:x"));
    for outsider in ["@mallory:x", "@ivan:x", "@ken:x", "@nobody:x"] {
        room.refuses(&message(outsider), "is not in the room");
    }
}

#[test]
fn sending_takes_the_level_of_the_type_or_its_default() {
    let room = Room12::v12();
    for (sender, event_type, state_key, allowed) in [
        ("@carol:x", "m.room.topic", Some(""), false),
        ("@bob:x", "m.room.topic", Some(""), true),
        ("@bob:x", "m.room.name", Some(""), false),
        ("@boss:x", "m.room.name", Some(""), true),
        ("@carol:x", "m.reaction", None, false),
        ("@bob:x", "m.reaction", None, true),
        ("@alice:x", "m.room.name", Some(""), true),
    ] {
        let event = event(sender, event_type, state_key, &json!({}));
        if allowed { room.allows(&event) } else { room.refuses(&event, "has power level") }
    }
}

#[test]
fn a_state_key_that_is_a_user_id_is_for_that_user() {
    let room = Room12::v12();
    room.allows(&event("@bob:x", "m.beacon_info", Some("@bob:x"), &json!({})));
    room.refuses(
        &event("@bob:x", "m.beacon_info", Some("@carol:x"), &json!({})),
        "@carol:x is not the sender",
    );
    // Creators are no exception.
    room.refuses(
        &event("@alice:x", "m.beacon_info", Some("@carol:x"), &json!({})),
        "@carol:x is not the sender",
    );
}

#[test]
fn a_room_without_federation_is_for_users_of_the_creators_server() {
    let create = json!({"room_version": "12", "m.federate": false});
    let mut room = Room12::of(RoomVersionId::V12, &create, "public");
    room.refuses(&membership("@eve:y", "@eve:y", "join"), "only for users of the server");
    room.allows(&membership("@eve:x", "@eve:x", "join"));
    room.add(membership("@eve:y", "@eve:y", "join"));
    room.refuses(&event("@eve:y", "m.room.message", None, &json!({})), "only for users of the server");
}

#[test]
fn without_a_create_event_nothing_is_allowed() {
    let mut room = Room12::v12();
    room.state.remove(&StateKey::new(key::CREATE, ""));
    room.refuses(&event("@alice:x", "m.room.message", None, &json!({})), "no m.room.create");
}

mod members {
    use super::*;

    #[test]
    fn the_join_rule_says_who_may_join() {
        for (rule, invited, knocking, stranger) in [
            ("public", true, true, true),
            ("invite", true, false, false),
            ("knock", true, false, false),
            ("restricted", true, false, false),
            ("knock_restricted", true, false, false),
            ("private", false, false, false),
            ("org.example.odd", false, false, false),
        ] {
            let room = Room12::with_join_rule(rule);
            for (user, allowed) in [("@ivan:x", invited), ("@ken:x", knocking), ("@new:x", stranger)] {
                let result = room.check(&membership(user, user, "join"));
                assert_eq!(result.is_ok(), allowed, "{user} joining with {rule}: {result:?}");
            }
            room.refuses(&membership("@mallory:x", "@mallory:x", "join"), "is banned");
        }
    }

    #[test]
    fn a_room_without_join_rules_is_invite_only() {
        let mut room = Room12::with_join_rule("public");
        room.state.remove(&StateKey::new(key::JOIN_RULES, ""));
        room.allows(&membership("@ivan:x", "@ivan:x", "join"));
        room.refuses(&membership("@new:x", "@new:x", "join"), "is not invited");
    }

    #[test]
    fn a_member_may_change_their_profile_whatever_the_join_rule() {
        for rule in ["public", "invite", "knock", "restricted", "knock_restricted"] {
            Room12::with_join_rule(rule).allows(&membership("@carol:x", "@carol:x", "join"));
        }
    }

    #[test]
    fn nobody_joins_for_another() {
        Room12::with_join_rule("public").refuses(&membership("@alice:x", "@new:x", "join"), "on behalf of");
    }

    #[test]
    fn the_creator_joins_right_after_the_create_event_and_only_then() {
        let create = event("@alice:x", key::CREATE, Some(""), &json!({"room_version": "12"}));
        let state = [&create];
        let rules = Room12::v12().rules;
        let first = |user: &str, prev: &[&str]| {
            let mut fields = (*membership(user, user, "join")).clone();
            fields.prev_events = prev.iter().map(|id| (*id).into()).collect();
            check_state(rules, &Event::new(fields), state.as_slice())
        };
        assert_eq!(first("@alice:x", &[&create.event_id]), Ok(()));
        assert!(first("@bob:x", &[&create.event_id]).is_err());
        assert!(first("@alice:x", &["$other"]).is_err());
        assert!(first("@alice:x", &[&create.event_id, "$other"]).is_err());
    }

    #[test]
    fn a_restricted_join_needs_a_voucher_who_is_joined_and_may_invite() {
        let vouched = |room: &Room12, voucher: Value| {
            room.check(&event(
                "@new:x",
                key::MEMBER,
                Some("@new:x"),
                &json!({"membership": "join", "join_authorised_via_users_server": voucher}),
            ))
        };
        for rule in ["restricted", "knock_restricted"] {
            let room = Room12::with_join_rule(rule);
            assert_eq!(vouched(&room, json!("@bob:x")), Ok(()));
            assert_eq!(vouched(&room, json!("@alice:x")), Ok(()));
            let refused = |voucher, why: &str| {
                let refusal = vouched(&room, voucher).unwrap_err().to_string();
                assert!(refusal.contains(why), "{refusal}");
            };
            refused(json!("@carol:x"), "cannot vouch for a join with power level 0");
            refused(json!("@ivan:x"), "not being in the room");
            refused(json!("bob"), "not a user id");
            refused(json!(null), "not a user id");
            room.refuses(&membership("@new:x", "@new:x", "join"), "needs an invite, or a member who vouches");
        }
        assert!(vouched(&Room12::with_join_rule("invite"), json!("@bob:x")).is_err());
    }

    #[test]
    fn inviting_takes_membership_and_power() {
        let room = Room12::v12();
        room.allows(&membership("@bob:x", "@new:x", "invite"));
        room.allows(&membership("@bob:x", "@ivan:x", "invite"));
        room.allows(&membership("@bob:x", "@ken:x", "invite"));
        room.refuses(&membership("@carol:x", "@new:x", "invite"), "to invite users takes 50");
        room.refuses(&membership("@nobody:x", "@new:x", "invite"), "@nobody:x is not in the room");
        room.refuses(&membership("@bob:x", "@carol:x", "invite"), "in the room already");
        room.refuses(&membership("@bob:x", "@mallory:x", "invite"), "is banned");
    }

    #[test]
    fn users_leave_what_they_are_in_invited_to_or_knocking_at() {
        let room = Room12::v12();
        for user in ["@carol:x", "@ivan:x", "@ken:x"] {
            room.allows(&membership(user, user, "leave"));
        }
        for user in ["@mallory:x", "@nobody:x"] {
            room.refuses(&membership(user, user, "leave"), "cannot leave");
        }
    }

    #[test]
    fn kicking_takes_the_level_and_more_power_than_the_target() {
        let room = Room12::v12();
        room.allows(&membership("@bob:x", "@carol:x", "leave"));
        room.allows(&membership("@bob:x", "@ivan:x", "leave"));
        room.refuses(&membership("@carol:x", "@ivan:x", "leave"), "to kick takes 50");
        room.refuses(&membership("@bob:x", "@boss:x", "leave"), "@boss:x, whose power level 100");
        room.refuses(&membership("@boss:x", "@alice:x", "leave"), "whose power level unlimited");
        room.refuses(&membership("@nobody:x", "@carol:x", "leave"), "@nobody:x is not in the room");
    }

    #[test]
    fn banning_and_unbanning_take_the_level_and_more_power_than_the_target() {
        let room = Room12::v12();
        room.allows(&membership("@bob:x", "@carol:x", "ban"));
        room.allows(&membership("@bob:x", "@nobody:x", "ban"));
        room.allows(&membership("@bob:x", "@mallory:x", "leave"));
        room.refuses(&membership("@carol:x", "@mallory:x", "leave"), "to unban users takes 50");
        room.refuses(&membership("@carol:x", "@nobody:x", "ban"), "to ban takes 50");
        room.refuses(&membership("@bob:x", "@boss:x", "ban"), "cannot ban @boss:x");
        room.refuses(&membership("@ivan:x", "@nobody:x", "ban"), "is not in the room");
    }

    #[test]
    fn users_knock_where_the_join_rule_has_it_and_they_are_outside() {
        for rule in ["knock", "knock_restricted"] {
            let room = Room12::with_join_rule(rule);
            room.allows(&membership("@new:x", "@new:x", "knock"));
            room.allows(&membership("@ken:x", "@ken:x", "knock"));
            room.refuses(&membership("@bob:x", "@new:x", "knock"), "on behalf of");
            for user in ["@carol:x", "@ivan:x", "@mallory:x"] {
                room.refuses(&membership(user, user, "knock"), "cannot knock, their membership being");
            }
        }
        for rule in ["public", "invite", "restricted"] {
            Room12::with_join_rule(rule)
                .refuses(&membership("@new:x", "@new:x", "knock"), "does not allow to knock");
        }
    }

    #[test]
    fn a_membership_event_needs_a_target_and_a_known_membership() {
        let room = Room12::v12();
        room.refuses(&event("@bob:x", key::MEMBER, None, &json!({"membership": "join"})), "state_key");
        room.refuses(&membership("@bob:x", "bob", "join"), "state_key");
        room.refuses(&event("@bob:x", key::MEMBER, Some("@bob:x"), &json!({})), "needs a membership");
        room.refuses(&membership("@bob:x", "@bob:x", "away"), "is not known");
    }

    #[test]
    fn a_third_party_invite_is_redeemed_by_whom_it_is_signed_for() {
        let key = myelin_pdu::SigningKey::from_seed("ed25519:0".parse().unwrap(), &[7; 32]).unwrap();
        let mut room = Room12::v12();
        let public = key.verifying_key().to_base64();
        room.add(event("@bob:x", key::THIRD_PARTY_INVITE, Some("tok"), &json!({"public_key": public})));
        let redeem = |sender: &str, target: &str, signed: &CanonicalObject| {
            let signed: Value = serde_json::from_slice(&signed.to_bytes()).unwrap();
            let content = json!({"membership": "invite", "third_party_invite": {"signed": signed}});
            event(sender, key::MEMBER, Some(target), &content)
        };
        let mut signed = object(&json!({"mxid": "@new:x", "token": "tok"}));
        room.refuses(&redeem("@bob:x", "@new:x", &signed), "no signature");
        myelin_pdu::sign_json(&mut signed, "id.example", &key).unwrap();

        room.allows(&redeem("@bob:x", "@new:x", &signed));
        room.refuses(&redeem("@bob:x", "@other:x", &signed), "is for @new:x, not for @other:x");
        room.refuses(&redeem("@alice:x", "@new:x", &signed), "was sent by @bob:x, not by @alice:x");
        let mut other = signed.clone();
        other.insert("token", "gone");
        room.refuses(&redeem("@bob:x", "@new:x", &other), "no m.room.third_party_invite");
        other.remove("token");
        room.refuses(&redeem("@bob:x", "@new:x", &other), "lacks signed");
        room.add(membership("@alice:x", "@new:x", "ban"));
        room.refuses(&redeem("@bob:x", "@new:x", &signed), "is banned");
        // The inviter may have left since, which is no reason to refuse.
        room.state.remove(&StateKey::member("@new:x"));
        room.add(membership("@bob:x", "@bob:x", "leave"));
        room.allows(&redeem("@bob:x", "@new:x", &signed));
    }

    #[test]
    fn a_third_party_invite_takes_the_power_to_invite() {
        let room = Room12::v12();
        let invite = |sender| event(sender, key::THIRD_PARTY_INVITE, Some("tok"), &json!({}));
        room.allows(&invite("@bob:x"));
        room.refuses(&invite("@carol:x"), "to invite users takes 50");
    }
}

mod power_level_events {
    use super::*;

    fn change(room: &Room12, sender: &str, change: impl FnOnce(&mut Value)) -> Event {
        let mut users = json!({"@bob:x": 50, "@boss:x": 100});
        if !room.rules.auth.creators_are_privileged() {
            users["@alice:x"] = json!(100);
        }
        let mut content =
            json!({"users": users, "invite": 50, "events": {"m.room.name": 60, "m.reaction": 10}});
        change(&mut content);
        event(sender, key::POWER_LEVELS, Some(""), &content)
    }

    #[test]
    fn nobody_sets_a_level_above_their_own() {
        let room = Room12::v11();
        room.allows(&change(&room, "@bob:x", |_| {}));
        for path in ["/users/@carol:x", "/users/@bob:x", "/events/m.sticker", "/notifications/room", "/kick"]
        {
            let set = |level: i64| {
                change(&room, "@bob:x", |content| {
                    let parts: Vec<_> = path.split('/').skip(1).collect();
                    match parts.as_slice() {
                        [field] => content[*field] = json!(level),
                        [map, name] => content[*map][*name] = json!(level),
                        _ => panic!(),
                    }
                })
            };
            room.allows(&set(50));
            room.refuses(&set(51), "to 51");
        }
    }

    #[test]
    fn nobody_changes_what_is_above_their_own_level() {
        let room = Room12::v11();
        let name = |content: &mut Value| content["events"]["m.room.name"] = json!(0);
        room.refuses(&change(&room, "@bob:x", name), "cannot change events.m.room.name, which is 60");
        room.allows(&change(&room, "@boss:x", name));
        let removed =
            |content: &mut Value| drop(content["events"].as_object_mut().unwrap().remove("m.room.name"));
        room.refuses(&change(&room, "@bob:x", removed), "cannot change events.m.room.name");
        room.allows(&change(&room, "@bob:x", |content| content["events"]["m.reaction"] = json!(0)));
    }

    #[test]
    fn users_of_equal_power_do_not_demote_each_other_but_may_step_down() {
        let mut room = Room12::v11();
        let add = |content: &mut Value| content["users"]["@peer:x"] = json!(50);
        room.add(change(&room, "@alice:x", add));
        room.add(membership("@peer:x", "@peer:x", "join"));
        let demote = |sender: &str, target: &str| {
            change(&room, sender, |content| {
                content["users"]["@peer:x"] = json!(50);
                content["users"][target] = json!(0);
            })
        };
        room.refuses(&demote("@bob:x", "@peer:x"), "cannot change users.@peer:x, which is 50");
        room.allows(&demote("@bob:x", "@bob:x"));
        room.allows(&demote("@boss:x", "@peer:x"));
    }

    #[test]
    fn an_absent_level_counts_as_its_default() {
        let mut room = Room12::v11();
        room.add(event(
            "@alice:x",
            key::POWER_LEVELS,
            Some(""),
            &json!({"users": {"@bob:x": 30, "@alice:x": 100}, "events": {key::POWER_LEVELS: 0}}),
        ));
        let with = |extra: Value| {
            let mut content =
                json!({"users": {"@bob:x": 30, "@alice:x": 100}, "events": {key::POWER_LEVELS: 0}});
            content.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            event("@bob:x", key::POWER_LEVELS, Some(""), &content)
        };
        room.refuses(&with(json!({"kick": 10})), "cannot change kick, which is 50");
        room.allows(&with(json!({"invite": 10})));
        room.allows(&with(json!({"users_default": 30})));
        room.refuses(&with(json!({"users_default": 31})), "cannot set users_default to 31");
    }

    #[test]
    fn malformed_levels_are_refused_even_to_creators() {
        let room = Room12::v12();
        let event = change(&room, "@alice:x", |content| content["ban"] = json!("50"));
        room.refuses(&event, "`content.ban` is not an integer");
        assert!(room.check(&event).unwrap_err().is_malformed());
    }

    #[test]
    fn creators_are_listed_before_version_12_and_must_not_be_from_then_on() {
        let listed = |content: &mut Value| content["users"]["@alice:x"] = json!(100);
        let (v11, v12) = (Room12::v11(), Room12::v12());
        v11.allows(&change(&v11, "@alice:x", listed));
        v12.refuses(&change(&v12, "@alice:x", listed), "@alice:x created the room");
        v12.refuses(&change(&v12, "@boss:x", listed), "@alice:x created the room");

        let create = json!({"room_version": "12", "additional_creators": ["@boss:x"]});
        let room = Room12::of(RoomVersionId::V12, &create, "invite");
        room.refuses(&change(&room, "@alice:x", |_| {}), "@boss:x created the room");
    }

    #[test]
    fn creators_of_version_12_set_any_level() {
        let room = Room12::v12();
        let max = 9_007_199_254_740_991_i64;
        let raised = change(&room, "@alice:x", |content| content["users"]["@bob:x"] = json!(max));
        room.allows(&raised);
        let mut room = room;
        room.add(raised);
        room.refuses(&membership("@bob:x", "@alice:x", "leave"), "unlimited");
        room.allows(&membership("@alice:x", "@bob:x", "leave"));
    }

    #[test]
    fn the_first_power_levels_may_say_anything_well_formed() {
        let mut room = Room12::v11();
        room.state.remove(&StateKey::new(key::POWER_LEVELS, ""));
        room.allows(&change(&room, "@alice:x", |content| content["users"]["@bob:x"] = json!(1000)));
        room.refuses(
            &change(&room, "@alice:x", |content| content["users"]["bob"] = json!(1)),
            "not a valid user id",
        );
    }
}

mod cited {
    use super::*;

    fn check(
        room: &Room12,
        event: &Event,
        cited: &[&Event],
        create: Option<(&Event, Standing)>,
    ) -> Result<(), Rejection> {
        let cited: Vec<_> = cited.iter().map(|event| (*event, Standing::Accepted)).collect();
        check_auth_events(room.rules, event, create, &cited)
    }

    fn of<'a>(room: &'a Room12, event_type: &str, state_key: &str) -> &'a Event {
        room.state(event_type, state_key).unwrap()
    }

    #[test]
    fn version_12_does_not_cite_the_create_event_and_version_11_must() {
        let message = event("@bob:x", "m.room.message", None, &json!({}));
        for (room, citing, not_citing) in
            [(Room12::v12(), "does not authorise", ""), (Room12::v11(), "", "no m.room.create")]
        {
            let in_room = |event: &Event| {
                let mut fields = (**event).clone();
                fields.room_id = Some("!m.room.create/".into());
                Event::new(fields)
            };
            let create = of(&room, key::CREATE, "").clone();
            let cited_create = in_room(&create);
            let levels = of(&room, key::POWER_LEVELS, "");
            let own = of(&room, key::MEMBER, "@bob:x");
            let text =
                |result: Result<(), Rejection>| result.err().map(|e| e.to_string()).unwrap_or_default();
            let known = Some((&create, Standing::Accepted));
            let with = text(check(&room, &message, &[&cited_create, levels, own], known));
            let without = text(check(&room, &message, &[levels, own], known));
            assert!(with.contains(citing) && with.is_empty() == citing.is_empty(), "{with}");
            assert!(without.contains(not_citing) && without.is_empty() == not_citing.is_empty(), "{without}");
        }
    }

    #[test]
    fn the_room_id_of_version_12_must_name_an_accepted_create_event() {
        let room = Room12::v12();
        let message = event("@bob:x", "m.room.message", None, &json!({}));
        let create = of(&room, key::CREATE, "");
        assert_eq!(check(&room, &message, &[], Some((create, Standing::Accepted))), Ok(()));
        for known in [
            None,
            Some((create, Standing::Rejected)),
            Some((of(&room, key::POWER_LEVELS, ""), Standing::Accepted)),
        ] {
            assert!(matches!(
                check(&room, &message, &[], known),
                Err(Rejection::RoomIdNamesNoCreateEvent { .. })
            ));
        }
        let mut elsewhere = (*message).clone();
        elsewhere.room_id = Some("!other".into());
        let result = check(&room, &Event::new(elsewhere), &[], Some((create, Standing::Accepted)));
        assert!(matches!(result, Err(Rejection::RoomIdNamesNoCreateEvent { .. })));
    }

    #[test]
    fn auth_events_must_be_wanted_single_accepted_and_of_the_room() {
        let room = Room12::v12();
        let message = event("@bob:x", "m.room.message", None, &json!({}));
        let create = Some((of(&room, key::CREATE, ""), Standing::Accepted));
        let levels = of(&room, key::POWER_LEVELS, "");
        let refusal = |cited: &[(&Event, Standing)]| {
            check_auth_events(room.rules, &message, create, cited).unwrap_err().to_string()
        };
        let ok = Standing::Accepted;
        assert!(refusal(&[(levels, ok), (levels, ok)]).contains("more than one"));
        assert!(refusal(&[(of(&room, key::MEMBER, "@carol:x"), ok)]).contains("does not authorise"));
        assert!(refusal(&[(of(&room, key::JOIN_RULES, ""), ok)]).contains("does not authorise"));
        assert!(refusal(&[(levels, Standing::Rejected)]).contains("itself rejected"));
        assert!(refusal(&[(&message, ok)]).contains("no state event"));
        let mut foreign = (**levels).clone();
        foreign.room_id = Some("!other".into());
        assert!(refusal(&[(&Event::new(foreign), ok)]).contains("another room"));
    }

    #[test]
    fn each_kind_of_event_has_its_auth_events() {
        let rules = |version: RoomVersionId| &version.rules().auth;
        let keys = |version, sender: &str, event_type: &str, state_key: Option<&str>, content: Value| {
            let content = Content::parse(rules(version), event_type, &object(&content));
            let keys = auth_keys(rules(version), event_type, sender, state_key, &content);
            keys.iter()
                .map(|key| format!("{}/{}", key.event_type.trim_start_matches("m.room."), key.state_key))
                .collect()
        };
        let check = |sender: &str, target: Option<&str>, content: Value, expected: &[&str]| {
            let event_type = if target.is_some() { key::MEMBER } else { "m.room.message" };
            let v12: Vec<String> = keys(RoomVersionId::V12, sender, event_type, target, content.clone());
            assert_eq!(v12, expected, "{content}");
            let v11: Vec<String> = keys(RoomVersionId::V11, sender, event_type, target, content);
            assert_eq!((v11[0].as_str(), &v11[1..]), ("create/", v12.as_slice()));
        };
        check("@a:x", None, json!({}), &["power_levels/", "member/@a:x"]);
        let m = |membership: &str| json!({"membership": membership});
        check("@a:x", Some("@a:x"), m("join"), &["power_levels/", "member/@a:x", "join_rules/"]);
        check("@a:x", Some("@a:x"), m("knock"), &["power_levels/", "member/@a:x", "join_rules/"]);
        check(
            "@a:x",
            Some("@b:x"),
            m("invite"),
            &["power_levels/", "member/@a:x", "member/@b:x", "join_rules/"],
        );
        check("@a:x", Some("@b:x"), m("ban"), &["power_levels/", "member/@a:x", "member/@b:x"]);
        check("@a:x", Some("@a:x"), m("leave"), &["power_levels/", "member/@a:x"]);
        check(
            "@a:x",
            Some("@a:x"),
            json!({"membership": "join", "join_authorised_via_users_server": "@v:x"}),
            &["power_levels/", "member/@a:x", "join_rules/", "member/@v:x"],
        );
        check(
            "@a:x",
            Some("@b:x"),
            json!({"membership": "invite", "third_party_invite": {"signed": {"token": "t"}}}),
            &["power_levels/", "member/@a:x", "member/@b:x", "join_rules/", "third_party_invite/t"],
        );
        let create: Vec<String> = keys(RoomVersionId::V11, "@a:x", key::CREATE, Some(""), json!({}));
        assert!(create.is_empty());
    }

    #[test]
    fn a_create_event_stands_by_itself() {
        let v12 = Room12::v12().rules;
        let v11 = Room12::v11().rules;
        let create = |content: Value, room_id: Option<&str>, prev: &[&str]| {
            let mut fields = (*event("@alice:x:1", key::CREATE, Some(""), &content)).clone();
            fields.room_id = room_id.map(Into::into);
            fields.prev_events = prev.iter().map(|id| (*id).into()).collect();
            Event::new(fields)
        };
        let check = |rules, event: Event| check_auth_events(rules, &event, None, &[]);
        let fine = json!({"room_version": "12"});
        assert_eq!(check(v12, create(fine.clone(), None, &[])), Ok(()));
        assert_eq!(check(v12, create(fine.clone(), Some("!r:x"), &[])), Err(Rejection::CreateHasRoomId));
        assert_eq!(check(v12, create(fine.clone(), None, &["$a"])), Err(Rejection::CreateHasPrevEvents));
        let bad_creators = json!({"room_version": "12", "additional_creators": ["bob"]});
        assert!(matches!(check(v12, create(bad_creators.clone(), None, &[])), Err(Rejection::Content(_))));
        for (version, known) in [(json!("13"), false), (json!("11"), true), (json!(12), false)] {
            let result = check(v12, create(json!({"room_version": version}), None, &[]));
            assert!(result.is_err());
            assert_eq!(matches!(result, Err(Rejection::OtherRoomVersion { .. })), known, "{result:?}");
        }

        let mut v11_content = bad_creators;
        v11_content["room_version"] = json!("11");
        let v11_create = |room_id| create(v11_content.clone(), room_id, &[]);
        assert_eq!(check(v11, v11_create(Some("!r:x:1"))), Ok(()));
        assert_eq!(check(v11, v11_create(None)), Err(Rejection::CreateWithoutRoomId));
        assert_eq!(check(v11, v11_create(Some("!r"))), Err(Rejection::CreateWithoutRoomId));
        let elsewhere = check(v11, v11_create(Some("!r:y")));
        assert!(matches!(elsewhere, Err(Rejection::RoomIdOfAnotherServer { .. })));
    }
}
