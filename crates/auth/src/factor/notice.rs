//! Mails that tell people what changed about how they sign in, where the server sends mail and they have an address.

use myelin_runtime::Secret;
use myelin_store::Reader;
use myelin_store::schema::auth::ThirdPartyId;
use ruma::OwnedUserId;

use crate::email::mail::{Letter, Mail};
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
    /// As a sentence.
    const fn told(self) -> &'static str {
        match self {
            Self::TotpAdded => {
                "An authenticator app was added to your account: signing in asks for its code now."
            }
            Self::TotpRemoved => "The authenticator app was removed from your account.",
            Self::RecoveryCodesMade => {
                "New recovery codes were made for your account; older ones are no good any more."
            }
            Self::RecoveryCodeUsed => "Somebody signed in to your account with one of your recovery codes.",
            Self::PasskeyAdded => "A passkey was added to your account: whoever has it can sign in with it.",
            Self::PasskeyRemoved => "A passkey was removed from your account.",
            Self::PasskeyCopied => {
                "Somebody tried to sign in with a passkey of yours that may have been copied, and was refused. Remove that \
                 passkey and make a new one."
            }
            Self::AllRemoved => "Whoever runs the server removed every second step from your account.",
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
        let rows =
            self.engine.snapshot().await?.scan::<ThirdPartyId>(ThirdPartyId::of_user(user_id, MOST)).await?;
        let addresses = rows.iter().filter(|row| row.medium == EMAIL);
        for to in addresses.filter_map(|row| EmailAddress::parse(&row.address)) {
            let Ok(place) = mails.place(to.as_str()) else {
                tracing::warn!("too many mails wait: nobody was told that a second factor changed");
                continue;
            };
            let letter = Letter::Changed { account: user_id, told: change.told() };
            let server = &self.config.server_name;
            let (subject, text) = (letter.subject(server), Secret::new(letter.text(server)));
            mails.send(
                place,
                Mail { to, id: self.env.random.alphanumeric(24), at: self.now(), subject, text },
            );
        }
        Ok(())
    }
}
