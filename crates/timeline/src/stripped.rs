//! Stripped state: what somebody who is not in a room is shown of it.

use std::collections::HashMap;

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::rooms::{Event, Member, State};
use myelin_store::{ReadError, Reader, Snapshot};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::load::{contents, load};

/// The state that invites and knocks show, besides the member event itself
/// (client-server API, "Stripped state"; the create event since MSC4311).
const SHOWN: &[&str] = &[
    "m.room.create",
    "m.room.join_rules",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.canonical_alias",
    "m.room.encryption",
];

#[derive(Serialize)]
struct Stripped<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    state_key: &'a str,
    sender: &'a str,
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct Invite {
    unsigned: InviteUnsigned,
}

#[derive(Deserialize)]
struct InviteUnsigned {
    #[serde(alias = "knock_room_state")]
    invite_room_state: Vec<Box<RawValue>>,
}

/// These state events as stripped state; what is no state or has lost its content is left out.
///
/// # Errors
/// When the store can't be read.
pub async fn stripped_events(
    snapshot: &dyn Snapshot,
    events: &[Event],
) -> Result<Vec<Box<RawValue>>, ReadError> {
    Ok(stripped_all(snapshot, events).await?.into_iter().flatten().collect())
}

/// What the member rows' users (invited or knocking) are shown of their rooms, in the order of the rows: from the
/// room's current state where this server knows it, else as the inviting server told. The last event of each is the
/// user's own member event.
///
/// # Errors
/// When the store can't be read.
pub async fn stripped_state(
    snapshot: &dyn Snapshot,
    members: &[Member],
) -> Result<Vec<Vec<Box<RawValue>>>, ReadError> {
    let rows = snapshot.get_all::<State>(&members.iter().flat_map(shown_keys).collect::<Vec<_>>()).await?;
    let mut nids: Vec<_> = rows.iter().flatten().map(|row| row.event).collect();
    nids.extend(members.iter().map(|member| member.event));
    let events = load(snapshot, &nids).await?;
    let stripped: HashMap<EventNid, Box<RawValue>> = events
        .iter()
        .zip(stripped_all(snapshot, &events).await?)
        .filter_map(|(event, stripped)| Some((event.event, stripped?)))
        .collect();
    let invites: Vec<_> = members.iter().map(|member| member.event).collect();
    let invites = contents(snapshot, &invites).await?;
    let per_member = SHOWN.len() + 1;
    let answer = members.iter().zip(rows.chunks(per_member)).map(|(member, rows)| {
        let others = rows.iter().flatten().map(|row| row.event).filter(|event| *event != member.event);
        let mut shown: Vec<_> = others.filter_map(|event| stripped.get(&event).cloned()).collect();
        if shown.is_empty()
            && let Some(told) = invites.get(&member.event).and_then(|json| told_state(json))
        {
            shown.extend(told);
        }
        shown.extend(stripped.get(&member.event).cloned());
        shown
    });
    Ok(answer.collect())
}

/// The state shown to this member: [`SHOWN`], and the member event of whoever made theirs.
fn shown_keys(member: &Member) -> impl Iterator<Item = (RoomNid, String, String)> {
    let room = member.room;
    let inviter = (room, "m.room.member".to_owned(), member.sender.to_string());
    SHOWN.iter().map(move |kind| (room, (*kind).to_owned(), String::new())).chain([inviter])
}

async fn stripped_all(
    snapshot: &dyn Snapshot,
    events: &[Event],
) -> Result<Vec<Option<Box<RawValue>>>, ReadError> {
    let nids: Vec<_> = events.iter().map(|event| event.event).collect();
    let contents = contents(snapshot, &nids).await?;
    let strip = |event: &Event| {
        let stored: Stored<'_> = serde_json::from_slice(contents.get(&event.event)?).ok()?;
        to_raw_value(&Stripped {
            kind: &event.kind,
            state_key: event.state_key.as_deref()?,
            sender: event.sender.as_str(),
            content: stored.content,
        })
        .ok()
    };
    Ok(events.iter().map(strip).collect())
}

/// The stripped state that came with an invite or knock over federation.
fn told_state(json: &[u8]) -> Option<Vec<Box<RawValue>>> {
    let invite: Invite = serde_json::from_slice(json).ok()?;
    Some(invite.unsigned.invite_room_state)
}
