//! The machine of a live room against a model that forgets nothing: whatever is planned, committed, evicted or lost, it
//! must make the same events and the same refusals as a machine that is loaded afresh with all that was planned.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use myelin_pdu::SigningKey;
use myelin_room_core::{
    auth::SupportedRules,
    key::StateKey,
    machine::{Draft, Head, Planned, Refusal, RoomMachine, Signer, StateEvent},
    order_key::OrderKey,
};
use proptest::prelude::*;
use ruma::{UserId, server_name};
use serde_json::{Value, json};
use support::{object, random, version};

type Known = BTreeMap<StateKey, StateEvent>;

/// What is in the store, or would be if all that is planned were committed.
#[derive(Clone)]
struct Store {
    head: Head,
    state: Known,
}

impl Store {
    fn apply(&mut self, planned: &Planned) {
        self.head.extremities.retain(|one| !planned.pdu.prev_events().contains(&one.event_id));
        self.head.extremities.push((&planned.pdu).into());
        self.head.newest = planned.order_key;
        if let Some(change) = &planned.change {
            self.state.insert(change.key.clone(), planned.pdu.clone().into());
        }
    }

    fn supply(&self, machine: &mut RoomMachine, draft: &Draft) {
        for key in machine.needs(draft) {
            let event = self.state.get(&key).cloned();
            machine.supply(key, event);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Propose {
        actor: usize,
        target: usize,
        action: usize,
        size: usize,
    },
    /// Everything up to the n-th event that waits is committed.
    Commit(usize),
    /// The commit fails, or the server stops: all that waits is lost.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let propose = (0..6_usize, 0..6_usize, 0..9_usize, 0..3_usize)
        .prop_map(|(actor, target, action, size)| Step::Propose { actor, target, action, size });
    prop_oneof![20 => propose, 4 => (0..8_usize).prop_map(Step::Commit), 1 => Just(Step::Lose)]
}

fn draft(actor: usize, target: usize, action: usize, size: usize) -> Draft {
    // All are users of this server, which signs for no others.
    let name = |n: usize| UserId::parse(format!("@user{n}:x")).unwrap();
    let (actor, target) = (name(actor), name(target));
    let padding = "x".repeat([0, 2_000, 50_000][size]);
    let member = |user: &UserId, membership: &str| {
        let content = json!({"membership": membership, "padding": padding});
        Draft::state(actor.clone(), "m.room.member", user.as_str(), object(&content))
    };
    let state = |event_type: &str, state_key: &str, mut content: Value| {
        content["padding"] = json!(padding);
        Draft::state(actor.clone(), event_type, state_key, object(&content))
    };
    let rule = ["public", "invite", "knock"][size];
    match action {
        0 | 1 => member(&actor, "join"),
        2 => member(&actor, "leave"),
        3 => member(&target, "ban"),
        4 => member(&target, "invite"),
        5 => state("m.room.power_levels", "", json!({"users": {target.as_str(): 50}})),
        6 => state("m.room.join_rules", "", json!({"join_rule": rule})),
        7 => state("m.room.topic", target.as_str(), json!({})),
        _ => Draft::message(actor.clone(), "m.room.message", object(&json!({"body": padding}))),
    }
}

fn check(steps: &[Step]) {
    let rules = SupportedRules::new(version("12")).unwrap();
    let key = SigningKey::from_seed("ed25519:0".parse().unwrap(), &[1; 32]).unwrap();
    let signer = Signer { server_name: server_name!("x"), key: &key };
    let create = Draft::state(UserId::parse("@user0:x").unwrap(), "m.room.create", "", object(&json!({})));
    let (mut machine, first) = RoomMachine::create(rules, None, create, 1, signer).unwrap();
    machine.committed(OrderKey::FIRST);

    let head =
        Head { room_id: machine.room_id().to_owned(), extremities: Vec::new(), newest: OrderKey::FIRST };
    let mut committed = Store { head, state: Known::new() };
    committed.apply(&first);
    let mut planned_on = committed.clone();
    let mut waiting: Vec<Planned> = Vec::new();

    for (now, step) in (2..).zip(steps) {
        match step {
            &Step::Propose { actor, target, action, size } => {
                let draft = draft(actor, target, action, size);
                let mut fresh = RoomMachine::load(rules, planned_on.head.clone());
                planned_on.supply(&mut fresh, &draft);
                let expected = fresh.propose(draft.clone(), now, signer);

                committed.supply(&mut machine, &draft);
                let result = machine.propose(draft, now, signer);
                let summary = |result: &Result<Planned, Refusal>| match result {
                    Ok(planned) => {
                        let replaced = planned.change.as_ref().and_then(|change| change.replaced.as_ref());
                        let replaced = replaced.map(|event| event.pdu().event_id().to_string());
                        format!("{} {:?} replacing {replaced:?}", planned.pdu.event_id(), planned.order_key)
                    }
                    Err(refusal) => refusal.to_string(),
                };
                assert_eq!(summary(&result), summary(&expected));
                if let Ok(planned) = result {
                    planned_on.apply(&planned);
                    waiting.push(planned);
                }
            }
            Step::Commit(count) => {
                for planned in waiting.drain(..(*count).min(waiting.len())) {
                    committed.apply(&planned);
                }
                machine.committed(committed.head.newest);
            }
            Step::Lose => {
                waiting.clear();
                planned_on = committed.clone();
                machine = RoomMachine::load(rules, committed.head.clone());
            }
        }
    }
}

proptest! {
    #![proptest_config(random::cases(96))]

    #[test]
    fn a_machine_that_remembers_little_plans_like_one_that_knows_all(
        steps in prop::collection::vec(step(), 10..80),
    ) {
        check(&steps);
    }
}
