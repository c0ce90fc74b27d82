//! One answer of sliding sync, from one snapshot.

use std::collections::{BTreeMap, HashSet};

use myelin_model::{Pos, RoomNid};
use myelin_store::schema::e2ee::read::to_device;
use myelin_store::schema::rooms::State;
use myelin_store::schema::users::GLOBAL;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::connection::{Connection, Progress};
use myelin_sync_core::rooms::{RoomKey, Standing};
use myelin_sync_core::window::{Window, WindowRequest, select};
use myelin_timeline::Viewer;
use ruma::{OwnedRoomId, RoomId};
use serde::Serialize;

use crate::Sync;
use crate::connections::LiveState;
use crate::devices::{KeyCounts, MemberChanges, key_counts};
use crate::parts::{
    AccountDataAnswer, DeviceListsAnswer, E2eeAnswer, ExtensionsAnswer, ReceiptsWanted, RoomsAnswer,
    ToDeviceAnswer, all_global, all_of_rooms, bare, changed_account_data, receipts, to_device_answer,
    typing_event,
};
use crate::rooms::UserRooms;
use crate::sliding::request::{Extensions, Scope};
use crate::sliding::room::{Due, Manner, RoomAnswer, WrittenRoom, write_rooms};
use crate::sliding::sticky::StickyWanted;
use crate::sliding::{Asked, SlidingError};
use crate::users::Reading;

/// Messages of an inbox in one answer, unless the client wants fewer.
const MESSAGES: u64 = 100;
/// The most it may want.
const MOST_MESSAGES: u64 = 1000;
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
struct Picked {
    due: Vec<Due>,
    window: Window,
    /// The rooms of the window that the user is in, by number.
    rooms: Vec<WindowRoom>,
    members: Option<MemberChanges>,
    sticky: Option<StickyWanted>,
}

struct WindowRoom {
    room: RoomNid,
    room_id: OwnedRoomId,
    joined: bool,
    /// Its place in the window.
    wanted: usize,
}

impl Making<'_> {
    pub(crate) async fn make(self, reading: Reading<'_>) -> Result<Made, SlidingError> {
        let Self { sync, asked, state } = self;
        let Reading { snapshot, rooms, .. } = reading;
        let snapshot = &*snapshot;
        let LiveState { connection, extensions, counts: told, .. } = state;
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
        let mut making = MakingExtensions { sync, asked, snapshot, connection, progress, said: extensions };
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
    let due = due.into_iter().filter_map(|due| {
        let facts = rooms.facts(RoomNid(due.room.0))?.clone();
        Some(Due { due, facts })
    });
    let in_window = window.rooms.iter().enumerate().filter_map(|(wanted, room)| {
        let facts = rooms.facts(RoomNid(room.room.0))?;
        let joined = rooms.list.entry(room.room)?.standing == Standing::Joined;
        Some(WindowRoom { room: RoomNid(room.room.0), room_id: facts.room_id.clone(), joined, wanted })
    });
    let needs_rooms = [&extensions.account_data, &extensions.receipts, &extensions.typing];
    let in_window =
        if needs_rooms.iter().any(|scope| scope.is_on()) { in_window.collect() } else { Vec::new() };
    let members = (extensions.e2ee.is_on() && !connection.is_new())
        .then(|| MemberChanges::collect(rooms, connection.seen().position));
    let at = (snapshot.position().get(), now);
    let sticky = extensions.sticky().map(|said| StickyWanted::new(asked, said, rooms, &request, at));
    Ok(Picked { due: due.collect(), rooms: in_window, members, sticky, window })
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

struct MakingExtensions<'a> {
    sync: &'a Sync,
    asked: &'a Asked<'a>,
    snapshot: &'a dyn Snapshot,
    connection: &'a Connection,
    progress: Progress,
    said: &'a Extensions,
}

