//! How services meet: the ports that one declares, implemented over another.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use myelin_auth::SessionEnd;
use myelin_e2ee::E2ee;
use myelin_notify::{NewEvent, Notify};
use myelin_rooms::{Arrival, Notifies, Observer};
use myelin_store::{Batch, ReadError, Snapshot};
use ruma::{DeviceId, UserId};

/// A device that goes takes its keys and its inbox along.
pub(crate) struct KeysEnd(pub(crate) Arc<E2ee>);

impl SessionEnd for KeysEnd {
    fn extend(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        self.0.device_removed(batch, user_id, device_id);
    }

    fn renamed(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        self.0.device_renamed(batch, user_id, device_id);
    }
}

/// Each event is judged for notifications in its own commit.
pub(crate) struct Judged(pub(crate) Arc<Notify>);

impl Observer for Judged {
    fn observe<'a>(
        &'a self,
        snapshot: &'a dyn Snapshot,
        arrival: &'a Arrival<'a>,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, Result<Notifies, ReadError>> {
        Box::pin(async move {
            let new = NewEvent {
                room: arrival.room,
                event: arrival.event,
                pdu: arrival.pdu,
                order: arrival.order,
                counter: arrival.counter,
                may_notify_room: arrival.may_notify_room,
            };
            Ok(match self.0.observe(snapshot, &new, batch).await? {
                myelin_notify::Notifies::Yes => Notifies::Yes,
                myelin_notify::Notifies::No => Notifies::No,
            })
        })
    }
}
