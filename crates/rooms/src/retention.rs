//! How long rooms keep their history (MSC1763): a room's own policy, within what the server's administrators allow.
//!
//! Readers hide what is past its time at once ([`Expiry`]); a worker deletes it. The worker looks at every room that has a
//! policy, once an interval and when an administrator asks. What it has deleted is gone, so a crash costs nothing, and the
//! next pass goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::erasure::{Expiry, MOST_LIFETIME, RoomRetention, ServerRetention, lifetimes};
use myelin_store::schema::rooms::{Event, EventStatus, RoomHead};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::RoomId;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};

use crate::command::{ExpirePage, What};
use crate::{Rooms, SendError, jobs, load};

/// The types of the event that says how long a room keeps its history. Where a room has both, the one set last counts.
const KINDS: [&str; 2] = ["m.room.retention", "org.matrix.msc1763.retention"];
/// How many rooms are looked at at once.
const ROOMS: usize = 256;
/// How many events one page looks at.
const PAGE: usize = 256;
/// How many pages one room gets before the others have their turn.
const PAGES: usize = 64;
/// How long to wait after a pass that could not delete everything.
const RETRY: Duration = Duration::from_secs(60);
/// Of how many rooms it is remembered how far they were looked through; others are looked through from the beginning.
const REMEMBERED: usize = 100_000;
/// For how long an administrator who asks for a pass waits for its end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the administrators say of retention.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The default, and what rooms may ask for.
    pub server: ServerRetention,
    /// How often what is past its time is deleted.
    pub interval: Duration,
}

/// What the worker has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPass {
    /// How many passes have begun since the server was started.
    pub begun: u64,
    /// How many of them have ended.
    pub ended: u64,
    /// When the last one ended, in milliseconds since 1970.
    pub ended_at: Option<i64>,
    /// How many events it deleted.
    pub deleted: u64,
}

/// How long a room keeps its history.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// What the room says, if it says anything.
    pub policy: Option<RoomRetention>,
    /// For how many milliseconds events are kept; none: for ever.
    pub lifetime: Option<i64>,
}

/// Why no pass was made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration says that nothing expires.
    #[error("retention is turned off: see `retention.enabled` of the configuration")]
    Off,
}

/// What the worker and those who ask for it share.
#[derive(Debug, Default)]
pub(crate) struct Expiring {
    wanted: Notify,
    pass: watch::Sender<RetentionPass>,
    /// The time before which nothing is left to delete in a room. (Events don't get older; those of other servers that claim
    /// to be are hidden, and found after the next start.)
    done: Mutex<HashMap<RoomNid, i64>>,
}

/// What became of a room's turn.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    deleted: u64,
    more: bool,
}

