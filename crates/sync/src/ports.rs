//! What sync needs of other services, wired in the composition root.

use futures_util::future::BoxFuture;
use myelin_model::{Pos, RoomNid};
use ruma::{DeviceId, OwnedUserId, UserId};
use tokio::sync::broadcast;

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
