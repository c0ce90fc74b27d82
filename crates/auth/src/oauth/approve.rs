//! What somebody approves in their browser: a code for the client.

use bytes::Bytes;
use myelin_oauth_core::authorization::Request;
use myelin_oauth_core::code;
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_runtime::Secret;
use myelin_store::schema::oauth::OauthCode;
use myelin_store::{Durability, Scan};

use super::browser::expect_browser;
use super::{Browser, OauthError};
use crate::auth::Applied;
use crate::session::token::{self, Kind};
use crate::{Act, Actor, Auth, StoreError};

/// What is told to a client whose user was signed out in the moment in which they approved.
fn signed_out() -> Refusal {
    Refusal::new(ErrorCode::AccessDenied, "The user was signed out meanwhile.")
}

impl Auth {
    /// Makes the code by which the client gets a session of who is signed in.
    ///
    /// # Errors
    /// Why there is none, to be told to the client.
    pub async fn approve(&self, browser: &Browser, request: &Request) -> Result<Secret<String>, OauthError> {
        // From now on the client is kept.
        if self.touch_client(&request.client_id).await?.is_none() {
            let gone = "The client's registration has ended; register again.";
            return Err(Refusal::new(ErrorCode::UnauthorizedClient, gone).into());
        }
        let code = token::mint(&self.env.random, Kind::Code);
        let now = self.now();
        let user_id = &browser.user_id;
        let mut batch = self.batch(user_id.as_str());
        expect_browser(&mut batch, browser);
        batch.insert(&OauthCode {
            hash: Bytes::copy_from_slice(&token::hash(code.expose())),
            client_id: request.client_id.clone(),
            redirect_uri: request.answer.target().as_str().to_owned(),
            challenge: request.challenge.as_str().to_owned(),
            scope: request.wanted.as_str().to_owned(),
            user_id: user_id.clone(),
            expires_at: now.saturating_add(code::LIFETIME),
            is_redeemed: false,
            forgotten_at: now.saturating_add(code::LIFETIME),
            origin: browser.origin.clone(),
            nonce: request.nonce.clone(),
            authenticated_at: Some(browser.shown_at),
        });
        let detail = match request.wanted.device_id() {
            Some(device_id) => format!("{} {device_id}", request.client_id),
            None => format!("{} {}", request.client_id, request.wanted.as_str()),
        };
        let detail = Some(detail);
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::OauthApprove, Some(user_id), detail);
        match self.commit(batch, user_id).await? {
            Applied::Yes => Ok(code),
            Applied::Conflict => Err(signed_out().into()),
        }
    }

    /// Forgets codes that nobody need know any more.
    pub(crate) async fn prune_codes(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("oauth_code");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<OauthCode>(OauthCode::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}
