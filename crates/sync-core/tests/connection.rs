//! A connection against a slow model: whatever the client asks, loses and repeats, it ends up with what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use myelin_sync_core::config::{RequiredState, RoomConfig};
use myelin_sync_core::connection::{Connection, RoomDue, TimelineSent, UnknownPos};
use myelin_sync_core::rooms::{RoomEntry, RoomKey, RoomList, Standing};
use myelin_sync_core::token::ConnectionPos;
use myelin_sync_core::window::{ListRequest, WindowRequest, select};
use proptest::prelude::*;

const ROOMS: i64 = 6;

#[derive(Clone, Debug)]
enum Op {
    /// An event in a room; every third is state of the type with this number.
    Event {
        room: i64,
        state: Option<u8>,
    },
    Leave {
        room: i64,
    },
    Join {
        room: i64,
    },
    /// The user reads a room on another device.
    Read {
        room: i64,
    },
    /// A request for the newest rooms, with this timeline limit and these types of state.
    Sync {
        last: u64,
        limit: u32,
        kinds: BTreeSet<u8>,
        subscribe: Option<i64>,
        lost: bool,
    },
    /// What clients have seen is written behind.
    Write,
    /// The server restarts, and what was stored is some answers old.
    Restart,
}

fn any_op() -> impl Strategy<Value = Op> {
    let room = 0..ROOMS;
    prop_oneof![
        6 => (room.clone(), prop::option::weighted(0.3, 0..3u8)).prop_map(|(room, state)| Op::Event { room, state }),
        1 => room.clone().prop_map(|room| Op::Leave { room }),
        2 => room.clone().prop_map(|room| Op::Join { room }),
        2 => room.clone().prop_map(|room| Op::Read { room }),
        6 => (0..ROOMS as u64, 0..5u32, prop::collection::btree_set(0..3u8, 0..=3), prop::option::of(room), any::<bool>())
            .prop_map(|(last, limit, kinds, subscribe, lost)| Op::Sync { last, limit, kinds, subscribe, lost }),
        1 => Just(Op::Write),
        2 => Just(Op::Restart),
    ]
}

#[derive(Clone, Default)]
struct ServerRoom {
    /// Positions of its events; state events carry their type.
    events: Vec<(i64, Option<u8>)>,
    stay: i64,
    standing: Option<Standing>,
    /// Nothing after this position is the user's to see.
    until: i64,
    read_at: i64,
}

impl ServerRoom {
    fn seen(&self) -> impl Iterator<Item = &(i64, Option<u8>)> {
        let until = if self.standing == Some(Standing::Left) { self.until } else { i64::MAX };
        self.events.iter().filter(move |(pos, _)| *pos <= until)
    }

    fn state(&self) -> BTreeMap<u8, i64> {
        self.seen().filter_map(|(pos, kind)| Some(((*kind)?, *pos))).collect()
    }
}

/// What a client has of a room.
#[derive(Clone, Debug, Default)]
struct ClientRoom {
    timeline: Vec<i64>,
    /// The client knows of a gap before these events.
    gaps: BTreeSet<i64>,
    state: BTreeMap<u8, i64>,
    asked: BTreeSet<u8>,
    left: bool,
    read_at: i64,
    /// The server was killed after an answer with this room, before the client came back with its `pos`.
    may_repeat: bool,
    /// The last answer was limited to nothing: there is a gap before whatever comes next.
    open: bool,
}

struct Answer {
    pos: ConnectionPos,
    rooms: Vec<(i64, RoomAnswer)>,
}

struct RoomAnswer {
    initial: bool,
    widened: bool,
    limited: bool,
    timeline: Vec<i64>,
    state: BTreeMap<u8, i64>,
    left: bool,
    read_at: i64,
}

#[derive(Default)]
struct World {
    rooms: BTreeMap<i64, ServerRoom>,
    list: RoomList,
    position: i64,
}

impl World {
    fn happen(&mut self, room: i64, change: impl FnOnce(&mut ServerRoom, i64)) {
        self.position += 1;
        let entry = self.rooms.entry(room).or_default();
        change(entry, self.position);
        let Some(standing) = entry.standing else { return };
        let changed = entry.seen().map(|(pos, _)| *pos).max().unwrap_or_default();
        let entry = RoomEntry {
            standing,
            changed,
            read_at: entry.read_at,
            moved_at: 0,
            joined_at: Some(entry.stay),
            room_type: None,
            is_encrypted: false,
            is_dm: false,
            asked_as_dm: false,
            tags: None,
            sticky_until: None,
        };
        self.list.put(RoomKey(room), entry);
    }

