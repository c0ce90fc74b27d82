//! Adding a passkey.

use bytes::Bytes;
use myelin_runtime::Secret;
use myelin_store::Reader;
use myelin_store::schema::factors::{Passkey as Row, UsedChallenge};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webauthn_rs::prelude::{PasskeyRegistration, RegisterPublicKeyCredential, Uuid};

use super::super::notice::Change;
use super::super::recovery::shown;
use super::manage::tidied;
use super::{Asked, MOST, PasskeyChallenge, PasskeyError, RelyingParty};
use crate::{Act, Actor, Auth, Browser, StoreError};

/// What the challenge is sealed for.
const PURPOSE: &str = "passkey enrolment";

/// What must be known when the answer comes.
#[derive(Deserialize, Serialize)]
struct Enrolment {
    handle: [u8; 16],
    state: PasskeyRegistration,
}

impl Auth {
    /// Asks an authenticator for a new passkey of who is signed in. Nothing where this server's pages can't.
    ///
    /// # Errors
    /// When the store fails, or there are too many.
    pub async fn begin_passkey(&self, browser: &Browser) -> Result<Option<PasskeyChallenge>, PasskeyError> {
        let Some(RelyingParty(webauthn)) = &self.relying_party else { return Ok(None) };
        let user_id = &browser.user_id;
        let rows = self.engine.snapshot().await?.scan::<Row>(Row::of_user(user_id, MOST)).await?;
        if rows.len() >= MOST {
            return Err(PasskeyError::TooMany);
        }
        // An authenticator that has a passkey of this account already says so rather than replace it.
        let exclude = rows.iter().map(|row| row.credential_id.to_vec()).collect();
        let known = rows.first().and_then(|row| row.user_handle.as_ref().try_into().ok());
        let handle: [u8; 16] = known.unwrap_or_else(|| self.env.random.bytes());
        let name = user_id.as_str();
        let begun = webauthn.start_passkey_registration(Uuid::from_bytes(handle), name, name, Some(exclude));
        let Ok((options, state)) = begun else { return Ok(None) };
        let sealed = self.seal_challenge(PURPOSE, name, &Enrolment { handle, state });
        let sealed = sealed.ok_or(StoreError::Unsealable)?;
        let mut options = serde_json::to_value(options).unwrap_or_default();
        // One that its authenticator finds without being told which: so it signs in alone.
        if let Some(Value::Object(wanted)) = options.pointer_mut("/publicKey/authenticatorSelection") {
            wanted.insert("residentKey".to_owned(), json!("required"));
            wanted.insert("requireResidentKey".to_owned(), json!(true));
        }
        Ok(Some(PasskeyChallenge { options: options.to_string(), sealed }))
    }

    /// Takes the passkey that an authenticator made. Answers the first recovery codes where there were none. Who was signed in
    /// elsewhere on the pages by the password alone is signed out. That the user showed who they are is settled.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn add_passkey(
        &self,
        browser: &Browser,
        sealed: &str,
        answer: &str,
        name: &str,
    ) -> Result<Vec<Secret<String>>, PasskeyError> {
        let RelyingParty(webauthn) = self.relying_party.as_ref().ok_or(PasskeyError::Ended)?;
        let user_id = &browser.user_id;
        let asked = self.asked::<Enrolment>(PURPOSE, user_id.as_str(), sealed);
        let Asked { state: Enrolment { handle, state }, used } = asked.ok_or(PasskeyError::Ended)?;
        let answer: RegisterPublicKeyCredential =
            serde_json::from_str(answer).map_err(|_| PasskeyError::Wrong)?;
        let passkey = webauthn.finish_passkey_registration(&answer, &state).map_err(|error| {
            tracing::info!(%user_id, ?error, "a passkey was not taken");
            PasskeyError::Wrong
        })?;
        let credential_id = Bytes::copy_from_slice(passkey.cred_id());
        let snapshot = self.engine.snapshot().await?;
        if snapshot.get::<Row>(&(credential_id.clone(),)).await?.is_some() {
            return Err(PasskeyError::Known);
        }
        if snapshot.get::<UsedChallenge>(&(used.hash.clone(),)).await?.is_some() {
            return Err(PasskeyError::Ended);
        }
        let before = self.factors_in(&*snapshot, user_id).await?;
        drop(snapshot);
        if before.passkeys >= MOST {
            return Err(PasskeyError::TooMany);
        }
        let row = Row {
            credential_id,
            user_id: user_id.clone(),
            user_handle: Bytes::copy_from_slice(&handle),
            name: tidied(name),
            credential: serde_json::to_string(&passkey).map_err(|_| PasskeyError::Wrong)?,
            counter: 0,
            added_at: self.now(),
            used_at: None,
        };
        let codes = if before.recovery_codes == 0 { self.new_codes() } else { Vec::new() };
        self.change_account(&Actor::User(user_id.clone()), user_id, Act::PasskeyAdd, |batch, _| {
            batch.insert(&used);
            batch.insert(&row);
            if !codes.is_empty() {
                self.replace_codes(batch, user_id, &codes);
            }
            if !before.is_on() {
                self.end_other_browsers(batch, browser);
            }
            None
        })
        .await?;
        self.tell(user_id, Change::PasskeyAdded).await;
        Ok(shown(&codes))
    }
}
