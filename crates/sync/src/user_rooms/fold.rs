//! How a list comes about: restored, loaded, and brought forward.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use myelin_model::{Pos, RoomNid};
use myelin_store::schema::notify::UnreadBase;
use myelin_store::schema::rooms::{Member, RoomHead};
use myelin_store::schema::sync::RoomListCopy;
use myelin_store::schema::users::{AccountData, GLOBAL};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::rooms::{RoomEntry, RoomKey, Standing, Tags};
use myelin_timeline::{INVITE_KINDS, InviteVerdict};
use rustc_hash::FxHashMap;

use super::{Moved, Source, UserRooms, is_interesting, standing};
use crate::personal::{DIRECT, TAG, read_direct, read_tags};
use crate::room_cache::RoomFacts;
use crate::stored_rooms;

/// No user is in more rooms than this (an appservice's bot may be in very many).
const MOST_ROOMS: usize = 1_000_000;
/// Changes of account data read in one fold; with more, everything is read anew.
const MOST_CHANGES: usize = 1024;

impl UserRooms {
    /// Takes over the stored copy, which is older than the snapshot; says whether there was one to go on from.
    pub(super) async fn restore(&mut self, snapshot: &dyn Snapshot) -> Result<bool, ReadError> {
        let row = snapshot.get::<RoomListCopy>(&(self.user_id.clone(),)).await?;
        let Some((list, position)) = row.and_then(stored_rooms::decode) else { return Ok(false) };
        if position == 0 || position > snapshot.position().get() {
            return Ok(false);
        }
        let kinds = INVITE_KINDS.iter().chain([&DIRECT]);
        let keys: Vec<_> = kinds.map(|kind| (self.user_id.clone(), GLOBAL, (*kind).to_owned())).collect();
        for row in snapshot.get_all::<AccountData>(&keys).await?.into_iter().flatten() {
            if row.kind != DIRECT && row.changed.get() > position {
                return Ok(false);
            }
            self.note_global(&row);
        }
        (self.list, self.folded, self.stored) = (list, position, (position, 0));
        Ok(true)
    }

    /// Reads everything, in bulk.
    pub(super) async fn load(&mut self, source: Source<'_>) -> Result<(), ReadError> {
        let Source { snapshot, cache, .. } = source;
        let data = Scan::prefix::<AccountData>((self.user_id.clone(),), MOST_ROOMS);
        let mut tags = FxHashMap::default();
        for row in snapshot.scan::<AccountData>(data).await? {
            match row.room {
                GLOBAL => self.note_global(&row),
                room if row.kind == TAG => drop(tags.insert(room, read_tags(&row.content))),
                _ => {}
            }
        }
        let read = Scan::prefix::<UnreadBase>((self.user_id.clone(),), MOST_ROOMS);
        let read = snapshot.scan::<UnreadBase>(read).await?;
        let read: FxHashMap<RoomNid, i64> =
            read.into_iter().map(|base| (base.room, base.changed.get())).collect();
        let members = Scan::index::<Member>(Member::BY_USER, (self.user_id.clone(),), MOST_ROOMS);
        let members = snapshot.scan::<Member>(members).await?;
        let rooms: Vec<RoomNid> = members.iter().map(|member| member.room).collect();
        let facts = cache.read(snapshot, &rooms).await?;
        let entry = |member: Member| {
            // A member row without its room: an invite to a room that was purged since.
            let facts = facts.get(&member.room)?;
            let mut entry = self.make_entry(facts, &member);
            entry.tags = tags.get(&member.room).cloned().flatten();
            entry.read_at = read.get(&member.room).copied().unwrap_or_default();
            Some((RoomKey(member.room.0), entry))
        };
        self.list = members.into_iter().filter_map(entry).collect();
        self.joined = OnceLock::new();
        Ok(())
    }

