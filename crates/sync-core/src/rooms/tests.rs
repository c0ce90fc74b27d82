use std::cmp::Reverse;
use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{FEWEST_CHANGES, ListFilter, RoomEntry, RoomKey, RoomList, Standing};

fn entry(changed: i64) -> RoomEntry {
    RoomEntry {
        standing: Standing::Joined,
        changed,
        read_at: 0,
        moved_at: 0,
        joined_at: Some(1),
        room_type: None,
        is_encrypted: false,
        is_dm: false,
        asked_as_dm: false,
        tags: None,
        sticky_until: None,
    }
}

#[test]
fn rooms_are_listed_newest_first_and_rooms_left_are_not() {
    let mut list = RoomList::default();
    list.put(RoomKey(1), entry(10));
    list.put(RoomKey(2), entry(30));
    list.put(RoomKey(3), RoomEntry { standing: Standing::Left, ..entry(40) });
    list.update(RoomKey(1), |entry| entry.changed = 35);
    let order: Vec<_> = list.listed().map(|(room, _)| room.0).collect();
    assert_eq!(order, [1, 2]);
    assert_eq!(list.listed_count(), 2);
    let changed: Vec<_> = list.changed_after(30).map(|(room, _)| room.0).collect();
    assert_eq!(changed, [3, 1]);
}

#[test]
fn a_list_made_at_once_is_as_one_made_room_by_room() {
    let rooms = [(1, Standing::Joined), (2, Standing::Left), (3, Standing::Invited)];
    let rooms = rooms.map(|(room, standing)| (RoomKey(room), RoomEntry { standing, ..entry(room * 7 % 5) }));
    let at_once: RoomList = rooms.iter().cloned().collect();
    let mut one_by_one = RoomList::default();
    for (room, entry) in rooms {
        one_by_one.put(room, entry);
    }
    assert!(at_once.all().eq(one_by_one.all()));
    assert_eq!(at_once.listed_count(), one_by_one.listed_count());
}

#[test]
fn a_filter_wants_every_criterion_and_exclusion_is_stronger() {
    let room = RoomEntry {
        room_type: Some("m.space".into()),
        is_dm: true,
        tags: Some(vec!["m.favourite".into()].into()),
        ..entry(1)
    };
    let space = vec![Some("m.space".to_owned())];
    let check = |filter: ListFilter| filter.allows(RoomKey(1), &room);
    assert!(check(ListFilter::default()));
    assert!(check(ListFilter { is_dm: Some(true), room_types: space.clone(), ..Default::default() }));
    assert!(!check(ListFilter { is_dm: Some(true), is_invite: Some(true), ..Default::default() }));
    assert!(!check(ListFilter { room_types: space.clone(), not_room_types: space, ..Default::default() }));
    assert!(!check(ListFilter { room_types: vec![None], ..Default::default() }));
    assert!(check(ListFilter { named: Some([RoomKey(1)].into()), ..Default::default() }));
    assert!(check(ListFilter { tags: Some(vec!["m.favourite".to_owned()]), ..Default::default() }));
    assert!(!check(ListFilter { not_tags: vec!["m.favourite".to_owned()], ..Default::default() }));
    assert!(!check(ListFilter { within: Some([RoomKey(2)].into()), ..Default::default() }));
}

/// What happens to a list.
#[derive(Clone, Debug)]
enum Op {
    Put(i64, RoomEntry),
    Remove(i64),
    /// It changed later.
    Change(i64, i64),
    Stand(i64, Standing),
    /// Every room whose number divides by this is a direct chat, and no other.
    Dms(i64),
    /// It is stored and read.
    Restart,
}

fn any_entry() -> impl Strategy<Value = RoomEntry> {
    let standings =
        vec![Standing::Joined, Standing::Invited, Standing::Knocking, Standing::Removed, Standing::Left];
    let numbers = (0..50_i64, any::<i64>(), any::<i64>(), option::of(any::<i64>()), option::of(any::<i64>()));
    let kind = (option::of("m\\.[a-c]"), option::of(vec("u\\.[a-c]", 1..3)));
    (prop::sample::select(standings), numbers, kind, any::<[bool; 3]>()).prop_map(
        |(standing, (changed, read_at, moved_at, joined_at, sticky_until), (room_type, tags), marks)| {
            let [is_encrypted, is_dm, asked_as_dm] = marks;
            let tags = tags.map(|tags| tags.into_iter().map(String::into_boxed_str).collect());
            let room_type = room_type.map(Into::into);
            RoomEntry {
                standing,
                changed,
                read_at,
                moved_at,
                joined_at,
                room_type,
                is_encrypted,
                is_dm,
                asked_as_dm,
                tags,
                sticky_until,
            }
        },
    )
}

