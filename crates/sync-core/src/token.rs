//! Tokens: where a client stands. Opaque to clients, plain to us: ASCII, versioned, and parsed strictly, so that a
//! token of another server, of another kind or with a typing error in it is refused and never misread.
//!
//! Numbers are decimal without sign or leading zeros, so that each token has exactly one spelling.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use crate::rooms::RoomKey;
use crate::sticky::{StickyMark, sticky_mark};

/// A text that is no token of the kind wanted: made by somebody else, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no token that this server gave out for this purpose")]
pub struct InvalidToken;

/// `next_batch` and `since` of `/v3/sync`: everything up to a position of the log has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SyncToken {
    /// The position of the log.
    pub position: i64,
    /// The position up to which the device's inbox was sent.
    pub inbox: i64,
    /// The counter of typing changes, which counts from 0 in each run of the server.
    pub typing: u64,
    /// The counter of changes of presence, likewise.
    pub presence: u64,
    /// The run of the server that `typing` and `presence` belong to.
    pub run: u64,
    /// Up to where sticky events were sent: most often everything up to the position, which then needs no words.
    pub sticky: StickyMark,
}

/// `pos` of sliding sync: the answer of a connection that the client has seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionPos {
    /// The position of the log that the answer was about.
    pub position: i64,
    /// The connection, as it was made: not guessable, and new whenever the client starts over.
    pub nonce: u64,
    /// The number of the answer on its connection, from 1.
    pub answer: u64,
    /// What the client has seen with that answer, as far as it was not stored.
    pub carried: Carried,
}

/// The most rooms that a `pos` carries; at about ten bytes each it stays short enough for any URL.
pub const MAX_CARRIED: usize = 48;

/// Rooms, each with the position up to which the client has seen it, by number. At most [`MAX_CARRIED`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Carried(Vec<(RoomKey, i64)>);

impl Carried {
    /// As many of the rooms as fit: first those that an earlier answer told of, then those of the newest, seen furthest
    /// first. None is seen beyond `position`.
    pub(crate) fn new(
        position: i64,
        earlier: impl Iterator<Item = (RoomKey, i64)>,
        newest: impl Iterator<Item = (RoomKey, i64)>,
    ) -> Self {
        let is_possible = |(_, up_to): &(RoomKey, i64)| (0..=position).contains(up_to);
        let furthest_first = |rooms: &mut Vec<(RoomKey, i64)>| {
            rooms.sort_unstable_by_key(|(room, up_to)| (Reverse(*up_to), *room));
        };
        let mut rooms: Vec<(RoomKey, i64)> = earlier.filter(is_possible).collect();
        let mut newest: Vec<(RoomKey, i64)> = newest.filter(is_possible).collect();
        furthest_first(&mut rooms);
        furthest_first(&mut newest);
        rooms.append(&mut newest);
        rooms.truncate(MAX_CARRIED);
        rooms.sort_unstable_by_key(|(room, _)| *room);
        rooms.dedup_by_key(|(room, _)| *room);
        Self(rooms)
    }

    /// The rooms.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomKey, i64)> {
        self.0.iter().copied()
    }
}

/// A place in one room's timeline, for `prev_batch` and the `from` and `to` of paginated requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageToken {
    /// Before the event with this room-local order: the events below it are older, it and those above it newer.
    Before(i64),
    /// After everything that was known at this position of the log (from `since` and `pos` tokens).
    At(i64),
}

/// The token of a to-device inbox: everything up to a position has been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InboxToken(pub i64);

/// The place in a user's changes of thread subscriptions from which older ones follow (MSC4308).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ThreadsToken {
    /// Changes before this position were not told yet.
    pub before: i64,
    /// Those up to this position were told before.
    pub after: i64,
}

pub(crate) fn number(text: &str) -> Result<i64, InvalidToken> {
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidToken);
    }
    text.parse().map_err(|_| InvalidToken)
}

fn hex(text: &str) -> Result<u64, InvalidToken> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 16 || !text.bytes().all(digit) {
        return Err(InvalidToken);
    }
    u64::from_str_radix(text, 16).map_err(|_| InvalidToken)
}

