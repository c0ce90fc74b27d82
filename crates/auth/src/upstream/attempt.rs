//! Leaving for a provider, and coming back.

use bytes::Bytes;
use myelin_oauth_core::params::Params;
use myelin_oauth_core::upstream::attempt::{Attempt, Coming, Issuer, Secrets, Stage, Stopped};
use myelin_store::schema::auth::Account;
use myelin_store::schema::upstream::{UpstreamAttempt, UpstreamLink, UpstreamStage};
use myelin_store::{CommitError, Durability, Reader, Scan};
use ruma::OwnedUserId;

use super::exchange::{Person, plain};
use super::{ExistingAccount, UpstreamError, UpstreamProvider};
use crate::auth::ATTEMPTS;
use crate::factor::second::First;
use crate::oauth::{BROWSER_LIFETIME, How, There};
use crate::session::token;
use crate::{Auth, Browser, Origin, RegisterError, SignIn, StoreError};

/// Letters and digits in a state: 255 bits.
const STATE: usize = 43;

/// What becomes of who came back.
#[derive(Debug)]
pub enum Arrived {
    /// They are signed in, and go on.
    SignedIn {
        /// In this browser, or half of the way.
        sign_in: SignIn,
        /// To this page.
        next: String,
    },
    /// They have something to decide, in this sign-in.
    Decides {
        /// Its state.
        state: String,
    },
}

