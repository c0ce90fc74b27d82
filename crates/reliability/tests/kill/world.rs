//! What all tasks share: the gate at which writers rest, the ledger, and how a request is made while the server comes
//! and goes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use http::Method;
use myelin_reliability::{Answer, Client};
use serde_json::Value;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::ledger::Ledger;

/// What all tasks share.
pub(crate) struct World {
    /// Where the server listens, when it does.
    pub(crate) address: SocketAddr,
    gate: RwLock<()>,
    stopped: AtomicBool,
    kills: AtomicU64,
    runs: AtomicU64,
    ledger: Mutex<Ledger>,
}

impl World {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            gate: RwLock::new(()),
            stopped: AtomicBool::new(false),
            kills: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            ledger: Mutex::new(Ledger::default()),
        }
    }

    /// A writer's turn, which lasts until the answer is there; `None` when the test ends.
    pub(crate) async fn turn(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let turn = self.gate.read().await;
        (!self.has_stopped()).then_some(turn)
    }

    /// Waits until all writers rest, and keeps them so.
    pub(crate) async fn rest(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The server is about to be killed.
    pub(crate) fn killing(&self) {
        self.kills.fetch_add(1, Ordering::SeqCst);
    }

    /// The server was started again after so many kills.
    pub(crate) fn restarted(&self) {
        self.runs.store(self.kills.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// How often the server was killed, or is being killed.
    pub(crate) fn kills(&self) -> u64 {
        self.kills.load(Ordering::SeqCst)
    }

    /// After how many kills the server was last seen up.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Repeats a request until it is answered, and demands success.
pub(crate) async fn insist(client: &mut Client, method: Method, path: &str, body: &Value) -> Result<Value> {
    let answer = until_answered(client, method, path, body).await;
    ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.json());
    Ok(answer.json())
}

/// Repeats a request until it is answered.
pub(crate) async fn until_answered(client: &mut Client, method: Method, path: &str, body: &Value) -> Answer {
    loop {
        if let Ok(answer) = client.call(method.clone(), path, body).await {
            return answer;
        }
        while_it_is_down().await;
    }
}

/// Makes a request that must not be repeated. `None`: nobody knows whether it was carried out.
pub(crate) async fn once(
    client: &mut Client,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Option<Value>> {
    let Ok(answer) = client.call(method, path, body).await else {
        while_it_is_down().await;
        return Ok(None);
    };
    ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.json());
    Ok(Some(answer.json()))
}

/// Keeps a client from asking a dead server in a tight loop.
pub(crate) async fn while_it_is_down() {
    tokio::time::sleep(Duration::from_millis(3)).await;
}