    fn write(&self, due: &RoomDue) -> (RoomAnswer, TimelineSent) {
        let room = &self.rooms[&due.room.0];
        let limit = due.config.timeline_limit as usize;
        let all: Vec<i64> = room.seen().map(|(pos, _)| *pos).collect();
        let new = all.iter().filter(|pos| **pos > due.since()).count();
        let newest = due.known.is_none() || due.widen || new > limit;
        let shown = if newest { all.len().min(limit) } else { new };
        let sent = if newest { TimelineSent::Newest } else { TimelineSent::Continued(new as u32) };
        let wanted = |kind: u8| due.config.required_state.wants(&kind.to_string(), "");
        let is_new = |kind: u8| {
            due.new_state.as_ref().is_some_and(|more| more.wants(&kind.to_string(), ""))
                || due.known.is_none()
        };
        let state = room.state().into_iter();
        let state = state.filter(|(kind, pos)| is_new(*kind) || (wanted(*kind) && *pos > due.since()));
        let answer = RoomAnswer {
            initial: due.known.is_none(),
            widened: due.widen && due.known.is_some(),
            limited: newest && shown < all.len(),
            timeline: all[all.len() - shown..].to_vec(),
            state: state.collect(),
            left: due.standing == Standing::Left,
            read_at: room.read_at,
        };
        (answer, sent)
    }
}

struct Client {
    pos: Option<ConnectionPos>,
    rooms: BTreeMap<i64, ClientRoom>,
    /// The rooms of the last answer.
    last: Vec<i64>,
}

impl Client {
    fn take(&mut self, answer: Answer, kinds: &BTreeSet<u8>) -> Result<(), TestCaseError> {
        self.pos = Some(answer.pos);
        self.last = answer.rooms.iter().map(|(room, _)| *room).collect();
        for (room, answer) in answer.rooms {
            let mine = self.rooms.entry(room).or_default();
            if answer.initial {
                *mine = ClientRoom::default();
            }
            let last = mine.timeline.last().copied().unwrap_or_default();
            let first = answer.timeline.first().copied();
            if let Some(first) = first.filter(|_| answer.limited || mine.open) {
                mine.gaps.insert(first);
            }
            mine.open = first.is_none() && (answer.limited || mine.open);
            if answer.widened || std::mem::take(&mut mine.may_repeat) {
                mine.timeline.retain(|pos| !answer.timeline.contains(pos));
            } else {
                prop_assert!(first.is_none_or(|first| first > last), "an event was shown twice");
            }
            mine.timeline.extend(answer.timeline);
            mine.timeline.sort_unstable();
            mine.state.extend(answer.state);
            mine.asked.extend(kinds);
            mine.left = answer.left;
            mine.read_at = answer.read_at;
        }
        Ok(())
    }
}

fn request(last: u64, limit: u32, kinds: &BTreeSet<u8>, subscribe: Option<i64>) -> WindowRequest {
    let kinds: Vec<String> = kinds.iter().map(u8::to_string).collect();
    let state = RequiredState::parse(kinds.iter().map(|kind| (kind.as_str(), "")), "@me:x");
    let config = Arc::new(RoomConfig { timeline_limit: limit, required_state: state });
    let list = ListRequest { ranges: vec![(0, last)], config: Arc::clone(&config), ..ListRequest::default() };
    WindowRequest {
        lists: Arc::new([("all".to_owned(), list)].into_iter().collect()),
        subscriptions: subscribe.map(|room| (RoomKey(room), config)).into_iter().collect(),
    }
}

fn answer(
    world: &World,
    connection: &mut Connection,
    stored: &mut Connection,
    client: &Client,
    asked: &WindowRequest,
) -> Result<Answer, UnknownPos> {
    match &client.pos {
        Some(pos) => connection.resume(pos)?,
        None => {
            *connection = Connection::new(7);
            *stored = connection.clone();
        }
    }
    if connection.must_be_written() {
        write(connection, stored);
    }
    let window = select(&world.list, asked);
    let plan = connection.plan(&world.list, &window);
    let mut progress = connection.begin(world.position, plan.left_after);
    let mut rooms = Vec::new();
    for due in plan.due {
        let (answer, sent) = world.write(&due);
        connection.sent(&mut progress, &due, sent, Default::default());
        rooms.push((due.room.0, answer));
    }
    Ok(Answer { pos: connection.finish(progress), rooms })
}

