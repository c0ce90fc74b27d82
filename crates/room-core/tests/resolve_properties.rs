//! What must hold of state resolution on any room.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use myelin_room_core::{auth::Standing, key::StateKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{
    CREATE_ID, Draft, State, World,
    random::{self, recipe},
};

proptest! {
    #![proptest_config(random::cases(200))]

    #[test]
    fn neither_the_order_of_states_nor_that_of_events_matters(
        recipe in prop_oneof![recipe("11"), recipe("12")],
        turn in 0..4_usize,
        shuffle in any::<u64>(),
    ) {
        let (world, states) = recipe.cook();
        let expected = world.resolve_interning(&states, &[]);

        let mut turned = states.clone();
        turned.rotate_left(turn % states.len());
        turned.reverse();
        let mut ids: Vec<String> = world.sent.keys().cloned().collect();
        ids.sort_by_key(|id| id.bytes().fold(shuffle, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
        }));
        prop_assert_eq!(world.resolve_interning(&turned, &ids), expected);
    }

    #[test]
    fn a_state_given_twice_counts_once(recipe in prop_oneof![recipe("11"), recipe("12")]) {
        let (world, mut states) = recipe.cook();
        let expected = world.resolve_interning(&states, &[]);
        states.push(states[0].clone());
        prop_assert_eq!(world.resolve_interning(&states, &[]), expected);
    }

    #[test]
    fn states_that_agree_stay_as_they_are(recipe in prop_oneof![recipe("11"), recipe("12")]) {
        let (world, states) = recipe.cook();
        let same = vec![states[0].clone(); 3];
        prop_assert_eq!(&world.resolve_interning(&same, &[]), &states[0]);
    }

    #[test]
    fn what_all_states_have_in_common_is_kept(recipe in prop_oneof![recipe("11"), recipe("12")]) {
        let (world, states) = recipe.cook();
        let resolved = world.resolve_interning(&states, &[]);
        for (key, id) in &states[0] {
            if states.iter().all(|state| state.get(key) == Some(id)) {
                prop_assert_eq!(resolved.get(key), Some(id));
            }
        }
    }
}

/// Adds a state event to the room, on top of this state, and to the state.
fn send(world: &mut World, state: &mut State, sender: &str, event_type: &str, key: &str, content: Value) {
    let id =
        if event_type == "m.room.create" { CREATE_ID.to_owned() } else { format!("${event_type}/{key}") };
    let prev = Vec::new();
    let draft =
        Draft { id: &id, prev, sender, event_type, state_key: Some(key), content, redacts: None, ts: 1 };
    let event = world.event(&draft, state);
    world.add(event, draft.content, State::new(), Standing::Accepted);
    state.insert(StateKey::new(event_type, key), id);
}

#[test]
fn a_fork_in_a_large_room_is_resolved_without_reading_its_members() {
    let (mut world, mut trunk) = (World::new("12"), State::new());
    let room = [
        ("m.room.create", "", json!({"room_version": "12"})),
        ("m.room.member", "@alice:x", json!({"membership": "join"})),
        ("m.room.power_levels", "", json!({"users": {"@user1:x": 50}})),
        ("m.room.join_rules", "", json!({"join_rule": "public"})),
    ];
    for (event_type, key, content) in room {
        send(&mut world, &mut trunk, "@alice:x", event_type, key, content);
    }
    for n in 0..3000 {
        let user = format!("@user{n}:x");
        send(&mut world, &mut trunk, &user, "m.room.member", &user, json!({"membership": "join"}));
    }
    let (mut left, mut right) = (trunk.clone(), trunk);
    send(&mut world, &mut left, "@user1:x", "m.room.topic", "", json!({"topic": "a"}));
    send(&mut world, &mut right, "@alice:x", "m.room.pinned_events", "", json!({}));

    let (resolved, cost) = world.resolve_counting(&[left, right], &[]);
    assert_eq!(resolved.len(), 3006);
    assert!(cost.bodies < 12, "{} whole events were read", cost.bodies);
    assert!(cost.rounds < 10, "asked {} times", cost.rounds);
}
