//! What the tests stand on: a service over a store in memory, devices with real keys, and an engine that can be
//! interrupted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::BoxFuture;
use myelin_model::{EventNid, Fence, Pos, Requester, RoomNid, Shard};
use myelin_pdu::{CanonicalJsonRule, CanonicalObject, SigningKey, sign_json};
use myelin_runtime::{Env, ManualClock, Random};
use myelin_store::memory::{MemoryEngine, Wraps};
use myelin_store::schema::auth::Device;
use myelin_store::schema::rooms::{Event, EventStatus, Member, Membership, State};
use myelin_store::{
    Batch, CommitError, Committed, Engine, Identity, Keyspace, ReadError, Reader, Scan, Snapshot,
};
use ruma::{OwnedUserId, UserId};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::{ClaimedOneTimeKey, CrossSigningUpload, E2ee, KeysUpload, QueriedKeys, Reauthenticated};

pub(crate) const SERVER: &str = "here.test";

/// A server in memory.
pub(crate) struct World {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) e2ee: Arc<E2ee>,
    pub(crate) random: Random,
    pub(crate) clock: Arc<ManualClock>,
    sessions: AtomicI64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::over(Arc::new(MemoryEngine::new(&Identity { server_name: SERVER.to_owned() })), seed)
    }

    /// The same store under a service that starts anew, as after a crash.
    pub(crate) fn over(engine: Arc<dyn Engine>, seed: u64) -> Self {
        let (env, clock) = Env::seeded(seed);
        let random = env.random.clone();
        let e2ee = Arc::new(E2ee::new(Arc::clone(&engine), env, SERVER.try_into().unwrap()));
        Self { engine, e2ee, random, clock, sessions: AtomicI64::new(1) }
    }

    pub(crate) async fn snapshot(&self) -> Box<dyn Snapshot> {
        self.engine.snapshot().await.unwrap()
    }

    pub(crate) async fn all<K: Keyspace>(&self) -> Vec<K> {
        self.snapshot().await.scan(Scan::prefix::<K>((), usize::MAX)).await.unwrap()
    }

    pub(crate) fn batch(&self, user_id: &UserId) -> Batch {
        let shard = Shard::of(user_id.as_str());
        Batch::new(Fence { shard, epoch: self.engine.epoch(shard) })
    }

    /// Logs in.
    pub(crate) async fn device(&self, name: &str, device_id: &str) -> Requester {
        let user_id = user(name);
        let session = self.sessions.fetch_add(1, Ordering::SeqCst);
        let mut batch = self.batch(&user_id);
        batch.put(&Device {
            user_id: user_id.clone(),
            device_id: device_id.into(),
            session,
            display_name: Some(format!("{name}'s {device_id}")),
            created_at: 0,
            generation: 0,
        });
        self.engine.commit(batch).await.unwrap();
        Requester {
            user_id,
            device_id: Some(device_id.into()),
            is_admin: false,
            is_suspended: false,
            session,
        }
    }

    /// Logs out, as `auth` does it.
    pub(crate) async fn log_out(&self, requester: &Requester) {
        let device_id = requester.device_id.clone().unwrap();
        let mut batch = self.batch(&requester.user_id);
        batch.delete::<Device>(&(requester.user_id.clone(), device_id.clone()));
        self.e2ee.device_removed(&mut batch, &requester.user_id, &device_id);
        self.engine.commit(batch).await.unwrap();
    }

    /// Sets a membership, as `rooms` does it. Answers with its position.
    pub(crate) async fn member(&self, room: i64, name: &str, membership: Membership) -> Pos {
        let (room, user_id) = (RoomNid(room), user(name));
        let number = self.sessions.fetch_add(1, Ordering::SeqCst);
        let event = EventNid(number);
        let old = self.snapshot().await.get::<Member>(&(room, user_id.clone())).await.unwrap();
        let is_join = membership == Membership::Join;
        let was_in = old.as_ref().is_some_and(|old| old.membership == Membership::Join);
        let joined_at = if is_join && !was_in { Some(number) } else { old.and_then(|old| old.joined_at) };
        let mut batch = self.batch(&user_id);
        let changed = batch.next_pos();
        batch.put(&Event {
            event,
            event_id: format!("$event{number}").as_str().try_into().unwrap(),
            room,
            order: Some(number),
            pos: changed,
            status: EventStatus::Accepted,
            kind: "m.room.member".to_owned(),
            state_key: Some(user_id.to_string()),
            sender: user_id.clone(),
            origin_server_ts: 0,
            depth: number,
            counter: 0,
            replaces: None,
            redacted_by: None,
            session: None,
            sticky_until: None,
            txn_id: None,
        });
        let (kind, state_key) = ("m.room.member".to_owned(), user_id.to_string());
        batch.put(&State { room, kind, state_key, event, order: number, changed });
        batch.put(&Member {
            room,
            user_id: user_id.clone(),
            membership,
            event,
            order: number,
            changed,
            sender: user_id,
            display_name: None,
            avatar_url: None,
            joined_at,
            is_direct: false,
            forgotten: false,
        });
        self.engine.commit(batch).await.unwrap().first
    }

    pub(crate) async fn position(&self) -> Pos {
        self.snapshot().await.position()
    }

    pub(crate) fn signing_key(&self, id: &str) -> SigningKey {
        SigningKey::from_seed(id.parse().unwrap(), &self.random.bytes()).unwrap()
    }

    /// Publishes a device's keys and answers with the key it signs with.
    pub(crate) async fn upload_device(&self, requester: &Requester) -> SigningKey {
        let key = self.signing_key(&format!("ed25519:{}", requester.device_id.as_ref().unwrap()));
        let upload = KeysUpload { device_keys: Some(device_keys(requester, &key)), ..KeysUpload::default() };
        self.e2ee.upload_keys(requester, &upload).await.unwrap();
        key
    }

    /// Publishes new cross-signing keys.
    pub(crate) async fn cross_sign(&self, requester: &Requester) -> Identity3 {
        let identity = Identity3::new(self, requester.user_id.localpart());
        let upload = identity.upload();
        self.e2ee.upload_cross_signing_keys(requester, &upload, Reauthenticated::Yes).await.unwrap();
        identity
    }

    /// What the requester sees of the user.
    pub(crate) async fn query(&self, requester: &Requester, name: &str) -> QueriedKeys {
        self.e2ee.query_keys(requester, &BTreeMap::from([(user(name), Vec::new())])).await.unwrap()
    }

    /// Publishes one-time keys with these ids.
    pub(crate) async fn upload_one_time_keys(&self, requester: &Requester, ids: &[&str]) {
        self.e2ee.upload_keys(requester, &one_time_keys(ids)).await.unwrap();
    }

    /// Claims a key of the device.
    pub(crate) async fn claim(&self, of: &Requester) -> Option<ClaimedOneTimeKey> {
        claim(&self.e2ee, of).await.unwrap()
    }
}

