//! Mails that tell people what changed about how they sign in, where the server sends mail and they have an address.

use myelin_store::Reader;
use myelin_store::schema::auth::ThirdPartyId;
use ruma::OwnedUserId;

use crate::email::mail::Letter;
use crate::email::messages::Changed;
use crate::email::validation::EMAIL;
use crate::{Auth, EmailAddress, StoreError};

/// To how many addresses of an account it is told.
const MOST: usize = 8;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    TotpAdded,
    TotpRemoved,
    RecoveryCodesMade,
    RecoveryCodeUsed,
    PasskeyAdded,
    PasskeyRemoved,
    PasskeyCopied,
    AllRemoved,
}

impl Change {
    /// What a mail says of it.
    pub(crate) fn told(self, say: &Changed) -> &str {
        match self {
            Self::TotpAdded => &say.totp_added,
            Self::TotpRemoved => &say.totp_removed,
            Self::RecoveryCodesMade => &say.recovery_codes_made,
            Self::RecoveryCodeUsed => &say.recovery_code_used,
            Self::PasskeyAdded => &say.passkey_added,
            Self::PasskeyRemoved => &say.passkey_removed,
            Self::PasskeyCopied => &say.passkey_copied,
            Self::AllRemoved => &say.all_removed,
        }
    }
}

impl Auth {
    /// Tells the account's user. What changed has changed whether or not a mail can be sent.
    pub(crate) async fn tell(&self, user_id: &OwnedUserId, change: Change) {
        if let Err(error) = self.try_tell(user_id, change).await {
            tracing::warn!(%error, "nobody was told by mail that a second factor changed");
        }
    }

    async fn try_tell(&self, user_id: &OwnedUserId, change: Change) -> Result<(), StoreError> {
        let Some(mails) = &self.mails else { return Ok(()) };
        let snapshot = self.engine.snapshot().await?;
        let rows = snapshot.scan::<ThirdPartyId>(ThirdPartyId::of_user(user_id, MOST)).await?;
        let addresses = rows.iter().filter(|row| row.medium == EMAIL);
        let addresses: Vec<_> = addresses.filter_map(|row| EmailAddress::parse(&row.address)).collect();
        if addresses.is_empty() {
            return Ok(());
        }
        let language = self.language_of(&*snapshot, user_id).await?;
        drop(snapshot);
        let letter = Letter::Changed { account: user_id, change };
        for to in addresses {
            match mails.place(to.as_str()) {
                Ok(place) => {
                    mails.send(place, self.mail(to, letter.written(language, self.config.sender())));
                }
                Err(_) => tracing::warn!("too many mails wait: nobody was told that a second factor changed"),
            }
        }
        Ok(())
    }
}