    /// Reads what changed.
    pub(super) async fn follow(&mut self, source: Source<'_>) -> Result<Moved, ReadError> {
        let Source { snapshot, notifier, cache } = source;
        let since = Pos::new(self.folded);
        let mut members = Vec::new();
        let mut data = Vec::new();
        let mut read = Vec::new();
        if !notifier.is_user_quiet(&self.user_id, since.get(), snapshot.position().get()) {
            self.counts.clear();
            let scan =
                Scan::index::<AccountData>(AccountData::BY_CHANGE, (self.user_id.clone(),), MOST_CHANGES);
            data = snapshot.scan::<AccountData>(scan.after((since,))).await?;
            let is_invites =
                |row: &AccountData| row.room == GLOBAL && INVITE_KINDS.contains(&row.kind.as_str());
            if data.len() == MOST_CHANGES || data.iter().any(is_invites) {
                return self.start_over(source).await;
            }
            let scan = Scan::index::<UnreadBase>(UnreadBase::BY_CHANGE, (self.user_id.clone(),), MOST_ROOMS);
            read = snapshot.scan::<UnreadBase>(scan.after((since,))).await?;
            let scan = Scan::index::<Member>(Member::BY_CHANGE, (self.user_id.clone(),), MOST_ROOMS);
            members = snapshot.scan::<Member>(scan.after((since,))).await?;
        }
        let mut rooms = self.changed_rooms(source, since).await?;
        rooms.extend(members.iter().map(|member| member.room));
        let facts = cache.read(snapshot, &rooms).await?;
        self.stored.1 += facts.len();
        let moved = self.take_members(snapshot, members, &facts).await?;
        for (room, facts) in &facts {
            self.list.update(RoomKey(room.0), |entry| {
                entry.is_encrypted = facts.summary.encryption.is_some();
                entry.sticky_until = facts.head.sticky_until;
                if entry.standing == Standing::Joined {
                    entry.changed = entry.changed.max(facts.head.last_pos.get());
                }
            });
        }
        for base in read {
            self.stored.1 += 1;
            self.list.update(RoomKey(base.room.0), |entry| entry.read_at = base.changed.get());
        }
        for row in &data {
            self.take_account_data(source, row).await?;
        }
        Ok(moved)
    }

    async fn start_over(&mut self, source: Source<'_>) -> Result<Moved, ReadError> {
        let mut fresh = Self::new(&self.user_id);
        fresh.load(source).await?;
        let moved = Moved { came: fresh.interests(), went: self.interests() };
        (fresh.watched, fresh.stored) = (self.watched, (self.stored.0, fresh.list.len()));
        *self = fresh;
        Ok(moved)
    }

    /// The user's rooms to which something was committed after a position. Costs the smaller of all rooms of the server
    /// that changed and all rooms of the user.
    async fn changed_rooms(&self, source: Source<'_>, since: Pos) -> Result<Vec<RoomNid>, ReadError> {
        let (own, until) = (self.list.len(), source.snapshot.position().get());
        let is_own = |room: &RoomNid| self.entry(*room).is_some();
        if let Some(recent) = source.notifier.recent(since.get(), until, own) {
            return Ok(recent.into_iter().filter(is_own).collect());
        }
        let scan = Scan::index::<RoomHead>(RoomHead::BY_CHANGE, (), own + 1).after((since,));
        let heads = source.snapshot.scan::<RoomHead>(scan).await?;
        if heads.len() > own {
            return Ok(self.list.unordered().map(|(room, _)| RoomNid(room.0)).collect());
        }
        Ok(heads.into_iter().map(|head| head.room).filter(is_own).collect())
    }

