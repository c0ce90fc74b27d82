//! What an answer is about: taken from the user's rooms while they are held.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::State;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::connection::{Connection, Plan};
use myelin_sync_core::rooms::{RoomKey, Standing};
use myelin_sync_core::window::{Window, WindowRequest, select};
use ruma::{OwnedRoomId, RoomId};

use crate::devices::MemberChanges;
use crate::recent::Recents;
use crate::room_cache::{RoomCache, RoomFacts};
use crate::sliding::followed::{Follower, NeedsShown, follow};
use crate::sliding::request::{Extensions, Search};
use crate::sliding::room::Due;
use crate::sliding::sticky::StickyWanted;
use crate::sliding::{Asked, SlidingError};
use crate::user_rooms::UserRooms;

/// The most children of a space.
const MOST_CHILDREN: usize = 100_000;

/// What is read later, taken from the user's rooms while they are held.
pub(crate) struct Picked {
    pub(super) due: Vec<Due>,
    /// For the connection: what of its plan is for a later answer.
    pub(super) left_after: Option<i64>,
    pub(super) window: Window,
    /// The rooms of the window that the user is in, by number.
    pub(super) rooms: Vec<WindowRoom>,
    /// The numbers of the rooms that the request subscribes to.
    pub(super) subscribed: HashMap<String, RoomNid>,
    pub(super) members: Option<MemberChanges>,
    /// The rooms that the user is in, where profiles are wanted.
    pub(super) own_rooms: Arc<HashSet<RoomNid>>,
    pub(super) sticky: Option<StickyWanted>,
}

#[derive(Clone, Copy)]
pub(crate) struct WindowRoom {
    pub(super) room: RoomNid,
    pub(super) joined: bool,
    /// Its place in the window.
    pub(super) wanted: usize,
}

/// Finds out what an answer is about.
pub(super) struct Picking<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) asked: &'a Asked<'a>,
    pub(super) cache: &'a RoomCache,
    pub(super) recents: &'a Recents,
    pub(super) now: i64,
}

