//! How services meet: the ports that one declares, implemented over another.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use myelin_auth::{Newcomers, SessionEnd};
use myelin_e2ee::E2ee;
use myelin_model::{Pos, Requester, RoomNid};
use myelin_notify::{NewEvent, Notify, Part, ReadTo};
use myelin_rooms::{Arrival, MembershipError, Notifies, Observer, ReadingError, Rooms};
use myelin_search::RoomStates;
use myelin_store::schema::rooms::Event;
use myelin_store::{Batch, ReadError, Snapshot};
use myelin_sync::ports::{Inboxes, Presence, PresenceContent, Typing};
use myelin_timeline::{ClientEvents, Viewer};
use myelin_users::{
    CopyError, CopyRules, ProfileKey, ProfileSpread, ReadUpTo, Reading, SpreadError, Thread, Users,
};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::to_raw_value;
use tokio::sync::{broadcast, watch};

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

/// A device that goes takes its pushers along.
pub(crate) struct PushersEnd(pub(crate) Arc<Notify>);

impl SessionEnd for PushersEnd {
    fn extend(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        self.0.device_removed(batch, user_id, device_id);
    }
}

/// A device that goes takes its settings along.
pub(crate) struct SettingsEnd(pub(crate) Arc<Users>);

impl SessionEnd for SettingsEnd {
    fn extend_all<'a>(
        &'a self,
        snapshot: &'a dyn Snapshot,
        batch: &'a mut Batch,
        user_id: &'a UserId,
        device_ids: &'a [OwnedDeviceId],
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(self.0.devices_deleted(snapshot, batch, user_id, device_ids))
    }
}

/// Who comes from a provider is called here what they are called there.
pub(crate) struct Named(pub(crate) Arc<Users>);

impl Newcomers for Named {
    fn named<'a>(&'a self, user_id: &'a UserId, display_name: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let themselves = Requester {
                user_id: user_id.to_owned(),
                device_id: None,
                is_admin: false,
                is_suspended: false,
                session: 0,
            };
            let Ok(name) = to_raw_value(display_name) else { return };
            let key = ProfileKey::DisplayName;
            if let Err(error) = self.0.set_profile_field(&themselves, user_id, &key, &name).await {
                tracing::warn!(%error, %user_id, "a new account has no display name for the time being");
            }
        })
    }
}

/// Each event is judged for notifications in its own commit, and whoever joins is found by those who look for them.
pub(crate) struct Judged(pub(crate) Arc<Notify>, pub(crate) Arc<Users>);

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
                pos: arrival.pos,
                counter: arrival.counter,
                thread_order: arrival.thread_order,
                joined: arrival.joined,
                may_notify_room: arrival.may_notify_room,
            };
            if arrival.pdu.event_type() == "m.room.member" && arrival.pdu.membership() == Some("join") {
                self.list(snapshot, arrival, batch).await?;
            }
            if let (Some(old), Some(user_id)) = (arrival.replaces_room, member_of(arrival)) {
                self.1.note_replacement(snapshot, batch, user_id, arrival.room, old).await?;
            }
            Ok(match self.0.observe(snapshot, &new, batch).await? {
                myelin_notify::Notifies::Yes => Notifies::Yes,
                myelin_notify::Notifies::InThread => Notifies::InThread,
                myelin_notify::Notifies::No => Notifies::No,
            })
        })
    }

    fn joined<'a>(&'a self, user_id: &'a UserId) -> BoxFuture<'a, ()> {
        Box::pin(self.1.follow_replacements(user_id))
    }

    fn erased(&self, events: &[Event], batch: &mut Batch) {
        self.0.erased(events, batch);
    }

    fn room_purged(&self, room: RoomNid, members: &[OwnedUserId], batch: &mut Batch) {
        self.0.room_purged(room, members, batch);
        self.1.room_purged(room, members, batch);
    }

    fn noticed<'a>(&'a self, user_id: &'a UserId, room_id: &'a RoomId) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.1.tag_notices(user_id, room_id).await {
                tracing::warn!(%error, %user_id, "the room of server notices was not tagged");
            }
        })
    }
}

impl Judged {
    async fn list(
        &self,
        snapshot: &dyn Snapshot,
        arrival: &Arrival<'_>,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        #[derive(Default, Deserialize)]
        struct Content {
            displayname: Option<String>,
        }
        let Some(user_id) = member_of(arrival) else { return Ok(()) };
        let Content { displayname } = arrival.pdu.content_as().unwrap_or_default();
        self.1.list_member(snapshot, batch, arrival.room, user_id, displayname.as_deref()).await
    }
}

