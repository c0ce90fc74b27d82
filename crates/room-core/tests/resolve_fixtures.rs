//! State resolution on hand-made rooms, each named after the problem it shows.
//!
//! A fixture is a room: events in batches (`id`, `prev`, `by`, `type`, `key`, `content`, `ts`; auth events and states are
//! worked out), and what the state is in the end for each room version. Where servers were told a wrong state, `states`
//! lists what they believe, as differences to the state after an event.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use support::{CREATE_ID, Draft, State, World, plain};

#[derive(Deserialize)]
struct Fixture {
    #[serde(rename = "about")]
    _about: String,
    batches: Vec<Vec<FixtureEvent>>,
    #[serde(default)]
    states: Vec<Believed>,
    expect: BTreeMap<String, BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize, Clone)]
struct FixtureEvent {
    id: String,
    prev: Vec<String>,
    by: String,
    #[serde(rename = "type")]
    event_type: String,
    key: Option<String>,
    content: Value,
    ts: i64,
}

/// The state after an event, with some entries replaced by other events.
#[derive(Deserialize)]
struct Believed {
    after: String,
    but: Vec<String>,
}

fn fixture(json: &str) -> Fixture {
    serde_json::from_str(json).unwrap()
}

fn play(world: &mut World, event: &FixtureEvent, room_version: &str) {
    let mut content = event.content.clone();
    let id = if event.event_type == "m.room.create" {
        content["room_version"] = room_version.into();
        CREATE_ID
    } else {
        &event.id
    };
    if room_version == "12"
        && let Some(users) = content.get_mut("users").and_then(Value::as_object_mut)
    {
        users.remove("@alice:x"); // She created the room.
    }
    let draft = Draft {
        id,
        prev: event
            .prev
            .iter()
            .map(|id| if id == "create" { CREATE_ID.to_owned() } else { id.clone() })
            .collect(),
        sender: &event.by,
        event_type: &event.event_type,
        state_key: event.key.as_deref(),
        content,
        redacts: None,
        ts: event.ts,
    };
    world.send(draft).unwrap_or_else(|refusal| panic!("{id} cannot be sent: {refusal}"));
}

/// The events that no other of these events follows.
fn leaves(events: &[FixtureEvent]) -> Vec<String> {
    let followed = |id: &str| events.iter().any(|event| event.prev.iter().any(|prev| prev == id));
    events.iter().map(|event| event.id.clone()).filter(|id| !followed(id)).collect()
}

#[track_caller]
fn expect(state: &State, expected: &BTreeMap<String, Option<String>>, how: &str) {
    let state = plain(state);
    for (key, id) in expected {
        assert_eq!(state.get(key), id.as_ref(), "{key}, resolved {how}");
    }
}

/// Resolves the branches one after the other, batch by batch, and all at once: the result must be the same.
fn check(json: &str) {
    let fixture = fixture(json);
    for (room_version, expected) in &fixture.expect {
        let mut world = World::new(room_version);
        for event in fixture.batches.iter().flatten() {
            play(&mut world, event, room_version);
        }
        if !fixture.states.is_empty() {
            let states: Vec<State> =
                fixture.states.iter().map(|believed| believe(&world, believed)).collect();
            expect(&world.resolve(&states), expected, "from what servers believe");
            continue;
        }
        let after = |id: &String| world.sent[if id == "create" { CREATE_ID } else { id }].state_after.clone();
        let states = |events: &[FixtureEvent]| leaves(events).iter().map(after).collect::<Vec<State>>();

        let all: Vec<FixtureEvent> = fixture.batches.iter().flatten().cloned().collect();
        let at_once = world.resolve(&states(&all));
        expect(&at_once, expected, "all at once");

        let mut by_batch: Option<State> = None;
        for batch in &fixture.batches {
            by_batch = Some(world.resolve(&by_batch.into_iter().chain(states(batch)).collect::<Vec<_>>()));
        }
        assert_eq!(by_batch, Some(at_once.clone()), "batch by batch");

        let mut one_by_one: Option<State> = None;
        for state in states(&all) {
            one_by_one = Some(world.resolve(&one_by_one.into_iter().chain([state]).collect::<Vec<_>>()));
        }
        assert_eq!(one_by_one, Some(at_once), "one after the other");
    }
}

fn believe(world: &World, believed: &Believed) -> State {
    let mut state = world.sent[&believed.after].state_after.clone();
    for id in &believed.but {
        state.insert(world.sent[id].event.key().unwrap().to_key(), id.clone());
    }
    state
}

macro_rules! fixtures {
    ($($(#[$doc:meta])* $name:ident: $file:literal;)*) => {
        $($(#[$doc])* #[test] fn $name() { check(include_str!(concat!("fixtures/", $file, ".json"))); })*
    };
}

fixtures! {
    a_room_without_forks_has_the_state_of_its_last_event: "no-forks";
    a_ban_undoes_the_power_levels_that_the_banned_set_meanwhile: "ban-vs-power-levels";
    a_demotion_undoes_the_topic_that_the_demoted_set_meanwhile: "topic-vs-power-levels";
    a_ban_undoes_the_topic_that_the_banned_set_meanwhile: "topic-vs-ban";
    a_stricter_join_rule_undoes_the_join_meanwhile: "join-rules-vs-join";
    two_joins_at_the_same_time_both_stand: "concurrent-joins";
    of_two_topics_on_the_same_power_levels_the_later_stands: "origin-server-ts-tiebreak";
    of_two_topics_at_the_same_time_the_greater_id_stands: "event-id-tiebreak";
    power_levels_by_the_admin_win_over_those_by_the_moderator: "power-levels-admin-vs-mod";
    an_older_mainline_gives_way_to_a_newer_whatever_the_time: "mainline-vs-time";
    msc4297_problem_a_unconflicted_state_refuses_what_is_conflicted: "msc4297-problem-a";
    msc4297_problem_b_events_between_are_not_replayed: "msc4297-problem-b";
    msc4297_problem_b_with_more_than_one_event_between: "msc4297-problem-b-longer";
}