fn any_op() -> impl Strategy<Value = Op> {
    let room = || 0..200_i64;
    prop_oneof![
        8 => (room(), any_entry()).prop_map(|(room, entry)| Op::Put(room, entry)),
        2 => room().prop_map(Op::Remove),
        8 => (room(), 0..100_i64).prop_map(|(room, by)| Op::Change(room, by)),
        1 => room().prop_map(|room| Op::Stand(room, Standing::Left)),
        1 => (1..5_i64).prop_map(Op::Dms),
        1 => Just(Op::Restart),
    ]
}

fn apply(op: Op, list: &mut RoomList, model: &mut BTreeMap<RoomKey, RoomEntry>) {
    match op {
        Op::Put(room, entry) => {
            list.put(RoomKey(room), entry.clone());
            model.insert(RoomKey(room), entry);
        }
        Op::Remove(room) => assert_eq!(list.remove(RoomKey(room)), model.remove(&RoomKey(room))),
        Op::Change(room, by) => {
            list.update(RoomKey(room), |entry| entry.changed += by);
            model.entry(RoomKey(room)).and_modify(|entry| entry.changed += by);
        }
        Op::Stand(room, standing) => {
            list.update(RoomKey(room), |entry| entry.standing = standing);
            model.entry(RoomKey(room)).and_modify(|entry| entry.standing = standing);
        }
        Op::Dms(number) => {
            list.update_all(|room, entry| entry.is_dm = room.0 % number == 0);
            model.iter_mut().for_each(|(room, entry)| entry.is_dm = room.0 % number == 0);
        }
        Op::Restart => *list = RoomList::from_bytes(list.pack()).unwrap_or_default(),
    }
}

/// The model's rooms, newest first.
fn newest_first(model: &BTreeMap<RoomKey, RoomEntry>) -> Vec<(RoomKey, RoomEntry)> {
    let mut all: Vec<_> = model.iter().map(|(room, entry)| (*room, entry.clone())).collect();
    all.sort_by_key(|(room, entry)| (Reverse(entry.changed), *room));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_list_is_what_was_done_to_it_packed_or_not(
        first in vec((0..200_i64, any_entry()), 0..300),
        ops in vec(any_op(), 0..4 * FEWEST_CHANGES),
    ) {
        let mut list: RoomList = first.iter().cloned().map(|(room, entry)| (RoomKey(room), entry)).collect();
        let mut model: BTreeMap<RoomKey, RoomEntry> =
            first.into_iter().map(|(room, entry)| (RoomKey(room), entry)).collect();
        for op in ops {
            apply(op, &mut list, &mut model);
            let all = newest_first(&model);
            prop_assert_eq!(list.all().collect::<Vec<_>>(), &*all);
            let listed = || all.iter().filter(|(_, entry)| entry.standing.is_listed());
            prop_assert_eq!((list.len(), list.listed_count()), (all.len(), listed().count()));
            prop_assert!(list.listed().eq(listed().cloned()));
            prop_assert!(list.changed_after(60).eq(all.iter().filter(|(_, entry)| entry.changed > 60).cloned()));
            let mut unordered: Vec<_> = list.unordered().collect();
            unordered.sort_by_key(|(room, _)| *room);
            prop_assert!(unordered.into_iter().eq(model.clone()));
            for room in 0..200 {
                prop_assert_eq!(list.entry(RoomKey(room)), model.get(&RoomKey(room)).cloned());
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_was_stored_is_read_or_refused_without_a_panic(
        other in vec(any::<u8>(), 0..400),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        drop(RoomList::from_bytes(Bytes::from(other)));
        let mut list: RoomList = (0..5).map(|room| (RoomKey(room), entry(room))).collect();
        let mut stored = list.pack().to_vec();
        for (place, byte) in damage {
            let place = place.index(stored.len());
            stored[place] = byte;
        }
        let Some(mut list) = RoomList::from_bytes(stored.into()) else { return Ok(()) };
        for room in 0..6 {
            list.put(RoomKey(room), RoomEntry { standing: Standing::Left, ..entry(70) });
            list.remove(RoomKey(room));
        }
        prop_assert!(list.all().count() <= 6 && list.unordered().count() <= 6);
        drop(list.pack());
    }
}
