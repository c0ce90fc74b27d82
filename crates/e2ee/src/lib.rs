//! What end-to-end encryption asks of a server: device keys, one-time keys, cross-signing, to-device messages and key
//! backups (client-server API, "End-to-End Encryption" and "Send-to-Device messaging").
//!
//! The server keeps public keys and ciphertext; clients trust neither it nor them. What it must get right:
//!
//! **Invariants.**
//! - A one-time key is handed out at most once, whatever crashes, races or is repeated: the claim is a durable delete,
//!   committed before the answer, and a claimed key can't be uploaded again ([`E2ee::claim_keys`]).
//! - A to-device message is in every inbox it was sent to, exactly once, when the request is acknowledged, and stays
//!   until its device acknowledged it ([`E2ee::send_to_device`]).
//! - Whoever shares a room with a user learns of every change of that user's devices and cross-signing keys: each
//!   writes a device-list change in the same commit.

mod backup;
mod claim;
mod cross_signing;
mod device_list;
mod devices;
mod json;
mod key_changes;
mod query;
mod restore;
mod signatures;
mod to_device;
mod upload;

#[cfg(test)]
mod on_disk;
#[cfg(test)]
mod testing;

pub use backup::{
    BackupCursor, BackupError, BackupInfo, BackupPage, BackupScope, BackupState, NewBackup, SessionUpload,
};
pub use claim::{ClaimError, ClaimedKeys, ClaimedOneTimeKey};
pub use cross_signing::{CrossSigningError, CrossSigningUpload, Reauthenticated, Reauthentication};
pub use key_changes::KeyChanges;
pub use query::{QueriedKeys, QueryError};
pub use restore::RestoreError;
pub use signatures::{SignatureFailure, SignatureFailures, SignaturesError};
pub use to_device::{DeviceTarget, Messages, SendError};
pub use upload::{KeysUpload, MAX_ONE_TIME_KEYS, UploadError};

use std::sync::Arc;

use myelin_model::{Fence, Shard};
use myelin_runtime::Env;
use myelin_store::{Batch, CommitError, Engine, Planned};
use ruma::{OwnedServerName, UserId};

use crate::device_list::Announcing;
use myelin_store::Turns;

/// How often a write is planned again after another one came between.
const ATTEMPTS: u32 = 16;

/// The service. One for each process.
pub struct E2ee {
    engine: Arc<dyn Engine>,
    env: Env,
    server_name: OwnedServerName,
    turns: Turns,
    /// Of writers of key backups: a long upload must not keep claims waiting.
    backup_turns: Turns,
    announcing: Announcing,
}

impl E2ee {
    /// The service of the server with this name.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, env: Env, server_name: OwnedServerName) -> Self {
        Self {
            engine,
            env,
            server_name,
            turns: Turns::default(),
            backup_turns: Turns::default(),
            announcing: Announcing::default(),
        }
    }

    fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name
    }

    /// An empty batch under the lease of the user's shard.
    fn batch(&self, user_id: &UserId) -> Batch {
        let shard = Shard::of(user_id.as_str());
        Batch::new(Fence { shard, epoch: self.engine.epoch(shard) })
    }

    /// Commits what was planned; a conflict counts one attempt and asks for another plan.
    async fn try_commit(&self, batch: Batch, attempt: &mut u32) -> Result<Planned, CommitError> {
        batch.try_commit(&*self.engine, attempt, ATTEMPTS).await
    }
}