/// The user that a membership event is about.
fn member_of<'a>(arrival: &Arrival<'a>) -> Option<&'a UserId> {
    arrival.pdu.state_key().and_then(|key| <&UserId>::try_from(key).ok())
}

/// A receipt moves where unread counts begin, in its own commit.
pub(crate) struct Counted(pub(crate) Arc<Notify>);

impl ReadUpTo for Counted {
    fn extend<'a>(
        &'a self,
        snapshot: &'a dyn Snapshot,
        batch: &'a mut Batch,
        reading: Reading<'a>,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        let Reading { user_id, room, order, counter, thread } = reading;
        let part = match thread {
            Thread::Unthreaded => Part::All,
            Thread::Main => Part::Main,
            Thread::Root(root) => Part::Thread(root),
        };
        Box::pin(async move {
            self.0.read_up_to(snapshot, batch, &ReadTo { user_id, room, order, counter, part }).await
        })
    }
}

/// Push rules about a room that was replaced are copied for the new one.
pub(crate) struct RulesCopied(pub(crate) Arc<Notify>);

impl CopyRules for RulesCopied {
    fn copy<'a>(
        &'a self,
        user_id: &'a UserId,
        old: &'a RoomId,
        new: &'a RoomId,
    ) -> BoxFuture<'a, Result<(), CopyError>> {
        Box::pin(async move { Ok(self.0.copy_room_rules(user_id, old, new).await?) })
    }
}

/// A changed profile becomes new member events.
pub(crate) struct Shown(pub(crate) Arc<Rooms>);

impl ProfileSpread for Shown {
    fn spread<'a>(
        &'a self,
        user_id: &'a UserId,
        room_id: &'a RoomId,
    ) -> BoxFuture<'a, Result<(), SpreadError>> {
        Box::pin(async move {
            match self.0.show_profile(user_id, room_id).await {
                Err(MembershipError::Send(error)) if error.is_passing() => Err(error.into()),
                // The room refuses, or the user left it meanwhile: it stays as it is.
                _ => Ok(()),
            }
        })
    }
}

/// What a device has shown to have received leaves its inbox.
pub(crate) struct Received(pub(crate) Arc<E2ee>);

impl Inboxes for Received {
    fn acknowledge<'a>(
        &'a self,
        user_id: &'a UserId,
        device_id: &'a DeviceId,
        up_to: Pos,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.0.acknowledge(user_id, device_id, up_to).await {
                tracing::warn!(%error, "received to-device messages stay for now; the next sync deletes them");
            }
        })
    }
}

/// Who types where, for syncs.
pub(crate) struct Typers(pub(crate) Arc<Users>);

impl Typing for Typers {
    fn counter(&self) -> u64 {
        self.0.typing().version()
    }

    fn changed_after(&self, counter: u64) -> Vec<(RoomNid, Vec<OwnedUserId>)> {
        self.0.typing().changed_after(counter)
    }

    fn changes(&self) -> broadcast::Receiver<RoomNid> {
        self.0.typing().subscribe()
    }
}

/// Who is there, for syncs.
pub(crate) struct Present(pub(crate) Arc<Users>);

impl Presence for Present {
    fn changed_after(&self, counter: u64) -> Vec<(u64, OwnedUserId)> {
        self.0.presence().changed_after(counter)
    }

    fn present(&self) -> Vec<OwnedUserId> {
        self.0.presence().present()
    }

    fn content(&self, user_id: &UserId) -> Option<PresenceContent> {
        let presence = self.0.presence().of(user_id)?;
        let ago = presence.last_active_ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
        Some(PresenceContent {
            presence: presence.state.as_str(),
            last_active_ago: ago,
            currently_active: presence.currently_active,
            status_msg: presence.status_msg,
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.presence().subscribe()
    }
}

/// The state of the rooms that a search found something in.
pub(crate) struct States(pub(crate) Arc<Rooms>);

impl RoomStates for States {
    fn state<'a>(
        &'a self,
        viewer: &'a Viewer,
        room_id: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<ClientEvents<'static>>, ReadError>> {
        Box::pin(async move {
            match self.0.state(viewer, room_id).await {
                Ok(state) => Ok(Some(state)),
                Err(ReadingError::Read(error)) => Err(error),
                // They have forgotten the room meanwhile.
                Err(_) => Ok(None),
            }
        })
    }
}
