//! A user's rooms: kept in memory for users who sync, folded forward from what changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use myelin_model::RoomNid;
use myelin_store::schema::notify::UnreadBase;
use myelin_store::schema::rooms::{Member, Membership, Room, RoomHead, RoomSummary};
use myelin_store::schema::users::{AccountData, GLOBAL};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::rooms::{RoomEntry, RoomKey, RoomList, Standing};
use myelin_timeline::{INVITE_KINDS, InviteRules, InviteVerdict};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// No user is in more rooms than this (an appservice's bot may be in very many).
const MOST_ROOMS: usize = 1_000_000;
/// Changes of account data read in one fold; with more, everything is read anew.
const MOST_CHANGES: usize = 1024;

/// What an answer needs to know of a room before it reads anything.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) member: Member,
    pub(crate) head: RoomHead,
    pub(crate) summary: RoomSummary,
}

/// The rooms of one user as of a position.
pub(crate) struct UserRooms {
    user_id: OwnedUserId,
    pub(crate) list: RoomList,
    facts: HashMap<RoomNid, Facts>,
    by_id: HashMap<OwnedRoomId, RoomNid>,
    /// The rooms the user is in; shared with answers in the making.
    joined: Arc<HashSet<RoomNid>>,
    /// Everything up to this position is folded in; 0 before the first fold.
    folded: i64,
    dms: HashSet<OwnedRoomId>,
    tags: HashMap<RoomNid, Arc<[Box<str>]>>,
    /// When the user's unread count last changed by reading.
    read: HashMap<RoomNid, i64>,
    invites: InviteRules,
}

/// How a fold changed which rooms the user has to do with.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) came: Vec<RoomNid>,
    pub(crate) went: Vec<RoomNid>,
}

impl UserRooms {
    pub(crate) fn new(user_id: &UserId) -> Self {
        Self {
            user_id: user_id.to_owned(),
            list: RoomList::default(),
            facts: HashMap::new(),
            by_id: HashMap::new(),
            joined: Arc::default(),
            folded: 0,
            dms: HashSet::new(),
            tags: HashMap::new(),
            read: HashMap::new(),
            invites: InviteRules::new(user_id),
        }
    }

    pub(crate) fn facts(&self, room: RoomNid) -> Option<&Facts> {
        self.facts.get(&room)
    }

    pub(crate) fn by_id(&self, room_id: &RoomId) -> Option<RoomNid> {
        self.by_id.get(room_id).copied()
    }

    /// The rooms the user is in.
    pub(crate) fn joined(&self) -> Arc<HashSet<RoomNid>> {
        Arc::clone(&self.joined)
    }

    pub(crate) fn entry(&self, room: RoomNid) -> Option<&RoomEntry> {
        self.list.entry(RoomKey(room.0))
    }

    /// The rooms whose commits matter to the user.
    pub(crate) fn interests(&self) -> Vec<RoomNid> {
        self.facts.keys().copied().filter(|room| self.entry(*room).is_some_and(is_interesting)).collect()
    }

    /// Brings the rooms up to the snapshot, which must not be older than the one before.
    pub(crate) async fn fold(&mut self, snapshot: &dyn Snapshot) -> Result<Moved, ReadError> {
        let position = snapshot.position().get();
        if self.folded == position && position != 0 {
            return Ok(Moved::default());
        }
        let moved = if self.folded == 0 { self.load(snapshot).await? } else { self.follow(snapshot).await? };
        self.folded = position;
        Ok(moved)
    }

    /// Reads everything, in bulk.
    async fn load(&mut self, snapshot: &dyn Snapshot) -> Result<Moved, ReadError> {
        let data = Scan::prefix::<AccountData>((self.user_id.clone(),), MOST_ROOMS);
        for row in snapshot.scan::<AccountData>(data).await? {
            self.note_account_data(&row);
        }
        let read = Scan::prefix::<UnreadBase>((self.user_id.clone(),), MOST_ROOMS);
        let read = snapshot.scan::<UnreadBase>(read).await?;
        self.read = read.into_iter().map(|base| (base.room, base.changed.get())).collect();
        let members = Scan::index::<Member>(Member::BY_USER, (self.user_id.clone(),), MOST_ROOMS);
        let members = snapshot.scan::<Member>(members).await?;
        self.read_rooms(snapshot, members).await
    }

