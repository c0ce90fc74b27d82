//! One answer of sliding sync, from one snapshot.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::State;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::connection::{Connection, Progress};
use myelin_sync_core::rooms::{RoomKey, Standing};
use myelin_sync_core::window::{Window, WindowRequest, select};
use myelin_timeline::Viewer;
use ruma::{OwnedRoomId, RoomId};
use serde::Serialize;

use crate::Sync;
use crate::connections::LiveState;
use crate::devices::{KeyCounts, MemberChanges};
use crate::parts::ExtensionsAnswer;
use crate::rooms::UserRooms;
use crate::sliding::extensions::MakingExtensions;
use crate::sliding::request::Extensions;
use crate::sliding::room::{Due, Manner, RoomAnswer, write_rooms};
use crate::sliding::sticky::StickyWanted;
use crate::sliding::{Asked, SlidingError};
use crate::users::Reading;

/// The most children of a space.
const MOST_CHILDREN: usize = 100_000;

/// The answer's JSON, but for its `pos`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    pos: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    txn_id: Option<String>,
    lists: BTreeMap<String, ListAnswer>,
    rooms: BTreeMap<String, RoomAnswer>,
    extensions: ExtensionsAnswer,
}

impl Answer {
    pub(crate) fn with_pos(self, pos: String) -> Self {
        Self { pos, ..self }
    }
}

#[derive(Debug, Serialize)]
struct ListAnswer {
    count: usize,
}

/// An answer, and what the connection remembers if it is sent.
pub(crate) struct Made {
    pub(crate) answer: Answer,
    pub(crate) progress: Progress,
    pub(crate) counts: Option<KeyCounts>,
    /// There is something in it to wake a client for.
    pub(crate) is_news: bool,
}

pub(crate) struct Making<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) state: &'a mut LiveState,
}

/// What is read later, taken from the user's rooms while they are held.
pub(super) struct Picked {
    due: Vec<Due>,
    pub(super) window: Window,
    /// The rooms of the window that the user is in, by number.
    pub(super) rooms: Vec<WindowRoom>,
    pub(super) members: Option<MemberChanges>,
    /// The rooms that the user is in.
    pub(super) own_rooms: Arc<HashSet<RoomNid>>,
    sticky: Option<StickyWanted>,
}

pub(super) struct WindowRoom {
    pub(super) room: RoomNid,
    pub(super) room_id: OwnedRoomId,
    pub(super) joined: bool,
    /// Its place in the window.
    pub(super) wanted: usize,
}

impl Making<'_> {
    pub(crate) async fn make(self, reading: Reading<'_>) -> Result<Made, SlidingError> {
        let Self { sync, asked, state } = self;
        let Reading { snapshot, rooms, .. } = reading;
        let snapshot = &*snapshot;
        let LiveState { connection, extensions, counts: told, typing_missed, .. } = state;
        let connection = connection.get_or_insert_with(|| Connection::new(0));
        let now = i64::try_from(sync.env.clock.now()).unwrap_or(i64::MAX);
        let mut picked = pick(snapshot, asked, now, connection, extensions, &rooms).await?;
        // From here on the snapshot is enough; other requests of the user may go on.
        drop(rooms);

        let session = Some(asked.requester.session);
        let viewer = Viewer { user_id: asked.requester.user_id.clone(), session, now };
        let live_since = (!connection.is_new()).then_some(connection.seen().position);
        let manner = Manner { live_since, stable_sticky: extensions.sticky_events.is_on() };
        let written = write_rooms(snapshot, &viewer, &picked.due, manner).await?;
        let mut progress = connection.begin(snapshot.position().get());
        for room in &written {
            if let Some(due) = picked.due.iter().find(|due| due.due.room == RoomKey(room.room.0)) {
                connection.sent(&mut progress, &due.due, room.timeline, room.lazy.clone());
            }
        }
        let sticky = picked.sticky.take();
        let mut making =
            MakingExtensions { sync, asked, snapshot, connection, progress, said: extensions, typing_missed };
        let mut answers = making.all(&picked, &written).await?;
        let progress = making.progress;
        if let Some(sticky) = sticky {
            let sticky = sticky.read(snapshot, &viewer, manner, &written).await?;
            answers.set_sticky(sticky, manner.stable_sticky);
        }
        let counts = answers.e2ee.as_ref().map(|e2ee| e2ee.counts.clone());
        let counts_changed = told.is_some() && counts.is_some() && *told != counts;
        let is_news = !written.is_empty() || answers.is_news() || counts_changed;
        let lists = picked.window.counts.into_iter();
        let answer = Answer {
            pos: String::new(),
            txn_id: asked.request.txn_id.clone(),
            lists: lists.map(|(name, count)| (name, ListAnswer { count })).collect(),
            rooms: written.into_iter().map(|room| (room.room_id, room.answer)).collect(),
            extensions: answers,
        };
        Ok(Made { answer, progress, counts, is_news })
    }
}

