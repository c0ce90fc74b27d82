//! The extensions of one answer but for sticky events.

use std::collections::{BTreeMap, HashMap, HashSet};

use myelin_model::{Pos, RoomNid};
use myelin_store::schema::e2ee::read::to_device;
use myelin_store::schema::users::GLOBAL;
use myelin_store::{ReadError, Snapshot};
use myelin_sync_core::connection::{Connection, Missed, Progress, TimelineSent};
use myelin_sync_core::rooms::RoomKey;
use myelin_sync_core::token::ThreadsToken;

use crate::Sync;
use crate::devices::{Moves, key_counts};
use crate::parts::{
    AccountDataAnswer, DeviceListsAnswer, E2eeAnswer, ExtensionsAnswer, ReceiptsWanted, RoomsAnswer,
    ToDeviceAnswer, all_global, all_of_rooms, bare, changed_account_data, receipts, to_device_answer,
    typing_event,
};
use crate::sliding::Asked;
use crate::sliding::pick::{Picked, WindowRoom};
use crate::sliding::request::{Extensions, Scope};
use crate::sliding::room::WrittenRoom;
use crate::threads::{ThreadsAnswer, limit, read_threads};

/// Messages of an inbox in one answer, unless the client wants fewer.
const MESSAGES: u64 = 100;
/// The most it may want.
const MOST_MESSAGES: u64 = 1000;

pub(super) struct MakingExtensions<'a> {
    pub(super) sync: &'a Sync,
    pub(super) asked: &'a Asked<'a>,
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) connection: &'a Connection,
    pub(super) progress: Progress,
    pub(super) said: &'a Extensions,
    pub(super) typing_missed: &'a mut HashMap<RoomNid, Option<u64>>,
}

