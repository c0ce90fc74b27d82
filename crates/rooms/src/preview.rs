//! What a room shows to those who think of joining it: in the directory, in a space's hierarchy, as a summary
//! (<https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>).

use std::collections::HashMap;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Membership, Room, RoomHead, RoomSummary};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Serialize;

use crate::reading::ReadingError;
use crate::{Rooms, load, restricted};

/// A room as those see it who are not in it.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// Its number here.
    #[serde(skip)]
    pub(crate) room: RoomNid,
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its main alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// Its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// How many have joined it.
    pub num_joined_members: i64,
    /// Whether everybody may read it.
    pub world_readable: bool,
    /// Whether guests may join it.
    pub guest_can_join: bool,
    /// Its join rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<String>,
    /// Its type, such as `m.space`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
}

/// What a summary tells besides.
#[derive(Clone, Debug, Serialize)]
pub struct Details {
    #[serde(flatten)]
    /// The room.
    pub preview: Preview,
    /// The algorithm its messages are encrypted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Its version.
    pub room_version: String,
    /// The rooms whose members may join it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_room_ids: Vec<OwnedRoomId>,
}

/// A room's summary for one user.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    /// The room.
    pub details: Details,
    /// How the user stands to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<&'static str>,
}

impl Rooms {
    /// A room's summary, for who may see it: see [`may_preview`].
    ///
    /// # Errors
    /// [`ReadingError::NotFound`] where there is no such room, or none that the user may see.
    pub async fn summary(&self, room_id: &RoomId, user: Option<&UserId>) -> Result<Summary, ReadingError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(ReadingError::NotFound)?;
        let details = details(&*snapshot, &[room]).await?.pop().ok_or(ReadingError::NotFound)?;
        let member = match user {
            Some(user) => snapshot.get::<Member>(&(room, user.to_owned())).await?,
            None => None,
        };
        if !may_preview(&*snapshot, &details, user, member.as_ref()).await? {
            return Err(ReadingError::NotFound);
        }
        let membership = user.map(|_| member.map_or("leave", |member| member.membership.as_str()));
        Ok(Summary { details, membership })
    }
}

/// Whether a user, or somebody without an account here, may see what a room shows of itself: they are in it, may join or
/// knock, or everybody may read it.
pub(crate) async fn may_preview(
    snapshot: &dyn Snapshot,
    details: &Details,
    user: Option<&UserId>,
    member: Option<&Member>,
) -> Result<bool, ReadError> {
    let open = matches!(details.preview.join_rule.as_deref(), Some("public" | "knock" | "knock_restricted"));
    if open || details.preview.world_readable {
        return Ok(true);
    }
    let membership = member.map(|member| member.membership);
    if matches!(membership, Some(Membership::Join | Membership::Invite | Membership::Knock)) {
        return Ok(true);
    }
    match user {
        Some(user) if membership != Some(Membership::Ban) => {
            restricted::is_in_any(snapshot, user, &details.allowed_room_ids).await
        }
        _ => Ok(false),
    }
}

/// The previews of these rooms, in their order; rooms that the store lacks are left out.
pub(crate) async fn previews(snapshot: &dyn Snapshot, rooms: &[RoomNid]) -> Result<Vec<Preview>, ReadError> {
    Ok(details_without_rules(snapshot, rooms).await?.into_iter().map(|details| details.preview).collect())
}

/// The details of these rooms, in their order; rooms that the store lacks are left out.
pub(crate) async fn details(snapshot: &dyn Snapshot, rooms: &[RoomNid]) -> Result<Vec<Details>, ReadError> {
    let mut found = details_without_rules(snapshot, rooms).await?;
    let restricted: Vec<(RoomNid, String)> = found
        .iter()
        .filter(|details| {
            matches!(details.preview.join_rule.as_deref(), Some("restricted" | "knock_restricted"))
        })
        .map(|details| (details.preview.room, details.room_version.clone()))
        .collect();
    let mut allowed: HashMap<RoomNid, Vec<OwnedRoomId>> = HashMap::with_capacity(restricted.len());
    for (room, version) in restricted {
        allowed.insert(room, restricted::allowed_rooms(snapshot, room, &version).await?);
    }
    for details in &mut found {
        details.allowed_room_ids = allowed.remove(&details.preview.room).unwrap_or_default();
    }
    Ok(found)
}

async fn details_without_rules(
    snapshot: &dyn Snapshot,
    rooms: &[RoomNid],
) -> Result<Vec<Details>, ReadError> {
    let keys: Vec<(RoomNid,)> = rooms.iter().map(|room| (*room,)).collect();
    let rows = snapshot.get_all::<Room>(&keys).await?;
    let heads = snapshot.get_all::<RoomHead>(&keys).await?;
    let summaries = snapshot.get_all::<RoomSummary>(&keys).await?;
    let each = rows.into_iter().zip(heads).zip(summaries);
    Ok(each
        .filter_map(|((row, head), summary)| {
            let row = row?;
            let summary = summary.unwrap_or_else(|| RoomSummary::empty(row.room));
            Some(Details {
                encryption: summary.encryption.clone(),
                room_version: row.version.clone(),
                allowed_room_ids: Vec::new(),
                preview: preview(row, head.map_or(0, |head| head.joined), summary),
            })
        })
        .collect())
}

fn preview(row: Room, joined: i64, summary: RoomSummary) -> Preview {
    Preview {
        room: row.room,
        room_id: row.room_id,
        name: summary.name,
        topic: summary.topic,
        canonical_alias: summary.canonical_alias,
        avatar_url: summary.avatar_url,
        num_joined_members: joined,
        world_readable: summary.history_visibility.as_deref() == Some("world_readable"),
        guest_can_join: summary.guest_access.as_deref() == Some("can_join"),
        join_rule: summary.join_rule,
        room_type: row.room_type,
    }
}
