//! The service: finds or starts the owner of a room and hands it requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use myelin_model::{Fence, RoomNid, Shard};
use myelin_pdu::{EventIdFormat, RoomIdFormat, RoomRules, RoomVersionId};
use myelin_room_core::auth::SupportedRules;
use myelin_runtime::Env;
use myelin_store::{Engine, Turns};
use ruma::{OwnedEventId, OwnedRoomId, RoomId};
use tokio::sync::{mpsc, oneshot};

use crate::command::{Answer, Command, What};
use crate::delayed::Delays;
use crate::ids::Ids;
use crate::owner::{INBOX, Owner};
use crate::policy::Policy;
use crate::retention::Expiring;
use crate::{
    Config, Draft, IdentityServers, Observer, SendError, Sent, StateError, TransactionKey, load, sweep,
};

/// What owners and requests share.
pub(crate) struct Deps {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) env: Env,
    pub(crate) config: Config,
    pub(crate) ids: Ids,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) policy: Policy,
}

impl Deps {
    /// The lease under which a room is written.
    pub(crate) fn fence(&self, room_id: &RoomId) -> Fence {
        let shard = Shard::of(room_id.as_str());
        Fence { shard, epoch: self.engine.epoch(shard) }
    }

    /// The time, in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        i64::try_from(self.env.clock.now()).unwrap_or(i64::MAX)
    }

    /// The id of a room about to be made, where its version has the server choose one (before version 12).
    pub(crate) fn new_room_id(&self, rules: &RoomRules) -> Option<OwnedRoomId> {
        match rules.room_id_format {
            RoomIdFormat::CreateEventHash => None,
            RoomIdFormat::Chosen => {
                let id = format!("!{}:{}", self.env.random.alphanumeric(18), self.config.server_name);
                OwnedRoomId::try_from(id).ok()
            }
        }
    }

    /// The id of an event about to be made, where its room's version has the server choose one (versions 1 and 2).
    pub(crate) fn new_event_id(&self, rules: &RoomRules) -> Option<OwnedEventId> {
        if rules.event_id_format != EventIdFormat::Chosen {
            return None;
        }
        let id = format!("${}:{}", self.env.random.alphanumeric(18), self.config.server_name);
        OwnedEventId::try_from(id).ok()
    }

    /// A lease for a batch whose room is not read yet; sealing the batch puts the right one in its place.
    pub(crate) fn provisional_fence(&self) -> Fence {
        let shard = Shard::of("");
        Fence { shard, epoch: self.engine.epoch(shard) }
    }
}

/// Rooms: makes them, changes them, reads them.
pub struct Rooms {
    pub(crate) deps: Arc<Deps>,
    live: Mutex<HashMap<RoomNid, mpsc::Sender<Command>>>,
    pub(crate) delays: Delays,
    /// Told when a kick or ban takes along more than it waits for.
    pub(crate) sweeps: tokio::sync::Notify,
    /// Told when there is a job to do.
    pub(crate) jobs_changed: tokio::sync::Notify,
    pub(crate) retention: Expiring,
    /// The way to identity servers; none: nobody is invited by their address.
    pub(crate) identity: Option<Arc<dyn IdentityServers>>,
    /// Held while the administrators' blocks change.
    pub(crate) blocks: tokio::sync::Mutex<()>,
    /// Taken by a user's shard where a limit or "only one" is to hold.
    pub(crate) turns: Turns,
}

/// The versions that rooms can be made in, and whose rooms can be taken part in.
pub fn room_versions() -> impl Iterator<Item = RoomVersionId> {
    RoomVersionId::ALL
        .into_iter()
        .filter(|version| SupportedRules::new(RoomRules::for_version(version)).is_ok())
}