impl MakingExtensions<'_> {
    async fn all(&mut self, picked: &Picked, written: &[WrittenRoom]) -> Result<ExtensionsAnswer, ReadError> {
        let mut answer = ExtensionsAnswer::default();
        if self.said.to_device.enabled == Some(true) {
            answer.to_device = self.to_device().await?;
        }
        if self.said.e2ee.is_on() {
            answer.e2ee = self.e2ee(picked).await?;
        }
        if self.said.account_data.is_on() {
            answer.account_data = Some(self.account_data(picked).await?);
        }
        if self.said.receipts.is_on() {
            answer.receipts = Some(self.receipts(picked, written).await?);
        }
        if self.said.typing.is_on() {
            answer.typing = Some(self.typing(picked, written));
        }
        Ok(answer)
    }

    async fn to_device(&self) -> Result<Option<ToDeviceAnswer>, ReadError> {
        let requester = self.asked.requester;
        let Some(device_id) = requester.device_id() else { return Ok(None) };
        let limit = self.said.to_device.limit.unwrap_or(MESSAGES).min(MOST_MESSAGES);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let since: Pos = self.asked.inbox;
        let messages = to_device(self.snapshot, &requester.user_id, device_id, since, limit).await?;
        Ok(Some(to_device_answer(since, &messages)))
    }

    async fn e2ee(&self, picked: &Picked) -> Result<Option<E2eeAnswer>, ReadError> {
        let user_id = &self.asked.requester.user_id;
        let Some(device_id) = self.asked.requester.device_id() else { return Ok(None) };
        let device_lists = match &picked.members {
            Some(members) => {
                let moves = members.read(self.snapshot).await?;
                let lists = members.device_lists(self.snapshot, user_id, moves).await?;
                let changed = lists.changed.into_iter().collect();
                Some(DeviceListsAnswer { changed, left: lists.left.into_iter().collect() })
            }
            None => None,
        };
        Ok(Some(E2eeAnswer { device_lists, counts: key_counts(self.snapshot, user_id, device_id).await? }))
    }

    async fn account_data(&mut self, picked: &Picked) -> Result<AccountDataAnswer, ReadError> {
        let user_id = &self.asked.requester.user_id;
        let mut changed = if self.connection.seen().account_data {
            changed_account_data(self.snapshot, user_id, self.connection.seen().position).await?
        } else {
            Default::default()
        };
        let global = changed.remove(&GLOBAL);
        let global = if self.connection.seen().account_data {
            global.unwrap_or_default()
        } else {
            self.progress.globals().account_data = true;
            all_global(self.snapshot, user_id).await?
        };
        let mut rooms = BTreeMap::new();
        let mut first = Vec::new();
        for room in self.in_scope(picked, &self.said.account_data) {
            let key = RoomKey(room.room.0);
            let is_new = self.connection.noted(&self.progress, key).is_some_and(|noted| !noted.account_data);
            if is_new && let Some(sent) = self.connection.progress_of(&mut self.progress, key) {
                sent.account_data = true;
                changed.remove(&room.room);
                first.push(room);
            }
        }
        let nids: Vec<RoomNid> = first.iter().map(|room| room.room).collect();
        let mut all = all_of_rooms(self.snapshot, user_id, &nids).await?;
        for room in first {
            if let Some(events) = all.remove(&room.room) {
                rooms.insert(room.room_id.to_string(), events);
            }
        }
        // Once told of a room's account data, a client is told of its changes wherever the room stands.
        let followed =
            |room: &RoomNid| self.connection.room(RoomKey(room.0)).is_some_and(|sent| sent.account_data);
        changed.retain(|room, _| followed(room));
        let keys: Vec<_> = changed.keys().map(|room| (*room,)).collect();
        let named = self.snapshot.get_all::<myelin_store::schema::rooms::Room>(&keys).await?;
        for room in named.into_iter().flatten() {
            if let Some(events) = changed.remove(&room.room) {
                rooms.insert(room.room_id.to_string(), events);
            }
        }
        Ok(AccountDataAnswer { global, rooms })
    }

    async fn receipts(&mut self, picked: &Picked, written: &[WrittenRoom]) -> Result<RoomsAnswer, ReadError> {
        let position = self.snapshot.position().get();
        let scope: Vec<&WindowRoom> =
            self.in_scope(picked, &self.said.receipts).filter(|room| room.joined).collect();
        let mut wanted = Vec::new();
        let mut following = Vec::new();
        for room in scope {
            let key = RoomKey(room.room.0);
            let Some(noted) = self.connection.noted(&self.progress, key) else { continue };
            if noted.receipts == 0 {
                if let Some(sent) = self.connection.progress_of(&mut self.progress, key) {
                    sent.receipts = position;
                }
                let shown = written.iter().find(|written| written.room == room.room);
                let events = shown.into_iter().flat_map(|room| &room.shown);
                let events: HashSet<String> = events.map(|event| event.event_id.to_string()).collect();
                wanted.push((room, ReceiptsWanted::Initial(events)));
            } else {
                following.push((room.room, noted.receipts, room));
            }
        }
        for (nid, since, room) in self.sync.notifier.active(following.into_iter(), position) {
            if let Some(sent) = self.connection.progress_of(&mut self.progress, RoomKey(nid.0)) {
                sent.receipts = position;
            }
            wanted.push((room, ReceiptsWanted::After(since)));
        }
        let (rooms, wanted): (Vec<&WindowRoom>, Vec<_>) =
            wanted.into_iter().map(|(room, wanted)| (room, (room.room, wanted))).unzip();
        let contents = receipts(self.snapshot, &self.asked.requester.user_id, &wanted).await?;
        let event = |room: &WindowRoom| {
            let content = contents.get(&room.room)?;
            Some((room.room_id.to_string(), bare("m.receipt", content)?))
        };
        Ok(RoomsAnswer { rooms: rooms.into_iter().filter_map(event).collect() })
    }

    fn typing(&mut self, picked: &Picked, written: &[WrittenRoom]) -> RoomsAnswer {
        let typing = &self.sync.typing;
        // The counter comes first: what changes in between is told twice rather than never.
        let counter = typing.counter();
        let seen = self.connection.seen().typing;
        let mut changed = if counter == seen { Vec::new() } else { typing.changed_after(seen) };
        // To a client that knows nothing, that nobody types is no news.
        changed.retain(|(_, users)| seen != 0 || !users.is_empty());
        let new: HashSet<RoomNid> = written.iter().map(|room| room.room).collect();
        if seen != 0 && !new.is_empty() {
            let current = typing.changed_after(0).into_iter();
            changed.extend(current.filter(|(room, users)| new.contains(room) && !users.is_empty()));
        }
        self.progress.globals().typing = counter;
        if changed.is_empty() {
            return RoomsAnswer::default();
        }
        let scope: BTreeMap<RoomNid, &WindowRoom> = self
            .in_scope(picked, &self.said.typing)
            .filter(|room| room.joined)
            .map(|room| (room.room, room))
            .collect();
        let event = |(room, users): (RoomNid, Vec<ruma::OwnedUserId>)| {
            Some((scope.get(&room)?.room_id.to_string(), typing_event(&users)?))
        };
        RoomsAnswer { rooms: changed.into_iter().filter_map(event).collect() }
    }

    /// The rooms of the window that an extension is wanted for.
    fn in_scope<'p>(
        &self,
        picked: &'p Picked,
        scope: &Scope,
    ) -> impl Iterator<Item = &'p WindowRoom> + use<'p> {
        let names = picked.window.counts.keys().enumerate();
        let wanted = |name: &String| scope.lists.as_ref().is_none_or(|lists| lists.contains(name));
        let lists: Vec<usize> = names.filter(|(_, name)| wanted(name)).map(|(number, _)| number).collect();
        let rooms: Option<HashSet<String>> = scope
            .rooms
            .as_ref()
            .filter(|rooms| !rooms.iter().any(|room| room == "*"))
            .map(|rooms| rooms.iter().cloned().collect());
        picked.rooms.iter().filter(move |room| {
            let Some(wanted) = picked.window.rooms.get(room.wanted) else { return false };
            let named = || rooms.as_ref().is_none_or(|rooms| rooms.contains(room.room_id.as_str()));
            lists.iter().any(|list| wanted.lists.has(*list)) || (wanted.subscribed && named())
        })
    }
}
