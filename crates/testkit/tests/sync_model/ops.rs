//! What may happen.

use proptest::prelude::*;

/// The rooms that are there from the beginning; more may be made.
pub(crate) const ROOMS: usize = 4;
/// The most rooms.
pub(crate) const MOST_ROOMS: usize = 7;
/// Those who look on. Who makes the rooms comes after them.
pub(crate) const PEOPLE: usize = 2;
/// The clients of each of them: two connections and another of sliding sync in one form and the other, and `/v3/sync` twice.
pub(crate) const CLIENTS: usize = 5;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Say {
        who: usize,
        room: usize,
    },
    Edit {
        who: usize,
        nth: usize,
    },
    Redact {
        who: usize,
        nth: usize,
    },
    State {
        room: usize,
        kind: usize,
        key: usize,
    },
    Visibility {
        room: usize,
        to: usize,
    },
    Member {
        who: usize,
        room: usize,
        how: How,
    },
    Rename {
        who: usize,
        to: usize,
    },
    Receipt {
        who: usize,
        nth: usize,
        private: bool,
    },
    Tag {
        who: usize,
        room: usize,
        to: usize,
    },
    Note {
        who: usize,
        room: Option<usize>,
        to: usize,
    },
    NewRoom {
        invite: Option<usize>,
    },
    /// A client asks for what it wants now, or wanted before.
    Sync {
        who: usize,
        client: usize,
        wish: Option<Wish>,
        luck: Luck,
    },
    Restart,
    Kill,
}

/// By what way somebody comes or goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Join,
    Leave,
    Invite,
    Kick,
    Ban,
    Unban,
    Knock,
    Forget,
}

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) range: (u64, u64),
    pub(crate) limit: u64,
    pub(crate) state: usize,
    /// A second list, of the newest room.
    pub(crate) second: bool,
    pub(crate) subscription: Option<(usize, u64)>,
    pub(crate) extensions: bool,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Luck {
    Arrives,
    /// The answer is lost: the client asks the same again later.
    Lost,
    /// It is sent twice at the same time.
    Twice,
    /// It waits, and meanwhile something happens.
    Waits(Box<Op>),
}

fn wish() -> impl Strategy<Value = Wish> {
    let range = (0..3_u64, 0..6_u64).prop_map(|(from, many)| (from.saturating_sub(1), from + many));
    let subscription = prop::option::weighted(0.3, (0..MOST_ROOMS, 0..6_u64));
    (range, 0..5_u64, 0..5_usize, any::<bool>(), subscription, any::<bool>()).prop_map(
        |(range, limit, state, second, subscription, extensions)| Wish {
            range,
            limit,
            state,
            second,
            subscription,
            extensions,
        },
    )
}

fn event() -> impl Strategy<Value = Op> {
    let room = || 0..MOST_ROOMS;
    let anyone = || 0..=PEOPLE;
    let how = prop::sample::select(vec![
        How::Join,
        How::Join,
        How::Join,
        How::Leave,
        How::Invite,
        How::Kick,
        How::Ban,
        How::Unban,
        How::Knock,
        How::Forget,
    ]);
    prop_oneof![
        10 => (anyone(), room()).prop_map(|(who, room)| Op::Say { who, room }),
        1 => (anyone(), 0..40_usize).prop_map(|(who, nth)| Op::Edit { who, nth }),
        2 => (anyone(), 0..40_usize).prop_map(|(who, nth)| Op::Redact { who, nth }),
        3 => (room(), 0..4_usize, 0..3_usize).prop_map(|(room, kind, key)| Op::State { room, kind, key }),
        1 => (room(), 0..4_usize).prop_map(|(room, to)| Op::Visibility { room, to }),
        7 => (0..PEOPLE, room(), how).prop_map(|(who, room, how)| Op::Member { who, room, how }),
        1 => (anyone(), 0..5_usize).prop_map(|(who, to)| Op::Rename { who, to }),
        3 => (anyone(), 0..40_usize, any::<bool>())
            .prop_map(|(who, nth, private)| Op::Receipt { who, nth, private }),
        1 => (0..PEOPLE, room(), 0..4_usize).prop_map(|(who, room, to)| Op::Tag { who, room, to }),
        1 => (0..PEOPLE, prop::option::of(room()), 0..4_usize)
            .prop_map(|(who, room, to)| Op::Note { who, room, to }),
        1 => prop::option::of(0..PEOPLE).prop_map(|invite| Op::NewRoom { invite }),
    ]
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        6 => Just(Luck::Arrives),
        2 => Just(Luck::Lost),
        1 => Just(Luck::Twice),
        2 => event().prop_map(|op| Luck::Waits(Box::new(op))),
    ]
}

pub(crate) fn any_op() -> impl Strategy<Value = Op> {
    let sync = (0..PEOPLE, 0..CLIENTS, prop::option::of(wish()), luck());
    prop_oneof![
        25 => event(),
        20 => sync.prop_map(|(who, client, wish, luck)| Op::Sync { who, client, wish, luck }),
        2 => prop_oneof![1 => Just(Op::Restart), 3 => Just(Op::Kill)],
    ]
}
