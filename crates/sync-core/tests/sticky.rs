//! Sticky events against a slow model: whatever is sent, expires, is joined, asked for, lost and repeated, a client is told
//! each event that is sticky once for each of its user's stays in the room.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use myelin_sync_core::rooms::RoomKey;
use myelin_sync_core::sticky::{
    MAX_BEHIND, StickyCandidate, StickyMark, StickyPage, StickyRows, StickyToken,
};
use proptest::prelude::*;

const ROOMS: i64 = 4;
/// Rows of a room in one read.
const READ: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    /// A sticky event, for so long.
    Send {
        room: i64,
        duration: i64,
    },
    /// Something else happens in a room.
    Message {
        room: i64,
    },
    Leave {
        room: i64,
    },
    Join {
        room: i64,
    },
    /// The user changes their name in a room.
    Rename {
        room: i64,
    },
    Redact {
        nth: usize,
    },
    Wait {
        time: i64,
    },
    /// The next answer shows the room for the first time.
    Show {
        room: i64,
    },
    /// The client asks for the room from now on, or no more.
    Want {
        room: i64,
        wanted: bool,
    },
    Sync {
        most: usize,
        lost: bool,
    },
}

fn any_op() -> impl Strategy<Value = Op> {
    let room = 0..ROOMS;
    prop_oneof![
        8 => (room.clone(), 0..20_i64).prop_map(|(room, duration)| Op::Send { room, duration }),
        2 => room.clone().prop_map(|room| Op::Message { room }),
        1 => room.clone().prop_map(|room| Op::Leave { room }),
        2 => room.clone().prop_map(|room| Op::Join { room }),
        1 => room.clone().prop_map(|room| Op::Rename { room }),
        1 => (0..20_usize).prop_map(|nth| Op::Redact { nth }),
        3 => (1..6_i64).prop_map(|time| Op::Wait { time }),
        1 => room.clone().prop_map(|room| Op::Show { room }),
        2 => (room, any::<bool>()).prop_map(|(room, wanted)| Op::Want { room, wanted }),
        5 => (1..5_usize, any::<bool>()).prop_map(|(most, lost)| Op::Sync { most, lost }),
    ]
}

#[derive(Default)]
struct Room {
    /// By position, until when.
    events: BTreeMap<i64, i64>,
    /// The position of the last thing in it.
    changed: i64,
    member_changed: i64,
    joined: Option<i64>,
    wanted: bool,
    sticky_until: i64,
    is_new: bool,
}

#[derive(Default)]
struct World {
    rooms: BTreeMap<i64, Room>,
    position: i64,
    now: i64,
    token: StickyToken,
    /// What the client was told: room, stay, event.
    told: BTreeSet<(i64, i64, i64)>,
}

impl World {
    fn happen(&mut self, room: i64) -> (&mut Room, i64) {
        self.position += 1;
        let position = self.position;
        let room = self.rooms.entry(room).or_default();
        room.changed = position;
        (room, position)
    }

    fn join(&mut self, room: i64) {
        let (room, pos) = self.happen(room);
        room.member_changed = pos;
        room.joined = room.joined.or(Some(pos));
    }

    fn candidates(&self) -> Vec<StickyCandidate> {
        let behind: BTreeSet<RoomKey> = self.token.behind().collect();
        let may = |(number, room): (&i64, &Room)| {
            let near =
                room.changed > self.token.mark.near() || behind.contains(&RoomKey(*number)) || room.is_new;
            let candidate = near && room.joined.is_some() && room.sticky_until > self.now;
            candidate.then_some(StickyCandidate {
                room: RoomKey(*number),
                member_changed: room.member_changed,
                wanted: room.wanted,
                is_new: room.is_new && room.wanted,
            })
        };
        self.rooms.iter().filter_map(may).collect()
    }

    /// An answer: what it tells, what comes after it, and whether there is more.
    fn answer(&self, most: usize) -> (Vec<(i64, i64)>, StickyToken, bool) {
        let mut plan = self.token.plan(self.candidates());
        let mut read = Vec::new();
        for room in &mut plan.rooms {
            let stored = &self.rooms[&room.room.0];
            room.joined = if room.needs_join() { stored.joined.unwrap() } else { 0 };
            let rows = stored.events.range(room.from() + 1..).take(READ);
            let rows: Vec<_> = rows.map(|(pos, until)| (*pos, (*until > self.now).then_some(*pos))).collect();
            read.push((*room, StickyRows { complete: rows.len() < READ, rows }));
        }
        let page = StickyPage::cut(read, most);
        let next = self.token.next(plan, page.end, self.position);
        (page.events.into_iter().map(|(room, pos)| (room.0, pos)).collect(), next, page.end.is_some())
    }

