//! Random rooms: forks, kicks, bans, promotions, closed and opened doors, and states that servers have got wrong.

use myelin_pdu::PowerLevelFormat;
use myelin_room_core::{auth::Standing, key::StateKey};
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Value, json};

use super::{CREATE_ID, Draft, State, World};

pub const USERS: [&str; 6] = ["@alice:x", "@bob:x", "@carol:y", "@dan:y", "@eve:z", "@fay:z"];

/// How many random rooms to try: this many, or `PROPTEST_CASES` where it is set.
pub fn cases(cases: u32) -> Config {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: wanted.unwrap_or(cases), failure_persistence: None, ..Config::default() }
}

/// What somebody tries to do; numbers are taken modulo what there is to choose from.
#[derive(Clone, Debug)]
pub struct Step {
    actor: usize,
    target: usize,
    action: usize,
    level: usize,
    /// How far back in the room's events the parents are.
    prev: Vec<usize>,
    ts: i64,
    /// Whether to add an event that the rules do not allow as a rejected one, where others may still cite it.
    keep_rejected: bool,
}

/// A room and states of it to resolve.
#[derive(Clone, Debug)]
pub struct Recipe {
    version: &'static str,
    steps: Vec<Step>,
    /// For each state: after which event, and which entries are replaced by which older event.
    states: Vec<(usize, Vec<(usize, usize)>)>,
}

fn step() -> impl Strategy<Value = Step> {
    let prev = prop_oneof![
        6 => Just(vec![0]),
        3 => (0..6_usize).prop_map(|back| vec![back]),
        2 => (0..4_usize, 0..8_usize).prop_map(|(a, b)| vec![a, b]),
    ];
    // Few different times, so that ties are broken by ids as well.
    (0..6_usize, 0..6_usize, 0..20_usize, 0..5_usize, prev, 0..12_i64, prop::bool::weighted(0.1)).prop_map(
        |(actor, target, action, level, prev, ts, keep_rejected)| Step {
            actor,
            target,
            action,
            level,
            prev,
            ts,
            keep_rejected,
        },
    )
}

pub fn recipe(version: &'static str) -> impl Strategy<Value = Recipe> {
    let stale = prop::collection::vec((0..12_usize, 0..100_usize), 0..3);
    let states = prop::collection::vec((0..20_usize, stale), 2..5);
    (prop::collection::vec(step(), 5..40), states).prop_map(move |(steps, states)| Recipe {
        version,
        steps,
        states,
    })
}

impl Recipe {
    /// Plays the steps; returns the room and the states to resolve.
    pub fn cook(&self) -> (World, Vec<State>) {
        let mut world = World::new(self.version);
        let mut order = bootstrap(&mut world, self.version);
        for (n, step) in self.steps.iter().enumerate() {
            if let Some(id) = play(&mut world, &order, n, step) {
                order.push(id);
            }
        }
        let states = self.states.iter().map(|(back, stale)| believed(&world, &order, *back, stale)).collect();
        (world, states)
    }
}

/// How many events every room begins with.
const BOOTSTRAP: usize = 4;

fn bootstrap(world: &mut World, version: &str) -> Vec<String> {
    let users = if version == "12" { json!({"@bob:x": 50}) } else { json!({"@alice:x": 100, "@bob:x": 50}) };
    let mut create = json!({"room_version": version});
    if !matches!(version, "11" | "12") {
        create["creator"] = json!(USERS[0]);
    }
    let events = [
        (CREATE_ID, "m.room.create", "", create),
        ("$alice", "m.room.member", USERS[0], json!({"membership": "join"})),
        ("$levels", "m.room.power_levels", "", json!({"users": users})),
        ("$door", "m.room.join_rules", "", json!({"join_rule": "public"})),
    ];
    let mut order: Vec<String> = Vec::new();
    for (ts, (id, event_type, state_key, content)) in (0..).zip(events) {
        let prev = order.last().cloned().into_iter().collect();
        let (sender, state_key) = (USERS[0], Some(state_key));
        let redacts = None;
        world.send(Draft { id, prev, sender, event_type, state_key, content, redacts, ts }).unwrap();
        order.push(id.to_owned());
    }
    order
}