fn write(connection: &mut Connection, stored: &mut Connection) {
    connection.was_written();
    *stored = connection.clone();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_lost_and_repeated_nothing_is_missed(ops in prop::collection::vec(any_op(), 1..80)) {
        let mut world = World::default();
        for room in 0..ROOMS {
            world.happen(room, |room, pos| {
                room.standing = Some(Standing::Joined);
                room.stay = pos;
                room.events.push((pos, None));
            });
        }
        let mut connection = Connection::new(7);
        let mut stored = connection.clone();
        let mut client = Client { pos: None, rooms: BTreeMap::new(), last: Vec::new() };
        let all: BTreeSet<u8> = (0..3).collect();
        let last = Op::Sync { last: ROOMS as u64, limit: 3, kinds: all, subscribe: None, lost: false };
        for op in ops.into_iter().chain([last]) {
            match op {
                Op::Event { room, state } => world.happen(room, |room, pos| room.events.push((pos, state))),
                Op::Read { room } => world.happen(room, |room, pos| room.read_at = pos),
                Op::Leave { room } => world.happen(room, |room, pos| {
                    room.events.push((pos, None));
                    if room.standing == Some(Standing::Joined) {
                        room.standing = Some(Standing::Left);
                        room.until = pos;
                    }
                }),
                Op::Join { room } => world.happen(room, |room, pos| {
                    room.events.push((pos, None));
                    if room.standing == Some(Standing::Left) {
                        room.standing = Some(Standing::Joined);
                        room.stay = pos;
                    }
                }),
                Op::Write => write(&mut connection, &mut stored),
                Op::Restart => {
                    let rooms = (0..ROOMS).map(RoomKey);
                    let rooms = rooms.filter_map(|room| Some((room, stored.room(room)?.clone()))).collect();
                    // Only what the client saw in an answer that it has not come back with, and that a `pos` can't
                    // carry, is repeated.
                    let repeated = client.pos.as_ref().is_some_and(|pos| {
                        connection.resume(pos).is_ok() && connection.must_be_written()
                    });
                    for room in client.last.iter().filter(|_| repeated) {
                        client.rooms.entry(*room).or_default().may_repeat = true;
                    }
                    connection = Connection::restore(stored.to_stored(), rooms);
                }
                Op::Sync { last, limit, kinds, subscribe, lost } => {
                    let asked = request(last, limit, &kinds, subscribe);
                    match answer(&world, &mut connection, &mut stored, &client, &asked) {
                        Ok(answer) => {
                            if !lost {
                                client.take(answer, &kinds)?;
                            }
                        }
                        Err(UnknownPos) => prop_assert!(false, "an honest client is never turned away"),
                    }
                }
            }
        }
        for (room, mine) in &client.rooms {
            let server = &world.rooms[room];
            let seen: Vec<i64> = server.seen().map(|(pos, _)| *pos).collect();
            prop_assert_eq!(mine.left, server.standing == Some(Standing::Left), "room {}", room);
            // A room left while no timeline was wanted of it is told of without one.
            prop_assert!(mine.left || mine.timeline.last() == seen.last(), "room {}", room);
            for pair in seen.windows(2) {
                let [before, after] = pair else { continue };
                if mine.timeline.contains(after) && !mine.timeline.contains(before) {
                    prop_assert!(mine.gaps.contains(after), "room {}: a gap before {} is not marked", room, after);
                }
            }
            if !mine.left {
                prop_assert_eq!(&mine.state, &server.state(), "room {}", room);
                prop_assert_eq!(mine.read_at, server.read_at, "room {}", room);
            }
        }
    }
}

#[test]
fn a_pos_of_another_connection_or_one_that_was_passed_is_unknown() {
    let world = World::default();
    let (mut connection, mut stored) = (Connection::new(7), Connection::new(7));
    let mut client = Client { pos: None, rooms: BTreeMap::new(), last: Vec::new() };
    let asked = request(9, 1, &BTreeSet::new(), None);
    let first = answer(&world, &mut connection, &mut stored, &client, &asked).expect("a new connection").pos;
    assert_eq!(connection.resume(&ConnectionPos { nonce: 8, ..first.clone() }), Err(UnknownPos));
    client.pos = Some(first.clone());
    let second = answer(&world, &mut connection, &mut stored, &client, &asked).expect("it goes on").pos;
    assert!(connection.resume(&first).is_ok(), "the answer was lost and is asked for again");
    assert_eq!(connection.resume(&second), Err(UnknownPos), "asking again withdrew the second answer");
    client.pos = Some(first.clone());
    let third = answer(&world, &mut connection, &mut stored, &client, &asked).expect("it goes on").pos;
    assert!(connection.resume(&third).is_ok());
    assert_eq!(connection.resume(&first), Err(UnknownPos), "it was passed");
}

#[test]
fn rooms_left_that_an_answer_has_no_place_for_are_told_of_in_the_next() {
    const MANY: i64 = 1100;
    let mut world = World::default();
    let set = |world: &mut World, standing| {
        for room in 0..MANY {
            world.happen(room, |room, pos| {
                (room.standing, room.until) = (Some(standing), pos);
                room.events.push((pos, None));
            });
        }
    };
    set(&mut world, Standing::Joined);
    let (mut connection, mut stored) = (Connection::new(7), Connection::new(7));
    let mut client = Client { pos: None, rooms: BTreeMap::new(), last: Vec::new() };
    let asked = request(2000, 1, &BTreeSet::new(), None);
    for standing in [Standing::Joined, Standing::Left] {
        set(&mut world, standing);
        for _ in 0..3 {
            let answer = answer(&world, &mut connection, &mut stored, &client, &asked).expect("it goes on");
            client.take(answer, &BTreeSet::new()).expect("each event once");
        }
    }
    assert_eq!(client.rooms.len(), 1100);
    assert!(client.rooms.values().all(|room| room.left));
}
