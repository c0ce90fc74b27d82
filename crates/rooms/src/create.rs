//! Making rooms.

use std::sync::Arc;

use myelin_model::Topic;
use myelin_pdu::{CanonicalObject, RoomRules, RoomVersionId};
use myelin_room_core::auth::SupportedRules;
use myelin_store::schema::rooms::{Alias, DirectoryEntry, Room, RoomById};
use myelin_store::{Batch, CommitError, Snapshot};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId};

use crate::plan::Planner;
use crate::third_party::MAX_ADDRESSES;
use crate::{Addressee, Draft, Refusal, Rooms, SendError, ThirdPartyError, judge, members, presets};

/// Whether a room is listed in the public directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Listed.
    Public,
    /// Not listed.
    #[default]
    Private,
}

/// The spec's presets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Invited users only.
    PrivateChat,
    /// Invited users only, who get the creator's power.
    TrustedPrivateChat,
    /// Anyone may join.
    PublicChat,
}

/// A request for a new room.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Who makes it.
    pub creator: OwnedUserId,
    /// Whether it is listed.
    pub visibility: Visibility,
    /// Its preset; by default the one that fits the visibility.
    pub preset: Option<Preset>,
    /// Its version; by default the server's default.
    pub version: Option<RoomVersionId>,
    /// Additions to the create event.
    pub creation_content: CanonicalObject,
    /// State events that it starts with.
    pub initial_state: Vec<Draft>,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// The localpart of its alias.
    pub alias_name: Option<String>,
    /// Whom to invite.
    pub invite: Vec<OwnedUserId>,
    /// Whom to invite by an address of theirs.
    pub invite_addresses: Vec<Addressee>,
    /// Whether the invites are to a direct chat.
    pub is_direct: bool,
    /// What to change of the power levels.
    pub power_level_content_override: Option<CanonicalObject>,
}

/// The most users one request may invite.
pub(crate) const MAX_INVITES: usize = 100;
/// The most state events one request may bring.
pub(crate) const MAX_INITIAL_STATE: usize = 200;

/// How many rooms one user may make of the same request in the same millisecond.
const SAME_MOMENT: u32 = 1_000;

