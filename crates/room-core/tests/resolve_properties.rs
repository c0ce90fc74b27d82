//! What must hold of state resolution on any room.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use proptest::prelude::*;
use support::random::{self, recipe};

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
