//! Every face of sync against a slow model: whatever happens, is asked, lost and repeated, each client ends up with
//! what there is, has seen each event once, and knows of each gap.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Membership, State};
use myelin_store::{Reader, Scan};
use myelin_sync::Flush;
use myelin_sync::sliding::SlidingError;
use myelin_sync::v3::V3Request;
use myelin_timeline::Viewer;
use myelin_timeline::testing::Draft;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Client, Server, alice, bob, list};

const ROOMS: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Say(usize),
    Topic(usize),
    /// Alice's membership changes by her own hand or by Bob's.
    Move {
        room: usize,
        to: Membership,
    },
    /// Bob changes his own.
    Bob(usize, Membership),
    /// Bob lets Alice back in.
    Unban(usize),
    Slide {
        last: u64,
        limit: u64,
        topics: bool,
        lost: bool,
    },
    V3 {
        client: usize,
        limit: u64,
        lost: bool,
    },
    Flush,
    Restart,
}

fn any_op() -> impl Strategy<Value = Op> {
    let room = 0..ROOMS;
    let move_to =
        prop::sample::select(vec![Membership::Join, Membership::Invite, Membership::Leave, Membership::Ban]);
    let bobs = prop::sample::select(vec![Membership::Join, Membership::Leave]);
    prop_oneof![
        6 => room.clone().prop_map(Op::Say),
        2 => room.clone().prop_map(Op::Topic),
        2 => (room.clone(), move_to).prop_map(|(room, to)| Op::Move { room, to }),
        1 => room.clone().prop_map(Op::Unban),
        1 => (room, bobs).prop_map(|(room, to)| Op::Bob(room, to)),
        4 => (0..4u64, 1..4u64, any::<bool>(), any::<bool>())
            .prop_map(|(last, limit, topics, lost)| Op::Slide { last, limit, topics, lost }),
        4 => (0..2usize, 1..4u64, any::<bool>()).prop_map(|(client, limit, lost)| Op::V3 { client, limit, lost }),
        1 => Just(Op::Flush),
        1 => Just(Op::Restart),
    ]
}

/// A client's picture of a room.
#[derive(Clone, Debug, Default)]
struct Picture {
    timeline: Vec<String>,
    /// A gap is known before these events.
    gaps: BTreeSet<String>,
    open: bool,
    state: BTreeMap<(String, String), String>,
    membership: String,
}

impl Picture {
    fn take_timeline(
        &mut self,
        events: &Value,
        limited: bool,
        may_repeat: bool,
    ) -> Result<(), TestCaseError> {
        let ids: Vec<String> = ids(events);
        if limited || self.open {
            self.gaps.extend(ids.first().cloned());
        }
        self.open = ids.is_empty() && (limited || self.open);
        if may_repeat {
            self.timeline.retain(|known| !ids.contains(known));
        }
        for id in ids {
            prop_assert!(!self.timeline.contains(&id), "{} was shown twice", id);
            self.timeline.push(id);
        }
        Ok(())
    }

    fn take_state(&mut self, events: &Value) {
        for event in events.as_array().into_iter().flatten() {
            let Some(state_key) = event["state_key"].as_str() else { continue };
            let key = (event["type"].as_str().unwrap().to_owned(), state_key.to_owned());
            if key == ("m.room.member".to_owned(), alice().to_string()) {
                self.membership = event["content"]["membership"].as_str().unwrap().to_owned();
            }
            self.state.insert(key, event["event_id"].as_str().unwrap().to_owned());
        }
    }
}