    /// Takes up changed memberships of the user's own.
    async fn take_members(
        &mut self,
        snapshot: &dyn Snapshot,
        members: Vec<Member>,
        facts: &FxHashMap<RoomNid, Arc<RoomFacts>>,
    ) -> Result<Moved, ReadError> {
        let mut moved = Moved::default();
        let new = members.iter().map(|member| member.room).filter(|room| self.entry(*room).is_none());
        let new: Vec<RoomNid> = new.collect();
        let mut personal = self.read_personal(snapshot, &new).await?;
        for member in members {
            let room = member.room;
            let Some(facts) = facts.get(&room) else { continue };
            let mut entry = self.make_entry(facts, &member);
            let before = self.entry(room);
            (entry.tags, entry.read_at) = match &before {
                Some(before) => (before.tags.clone(), before.read_at),
                None => personal.remove(&room).unwrap_or_default(),
            };
            match (before.as_ref().is_some_and(is_interesting), is_interesting(&entry)) {
                (false, true) => moved.came.push(room),
                (true, false) => moved.went.push(room),
                _ => {}
            }
            self.list.put(RoomKey(room.0), entry);
            self.joined = OnceLock::new();
            self.remember([Arc::new(member)].into_iter());
        }
        Ok(moved)
    }

    /// What the user has said of rooms that they were in earlier, or before they came: tags, and when they read them.
    async fn read_personal(
        &self,
        snapshot: &dyn Snapshot,
        rooms: &[RoomNid],
    ) -> Result<FxHashMap<RoomNid, (Tags, i64)>, ReadError> {
        let mut personal: FxHashMap<RoomNid, (Tags, i64)> = FxHashMap::default();
        if rooms.is_empty() {
            return Ok(personal);
        }
        let keys: Vec<_> = rooms.iter().map(|room| (self.user_id.clone(), *room, TAG.to_owned())).collect();
        for row in snapshot.get_all::<AccountData>(&keys).await?.into_iter().flatten() {
            personal.entry(row.room).or_default().0 = read_tags(&row.content);
        }
        let keys: Vec<_> = rooms.iter().map(|room| (self.user_id.clone(), *room)).collect();
        for base in snapshot.get_all::<UnreadBase>(&keys).await?.into_iter().flatten() {
            personal.entry(base.room).or_default().1 = base.changed.get();
        }
        Ok(personal)
    }

    fn make_entry(&self, facts: &RoomFacts, member: &Member) -> RoomEntry {
        let mut standing = standing(member);
        if standing == Standing::Invited && self.invites.judge(&member.sender) != InviteVerdict::Allow {
            standing = Standing::Left;
        }
        let changed = member.changed.get();
        let is_joined = standing == Standing::Joined;
        let asked_as_dm = standing.is_stripped() && member.is_direct;
        RoomEntry {
            standing,
            changed: if is_joined { changed.max(facts.head.last_pos.get()) } else { changed },
            read_at: 0,
            moved_at: changed,
            joined_at: member.joined_at,
            room_type: facts.room_type.clone(),
            is_encrypted: facts.summary.encryption.is_some(),
            is_dm: asked_as_dm || self.direct.contains(&facts.room_id),
            asked_as_dm,
            tags: None,
            sticky_until: facts.head.sticky_until,
        }
    }

    fn note_global(&mut self, row: &AccountData) {
        if row.kind == DIRECT {
            self.direct = read_direct(&row.content);
        } else {
            self.invites.take(&row.kind, &row.content);
        }
    }

    /// Applies changed account data to the rooms that are known already.
    async fn take_account_data(&mut self, source: Source<'_>, row: &AccountData) -> Result<(), ReadError> {
        if row.room == GLOBAL && row.kind == DIRECT {
            self.note_global(row);
            let ids = self.direct.iter().map(|id| &**id);
            let direct = source.cache.resolve(source.snapshot, ids).await?;
            let direct: HashSet<i64> = direct.into_iter().map(|(_, room)| room.0).collect();
            self.list.update_all(|room, entry| entry.is_dm = entry.asked_as_dm || direct.contains(&room.0));
            self.stored.1 += direct.len();
        } else if row.room != GLOBAL && row.kind == TAG {
            let tags = read_tags(&row.content);
            self.list.update(RoomKey(row.room.0), |entry| entry.tags = tags);
            self.stored.1 += 1;
        }
        Ok(())
    }
}
