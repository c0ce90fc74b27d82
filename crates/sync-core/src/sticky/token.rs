//! `since` and `next_batch` of the sticky-events extension (MSC4480).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{MAX_BEHIND, StickyMark};
use crate::rooms::RoomKey;
use crate::token::{InvalidToken, number, parts};

/// How far a client has been told of sticky events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StickyToken {
    /// Up to here, in all rooms but those below.
    pub mark: StickyMark,
    /// The rooms that the client did not ask for when there was something to tell, and up to where it was told of each:
    /// before the mark. At most [`MAX_BEHIND`].
    pub(super) behind: BTreeMap<RoomKey, StickyMark>,
}

impl StickyToken {
    /// The rooms that the client is behind in.
    pub fn behind(&self) -> impl Iterator<Item = RoomKey> {
        self.behind.keys().copied()
    }
}

impl From<StickyMark> for StickyToken {
    fn from(mark: StickyMark) -> Self {
        Self { mark, behind: BTreeMap::new() }
    }
}

impl fmt::Display for StickyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "y1_{}_{}", self.mark.turn, self.mark.pos)?;
        for (number, (room, mark)) in self.behind.iter().enumerate() {
            let before = if number == 0 { '_' } else { '~' };
            write!(f, "{before}{}.{}.{}", room.0, mark.turn, mark.pos)?;
        }
        Ok(())
    }
}

impl FromStr for StickyToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (turn, pos, behind) = match parts(text, "y1_") {
            Ok([turn, pos]) => (turn, pos, None),
            Err(InvalidToken) => {
                let [turn, pos, behind] = parts(text, "y1_")?;
                (turn, pos, Some(behind))
            }
        };
        let mark = mark(turn, pos)?;
        let behind = behind.map(|behind| read_behind(behind, mark)).transpose()?.unwrap_or_default();
        Ok(Self { mark, behind })
    }
}

/// A mark: no event has its turn before it came.
pub(crate) fn mark(turn: &str, pos: &str) -> Result<StickyMark, InvalidToken> {
    let mark = StickyMark { turn: number(turn)?, pos: number(pos)? };
    if mark.pos > mark.turn { Err(InvalidToken) } else { Ok(mark) }
}

fn read_behind(text: &str, until: StickyMark) -> Result<BTreeMap<RoomKey, StickyMark>, InvalidToken> {
    let mut rooms: BTreeMap<RoomKey, StickyMark> = BTreeMap::new();
    for part in text.split('~') {
        let (room, at) = part.split_once('.').ok_or(InvalidToken)?;
        let (turn, pos) = at.split_once('.').ok_or(InvalidToken)?;
        let (room, at) = (RoomKey(number(room)?), mark(turn, pos)?);
        let follows = rooms.last_key_value().is_none_or(|(before, _)| *before < room);
        if at > until || !follows || rooms.len() >= MAX_BEHIND {
            return Err(InvalidToken);
        }
        rooms.insert(room, at);
    }
    Ok(rooms)
}
