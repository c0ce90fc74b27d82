//! Local aliases and the public directory's entries.

use myelin_model::RoomNid;
use myelin_pdu::{RoomRules, RoomVersionId};
use myelin_room_core::key::{self, StateKey};
use myelin_room_core::machine::StateEvent;
use myelin_room_core::power::{EventClass, PowerLevels};
use myelin_store::schema::rooms::{Alias, DirectoryEntry, Member, Membership, Room};
use myelin_store::{Batch, CommitError, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, UserId};

use crate::reading::{ReadingError, standing};
use crate::{Rooms, Visibility, load};

/// The most aliases of one room that are listed.
const MOST_ALIASES: usize = 1_000;

/// Why an alias or a directory entry stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum AliasError {
    /// The alias does not end with this server's name.
    #[error("{0} is not an alias of this server")]
    Foreign(OwnedRoomAliasId),
    /// The alias names a room already.
    #[error("{0} names another room already")]
    InUse(OwnedRoomAliasId),
    /// There is no such alias.
    #[error("there is no room with the alias {0}")]
    NotFound(OwnedRoomAliasId),
    /// It does not have the form of an alias.
    #[error("{0:?} is no alias")]
    Invalid(String),
    /// It names no room that this server knows, or another one (`M_BAD_ALIAS`).
    #[error("{0} is not an alias of this room")]
    Elsewhere(OwnedRoomAliasId),
    /// The user may not do this.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// The alias, or the room, is kept out of this server.
    #[error("{0} is blocked on this server")]
    Blocked(String),
    /// There is no such room here.
    #[error("this server does not know the room")]
    NoSuchRoom,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Rooms {
    /// The room that an alias names; none where the alias is blocked.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn resolve_alias(&self, alias: &RoomAliasId) -> Result<Option<OwnedRoomId>, ReadError> {
        if self.deps.policy.refuses_room(alias.as_str()) {
            return Ok(None);
        }
        let snapshot = self.deps.engine.snapshot().await?;
        let Some(row) = snapshot.get::<Alias>(&(alias.to_owned(),)).await? else { return Ok(None) };
        Ok(snapshot.get::<Room>(&(row.room,)).await?.map(|room| room.room_id))
    }

    /// Gives the room an alias. Whoever is in the room may.
    ///
    /// # Errors
    /// See [`AliasError`].
    pub async fn create_alias(
        &self,
        user: &UserId,
        alias: &RoomAliasId,
        room_id: &RoomId,
    ) -> Result<(), AliasError> {
        self.check_local(alias)?;
        for name in [alias.as_str(), room_id.as_str()] {
            if self.deps.policy.refuses_room(name) {
                return Err(AliasError::Blocked(name.to_owned()));
            }
        }
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(AliasError::NoSuchRoom)?;
        let member = snapshot.get::<Member>(&(room, user.to_owned())).await?;
        if member.is_none_or(|member| member.membership != Membership::Join) {
            return Err(AliasError::NotAllowed("only members of a room may give it an alias"));
        }
        drop(snapshot);
        let mut batch = Batch::new(self.deps.fence(room_id));
        let created_at = i64::try_from(self.deps.env.clock.now()).unwrap_or(i64::MAX);
        batch.insert(&Alias { alias: alias.to_owned(), room, creator: user.to_owned(), created_at });
        match self.deps.engine.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(AliasError::InUse(alias.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes an alias away: its maker may, and who may set the room's main alias.
    ///
    /// # Errors
    /// See [`AliasError`].
    pub async fn delete_alias(
        &self,
        user: &UserId,
        alias: &RoomAliasId,
        admin: bool,
    ) -> Result<(), AliasError> {
        self.check_local(alias)?;
        let snapshot = self.deps.engine.snapshot().await?;
        let found = snapshot.get::<Alias>(&(alias.to_owned(),)).await?;
        let row = found.ok_or_else(|| AliasError::NotFound(alias.to_owned()))?;
        if row.creator != user && !admin && !may_manage(&*snapshot, row.room, user).await? {
            return Err(AliasError::NotAllowed(
                "only its maker or the room's administrators may delete an alias",
            ));
        }
        let room = snapshot.get::<Room>(&(row.room,)).await?.ok_or(AliasError::NoSuchRoom)?;
        drop(snapshot);
        let mut batch = Batch::new(self.deps.fence(&room.room_id));
        batch.delete::<Alias>(&(alias.to_owned(),));
        self.deps.engine.commit(batch).await?;
        self.unlist(user, row.room, alias).await
    }

    /// The room's local aliases, for who may read the room.
    ///
    /// # Errors
    /// See [`ReadingError`].
    pub async fn aliases(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<Vec<OwnedRoomAliasId>, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let (room, _) = standing(&*snapshot, room_id, user).await?;
        let rows =
            snapshot.scan::<Alias>(Scan::index::<Alias>(Alias::BY_ROOM, (room,), MOST_ALIASES)).await?;
        Ok(rows.into_iter().map(|row| row.alias).collect())
    }

    /// Whether the room is in the public directory.
    ///
    /// # Errors
    /// See [`AliasError`].
    pub async fn visibility(&self, room_id: &RoomId) -> Result<Visibility, AliasError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(AliasError::NoSuchRoom)?;
        let listed = snapshot.get::<DirectoryEntry>(&(room,)).await?.is_some();
        Ok(if listed { Visibility::Public } else { Visibility::Private })
    }

    /// Lists the room in the public directory, or takes it out.
    ///
    /// # Errors
    /// See [`AliasError`].
    pub async fn set_visibility(
        &self,
        user: &UserId,
        room_id: &RoomId,
        visibility: Visibility,
        admin: bool,
    ) -> Result<(), AliasError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(AliasError::NoSuchRoom)?;
        if !admin && !may_manage(&*snapshot, room, user).await? {
            return Err(AliasError::NotAllowed(
                "only the room's administrators may list it in the directory",
            ));
        }
        drop(snapshot);
        let mut batch = Batch::new(self.deps.fence(room_id));
        match visibility {
            Visibility::Public => {
                let added_at = i64::try_from(self.deps.env.clock.now()).unwrap_or(i64::MAX);
                batch.put(&DirectoryEntry { room, added_at });
            }
            Visibility::Private => batch.delete::<DirectoryEntry>(&(room,)),
        }
        self.deps.engine.commit(batch).await?;
        Ok(())
    }

    fn check_local(&self, alias: &RoomAliasId) -> Result<(), AliasError> {
        let local = alias.server_name() == self.deps.config.server_name;
        if local { Ok(()) } else { Err(AliasError::Foreign(alias.to_owned())) }
    }
}

/// Whether a member has the power to set the room's main alias, which is what the spec ties its names to.
async fn may_manage(snapshot: &dyn Snapshot, room: RoomNid, user: &UserId) -> Result<bool, ReadError> {
    let Some(row) = snapshot.get::<Room>(&(room,)).await? else { return Ok(false) };
    let Ok(version) = row.version.parse::<RoomVersionId>() else { return Ok(false) };
    let member = snapshot.get::<Member>(&(room, user.to_owned())).await?;
    if member.is_none_or(|member| member.membership != Membership::Join) {
        return Ok(false);
    }
    let rules = RoomRules::for_version(&version);
    let keys = [StateKey::new(key::CREATE, ""), StateKey::new(key::POWER_LEVELS, "")];
    let mut state = load::state(snapshot, room, rules, &keys).await?.into_iter();
    let Some(Some(create)) = state.next() else { return Ok(false) };
    let levels = state.next().flatten();
    let levels = PowerLevels::new(&rules.auth, create.event(), levels.as_ref().map(StateEvent::event));
    Ok(levels.may_send(user.as_str(), "m.room.canonical_alias", EventClass::State))
}
