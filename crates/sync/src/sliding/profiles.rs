//! The profiles extension (MSC4262): what users that the user shares rooms with say of themselves.
//!
//! A room's people are told of once, when the room first comes into what the connection shows: all of its members, or
//! those that the client needs where members load lazily. From then on every change of anybody in a shared room follows,
//! shown or not, so that a client never holds what is out of date.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use myelin_model::{Pos, RoomNid};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::schema::users::{Profile, ProfileChange};
use myelin_store::{ReadError, Reader, Scan};
use myelin_sync_core::connection::ProfilesSent;
use myelin_sync_core::lazy::LazyMembers;
use myelin_sync_core::rooms::RoomKey;
use ruma::{OwnedUserId, UserId};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::devices::{Moves, sharing};
use crate::sliding::extensions::MakingExtensions;
use crate::sliding::pick::Picked;
use crate::sliding::room::WrittenRoom;
use crate::state::MEMBER;

/// How many members of one room are told of when it first comes up. The others' profiles are told when they change, and
/// may be asked for.
const MOST_MEMBERS: usize = 1_000;
/// How many users' profiles one answer has because a room came up.
const MOST_USERS: usize = 2_000;
/// How many bytes of them.
const MOST_BYTES: usize = 1 << 20;
/// How many changes one answer follows. What is left over is told at once in the next one.
const MOST_CHANGES: usize = 200;

/// The extension in an answer.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ProfilesAnswer {
    /// `null` for who shares no room with the user any more.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    users: BTreeMap<OwnedUserId, Option<ProfileNews>>,
}

/// What changed of one profile.
#[derive(Debug, Default, Serialize)]
struct ProfileNews {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    updated: BTreeMap<String, Box<RawValue>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    removed: BTreeSet<String>,
}

/// Which fields the client wants.
#[derive(Clone, Copy)]
struct Wanted<'r>(Option<&'r [String]>);

impl Wanted<'_> {
    fn has(&self, field: &str) -> bool {
        self.0.is_none_or(|fields| fields.iter().any(|wanted| wanted == field))
    }

    /// Tells one set of fields from another; never 0.
    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.map(|fields| fields.iter().collect::<BTreeSet<_>>()).hash(&mut hasher);
        hasher.finish() | 1
    }
}

/// What changed since the last answer.
struct Changes {
    fields: BTreeMap<OwnedUserId, BTreeSet<String>>,
    up_to: i64,
    /// There is more.
    cut: bool,
}