/// Why there is no new room.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateError {
    /// The version is none this server makes rooms of.
    #[error("this server makes no rooms of version {0}")]
    UnsupportedVersion(String),
    /// `initial_state` names an event that only the server makes.
    #[error("initial_state may not contain {0}")]
    InitialState(String),
    /// `power_level_content_override` gives a creator a level, which this room version forbids.
    #[error(
        "power_level_content_override may not name the creator: in this room version creators have all power"
    )]
    CreatorHasLevel,
    /// The alias is taken.
    #[error("the alias {0} is taken")]
    AliasInUse(OwnedRoomAliasId),
    /// The alias is not a valid one.
    #[error("{0} is no valid alias")]
    InvalidAlias(String),
    /// More invites or state than one request may bring.
    #[error(
        "a room may start with at most {MAX_INVITES} invites, {MAX_ADDRESSES} of them by an address, and {MAX_INITIAL_STATE} state events"
    )]
    TooMuch,
    /// Somebody can't be invited by their address.
    #[error(transparent)]
    ThirdParty(#[from] ThirdPartyError),
    /// One of the room's first events could not be made.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Rooms {
    /// Makes a room with all its first events in one commit, and answers with its id. Invites that wait with an identity
    /// server follow it, since they need the id; whom such a server does not know is found out before.
    ///
    /// # Errors
    /// See [`CreateError`]; nothing was made then.
    pub async fn create(&self, creation: &Creation) -> Result<OwnedRoomId, CreateError> {
        if creation.invite.len() > MAX_INVITES || creation.initial_state.len() > MAX_INITIAL_STATE {
            return Err(CreateError::TooMuch);
        }
        let addresses = &creation.invite_addresses;
        if addresses.len() > MAX_ADDRESSES || creation.invite.len() + addresses.len() > MAX_INVITES {
            return Err(CreateError::TooMuch);
        }
        let version = creation.version.as_ref().unwrap_or(&self.deps.config.default_room_version);
        let rules = RoomRules::for_version(version);
        let supported = SupportedRules::new(rules)
            .map_err(|error| CreateError::UnsupportedVersion(error.0.to_string()))?;
        let alias = self.alias_for(creation)?;
        let (known, waiting) = self.look_up_all(addresses).await?;
        let snapshot = self.deps.engine.snapshot().await.map_err(SendError::from)?;
        let drafts = self.first_drafts(&*snapshot, creation, known, rules, alias.as_ref()).await?;
        drop(snapshot);
        let room_id = self.make(creation, supported, &drafts, alias).await?;
        self.leave_invites(&creation.creator, &room_id, &waiting).await;
        Ok(room_id)
    }

    /// Makes a room of its create event and these.
    pub(crate) async fn make(
        &self,
        creation: &Creation,
        rules: SupportedRules,
        drafts: &[Draft],
        alias: Option<OwnedRoomAliasId>,
    ) -> Result<OwnedRoomId, CreateError> {
        let mut now = self.deps.env.clock.now();
        for _ in 0..SAME_MOMENT {
            let (batch, room_id) = self.plan_room(creation, rules, drafts, alias.as_ref(), now).await?;
            match self.deps.engine.commit(batch).await {
                Ok(_) => {
                    self.deps.observer.joined(&creation.creator).await;
                    return Ok(room_id);
                }
                // The create event's hash is the room's id, so the same request in the same millisecond would make
                // the same room, and every peer would take the two for one: another moment makes another room.
                Err(CommitError::Conflict { keyspace: "room_by_id" }) => now += 1,
                Err(CommitError::Conflict { keyspace: "alias" }) => {
                    return Err(alias.map_or(CreateError::TooMuch, CreateError::AliasInUse));
                }
                // What the observer read of a member has changed meanwhile, such as their push rules.
                Err(CommitError::Conflict { keyspace: "push_user" }) => {}
                Err(error) => return Err(SendError::from(error).into()),
            }
        }
        Err(SendError::Busy.into())
    }

    fn alias_for(&self, creation: &Creation) -> Result<Option<OwnedRoomAliasId>, CreateError> {
        let Some(name) = &creation.alias_name else { return Ok(None) };
        let alias = format!("#{name}:{}", self.deps.config.server_name);
        if name.is_empty() || name.contains([':', '\0']) || name.chars().any(char::is_whitespace) {
            return Err(CreateError::InvalidAlias(alias));
        }
        if self.deps.policy.refuses_room(&alias) {
            return Err(SendError::from(Refusal::RoomBlocked).into());
        }
        OwnedRoomAliasId::try_from(alias.as_str()).map(Some).map_err(|_| CreateError::InvalidAlias(alias))
    }

    /// Everything after the create event: the creator's join, the preset's state, the invites.
    async fn first_drafts(
        &self,
        snapshot: &dyn Snapshot,
        creation: &Creation,
        known: Vec<OwnedUserId>,
        rules: &RoomRules,
        alias: Option<&OwnedRoomAliasId>,
    ) -> Result<Vec<Draft>, CreateError> {
        let mut users = vec![creation.creator.clone()];
        users.extend(creation.invite.iter().filter(|user| **user != creation.creator).cloned());
        // Somebody may be named by their id and by their address.
        for user in known {
            if !users.contains(&user) {
                users.push(user);
            }
        }
        let profiles = members::profiles(snapshot, &users).await.map_err(SendError::from)?;
        let mut people = users.into_iter().zip(profiles);
        let mut drafts = Vec::new();
        if let Some((creator, profile)) = people.next() {
            drafts.push(members::draft(&creator, &creator, "join", profile.as_ref(), None));
        }
        drafts.extend(presets::drafts(creation, rules, alias)?);
        for (invitee, profile) in people {
            let mut draft = members::draft(&creation.creator, &invitee, "invite", profile.as_ref(), None);
            if creation.is_direct {
                draft.content.insert("is_direct", true);
            }
            drafts.push(draft);
        }
        Ok(drafts)
    }

    /// Plans the whole room into one batch.
    async fn plan_room(
        &self,
        creation: &Creation,
        rules: SupportedRules,
        drafts: &[Draft],
        alias: Option<&OwnedRoomAliasId>,
        now: u64,
    ) -> Result<(Batch, OwnedRoomId), CreateError> {
        let deps = &self.deps;
        let room = deps.ids.room().await?;
        let mut events = deps.ids.events(1 + drafts.len()).await?.into_iter();
        let create = Draft {
            sender: creation.creator.clone(),
            kind: "m.room.create".to_owned(),
            state_key: Some(String::new()),
            content: presets::create_content(creation, &rules),
            redacts: None,
            sticky: None,
        };
        let (machine, planned) = judge::create(deps, rules, &create, now)?;
        let room_id = planned.pdu.room_id().to_owned();
        let room_type = creation.creation_content.get_str("type").map(str::to_owned);
        let mut planner = Planner::for_new_room(Arc::clone(deps), room, room_id.clone(), machine);
        let mut batch = Batch::new(deps.fence(&room_id));
        let created = batch.next_pos();
        batch.insert(&RoomById { room_id: room_id.clone(), room });
        batch.put(&Room {
            room,
            room_id: room_id.clone(),
            version: rules.version.as_str().to_owned(),
            creator: creation.creator.clone(),
            room_type,
            created,
        });
        let at = i64::try_from(deps.env.clock.now()).unwrap_or(i64::MAX);
        if let Some(alias) = alias {
            let creator = creation.creator.clone();
            batch.insert(&Alias { alias: alias.clone(), room, creator, created_at: at });
        }
        if creation.visibility == Visibility::Public {
            batch.put(&DirectoryEntry { room, added_at: at });
        }
        let snapshot = deps.engine.snapshot().await.map_err(SendError::from)?;
        if let Some(event) = events.next() {
            planner.place_create(&*snapshot, planned, event, &mut batch).await?;
        }
        for (draft, event) in drafts.iter().zip(events) {
            planner.place(&*snapshot, draft, None, event, &mut batch).await?;
        }
        planner.seal(&mut batch);
        batch.wake(Topic::user(creation.creator.as_str()));
        Ok((batch, room_id))
    }
}