/// The parts of a token that begins with `prefix`.
pub(crate) fn parts<'t, const N: usize>(text: &'t str, prefix: &str) -> Result<[&'t str; N], InvalidToken> {
    let rest = text.strip_prefix(prefix).ok_or(InvalidToken)?;
    let parts: Vec<&str> = rest.splitn(N + 1, '_').collect();
    parts.try_into().map_err(|_| InvalidToken)
}

impl fmt::Display for SyncToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, inbox, typing, presence, run, sticky } = self;
        write!(f, "s1_{position}_{inbox}_{typing}_{presence}_{run:016x}")?;
        if *sticky == StickyMark::at(*position) {
            return Ok(());
        }
        write!(f, "_{}_{}", sticky.turn, sticky.pos)
    }
}

impl FromStr for SyncToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (position, inbox, typing, presence, run, behind) = match parts(text, "s1_") {
            Ok([position, inbox, typing, presence, run]) => (position, inbox, typing, presence, run, None),
            Err(InvalidToken) => {
                let [position, inbox, typing, presence, run, turn, pos] = parts(text, "s1_")?;
                (position, inbox, typing, presence, run, Some(sticky_mark(turn, pos)?))
            }
        };
        let counter = |text| u64::try_from(number(text)?).map_err(|_| InvalidToken);
        let (typing, presence) = (counter(typing)?, counter(presence)?);
        let position = number(position)?;
        let told = StickyMark::at(position);
        if behind.is_some_and(|behind| behind >= told) {
            return Err(InvalidToken);
        }
        let sticky = behind.unwrap_or(told);
        Ok(Self { position, inbox: number(inbox)?, typing, presence, run: hex(run)?, sticky })
    }
}

impl ConnectionPos {
    /// Tells a `pos` with a letter lost or changed on its way from one that was given out (FNV-1a over its parts). It is no
    /// secret: what guards a connection is its nonce.
    fn checksum(&self) -> u32 {
        let carried = self.carried.iter().flat_map(|(room, up_to)| [room.0, up_to]);
        let numbers = [self.position, self.nonce.cast_signed(), self.answer.cast_signed()];
        let bytes = numbers.into_iter().chain(carried).flat_map(i64::to_le_bytes);
        bytes.fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl fmt::Display for ConnectionPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c2_{}_{:016x}_{}_{:08x}", self.position, self.nonce, self.answer, self.checksum())?;
        for (number, (room, up_to)) in self.carried.iter().enumerate() {
            let before = if number == 0 { '_' } else { '~' };
            write!(f, "{before}{}.{}", room.0, self.position - up_to)?;
        }
        Ok(())
    }
}

impl FromStr for ConnectionPos {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (position, nonce, answer, checksum, carried) = match parts(text, "c2_") {
            Ok([position, nonce, answer, checksum]) => (position, nonce, answer, checksum, None),
            Err(InvalidToken) => {
                let [position, nonce, answer, checksum, carried] = parts(text, "c2_")?;
                (position, nonce, answer, checksum, Some(carried))
            }
        };
        let position = number(position)?;
        let answer = u64::try_from(number(answer)?).map_err(|_| InvalidToken)?;
        let carried = carried.map(|carried| read_carried(carried, position)).transpose()?.unwrap_or_default();
        let pos = Self { position, nonce: hex(nonce)?, answer, carried };
        if checksum != format!("{:08x}", pos.checksum()) {
            return Err(InvalidToken);
        }
        Ok(pos)
    }
}

fn read_carried(text: &str, position: i64) -> Result<Carried, InvalidToken> {
    let mut rooms: Vec<(RoomKey, i64)> = Vec::new();
    for part in text.split('~') {
        let (room, behind) = part.split_once('.').ok_or(InvalidToken)?;
        let (room, up_to) = (RoomKey(number(room)?), position - number(behind)?);
        let follows = rooms.last().is_none_or(|(before, _)| *before < room);
        if up_to < 0 || !follows || rooms.len() >= MAX_CARRIED {
            return Err(InvalidToken);
        }
        rooms.push((room, up_to));
    }
    Ok(Carried(rooms))
}

