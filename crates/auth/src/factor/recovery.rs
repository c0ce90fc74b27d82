//! Recovery codes: shown once, known by their hashes, each good once.

use bytes::Bytes;
use myelin_oauth_core::factor::recovery::{COUNT, RecoveryCode as Code};
use myelin_runtime::Secret;
use myelin_store::Batch;
use myelin_store::schema::factors::RecoveryCode;
use ruma::{OwnedUserId, UserId};

use super::notice::Change;
use crate::{AccountError, Act, Actor, Auth, Browser};

/// The most that are looked at; there are fewer.
pub(super) const MOST: usize = 2 * COUNT;

impl Auth {
    /// Makes new codes for who is signed in; those of before are good no more. That they showed who they are is settled.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn make_recovery_codes(&self, browser: &Browser) -> Result<Vec<Secret<String>>, AccountError> {
        let user_id = &browser.user_id;
        let codes = self.new_codes();
        let actor = Actor::User(user_id.clone());
        self.change_account(&actor, user_id, Act::RecoveryCodesMake, |batch, _| {
            self.replace_codes(batch, user_id, &codes);
            None
        })
        .await?;
        self.tell(user_id, Change::RecoveryCodesMade).await;
        Ok(shown(&codes))
    }

    pub(super) fn new_codes(&self) -> Vec<Code> {
        (0..COUNT).map(|_| Code::of(self.env.random.bytes())).collect()
    }

    /// Adds to the batch that these are the account's codes.
    pub(super) fn replace_codes(&self, batch: &mut Batch, user_id: &OwnedUserId, codes: &[Code]) {
        delete_codes(batch, user_id);
        for code in codes {
            let (user_id, hash) = key(user_id, code);
            batch.put(&RecoveryCode { user_id, hash, made_at: self.now() });
        }
    }
}

/// Adds to the batch that the account has no codes.
pub(super) fn delete_codes(batch: &mut Batch, user_id: &OwnedUserId) {
    batch.delete_range(RecoveryCode::of_user(user_id, usize::MAX));
}

/// Under what a code is kept.
pub(super) fn key(user_id: &UserId, code: &Code) -> (OwnedUserId, Bytes) {
    (user_id.to_owned(), Bytes::copy_from_slice(&code.hash()))
}

/// The codes as they are shown.
pub(super) fn shown(codes: &[Code]) -> Vec<Secret<String>> {
    codes.iter().map(|code| Secret::new(code.shown())).collect()
}