impl MakingExtensions<'_> {
    pub(super) async fn all(
        &mut self,
        picked: &Picked,
        written: &[WrittenRoom],
    ) -> Result<ExtensionsAnswer, ReadError> {
        let mut answer = ExtensionsAnswer::default();
        if self.said.to_device.enabled == Some(true) {
            answer.to_device = self.to_device().await?;
        }
        let moves = match &picked.members {
            Some(members) => members.read(self.snapshot).await?,
            None => Moves::default(),
        };
        if self.said.e2ee.is_on() {
            self.progress.globals().missed_devices = Missed::Nothing;
            answer.e2ee = self.e2ee(picked, moves.clone()).await?;
        } else {
            let seen = self.connection.seen();
            self.progress.globals().missed_devices = seen.missed_devices.more(seen);
        }
        if self.said.account_data.is_on() {
            self.progress.globals().missed_account_data = Missed::Nothing;
            answer.account_data = Some(self.account_data(picked).await?);
        } else if self.connection.seen().account_data {
            let seen = self.connection.seen();
            self.progress.globals().missed_account_data = seen.missed_account_data.more(seen);
        }
        if self.said.receipts.is_on() {
            answer.receipts = Some(self.receipts(picked, written).await?);
        }
        if self.said.typing.is_on() {
            answer.typing = Some(self.typing(picked, written).await?);
        }
        answer.threads = self.threads().await?;
        answer.profiles = self.profiles(picked, written, moves).await?;
        Ok(answer)
    }

    /// What changed of the user's thread subscriptions (MSC4308): everything the first time, or after it was off.
    async fn threads(&mut self) -> Result<Option<ThreadsAnswer>, ReadError> {
        let is_on = self.said.threads.enabled == Some(true);
        self.progress.globals().threads = is_on;
        if !is_on {
            return Ok(None);
        }
        let seen = self.connection.seen();
        let after = if seen.threads { seen.told() } else { 0 };
        let limit = limit(self.said.threads.limit);
        let wanted = ThreadsToken { before: i64::MAX, after };
        let (answer, more) =
            read_threads(self.snapshot, &self.asked.requester.user_id, wanted, limit).await?;
        Ok((!answer.is_empty()).then(|| answer.with_prev_batch(more)))
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

    async fn e2ee(&self, picked: &Picked, moves: Moves) -> Result<Option<E2eeAnswer>, ReadError> {
        let user_id = &self.asked.requester.user_id;
        let Some(device_id) = self.asked.requester.device_id() else { return Ok(None) };
        let device_lists = match &picked.members {
            Some(members) => {
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
        let seen = self.connection.seen();
        let since = seen.missed_account_data.since(seen.told()).filter(|_| seen.account_data);
        let position = self.snapshot.position().get();
        let mut changed = match since {
            Some(since) if self.sync.notifier.is_user_quiet(user_id, since, position) => HashMap::new(),
            Some(since) => changed_account_data(self.snapshot, user_id, since).await?,
            None => HashMap::new(),
        };
        let global = changed.remove(&GLOBAL);
        let global = if since.is_some() {
            global.unwrap_or_default()
        } else {
            self.progress.globals().account_data = true;
            all_global(self.snapshot, user_id).await?
        };
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
        let all = all_of_rooms(self.snapshot, user_id, &nids).await?;
        // Once told of a room's account data, a client is told of its changes wherever the room stands.
        let followed =
            |room: &RoomNid| self.connection.room(RoomKey(room.0)).is_some_and(|sent| sent.account_data);
        changed.retain(|room, _| followed(room));
        changed.extend(all);
        let rooms = self.by_id(changed).await?;
        Ok(AccountDataAnswer { global, rooms })
    }

    async fn receipts(&mut self, picked: &Picked, written: &[WrittenRoom]) -> Result<RoomsAnswer, ReadError> {
        let position = self.snapshot.position().get();
        let scope: Vec<&WindowRoom> =
            self.in_scope(picked, &self.said.receipts).filter(|room| room.joined).collect();
        let written: HashMap<RoomNid, &WrittenRoom> =
            written.iter().map(|written| (written.room, written)).collect();
        let mut wanted = Vec::new();
        let mut following = Vec::new();
        for room in scope {
            let key = RoomKey(room.room.0);
            let Some(noted) = self.connection.noted(&self.progress, key) else { continue };
            let since = noted.receipts;
            let shown = written.get(&room.room);
            // A timeline that grew backwards shows events whose receipts were not sent with them.
            let widened = shown.is_some_and(|shown| shown.timeline == TimelineSent::Newest);
            if since != 0 && !widened {
                following.push((room.room, since, room));
                continue;
            }
            if let Some(sent) = self.connection.progress_of(&mut self.progress, key) {
                sent.receipts = position;
            }
            let events = shown.into_iter().flat_map(|room| &room.shown);
            let events: HashSet<String> = events.map(|event| event.event_id.to_string()).collect();
            let first = since == 0;
            wanted.push((
                room,
                if first { ReceiptsWanted::Initial(events) } else { ReceiptsWanted::Shown(events, since) },
            ));
        }
        let active = self.sync.notifier.active(following.into_iter(), position);
        let nids: Vec<RoomNid> = active.iter().map(|(nid, ..)| *nid).collect();
        let recents = self.sync.users.recents.known(position, &nids);
        for (nid, since, room) in active {
            if recents.get(&nid).is_some_and(|recent| recent.receipts_changed <= since) {
                continue;
            }
            if let Some(sent) = self.connection.progress_of(&mut self.progress, RoomKey(nid.0)) {
                sent.receipts = position;
            }
            wanted.push((room, ReceiptsWanted::After(since)));
        }
        let wanted: Vec<_> = wanted.into_iter().map(|(room, wanted)| (room.room, wanted)).collect();
        let contents = receipts(self.snapshot, &self.asked.requester.user_id, &wanted).await?;
        let events =
            contents.into_iter().filter_map(|(room, content)| Some((room, bare("m.receipt", &content)?)));
        Ok(RoomsAnswer { rooms: self.by_id(events).await? })
    }

    /// What belongs to rooms, by their ids.
    async fn by_id<T>(
        &self,
        rooms: impl IntoIterator<Item = (RoomNid, T)>,
    ) -> Result<BTreeMap<String, T>, ReadError> {
        let rooms: Vec<(RoomNid, T)> = rooms.into_iter().collect();
        if rooms.is_empty() {
            return Ok(BTreeMap::new());
        }
        let nids: Vec<RoomNid> = rooms.iter().map(|(room, _)| *room).collect();
        let facts = self.sync.users.cache.read(self.snapshot, &nids).await?;
        let named =
            rooms.into_iter().filter_map(|(room, it)| Some((facts.get(&room)?.room_id.to_string(), it)));
        Ok(named.collect())
    }

    async fn typing(&mut self, picked: &Picked, written: &[WrittenRoom]) -> Result<RoomsAnswer, ReadError> {
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
        let seen_answer = self.connection.seen().answer;
        self.typing_missed.retain(|_, told| told.is_none_or(|told| told >= seen_answer));
        if changed.is_empty() && self.typing_missed.is_empty() {
            return Ok(RoomsAnswer::default());
        }
        let scope: HashSet<RoomNid> = self
            .in_scope(picked, &self.said.typing)
            .filter(|room| room.joined)
            .map(|room| room.room)
            .collect();
        let hidden = changed.iter().map(|(room, _)| *room).filter(|room| !scope.contains(room));
        for room in hidden.filter(|room| self.connection.room(RoomKey(room.0)).is_some()) {
            self.typing_missed.insert(room, None);
        }
        let back: Vec<RoomNid> =
            self.typing_missed.keys().copied().filter(|room| scope.contains(room)).collect();
        if !back.is_empty() {
            let current: HashMap<RoomNid, Vec<ruma::OwnedUserId>> =
                typing.changed_after(0).into_iter().collect();
            for room in back {
                self.typing_missed.insert(room, Some(seen_answer));
                changed.push((room, current.get(&room).cloned().unwrap_or_default()));
            }
        }
        let in_scope = changed.into_iter().filter(|(room, _)| scope.contains(room));
        let events = in_scope.filter_map(|(room, users)| Some((room, typing_event(&users)?)));
        Ok(RoomsAnswer { rooms: self.by_id(events).await? })
    }

    /// The rooms of the window that an extension is wanted for.
    pub(super) fn in_scope<'p>(
        &self,
        picked: &'p Picked,
        scope: &Scope,
    ) -> impl Iterator<Item = &'p WindowRoom> + use<'p> {
        let names = self.asked.wanted.lists.iter().map(|(name, _)| name).enumerate();
        let wanted = |name: &String| scope.lists.as_ref().is_none_or(|lists| lists.contains(name));
        let lists: Vec<usize> = names.filter(|(_, name)| wanted(name)).map(|(number, _)| number).collect();
        let rooms: Option<HashSet<RoomNid>> = scope
            .rooms
            .as_ref()
            .filter(|rooms| !rooms.iter().any(|room| room == "*"))
            .map(|rooms| rooms.iter().filter_map(|room| picked.subscribed.get(room).copied()).collect());
        picked.rooms.iter().filter(move |room| {
            let Some(wanted) = picked.window.rooms.get(room.wanted) else { return false };
            let named = || rooms.as_ref().is_none_or(|rooms| rooms.contains(&room.room));
            lists.iter().any(|list| wanted.lists.has(*list)) || (wanted.subscribed && named())
        })
    }
}