impl Rooms {
    /// How long the room keeps its history.
    ///
    /// # Errors
    /// [`SendError::NoSuchRoom`], or when the store can't be read.
    pub async fn kept(&self, room_id: &RoomId) -> Result<Kept, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let room = load::room_nid(&*snapshot, room_id).await?.ok_or(SendError::NoSuchRoom)?;
        let policy = snapshot.get::<RoomRetention>(&(room,)).await?;
        let lifetime = lifetimes(&*snapshot, &[room]).await?.remove(&room);
        Ok(Kept { policy, lifetime })
    }

    /// What the administrators say of retention; none where nothing expires.
    #[must_use]
    pub fn retention(&self) -> Option<&Retention> {
        self.deps.config.retention.as_ref()
    }

    /// What the worker has done.
    #[must_use]
    pub fn retention_pass(&self) -> RetentionPass {
        self.retention.pass.borrow().clone()
    }

    /// Has the worker make a pass, and waits for its end, but not long.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run_retention(&self) -> Result<RetentionPass, RunError> {
        if self.retention().is_none() {
            return Err(RunError::Off);
        }
        let mut pass = self.retention.pass.subscribe();
        let wanted = pass.borrow().begun + 1;
        self.retention.wanted.notify_one();
        // Where it takes longer, the answer says that it is under way.
        let ended = pass.wait_for(|pass| pass.ended >= wanted);
        let _: Result<_, _> = tokio::time::timeout(PATIENCE, ended).await.map(drop);
        Ok(self.retention_pass())
    }

    /// Tells those who read events what the configuration says.
    pub(crate) async fn configure_retention(&self) -> Result<(), ReadError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let stored = snapshot.get::<ServerRetention>(&ServerRetention::key()).await?;
        drop(snapshot);
        let configured = self.retention().map(|retention| &retention.server);
        if stored.as_ref() == configured {
            return Ok(());
        }
        let mut batch = Batch::new(self.deps.provisional_fence());
        match configured {
            Some(server) => batch.put(server),
            None => batch.delete::<ServerRetention>(&ServerRetention::key()),
        }
        if let Err(error) = self.deps.engine.commit(batch).await {
            tracing::warn!(%error, "the settings of retention can't be written; what was configured before is in force");
        }
        Ok(())
    }

    /// Starts the worker, where anything expires.
    pub(crate) fn start_retention(self: &Arc<Self>) {
        let Some(interval) = self.retention().map(|retention| retention.interval) else { return };
        let rooms = Arc::clone(self);
        self.deps.env.tasks.supervise("retention", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.expire_until(interval, rooms.deps.env.tasks.stopping()).await }
        });
    }

    async fn expire_until(&self, interval: Duration, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            self.retention.pass.send_modify(|pass| pass.begun += 1);
            let (deleted, whole) = self.expire_all().await;
            let now = self.job_time();
            self.retention.pass.send_modify(|pass| {
                *pass = RetentionPass { ended: pass.begun, ended_at: Some(now), deleted, begun: pass.begun };
            });
            let pause = if whole { interval } else { interval.min(RETRY) };
            tokio::select! {
                () = &mut stopping => return,
                () = self.retention.wanted.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Deletes what is past its time in every room; says how much that was, and whether nothing is left.
    async fn expire_all(&self) -> (u64, bool) {
        let (mut deleted, mut whole) = (0, true);
        let (mut after, mut again) = (None, false);
        loop {
            let due = match self.due_rooms(after).await {
                Ok(Some((last, due))) => {
                    after = Some(last);
                    due
                }
                Ok(None) if again => {
                    (after, again) = (None, false);
                    continue;
                }
                Ok(None) => return (deleted, whole),
                Err(error) => {
                    tracing::warn!(%error, "what is past its retention is hidden, and stays for now");
                    return (deleted, false);
                }
            };
            for (room, before) in due {
                if self.deps.env.tasks.is_stopping() {
                    return (deleted, false);
                }
                match self.expire_room(room, before).await {
                    Ok(turn) => {
                        deleted += turn.deleted;
                        again |= turn.more;
                    }
                    // Deleted meanwhile.
                    Err(SendError::NoSuchRoom) => {}
                    // The store tells the operator of a full disk; every room would be too often.
                    Err(SendError::Full) => return (deleted, false),
                    Err(error) => {
                        tracing::warn!(%error, room = room.0, "what is past its retention is hidden, and stays for now");
                        whole = false;
                    }
                }
            }
        }
    }

    /// The last of the next rooms after this one, and those of them that may have something past its time, with the time
    /// before which it is; none where no room follows.
    async fn due_rooms(
        &self,
        after: Option<RoomNid>,
    ) -> Result<Option<(RoomNid, Vec<(RoomNid, i64)>)>, ReadError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let rooms = self.rooms_after(&*snapshot, after).await?;
        let Some(last) = rooms.last().copied() else { return Ok(None) };
        let expiry = Expiry::read(&*snapshot, &rooms, self.job_time()).await?;
        let due: Vec<(RoomNid, i64)> =
            rooms.iter().filter_map(|room| Some((*room, expiry.before(*room)?))).collect();
        let first = |(room, before): &(RoomNid, i64)| {
            let scan = Scan::index::<Event>(Event::BY_TIME, (*room,), 1);
            scan.from((self.done_before(*room),)).before((*before,))
        };
        let found = snapshot.scan_all::<Event>(due.iter().map(first).collect()).await?;
        let due = due.into_iter().zip(found).filter(|(_, found)| !found.is_empty());
        Ok(Some((last, due.map(|(due, _)| due).collect())))
    }

    /// Every room, where there is a default; otherwise those that have a policy.
    async fn rooms_after(
        &self,
        snapshot: &dyn Snapshot,
        after: Option<RoomNid>,
    ) -> Result<Vec<RoomNid>, ReadError> {
        let after = (after.unwrap_or(RoomNid(i64::MIN)),);
        if self.retention().is_some_and(|retention| retention.server.default_max.is_some()) {
            let scan = Scan::prefix::<RoomHead>((), ROOMS).after(after);
            return Ok(snapshot.scan::<RoomHead>(scan).await?.into_iter().map(|row| row.room).collect());
        }
        let scan = Scan::prefix::<RoomRetention>((), ROOMS).after(after);
        Ok(snapshot.scan::<RoomRetention>(scan).await?.into_iter().map(|row| row.room).collect())
    }

    /// Deletes what is past its time in a room, up to some pages of it.
    async fn expire_room(&self, room: RoomNid, before: i64) -> Result<Turn, SendError> {
        let mut turn = Turn::default();
        let mut place: Option<(i64, EventNid)> = None;
        // The newest event's header, which a later pass deletes.
        let mut left = before;
        for _ in 0..PAGES {
            let scan = Scan::index::<Event>(Event::BY_TIME, (room,), PAGE).before((before,));
            let scan = match place {
                Some(place) => scan.after(place),
                None => scan.from((self.done_before(room),)),
            };
            let snapshot = self.deps.engine.snapshot().await?;
            let page = snapshot.scan::<Event>(scan).await?;
            let kept = jobs::kept(&*snapshot, room).await?;
            let below = jobs::oldest_from(&*snapshot, room, before).await?;
            drop(snapshot);
            let messages = page.iter().filter(|event| event.state_key.is_none());
            let (ends, others): (Vec<&Event>, Vec<&Event>) =
                messages.partition(|event| kept.contains(&event.event_id));
            left = ends.iter().map(|event| event.origin_server_ts).fold(left, i64::min);
            let full = ends.iter().filter(|event| event.status != EventStatus::Expired);
            let events: Vec<EventNid> = others.iter().chain(full).map(|event| event.event).collect();
            turn.deleted += u64::try_from(events.len()).unwrap_or(0);
            if !events.is_empty() {
                self.ask_owner(room, What::Expire(ExpirePage { events, below })).await?;
            }
            place = page.last().map(|last| (last.origin_server_ts, last.event));
            if page.len() < PAGE {
                // Where the policy was changed meanwhile, the owner may have kept what was to be deleted.
                let snapshot = self.deps.engine.snapshot().await?;
                if Expiry::read(&*snapshot, &[room], self.job_time()).await?.before(room) >= Some(before) {
                    self.remember_done(room, left);
                }
                return Ok(turn);
            }
        }
        turn.more = true;
        Ok(turn)
    }

    fn done_before(&self, room: RoomNid) -> i64 {
        let done = self.retention.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.get(&room).copied().unwrap_or(i64::MIN)
    }

    fn remember_done(&self, room: RoomNid, before: i64) {
        let mut done = self.retention.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.len() < REMEMBERED || done.contains_key(&room) {
            done.insert(room, before);
        }
    }
}

