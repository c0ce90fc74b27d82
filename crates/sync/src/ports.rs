//! What sync needs of other services, wired in the composition root.

use futures_util::future::BoxFuture;
use myelin_model::{Pos, RoomNid};
use ruma::{DeviceId, OwnedUserId, UserId};
use serde::Serialize;
use tokio::sync::{broadcast, watch};

/// The to-device inboxes, which `e2ee` keeps.
pub trait Inboxes: Send + Sync + 'static {
    /// Deletes what the device has shown to have received: everything up to the position. A failure is the
    /// implementor's to log: what was not deleted is acknowledged again by the next token.
    fn acknowledge<'a>(
        &'a self,
        user_id: &'a UserId,
        device_id: &'a DeviceId,
        up_to: Pos,
    ) -> BoxFuture<'a, ()>;
}

/// Who is typing where, which `users` keeps in memory.
pub trait Typing: Send + Sync + 'static {
    /// How often anybody's typing changed in this run of the server.
    fn counter(&self) -> u64;

    /// The rooms in which typing changed after that count, with who types there now. Those where typing has stopped
    /// are among them for as long as a client may reasonably be away (some minutes); asked for the changes after 0,
    /// rooms in which nobody types may be left out.
    fn changed_after(&self, counter: u64) -> Vec<(RoomNid, Vec<OwnedUserId>)>;

    /// Tells of each change, after it is to be seen by the other methods.
    fn changes(&self) -> broadcast::Receiver<RoomNid>;
}

/// Who is there, which `users` keeps in memory.
pub trait Presence: Send + Sync + 'static {
    /// Whose presence changed after a count of changes in this run of the server, each with the count at their last
    /// change, in that order.
    fn changed_after(&self, counter: u64) -> Vec<(u64, OwnedUserId)>;

    /// Who is not offline.
    fn present(&self) -> Vec<OwnedUserId>;

    /// What is to be told of a user; none where nothing is known, which is the same as offline.
    fn content(&self, user_id: &UserId) -> Option<PresenceContent>;

    /// How often anybody's presence changed in this run of the server, from now on.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// The content of an `m.presence` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PresenceContent {
    /// `online`, `unavailable` or `offline`.
    pub presence: &'static str,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_ago: Option<u64>,
    /// Whether they do something just now, where they are online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currently_active: Option<bool>,
    /// What they say of themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_msg: Option<String>,
}
