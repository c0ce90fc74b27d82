//! Room upgrades (<https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>).

use myelin_model::RoomNid;
use myelin_pdu::{CanonicalObject, CanonicalValue, CreatorRule, RoomRules, RoomVersionId};
use myelin_room_core::auth::SupportedRules;
use myelin_room_core::key::{self, StateKey};
use myelin_room_core::machine::StateEvent;
use myelin_room_core::power::{EventClass, PowerLevels};
use myelin_store::schema::rooms::{Alias, DirectoryEntry, Member, Membership, Room, RoomHead, State};
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::load::{self, Stored};
use crate::presets::object;
use crate::{CreateError, Creation, Draft, Refusal, Rooms, SendError, Visibility, members};

/// The state that goes along, each with the empty key. What is sensitive to who sent it does not.
const CARRIED: &[&str] = &[
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.retention",
    key::JOIN_RULES,
];
/// The most children of a space, and the most bans, that go along.
const MOST_CARRIED: usize = 1_000;
/// How many of them go with the room's first commit; the rest follow it.
const AT_ONCE: usize = 200;
/// The most aliases that move.
const MOST_ALIASES: usize = 1_000;

/// Why a room was not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The user is not in the room, or lacks the power to replace it.
    #[error("only who may send m.room.tombstone may upgrade the room")]
    NotAllowed,
    /// The new room could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The old room could not be read, or was not told that it is replaced.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<myelin_store::ReadError> for UpgradeError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Send(error.into())
    }
}

/// The room that is replaced.
struct Old {
    room: RoomNid,
    row: Room,
    rules: &'static RoomRules,
    create: Stored,
    levels: CanonicalObject,
    canonical_alias: Option<CanonicalObject>,
    carried: Vec<(String, CanonicalObject)>,
    /// Children of a space, and banned users with the reason.
    more: Vec<Draft>,
    listed: bool,
    last_event: Option<String>,
}

impl Rooms {
    /// Replaces the room by a new one of this version, and answers with the new room's id. Who is in the old room is told
    /// by its `m.room.tombstone`.
    ///
    /// # Errors
    /// See [`UpgradeError`].
    pub async fn upgrade(
        &self,
        user: &UserId,
        room_id: &RoomId,
        version: RoomVersionId,
        additional_creators: &[OwnedUserId],
    ) -> Result<OwnedRoomId, UpgradeError> {
        let rules = SupportedRules::new(RoomRules::for_version(&version))
            .map_err(|error| CreateError::UnsupportedVersion(error.0.to_string()))?;
        if self.deps.policy.refuses_room(room_id.as_str()) {
            return Err(SendError::from(Refusal::RoomBlocked).into());
        }
        let snapshot = self.deps.engine.snapshot().await?;
        let old = Old::read(&*snapshot, user, room_id).await?;
        let profile = members::profiles(&*snapshot, &[user.to_owned()]).await?.pop().flatten();
        drop(snapshot);
        let creation = old.creation(user, version, additional_creators);
        let mut drafts = vec![members::draft(user, user, "join", profile.as_ref(), None)];
        drafts.extend(old.drafts(user, rules));
        let mut later = old.more.clone();
        drafts.extend(later.drain(..later.len().min(AT_ONCE)));
        // Last, since they may take from the user the power that the others need.
        drafts.push(state(user, key::POWER_LEVELS, old.new_levels(user, rules, &creation)));
        let new_id = self.make(&creation, rules, &drafts, None).await?;
        self.move_names(&old, &new_id).await?;
        for draft in later {
            self.send(&new_id, draft, None).await?;
        }
        self.close(user, &old, &new_id).await?;
        Ok(new_id)
    }