async fn pick(
    snapshot: &dyn Snapshot,
    asked: &Asked<'_>,
    now: i64,
    connection: &mut Connection,
    extensions: &Extensions,
    rooms: &UserRooms,
) -> Result<Picked, SlidingError> {
    let mut request = asked.window.clone();
    let number = |room_id: &RoomId| rooms.by_id(room_id).map(|room| RoomKey(room.0));
    request.subscriptions = asked.request.subscriptions(&asked.requester.user_id, number)?;
    resolve_spaces(snapshot, asked, rooms, &mut request).await?;
    let window = select(&rooms.list, &request);
    let due = connection.plan(&rooms.list, &window);
    let new = due.iter().filter(|due| due.known.is_none()).map(|due| due.room).collect();
    let due = due.into_iter().filter_map(|due| {
        let facts = rooms.facts(RoomNid(due.room.0))?.clone();
        Some(Due { due, facts })
    });
    let in_window = window.rooms.iter().enumerate().filter_map(|(wanted, room)| {
        let facts = rooms.facts(RoomNid(room.room.0))?;
        let joined = rooms.list.entry(room.room)?.standing == Standing::Joined;
        Some(WindowRoom { room: RoomNid(room.room.0), room_id: facts.room_id.clone(), joined, wanted })
    });
    let profiles = &extensions.profiles.scope;
    let needs_rooms = [&extensions.account_data, &extensions.receipts, &extensions.typing, profiles];
    let in_window =
        if needs_rooms.iter().any(|scope| scope.is_on()) { in_window.collect() } else { Vec::new() };
    let needs_members = extensions.e2ee.is_on() || profiles.is_on();
    let seen = connection.seen();
    let since =
        if extensions.e2ee.is_on() { seen.missed_devices.since(seen.position) } else { Some(seen.position) };
    let since = since.filter(|_| needs_members && !connection.is_new());
    let members = since.map(|since| MemberChanges::collect(rooms, since));
    let at = (snapshot.position().get(), now);
    let sticky = extensions.sticky().map(|said| StickyWanted::new(asked, said, rooms, &request, &new, at));
    let own_rooms = rooms.joined();
    Ok(Picked { due: due.collect(), rooms: in_window, members, own_rooms, sticky, window })
}

/// Replaces the spaces that a list asks for by the rooms in them.
async fn resolve_spaces(
    snapshot: &dyn Snapshot,
    asked: &Asked<'_>,
    rooms: &UserRooms,
    request: &mut WindowRequest,
) -> Result<(), ReadError> {
    for (name, list) in &asked.request.lists {
        let spaces = list.filters.as_ref().and_then(|filters| filters.spaces.as_ref());
        let (Some(spaces), Some(request)) = (spaces, request.lists.get_mut(name)) else { continue };
        // Only spaces that the user is in: of others they must not learn what is in them.
        let joined = spaces
            .iter()
            .filter_map(|space| rooms.by_id(space))
            .filter(|space| rooms.entry(*space).is_some_and(|entry| entry.standing == Standing::Joined));
        let scan = |space| Scan::prefix::<State>((space, "m.space.child".to_owned()), MOST_CHILDREN);
        let children = snapshot.scan_all::<State>(joined.map(scan).collect()).await?;
        let children =
            children.iter().flatten().filter_map(|row| <&RoomId>::try_from(row.state_key.as_str()).ok());
        let within = children.filter_map(|child| rooms.by_id(child)).map(|room| RoomKey(room.0));
        request.filter.within = Some(within.collect());
    }
    Ok(())
}