fn play(world: &mut World, order: &[String], n: usize, step: &Step) -> Option<String> {
    // Not before the join rules: where there are none, ruma lets nobody stay in a room.
    let recent = |back: usize| order[order.len() - 1 - back.min(order.len() - BOOTSTRAP)].clone();
    let mut prev: Vec<String> = step.prev.iter().map(|back| recent(*back)).collect();
    prev.dedup();
    let (actor, target) = (USERS[step.actor], USERS[step.target]);
    let server = |user: &str| user.rsplit(':').next().unwrap_or_default().to_owned();
    // Ids that sort in another order than they are made.
    let id = format!("${:02x}-{n}:{}", (n * 151 + step.level * 31) % 256, server(actor));
    let states: Vec<State> = prev.iter().map(|id| world.sent[id].state_after.clone()).collect();
    let before = world.resolve(&states);
    let (event_type, state_key, content) = action(world, &before, actor, target, step);
    let draft = Draft {
        id: &id,
        prev,
        sender: actor,
        event_type,
        state_key: state_key.as_deref(),
        content,
        redacts: (event_type == "m.room.redaction").then(|| format!("$theirs:{}", server(target))),
        ts: 10 + step.ts,
    };
    let event = world.event(&draft, &before);
    let standing = match world.check(&event, &before) {
        Ok(()) => Standing::Accepted,
        // Rejected join rules are as good as none, which ruma judges otherwise; see above.
        Err(_) if step.keep_rejected && event_type != "m.room.join_rules" => Standing::Rejected,
        Err(_) => return None,
    };
    world.add(event, draft.content, before, standing);
    Some(id)
}

fn action(
    world: &World,
    before: &State,
    actor: &str,
    target: &str,
    step: &Step,
) -> (&'static str, Option<String>, Value) {
    let member = |user: &str, membership: &str| {
        ("m.room.member", Some(user.to_owned()), json!({"membership": membership}))
    };
    let level = [0, 25, 50, 75, 100][step.level];
    // As older versions let it be written: `" +025 "` is 25.
    let spelt = match world.rules.auth.power_level_format {
        PowerLevelFormat::Integers => json!(level),
        PowerLevelFormat::Strings => json!(format!(" +0{level} ")),
        PowerLevelFormat::FloatsAndStrings => json!(level.to_string()),
    };
    match step.action {
        0..=4 => member(actor, "join"),
        5 | 6 => member(target, "invite"),
        7 => member(actor, "leave"),
        8 => member(target, "leave"),
        9 | 10 => member(target, "ban"),
        11 => member(actor, "knock"),
        12..=14 => {
            let mut content = current_levels(world, before);
            content["users"][target] = if step.ts % 2 == 0 { json!(level) } else { spelt };
            ("m.room.power_levels", Some(String::new()), content)
        }
        15 => {
            let mut content = current_levels(world, before);
            let field = ["ban", "kick", "invite", "users_default", "state_default"][step.target % 5];
            content[field] = json!(level);
            content["events"]["m.room.topic"] = json!(level);
            content["notifications"]["room"] = spelt;
            ("m.room.power_levels", Some(String::new()), content)
        }
        16 | 17 => {
            let rule = ["public", "invite", "knock", "restricted", "knock_restricted"][step.level];
            ("m.room.join_rules", Some(String::new()), json!({"join_rule": rule}))
        }
        18 => {
            let content = json!({"membership": "join", "join_authorised_via_users_server": target});
            ("m.room.member", Some(actor.to_owned()), content)
        }
        _ if step.level == 4 => {
            let server = ["x", "y", "z"][step.target % 3];
            ("m.room.aliases", Some(server.to_owned()), json!({"aliases": []}))
        }
        _ if step.level == 3 => ("m.room.redaction", None, json!({})),
        _ => ("m.room.topic", Some(String::new()), json!({"topic": step.level})),
    }
}

fn current_levels(world: &World, before: &State) -> Value {
    let id = before.get(&StateKey::new("m.room.power_levels", ""));
    id.map_or_else(|| json!({"users": {}}), |id| world.sent[id].content.clone())
}

/// The state after a recent event, with some entries replaced by other events for the same key, or dropped.
fn believed(world: &World, order: &[String], back: usize, stale: &[(usize, usize)]) -> State {
    let after = &order[order.len() - 1 - back.min(order.len() - BOOTSTRAP)];
    let mut state = world.sent[after].state_after.clone();
    for (entry, other) in stale {
        let Some(key) = state.keys().nth(entry % state.len()).cloned() else { continue };
        let same_key = |id: &&String| world.sent[*id].event.key() == Some(key.as_ref());
        let candidates: Vec<&String> = order.iter().filter(same_key).collect();
        match candidates.get(other % (candidates.len() + 1)) {
            Some(id) => drop(state.insert(key, (*id).clone())),
            None if key.event_type.as_str() != "m.room.create" => drop(state.remove(&key)),
            None => {}
        }
    }
    state
}