fn ids(events: &Value) -> Vec<String> {
    let events = events.as_array().into_iter().flatten();
    events.map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

/// A client and what it has.
struct Model {
    client: Client,
    rooms: HashMap<String, Picture>,
    /// The rooms of the last answer.
    last: HashSet<String>,
    /// The server was killed before the client came back with the `pos` of that answer: they may be repeated.
    may_repeat: HashSet<String>,
    /// It came back with a `pos` once.
    came_back: bool,
    /// The server was killed before that: it does not know the connection.
    never_written: bool,
    state_after: bool,
}

impl Model {
    fn take_sliding(&mut self, answer: &Value) -> Result<(), TestCaseError> {
        self.last = answer["rooms"].as_object().unwrap().keys().cloned().collect();
        for (room_id, room) in answer["rooms"].as_object().unwrap() {
            let picture = self.rooms.entry(room_id.clone()).or_default();
            if room["initial"] == true {
                *picture = Picture::default();
            }
            if room.get("invite_state").is_some() {
                picture.membership = "invite".to_owned();
                continue;
            }
            let widened = room["unstable_expanded_timeline"] == true;
            let limited = room["limited"] == true;
            picture.take_timeline(
                &room["timeline"],
                limited,
                widened || self.may_repeat.contains(room_id),
            )?;
            picture.take_state(&room["required_state"]);
            self.may_repeat.remove(room_id);
        }
        Ok(())
    }

    fn take_v3(&mut self, answer: &Value) -> Result<(), TestCaseError> {
        for section in ["join", "leave"] {
            for (room_id, room) in answer["rooms"][section].as_object().into_iter().flatten() {
                let picture = self.rooms.entry(room_id.clone()).or_default();
                let timeline = &room["timeline"];
                if section == "join" && picture.membership != "join" {
                    // A room that was joined comes whole.
                    *picture = Picture::default();
                }
                let limited = timeline["limited"] == true;
                // What is limited begins a new timeline.
                picture.take_timeline(&timeline["events"], limited, limited)?;
                if self.state_after {
                    picture.take_state(&room["state_after"]["events"]);
                } else {
                    picture.take_state(&room["state"]["events"]);
                    picture.take_state(&timeline["events"]);
                }
                picture.membership = section.to_owned();
            }
        }
        for room_id in answer["rooms"]["invite"].as_object().into_iter().flatten().map(|(id, _)| id) {
            self.rooms.entry(room_id.clone()).or_default().membership = "invite".to_owned();
        }
        Ok(())
    }
}

fn slide_body(last: u64, limit: u64, topics: bool) -> Value {
    let state = if topics {
        json!([["m.room.topic", ""], ["m.room.member", "$ME"]])
    } else {
        json!([["m.room.member", "$ME"]])
    };
    list(last, limit, state)
}

fn v3_request(limit: u64, state_after: bool) -> V3Request {
    let filter = json!({ "room": { "timeline": { "limit": limit } } });
    V3Request { filter: Some(filter.to_string()), use_state_after: state_after, ..V3Request::default() }
}

async fn run(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut server = Server::new();
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = server.world.room(bob(), "shared").await;
        server.world.member(room, alice(), alice(), Membership::Join).await;
        rooms.push(room);
    }
    let model = |state_after, client| Model {
        client,
        rooms: HashMap::new(),
        last: HashSet::new(),
        may_repeat: HashSet::new(),
        came_back: false,
        never_written: false,
        state_after,
    };
    let mut sliding = model(false, server.client(alice()));
    let mut classics = [model(false, server.client(alice())), model(true, server.client(alice()))];
    let last = [
        Op::Slide { last: 9, limit: 3, topics: true, lost: false },
        Op::V3 { client: 0, limit: 3, lost: false },
        Op::V3 { client: 1, limit: 3, lost: false },
    ];
    for op in ops.into_iter().chain(last) {
        match op {
            Op::Say(room) => drop(server.world.say(rooms[room], bob(), "x").await),
            Op::Topic(room) => {
                let topic = json!({ "topic": "t" });
                server.world.send(Draft::state(rooms[room], bob(), "m.room.topic", "", topic)).await;
            }
            Op::Move { room, to } => {
                let now = membership(&server, rooms[room]).await;
                let possible = match to {
                    Membership::Leave => matches!(now, Membership::Join | Membership::Invite),
                    Membership::Invite => now == Membership::Leave,
                    _ => now != Membership::Ban,
                };
                if !possible {
                    continue;
                }
                let by = if matches!(to, Membership::Join | Membership::Leave) { alice() } else { bob() };
                server.world.member(rooms[room], by, alice(), to).await;
            }
            Op::Unban(room) => {
                if membership(&server, rooms[room]).await == Membership::Ban {
                    server.world.member(rooms[room], bob(), alice(), Membership::Leave).await;
                }
            }
            Op::Bob(room, to) => drop(server.world.member(rooms[room], bob(), bob(), to).await),
            Op::Slide { last, limit, topics, lost } => {
                let mut client = sliding.client.clone();
                let mut answer = client.try_slide(&server, slide_body(last, limit, topics), 0).await;
                if sliding.never_written {
                    prop_assert!(matches!(answer, Err(SlidingError::UnknownPos(_))));
                    sliding.never_written = false;
                    sliding.rooms.clear();
                    sliding.client.pos = None;
                    client.pos = None;
                    answer = client.try_slide(&server, slide_body(last, limit, topics), 0).await;
                } else {
                    sliding.came_back |= sliding.client.pos.is_some();
                }
                prop_assert!(answer.is_ok(), "an honest client is never turned away");
                if !lost {
                    sliding.client = client;
                    sliding.take_sliding(&answer.unwrap())?;
                }
            }
            Op::V3 { client: number, limit, lost } => {
                let classic = &mut classics[number];
                let mut client = classic.client.clone();
                let answer = client.try_v3(&server, v3_request(limit, classic.state_after)).await.unwrap();
                if !lost {
                    classic.client = client;
                    classic.take_v3(&answer)?;
                }
            }
            Op::Flush => {
                server.sync.flush(Flush::OnTheWay).await.unwrap();
                sliding.came_back |= sliding.client.pos.is_some() && !sliding.never_written;
            }
            Op::Restart => {
                server = server.restart().await;
                sliding.may_repeat.extend(std::mem::take(&mut sliding.last));
                // A connection is written once its client has come back to it, or by a flush.
                sliding.never_written = sliding.client.pos.is_some() && !sliding.came_back;
            }
        }
    }
    for room in rooms {
        check(&server, room, &sliding, &["m.room.topic"]).await?;
        for classic in &classics {
            check(&server, room, classic, &["m.room.topic", "m.room.member", "m.room.create"]).await?;
        }
    }
    Ok(())
}

