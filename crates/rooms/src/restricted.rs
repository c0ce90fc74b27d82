//! Restricted rooms: who may join because they are in another room
//! (<https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms>).

use myelin_model::RoomNid;
use myelin_pdu::{CanonicalValue, RoomRules, RoomVersionId};
use myelin_room_core::key::{self, StateKey};
use myelin_room_core::machine::StateEvent;
use myelin_room_core::power::PowerLevels;
use myelin_store::schema::rooms::{Member, Membership, RoomById, State};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::{OwnedRoomId, OwnedUserId, ServerName, UserId};

use crate::{load, members};

/// The most rooms of a join rule that are looked at.
const MOST_ALLOWED: usize = 500;

/// The rooms whose members a room's join rule lets in; none where it is not restricted.
pub(crate) async fn allowed_rooms(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    version: &str,
) -> Result<Vec<OwnedRoomId>, ReadError> {
    let Ok(version) = version.parse::<RoomVersionId>() else { return Ok(Vec::new()) };
    let key = (room, key::JOIN_RULES.to_owned(), String::new());
    let Some(row) = snapshot.get::<State>(&key).await? else { return Ok(Vec::new()) };
    let mut found = load::events(snapshot, RoomRules::for_version(&version), &[row.event]).await?;
    let Some(stored) = found.remove(&row.event) else { return Ok(Vec::new()) };
    let content = stored.pdu.content_object();
    if !matches!(content.get_str("join_rule"), Some("restricted" | "knock_restricted")) {
        return Ok(Vec::new());
    }
    let conditions = content.get("allow").and_then(CanonicalValue::as_array).unwrap_or_default();
    let rooms = conditions.iter().filter_map(|condition| {
        let condition = condition.as_object()?;
        let by_membership = condition.get_str("type") == Some("m.room_membership");
        condition.get_str("room_id").filter(|_| by_membership)?.try_into().ok()
    });
    Ok(rooms.take(MOST_ALLOWED).collect())
}

/// Whether the user has joined one of these rooms.
pub(crate) async fn is_in_any(
    snapshot: &dyn Snapshot,
    user: &UserId,
    rooms: &[OwnedRoomId],
) -> Result<bool, ReadError> {
    let ids: Vec<(OwnedRoomId,)> = rooms.iter().map(|room| (room.clone(),)).collect();
    let known = snapshot.get_all::<RoomById>(&ids).await?;
    let keys: Vec<_> = known.into_iter().flatten().map(|row| (row.room, user.to_owned())).collect();
    let memberships = snapshot.get_all::<Member>(&keys).await?;
    Ok(memberships.into_iter().flatten().any(|member| member.membership == Membership::Join))
}

/// A member of this server who has the power to invite, and so to let somebody in
/// (`join_authorised_via_users_server`): the one with the most power, by their id among equals.
pub(crate) async fn voucher(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    version: &str,
    server: &ServerName,
) -> Result<Option<OwnedUserId>, ReadError> {
    let Ok(version) = version.parse::<RoomVersionId>() else { return Ok(None) };
    let rules = RoomRules::for_version(&version);
    let keys = [StateKey::new(key::CREATE, ""), StateKey::new(key::POWER_LEVELS, "")];
    let mut state = load::state(snapshot, room, rules, &keys).await?.into_iter();
    let Some(Some(create)) = state.next() else { return Ok(None) };
    let levels = state.next().flatten();
    let levels = PowerLevels::new(&rules.auth, create.event(), levels.as_ref().map(StateEvent::event));
    let members = members::all(snapshot, room).await?;
    let may = members.into_iter().filter(|member| {
        member.membership == Membership::Join
            && member.user_id.server_name() == server
            && levels.user_level(member.user_id.as_str()).reaches(levels.invite())
    });
    let strongest = may.max_by(|a, b| {
        let level = |member: &Member| levels.user_level(member.user_id.as_str());
        level(a).cmp(&level(b)).then_with(|| b.user_id.cmp(&a.user_id))
    });
    Ok(strongest.map(|member| member.user_id))
}