    /// Reads what changed.
    async fn follow(&mut self, snapshot: &dyn Snapshot) -> Result<Moved, ReadError> {
        let since = myelin_model::Pos::new(self.folded);
        let data = Scan::index::<AccountData>(AccountData::BY_CHANGE, (self.user_id.clone(),), MOST_CHANGES);
        let data = snapshot.scan::<AccountData>(data.after((since,))).await?;
        let invites = data.iter().any(|row| row.room == GLOBAL && INVITE_KINDS.contains(&row.kind.as_str()));
        if data.len() == MOST_CHANGES || invites {
            let mut fresh = Self::new(&self.user_id);
            let mut moved = Box::pin(fresh.load(snapshot)).await?;
            moved.went = self.interests();
            *self = fresh;
            return Ok(moved);
        }
        let read = Scan::index::<UnreadBase>(UnreadBase::BY_CHANGE, (self.user_id.clone(),), MOST_ROOMS);
        for base in snapshot.scan::<UnreadBase>(read.after((since,))).await? {
            let read_at = base.changed.get();
            self.read.insert(base.room, read_at);
            self.list.update(RoomKey(base.room.0), |entry| entry.read_at = read_at);
        }
        let members = Scan::index::<Member>(Member::BY_CHANGE, (self.user_id.clone(),), MOST_ROOMS);
        let mut members = snapshot.scan::<Member>(members.after((since,))).await?;
        let known: HashSet<RoomNid> = members.iter().map(|member| member.room).collect();
        for room in self.changed_heads(snapshot, since).await? {
            if let Some(facts) = self.facts.get(&room).filter(|_| !known.contains(&room)) {
                members.push(facts.member.clone());
            }
        }
        let moved = self.read_rooms(snapshot, members).await?;
        for row in &data {
            self.note_account_data(row);
            self.retouch(row);
        }
        Ok(moved)
    }

    /// The user's rooms in which an event came after a position. Costs the smaller of all rooms of the server that
    /// changed and all rooms of the user.
    async fn changed_heads(
        &self,
        snapshot: &dyn Snapshot,
        since: myelin_model::Pos,
    ) -> Result<Vec<RoomNid>, ReadError> {
        let own = self.facts.len();
        let scan = Scan::index::<RoomHead>(RoomHead::BY_CHANGE, (), own + 1).after((since,));
        let heads = snapshot.scan::<RoomHead>(scan).await?;
        if heads.len() > own {
            return Ok(self.facts.keys().copied().collect());
        }
        Ok(heads.into_iter().map(|head| head.room).filter(|room| self.facts.contains_key(room)).collect())
    }

    async fn read_rooms(
        &mut self,
        snapshot: &dyn Snapshot,
        members: Vec<Member>,
    ) -> Result<Moved, ReadError> {
        let mut moved = Moved::default();
        if members.is_empty() {
            return Ok(moved);
        }
        let keys: Vec<_> = members.iter().map(|member| (member.room,)).collect();
        let heads = snapshot.get_all::<RoomHead>(&keys).await?;
        let summaries = snapshot.get_all::<RoomSummary>(&keys).await?;
        let rooms = snapshot.get_all::<Room>(&keys).await?;
        for (((member, head), summary), room) in members.into_iter().zip(heads).zip(summaries).zip(rooms) {
            // A member row without its room: an invite to a room that was purged since.
            let Some(row) = room else { continue };
            let (room, room_type) = (member.room, row.room_type);
            let head = head.unwrap_or_else(|| empty_head(room));
            let summary = summary.unwrap_or_else(|| empty_summary(room));
            let was = self.entry(room).is_some_and(is_interesting);
            let entry = self.make_entry(&row.room_id, &member, &head, &summary, room_type.as_deref());
            match (was, is_interesting(&entry)) {
                (false, true) => moved.came.push(room),
                (true, false) => moved.went.push(room),
                _ => {}
            }
            let is_joined = entry.standing == Standing::Joined;
            if is_joined != self.joined.contains(&room) {
                let joined = Arc::make_mut(&mut self.joined);
                if is_joined {
                    joined.insert(room);
                } else {
                    joined.remove(&room);
                }
            }
            self.list.put(RoomKey(room.0), entry);
            self.by_id.insert(row.room_id.clone(), room);
            self.facts.insert(room, Facts { room_id: row.room_id, member, head, summary });
        }
        Ok(moved)
    }