    /// Moves the local aliases and the place in the directory.
    async fn move_names(&self, old: &Old, new_id: &RoomId) -> Result<(), UpgradeError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let Some(new) = load::room_nid(&*snapshot, new_id).await? else { return Ok(()) };
        let aliases = Scan::index::<Alias>(Alias::BY_ROOM, (old.room,), MOST_ALIASES);
        let aliases = snapshot.scan::<Alias>(aliases).await?;
        drop(snapshot);
        let mut batch = Batch::new(self.deps.fence(&old.row.room_id));
        for alias in aliases {
            batch.put(&Alias { room: new, ..alias });
        }
        if old.listed {
            batch.delete::<DirectoryEntry>(&(old.room,));
            let added_at = i64::try_from(self.deps.env.clock.now()).unwrap_or(i64::MAX);
            batch.put(&DirectoryEntry { room: new, added_at });
        }
        if !batch.is_empty() {
            self.deps.engine.commit(batch).await.map_err(SendError::from)?;
        }
        Ok(())
    }

    /// Tells the old room that it is replaced, and keeps people from talking on in it. Only the tombstone must get
    /// through; the room may refuse the rest.
    async fn close(&self, user: &UserId, old: &Old, new_id: &RoomId) -> Result<(), UpgradeError> {
        let tombstone = object([
            ("body", "This room has been replaced".into()),
            ("replacement_room", new_id.as_str().into()),
        ]);
        self.send(&old.row.room_id, state(user, "m.room.tombstone", tombstone), None).await?;
        let mut rest = vec![state(user, key::POWER_LEVELS, old.closing_levels())];
        if old.canonical_alias.is_some() {
            rest.insert(0, state(user, "m.room.canonical_alias", CanonicalObject::default()));
        }
        for draft in rest {
            match self.send(&old.row.room_id, draft, None).await {
                Err(error) if error.is_passing() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Old {
    async fn read(snapshot: &dyn Snapshot, user: &UserId, room_id: &RoomId) -> Result<Self, UpgradeError> {
        let room = load::room_nid(snapshot, room_id).await?.ok_or(SendError::NoSuchRoom)?;
        let member = snapshot.get::<Member>(&(room, user.to_owned())).await?;
        if member.is_none_or(|member| member.membership != Membership::Join) {
            return Err(UpgradeError::NotAllowed);
        }
        let row = snapshot.get::<Room>(&(room,)).await?.ok_or(SendError::NoSuchRoom)?;
        let version: RoomVersionId =
            row.version.parse().map_err(|_| SendError::UnsupportedVersion(row.version.clone()))?;
        let rules = RoomRules::for_version(&version);
        let mut create = content(snapshot, room, rules, &[key::CREATE]).await?;
        let create = create.pop().flatten().ok_or(SendError::NoSuchRoom)?;
        let keys = [StateKey::new(key::POWER_LEVELS, "")];
        let power = load::state(snapshot, room, rules, &keys).await?.pop().flatten();
        let event = StateEvent::from(create.pdu.clone());
        let levels = PowerLevels::new(&rules.auth, event.event(), power.as_ref().map(StateEvent::event));
        if !levels.may_send(user.as_str(), "m.room.tombstone", EventClass::State) {
            return Err(UpgradeError::NotAllowed);
        }
        let state = content(snapshot, room, rules, CARRIED).await?;
        let carried = CARRIED
            .iter()
            .zip(state)
            .filter_map(|(kind, stored)| Some(((*kind).to_owned(), stored?.pdu.content_object())));
        let mut named =
            content(snapshot, room, rules, &["m.room.canonical_alias", key::POWER_LEVELS]).await?.into_iter();
        let canonical_alias = named.next().flatten().map(|stored| stored.pdu.content_object());
        let levels = named.next().flatten().map(|stored| stored.pdu.content_object()).unwrap_or_default();
        let head = snapshot.get::<RoomHead>(&(room,)).await?;
        Ok(Self {
            room,
            rules,
            carried: carried.collect(),
            more: more(snapshot, room, rules, user).await?,
            create,
            levels,
            canonical_alias,
            listed: snapshot.get::<DirectoryEntry>(&(room,)).await?.is_some(),
            last_event: head.and_then(|head| last_of(&head.extremities)),
            row,
        })
    }

    fn creation(&self, user: &UserId, version: RoomVersionId, additional: &[OwnedUserId]) -> Creation {
        let mut content = self.create.pdu.content_object();
        for gone in ["creator", "room_version", "predecessor", "additional_creators"] {
            content.remove(gone);
        }
        let mut predecessor = object([("room_id", self.row.room_id.as_str().into())]);
        if let Some(event_id) = &self.last_event {
            predecessor.insert("event_id", event_id.as_str());
        }
        content.insert("predecessor", CanonicalValue::from(predecessor));
        let new_rules = RoomRules::for_version(&version);
        if new_rules.auth.creators == CreatorRule::SenderAndAdditional && !additional.is_empty() {
            let list = additional.iter().map(|user| CanonicalValue::from(user.as_str())).collect();
            content.insert("additional_creators", CanonicalValue::Array(list));
        }
        Creation {
            creator: user.to_owned(),
            visibility: Visibility::Private,
            preset: None,
            version: Some(version),
            creation_content: content,
            initial_state: Vec::new(),
            name: None,
            topic: None,
            alias_name: None,
            invite: Vec::new(),
            invite_addresses: Vec::new(),
            is_direct: false,
            power_level_content_override: None,
        }
    }

    fn drafts(&self, user: &UserId, rules: SupportedRules) -> Vec<Draft> {
        let known = |kind: &str, content: &CanonicalObject| match content.get_str("join_rule") {
            // A rule that the new version does not have would lock everybody out.
            Some("knock") if kind == key::JOIN_RULES => rules.auth.knocking,
            Some("restricted") if kind == key::JOIN_RULES => rules.auth.restricted,
            Some("knock_restricted") if kind == key::JOIN_RULES => rules.auth.knock_restricted,
            _ => true,
        };
        let carried = self.carried.iter().map(|(kind, content)| {
            let invite = || object([("join_rule", "invite".into())]);
            let content = if known(kind, content) { content.clone() } else { invite() };
            state(user, kind, content)
        });
        let alias =
            self.canonical_alias.clone().map(|content| state(user, "m.room.canonical_alias", content));
        carried.chain(alias).collect()
    }

    /// The old room's levels, in the form that the new version wants.
    fn new_levels(&self, user: &UserId, rules: SupportedRules, creation: &Creation) -> CanonicalObject {
        let mut levels = self.levels.clone();
        let mut users = levels.get_object("users").cloned().unwrap_or_default();
        if rules.auth.creators_are_privileged() {
            let additional = creation.creation_content.get("additional_creators");
            let additional = additional.and_then(CanonicalValue::as_array).unwrap_or_default();
            users.remove(user.as_str());
            additional
                .iter()
                .filter_map(CanonicalValue::as_str)
                .for_each(|creator| drop(users.remove(creator)));
            // Creators stand above all levels, and so must what only they may do.
            let mut events = levels.get_object("events").cloned().unwrap_or_default();
            if !events.contains_key("m.room.tombstone")
                || events
                    .get("m.room.tombstone")
                    .and_then(CanonicalValue::as_integer)
                    .is_some_and(|l| l < 150)
            {
                events.insert("m.room.tombstone", 150);
            }
            levels.insert("events", CanonicalValue::from(events));
        } else if self.rules.auth.creators_are_privileged() {
            // Who stood above all levels has the highest one now.
            users.insert(user.as_str(), 100);
        }
        levels.insert("users", CanonicalValue::from(users));
        levels
    }

    /// The levels that leave talking and inviting to those with power.
    fn closing_levels(&self) -> CanonicalObject {
        let mut levels = self.levels.clone();
        let level = |name: &str| levels.get(name).and_then(CanonicalValue::as_integer);
        let needed = level("users_default").unwrap_or(0).saturating_add(1).max(50);
        let (events, invite) = (level("events_default").unwrap_or(0), level("invite").unwrap_or(0));
        levels.insert("events_default", needed.max(events));
        levels.insert("invite", needed.max(invite));
        levels
    }
}

fn state(user: &UserId, kind: &str, content: CanonicalObject) -> Draft {
    keyed(user, kind, "", content)
}

fn keyed(user: &UserId, kind: &str, state_key: &str, content: CanonicalObject) -> Draft {
    Draft {
        sender: user.to_owned(),
        kind: kind.to_owned(),
        state_key: Some(state_key.to_owned()),
        content,
        redacts: None,
        sticky: None,
    }
}

/// The current events of these types under the empty key.
async fn content(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    rules: &'static RoomRules,
    kinds: &[&str],
) -> Result<Vec<Option<Stored>>, SendError> {
    let keys: Vec<_> = kinds.iter().map(|kind| (room, (*kind).to_owned(), String::new())).collect();
    let rows = snapshot.get_all::<State>(&keys).await?;
    let numbers: Vec<_> = rows.iter().flatten().map(|row| row.event).collect();
    let mut found = load::events(snapshot, rules, &numbers).await?;
    Ok(rows.into_iter().map(|row| found.remove(&row?.event)).collect())
}

/// A space's children and the room's bans, as the user will send them again.
async fn more(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    rules: &'static RoomRules,
    user: &UserId,
) -> Result<Vec<Draft>, SendError> {
    let children = Scan::prefix::<State>((room, "m.space.child".to_owned()), MOST_CARRIED);
    let children = snapshot.scan::<State>(children).await?;
    let members = members::all(snapshot, room).await?;
    let banned = members.iter().filter(|member| member.membership == Membership::Ban).take(MOST_CARRIED);
    let numbers: Vec<_> =
        children.iter().map(|row| row.event).chain(banned.map(|member| member.event)).collect();
    let mut found = load::events(snapshot, rules, &numbers).await?;
    let again = numbers.iter().filter_map(|number| found.remove(number)).filter_map(|stored| {
        let (kind, state_key) = (stored.header.kind, stored.header.state_key?);
        let content = stored.pdu.content_object();
        // A child without `via` was taken out.
        let kept = kind == key::MEMBER || content.contains_key("via");
        kept.then(|| keyed(user, &kind, &state_key, content))
    });
    Ok(again.collect())
}

/// The last known event of a room.
fn last_of(extremities: &str) -> Option<String> {
    let list = crate::extremities::read(extremities).ok()?;
    list.into_iter().max_by_key(|extremity| extremity.depth).map(|extremity| extremity.event_id.into())
}