impl MakingExtensions<'_> {
    /// What is new of profiles; everything the first time, and where other fields are wanted than before.
    pub(super) async fn profiles(
        &mut self,
        picked: &Picked,
        written: &[WrittenRoom],
        moves: Moves,
    ) -> Result<Option<ProfilesAnswer>, ReadError> {
        let said = &self.said.profiles;
        if !said.scope.is_on() {
            self.progress.globals().profiles.fields = 0;
            return Ok(None);
        }
        let wanted = Wanted(said.fields.as_deref());
        let (now, mark) = (self.snapshot.position().get(), wanted.mark());
        let mut sent = self.connection.seen().profiles;
        let mut whole = BTreeSet::new();
        if sent.fields != mark {
            sent = ProfilesSent { fields: mark, turn: sent.turn.saturating_add(1), up_to: now };
            whole.insert(self.asked.requester.user_id.clone());
        }
        self.people(picked, written, sent.turn, &mut whole).await?;
        let changes = self.changes(picked, sent.up_to).await?;
        self.progress.globals().profiles = ProfilesSent { up_to: changes.up_to, ..sent };
        let mut users = self.read(wanted, &whole, &changes).await?;
        users.extend(self.parted(picked, moves).await?.into_iter().map(|user_id| (user_id, None)));
        Ok((!users.is_empty() || changes.cut).then_some(ProfilesAnswer { users }))
    }

    /// Whose whole profiles the rooms of the answer call for.
    async fn people(
        &mut self,
        picked: &Picked,
        written: &[WrittenRoom],
        turn: u64,
        whole: &mut BTreeSet<OwnedUserId>,
    ) -> Result<(), ReadError> {
        let written: HashMap<RoomNid, &WrittenRoom> =
            written.iter().map(|written| (written.room, written)).collect();
        let mut members_of: Vec<RoomNid> = Vec::new();
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        for room in self.in_scope(picked, &self.said.profiles.scope).filter(|room| room.joined) {
            let key = RoomKey(room.room.0);
            let Some(noted) = self.connection.noted(&self.progress, key) else { continue };
            let is_first = noted.profiles != turn;
            let written = written.get(&room.room);
            if !is_first && written.is_none() {
                continue;
            }
            if is_first && let Some(sent) = self.connection.progress_of(&mut self.progress, key) {
                sent.profiles = turn;
            }
            let before = self.connection.room(key);
            let config = picked.window.rooms.get(room.wanted).map(|wanted| &wanted.config);
            let is_lazy = config.is_some_and(|config| config.required_state.is_lazy());
            if is_first && !is_lazy {
                members_of.push(room.room);
                continue;
            }
            let old = before.map(|before| &before.lazy);
            if let Some(written) = written {
                needed.extend(written.people.iter().map(String::as_str));
                let joined = written.shown.iter().filter(|event| event.kind == MEMBER);
                needed.extend(joined.filter_map(|event| event.state_key.as_deref()));
                let is_new = |user: &&str| is_first || old.is_none_or(|old| !old.knows(user));
                needed.extend(written.lazy.iter().filter(is_new));
            } else if is_first {
                needed.extend(old.into_iter().flat_map(LazyMembers::iter));
            }
        }
        whole.extend(needed.into_iter().filter_map(|user| UserId::parse(user).ok()).take(MOST_USERS));
        let scan = |room: &RoomNid| Scan::prefix::<Member>((*room,), MOST_MEMBERS);
        let members = self.snapshot.scan_all::<Member>(members_of.iter().map(scan).collect()).await?;
        let joined = members.into_iter().flatten().filter(|member| member.membership == Membership::Join);
        for member in joined {
            if whole.len() >= MOST_USERS {
                break;
            }
            whole.insert(member.user_id);
        }
        Ok(())
    }

    /// What changed of profiles that concern the user.
    async fn changes(&self, picked: &Picked, since: i64) -> Result<Changes, ReadError> {
        let by_change = ProfileChange::BY_CHANGE;
        let scan = Scan::index::<ProfileChange>(by_change, (), MOST_CHANGES).after((Pos::new(since),));
        let rows = self.snapshot.scan::<ProfileChange>(scan).await?;
        let cut = rows.len() == MOST_CHANGES;
        let last = rows.last().filter(|_| cut).map(|row| row.changed.get());
        let up_to = last.unwrap_or_else(|| self.snapshot.position().get());
        let mut fields: BTreeMap<OwnedUserId, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            fields.entry(row.user_id).or_default().insert(row.field);
        }
        let own = &self.asked.requester.user_id;
        let others: BTreeSet<OwnedUserId> =
            fields.keys().filter(|user_id| *user_id != own).cloned().collect();
        let sharing = sharing(self.snapshot, &picked.own_rooms, &others).await?;
        fields.retain(|user_id, _| user_id == own || sharing.contains(user_id));
        Ok(Changes { fields, up_to, cut })
    }

    /// The profiles as they are: of these users the wanted fields, and of what changed the rest.
    async fn read(
        &self,
        wanted: Wanted<'_>,
        whole: &BTreeSet<OwnedUserId>,
        changes: &Changes,
    ) -> Result<BTreeMap<OwnedUserId, Option<ProfileNews>>, ReadError> {
        let asked: BTreeSet<&OwnedUserId> = whole.iter().chain(changes.fields.keys()).collect();
        let keys: Vec<_> = asked.iter().map(|user_id| ((*user_id).clone(),)).collect();
        let profiles = self.snapshot.get_all::<Profile>(&keys).await?;
        let mut users = BTreeMap::new();
        let mut bytes = 0;
        for (user_id, profile) in asked.into_iter().zip(profiles) {
            let mut fields = profile.map(|profile| profile_fields(&profile)).unwrap_or_default();
            let changed = changes.fields.get(user_id);
            let mut news = ProfileNews::default();
            for field in changed.into_iter().flatten().filter(|field| wanted.has(field)) {
                match fields.remove(field) {
                    Some(value) => drop(news.updated.insert(field.clone(), value)),
                    None => drop(news.removed.insert(field.clone())),
                }
            }
            if whole.contains(user_id) && bytes < MOST_BYTES {
                fields.retain(|field, _| wanted.has(field));
                bytes += fields.values().map(|value| value.get().len()).sum::<usize>();
                news.updated.append(&mut fields);
            }
            if !news.updated.is_empty() || !news.removed.is_empty() {
                users.insert(user_id.clone(), Some(news));
            }
        }
        Ok(users)
    }

    /// Who does not share a room with the user any more.
    async fn parted(&self, picked: &Picked, moves: Moves) -> Result<BTreeSet<OwnedUserId>, ReadError> {
        let mut parted = moves.parted;
        parted.remove(&self.asked.requester.user_id);
        let sharing = sharing(self.snapshot, &picked.own_rooms, &parted).await?;
        parted.retain(|user_id| !sharing.contains(user_id));
        Ok(parted)
    }
}

/// The fields of a profile by name.
fn profile_fields(profile: &Profile) -> BTreeMap<String, Box<RawValue>> {
    let stored = profile.fields.as_ref().and_then(|json| serde_json::from_slice(json).ok());
    let mut fields: BTreeMap<String, Box<RawValue>> = stored.unwrap_or_default();
    let texts = [("displayname", &profile.display_name), ("avatar_url", &profile.avatar_url)];
    for (key, text) in texts {
        if let Some(value) = text.as_ref().and_then(|text| to_raw_value(text).ok()) {
            fields.insert(key.to_owned(), value);
        }
    }
    fields
}