/// Takes a state event into what is known of a room's policy.
pub(crate) fn apply(
    batch: &mut Batch,
    room: RoomNid,
    kind: &str,
    state_key: &str,
    content: &Map<String, Value>,
) {
    if !KINDS.contains(&kind) || !state_key.is_empty() {
        return;
    }
    match policy(room, content) {
        Some(policy) => batch.put(&policy),
        None => batch.delete::<RoomRetention>(&(room,)),
    }
}

/// The policy that the content of `m.room.retention` states; none where it states none, or contradicts itself.
fn policy(room: RoomNid, content: &Map<String, Value>) -> Option<RoomRetention> {
    let lifetime = |key| match content.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_i64().filter(|lifetime| (0..=MOST_LIFETIME).contains(lifetime)).map(Some),
    };
    let (min_lifetime, max_lifetime) = (lifetime("min_lifetime")?, lifetime("max_lifetime")?);
    let says = min_lifetime.or(max_lifetime).is_some();
    let fits = max_lifetime.is_none_or(|max| min_lifetime.is_none_or(|min| min <= max));
    (says && fits).then_some(RoomRetention { room, min_lifetime, max_lifetime })
}

#[cfg(test)]
mod tests {
    use myelin_model::RoomNid;
    use serde_json::json;

    use super::policy;

    #[test]
    fn a_policy_that_is_none_or_contradicts_itself_is_none() {
        let read = |content: serde_json::Value| {
            let policy = policy(RoomNid(1), content.as_object().unwrap())?;
            Some((policy.min_lifetime, policy.max_lifetime))
        };
        assert_eq!(read(json!({ "max_lifetime": 5 })), Some((None, Some(5))));
        assert_eq!(read(json!({ "max_lifetime": 5, "min_lifetime": 5 })), Some((Some(5), Some(5))));
        assert_eq!(read(json!({ "min_lifetime": 5, "max_lifetime": null })), Some((Some(5), None)));
        for odd in [
            json!({}),
            json!({ "max_lifetime": null }),
            json!({ "max_lifetime": -1 }),
            json!({ "max_lifetime": "5" }),
            json!({ "max_lifetime": 1_i64 << 53 }),
            json!({ "min_lifetime": 6, "max_lifetime": 5 }),
            json!({ "min_lifetime": [], "max_lifetime": 5 }),
        ] {
            assert_eq!(read(odd.clone()), None, "{odd}");
        }
    }
}
