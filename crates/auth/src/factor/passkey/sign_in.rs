//! Signing in with a passkey, alone or as the second step.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use myelin_store::schema::auth::Account;
use myelin_store::schema::factors::{Passkey as Row, UsedChallenge};
use myelin_store::{Reader, Snapshot};
use ruma::OwnedUserId;
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey, PublicKeyCredential, WebauthnError,
};

use super::super::notice::Change;
use super::{Asked, MOST, PasskeyChallenge, PasskeyError, RelyingParty};
use crate::auth::ATTEMPTS;
use crate::oauth::How;
use crate::{Act, Actor, Auth, HalfSignedIn, NewBrowser, Origin, StoreError};

/// What the challenge is sealed for.
const PURPOSE: &str = "passkey sign-in";

impl Auth {
    /// Asks authenticators for a passkey of whoever has one here. Nothing where this server's pages can't.
    #[must_use]
    pub fn ask_for_passkey(&self) -> Option<PasskeyChallenge> {
        self.ask_for(&[])
    }

    /// Asks for a passkey of who is half signed in. Nothing where they have none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ask_for_own_passkey(
        &self,
        half: &HalfSignedIn,
    ) -> Result<Option<PasskeyChallenge>, StoreError> {
        let rows = Row::of_user(&half.user_id, MOST);
        let rows = self.engine.snapshot().await?.scan::<Row>(rows).await?;
        Ok(if rows.is_empty() { None } else { self.ask_for(&rows) })
    }

    /// Any, or one of these.
    fn ask_for(&self, rows: &[Row]) -> Option<PasskeyChallenge> {
        let RelyingParty(webauthn) = self.relying_party.as_ref()?;
        let (mut options, state) = webauthn.start_discoverable_authentication().ok()?;
        // The page's script says when it is to be asked for.
        options.mediation = None;
        let mut options = serde_json::to_value(options).ok()?;
        let id =
            |row: &Row| json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&row.credential_id) });
        let ids: Vec<Value> = rows.iter().map(id).collect();
        options["publicKey"]["allowCredentials"] = ids.into();
        let sealed = self.seal_challenge(PURPOSE, "", &state)?;
        Some(PasskeyChallenge { options: options.to_string(), sealed })
    }

    /// Signs in who has the passkey, and showed its authenticator who they are: no other factor is asked for. Where somebody is
    /// half signed in, it must be theirs.
    ///
    /// # Errors
    /// Why they are not signed in.
    pub async fn sign_in_by_passkey(
        &self,
        half: Option<&HalfSignedIn>,
        (sealed, answer): (&str, &str),
        origin: &Origin,
    ) -> Result<NewBrowser, PasskeyError> {
        let Asked { state, used } = self.asked(PURPOSE, "", sealed).ok_or(PasskeyError::Ended)?;
        let answer: PublicKeyCredential = serde_json::from_str(answer).map_err(|_| PasskeyError::Wrong)?;
        let key = (Bytes::copy_from_slice(answer.get_credential_id()),);
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            if snapshot.get::<UsedChallenge>(&(used.hash.clone(),)).await?.is_some() {
                return Err(PasskeyError::Ended);
            }
            let row = snapshot.get::<Row>(&key).await?.ok_or(PasskeyError::Unknown)?;
            is_meant(&row, half, &answer)?;
            let mut passkey: Passkey =
                serde_json::from_str(&row.credential).map_err(|_| PasskeyError::Wrong)?;
            let verified = self.verify(&answer, &state, &passkey);
            let account = self.account_for(&*snapshot, &row.user_id).await;
            drop(snapshot);
            let result = match verified {
                Ok(result) => result,
                Err(error) => return Err(self.refused(&row, error).await),
            };
            let account = account?;
            passkey.update_credential(&result);
            let mut batch = self.batch(row.user_id.as_str());
            batch.insert(&used);
            batch.expect_column::<Row>(&key, "counter", &row.counter);
            batch.put(&Row {
                credential: serde_json::to_string(&passkey).map_err(|_| PasskeyError::Wrong)?,
                counter: i64::from(result.counter()),
                used_at: Some(self.now()),
                ..row
            });
            let how = if half.is_some() { "password passkey" } else { "passkey" };
            if let Some(browser) = self.open_browser(batch, &account, origin, How::here(how)).await? {
                return Ok(browser);
            }
        }
        Err(StoreError::Contended.into())
    }

    fn verify(
        &self,
        answer: &PublicKeyCredential,
        state: &DiscoverableAuthentication,
        passkey: &Passkey,
    ) -> Result<AuthenticationResult, WebauthnError> {
        let RelyingParty(webauthn) = self.relying_party.as_ref().ok_or(WebauthnError::Configuration)?;
        let result = webauthn.finish_discoverable_authentication_v2(answer, state.clone(), passkey)?;
        if result.user_verified() { Ok(result) } else { Err(WebauthnError::UserNotVerified) }
    }

    async fn account_for(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
    ) -> Result<Account, PasskeyError> {
        let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
        match account.filter(|account| account.deactivated_at.is_none()) {
            Some(account) if account.locked_at.is_some() => Err(PasskeyError::Locked),
            Some(account) => Ok(account),
            None => Err(PasskeyError::Unknown),
        }
    }

    /// Notes what stands against a passkey whose answer does not fit.
    async fn refused(&self, row: &Row, error: WebauthnError) -> PasskeyError {
        let (user_id, name) = (&row.user_id, row.name.clone());
        tracing::info!(%user_id, ?error, "a passkey was refused");
        if !matches!(error, WebauthnError::CredentialPossibleCompromise) {
            return PasskeyError::Wrong;
        }
        let mut batch = self.batch(user_id.as_str());
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::PasskeyCopied, Some(user_id), Some(name));
        if let Err(error) = self.engine.commit(batch).await {
            return StoreError::from(error).into();
        }
        self.tell(user_id, Change::PasskeyCopied).await;
        PasskeyError::Copied
    }
}

/// Whether the passkey belongs to who is asked: whoever the authenticator says that it does, or who is half signed in.
fn is_meant(
    row: &Row,
    half: Option<&HalfSignedIn>,
    answer: &PublicKeyCredential,
) -> Result<(), PasskeyError> {
    let handle = answer.get_user_unique_id();
    let fits = handle.is_none_or(|handle| handle == row.user_handle);
    let is_meant = match half {
        Some(half) => half.user_id == row.user_id && fits,
        None => handle.is_some() && fits,
    };
    if is_meant { Ok(()) } else { Err(PasskeyError::Unknown) }
}