impl fmt::Display for PageToken {
    /// Tokens of either sync are not written in this form, but read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Backfilled events have orders below zero.
            Self::Before(order) if *order < 0 => write!(f, "t1_m{}", order.unsigned_abs()),
            Self::Before(order) => write!(f, "t1_{order}"),
            Self::At(position) => write!(f, "a1_{position}"),
        }
    }
}

impl FromStr for PageToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if let Ok([order]) = parts(text, "t1_") {
            return match order.strip_prefix('m') {
                Some("0") => Err(InvalidToken),
                Some(below) => Ok(Self::Before(-number(below)?)),
                None => Ok(Self::Before(number(order)?)),
            };
        }
        if let Ok([position]) = parts(text, "a1_") {
            return Ok(Self::At(number(position)?));
        }
        let sync = text.parse().map(|token: SyncToken| token.position);
        sync.or_else(|_| text.parse().map(|token: ConnectionPos| token.position)).map(Self::At)
    }
}

impl fmt::Display for ThreadsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h1_{}_{}", self.before, self.after)
    }
}

impl FromStr for ThreadsToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let [before, after] = parts(text, "h1_")?;
        Ok(Self { before: number(before)?, after: number(after)? })
    }
}

impl fmt::Display for InboxToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d1_{}", self.0)
    }
}

