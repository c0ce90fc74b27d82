//! Which events are past their time (MSC1763): the room's policy, within what the configuration allows.

use std::collections::HashMap;

use myelin_model::RoomNid;

use super::{RoomRetention, ServerRetention};
use crate::schema::rooms::Event;
use crate::{ReadError, Reader, Snapshot};

/// The longest lifetime there is, in milliseconds: the largest integer that events hold.
pub const MOST_LIFETIME: i64 = (1 << 53) - 1;

/// The key of the one row of [`ServerRetention`].
const ROW: &str = "configuration";

impl ServerRetention {
    /// Where nothing is configured: rooms decide.
    #[must_use]
    pub fn new() -> Self {
        Self { name: ROW.to_owned(), default_max: None, allowed_min: None, allowed_max: None }
    }

    /// The key of the one row.
    #[must_use]
    pub fn key() -> (String,) {
        (ROW.to_owned(),)
    }

    /// For how many milliseconds events are kept in a room with this policy; none: for ever. What the room leaves open is as
    /// the server's default says, but no less than the room's own minimum.
    #[must_use]
    pub fn lifetime(&self, room: Option<&RoomRetention>) -> Option<i64> {
        let floor = room.and_then(|room| room.min_lifetime).unwrap_or(0);
        let asked = room.and_then(|room| room.max_lifetime);
        let lifetime = asked.or_else(|| self.default_max.map(|default| default.max(floor)))?;
        let least = lifetime.max(self.allowed_min.unwrap_or(0));
        Some(least.min(self.allowed_max.unwrap_or(MOST_LIFETIME)))
    }
}

impl Default for ServerRetention {
    fn default() -> Self {
        Self::new()
    }
}

/// For how long some rooms keep their events, in milliseconds. Rooms that keep them for ever are absent.
pub type Lifetimes = HashMap<RoomNid, i64>;

/// For how long these rooms keep their events. Two reads at most, however many rooms.
///
/// # Errors
/// When the store can't be read.
pub async fn lifetimes(snapshot: &dyn Snapshot, rooms: &[RoomNid]) -> Result<Lifetimes, ReadError> {
    let Some(server) = snapshot.get::<ServerRetention>(&ServerRetention::key()).await? else {
        return Ok(Lifetimes::new());
    };
    let keys: Vec<_> = rooms.iter().map(|room| (*room,)).collect();
    let policies = snapshot.get_all::<RoomRetention>(&keys).await?;
    let each = rooms.iter().zip(&policies);
    Ok(each.filter_map(|(room, policy)| Some((*room, server.lifetime(policy.as_ref())?))).collect())
}

/// Which events of some rooms are past their time at some moment.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    before: HashMap<RoomNid, i64>,
}

impl Expiry {
    /// Reads the policies of these rooms. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn read(snapshot: &dyn Snapshot, rooms: &[RoomNid], now: i64) -> Result<Self, ReadError> {
        let lifetimes = lifetimes(snapshot, rooms).await?;
        let before = lifetimes.into_iter().map(|(room, lifetime)| (room, now.saturating_sub(lifetime)));
        Ok(Self { before: before.collect() })
    }

    /// The time before which events of the room are past theirs, if there is one.
    #[must_use]
    pub fn before(&self, room: RoomNid) -> Option<i64> {
        self.before.get(&room).copied()
    }

    /// Whether the event is past its time. State never is.
    #[must_use]
    pub fn has_taken(&self, event: &Event) -> bool {
        event.state_key.is_none()
            && self.before(event.room).is_some_and(|before| event.origin_server_ts < before)
    }
}

#[cfg(test)]
mod tests {
    use myelin_model::RoomNid;

    use super::{RoomRetention, ServerRetention};

    #[test]
    fn a_room_keeps_events_as_long_as_it_asks_within_what_the_server_allows() {
        let server = |default_max, allowed_min, allowed_max| ServerRetention {
            default_max,
            allowed_min,
            allowed_max,
            ..ServerRetention::new()
        };
        let room =
            |min_lifetime, max_lifetime| RoomRetention { room: RoomNid(1), min_lifetime, max_lifetime };
        for (server, room, lifetime) in [
            (server(None, None, None), None, None),
            (server(None, None, None), Some(room(None, Some(70))), Some(70)),
            (server(None, None, None), Some(room(Some(70), None)), None),
            (server(Some(50), None, None), None, Some(50)),
            (server(Some(50), None, None), Some(room(None, Some(70))), Some(70)),
            (server(Some(50), None, None), Some(room(Some(60), None)), Some(60)),
            (server(Some(50), None, Some(55)), Some(room(Some(60), None)), Some(55)),
            (server(None, Some(10), Some(60)), Some(room(None, Some(5))), Some(10)),
            (server(None, Some(10), Some(60)), Some(room(None, Some(70))), Some(60)),
            (server(None, Some(10), Some(60)), None, None),
        ] {
            assert_eq!(server.lifetime(room.as_ref()), lifetime, "{server:?} {room:?}");
        }
    }
}
