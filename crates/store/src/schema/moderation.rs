//! What the server's administrators keep out of it, and the work they order on rooms. Owner: `rooms`.

use myelin_model::RoomNid;
use ruma::OwnedRoomId;

use crate::{KeyspaceDef, keyspace, text_enum};

/// What a block is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockKind {
    /// Rooms: an id or an alias.
    Room,
    /// Users, of this server or others.
    User,
}
text_enum!(BlockKind { Room = "room", User = "user" });

keyspace! {
    /// A room or user that an administrator keeps out; a glob blocks all that it matches. Deleted when the block is lifted.
    pub struct Block in "block" {
        key { kind: BlockKind, entity: String }
        value {
            reason: Option<String>,
            at: i64,
        }
        index {}
    }
}

/// What a job does to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Takes the members of this server out of it.
    ShutDown,
    /// Deletes what was written in it up to some place.
    PurgeHistory,
    /// Deletes all of it.
    PurgeRoom,
}
text_enum!(JobKind { ShutDown = "shut_down", PurgeHistory = "purge_history", PurgeRoom = "purge_room" });

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// There is more to do.
    Running,
    /// It has done everything.
    Done,
    /// It can't go on.
    Failed,
}
text_enum!(JobStatus { Running = "running", Done = "done", Failed = "failed" });

keyspace! {
    /// Work on a whole room that takes more than one commit. Each page of it moves the row on, so a crash interrupts it
    /// anywhere. Deleted some time after it is done.
    pub struct RoomJob in "room_job" {
        key { job: i64 }
        value {
            kind: JobKind,
            room: RoomNid,
            room_id: OwnedRoomId,
            /// What its members are told.
            message: Option<String>,
            /// Of a purge of history: events from before this time go, in milliseconds since 1970, ...
            before_ts: Option<i64>,
            /// ... or events below this order.
            before_order: Option<i64>,
            status: JobStatus,
            /// Where it goes on, as its kind writes it.
            cursor: Option<String>,
            /// How many members or events it has seen to.
            done: i64,
            /// What went wrong.
            problem: Option<String>,
            started_at: i64,
            ended_at: Option<i64>,
        }
        index { BY_STATUS = "by_status" (status) }
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[super::def::<Block>(), super::def::<RoomJob>()];
