//! What `sync` owns: connections of sliding sync, written behind so that they outlive the process.
//!
//! What is stored may be older than what the client has seen, never newer: going on from it costs a repetition.

use bytes::Bytes;
use myelin_model::RoomNid;
use ruma::OwnedUserId;

use crate::{KeyspaceDef, keyspace};

keyspace! {
    /// A connection of a device. Devices without an id have the empty one.
    pub struct Connection in "sync_connection" {
        key { user_id: OwnedUserId, device_id: String, conn_id: String }
        value {
            /// `sync_core::connection::StoredConnection` as JSON.
            state: Bytes,
            /// The sticky part of its requests as JSON.
            extensions: Bytes,
            /// When the client last used it.
            used_at: i64,
        }
        index { BY_USE = "by_use" (used_at) }
    }
}

keyspace! {
    /// What a connection has sent of one room.
    pub struct ConnectionRoom in "sync_connection_room" {
        key { user_id: OwnedUserId, device_id: String, conn_id: String, room: RoomNid }
        value {
            /// `sync_core::connection::RoomSent` as JSON.
            sent: Bytes,
        }
        index {}
    }
}

keyspace! {
    /// A copy of a user's list of rooms, of users with many.
    pub struct RoomListCopy in "sync_room_list" {
        key { user_id: OwnedUserId }
        value {
            /// The position of the log that it was made from. What changed since is read from the log.
            position: i64,
            /// A byte that names the layout, and the rooms in it.
            rooms: Bytes,
        }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] =
    &[super::def::<Connection>(), super::def::<ConnectionRoom>(), super::def::<RoomListCopy>()];