pub(crate) async fn claim(
    e2ee: &E2ee,
    of: &Requester,
) -> Result<Option<ClaimedOneTimeKey>, crate::ClaimError> {
    let device_id = of.device_id.clone().unwrap();
    let wanted = BTreeMap::from([(device_id.clone(), "signed_curve25519".to_owned())]);
    let mut claimed = e2ee.claim_keys(BTreeMap::from([(of.user_id.clone(), wanted)])).await?;
    Ok(claimed.one_time_keys.get_mut(&of.user_id).and_then(|keys| keys.remove(&device_id)))
}

pub(crate) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:{SERVER}")).unwrap()
}

pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

pub(crate) fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

/// Signs the object as the user.
pub(crate) fn signed(value: &Value, user_id: &UserId, key: &SigningKey) -> Value {
    let bytes = serde_json::to_vec(value).unwrap();
    let mut object = CanonicalObject::parse(&bytes, CanonicalJsonRule::Strict).unwrap();
    sign_json(&mut object, user_id.as_str(), key).unwrap();
    parse(&object.to_bytes())
}

pub(crate) fn device_keys(requester: &Requester, key: &SigningKey) -> Box<RawValue> {
    let device_id = requester.device_id.as_ref().unwrap();
    let keys = json!({
        "user_id": requester.user_id,
        "device_id": device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            format!("ed25519:{device_id}"): key.verifying_key().to_base64(),
            format!("curve25519:{device_id}"): format!("curve of {device_id}"),
        },
    });
    raw(&signed(&keys, &requester.user_id, key))
}

/// The three cross-signing keys of a user, with what they are published as.
pub(crate) struct Identity3 {
    pub(crate) user_id: OwnedUserId,
    pub(crate) master: SigningKey,
    pub(crate) self_signing: SigningKey,
    pub(crate) user_signing: SigningKey,
}

impl Identity3 {
    pub(crate) fn new(world: &World, name: &str) -> Self {
        let key = || {
            let seed = world.random.bytes();
            let public = SigningKey::from_seed("ed25519:x".parse().unwrap(), &seed).unwrap();
            let id = format!("ed25519:{}", public.verifying_key().to_base64());
            SigningKey::from_seed(id.parse().unwrap(), &seed).unwrap()
        };
        Self { user_id: user(name), master: key(), self_signing: key(), user_signing: key() }
    }

    pub(crate) fn key(&self, usage: &str, key: &SigningKey) -> Value {
        let public = key.verifying_key().to_base64();
        json!({ "user_id": self.user_id, "usage": [usage], "keys": { format!("ed25519:{public}"): public } })
    }

    pub(crate) fn master_id(&self) -> String {
        self.master.verifying_key().to_base64()
    }

    pub(crate) fn master_key(&self) -> Value {
        self.key("master", &self.master)
    }

    pub(crate) fn upload(&self) -> CrossSigningUpload {
        let other = |usage, key| Some(raw(&signed(&self.key(usage, key), &self.user_id, &self.master)));
        CrossSigningUpload {
            master_key: Some(raw(&self.master_key())),
            self_signing_key: other("self_signing", &self.self_signing),
            user_signing_key: other("user_signing", &self.user_signing),
        }
    }
}

pub(crate) fn one_time_keys(ids: &[&str]) -> KeysUpload {
    let key = |id: &&str| (format!("signed_curve25519:{id}"), raw(&key_object(&format!("key {id}"))));
    KeysUpload { one_time_keys: ids.iter().map(key).collect(), ..KeysUpload::default() }
}

pub(crate) fn key_object(key: &str) -> Value {
    json!({ "key": key, "signatures": {} })
}

pub(crate) fn fallback_key(id: &str) -> KeysUpload {
    let key = json!({ "key": format!("fallback {id}"), "fallback": true, "signatures": {} });
    let keys = BTreeMap::from([(format!("signed_curve25519:{id}"), raw(&key))]);
    KeysUpload { fallback_keys: keys, ..KeysUpload::default() }
}

/// An engine that yields before and after each commit, so that a dropped caller leaves it undone, or done without an
/// answer.
pub(crate) struct Interruptible(pub(crate) MemoryEngine);

impl Wraps for Interruptible {
    fn inner(&self) -> &MemoryEngine {
        &self.0
    }

    fn snapshot_around(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.snapshot().await
        })
    }

    fn commit_around(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            let done = self.0.commit(batch).await;
            tokio::task::yield_now().await;
            done
        })
    }
}