impl FromStr for InboxToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let [position] = parts(text, "d1_")?;
        number(position).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Carried, ConnectionPos, InboxToken, MAX_CARRIED, PageToken, RoomKey, StickyMark, SyncToken,
        ThreadsToken,
    };
    use crate::sticky::StickyToken;

    fn pos(position: i64, nonce: u64, answer: u64, rooms: &[(i64, i64)]) -> ConnectionPos {
        let rooms = rooms.iter().map(|(room, up_to)| (RoomKey(*room), *up_to));
        ConnectionPos { position, nonce, answer, carried: Carried::new(position, std::iter::empty(), rooms) }
    }

    proptest! {
        #[test]
        fn every_token_reads_back(position in 0..i64::MAX, inbox in 0..i64::MAX, typing in 0..i64::MAX as u64, presence in 0..i64::MAX as u64, run: u64, order in -i64::MAX..i64::MAX, rooms in prop::collection::vec((0..100_i64, 0..i64::MAX), 0..60), turn in 0..i64::MAX, pos_of in 0..i64::MAX) {
            let sticky = StickyMark { turn: turn.min(position), pos: pos_of.min(turn).min(position) };
            let token = SyncToken { position, inbox, typing, presence, run, sticky };
            prop_assert_eq!(token.to_string().parse(), Ok(token));
            let pos = pos(position, run, typing, &rooms);
            prop_assert_eq!(pos.to_string().parse(), Ok(pos.clone()));
            prop_assert_eq!(PageToken::Before(order).to_string().parse(), Ok(PageToken::Before(order)));
            prop_assert_eq!(PageToken::At(position).to_string().parse(), Ok(PageToken::At(position)));
            prop_assert_eq!(token.to_string().parse(), Ok(PageToken::At(position)));
            prop_assert_eq!(pos.to_string().parse(), Ok(PageToken::At(position)));
            prop_assert_eq!(InboxToken(position).to_string().parse(), Ok(InboxToken(position)));
            let threads = ThreadsToken { before: position, after: inbox };
            prop_assert_eq!(threads.to_string().parse(), Ok(threads));
        }

        #[test]
        fn a_pos_that_was_damaged_is_refused(
            position in 0..i64::MAX, nonce: u64, answer in 0..u64::MAX / 2,
            rooms in prop::collection::vec((0..i64::MAX, 0..i64::MAX), 0..5), place: prop::sample::Index, bit in 0..7_u8,
        ) {
            let text = pos(position, nonce, answer, &rooms).to_string();
            let place = place.index(text.len());
            let mut flipped = text.clone().into_bytes();
            flipped[place] ^= 1_u8 << bit;
            let flipped = String::from_utf8(flipped).unwrap();
            prop_assert!(flipped.parse::<ConnectionPos>().is_err(), "{}", flipped);
            prop_assert!(text[..place].parse::<ConnectionPos>().is_err(), "{}", &text[..place]);
        }

        #[test]
        fn a_text_that_parses_is_the_tokens_only_spelling(text in "[scadtmyh]1_([0-9a-f_m+ .~-]{0,40}|[0-9]_[0-9]_[0-9]_[0-9]_[0-9a-f]{16}_[0-9]_[0-9]|[0-9]{1,2}_[0-9](_[0-9]\\.[0-9]\\.[0-9](~[0-9]\\.[0-9]\\.[0-9]){0,2})?|[0-9]{1,3}_[0-9a-f]{16}_[0-9]_[0-9]{1,2}\\.[0-9]{1,2}(~[0-9]{1,2}\\.[0-9]{1,2}){0,2})") {
            if let Ok(token) = text.parse::<SyncToken>() {
                prop_assert_eq!(token.to_string(), text.as_str());
            }
            if let Ok(pos) = text.parse::<ConnectionPos>() {
                prop_assert_eq!(pos.to_string(), text.as_str());
            }
            if let Ok(token) = text.parse::<InboxToken>() {
                prop_assert_eq!(token.to_string(), text.as_str());
            }
            if let Ok(token) = text.parse::<ThreadsToken>() {
                prop_assert_eq!(token.to_string(), text.as_str());
            }
            if let Ok(token) = text.parse::<StickyToken>() {
                prop_assert_eq!(token.to_string(), text.as_str());
            }
        }

        #[test]
        fn any_text_at_all_is_refused_or_read_without_a_panic(text in ".*") {
            let _ = (text.parse::<SyncToken>(), text.parse::<ConnectionPos>(), text.parse::<PageToken>());
        }
    }

    #[test]
    fn tokens_of_other_servers_and_kinds_are_refused() {
        for text in [
            "",
            "s72594_4483_1934",
            "s1_1_2",
            "s1_01_1_2_3_00000000000000ff",
            "s1_9_1_2_3_00000000000000ff_9_9",
            "s1_9_1_2_3_00000000000000ff_8_9",
            "s1_9_1_2_3_00000000000000ff_8",
            "s2_1_1_2_3_00000000000000ff",
            "t1_m0",
        ] {
            assert!(text.parse::<SyncToken>().is_err(), "{text}");
            assert!(text.parse::<PageToken>().is_err(), "{text}");
        }
        let pos = pos(1, 2, 3, &[]).to_string();
        assert!(pos.parse::<SyncToken>().is_err());
    }

    #[test]
    fn a_pos_carries_the_rooms_seen_furthest_and_no_more_than_fit() {
        let rooms: Vec<(i64, i64)> = (0..100).map(|room| (room, 1000 + room)).collect();
        let carried = pos(2000, 2, 3, &rooms).carried;
        assert_eq!(carried.iter().count(), MAX_CARRIED);
        assert!(carried.iter().all(|(room, up_to)| room.0 >= 52 && up_to == 1000 + room.0));
        let acknowledged = (0..10).map(|room| (RoomKey(room), 5));
        let newest = (10..100).map(|room| (RoomKey(room), 1000));
        let carried = Carried::new(2000, acknowledged, newest);
        assert_eq!(
            carried.iter().filter(|(_, up_to)| *up_to == 5).count(),
            10,
            "what was acknowledged goes first"
        );
        assert_eq!(carried.iter().count(), MAX_CARRIED);
        let text = pos(20, 2, 3, &[(7, 20), (5, 11)]).to_string();
        assert!(text.starts_with("c2_20_0000000000000002_3_") && text.ends_with("_5.9~7.0"), "{text}");
        for bad in ["5.21", "7.0~5.9", "5.9~5.9", "5.9~", "", "5", "5.09", "5.-1"] {
            assert!(super::read_carried(bad, 20).is_err(), "{bad}");
        }
    }
}