impl Auth {
    /// Where a browser goes to sign in with a provider. `browser` is what only it has; `connects` is who is signed in, where the
    /// accounts are to be connected; `anew` asks the provider to ask for credentials again.
    ///
    /// # Errors
    /// Why it goes nowhere.
    pub async fn leave_for(
        &self,
        id: &str,
        browser: &str,
        next: String,
        connects: Option<&Browser>,
        anew: bool,
    ) -> Result<String, UpstreamError> {
        let (upstreams, _, provider) = self.provider(id)?;
        let known = self.known(id).await?;
        if self.config.limit_failures {
            upstreams.attempts.take(&(), self.env.clock.elapsed()).map_err(|_| UpstreamError::Busy)?;
        }
        let state = self.env.random.alphanumeric(STATE);
        let secrets = Secrets::new(&state, browser);
        let challenge = secrets.challenge().ok_or(UpstreamError::Busy)?;
        let attempt = Attempt::new(id, browser, self.now());
        let mut batch = self.batch("upstream_attempt");
        batch.insert(&UpstreamAttempt {
            hash: key(&state).0,
            provider: attempt.provider,
            browser: Bytes::copy_from_slice(&attempt.browser),
            stage: UpstreamStage::Left,
            connects: connects.map(|browser| browser.user_id.clone()),
            next,
            identity: None,
            expires_at: attempt.expires_at,
            since: anew.then(|| self.now()),
        });
        self.engine.commit(batch).await.map_err(StoreError::from)?;
        let mut url = known.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &self.redirect_uri(provider))
            .append_pair("scope", &provider.scopes.join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &secrets.nonce)
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", "S256");
        // Who sends `max_age` is told `auth_time` (OpenID Connect Core 1.0, section 3.1.2.1).
        let max_age = if anew { 0 } else { BROWSER_LIFETIME / 1_000 };
        url.query_pairs_mut().append_pair("max_age", &max_age.to_string());
        if anew {
            url.query_pairs_mut().append_pair("prompt", "login");
        }
        Ok(url.into())
    }

    /// A browser comes back from a provider.
    ///
    /// # Errors
    /// Why nobody is signed in by that.
    pub async fn come_back(
        &self,
        id: &str,
        browser: &str,
        params: &Params,
        origin: &Origin,
    ) -> Result<Arrived, UpstreamError> {
        let (_, _, provider) = self.provider(id)?;
        let of = |name| params.get(name).ok().flatten();
        let state = of("state").ok_or(Stopped::Expired)?;
        let row = self.engine.get_now::<UpstreamAttempt>(&key(state)).await?;
        let row = row.ok_or(Stopped::Expired)?;
        let known = self.known(id).await?;
        let issuer = Issuer { issuer: &provider.issuer, always_says_so: known.metadata.says_issuer };
        let coming = Coming { provider: id, browser, iss: of("iss") };
        stored(&row).ok_or(Stopped::Expired)?.come_back(&coming, &issuer, self.now())?;
        let row = self.advance(row, UpstreamStage::Back, None).await?;
        if let Some(error) = of("error") {
            return Err(UpstreamError::Denied(plain(error)));
        }
        let code = of("code").ok_or_else(|| UpstreamError::Denied("nothing".to_owned()))?;
        let secrets = Secrets::new(state, browser);
        let person = self.person(provider, &known, code, (&secrets, row.since)).await?;
        self.arrive(provider, row, (state, origin), person).await
    }

    /// Signs in who is known already, or who becomes known without having to decide anything.
    async fn arrive(
        &self,
        provider: &UpstreamProvider,
        row: UpstreamAttempt,
        (state, origin): (&str, &Origin),
        person: Person,
    ) -> Result<Arrived, UpstreamError> {
        let user_id = if row.connects.is_some() { None } else { self.user_of(provider, &person).await? };
        let Some(user_id) = user_id else {
            let identity =
                serde_json::to_string(&person).map_err(|error| UpstreamError::Provider(error.to_string()))?;
            self.advance(row, UpstreamStage::Known, Some(identity)).await?;
            return Ok(Arrived::Decides { state: state.to_owned() });
        };
        let sign_in = self.sign_in_person(&user_id, &person, origin).await?;
        self.forget_attempt(&row).await?;
        Ok(Arrived::SignedIn { sign_in, next: row.next })
    }

    /// The account of who came; it is made where it can be without asking. Nothing where they have to decide.
    async fn user_of(
        &self,
        provider: &UpstreamProvider,
        person: &Person,
    ) -> Result<Option<OwnedUserId>, UpstreamError> {
        if let Some(user_id) = self.linked(person).await? {
            return Ok(Some(user_id));
        }
        if let Some(name) = &person.localpart {
            match self.available(name).await {
                Ok(user_id) if provider.sign_up => return self.make_account(user_id, person).await,
                Err(RegisterError::Taken) if provider.existing == ExistingAccount::Theirs => {
                    if let Some(user_id) = self.connect_by_name(name, person).await? {
                        return Ok(Some(user_id));
                    }
                }
                Err(RegisterError::Store(error)) => return Err(error.into()),
                _ => {}
            }
        }
        if provider.sign_up { Ok(None) } else { Err(UpstreamError::NoAccount) }
    }

    async fn make_account(
        &self,
        user_id: OwnedUserId,
        person: &Person,
    ) -> Result<Option<OwnedUserId>, UpstreamError> {
        match self.create_by_provider(user_id, person).await {
            Ok(user_id) => Ok(Some(user_id)),
            // Somebody was faster: perhaps themselves.
            Err(UpstreamError::Register(RegisterError::Taken)) => self.linked(person).await,
            Err(error) => Err(error),
        }
    }

    /// Whose account is connected to who came.
    pub(crate) async fn linked(&self, person: &Person) -> Result<Option<OwnedUserId>, UpstreamError> {
        let key = (person.provider.clone(), person.subject.clone());
        let link = self.engine.get_now::<UpstreamLink>(&key).await?;
        Ok(link.map(|link| link.user_id))
    }

    /// Signs somebody in who is somebody at a provider, or asks for the second step that they want.
    pub(super) async fn sign_in_person(
        &self,
        user_id: &OwnedUserId,
        person: &Person,
        origin: &Origin,
    ) -> Result<SignIn, UpstreamError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let account =
                account.filter(|account| account.deactivated_at.is_none()).ok_or(UpstreamError::Gone)?;
            if account.locked_at.is_some() {
                return Err(UpstreamError::Locked);
            }
            // A factor that is added raises the account's version, which is expected below.
            if self.factors_in(&*snapshot, user_id).await?.is_on() {
                let Person { provider, subject, origin, shown_at, .. } = person.clone();
                let first = First::Provider { provider, subject, origin, shown_at };
                return Ok(SignIn::Half(self.half(user_id, first)?));
            }
            drop(snapshot);
            let batch = self.batch(user_id.as_str());
            let there = There { origin: &person.origin, shown_at: person.shown_at };
            let how = How { name: &person.provider, there: Some(there) };
            if let Some(browser) = self.open_browser(batch, &account, origin, how).await? {
                return Ok(SignIn::Done(browser));
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Writes how far an attempt is. Of two who come with one state, one finds it further.
    async fn advance(
        &self,
        row: UpstreamAttempt,
        stage: UpstreamStage,
        identity: Option<String>,
    ) -> Result<UpstreamAttempt, UpstreamError> {
        let key = (row.hash.clone(),);
        let mut batch = self.batch("upstream_attempt");
        batch.expect_column::<UpstreamAttempt>(&key, "stage", &row.stage);
        let next = UpstreamAttempt { stage, identity, ..row };
        batch.put(&next);
        match self.engine.commit(batch).await {
            Ok(_) => Ok(next),
            Err(CommitError::Conflict { .. }) => Err(Stopped::Repeated.into()),
            Err(error) => Err(StoreError::from(error).into()),
        }
    }

    /// The attempt with this state, where its person is to decide.
    pub(super) async fn to_decide(
        &self,
        id: &str,
        browser: &str,
        state: &str,
    ) -> Result<(UpstreamAttempt, Person), UpstreamError> {
        let row = self.engine.get_now::<UpstreamAttempt>(&key(state)).await?;
        let row = row.ok_or(Stopped::Expired)?;
        stored(&row).ok_or(Stopped::Expired)?.decide(id, browser, self.now())?;
        let person = row.identity.as_deref().and_then(|identity| serde_json::from_str(identity).ok());
        person.map(|person| (row, person)).ok_or(UpstreamError::Stopped(Stopped::Expired))
    }

    pub(super) async fn forget_attempt(&self, row: &UpstreamAttempt) -> Result<(), UpstreamError> {
        let mut batch = self.batch("upstream_attempt");
        batch.delete::<UpstreamAttempt>(&(row.hash.clone(),));
        self.engine.commit(batch).await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Forgets sign-ins that came to nothing.
    pub(crate) async fn prune_upstreams(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("upstream_attempt");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<UpstreamAttempt>(UpstreamAttempt::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        self.prune_upstream_logouts(&mut batch);
        self.engine.commit(batch).await?;
        Ok(())
    }
}

fn key(state: &str) -> (Bytes,) {
    (Bytes::copy_from_slice(&token::hash(state)),)
}

fn stored(row: &UpstreamAttempt) -> Option<Attempt> {
    Some(Attempt {
        provider: row.provider.clone(),
        browser: row.browser.as_ref().try_into().ok()?,
        stage: match row.stage {
            UpstreamStage::Left => Stage::Left,
            UpstreamStage::Back => Stage::Back,
            UpstreamStage::Known => Stage::Known,
        },
        expires_at: row.expires_at,
    })
}
