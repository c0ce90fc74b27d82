//! `/timestamp_to_event`: the event of a moment
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event>).

use myelin_store::schema::rooms::Event;
use myelin_store::{Reader, Scan};
use myelin_timeline::{Viewer, visible};
use ruma::{OwnedEventId, RoomId};

use crate::reading::{ReadingError, standing};
use crate::{Rooms, Towards};

/// The most events that are looked at until one is found that the viewer may see.
const MOST_SEEN: usize = 2_000;

impl Rooms {
    /// The event nearest to a time that the viewer may see, at it or this way of it: its id and its own time, in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// [`ReadingError::NotFound`] where there is none.
    pub async fn event_at(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        ts: i64,
        towards: Towards,
    ) -> Result<(OwnedEventId, i64), ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, _) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        const BATCH: usize = 32;
        // After each batch the scan goes on from its last time; what that time's events are seen again does no harm.
        let (mut from, mut seen, mut size) = (ts, 0, BATCH);
        while seen < MOST_SEEN {
            let scan = Scan::index::<Event>(Event::BY_TIME, (room,), size);
            let scan = match towards {
                Towards::Past => scan.up_to((from,)).backward(),
                Towards::Future => scan.from((from,)),
            };
            let events = snapshot.scan::<Event>(scan).await?;
            let shown = visible(&*snapshot, viewer, &events).await?;
            let found = events.iter().zip(shown).find(|(event, shown)| *shown && event.order.is_some());
            if let Some((event, _)) = found {
                return Ok((event.event_id.clone(), event.origin_server_ts));
            }
            let Some(last) = events.last().filter(|_| events.len() == size) else { break };
            seen += events.len();
            // A whole batch of one time: a larger one gets past it.
            if last.origin_server_ts == from {
                size = (size * 2).min(MOST_SEEN);
            }
            from = last.origin_server_ts;
        }
        Err(ReadingError::NotFound)
    }
}