impl Rooms {
    /// The service over a store.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, env: Env, config: Config, observer: Arc<dyn Observer>) -> Self {
        let ids = Ids::new(Arc::clone(&engine));
        let deps = Arc::new(Deps { engine, env, config, ids, observer, policy: Policy::default() });
        let (live, sweeps) = (Mutex::new(HashMap::new()), tokio::sync::Notify::new());
        let (delays, turns) = (Delays::new(deps.now()), Turns::default());
        let (jobs_changed, blocks) = (tokio::sync::Notify::new(), tokio::sync::Mutex::default());
        let retention = Expiring::default();
        Self { deps, live, delays, sweeps, jobs_changed, retention, identity: None, blocks, turns }
    }

    /// The same with a way to identity servers.
    #[must_use]
    pub fn with_identity_servers(self, door: Arc<dyn IdentityServers>) -> Self {
        Self { identity: Some(door), ..self }
    }

    /// The version of rooms whose creator asks for none.
    #[must_use]
    pub fn default_version(&self) -> RoomVersionId {
        self.deps.config.default_room_version
    }

    /// How many rooms are in memory.
    #[must_use]
    pub fn live_rooms(&self) -> usize {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends an event into a room: judged, committed, then answered.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        room_id: &RoomId,
        draft: Draft,
        transaction: Option<TransactionKey>,
    ) -> Result<Sent, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(SendError::NoSuchRoom)?;
        drop(snapshot);
        self.send_to(room, draft, transaction).await
    }

    /// Sends a state event, after the checks that the spec asks of the server beyond the room's own rules.
    ///
    /// # Errors
    /// See [`AliasError`] and [`SendError`].
    pub async fn send_state(&self, room_id: &RoomId, draft: Draft) -> Result<Sent, StateError> {
        if draft.kind == "m.room.canonical_alias" && draft.state_key.as_deref() == Some("") {
            self.check_canonical_alias(room_id, &draft.content).await?;
        }
        let mut draft = draft;
        if draft.kind == "m.room.member" {
            self.settle_voucher(room_id, &mut draft).await?;
        }
        Ok(self.send(room_id, draft, None).await?)
    }

    pub(crate) async fn send_to(
        &self,
        room: RoomNid,
        draft: Draft,
        transaction: Option<TransactionKey>,
    ) -> Result<Sent, SendError> {
        let membership = draft.content.get_str("membership").filter(|_| draft.kind == "m.room.member");
        let joins = (membership == Some("join")).then(|| draft.sender.clone());
        let sweeps = membership.is_some() && sweep::asks(&draft.content);
        let sent = self.ask_owner(room, What::Send(draft, transaction)).await?;
        let sent = sent.ok_or_else(|| SendError::Unavailable(Arc::new(OwnerGone)))?;
        if let Some(user) = joins {
            self.deps.observer.joined(&user).await;
        }
        if sweeps {
            self.sweep_now(room).await;
        }
        Ok(sent)
    }

    /// Hands the room's owner a request, and waits until what it asks for is committed.
    pub(crate) async fn ask_owner(&self, room: RoomNid, what: What) -> Result<Answer, SendError> {
        let (reply, answered) = oneshot::channel();
        let mut command = Command { what, reply };
        loop {
            let owner = self.owner(room)?;
            match owner.try_send(command) {
                Ok(()) => break,
                Err(mpsc::error::TrySendError::Full(_)) => return Err(SendError::Busy),
                // The owner ended between the look-up and the request: the next look-up starts another.
                Err(mpsc::error::TrySendError::Closed(unsent)) => {
                    self.drop_owner(room, &owner);
                    command = unsent;
                }
            }
        }
        answered.await.map_err(|_| SendError::Unavailable(Arc::new(OwnerGone)))?
    }

    fn owner(&self, room: RoomNid) -> Result<mpsc::Sender<Command>, SendError> {
        if self.deps.env.tasks.is_stopping() {
            return Err(SendError::Unavailable(Arc::new(OwnerGone)));
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = live.entry(room).or_insert_with(|| {
            let (sender, inbox) = mpsc::channel(INBOX);
            self.deps.env.tasks.spawn("room", Owner::new(Arc::clone(&self.deps), room, inbox).run());
            sender
        });
        Ok(owner.clone())
    }

    /// Forgets the owner of a room that is no more; what it still has planned, the store refuses.
    pub(crate) fn forget_owner(&self, room: RoomNid) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&room);
    }

    fn drop_owner(&self, room: RoomNid, ended: &mpsc::Sender<Command>) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.get(&room).is_some_and(|owner| owner.same_channel(ended)) {
            live.remove(&room);
        }
        // Owners that went to sleep long ago leave with it.
        live.retain(|_, owner| !owner.is_closed());
    }
}

/// The room's owner ended before it answered: the server is stopping, or the owner panicked.
#[derive(Debug, thiserror::Error)]
#[error("the room's owner ended")]
struct OwnerGone;
