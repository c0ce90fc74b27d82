//! Serving one pusher: its notifications one after the other, with pauses that grow while its gateway fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use myelin_store::schema::notify::Pusher;
use myelin_store::{CommitError, ReadError, Reader};
use serde::Deserialize;

use super::queue::{PusherKey, Waiting};
use super::{Gateway, GatewayError};
use crate::Notify;

/// The pause after the first failure; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// How long a notification is worth being sent, in milliseconds.
const WORTH: i64 = 24 * 3_600 * 1_000;

/// Why a notification was not delivered for now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    rejected: BTreeSet<String>,
}

impl Notify {
    /// Starts the task of a pusher. It ends when nothing waits any more.
    pub(super) fn serve(self: &Arc<Self>, gateway: &Arc<dyn Gateway>, key: PusherKey) {
        let (notify, gateway) = (Arc::clone(self), Arc::clone(gateway));
        self.env.tasks.supervise("push", move || {
            let (notify, gateway, key) = (Arc::clone(&notify), Arc::clone(&gateway), key.clone());
            async move { notify.deliver_all(&*gateway, &key).await }
        });
    }

    async fn deliver_all(&self, gateway: &dyn Gateway, key: &PusherKey) {
        let stopping = self.env.tasks.stopping();
        tokio::pin!(stopping);
        let mut pause = FIRST_PAUSE;
        while let Some((pos, waiting)) = self.queues.first(key) {
            let delivered = tokio::select! {
                delivered = self.deliver(gateway, key, waiting) => delivered,
                () = &mut stopping => return,
            };
            match delivered {
                Ok(()) => {
                    self.queues.done(key, pos);
                    pause = FIRST_PAUSE;
                }
                Err(failure) => {
                    tracing::debug!(user = %key.0, app = key.1, %failure, "a notification was not delivered yet");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                        () = &mut stopping => return,
                    }
                    self.drop_stale(key);
                }
            }
        }
    }

    /// Nobody wants to be told of what happened long ago.
    fn drop_stale(&self, key: &PusherKey) {
        let oldest = self.now().saturating_sub(WORTH);
        self.queues.keep(key, |waiting| waiting.at >= oldest);
    }

    /// Sends one notification, if it still is one.
    async fn deliver(&self, gateway: &dyn Gateway, key: &PusherKey, waiting: Waiting) -> Result<(), Failure> {
        // The semaphore is never closed.
        let _permit = self.queues.requests.acquire().await;
        let (url, body) = {
            let snapshot = self.engine.snapshot().await?;
            let Some(pusher) = snapshot.get::<Pusher>(key).await? else {
                self.queues.keep(key, |_| false);
                return Ok(());
            };
            match self.notice(&*snapshot, &pusher, waiting.event).await? {
                Some(body) => (pusher.url, body),
                None => return Ok(()),
            }
        };
        let answer = gateway.notify(&url, body).await?;
        if rejects(&answer, &key.2) {
            tracing::info!(user = %key.0, app = key.1, "a push gateway rejected a key; its pusher is deleted");
            self.drop_pusher(&key.0, &key.1, &key.2).await?;
            self.queues.keep(key, |_| false);
        }
        Ok(())
    }
}

/// Whether the gateway says that the key is no longer good. What is no such answer says nothing.
fn rejects(answer: &Bytes, pushkey: &str) -> bool {
    serde_json::from_slice::<Answer>(answer).is_ok_and(|answer| answer.rejected.contains(pushkey))
}
