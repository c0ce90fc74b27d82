//! Membership events.

use myelin_model::{EventNid, RoomNid};
use myelin_pdu::CanonicalObject;
use myelin_store::schema::rooms::{Member, Membership, Room};
use myelin_store::schema::users::Profile;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde::Deserialize;

use crate::Draft;

/// The profiles of these users, in their order; users without one get an empty one.
pub(crate) async fn profiles(
    snapshot: &dyn Snapshot,
    users: &[OwnedUserId],
) -> Result<Vec<Option<Profile>>, ReadError> {
    let keys: Vec<(OwnedUserId,)> = users.iter().map(|user| (user.clone(),)).collect();
    snapshot.get_all::<Profile>(&keys).await
}

/// A membership event for `target`, with the profile that the room shall see and a reason.
pub(crate) fn draft(
    sender: &UserId,
    target: &UserId,
    membership: &str,
    profile: Option<&Profile>,
    reason: Option<&str>,
) -> Draft {
    let mut content = CanonicalObject::default();
    content.insert("membership", membership);
    if let Some(profile) = profile {
        if let Some(name) = &profile.display_name {
            content.insert("displayname", name.as_str());
        }
        if let Some(url) = &profile.avatar_url {
            content.insert("avatar_url", url.as_str());
        }
    }
    if let Some(reason) = reason {
        content.insert("reason", reason);
    }
    Draft {
        sender: sender.to_owned(),
        kind: "m.room.member".to_owned(),
        state_key: Some(target.to_string()),
        content,
        redacts: None,
        sticky: None,
    }
}

/// The most rooms of one user that are read at once: far above any account, and a bound.
const MOST_ROOMS: usize = 100_000;

/// The rooms where the user has this membership.
pub(crate) async fn rooms_of(
    snapshot: &dyn Snapshot,
    user: &UserId,
    membership: Membership,
) -> Result<Vec<OwnedRoomId>, ReadError> {
    let scan = Scan::index::<Member>(Member::BY_USER, (user.to_owned(),), MOST_ROOMS);
    let members = snapshot.scan::<Member>(scan).await?;
    let wanted = members.iter().filter(|member| member.membership == membership);
    let keys: Vec<(RoomNid,)> = wanted.map(|member| (member.room,)).collect();
    let rooms = snapshot.get_all::<Room>(&keys).await?;
    Ok(rooms.into_iter().flatten().map(|room| room.room_id).collect())
}

/// The most members of one room that are read at once.
const MOST_MEMBERS: usize = 1_000_000;

/// Every membership of the room.
pub(crate) async fn all(snapshot: &dyn Snapshot, room: RoomNid) -> Result<Vec<Member>, ReadError> {
    snapshot.scan::<Member>(Scan::prefix::<Member>((room,), MOST_MEMBERS)).await
}

/// The current membership events of these users.
pub(crate) async fn current(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    mut users: Vec<OwnedUserId>,
) -> Result<Vec<EventNid>, ReadError> {
    users.sort_unstable();
    users.dedup();
    let keys: Vec<_> = users.into_iter().map(|user| (room, user)).collect();
    let rows = snapshot.get_all::<Member>(&keys).await?;
    Ok(rows.into_iter().flatten().map(|member| member.event).collect())
}

/// Those of these membership events whose membership is wanted.
pub(crate) async fn with_membership(
    snapshot: &dyn Snapshot,
    events: Vec<EventNid>,
    wanted: impl Fn(Membership) -> bool,
) -> Result<Vec<EventNid>, ReadError> {
    #[derive(Deserialize)]
    struct Stored {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    let contents = myelin_timeline::contents(snapshot, &events).await?;
    let is_wanted = |event: &EventNid| {
        let stored: Option<Stored> = contents.get(event).and_then(|json| serde_json::from_slice(json).ok());
        stored.is_some_and(|stored| wanted(parse(&stored.content.membership)))
    };
    Ok(events.into_iter().filter(is_wanted).collect())
}

/// A membership from its text; what no room version knows counts as having left.
pub(crate) fn parse(membership: &str) -> Membership {
    match membership {
        "join" => Membership::Join,
        "invite" => Membership::Invite,
        "knock" => Membership::Knock,
        "ban" => Membership::Ban,
        _ => Membership::Leave,
    }
}