    fn sync(&mut self, most: usize, lost: bool) -> Result<bool, TestCaseError> {
        let (events, next, more) = self.answer(most);
        prop_assert!(events.len() <= most);
        for (room, pos) in &events {
            let stored = &self.rooms[room];
            prop_assert!(stored.wanted && stored.joined.is_some());
            prop_assert!(stored.events[pos] > self.now, "an event that is sticky no more");
        }
        if lost {
            return Ok(more);
        }
        for (number, room) in &mut self.rooms {
            if std::mem::take(&mut room.is_new) && room.wanted {
                self.told.retain(|(room, ..)| room != number);
            }
        }
        for (room, pos) in events {
            let stay = self.rooms[&room].joined.unwrap();
            prop_assert!(self.told.insert((room, stay, pos)), "{} of room {} is told twice", pos, room);
        }
        prop_assert_eq!(&next.to_string().parse::<StickyToken>().unwrap(), &next);
        self.token = next;
        Ok(more)
    }

    fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Send { room, duration } => {
                let until = self.now + duration;
                let (room, pos) = self.happen(room);
                room.events.insert(pos, until);
                room.sticky_until = room.sticky_until.max(until);
            }
            Op::Message { room } => {
                self.happen(room);
            }
            Op::Leave { room } => {
                let (room, pos) = self.happen(room);
                (room.member_changed, room.joined) = (pos, None);
            }
            Op::Join { room } => self.join(room),
            Op::Rename { room } => {
                let (room, pos) = self.happen(room);
                room.member_changed = pos;
            }
            Op::Redact { nth } => {
                let all = self
                    .rooms
                    .iter()
                    .flat_map(|(room, stored)| stored.events.keys().map(|pos| (*room, *pos)));
                if let Some((room, pos)) = all.collect::<Vec<_>>().get(nth).copied() {
                    self.happen(room).0.events.remove(&pos);
                }
            }
            Op::Wait { time } => self.now += time,
            Op::Show { room } => self.rooms.entry(room).or_default().is_new = true,
            Op::Want { room, wanted } => self.rooms.entry(room).or_default().wanted = wanted,
            Op::Sync { most, lost } => {
                self.sync(most, lost)?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]
    #[test]
    fn each_live_sticky_event_is_told_once_for_each_stay(ops in prop::collection::vec(any_op(), 0..60)) {
        let mut world = World::default();
        for room in 0..ROOMS {
            world.join(room);
            world.rooms.get_mut(&room).unwrap().wanted = room % 2 == 0;
        }
        for op in &ops {
            world.apply(op)?;
        }
        let mut answers = 0;
        while world.sync(2, false)? {
            answers += 1;
            prop_assert!(answers < 200, "the end is never reached");
        }
        for (number, room) in &world.rooms {
            let Some(stay) = room.joined.filter(|_| room.wanted) else { continue };
            for (pos, _) in room.events.iter().filter(|(_, until)| **until > world.now) {
                prop_assert!(world.told.contains(&(*number, stay, *pos)), "{} of room {} is never told", pos, number);
            }
        }
        let (events, _, _) = world.answer(100);
        prop_assert!(events.is_empty(), "nothing is told again");
    }
}

#[test]
fn a_client_that_is_behind_in_too_many_rooms_is_told_what_it_did_not_ask_for() {
    let rooms = i64::try_from(MAX_BEHIND).unwrap() + 44;
    let candidates = || {
        (0..rooms).map(|n| StickyCandidate {
            room: RoomKey(n),
            member_changed: 1,
            wanted: false,
            is_new: false,
        })
    };
    let token = StickyToken::from(StickyMark::at(10));
    let plan = token.plan(candidates());
    assert_eq!(plan.rooms.len(), 44);
    let next = token.next(plan, None, 20);
    assert_eq!(next.behind().count(), MAX_BEHIND);
    assert_eq!(next.to_string().parse(), Ok(next.clone()));
    let plan = next.plan(candidates());
    assert_eq!(plan.rooms.len(), 44, "those that it is behind in stay as they are");
    assert!(plan.rooms.iter().all(|room| room.after == StickyMark::at(20)));
}

#[test]
fn rooms_shown_for_the_first_time_are_told_again_as_far_as_a_token_holds_them() {
    let rooms = i64::try_from(MAX_BEHIND).unwrap() + 44;
    let new = |n| StickyCandidate { room: RoomKey(n), member_changed: 1, wanted: true, is_new: true };
    let token = StickyToken::from(StickyMark::at(10));
    let plan = token.plan((0..rooms).map(new));
    assert!(plan.rooms.iter().all(|room| room.after == StickyMark::default()));
    let next = token.next(plan, Some(StickyMark::at(5)), 20);
    assert_eq!((next.mark, next.behind().count()), (token.mark, MAX_BEHIND));
    assert_eq!(next.to_string().parse(), Ok(next));
}
