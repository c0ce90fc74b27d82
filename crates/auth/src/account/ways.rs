//! The ways in which somebody can sign in to their account: the last one is not taken away by mistake.

use myelin_store::schema::auth::Password;
use myelin_store::schema::factors::Passkey;
use myelin_store::schema::upstream::UpstreamLink;
use myelin_store::{Reader, Snapshot};
use ruma::OwnedUserId;

use crate::directory::DIRECTORY;
use crate::upstream::connect::MOST;
use crate::{Auth, StoreError};

/// What is to be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving<'a> {
    /// The connection with this provider.
    Provider(&'a str),
    /// One passkey.
    Passkey,
}

impl Auth {
    /// Whether nobody could sign in to the account any more without it: with no password of this server or of the directory, no
    /// provider that is offered, and no passkey.
    pub(crate) async fn is_last_way(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
        leaving: Leaving<'_>,
    ) -> Result<bool, StoreError> {
        let leads_in = |link: &UpstreamLink| {
            let is_offered =
                self.upstreams.is_some() && self.providers().iter().any(|known| known.id == link.provider);
            let is_directory = self.directory.is_some() && link.provider == DIRECTORY;
            (is_offered || is_directory) && leaving != Leaving::Provider(&link.provider)
        };
        let links = snapshot.scan::<UpstreamLink>(UpstreamLink::of_user(user_id, MOST)).await?;
        if links.iter().any(leads_in) {
            return Ok(false);
        }
        if self.config.password_login && snapshot.get::<Password>(&(user_id.clone(),)).await?.is_some() {
            return Ok(false);
        }
        let needed = if leaving == Leaving::Passkey { 2 } else { 1 };
        let passkeys = snapshot.scan::<Passkey>(Passkey::of_user(user_id, needed)).await?;
        Ok(self.relying_party.is_none() || passkeys.len() < needed)
    }
}
