//! Second factors: what an account's user shows beside the password when they sign in on the pages.
//!
//! Where an account has one, its password alone opens nothing: the pages ask for the second step, and the legacy API, which
//! knows none, refuses the password. A session that exists may still be asked for the password by interactive authentication:
//! who holds it has passed both.

pub(crate) mod limit;
pub(crate) mod notice;
pub(crate) mod passkey;
mod recovery;
pub(crate) mod second;
mod totp;

use myelin_store::schema::factors::{Passkey as PasskeyRow, RecoveryCode, Totp};
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedUserId, UserId};

use crate::oauth::approvals::end_approvals;
use crate::{AccountError, Act, Actor, Auth, Browser, StoreError};

pub use self::passkey::{Passkey, PasskeyChallenge, PasskeyError};
pub use self::second::{HalfSignedIn, NewHalf, SecondStepError, SignIn};
pub use self::totp::{TotpEnrolment, TotpError};

use self::notice::Change;

/// The second factors of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecondFactors {
    /// When the authenticator app was added, in milliseconds since the Unix epoch.
    pub totp_added_at: Option<i64>,
    /// How many passkeys there are.
    pub passkeys: usize,
    /// How many recovery codes are left.
    pub recovery_codes: usize,
}

impl SecondFactors {
    /// Whether a second step is asked for.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.totp_added_at.is_some() || self.passkeys > 0
    }
}

impl Auth {
    /// The second factors of who is signed in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn second_factors(&self, browser: &Browser) -> Result<SecondFactors, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        Ok(self.factors_in(&*snapshot, &browser.user_id).await?)
    }

    pub(crate) async fn factors_in(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
    ) -> Result<SecondFactors, myelin_store::ReadError> {
        let totp = snapshot.get::<Totp>(&(user_id.clone(),)).await?;
        let codes = RecoveryCode::of_user(user_id, recovery::MOST);
        let recovery_codes = snapshot.scan::<RecoveryCode>(codes).await?.len();
        let passkeys = PasskeyRow::of_user(user_id, passkey::MOST);
        let passkeys = snapshot.scan::<PasskeyRow>(passkeys).await?.len();
        Ok(SecondFactors { totp_added_at: totp.map(|totp| totp.added_at), passkeys, recovery_codes })
    }

    /// Takes all second factors away from an account whose user lost them. They are signed out on the pages, and what was
    /// approved and not used yet ends.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn remove_factors(&self, actor: &Actor, user_id: &OwnedUserId) -> Result<(), AccountError> {
        self.change_account(actor, user_id, Act::FactorsRemove, |batch, account| {
            delete_factors(batch, &account.user_id);
            end_approvals(batch, &account.user_id);
            None
        })
        .await?;
        self.tell(user_id, Change::AllRemoved).await;
        Ok(())
    }
}

/// Adds to the batch that the account has no second factors.
pub(crate) fn delete_factors(batch: &mut Batch, user_id: &UserId) {
    let user_id = user_id.to_owned();
    batch.delete_range(RecoveryCode::of_user(&user_id, usize::MAX));
    batch.delete_range(PasskeyRow::of_user(&user_id, usize::MAX));
    batch.delete_range(Scan::prefix::<Totp>((user_id,), usize::MAX));
}