impl Picking<'_> {
    pub(super) async fn pick(
        &self,
        connection: &Connection,
        extensions: &Extensions,
        rooms: &mut UserRooms,
    ) -> Result<Picked, SlidingError> {
        let asked = self.asked;
        let ids = asked.wanted.subscriptions.iter().map(|(id, _)| &**id);
        let subscribed: HashMap<&RoomId, RoomNid> =
            self.cache.resolve(self.snapshot, ids).await?.into_iter().collect();
        let subscriptions = asked.wanted.subscriptions.iter().filter_map(|(id, wish)| {
            let room = subscribed.get(&**id)?;
            Some((RoomKey(room.0), Arc::clone(wish)))
        });
        let subscriptions = subscriptions.collect();
        let mut request = WindowRequest { lists: Arc::clone(&asked.wanted.lists), subscriptions };
        self.resolve_filters(rooms, &mut request).await?;
        let window = select(&rooms.list, &request);
        let Plan { due, left_after } = connection.plan(&rooms.list, &window);
        let nids: Vec<RoomNid> = due.iter().map(|due| RoomNid(due.room.0)).collect();
        let sticky = match extensions.sticky() {
            Some(said) => {
                let new = due.iter().filter(|due| due.known.is_none()).map(|due| due.room).collect();
                let source = (self.snapshot, self.cache);
                Some(StickyWanted::new(asked, said, source, rooms, &request, (&new, self.now)).await?)
            }
            None => None,
        };
        let mut facts = rooms.facts(self.snapshot, self.cache, &nids).await?.into_iter().peekable();
        let due = due.into_iter().filter_map(|due| {
            let (_, facts) = facts.next_if(|(room, _)| room.0 == due.room.0)?;
            Some(Due { due, facts, followed: None })
        });
        let mut due: Vec<Due> = due.collect();
        let needs_shown = if extensions.sticky().is_some() {
            NeedsShown::Always
        } else if extensions.receipts.is_on() {
            NeedsShown::UntilReceipts
        } else {
            NeedsShown::Never
        };
        let follower = Follower { session: asked.requester.session, now: self.now, needs_shown };
        follow(self.snapshot, self.recents, rooms, &mut due, follower).await?;
        let in_window = window.rooms.iter().enumerate().map(|(wanted, room)| {
            let joined = room.entry.standing == Standing::Joined;
            WindowRoom { room: RoomNid(room.room.0), joined, wanted }
        });
        let profiles = &extensions.profiles.scope;
        let needs_rooms = [&extensions.account_data, &extensions.receipts, &extensions.typing, profiles];
        let in_window =
            if needs_rooms.iter().any(|scope| scope.is_on()) { in_window.collect() } else { Vec::new() };
        let needs_members = extensions.e2ee.is_on() || profiles.is_on();
        let seen = connection.seen();
        let since =
            if extensions.e2ee.is_on() { seen.missed_devices.since(seen.told()) } else { Some(seen.told()) };
        let since = since.filter(|_| needs_members && !connection.is_new());
        let members = since.map(|since| MemberChanges::collect(rooms, since));
        let subscribed = subscribed.into_iter().map(|(id, room)| (id.to_string(), room)).collect();
        let own_rooms = if profiles.is_on() { rooms.joined() } else { Arc::default() };
        Ok(Picked { due, left_after, rooms: in_window, subscribed, members, own_rooms, sticky, window })
    }

    /// Replaces the spaces and names that lists ask for by the rooms that are meant.
    async fn resolve_filters(
        &self,
        rooms: &mut UserRooms,
        request: &mut WindowRequest,
    ) -> Result<(), ReadError> {
        for (name, search) in &self.asked.wanted.searches {
            let found = match search {
                Search::Within(spaces) => self.within(rooms, spaces).await?,
                Search::Named(part) => self.named(rooms, part).await?,
            };
            let Some(list) = Arc::make_mut(&mut request.lists).get_mut(name) else { continue };
            match search {
                Search::Within(_) => list.filter.within = Some(found),
                Search::Named(_) => list.filter.named = Some(found),
            }
        }
        Ok(())
    }

    /// The rooms that are in one of these spaces. Only spaces that the user is in count: of others they must not learn
    /// what is in them.
    async fn within(
        &self,
        rooms: &UserRooms,
        spaces: &[OwnedRoomId],
    ) -> Result<BTreeSet<RoomKey>, ReadError> {
        let spaces = self.cache.resolve(self.snapshot, spaces.iter().map(|id| &**id)).await?;
        let is_joined =
            |space: RoomNid| rooms.entry(space).is_some_and(|entry| entry.standing == Standing::Joined);
        let joined = spaces.into_iter().map(|(_, space)| space).filter(|space| is_joined(*space));
        let scan = |space| Scan::prefix::<State>((space, "m.space.child".to_owned()), MOST_CHILDREN);
        let children = self.snapshot.scan_all::<State>(joined.map(scan).collect()).await?;
        let children =
            children.iter().flatten().filter_map(|row| <&RoomId>::try_from(row.state_key.as_str()).ok());
        let children = self.cache.resolve(self.snapshot, children).await?;
        Ok(children.into_iter().map(|(_, room)| RoomKey(room.0)).collect())
    }

    /// The rooms whose name contains a text, in any case.
    async fn named(&self, rooms: &mut UserRooms, part: &str) -> Result<BTreeSet<RoomKey>, ReadError> {
        let all: Vec<RoomNid> = rooms.list.listed().map(|(room, _)| RoomNid(room.0)).collect();
        let part = part.to_lowercase();
        let is_named = |facts: &RoomFacts| {
            facts.summary.name.as_ref().is_some_and(|name| name.to_lowercase().contains(&part))
        };
        let all = self.cache.read(self.snapshot, &all).await?;
        Ok(all.into_iter().filter(|(_, facts)| is_named(facts)).map(|(room, _)| RoomKey(room.0)).collect())
    }
}
