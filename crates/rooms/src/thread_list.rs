//! `/threads`: the roots of a room's threads, the one with the latest reply first
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads>).

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Event, Thread, ThreadParticipant};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::token::PageToken;
use myelin_timeline::{Format, Viewer, client_events, load_by_id, visible};
use ruma::{EventId, RoomId};

use crate::paging::order_of;
use crate::reading::{ReadingError, standing};
use crate::{RelatedPage, Rooms};

/// The most threads one page holds.
const MOST_THREADS: usize = 100;
/// The most threads that are looked at for one page.
const MOST_SEEN: usize = 5_000;

/// Which threads to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    /// All.
    All,
    /// Those that the viewer has begun or replied in.
    Participated,
}

impl Rooms {
    /// A page of the room's threads, as far as the viewer may see them. `from` is a place in the order of their latest
    /// replies.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn threads(
        &self,
        viewer: &Viewer,
        room_id: &RoomId,
        include: Include,
        from: Option<PageToken>,
        limit: usize,
    ) -> Result<RelatedPage, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, _) = standing(&*snapshot, room_id, &viewer.user_id).await?;
        let mut before = match from {
            Some(token) => order_of(&*snapshot, room, token).await?,
            None => i64::MAX,
        };
        let limit = limit.min(MOST_THREADS);
        let (mut page, mut seen, mut next) = (Vec::with_capacity(limit), 0, None);
        'scan: while seen < MOST_SEEN {
            const BATCH: usize = 128;
            let scan = Scan::index::<Thread>(Thread::BY_LATEST, (room,), BATCH);
            let rows = snapshot.scan::<Thread>(scan.before((before,)).backward()).await?;
            seen += rows.len();
            for (thread, root) in shown(&*snapshot, viewer, room, include, &rows).await? {
                if page.len() == limit {
                    next = Some(PageToken::Before(before));
                    break 'scan;
                }
                before = thread.latest_order;
                page.push(root);
            }
            match rows.last() {
                Some(last) if rows.len() == BATCH => before = last.latest_order,
                _ => break,
            }
            next = Some(PageToken::Before(before)).filter(|_| seen >= MOST_SEEN);
        }
        let chunk = client_events(&*snapshot, viewer, Format::CLIENT, &page).await?;
        Ok(RelatedPage { chunk, next })
    }
}

/// The roots of these threads that are listed, each with its thread, in the same order.
async fn shown<'t>(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    room: RoomNid,
    include: Include,
    threads: &'t [Thread],
) -> Result<Vec<(&'t Thread, Event)>, ReadError> {
    let ids: Vec<&EventId> = threads.iter().map(|thread| &*thread.root).collect();
    let roots = load_by_id(snapshot, &ids).await?;
    let found: Vec<(&Thread, Event)> = threads
        .iter()
        .zip(roots)
        .filter_map(|(thread, root)| Some((thread, root?)))
        .filter(|(thread, root)| thread.replies > 0 && root.room == room)
        .collect();
    let own: Vec<_> =
        found.iter().map(|(thread, _)| (room, thread.root.clone(), viewer.user_id.clone())).collect();
    let parts = match include {
        Include::All => Vec::new(),
        Include::Participated => snapshot.get_all::<ThreadParticipant>(&own).await?,
    };
    let events: Vec<Event> = found.iter().map(|(_, root)| root.clone()).collect();
    let visible = visible(snapshot, viewer, &events).await?;
    let took_part = |n: usize, root: &Event| {
        include == Include::All
            || root.sender == viewer.user_id
            || parts.get(n).is_some_and(|part| part.as_ref().is_some_and(|part| part.replies > 0))
    };
    let listed = found.into_iter().zip(visible).enumerate();
    Ok(listed
        .filter(|(n, ((_, root), visible))| *visible && took_part(*n, root))
        .map(|(_, (found, _))| found)
        .collect())
}