async fn membership(server: &Server, room: RoomNid) -> Membership {
    let key = (room, alice().to_owned());
    server.world.snapshot().await.get::<Member>(&key).await.unwrap().unwrap().membership
}

async fn check(server: &Server, room: RoomNid, model: &Model, kinds: &[&str]) -> Result<(), TestCaseError> {
    let snapshot = server.world.snapshot().await;
    let key = (room, alice().to_owned());
    let member = snapshot.get::<Member>(&key).await.unwrap().unwrap();
    let Some(picture) = model.rooms.get(server.world.room_id(room).as_str()) else {
        // Of a room left before it was ever shown nothing is told.
        prop_assert!(!matches!(member.membership, Membership::Join | Membership::Invite));
        return Ok(());
    };
    let expected = match member.membership {
        Membership::Ban => "leave",
        other => other.as_str(),
    };
    let known = if picture.membership == "ban" { "leave" } else { picture.membership.as_str() };
    prop_assert_eq!(known, expected);
    if member.membership == Membership::Invite {
        return Ok(());
    }
    let timeline = server.world.timeline(room).await;
    let viewer = Viewer { user_id: alice().to_owned(), session: None, now: 0 };
    let visible = myelin_timeline::visible(&*snapshot, &viewer, &timeline).await.unwrap();
    let in_room = |order: Option<i64>| member.membership == Membership::Join || order <= Some(member.order);
    let seen: Vec<String> = timeline
        .iter()
        .zip(visible)
        .filter(|(event, visible)| *visible && in_room(event.order))
        .map(|(event, _)| event.event_id.to_string())
        .collect();
    // Of a room that was left while no timeline was wanted of it, only that is told, and that there is more.
    let told_bare = member.membership != Membership::Join && picture.open;
    // An invite that came and went unseen, after the room was left, is not told of.
    let told_before = member.membership != Membership::Join
        && picture.timeline.last().is_some_and(|last| seen.contains(last));
    prop_assert!(told_bare || told_before || picture.timeline.last() == seen.last());
    for pair in seen.windows(2) {
        let [before, after] = pair else { continue };
        if picture.timeline.contains(after) && !picture.timeline.contains(before) {
            prop_assert!(picture.gaps.contains(after), "the gap before {} is not marked", after);
        }
    }
    if member.membership == Membership::Join {
        let state = snapshot.scan::<State>(Scan::prefix::<State>((room,), usize::MAX)).await.unwrap();
        let nids: Vec<_> = state.iter().map(|row| row.event).collect();
        let events = myelin_timeline::load(&*snapshot, &nids).await.unwrap();
        for event in events.iter().filter(|event| kinds.contains(&event.kind.as_str())) {
            let key = (event.kind.clone(), event.state_key.clone().unwrap());
            prop_assert_eq!(
                picture.state.get(&key).map(String::as_str),
                Some(event.event_id.as_str()),
                "{:?}",
                key
            );
        }
    }
    Ok(())
}

/// More of them are asked for with `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_client_ends_up_with_what_there_is(ops in prop::collection::vec(any_op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(ops))?;
    }
}
