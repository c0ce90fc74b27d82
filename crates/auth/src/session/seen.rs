//! Where and when devices were last seen: kept in memory, to the minute, and written behind.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use myelin_model::{Requester, Shard};
use myelin_store::schema::auth::{Device, DeviceSeen};
use myelin_store::{Batch, CommitError, Durability, Reader};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{Auth, StoreError};

/// Times are rounded down to this, in milliseconds.
const GRAIN: i64 = 60_000;
/// A device is written at most once in this time, in milliseconds.
const EVERY: i64 = 5 * 60_000;
/// How many sessions are remembered between two writes. Past that, new ones go unseen for a while.
const CAPACITY: usize = 65_536;
/// How many devices one batch writes.
const PER_COMMIT: usize = 1_024;

/// Sessions seen since they were last written, and those written a short time ago.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    sessions: Mutex<HashMap<i64, Sight>>,
}

#[derive(Clone, Debug)]
struct Sight {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    at: i64,
    ip: Option<IpAddr>,
    /// Not written yet in this form.
    dirty: bool,
    written_at: Option<i64>,
}

impl Seen {
    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Sight>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest sight of a session that is still in memory.
    pub(crate) fn newest(&self, session: i64) -> Option<(i64, Option<String>)> {
        self.sessions().get(&session).map(|sight| (sight.at, sight.ip.map(|ip| ip.to_string())))
    }

    fn note(&self, requester: &Requester, ip: Option<IpAddr>, now: i64) {
        let at = now - now.rem_euclid(GRAIN);
        let mut sessions = self.sessions();
        if let Some(sight) = sessions.get_mut(&requester.session) {
            if sight.at != at || (ip.is_some() && sight.ip != ip) {
                (sight.at, sight.ip, sight.dirty) = (at, ip.or(sight.ip), true);
            }
        } else if let Some(device_id) = &requester.device_id
            && sessions.len() < CAPACITY
        {
            let (user_id, device_id) = (requester.user_id.clone(), device_id.clone());
            let sight = Sight { user_id, device_id, at, ip, dirty: true, written_at: None };
            sessions.insert(requester.session, sight);
        }
    }

    /// What is due to be written, by shard; all that is not yet written when `all`. Forgets what was written long ago.
    fn due(&self, now: i64, all: bool) -> HashMap<Shard, Vec<(i64, Sight)>> {
        let mut sessions = self.sessions();
        let rested = |sight: &Sight| sight.written_at.is_none_or(|at| now - at >= EVERY);
        sessions.retain(|_, sight| sight.dirty || !rested(sight));
        let mut due: HashMap<Shard, Vec<(i64, Sight)>> = HashMap::new();
        for (session, sight) in sessions.iter().filter(|(_, sight)| sight.dirty && (all || rested(sight))) {
            due.entry(Shard::of(sight.user_id.as_str())).or_default().push((*session, sight.clone()));
        }
        due
    }

    fn written(&self, some: &[(i64, Sight)], now: i64) {
        let mut sessions = self.sessions();
        for (session, written) in some {
            if let Some(sight) = sessions.get_mut(session) {
                sight.written_at = Some(now);
                sight.dirty = (sight.at, sight.ip) != (written.at, written.ip);
            }
        }
    }
}

/// Which sights to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Those whose device was not written for some minutes.
    Rested,
    /// All, because the server stops.
    All,
}

impl Auth {
    /// Notes that a session was used, and from where. Only memory is touched.
    pub fn seen(&self, requester: &Requester, ip: Option<IpAddr>) {
        self.seen.note(requester, ip, self.now());
    }

    /// Writes what is due. Sights of devices that are gone are dropped.
    pub(crate) async fn write_seen(&self, which: Due) -> Result<(), StoreError> {
        for sights in self.seen.due(self.now(), which == Due::All).into_values() {
            for some in sights.chunks(PER_COMMIT) {
                let batch = self.seen_batch(some).await?;
                match self.engine.commit(batch).await {
                    Ok(_) => self.seen.written(some, self.now()),
                    // A device went just now; the others are written next time.
                    Err(CommitError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    async fn seen_batch(&self, some: &[(i64, Sight)]) -> Result<Batch, StoreError> {
        let key = |sight: &Sight| (sight.user_id.clone(), sight.device_id.clone());
        let keys: Vec<_> = some.iter().map(|(_, sight)| key(sight)).collect();
        let devices = self.engine.snapshot().await?.get_all::<Device>(&keys).await?;
        let owner = some.first().map_or("", |(_, sight)| sight.user_id.as_str());
        let mut batch = self.batch(owner);
        batch.durability = Durability::MayLag;
        for ((session, sight), device) in some.iter().zip(devices) {
            if device.is_some_and(|device| device.session == *session) {
                batch.expect_column::<Device>(&key(sight), "session", session);
                batch.put(&DeviceSeen {
                    user_id: sight.user_id.clone(),
                    device_id: sight.device_id.clone(),
                    at: sight.at,
                    ip: sight.ip.map(|ip| ip.to_string()),
                });
            }
        }
        Ok(batch)
    }
}
