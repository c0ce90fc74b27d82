//! The sticky-events extension (MSC4480): in all rooms that any list or subscription is about, within its ranges or not.
//!
//! So a client is told of rooms that it does not know yet, and Element Web's SDK drops what it is told of those: when a room
//! is shown for the first time, it is told again.

use std::collections::{BTreeMap, HashMap, HashSet};

use myelin_model::RoomNid;
use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Snapshot};
use myelin_sync_core::rooms::{RoomEntry, RoomKey};
use myelin_sync_core::sticky::{StickyMark, StickyToken};
use myelin_sync_core::window::WindowRequest;
use myelin_timeline::{Format, Viewer, client_events};

use crate::parts::{StickyAnswer, StickyRoomAnswer};
use crate::room_cache::RoomCache;
use crate::sliding::Asked;
use crate::sliding::request::Paged;
use crate::sliding::room::{Manner, WrittenRoom};
use crate::sticky::{MOST_STICKY, Sought, by_room, unshown};
use crate::user_rooms::{Facts, UserRooms};

/// A token is made new without anything to tell when so much has happened since: what has is looked through for each
/// answer.
const OLD: i64 = 1024;

/// The extension of one answer in the making.
pub(crate) struct StickyWanted {
    sought: Sought,
    token: StickyToken,
    most: usize,
}

impl StickyWanted {
    /// Looks for what the client was not told, while the user's rooms are held.
    pub(crate) async fn new(
        asked: &Asked<'_>,
        said: &Paged,
        (snapshot, cache): (&dyn Snapshot, &RoomCache),
        rooms: &mut UserRooms,
        request: &WindowRequest,
        (new, now): (&HashSet<RoomKey>, i64),
    ) -> Result<Self, ReadError> {
        let position = snapshot.position().get();
        // A place that the log has not reached is of a store that was lost: everything is told again.
        let token = asked.sticky.clone();
        let token = if token.mark > StickyMark::at(position) { StickyToken::default() } else { token };
        let wanted = |room, _: &Facts, entry: &RoomEntry| Some(request.wants(room, entry));
        let sought = Sought::new((snapshot, cache), rooms, &token, (new, now), wanted).await?;
        let most = said.limit.and_then(|limit| usize::try_from(limit).ok());
        Ok(Self { sought, token, most: most.unwrap_or(MOST_STICKY).min(MOST_STICKY) })
    }

    /// Reads it; nothing where the client may go on with the token it has.
    pub(crate) async fn read(
        self,
        snapshot: &dyn Snapshot,
        viewer: &Viewer,
        manner: Manner,
        written: &[WrittenRoom],
    ) -> Result<Option<StickyAnswer>, ReadError> {
        let Self { sought, token, most } = self;
        let room_ids = sought.room_ids();
        let mut found = sought.read(snapshot, viewer, most).await?;
        let (told, more) = (std::mem::take(&mut found.events), found.end.is_some());
        let silent = told.is_empty() && !more;
        let next = found.next(&token, snapshot.position().get());
        let is_first = token == StickyToken::default();
        if silent && !is_first && next.mark.turn - token.mark.turn < OLD {
            return Ok(None);
        }
        let shown: HashMap<RoomNid, &[Event]> =
            written.iter().map(|room| (room.room, room.shown.as_slice())).collect();
        let unshown = |(room, events): (RoomNid, Vec<Event>)| {
            unshown(events, shown.get(&room).copied().unwrap_or_default())
        };
        let events: Vec<Event> = by_room(told).into_iter().flat_map(unshown).collect();
        let forms = client_events(snapshot, viewer, manner.format(Format::SYNC_LIVE), &events).await?;
        let mut rooms: BTreeMap<String, StickyRoomAnswer> = BTreeMap::new();
        for (event, form) in events.iter().zip(forms) {
            let Some(room_id) = room_ids.get(&event.room) else { continue };
            rooms.entry(room_id.to_string()).or_default().events.push(form);
        }
        Ok(Some(StickyAnswer { next_batch: next.to_string(), rooms, more }))
    }
}
