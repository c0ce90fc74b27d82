//! What goes when events or rooms go.

use myelin_model::RoomNid;
use myelin_store::schema::notify::{
    Notification, PushMember, QuietSpan, RoomHighlight, ThreadBase, ThreadStep, ThreadSubscription,
    UnreadBase,
};
use myelin_store::schema::rooms::Event;
use myelin_store::{Batch, Scan};
use ruma::OwnedUserId;

use crate::Notify;

impl Notify {
    /// Takes back what these events are to everyone and to each user, in the commit that deletes them.
    pub fn erased(&self, events: &[Event], batch: &mut Batch) {
        for event in events {
            let Some(order) = event.order else { continue };
            batch.delete::<RoomHighlight>(&(event.room, order));
            batch.delete::<ThreadStep>(&(event.room, order));
            batch.delete_range(Scan::index::<Notification>(
                Notification::BY_EVENT,
                (event.event,),
                usize::MAX,
            ));
        }
    }

    /// Takes back everything about a room that is being deleted and these users, in the commit that deletes their
    /// memberships.
    pub fn room_purged(&self, room: RoomNid, members: &[OwnedUserId], batch: &mut Batch) {
        batch.delete_range(Scan::prefix::<RoomHighlight>((room,), usize::MAX));
        batch.delete_range(Scan::prefix::<ThreadStep>((room,), usize::MAX));
        for user in members.iter().filter(|user| self.is_local(user)) {
            let key = || (user.clone(), room);
            batch.delete::<UnreadBase>(&key());
            batch.delete::<PushMember>(&(room, user.clone()));
            batch.delete_range(Scan::prefix::<Notification>(key(), usize::MAX));
            batch.delete_range(Scan::prefix::<ThreadBase>(key(), usize::MAX));
            batch.delete_range(Scan::prefix::<ThreadSubscription>(key(), usize::MAX));
            batch.delete_range(Scan::prefix::<QuietSpan>(key(), usize::MAX));
        }
    }
}
