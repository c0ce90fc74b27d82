//! Operators' commands on how long history is kept.

use myelin_rooms::{RetentionPass, Rooms};
use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{rooms, text};
use crate::compose::Server;

/// What to do about retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionAction {
    /// Tell how long history is kept: in a room, or as configured.
    Show {
        /// The room: an id, or an alias of this server.
        room: Option<String>,
    },
    /// Delete what is past its time now.
    Run,
}

pub(super) async fn run(server: &Server, action: RetentionAction) -> Result<Value, String> {
    let rooms = &server.state.rooms;
    match action {
        RetentionAction::Show { room: None } => Ok(configured(rooms)),
        RetentionAction::Show { room: Some(room) } => {
            let room = rooms::resolved(rooms, &room).await?;
            let room_id = OwnedRoomId::try_from(room.as_str()).map_err(|error| format!("{room}: {error}"))?;
            let kept = rooms.kept(&room_id).await.map_err(text)?;
            let policy = kept.policy.map(
                |policy| json!({ "min_lifetime": policy.min_lifetime, "max_lifetime": policy.max_lifetime }),
            );
            Ok(json!({ "room_id": room_id, "policy": policy, "lifetime": kept.lifetime }))
        }
        RetentionAction::Run => Ok(pass(&rooms.run_retention().await.map_err(text)?)),
    }
}

fn configured(rooms: &Rooms) -> Value {
    let Some(retention) = rooms.retention() else { return json!({ "enabled": false }) };
    let server = &retention.server;
    json!({
        "enabled": true,
        "default_max_lifetime": server.default_max,
        "allowed_lifetime_min": server.allowed_min,
        "allowed_lifetime_max": server.allowed_max,
        "last_pass": pass(&rooms.retention_pass()),
    })
}

fn pass(pass: &RetentionPass) -> Value {
    json!({ "running": pass.begun > pass.ended, "deleted": pass.deleted, "ended_at": pass.ended_at })
}
