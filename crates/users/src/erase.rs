//! What users keep of a room goes with it.

use myelin_model::RoomNid;
use myelin_store::schema::users::{AccountData, Receipt, Replacement};
use myelin_store::{Batch, Scan};
use ruma::OwnedUserId;

use crate::Users;

impl Users {
    /// Deletes what these members keep of a room that is being deleted, in the commit that deletes their memberships.
    pub fn room_purged(&self, room: RoomNid, members: &[OwnedUserId], batch: &mut Batch) {
        for user in members {
            batch.delete_range(Scan::prefix::<Receipt>((room, user.clone()), usize::MAX));
            if self.is_local(user) {
                batch.delete_range(Scan::prefix::<AccountData>((user.clone(), room), usize::MAX));
                batch.delete::<Replacement>(&(user.clone(), room));
            }
        }
    }
}
