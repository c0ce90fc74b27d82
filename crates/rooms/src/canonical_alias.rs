//! `m.room.canonical_alias`: the aliases that a room lists must be its own
//! (<https://spec.matrix.org/v1.19/client-server-api/#mroomcanonical_alias>).

use myelin_model::RoomNid;
use myelin_pdu::{CanonicalObject, CanonicalValue, RoomRules, RoomVersionId};
use myelin_store::schema::rooms::{Alias, Room, State};
use myelin_store::{Reader, Snapshot};
use ruma::{OwnedRoomAliasId, RoomAliasId, RoomId, UserId};

use crate::{AliasError, Draft, Rooms, SendError, load};

/// The type of the event.
const KIND: &str = "m.room.canonical_alias";

/// Why a state event was not sent.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It lists an alias that is not the room's.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// The room refuses it, or can't be reached.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// The aliases that a content lists, as they stand.
fn listed(content: &CanonicalObject) -> Result<Vec<&str>, AliasError> {
    let text = |value: &'_ CanonicalValue| value.as_str().is_some();
    let mut aliases = Vec::new();
    match content.get("alias") {
        None | Some(CanonicalValue::Null) => {}
        Some(CanonicalValue::String(alias)) => aliases.push(alias.as_str()),
        Some(other) => return Err(AliasError::Invalid(format!("{other:?}"))),
    }
    match content.get("alt_aliases") {
        None | Some(CanonicalValue::Null) => {}
        Some(CanonicalValue::Array(list)) if list.iter().all(text) => {
            aliases.extend(list.iter().filter_map(CanonicalValue::as_str));
        }
        Some(other) => return Err(AliasError::Invalid(format!("{other:?}"))),
    }
    Ok(aliases)
}

impl Rooms {
    /// Whether the aliases that a new `m.room.canonical_alias` adds name this room. Those that it lists already may stay,
    /// whatever has become of them.
    pub(crate) async fn check_canonical_alias(
        &self,
        room_id: &RoomId,
        content: &CanonicalObject,
    ) -> Result<(), AliasError> {
        let aliases = listed(content)?;
        if aliases.is_empty() {
            return Ok(());
        }
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(AliasError::NoSuchRoom)?;
        let current = current(&*snapshot, room).await?;
        let current = current.as_ref().map(listed).transpose().unwrap_or_default().unwrap_or_default();
        let mut added = Vec::new();
        for alias in aliases.into_iter().filter(|alias| !current.contains(alias)) {
            let parsed =
                OwnedRoomAliasId::try_from(alias).map_err(|_| AliasError::Invalid(alias.to_owned()))?;
            added.push((parsed,));
        }
        let rows = snapshot.get_all::<Alias>(&added).await?;
        for ((alias,), row) in added.into_iter().zip(rows) {
            // Of another server's alias this server can't know what it names.
            if row.is_none_or(|row| row.room != room) {
                return Err(AliasError::Elsewhere(alias));
            }
        }
        Ok(())
    }

    /// Takes a deleted alias out of the room's `m.room.canonical_alias`, where it stands there and the user has the power
    /// for it.
    pub(crate) async fn unlist(
        &self,
        user: &UserId,
        room: RoomNid,
        alias: &RoomAliasId,
    ) -> Result<(), AliasError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let Some(mut content) = current(&*snapshot, room).await? else { return Ok(()) };
        if !listed(&content).is_ok_and(|listed| listed.contains(&alias.as_str())) {
            return Ok(());
        }
        let row = snapshot.get::<Room>(&(room,)).await?;
        drop(snapshot);
        if content.get_str("alias") == Some(alias.as_str()) {
            content.remove("alias");
        }
        if let Some(others) = content.get("alt_aliases").and_then(CanonicalValue::as_array) {
            let others: Vec<CanonicalValue> =
                others.iter().filter(|other| other.as_str() != Some(alias.as_str())).cloned().collect();
            if others.is_empty() {
                content.remove("alt_aliases");
            } else {
                content.insert("alt_aliases", CanonicalValue::Array(others));
            }
        }
        let Some(row) = row else { return Ok(()) };
        let draft = Draft {
            sender: user.to_owned(),
            kind: KIND.to_owned(),
            state_key: Some(String::new()),
            content,
            redacts: None,
            sticky: None,
        };
        if let Err(error) = self.send(&row.room_id, draft, None).await {
            // The alias is gone; that the room still lists it is what the spec leaves to its administrators.
            tracing::debug!(%error, room = %row.room_id, "a deleted alias stays in m.room.canonical_alias");
        }
        Ok(())
    }
}

/// The content of the room's event, if it has one.
async fn current(snapshot: &dyn Snapshot, room: RoomNid) -> Result<Option<CanonicalObject>, AliasError> {
    let Some(row) = snapshot.get::<Room>(&(room,)).await? else { return Ok(None) };
    let Ok(version) = row.version.parse::<RoomVersionId>() else { return Ok(None) };
    let Some(state) = snapshot.get::<State>(&(room, KIND.to_owned(), String::new())).await? else {
        return Ok(None);
    };
    let mut found = load::events(snapshot, RoomRules::for_version(&version), &[state.event]).await?;
    Ok(found.remove(&state.event).map(|stored| stored.pdu.content_object()))
}
