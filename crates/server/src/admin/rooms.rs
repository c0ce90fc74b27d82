//! Operators' commands on rooms, and on who is kept out of them.

use myelin_rooms::{Before, Rooms, SendError};
use myelin_store::schema::moderation::{Block, BlockKind, RoomJob};
use ruma::{EventId, OwnedRoomId, RoomAliasId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::text;
use crate::compose::Server;

/// What to do with a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomAction {
    /// Keep it, or all that a glob matches, out of this server.
    Block {
        /// Why.
        reason: Option<String>,
    },
    /// No longer.
    Unblock,
    /// Delete what was written in it.
    PurgeHistory {
        /// Before which event, or which time in milliseconds since 1970.
        before: String,
    },
    /// Delete all of it.
    Purge,
    /// Block it and take the members of this server out of it.
    ShutDown {
        /// What they are told.
        message: Option<String>,
    },
}

pub(super) async fn run(server: &Server, action: RoomAction, target: &str) -> Result<Value, String> {
    let rooms = &server.state.rooms;
    let target = resolved(rooms, target).await?;
    match action {
        RoomAction::Block { reason } => {
            rooms.block(BlockKind::Room, &target, reason.as_deref()).await.map_err(text)?;
            Ok(json!({ "blocked": target }))
        }
        RoomAction::Unblock => {
            rooms.unblock(BlockKind::Room, &target).await.map_err(text)?;
            Ok(json!({ "unblocked": target }))
        }
        RoomAction::PurgeHistory { before } => {
            let (room_id, before) = (room_id(&target)?, self::before(&before)?);
            Ok(job_line(&rooms.purge_history(&room_id, &before).await.map_err(text)?))
        }
        RoomAction::Purge => Ok(job_line(&rooms.purge_room(&room_id(&target)?).await.map_err(text)?)),
        RoomAction::ShutDown { message } => {
            let job = rooms.shut_down(&room_id(&target)?, message.as_deref()).await.map_err(text)?;
            Ok(job_line(&job))
        }
    }
}

/// Keeps a user out of rooms, or all whom a glob matches; or no longer.
pub(super) async fn user(
    server: &Server,
    entity: &str,
    reason: Option<&str>,
    blocks: bool,
) -> Result<Value, String> {
    let rooms = &server.state.rooms;
    if blocks {
        rooms.block(BlockKind::User, entity, reason).await.map_err(text)?;
    } else {
        rooms.unblock(BlockKind::User, entity).await.map_err(text)?;
    }
    Ok(Value::Null)
}

pub(super) async fn blocks(server: &Server) -> Result<Value, String> {
    let rooms = &server.state.rooms;
    let mut all = rooms.blocked(BlockKind::Room).await.map_err(text)?;
    all.extend(rooms.blocked(BlockKind::User).await.map_err(text)?);
    Ok(all.iter().map(block_line).collect())
}

pub(super) async fn list(server: &Server, after: Option<&str>, limit: usize) -> Result<Value, String> {
    let after = after.map(room_id).transpose()?;
    let found = server.state.rooms.all_rooms(after.as_deref(), limit).await.map_err(text)?;
    Ok(found
        .iter()
        .map(|(room, blocked)| {
            json!({
                "room_id": room.room_id, "name": room.name, "alias": room.canonical_alias,
                "members": room.num_joined_members, "blocked": blocked,
            })
        })
        .collect())
}

pub(super) async fn jobs(server: &Server) -> Result<Value, String> {
    Ok(server.state.rooms.jobs().await.map_err(text)?.iter().map(job_line).collect())
}

fn block_line(block: &Block) -> Value {
    json!({ "kind": block.kind.as_str(), "entity": block.entity, "reason": block.reason, "at": block.at })
}

fn job_line(job: &RoomJob) -> Value {
    json!({
        "job": job.job, "kind": job.kind.as_str(), "room_id": job.room_id, "status": job.status.as_str(),
        "done": job.done, "problem": job.problem, "started_at": job.started_at, "ended_at": job.ended_at,
    })
}

/// A room by its id, or by an alias of this server; what is neither (a glob, a room that is not known here) as it is.
pub(super) async fn resolved(rooms: &Rooms, target: &str) -> Result<String, String> {
    let Ok(alias) = <&RoomAliasId>::try_from(target) else { return Ok(target.to_owned()) };
    let found = rooms.resolve_alias(alias).await.map_err(|error| text(SendError::from(error)))?;
    Ok(found.map_or_else(|| target.to_owned(), |room_id| room_id.to_string()))
}

fn before(text: &str) -> Result<Before, String> {
    if let Ok(time) = text.parse() {
        return Ok(Before::Time(time));
    }
    let event_id = text.starts_with('$').then(|| EventId::parse(text).ok()).flatten();
    event_id
        .map(Before::Event)
        .ok_or_else(|| format!("{text:?} is neither an event id nor a time in milliseconds since 1970"))
}

fn room_id(text: &str) -> Result<OwnedRoomId, String> {
    text.try_into().map_err(|error| format!("{text:?} is no room id, and no alias of this server: {error}"))
}
