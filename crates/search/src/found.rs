//! What an answer holds, in the form that clients get it.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use myelin_store::ReadError;
use myelin_timeline::{ClientEvents, Viewer};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::groups::Groups;

/// Reads the state of rooms. `rooms` is behind it.
pub trait RoomStates: Send + Sync + 'static {
    /// The room's state as far as the viewer may see it; none where they may not see any.
    fn state<'a>(
        &'a self,
        viewer: &'a Viewer,
        room_id: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<ClientEvents<'static>>, ReadError>>;
}

/// The results of the category `room_events`.
#[derive(Debug, Default, Serialize)]
pub struct Found {
    /// About how many there are, on all pages.
    pub count: usize,
    /// The words to be highlighted.
    pub highlights: Vec<String>,
    /// The results in the order asked for.
    pub results: Vec<Hit>,
    /// The state of the results' rooms, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<BTreeMap<OwnedRoomId, ClientEvents<'static>>>,
    /// The results by group, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    /// Where the next page starts; absent where there is certainly none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// One result.
#[derive(Debug, Serialize)]
pub struct Hit {
    /// How closely it matches.
    pub rank: f64,
    /// The event.
    pub result: Box<RawValue>,
    /// What surrounds it, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
}

/// What surrounds a result.
#[derive(Debug, Serialize)]
pub struct Context {
    /// The token before it.
    pub start: String,
    /// The token after it.
    pub end: String,
    /// The events before it, newest first.
    pub events_before: Vec<Box<RawValue>>,
    /// The events after it, oldest first.
    pub events_after: Vec<Box<RawValue>>,
    /// The senders' profiles as they were then, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_info: Option<BTreeMap<OwnedUserId, Profile>>,
}

/// What a user was called.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Profile {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub displayname: Option<String>,
    /// Their picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}