    fn make_entry(
        &self,
        room_id: &RoomId,
        member: &Member,
        head: &RoomHead,
        summary: &RoomSummary,
        room_type: Option<&str>,
    ) -> RoomEntry {
        let mut standing = standing(member);
        if standing == Standing::Invited && self.invites.judge(&member.sender) != InviteVerdict::Allow {
            standing = Standing::Left;
        }
        let changed = member.changed.get();
        let is_joined = standing == Standing::Joined;
        RoomEntry {
            standing,
            changed: if is_joined { changed.max(head.last_pos.get()) } else { changed },
            read_at: self.read.get(&member.room).copied().unwrap_or_default(),
            joined_at: member.joined_at,
            room_type: room_type.map(Arc::from),
            is_encrypted: summary.encryption.is_some(),
            is_dm: self.dms.contains(room_id) || (standing.is_stripped() && member.is_direct),
            tags: self.tags.get(&member.room).cloned().unwrap_or_default(),
            name: summary.name.as_deref().map(Arc::from),
        }
    }

    fn note_account_data(&mut self, row: &AccountData) {
        match row.kind.as_str() {
            "m.direct" if row.room == GLOBAL => {
                let direct: HashMap<String, Vec<String>> =
                    serde_json::from_slice(&row.content).unwrap_or_default();
                let rooms = direct.into_values().flatten();
                self.dms = rooms.filter_map(|room| OwnedRoomId::try_from(room).ok()).collect();
            }
            "m.tag" if row.room != GLOBAL => {
                let content: Tags = serde_json::from_slice(&row.content).unwrap_or_default();
                self.tags.insert(row.room, content.tags.into_keys().map(String::into_boxed_str).collect());
            }
            kind if row.room == GLOBAL => self.invites.take(kind, &row.content),
            _ => {}
        }
    }

    /// Applies changed account data to the rooms that are known already.
    fn retouch(&mut self, row: &AccountData) {
        match row.kind.as_str() {
            "m.direct" => {
                let (list, dms) = (&mut self.list, &self.dms);
                for (room, facts) in &self.facts {
                    let is_dm = dms.contains(&facts.room_id);
                    let key = RoomKey(room.0);
                    let stripped = list.entry(key).is_some_and(|entry| entry.standing.is_stripped());
                    let is_dm = is_dm || (stripped && facts.member.is_direct);
                    if list.entry(key).is_some_and(|entry| entry.is_dm != is_dm) {
                        list.update(key, |entry| entry.is_dm = is_dm);
                    }
                }
            }
            "m.tag" => {
                let tags = self.tags.get(&row.room).cloned().unwrap_or_default();
                self.list.update(RoomKey(row.room.0), |entry| entry.tags = tags);
            }
            _ => {}
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags {
    tags: HashMap<String, IgnoredAny>,
}

fn is_interesting(entry: &RoomEntry) -> bool {
    matches!(entry.standing, Standing::Joined | Standing::Invited | Standing::Knocking)
}

/// How the user stands to a room (MSC4186, "Lists": kicks and bans are shown, leaving is not).
pub(crate) fn standing(member: &Member) -> Standing {
    let by_another = member.sender != member.user_id && member.joined_at.is_some() && !member.forgotten;
    match member.membership {
        Membership::Join => Standing::Joined,
        Membership::Invite => Standing::Invited,
        Membership::Knock => Standing::Knocking,
        Membership::Leave | Membership::Ban if by_another => Standing::Removed,
        Membership::Leave | Membership::Ban => Standing::Left,
    }
}

fn empty_head(room: RoomNid) -> RoomHead {
    let zero = myelin_model::Pos::ZERO;
    RoomHead {
        room,
        last_order: 0,
        last_pos: zero,
        extremities: String::new(),
        bump_pos: zero,
        counter: 0,
        thread_order: None,
        gone_order: None,
        gone_counter: None,
        joined: 0,
        invited: 0,
        sticky_until: None,
    }
}

fn empty_summary(room: RoomNid) -> RoomSummary {
    RoomSummary {
        room,
        name: None,
        canonical_alias: None,
        avatar_url: None,
        topic: None,
        join_rule: None,
        history_visibility: None,
        guest_access: None,
        encryption: None,
        replacement: None,
        predecessor: None,
        changed: myelin_model::Pos::ZERO,
    }
}
